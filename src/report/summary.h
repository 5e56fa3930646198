/* Rows brought together: the dense run, and one group per pruned attention, method and p with its
 * seeds. */
#ifndef PARE_SRC_REPORT_SUMMARY_H
#define PARE_SRC_REPORT_SUMMARY_H

#include "pare/report.h"

/* What rows are compared by. */
typedef enum pri_quantity {
    PRI_QUANTITY_P_NOMINAL,
    PRI_QUANTITY_P_ADMISSIBLE,
    PRI_QUANTITY_P_EFFECTIVE,
    PRI_QUANTITY_KEPT_MASS,
    PRI_QUANTITY_VALID,
    PRI_QUANTITY_TEST,
    PRI_QUANTITY_SPEED,
    PRI_QUANTITY_ATTENTION_SECONDS,
    PRI_QUANTITY_ATTENTION_PER_TOKEN, /* microseconds a token of training */
    PRI_QUANTITY_PEAK_BYTES,          /* NaN when 0: not measured */
    PRI_QUANTITY_MORE,                /* the first of the measures beside the metric */
    PRI_QUANTITY_COUNT = PRI_QUANTITY_MORE + PARE_RESULT_MEASURES
} pri_quantity;
double pri_row_quantity(const pare_result_row *row, pri_quantity quantity);

/* NaN where no row of the group knows the value; deviation is NaN for fewer than two. */
typedef struct pri_statistic {
    double mean, deviation, minimum, maximum;
    size_t count;
} pri_statistic;

/* What a row's `attention` may say, in the order of tables; NULL at the end. The first is "", of
 * models with one kind. */
enum { PRI_ATTENTIONS = 6 };
extern const char *const pri_attentions[PRI_ATTENTIONS + 1];

typedef struct pri_group {
    const pare_result_row **rows; /* inside the summary */
    size_t count;
    pri_statistic statistics[PRI_QUANTITY_COUNT];
} pri_group;

typedef struct pri_summary {
    pri_group *groups; /* dense; per attention, attention pruning, random; by start and rising p */
    size_t count;
    const pare_result_row **rows;           /* in the order of the groups */
    pri_quantity quality;                   /* test where any row has it, validation otherwise */
    const char *attentions[PRI_ATTENTIONS]; /* those of pruned runs, in order; may be just "" */
    size_t attention_count;
    bool translation;   /* they are named */
    pri_quantity share; /* that pruning is told by: of admissible cells; of translation, whose
                           sentences differ in length, of the cells that the corpus has */
    bool in_points;     /* changes are: what is better when higher is a percentage as it is */
} pri_summary;

pare_status pri_summary_create(const pare_results *results, pri_summary *summary);
void pri_summary_free(pri_summary *summary);
bool pri_group_is(const pri_group *group, const char *method);
bool pri_group_prunes(const pri_group *group, const char *method, const char *attention);
/* Orders rows by method, start and p, whatever they prune. */
int pri_compare_settings(const pare_result_row *a, const pare_result_row *b);
/* Whether rows differ at most in what they prune and in their seeds. */
bool pri_same_setting(const pare_result_row *a, const pare_result_row *b);
/* The percentage that was asked for, or what was reached where that is not known. */
double pri_row_percent(const pare_result_row *row);
/* The dense group, or NULL. */
const pri_group *pri_summary_dense(const pri_summary *summary);
/* Change of a group's mean quality against dense, in percent or in points; NaN when it cannot be
 * told. */
double pri_summary_change(const pri_summary *summary, const pri_group *group);

#endif
