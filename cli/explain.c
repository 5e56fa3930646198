/* Explanations: bars of what [CLS] looks at, and maps of heads side by side. */
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

/* ---- Bars ---- */

/* Pruned cells give nothing. */
static double mean_attention(const pare_attention_view *view, size_t column)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    double sum = 0;
    for (size_t head = 0; head < geometry->heads; head++) {
        double value = pare_attention_value(view, geometry->layers - 1, head, 0, column);
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
        double share = mean_attention(view, i);
        printf("  %.3f ", share);
        for (long block = 0; block < BAR_WIDTH; block++)
            fputs(block < lround(BAR_WIDTH * share) ? "█" : " ", stdout);
        printf(" %s\n", view->pieces[i]);
    }
}

/* ---- Maps ---- */

/* Prints the next line of every map beside each other; false when there are no more. */
static bool print_map_line(char **maps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(maps[i], "\n");
        if (!maps[i][length])
            return false;
        printf("%s%.*s", GAP, (int)length, maps[i]);
        maps[i] += length + 1;
    }
    putchar('\n');
    return true;
}

static pare_status print_maps(const pare_attention_view *view, size_t layer, size_t first,
                              size_t count, size_t width)
{
    char *maps[64] = {0}, *places[64];
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status =
            pare_attention_text(view, layer, first + i, width, isatty(STDOUT_FILENO), &maps[i]);
    memcpy(places, maps, sizeof places);
    if (status == PARE_OK)
        printf("layer %zu, heads %zu to %zu\n", layer + 1, first + 1, first + count);
    while (status == PARE_OK && print_map_line(places, count))
        continue;
    for (size_t i = 0; i < count; i++)
        free(maps[i]);
    return status;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static pare_status print_layers(const pare_attention_view *view)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    size_t gap = strlen(GAP), room = terminal_width() - gap;
    size_t width = smaller(geometry->keys, room);
    size_t beside = smaller(64, (room + gap) / (width + gap));
    for (size_t layer = 0; layer < geometry->layers; layer++)
        for (size_t head = 0; head < geometry->heads; head += beside) {
            pare_status status =
                print_maps(view, layer, head, smaller(beside, geometry->heads - head), width);
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
