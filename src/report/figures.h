/* The charts of a report, for the page and for PNG files alike. */
#ifndef PARE_SRC_REPORT_FIGURES_H
#define PARE_SRC_REPORT_FIGURES_H

#include "report/chart.h"
#include "report/head_map.h"
#include "report/summary.h"

typedef enum pri_figure_kind {
    PRI_FIGURE_QUALITY,
    PRI_FIGURE_SPEED,
    PRI_FIGURE_ATTENTION,
    PRI_FIGURE_MEMORY,
    PRI_FIGURE_COUNT
} pri_figure_kind;

/* A line of attention pruning and one of random masks for everything that is pruned. */
enum { PRI_FIGURE_SERIES = 2 * PRI_ATTENTIONS };

typedef struct pri_figure {
    pri_chart chart; /* size and text size are the caller's to set */
    pri_chart_series series[PRI_FIGURE_SERIES];
    char y_label[112], reference_label[32], description[400];
    const char *slug;        /* for file names */
    bool empty;              /* no pruned run has this number */
    pri_chart_point *points; /* behind the series */
} pri_figure;

/* `figure` must stay where it is: the chart points into it. */
pare_status pri_figure_create(const pare_results *results, const pri_summary *summary,
                              pri_figure_kind kind, pri_figure *figure);
void pri_figure_free(pri_figure *figure);

/* Average attention against distance of one head, both axes logarithmic. */
typedef struct pri_profile_figure {
    pri_chart chart;
    pri_chart_series series;
    pri_chart_point points[PRI_PROFILE_POINTS];
} pri_profile_figure;
/* The range of values over all heads, so that their charts compare. */
pri_heat_scale pri_profile_range(const pare_average *average);
void pri_profile_figure_fill(const pri_profile *profile, const pri_heat_scale *range,
                             pri_profile_figure *figure);

#endif
