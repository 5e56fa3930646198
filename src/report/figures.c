/* From rows to charts: quality, time and memory against the share of attention cells that is
 * pruned. All pruned curves start at the dense run, which is p = 0 of each. Of translation there is
 * a colour for whatever is pruned, and random masks are dashed. */
#include "report/figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "report/table.h"

typedef struct figure_kind {
    const char *slug, *title, *unit;
    bool from_zero;
} figure_kind;
static const figure_kind kinds[PRI_FIGURE_COUNT] = {
    [PRI_FIGURE_QUALITY] = {"quality", NULL, NULL, false},
    [PRI_FIGURE_SPEED] = {"speed", "training speed, tokens per second", "tokens/s", true},
    [PRI_FIGURE_ATTENTION] = {"attention-time",
                              "time in attention per training token, microseconds", "microseconds",
                              true},
    [PRI_FIGURE_MEMORY] = {"memory", "peak memory", "MB", true},
};

static pri_quantity quantity_of(pri_figure_kind kind, const pri_summary *summary)
{
    switch (kind) {
    case PRI_FIGURE_SPEED:
        return PRI_QUANTITY_SPEED;
    case PRI_FIGURE_ATTENTION:
        return PRI_QUANTITY_ATTENTION_PER_TOKEN;
    case PRI_FIGURE_MEMORY:
        return PRI_QUANTITY_PEAK_BYTES;
    default:
        return summary->quality;
    }
}

/* Bytes are drawn in megabytes. */
static double unit_of(pri_figure_kind kind)
{
    return kind == PRI_FIGURE_MEMORY ? 1e6 : 1;
}

static pri_chart_point group_point(const pri_summary *summary, const pri_group *group,
                                   pri_quantity quantity, double unit, const char *unit_name)
{
    const pri_quantity share = summary->share;
    const pri_statistic *value = &group->statistics[quantity];
    pri_chart_point point = {.x = group->statistics[share].mean,
                             .y = value->mean / unit,
                             .low = value->minimum / unit,
                             .high = value->maximum / unit,
                             .dot = true};
    char number[24];
    pri_format_number(point.y,
                      quantity == summary->quality ? pri_column_decimals(summary, quantity)
                                                   : pri_metric_decimals(point.y),
                      number, sizeof number);
    const pare_result_row *row = group->rows[0];
    int length = snprintf(point.title, sizeof point.title, "%s%s%s, %s = %.1f%%: %s%s%s",
                          pri_method_words(row->method), row->attention[0] ? " of " : "",
                          row->attention, share == PRI_QUANTITY_P_EFFECTIVE ? "p_eff" : "p",
                          point.x, number, unit_name ? " " : "", unit_name ? unit_name : "");
    if (group->count > 1 && length > 0 && (size_t)length < sizeof point.title)
        snprintf(point.title + length, sizeof point.title - (size_t)length, " (mean of %zu seeds)",
                 group->count);
    return point;
}

/* Fills `series` with dense and the groups of its method and attention; returns how many groups
 * have a value. */
static size_t collect(const pri_summary *summary, const char *method, const char *attention,
                      pri_figure_kind kind, pri_chart_point *points, pri_chart_series *series)
{
    const pri_group *dense = pri_summary_dense(summary);
    pri_quantity quantity = quantity_of(kind, summary);
    double unit = unit_of(kind);
    size_t known = 0, count = 0;
    if (dense) {
        double value = dense->statistics[quantity].mean / unit;
        points[count++] = (pri_chart_point){.x = 0, .y = value, .low = value, .high = value};
    }
    for (size_t g = 0; g < summary->count; g++) {
        if (!pri_group_prunes(&summary->groups[g], method, attention))
            continue;
        points[count] = group_point(summary, &summary->groups[g], quantity, unit, kinds[kind].unit);
        known += !isnan(points[count].x) && !isnan(points[count].y);
        count++;
    }
    series->points = points;
    series->count = count;
    series->joined = true;
    return known;
}

static pri_ink ink_of(const char *attention, bool random)
{
    static const pri_ink inks[PRI_ATTENTIONS] = {PRI_INK_PRUNED, PRI_INK_ENCODER, PRI_INK_DECODER,
                                                 PRI_INK_SELVES, PRI_INK_CROSS,   PRI_INK_ALL};
    size_t rank = 0;
    while (strcmp(pri_attentions[rank], attention))
        rank++;
    return rank == 0 && random ? PRI_INK_RANDOM : inks[rank];
}

/* Adds the lines of one method, those without any value left out. Of several kinds, random masks
 * cost what the others cost and are shown for quality alone. */
static void add_lines(const pri_summary *summary, const char *method, pri_figure_kind kind,
                      pri_figure *figure)
{
    bool random = !strcmp(method, "random");
    if (random && summary->translation && kind != PRI_FIGURE_QUALITY)
        return;
    for (size_t i = summary->attention_count; i-- > 0;) {
        const char *attention = summary->attentions[i];
        size_t number = figure->chart.series_count;
        pri_chart_series *series = &figure->series[number];
        if (!collect(summary, method, attention, kind,
                     figure->points + number * (summary->count + 1), series))
            continue;
        series->ink = ink_of(attention, random);
        series->dashed = random && attention[0];
        if (!series->dashed)
            series->label = attention[0] ? attention : pri_method_words(method);
        figure->chart.series_count++;
    }
}

static void describe(pri_figure *figure)
{
    size_t capacity = sizeof figure->description;
    int length = snprintf(figure->description, capacity, "Chart of %s against pruned share.",
                          figure->y_label);
    for (size_t s = 0; s < figure->chart.series_count; s++)
        for (size_t i = 0; i < figure->series[s].count; i++) {
            const char *title = figure->series[s].points[i].title;
            if (title[0] && length > 0 && (size_t)length + strlen(title) + 3 < capacity)
                length += snprintf(figure->description + length, capacity - (size_t)length, " %s.",
                                   title);
        }
}

/* Perplexities that differ by factors are told apart on a logarithmic axis only. */
static bool wide_range(const pri_figure *figure)
{
    double low = (double)INFINITY, high = (double)-INFINITY;
    for (size_t s = 0; s < figure->chart.series_count; s++)
        for (size_t i = 0; i < figure->series[s].count; i++) {
            low = fmin(low, figure->series[s].points[i].low);
            high = fmax(high, figure->series[s].points[i].high);
        }
    return low > 0 && high > 4 * low;
}

static bool has_dashed(const pri_figure *figure)
{
    for (size_t s = 0; s < figure->chart.series_count; s++)
        if (figure->series[s].dashed)
            return true;
    return false;
}

static double largest_share(const pri_summary *summary)
{
    double largest = 0;
    for (size_t g = 0; g < summary->count; g++)
        largest = fmax(largest, summary->groups[g].statistics[summary->share].maximum);
    return largest;
}

pare_status pri_figure_create(const pare_results *results, const pri_summary *summary,
                              pri_figure_kind kind, pri_figure *figure)
{
    *figure = (pri_figure){.slug = kinds[kind].slug};
    figure->points =
        pri_allocate_zero(summary->count + 1, PRI_FIGURE_SERIES * sizeof *figure->points);
    if (!figure->points)
        return PARE_ERROR_MEMORY;
    pri_chart *chart = &figure->chart;
    *chart = (pri_chart){.x_label = summary->share == PRI_QUANTITY_P_EFFECTIVE
                                        ? "pruned share of the corpus's attention cells, p_eff, %"
                                        : "pruned share of admissible cells, %",
                         .y_label = figure->y_label,
                         .y_from_zero = kinds[kind].from_zero,
                         .x_maximum = fmin(largest_share(summary) + 2, 100),
                         .series = figure->series,
                         .reference = (double)NAN};
    add_lines(summary, "random", kind, figure);
    add_lines(summary, "attention-pruning", kind, figure);
    figure->empty = chart->series_count == 0;
    if (has_dashed(figure))
        chart->note = "; dashed: random masks";

    if (kind == PRI_FIGURE_QUALITY)
        snprintf(figure->y_label, sizeof figure->y_label, "%s %s (%s is better)",
                 summary->quality == PRI_QUANTITY_TEST ? "test" : "validation", results->metric,
                 results->higher_is_better ? "higher" : "lower");
    else
        snprintf(figure->y_label, sizeof figure->y_label, "%s%s", kinds[kind].title,
                 kind == PRI_FIGURE_MEMORY ? ", MB" : "");
    const pri_group *dense = pri_summary_dense(summary);
    if (dense) {
        char number[24];
        chart->reference = dense->statistics[quantity_of(kind, summary)].mean / unit_of(kind);
        pri_format_metric(summary, chart->reference, number, sizeof number);
        snprintf(figure->reference_label, sizeof figure->reference_label, "dense%s%s",
                 kind == PRI_FIGURE_QUALITY ? " " : "", kind == PRI_FIGURE_QUALITY ? number : "");
        chart->reference_label = figure->reference_label;
    }
    chart->y_logarithmic =
        kind == PRI_FIGURE_QUALITY && !results->higher_is_better && wide_range(figure);
    describe(figure);
    return PARE_OK;
}

void pri_figure_free(pri_figure *figure)
{
    pri_free(figure->points);
    *figure = (pri_figure){0};
}

/* ---- Distance profiles ---- */

pri_heat_scale pri_profile_range(const pare_average *average)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    pri_heat_scale range = {(double)INFINITY, 0};
    for (size_t layer = 0; layer < geometry->layers; layer++)
        for (size_t head = 0; head < geometry->heads; head++) {
            pri_profile profile = pri_head_profile(average, layer, head);
            for (size_t i = 0; i < profile.count; i++) {
                range.low = fmin(range.low, profile.values[i]);
                range.high = fmax(range.high, profile.values[i]);
            }
        }
    /* Below a millionth nothing is to be seen. */
    range.low = fmax(range.low, range.high * 1e-6);
    return range;
}

void pri_profile_figure_fill(const pri_profile *profile, const pri_heat_scale *range,
                             pri_profile_figure *figure)
{
    *figure = (pri_profile_figure){0};
    size_t count = 0;
    for (size_t i = 0; i < profile->count; i++) {
        double value = profile->values[i];
        if (value >= range->low)
            figure->points[count++] = (pri_chart_point){
                .x = (double)profile->distances[i] + 1, .y = value, .low = value, .high = value};
    }
    figure->series = (pri_chart_series){
        .ink = PRI_INK_PRUNED, .points = figure->points, .count = count, .joined = true};
    figure->chart = (pri_chart){.x_logarithmic = true,
                                .y_logarithmic = true,
                                .y_minimum = range->low,
                                .y_maximum = range->high,
                                .series = &figure->series,
                                .series_count = 1,
                                .reference = (double)NAN};
}
