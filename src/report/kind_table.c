#include "report/kind_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/table.h"

static int compare_groups(const void *a, const void *b)
{
    const pri_group *left = *(const pri_group *const *)a, *right = *(const pri_group *const *)b;
    int order = pri_compare_settings(left->rows[0], right->rows[0]);
    /* Groups lie in the order of attentions. */
    return order ? order : (left > right) - (left < right);
}

static size_t column_of(const pri_summary *summary, const pri_group *group)
{
    size_t column = 0;
    while (strcmp(summary->attentions[column], group->rows[0]->attention))
        column++;
    return column;
}

/* `sorted` by setting. Groups are in one line when they are in the first one's setting: no two of
 * one attention are. */
static void place_groups(const pri_summary *summary, const pri_group *const *sorted, size_t count,
                         pri_kind_table *kinds)
{
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !pri_same_setting(sorted[first]->rows[0], sorted[i]->rows[0])) {
            kinds->lines++;
            first = i;
        }
        kinds->groups[(kinds->lines - 1) * summary->attention_count +
                      column_of(summary, sorted[i])] = sorted[i];
    }
}

pare_status pri_kind_table_create(const pri_summary *summary, pri_kind_table *kinds)
{
    *kinds = (pri_kind_table){0};
    const pri_group **sorted = pri_allocate(summary->count, sizeof *sorted);
    kinds->groups =
        pri_allocate_zero(summary->count, summary->attention_count * sizeof *kinds->groups);
    if (!sorted || !kinds->groups) {
        pri_free(sorted);
        pri_kind_table_free(kinds);
        return PARE_ERROR_MEMORY;
    }
    size_t count = 0;
    for (size_t g = 0; g < summary->count; g++)
        if (!pri_group_is(&summary->groups[g], "dense"))
            sorted[count++] = &summary->groups[g];
    qsort(sorted, count, sizeof *sorted, compare_groups);
    place_groups(summary, sorted, count, kinds);
    pri_free(sorted);
    return PARE_OK;
}

void pri_kind_table_free(pri_kind_table *kinds)
{
    pri_free(kinds->groups);
    *kinds = (pri_kind_table){0};
}

const pri_group *pri_kind_table_group(const pri_summary *summary, const pri_kind_table *kinds,
                                      size_t line, size_t attention)
{
    return kinds->groups[line * summary->attention_count + attention];
}

const pare_result_row *pri_kind_table_setting(const pri_summary *summary,
                                              const pri_kind_table *kinds, size_t line)
{
    size_t attention = 0;
    while (!pri_kind_table_group(summary, kinds, line, attention))
        attention++;
    return pri_kind_table_group(summary, kinds, line, attention)->rows[0];
}

/* ---- As text ---- */

/* "38.47 (58)": what counts is p_eff, which one requested p makes differ by kind and method. */
static pare_status add_quality(pri_text_table *table, const pri_summary *summary,
                               const pri_group *group)
{
    char cell[2 * PRI_CELL_SIZE], share[24];
    pri_format_quality(summary, group, cell);
    if (group && !isnan(group->statistics[PRI_QUANTITY_P_EFFECTIVE].mean)) {
        size_t length = strlen(cell);
        snprintf(share, sizeof share, "(%.0f)", group->statistics[PRI_QUANTITY_P_EFFECTIVE].mean);
        /* Of one width below 100%, so that the qualities stand under each other. */
        snprintf(cell + length, sizeof cell - length, " %4s", share);
    }
    return pri_text_table_add(table, cell);
}

static pare_status add_dense(pri_text_table *table, const pri_summary *summary)
{
    const pri_group *dense = pri_summary_dense(summary);
    if (!dense)
        return PARE_OK;
    PRI_TRY(pri_text_table_add(table, "dense"));
    PRI_TRY(pri_text_table_add(table, "0"));
    for (size_t i = 0; i < summary->attention_count; i++)
        PRI_TRY(add_quality(table, summary, dense));
    return PARE_OK;
}

static pare_status add_line(pri_text_table *table, const pri_summary *summary,
                            const pri_kind_table *kinds, size_t line)
{
    const pare_result_row *row = pri_kind_table_setting(summary, kinds, line);
    char cell[PRI_CELL_SIZE];
    pri_format_setting(row, cell);
    PRI_TRY(pri_text_table_add(table, cell));
    snprintf(cell, sizeof cell, "%g", pri_row_percent(row));
    PRI_TRY(pri_text_table_add(table, cell));
    for (size_t i = 0; i < summary->attention_count; i++)
        PRI_TRY(add_quality(table, summary, pri_kind_table_group(summary, kinds, line, i)));
    return PARE_OK;
}

pare_status pri_kind_table_fill(const pri_summary *summary, pri_text_table *table)
{
    table->columns = 2 + summary->attention_count;
    PRI_TRY(pri_text_table_add(table, "method"));
    PRI_TRY(pri_text_table_add(table, "p"));
    for (size_t i = 0; i < summary->attention_count; i++)
        PRI_TRY(pri_text_table_add(table, summary->attentions[i]));
    PRI_TRY(add_dense(table, summary));
    pri_kind_table kinds;
    PRI_TRY(pri_kind_table_create(summary, &kinds));
    pare_status status = PARE_OK;
    for (size_t line = 0; line < kinds.lines && status == PARE_OK; line++)
        status = add_line(table, summary, &kinds, line);
    pri_kind_table_free(&kinds);
    return status;
}
