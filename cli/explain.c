/* Explanations: bars of what [CLS] looks at, or the source pieces of each target piece, and maps of
 * heads side by side. */
#include "explain.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_WIDTH 40
#define GAP "  "

static size_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 100;
}

static pare_attention_view view_of(const cli_session *session, const pare_explanation *explanation,
                                   const char *title)
{
    return (pare_attention_view){.title = title,
                                 .average = explanation->average,
                                 .mask = pare_model_mask(session->model, PARE_ATTENTION_SELF),
                                 .pieces = explanation->pieces};
}

/* The pieces that rows are of. */
static const char *const *row_pieces(const pare_attention_view *view)
{
    return view->row_pieces ? view->row_pieces : view->pieces;
}

/* A UTF-8 character has one byte that does not continue another. */
static size_t count_characters(const char *text)
{
    size_t characters = 0;
    for (; *text; text++)
        characters += (*text & 0xc0) != 0x80;
    return characters;
}

static size_t longest_row_piece(const pare_attention_view *view)
{
    size_t longest = 0;
    for (size_t row = 0; row < pare_average_geometry(view->average)->queries; row++) {
        size_t characters = count_characters(row_pieces(view)[row]);
        longest = characters > longest ? characters : longest;
    }
    return longest;
}

/* With blanks after it. */
static void print_row_piece(const pare_attention_view *view, size_t row, size_t width)
{
    const char *piece = row_pieces(view)[row];
    printf("%s%s%*s", GAP, piece, (int)(width - count_characters(piece)), "");
}

/* ---- Bars ---- */

/* Pruned cells give nothing. */
static double mean_attention(const pare_attention_view *view, size_t row, size_t column)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    double sum = 0;
    for (size_t head = 0; head < geometry->heads; head++) {
        double value = pare_attention_value(view, geometry->layers - 1, head, row, column);
        sum += isnan(value) ? 0 : value;
    }
    return sum / (double)geometry->heads;
}

static void print_bars(const pare_attention_view *view)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    printf("%s in layer %zu, mean of %zu heads:\n", view->pieces[0], geometry->layers,
           geometry->heads);
    for (size_t i = 0; i < geometry->keys; i++) {
        double share = mean_attention(view, 0, i);
        printf("  %.3f ", share);
        for (long block = 0; block < BAR_WIDTH; block++)
            fputs(block < lround(BAR_WIDTH * share) ? "█" : " ", stdout);
        printf(" %s\n", view->pieces[i]);
    }
}

/* ---- Alignment ---- */

/* Source pieces that are named beside a target piece, those with a share of this at least. */
enum { NAMED = 3 };
#define NAMED_SHARE 0.05

typedef struct looked_at {
    size_t column;
    double share;
} looked_at;

/* What follows `last` in the order of shares, the largest first and equal ones from left to right;
 * a share below 0: there is no more. */
static looked_at next_column(const pare_attention_view *view, size_t row, looked_at last)
{
    looked_at best = {.share = -1};
    for (size_t i = 0; i < pare_average_geometry(view->average)->keys; i++) {
        double share = mean_attention(view, row, i);
        bool follows = share < last.share || (share == last.share && i > last.column);
        if (follows && share > best.share)
            best = (looked_at){i, share};
    }
    return best;
}

static void print_row(const pare_attention_view *view, size_t row, size_t width)
{
    looked_at next = {.share = INFINITY};
    print_row_piece(view, row, width);
    for (int named = 0; named < NAMED; named++) {
        next = next_column(view, row, next);
        if (next.share < (named ? NAMED_SHARE : 0))
            break;
        printf("  %.3f %s", next.share, view->pieces[next.column]);
    }
    putchar('\n');
}

static void print_alignment(const pare_attention_view *view)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    size_t width = longest_row_piece(view);
    printf("cross attention in layer %zu, mean of %zu heads:\n", geometry->layers, geometry->heads);
    for (size_t row = 0; row < geometry->queries; row++)
        print_row(view, row, width);
}

/* ---- Maps ---- */

enum { MAPS_MAX = 64 };

typedef struct map_layout {
    size_t names;  /* room for the piece of each row, 0: none */
    size_t width;  /* of a map */
    size_t beside; /* maps in a line */
} map_layout;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows are named where that leaves room for a whole map. */
static map_layout lay_out(const pare_attention_view *view)
{
    size_t keys = pare_average_geometry(view->average)->keys;
    size_t gap = strlen(GAP), room = terminal_width(), longest = longest_row_piece(view);
    map_layout layout = {.width = smaller(keys, room - gap)};
    if (gap + longest + gap + keys <= room) {
        layout.names = longest;
        room -= gap + longest;
    }
    layout.beside = smaller(MAPS_MAX, room / (gap + layout.width));
    return layout;
}

/* Prints the next line of every map beside each other. */
static void print_map_line(char **maps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(maps[i], "\n");
        printf("%s%.*s", GAP, (int)length, maps[i]);
        maps[i] += length + 1;
    }
    putchar('\n');
}

static void print_map_lines(const pare_attention_view *view, const map_layout *layout, char **maps,
                            size_t count)
{
    for (size_t row = 0; *maps[0]; row++) {
        if (layout->names)
            print_row_piece(view, row, layout->names);
        print_map_line(maps, count);
    }
}

static void print_map_heading(const pare_attention_view *view, const map_layout *layout,
                              size_t layer, size_t first, size_t count)
{
    size_t keys = pare_average_geometry(view->average)->keys;
    size_t reduction = (keys + layout->width - 1) / layout->width;
    printf("layer %zu, heads %zu to %zu", layer + 1, first + 1, first + count);
    if (reduction > 1)
        printf(", a character for %zu x %zu pieces", reduction, reduction);
    putchar('\n');
}

static pare_status print_maps(const pare_attention_view *view, const map_layout *layout,
                              size_t layer, size_t first, size_t count)
{
    char *maps[MAPS_MAX] = {0}, *places[MAPS_MAX];
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = pare_attention_text(view, layer, first + i, layout->width, isatty(STDOUT_FILENO),
                                     &maps[i]);
    memcpy(places, maps, sizeof places);
    if (status == PARE_OK) {
        print_map_heading(view, layout, layer, first, count);
        print_map_lines(view, layout, places, count);
    }
    for (size_t i = 0; i < count; i++)
        free(maps[i]);
    return status;
}

static pare_status print_layers(const pare_attention_view *view)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    const map_layout layout = lay_out(view);
    for (size_t layer = 0; layer < geometry->layers; layer++)
        for (size_t head = 0; head < geometry->heads; head += layout.beside) {
            pare_status status = print_maps(view, &layout, layer, head,
                                            smaller(layout.beside, geometry->heads - head));
            if (status != PARE_OK)
                return status;
        }
    return PARE_OK;
}

pare_status print_explanation(const cli_session *session, const pare_text_pair *text)
{
    pare_explanation explanation;
    pare_status status = pare_classify_explain(session->model, session->tape,
                                               session->data.tokenizer, text, &explanation);
    if (status != PARE_OK)
        return status;
    pare_attention_view view = view_of(session, &explanation, "");
    print_bars(&view);
    status = print_layers(&view);
    pare_explanation_free(&explanation);
    return status;
}

pare_status write_explanation(const cli_session *session, const pare_text_pair *text,
                              const char *title, const char *path)
{
    pare_explanation explanation;
    pare_status status = pare_classify_explain(session->model, session->tape,
                                               session->data.tokenizer, text, &explanation);
    if (status != PARE_OK)
        return status;
    pare_attention_view view = view_of(session, &explanation, title);
    status = pare_attention_html(&view, path);
    pare_explanation_free(&explanation);
    return status;
}

/* ---- Pairs ---- */

static pare_status explain_pair(const cli_session *session, const pare_source_text *source,
                                const pare_hypothesis *translation,
                                pare_translation_explanation *explanation)
{
    return pare_translate_explain(session->model, session->tape, &session->data.tokenizers, source,
                                  translation->tokens, translation->length, explanation);
}

static pare_attention_view view_of_pair(const cli_session *session,
                                        const pare_translation_explanation *explanation,
                                        const char *title)
{
    return (pare_attention_view){.title = title,
                                 .average = explanation->average,
                                 .mask = pare_model_mask(session->model, PARE_ATTENTION_CROSS),
                                 .pieces = explanation->source,
                                 .row_pieces = explanation->target};
}

pare_status print_pair_explanation(const cli_session *session, const pare_source_text *source,
                                   const pare_hypothesis *translation)
{
    pare_translation_explanation explanation;
    pare_status status = explain_pair(session, source, translation, &explanation);
    if (status != PARE_OK)
        return status;
    pare_attention_view view = view_of_pair(session, &explanation, "");
    print_alignment(&view);
    status = print_layers(&view);
    pare_translation_explanation_free(&explanation);
    return status;
}

pare_status write_pair_explanation(const cli_session *session, const pare_source_text *source,
                                   const pare_hypothesis *translation, const char *title,
                                   const char *path)
{
    pare_translation_explanation explanation;
    pare_status status = explain_pair(session, source, translation, &explanation);
    if (status != PARE_OK)
        return status;
    pare_attention_view view = view_of_pair(session, &explanation, title);
    status = pare_attention_html(&view, path);
    pare_translation_explanation_free(&explanation);
    return status;
}

int title_bytes(const char *text, size_t length)
{
    size_t shown = smaller(length, 100);
    while (shown && shown < length && (text[shown] & 0xc0) == 0x80)
        shown--;
    return (int)shown;
}
