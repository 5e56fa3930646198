/* Groups of rows. Runs of one method that prune the same share of the same attention and differ by
 * seed are one group: a random control is read as mean and spread, not run by run. */
#include "report/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Where rows do not say which p was asked for: seeds of one p differ slightly in the share they
 * reach (rescued rows); neighbouring p do not come closer than this many percent. */
static const double same_share = 0.25;

const char *const pri_attentions[PRI_ATTENTIONS + 1] = {"",       "encoder", "decoder",
                                                        "selves", "cross",   "all"};

static double measure_beside(const pare_result_row *row, size_t index)
{
    return index < row->more_count ? row->more[index].value : (double)NAN;
}

double pri_row_quantity(const pare_result_row *row, pri_quantity quantity)
{
    if (quantity >= PRI_QUANTITY_MORE)
        return measure_beside(row, (size_t)(quantity - PRI_QUANTITY_MORE));
    switch (quantity) {
    case PRI_QUANTITY_P_NOMINAL:
        return row->p_nominal;
    case PRI_QUANTITY_P_ADMISSIBLE:
        return row->p_admissible;
    case PRI_QUANTITY_P_EFFECTIVE:
        return row->p_effective;
    case PRI_QUANTITY_KEPT_MASS:
        return row->kept_mass;
    case PRI_QUANTITY_VALID:
        return row->valid;
    case PRI_QUANTITY_TEST:
        return row->test;
    case PRI_QUANTITY_SPEED:
        return row->tokens_per_second;
    case PRI_QUANTITY_ATTENTION_SECONDS:
        return row->attention_seconds;
    case PRI_QUANTITY_ATTENTION_PER_TOKEN: {
        double tokens = row->tokens_per_second * row->train_seconds;
        return tokens > 0 ? 1e6 * row->attention_seconds / tokens : (double)NAN;
    }
    case PRI_QUANTITY_PEAK_BYTES:
        return row->peak_bytes ? (double)row->peak_bytes : (double)NAN;
    case PRI_QUANTITY_MORE:
    case PRI_QUANTITY_COUNT:
        break;
    }
    return (double)NAN;
}

static int method_rank(const char *method)
{
    return !strcmp(method, "dense") ? 0 : !strcmp(method, "attention-pruning") ? 1 : 2;
}

static int compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

static int attention_rank(const char *attention)
{
    int rank = 0;
    while (pri_attentions[rank] && strcmp(pri_attentions[rank], attention))
        rank++;
    return rank;
}

double pri_row_percent(const pare_result_row *row)
{
    return row->p_requested > 0 ? row->p_requested : row->p_admissible;
}

int pri_compare_settings(const pare_result_row *a, const pare_result_row *b)
{
    int order = method_rank(a->method) - method_rank(b->method);
    if (!order)
        order = strcmp(a->start, b->start);
    return order ? order : compare_doubles(pri_row_percent(a), pri_row_percent(b));
}

static bool same_percent(const pare_result_row *a, const pare_result_row *b)
{
    double difference = fabs(pri_row_percent(a) - pri_row_percent(b));
    bool asked_for = a->p_requested > 0 && b->p_requested > 0;
    return asked_for ? !(difference > 0) : difference < same_share;
}

bool pri_same_setting(const pare_result_row *a, const pare_result_row *b)
{
    return !strcmp(a->method, b->method) && !strcmp(a->start, b->start) && same_percent(a, b);
}

static int compare_rows(const void *a, const void *b)
{
    const pare_result_row *left = *(const pare_result_row *const *)a;
    const pare_result_row *right = *(const pare_result_row *const *)b;
    int order = attention_rank(left->attention) - attention_rank(right->attention);
    if (!order)
        order = pri_compare_settings(left, right);
    if (!order)
        order = (left->seed > right->seed) - (left->seed < right->seed);
    /* A total order, so that equal rows keep their order in the file. */
    return order ? order : (left > right) - (left < right);
}

static bool same_group(const pare_result_row *a, const pare_result_row *b)
{
    return !strcmp(a->attention, b->attention) && pri_same_setting(a, b);
}

static pri_statistic measure(const pri_group *group, pri_quantity quantity)
{
    pri_statistic statistic = {
        .minimum = (double)INFINITY, .maximum = (double)-INFINITY, .deviation = (double)NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < group->count; i++) {
        double value = pri_row_quantity(group->rows[i], quantity);
        if (isnan(value))
            continue;
        sum += value;
        statistic.minimum = fmin(statistic.minimum, value);
        statistic.maximum = fmax(statistic.maximum, value);
        statistic.count++;
    }
    if (!statistic.count)
        return (pri_statistic){.mean = (double)NAN,
                               .deviation = (double)NAN,
                               .minimum = (double)NAN,
                               .maximum = (double)NAN};
    statistic.mean = sum / (double)statistic.count;
    for (size_t i = 0; i < group->count; i++) {
        double value = pri_row_quantity(group->rows[i], quantity);
        if (!isnan(value))
            squares += (value - statistic.mean) * (value - statistic.mean);
    }
    if (statistic.count > 1)
        statistic.deviation = sqrt(squares / (double)(statistic.count - 1));
    return statistic;
}

static void note_attention(pri_summary *summary, const pri_group *group)
{
    const char *attention = group->rows[0]->attention;
    if (pri_group_is(group, "dense"))
        return;
    size_t count = summary->attention_count;
    if (count && !strcmp(summary->attentions[count - 1], attention))
        return;
    summary->attentions[summary->attention_count++] = attention;
    summary->translation |= attention[0] != 0;
}

pare_status pri_summary_create(const pare_results *results, pri_summary *summary)
{
    *summary = (pri_summary){.quality = PRI_QUANTITY_VALID, .in_points = results->higher_is_better};
    summary->rows = pri_allocate(results->count, sizeof *summary->rows);
    summary->groups = pri_allocate_zero(results->count, sizeof *summary->groups);
    if (!summary->rows || !summary->groups) {
        pri_summary_free(summary);
        return PARE_ERROR_MEMORY;
    }
    for (size_t i = 0; i < results->count; i++) {
        summary->rows[i] = &results->rows[i];
        if (!isnan(results->rows[i].test))
            summary->quality = PRI_QUANTITY_TEST;
    }
    if (results->count)
        qsort(summary->rows, results->count, sizeof *summary->rows, compare_rows);
    for (size_t i = 0; i < results->count; i++) {
        if (i == 0 || !same_group(summary->groups[summary->count - 1].rows[0], summary->rows[i]))
            summary->groups[summary->count++].rows = &summary->rows[i];
        summary->groups[summary->count - 1].count++;
    }
    for (size_t g = 0; g < summary->count; g++) {
        note_attention(summary, &summary->groups[g]);
        for (int quantity = 0; quantity < PRI_QUANTITY_COUNT; quantity++)
            summary->groups[g].statistics[quantity] =
                measure(&summary->groups[g], (pri_quantity)quantity);
    }
    summary->share = summary->translation ? PRI_QUANTITY_P_EFFECTIVE : PRI_QUANTITY_P_ADMISSIBLE;
    return PARE_OK;
}

void pri_summary_free(pri_summary *summary)
{
    pri_free(summary->groups);
    pri_free(summary->rows);
    *summary = (pri_summary){0};
}

bool pri_group_is(const pri_group *group, const char *method)
{
    return !strcmp(group->rows[0]->method, method);
}

bool pri_group_prunes(const pri_group *group, const char *method, const char *attention)
{
    return pri_group_is(group, method) && !strcmp(group->rows[0]->attention, attention);
}

const pri_group *pri_summary_dense(const pri_summary *summary)
{
    bool dense = summary->count && pri_group_is(&summary->groups[0], "dense");
    return dense ? &summary->groups[0] : NULL;
}

double pri_summary_change(const pri_summary *summary, const pri_group *group)
{
    const pri_group *dense = pri_summary_dense(summary);
    if (!dense || dense == group)
        return (double)NAN;
    double base = dense->statistics[summary->quality].mean;
    double value = group->statistics[summary->quality].mean;
    if (summary->in_points)
        return value - base;
    return base != 0 ? 100 * (value / base - 1) : (double)NAN;
}
