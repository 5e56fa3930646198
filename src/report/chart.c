/* Line charts: axes with round ticks, whiskers, labels at the end of each line instead of a legend
 * box. Series that would collide at their ends are labelled apart. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAXIMUM_TICKS = 16, MAXIMUM_LABELS = 8 };

typedef struct chart_axis {
    double minimum, maximum; /* in data units */
    double from, to;         /* pixels */
    bool logarithmic;
    double ticks[MAXIMUM_TICKS];
    size_t tick_count;
} chart_axis;

typedef struct end_label {
    double y;
    const char *text;
    pri_ink ink;
} end_label;

static double position(const chart_axis *axis, double value)
{
    double share = axis->logarithmic
                       ? log(value / axis->minimum) / log(axis->maximum / axis->minimum)
                       : (value - axis->minimum) / (axis->maximum - axis->minimum);
    return axis->from + share * (axis->to - axis->from);
}

static bool drawable(const chart_axis *axis, double value)
{
    return isfinite(value) && (!axis->logarithmic || value > 0);
}

/* ---- Axes ---- */

static void include_value(chart_axis *axis, double value)
{
    if (!drawable(axis, value))
        return;
    axis->minimum = fmin(axis->minimum, value);
    axis->maximum = fmax(axis->maximum, value);
}

/* The smallest of 1, 2, 5 times a power of ten that is at least `rough`. */
static double round_step(double rough)
{
    double power = pow(10, floor(log10(rough)));
    double digit = rough / power;
    return power * (digit <= 1.0001 ? 1 : digit <= 2.0001 ? 2 : digit <= 5.0001 ? 5 : 10);
}

static void place_linear_ticks(chart_axis *axis, size_t wanted, bool widen)
{
    double span = axis->maximum - axis->minimum;
    double step = round_step(span / (double)wanted);
    if (widen) {
        axis->minimum = step * floor(axis->minimum / step + 1e-9);
        axis->maximum = step * ceil(axis->maximum / step - 1e-9);
    }
    double first = ceil(axis->minimum / step - 1e-9);
    double last = floor(axis->maximum / step + 1e-9);
    for (double k = first; k <= last && axis->tick_count < MAXIMUM_TICKS; k++)
        axis->ticks[axis->tick_count++] = k == 0 ? 0 : k * step; /* never -0 */
}

/* Decades, and digits between them the fewer decades there are. */
static void place_logarithmic_ticks(chart_axis *axis)
{
    static const double digits[] = {1, 2, 5, 3, 7};
    double decades = log10(axis->maximum / axis->minimum);
    double stride = fmax(1, ceil(decades / 5));
    size_t digit_count = decades < 1 ? 5 : decades < 2 ? 3 : 1;
    for (double decade = floor(log10(axis->minimum)); pow(10, decade) <= axis->maximum * 1.0001;
         decade += stride)
        for (size_t i = 0; i < digit_count; i++) {
            double value = digits[i] * pow(10, decade);
            bool inside = value >= axis->minimum * 0.9999 && value <= axis->maximum * 1.0001;
            if (inside && axis->tick_count < MAXIMUM_TICKS)
                axis->ticks[axis->tick_count++] = value;
        }
}

/* A logarithmic axis has no round ends to widen to: a little air instead. */
static void pad_logarithmic(chart_axis *axis)
{
    double air = pow(axis->maximum / axis->minimum, 0.06);
    axis->minimum /= air;
    axis->maximum *= air;
}

/* Leaves room around data that are all equal, or absent. */
static void open_axis(chart_axis *axis)
{
    if (!(axis->minimum <= axis->maximum)) {
        axis->minimum = axis->logarithmic ? 1 : 0;
        axis->maximum = axis->logarithmic ? 10 : 1;
    }
    if (axis->maximum - axis->minimum > 1e-9 * fabs(axis->maximum))
        return;
    double margin = axis->logarithmic || axis->minimum == 0 ? 1 : 0.05 * fabs(axis->minimum);
    axis->minimum = axis->logarithmic ? axis->minimum / 2 : axis->minimum - margin;
    axis->maximum = axis->logarithmic ? axis->maximum * 2 : axis->maximum + margin;
}

static chart_axis x_axis(const pri_chart *chart)
{
    chart_axis axis = {.minimum = (double)INFINITY,
                       .maximum = (double)-INFINITY,
                       .logarithmic = chart->x_logarithmic};
    if (chart->x_minimum < chart->x_maximum) {
        axis.minimum = chart->x_minimum;
        axis.maximum = chart->x_maximum;
    } else {
        for (size_t s = 0; s < chart->series_count; s++)
            for (size_t i = 0; i < chart->series[s].count; i++)
                include_value(&axis, chart->series[s].points[i].x);
    }
    open_axis(&axis);
    if (axis.logarithmic)
        place_logarithmic_ticks(&axis);
    else
        place_linear_ticks(&axis, chart->width < 500 ? 5 : 10, false);
    return axis;
}

static chart_axis y_axis(const pri_chart *chart)
{
    chart_axis axis = {.minimum = (double)INFINITY,
                       .maximum = (double)-INFINITY,
                       .logarithmic = chart->y_logarithmic};
    bool given = chart->y_minimum < chart->y_maximum;
    if (given) {
        axis.minimum = chart->y_minimum;
        axis.maximum = chart->y_maximum;
    } else {
        for (size_t s = 0; s < chart->series_count; s++)
            for (size_t i = 0; i < chart->series[s].count; i++) {
                const pri_chart_point *point = &chart->series[s].points[i];
                include_value(&axis, point->y);
                include_value(&axis, point->low);
                include_value(&axis, point->high);
            }
        include_value(&axis, chart->reference);
        if (chart->y_from_zero && !chart->y_logarithmic)
            include_value(&axis, 0);
    }
    open_axis(&axis);
    if (axis.logarithmic && !given)
        pad_logarithmic(&axis);
    if (axis.logarithmic)
        place_logarithmic_ticks(&axis);
    else
        place_linear_ticks(&axis, chart->height < 200 ? 3 : 5, !given);
    return axis;
}

void pri_format_short(double value, int digits, char *text, size_t size)
{
    double magnitude = fabs(value);
    if (magnitude >= 1e4 && magnitude < 1e6)
        snprintf(text, size, "%.*gk", digits, value / 1e3);
    else
        snprintf(text, size, "%.*g", digits, value);
    /* printf writes at least two digits of exponent; 1e-05 reads better as 1e-5. */
    char *exponent = strstr(text, "e-0");
    if (exponent)
        memmove(exponent + 2, exponent + 3, strlen(exponent + 3) + 1);
}

static void draw_axes(const pri_chart *chart, const pri_painter *painter, const chart_axis *x,
                      const chart_axis *y)
{
    char text[32];
    double size = chart->text_size;
    for (size_t i = 0; i < y->tick_count; i++) {
        double level = position(y, y->ticks[i]);
        pri_point grid[] = {{x->from, level}, {x->to, level}};
        painter->line(painter->user, grid, 2, 1, false, PRI_INK_GRID);
        pri_format_short(y->ticks[i], 5, text, sizeof text);
        painter->text(painter->user, (pri_point){x->from - 0.6 * size, level + 0.35 * size}, size,
                      PRI_ALIGN_END, PRI_INK_QUIET, text);
    }
    pri_point base[] = {{x->from, y->from}, {x->to, y->from}};
    painter->line(painter->user, base, 2, 1, false, PRI_INK_QUIET);
    for (size_t i = 0; i < x->tick_count; i++) {
        double place = position(x, x->ticks[i]);
        pri_point tick[] = {{place, y->from}, {place, y->from + 0.35 * size}};
        painter->line(painter->user, tick, 2, 1, false, PRI_INK_QUIET);
        pri_format_short(x->ticks[i], 5, text, sizeof text);
        painter->text(painter->user, (pri_point){place, y->from + 1.5 * size}, size,
                      PRI_ALIGN_MIDDLE, PRI_INK_QUIET, text);
    }
}

/* ---- Series ---- */

static void draw_whisker(const pri_painter *painter, double x, double low, double high, pri_ink ink)
{
    pri_point stem[] = {{x, low}, {x, high}};
    pri_point bottom[] = {{x - 4, low}, {x + 4, low}};
    pri_point top[] = {{x - 4, high}, {x + 4, high}};
    painter->line(painter->user, stem, 2, 1.5, false, ink);
    painter->line(painter->user, bottom, 2, 1.5, false, ink);
    painter->line(painter->user, top, 2, 1.5, false, ink);
}

/* False for values that the axes cannot show. A failed call leaves `at` alone. */
static bool locate(const pri_chart_point *point, const chart_axis *x, const chart_axis *y,
                   pri_point *at)
{
    if (!drawable(x, point->x) || !drawable(y, point->y))
        return false;
    /* A given range may be narrower than the data: stay inside the frame. */
    *at = (pri_point){position(x, point->x), position(y, point->y)};
    at->y = fmax(fmin(at->y, y->from), y->to);
    return true;
}

/* Returns where the last drawn point is; x is NaN without any. The line goes out in pieces that
 * share their end points. */
static pri_point draw_curve(const pri_chart_series *series, const pri_painter *painter,
                            const chart_axis *x, const chart_axis *y)
{
    enum { PIECE = 64 };
    pri_point piece[PIECE], last = {(double)NAN, (double)NAN};
    size_t filled = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (!locate(&series->points[i], x, y, &last))
            continue;
        piece[filled++] = last;
        if (series->joined && filled == PIECE)
            painter->line(painter->user, piece, filled, 2.25, series->dashed, series->ink);
        if (filled == PIECE) {
            piece[0] = last;
            filled = 1;
        }
    }
    if (series->joined && filled > 1)
        painter->line(painter->user, piece, filled, 2.25, series->dashed, series->ink);
    return last;
}

static pri_point draw_series(const pri_chart_series *series, const pri_painter *painter,
                             const chart_axis *x, const chart_axis *y)
{
    pri_point last = draw_curve(series, painter, x, y), at;
    for (size_t i = 0; i < series->count; i++) {
        const pri_chart_point *point = &series->points[i];
        if (!locate(point, x, y, &at))
            continue;
        if (point->low < point->high && drawable(y, point->low))
            draw_whisker(painter, at.x, position(y, point->low), position(y, point->high),
                         series->ink);
        if (point->dot)
            painter->disc(painter->user, at, series->dashed ? 3 : 4, series->ink,
                          point->title[0] ? point->title : NULL);
    }
    return last;
}

/* Moves labels that are nearer than `gap` apart, keeping their order from top to bottom. */
static void spread_labels(end_label *labels, size_t count, double gap, double top, double bottom)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && labels[j].y < labels[j - 1].y; j--) {
            end_label swap = labels[j];
            labels[j] = labels[j - 1];
            labels[j - 1] = swap;
        }
    for (size_t i = 0; i < count; i++)
        labels[i].y = fmax(labels[i].y, i ? labels[i - 1].y + gap : top);
    double limit = bottom;
    for (size_t i = count; i-- > 0; limit = labels[i].y - gap)
        labels[i].y = fmin(labels[i].y, limit);
}

static double label_room(const pri_chart *chart)
{
    if (!chart->labelled)
        return 0.8 * chart->text_size;
    size_t longest = 0;
    for (size_t s = 0; s < chart->series_count; s++)
        if (chart->series[s].label && strlen(chart->series[s].label) > longest)
            longest = strlen(chart->series[s].label);
    if (!isnan(chart->reference) && chart->reference_label &&
        strlen(chart->reference_label) > longest)
        longest = strlen(chart->reference_label);
    return longest ? 12 + 0.63 * chart->text_size * (double)longest : 0.8 * chart->text_size;
}

static double number_room(const pri_chart *chart, const chart_axis *y)
{
    char text[32];
    size_t longest = 0;
    for (size_t i = 0; i < y->tick_count; i++) {
        pri_format_short(y->ticks[i], 5, text, sizeof text);
        longest = strlen(text) > longest ? strlen(text) : longest;
    }
    return chart->text_size * (1.1 + 0.58 * (double)longest);
}

void pri_chart_draw(const pri_chart *chart, const pri_painter *painter)
{
    double size = chart->text_size;
    chart_axis x = x_axis(chart), y = y_axis(chart);
    double above = (chart->title ? 2.2 * size : 0) + (chart->y_label ? 1.6 * size : 0);
    y.to = above + 0.8 * size;
    y.from = chart->height - (chart->x_label ? 3.5 : 2) * size;
    x.from = number_room(chart, &y);
    x.to = chart->width - label_room(chart);

    if (chart->title)
        painter->text(painter->user, (pri_point){0, 1.2 * size}, 1.15 * size, PRI_ALIGN_START,
                      PRI_INK_TEXT, chart->title);
    if (chart->y_label)
        painter->text(painter->user, (pri_point){0, above - 0.4 * size}, size, PRI_ALIGN_START,
                      PRI_INK_QUIET, chart->y_label);
    if (chart->x_label)
        painter->text(painter->user, (pri_point){x.to, chart->height - 0.5 * size}, size,
                      PRI_ALIGN_END, PRI_INK_QUIET, chart->x_label);
    draw_axes(chart, painter, &x, &y);

    end_label labels[MAXIMUM_LABELS];
    size_t label_count = 0;
    if (drawable(&y, chart->reference)) {
        double level = position(&y, chart->reference);
        pri_point across[] = {{x.from, level}, {x.to, level}};
        painter->line(painter->user, across, 2, 1.75, true, PRI_INK_DENSE);
        if (chart->labelled && chart->reference_label)
            labels[label_count++] = (end_label){level, chart->reference_label, PRI_INK_DENSE};
    }
    for (size_t s = 0; s < chart->series_count; s++) {
        const pri_chart_series *series = &chart->series[s];
        pri_point end = draw_series(series, painter, &x, &y);
        if (chart->labelled && series->label && !isnan(end.x) && label_count < MAXIMUM_LABELS)
            labels[label_count++] = (end_label){end.y, series->label, series->ink};
    }
    spread_labels(labels, label_count, 1.25 * size, y.to, y.from);
    for (size_t i = 0; i < label_count; i++)
        painter->text(painter->user, (pri_point){x.to + 8, labels[i].y + 0.35 * size}, size,
                      PRI_ALIGN_START, labels[i].ink, labels[i].text);
}
