/* Line charts, described by data and drawn on any painter. */
#ifndef PARE_SRC_REPORT_CHART_H
#define PARE_SRC_REPORT_CHART_H

#include "report/painter.h"

typedef struct pri_chart_point {
    double x, y;
    double low, high; /* a whisker from low to high; equal: none */
    bool dot;
    char title[96]; /* of the dot, for the pointer; "": none */
} pri_chart_point;

typedef struct pri_chart_series {
    const char *label; /* written beside the last point; NULL: none */
    pri_ink ink;
    const pri_chart_point *points; /* by rising x; NaN values are left out */
    size_t count;
    bool joined, dashed;
} pri_chart_series;

typedef struct pri_chart {
    double width, height;
    const char *title; /* NULL: none */
    const char *x_label, *y_label;
    bool x_logarithmic, y_logarithmic;
    bool y_from_zero;
    double x_minimum, x_maximum; /* equal: from the data */
    double y_minimum, y_maximum; /* equal: from the data */
    const pri_chart_series *series;
    size_t series_count;
    double reference; /* a dashed line across, NaN: none */
    const char *reference_label;
    double text_size;
    bool labelled; /* labels beside the lines; without, whoever shows the chart has a legend */
} pri_chart;

/* A number as an axis shows it, with at most `digits` significant digits: 0.001, 250, 12k, 1e-5. */
void pri_format_short(double value, int digits, char *text, size_t size);
void pri_chart_draw(const pri_chart *chart, const pri_painter *painter);

#endif
