/* Every head of every kind of attention: all at a glance, then one by one average attention, the
 * mask of the chosen run under it on the same columns, and the distance profile. The runs are radio
 * buttons and a few style rules, so the page needs no script, and averages, which all runs share,
 * are in the file once. */
#include <math.h>

#include "base/memory.h"
#include "report/figures.h"
#include "report/head_map.h"
#include "report/html_image.h"
#include "report/page.h"
#include "report/svg.h"

/* Wider maps are reduced: a card is about this wide. */
enum { MAXIMUM_COLUMNS = 160 };

/* What drawing one head needs. */
typedef struct head_drawing {
    const pri_head_set *set;
    pri_palettes palettes;
    pri_heat_scale scale, profile_range;
    pri_head_map map; /* reused by all pictures */
    uint8_t *pixels;
} head_drawing;

/* Before "attention". */
static const char *kind_words(const pri_head_set *set)
{
    static const char *const words[PARE_ATTENTION_KINDS] = {"encoder self-", "decoder self-",
                                                            "cross "};
    return set->name[0] ? words[set->kind] : "";
}

const char *pri_page_run_prefix(const pri_head_set *set)
{
    static const char *const prefixes[PARE_ATTENTION_KINDS] = {"encoder-run", "decoder-run",
                                                               "cross-run"};
    return set->name[0] ? prefixes[set->kind] : "run";
}

static pare_status append_image_source(pri_text *text, const pri_indexed_image *image)
{
    pri_text_append(text, " src=\"");
    PRI_TRY(pri_html_append_image(text, image));
    pri_text_append(text, "\"/>\n");
    return PARE_OK;
}

static pare_status append_average(pri_text *text, head_drawing *drawing, size_t layer, size_t head)
{
    pri_head_map_fill_average(&drawing->map, drawing->set->average, layer, head);
    pri_indexed_image image =
        pri_heat_image(&drawing->palettes, &drawing->map, &drawing->scale, drawing->pixels);
    pri_text_append(text,
                    "<img class=\"map\" width=\"%zu\" height=\"%zu\" alt=\"Average %sattention of "
                    "layer %zu, head %zu\"",
                    image.width, image.height, kind_words(drawing->set), layer + 1, head + 1);
    return append_image_source(text, &image);
}

static pare_status append_mask(pri_text *text, head_drawing *drawing, size_t run, size_t layer,
                               size_t head)
{
    const pri_mask_run *shown = &drawing->set->runs[run];
    pri_head_map_fill_mask(&drawing->map, shown->mask, layer, head);
    pri_indexed_image image = pri_mask_image(&drawing->palettes, &drawing->map, drawing->pixels);
    pri_text_append(text,
                    "<div class=\"run run-%zu\"><img class=\"map\" width=\"%zu\" height=\"%zu\" "
                    "alt=\"Mask of layer %zu, head %zu, ",
                    run, image.width, image.height, layer + 1, head + 1);
    pri_html_append_escaped(text, shown->label);
    pri_text_append(text, "\"");
    PRI_TRY(append_image_source(text, &image));
    pri_text_append(text, "<p class=\"stat\">%.1f%% kept</p></div>\n",
                    100 * pare_mask_kept_share(shown->mask, layer, head));
    return PARE_OK;
}

static void append_profile(pri_text *text, const head_drawing *drawing, size_t layer, size_t head)
{
    pri_profile profile = pri_head_profile(drawing->set->average, layer, head);
    if (profile.count < 2)
        return;
    pri_profile_figure figure;
    pri_profile_figure_fill(&profile, &drawing->profile_range, &figure);
    figure.chart.width = 220;
    figure.chart.height = 96;
    figure.chart.text_size = 10;
    pri_svg_append_chart(text, &figure.chart, "profile",
                         "Average attention against distance, both axes logarithmic");
}

static pare_status append_head(pri_text *text, head_drawing *drawing, size_t layer, size_t head)
{
    const pri_head_set *set = drawing->set;
    pri_text_append(text, "<figure class=\"head\"><figcaption><b>Head %zu</b>", head + 1);
    if (set->average)
        pri_text_append(text, "<span>entropy %.1f bits</span>",
                        pri_head_entropy(set->average, layer, head));
    pri_text_append(text, "</figcaption>\n");
    if (set->average)
        PRI_TRY(append_average(text, drawing, layer, head));
    for (size_t run = 0; run < set->run_count; run++)
        PRI_TRY(append_mask(text, drawing, run, layer, head));
    if (set->average)
        append_profile(text, drawing, layer, head);
    pri_text_append(text, "</figure>\n");
    return PARE_OK;
}

/* What a closed layer tells: the range of its heads' entropies. */
static void append_layer_summary(pri_text *text, const pri_head_set *set, size_t layer)
{
    size_t heads = set->geometry->heads;
    pri_text_append(text, "<summary>Layer %zu", layer + 1);
    if (set->average) {
        double low = (double)INFINITY, high = (double)-INFINITY;
        for (size_t head = 0; head < heads; head++) {
            double entropy = pri_head_entropy(set->average, layer, head);
            low = fmin(low, entropy);
            high = fmax(high, entropy);
        }
        if (low <= high)
            pri_text_append(text, "<span>entropy %.1f to %.1f bits</span>", low, high);
    }
    pri_text_append(text, "</summary>\n");
}

static pare_status append_layers(pri_text *text, head_drawing *drawing)
{
    const pare_geometry *geometry = drawing->set->geometry;
    /* A deep model opens its first layers only: the page stays quick to scroll. */
    size_t open_layers = geometry->layers <= 6 ? geometry->layers : 2;
    for (size_t layer = 0; layer < geometry->layers; layer++) {
        pri_text_append(text, "<details%s>", layer < open_layers ? " open=\"\"" : "");
        append_layer_summary(text, drawing->set, layer);
        pri_text_append(text, "<div class=\"grid-heads\">\n");
        for (size_t head = 0; head < geometry->heads; head++)
            PRI_TRY(append_head(text, drawing, layer, head));
        pri_text_append(text, "</div></details>\n");
    }
    return PARE_OK;
}

/* What a reader wants to see first: the most that attention pruning removes. */
static size_t first_shown(const pri_head_set *set)
{
    size_t chosen = 0;
    for (size_t run = 0; run < set->run_count; run++)
        if (pri_group_is(set->runs[run].group, "attention-pruning"))
            chosen = run;
    return chosen;
}

static void append_tabs(pri_text *text, const pri_head_set *set)
{
    const char *prefix = pri_page_run_prefix(set);
    size_t chosen = first_shown(set);
    for (size_t run = 0; run < set->run_count; run++)
        pri_text_append(text, "<input type=\"radio\" name=\"%s\" id=\"%s-%zu\"%s/>", prefix, prefix,
                        run, run == chosen ? " checked=\"\"" : "");
    pri_text_append(text, "\n<div class=\"tabs\" role=\"group\" aria-label=\"Mask shown\">");
    for (size_t run = 0; run < set->run_count; run++) {
        pri_text_append(text, "<label for=\"%s-%zu\">", prefix, run);
        pri_html_append_escaped(text, set->runs[run].label);
        pri_text_append(text, "</label>");
    }
    pri_text_append(text, "</div>\n");
}

static bool has_unknown_cells(const pare_average *average)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    for (size_t row = 0; row < geometry->queries; row++)
        for (size_t column = 0; column < geometry->keys; column++)
            if (!pare_average_count(average, row, column))
                return true;
    return false;
}

static pare_status append_legend(pri_text *text, const head_drawing *drawing)
{
    pri_text_append(text, "<div class=\"swatches\">");
    if (drawing->set->average) {
        uint8_t pixels[PRI_HEAT_STEPS];
        pri_indexed_image strip = pri_heat_strip(&drawing->palettes, pixels);
        char low[24], high[24];
        pri_format_short(drawing->scale.low, 2, low, sizeof low);
        pri_format_short(drawing->scale.high, 2, high, sizeof high);
        pri_text_append(text,
                        "<span class=\"scale\">average attention %s <img alt=\"logarithmic "
                        "colour scale\" width=\"150\" height=\"12\"",
                        low);
        PRI_TRY(append_image_source(text, &strip));
        pri_text_append(text, " %s</span>\n", high);
    }
    if (drawing->set->run_count)
        pri_text_append(text, "<span><span class=\"swatch kept\"></span>kept</span>"
                              "<span><span class=\"swatch gone\"></span>pruned</span>");
    const pare_average *average = drawing->set->average;
    if (drawing->set->geometry->causal)
        pri_text_append(text, "<span><span class=\"swatch none\"></span>future, not "
                              "admissible</span>");
    else if (average && has_unknown_cells(average))
        pri_text_append(text, "<span><span class=\"swatch none\"></span>never observed</span>");
    pri_text_append(text, "</div>\n");
    return PARE_OK;
}

/* Where the ends of a sequence are. */
static void append_ends_first(pri_text *text, bool bert)
{
    pri_text_append(text,
                    "number 1 is the first token%s, number 2 the last%s, then follow the others in "
                    "the order of the sentence",
                    bert ? " (of BERT [CLS])" : "", bert ? " ([SEP])" : "");
}

static void append_cross_positions(pri_text *text, const pare_geometry *geometry)
{
    pri_text_append(text,
                    "Rows are the positions of target sentences (queries, up to %zu) in their "
                    "order, columns those of source sentences (keys, up to %zu)%s",
                    geometry->queries, geometry->keys,
                    geometry->ends_first ? ": " : ", in their order too");
    if (geometry->ends_first)
        append_ends_first(text, false);
    pri_text_append(text, ".");
}

static void append_causal_positions(pri_text *text, const pare_geometry *geometry)
{
    size_t memory = geometry->keys - geometry->queries;
    pri_text_append(text, "Rows are %zu query positions, columns %zu key positions",
                    geometry->queries, geometry->keys);
    if (geometry->causal && memory)
        pri_text_append(text, " (%zu of memory, then the segment itself)", memory);
    pri_text_append(text, ".");
}

/* What rows and columns are. */
static void append_positions(pri_text *text, const pri_head_set *set)
{
    const pare_geometry *geometry = set->geometry;
    bool named = set->name[0];
    const char *sequences = !named                                ? "sequences"
                            : set->kind == PARE_ATTENTION_DECODER ? "target sentences"
                                                                  : "source sentences";
    if (named && set->kind == PARE_ATTENTION_CROSS) {
        append_cross_positions(text, geometry);
    } else if ((geometry->causal && !named) || geometry->keys != geometry->queries) {
        append_causal_positions(text, geometry);
    } else {
        pri_text_append(text,
                        "Rows (queries) and columns (keys) are the positions of %s of up to %zu "
                        "tokens%s",
                        sequences, geometry->keys,
                        geometry->ends_first ? ": " : ", in the order of the sentence");
        if (geometry->ends_first)
            append_ends_first(text, !named);
        pri_text_append(text, geometry->causal ? "; no token looks ahead." : ".");
    }
}

static void append_classes(pri_text *text, double ratio)
{
    if (ratio > 0)
        pri_text_append(text,
                        " Masks prune classes of cells of a head: those at one offset from the "
                        "diagonal of %.2f source tokens per target token (far offsets in ranges), "
                        "and the columns of the first and the last token.",
                        ratio);
    else
        pri_text_append(text, " Masks prune classes of cells of a head: those at one distance, and "
                              "the rows and columns of the first and the last token.");
}

/* What one bit of the masks stands for, when it is more than a cell. */
static void append_unit(pri_text *text, const pri_head_set *set)
{
    if (!set->run_count)
        return;
    const pare_mask *mask = set->runs[0].mask;
    size_t block = pare_mask_describe(mask).options.block;
    if (block)
        pri_text_append(text, " Masks prune whole blocks of %zu rows and %zu columns.", block,
                        block);
    else if (pare_mask_geometry(mask)->kind == PARE_GEOMETRY_DISTANCE)
        pri_text_append(text, " Masks prune all cells at one distance of a head together.");
    else if (pare_mask_geometry(mask)->kind == PARE_GEOMETRY_RELATIVE)
        append_classes(text, set->geometry->ratio);
}

static void append_introduction(pri_text *text, const pri_head_set *set)
{
    const pare_geometry *geometry = set->geometry;
    bool named = set->name[0];
    pri_text_append(text, "<h2>Every head%s%s%s</h2>\n<p class=\"note\">", named ? ": " : "",
                    kind_words(set), named ? "attention" : "");
    append_positions(text, set);
    if (set->average)
        pri_text_append(text,
                        " The upper picture of a head is its average attention over the training "
                        "set, on a logarithmic scale shared by all heads%s.",
                        set->run_count ? "; the lower one is the mask made from it" : "");
    append_unit(text, set);
    if (set->average && geometry->causal)
        pri_text_append(text, " The curve is the average attention against distance, counted from "
                              "1 for the position itself, on logarithmic axes.");
    pri_text_append(text, "</p>\n");
}

static pare_status append_section(pri_text *text, head_drawing *drawing)
{
    pri_text_append(text, "<section>\n");
    append_introduction(text, drawing->set);
    pri_text_append(text, "<div class=\"heads\">\n");
    if (drawing->set->run_count)
        append_tabs(text, drawing->set);
    PRI_TRY(append_legend(text, drawing));
    pri_text_append(text, "<div class=\"layers\">\n");
    PRI_TRY(pri_page_append_overview(text, drawing->set, &drawing->scale));
    PRI_TRY(append_layers(text, drawing));
    pri_text_append(text, "</div>\n</div>\n</section>\n");
    return PARE_OK;
}

static pare_status append_set(pri_text *text, const pri_head_set *set)
{
    if (!set->geometry)
        return PARE_OK;
    head_drawing drawing = {.set = set};
    pri_palettes_fill(&drawing.palettes);
    if (set->average) {
        drawing.scale = pri_heat_scale_of(set->average);
        drawing.profile_range = pri_profile_range(set->average);
    }
    PRI_TRY(pri_head_map_create(set->geometry, MAXIMUM_COLUMNS, &drawing.map));
    drawing.pixels = pri_allocate(drawing.map.rows * drawing.map.columns, 1);
    pare_status status = drawing.pixels ? append_section(text, &drawing) : PARE_ERROR_MEMORY;
    pri_free(drawing.pixels);
    pri_head_map_free(&drawing.map);
    return status;
}

pare_status pri_page_append_heads(pri_text *text, const pri_collection *collection)
{
    for (size_t kind = 0; kind < collection->kinds; kind++)
        PRI_TRY(append_set(text, &collection->sets[kind]));
    return PARE_OK;
}
