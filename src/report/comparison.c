/* Several sweeps side by side: one line per attention, method and p, one column per sweep and their
 * mean. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "report/table.h"
#include "report/text_table.h"

/* What makes rows of different sweeps one line. Rescued rows and ties make the achieved share
 * differ from sweep to sweep, so the requested one counts. */
static double requested_percent(const pare_result_row *row)
{
    return isnan(row->p_requested) ? rint(row->p_admissible) : row->p_requested;
}

static bool same_line(const pare_result_row *a, const pare_result_row *b)
{
    return !strcmp(a->attention, b->attention) && !strcmp(a->method, b->method) &&
           !strcmp(a->start, b->start) && requested_percent(a) == requested_percent(b);
}

typedef struct comparison {
    pri_summary *summaries; /* of each sweep */
    size_t count;
    const pare_result_row **lines; /* a row of each line, in order of appearance */
    size_t line_count;
    bool translation; /* a column says what is pruned */
    bool mean;        /* the sweeps' qualities may be averaged */
} comparison;

static pare_status add_line(comparison *compared, const pare_result_row *row)
{
    for (size_t i = 0; i < compared->line_count; i++)
        if (same_line(compared->lines[i], row))
            return PARE_OK;
    const pare_result_row **lines = pri_reallocate(compared->lines, compared->line_count,
                                                   compared->line_count + 1, sizeof *lines);
    if (!lines)
        return PARE_ERROR_MEMORY;
    compared->lines = lines;
    lines[compared->line_count++] = row;
    return PARE_OK;
}

static pare_status read_sweeps(comparison *compared, const pare_results *results, size_t count)
{
    compared->summaries = pri_allocate_zero(count, sizeof *compared->summaries);
    if (!compared->summaries)
        return PARE_ERROR_MEMORY;
    for (; compared->count < count; compared->count++) {
        pri_summary *summary = &compared->summaries[compared->count];
        PRI_TRY(pri_summary_create(&results[compared->count], summary));
        compared->translation |= summary->translation;
        for (size_t g = 0; g < summary->count; g++)
            PRI_TRY(add_line(compared, summary->groups[g].rows[0]));
    }
    return PARE_OK;
}

static void free_comparison(comparison *compared)
{
    for (size_t i = 0; i < compared->count; i++)
        pri_summary_free(&compared->summaries[i]);
    pri_free(compared->summaries);
    pri_free(compared->lines);
}

static const pri_group *group_of(const pri_summary *summary, const pare_result_row *line)
{
    for (size_t g = 0; g < summary->count; g++)
        if (same_line(summary->groups[g].rows[0], line))
            return &summary->groups[g];
    return NULL;
}

static pare_status append_title(pri_text_table *table, const pare_results *results)
{
    char title[128];
    snprintf(title, sizeof title, "%.60s, %.32s", results->name, results->metric);
    return pri_text_table_add(table, title);
}

/* Scores of 0 .. 100 of different tasks are averaged, as the papers do; what is measured in other
 * units only with its like, and two definitions of BLEU not with each other. */
static bool has_mean(const comparison *compared, const pare_results *results)
{
    bool same = true, scores = !compared->translation;
    for (size_t i = 0; i < compared->count; i++) {
        same = same && !strcmp(results[i].metric, results[0].metric);
        scores = scores && results[i].higher_is_better;
    }
    return same || scores;
}

static pare_status append_titles(pri_text_table *table, const comparison *compared,
                                 const pare_results *results)
{
    table->columns = compared->count + 3 + compared->translation;
    PRI_TRY(pri_text_table_add(table, "method"));
    if (compared->translation)
        PRI_TRY(pri_text_table_add(table, "attention"));
    PRI_TRY(pri_text_table_add(table, "p"));
    for (size_t i = 0; i < compared->count; i++)
        PRI_TRY(append_title(table, &results[i]));
    return pri_text_table_add(table, "mean");
}

/* A mean is known no better than the column with the fewest decimals. */
static int mean_decimals(const comparison *compared)
{
    int fewest = INT_MAX;
    for (size_t i = 0; i < compared->count; i++) {
        const pri_summary *summary = &compared->summaries[i];
        int decimals = pri_column_decimals(summary, summary->quality);
        fewest = decimals < fewest ? decimals : fewest;
    }
    return fewest;
}

static pare_status append_mean(pri_text_table *table, const comparison *compared, double sum)
{
    char cell[PRI_CELL_SIZE] = "-";
    double mean = compared->mean ? sum / (double)compared->count : (double)NAN;
    if (!isnan(mean))
        pri_format_number(mean, mean_decimals(compared), cell, sizeof cell);
    return pri_text_table_add(table, cell);
}

static pare_status append_line(pri_text_table *table, const comparison *compared,
                               const pare_result_row *line)
{
    char cell[PRI_CELL_SIZE];
    double sum = 0;
    pri_format_setting(line, cell);
    PRI_TRY(pri_text_table_add(table, cell));
    if (compared->translation)
        PRI_TRY(pri_text_table_add(table, line->attention[0] ? line->attention : "-"));
    snprintf(cell, sizeof cell, "%g", requested_percent(line));
    PRI_TRY(pri_text_table_add(table, cell));
    for (size_t i = 0; i < compared->count; i++) {
        const pri_summary *summary = &compared->summaries[i];
        const pri_group *group = group_of(summary, line);
        sum += group ? group->statistics[summary->quality].mean : (double)NAN;
        pri_format_quality(summary, group, cell);
        PRI_TRY(pri_text_table_add(table, cell));
    }
    return append_mean(table, compared, sum);
}

static pare_status fill_table(pri_text_table *table, const comparison *compared,
                              const pare_results *results)
{
    PRI_TRY(append_titles(table, compared, results));
    for (size_t i = 0; i < compared->line_count; i++)
        PRI_TRY(append_line(table, compared, compared->lines[i]));
    return PARE_OK;
}

pare_status pare_results_comparison(const pare_results *results, size_t count, bool markdown,
                                    char **text)
{
    *text = NULL;
    comparison compared = {.count = 0};
    pri_text_table table = {.columns = 0};
    pare_status status = read_sweeps(&compared, results, count);
    if (status == PARE_OK) {
        compared.mean = has_mean(&compared, results);
        status = fill_table(&table, &compared, results);
    }
    pri_text buffer = {0};
    if (status == PARE_OK) {
        pri_text_table_append(&table, markdown, &buffer);
        status = pri_text_take(&buffer, text);
    }
    pri_text_table_free(&table);
    free_comparison(&compared);
    return status;
}
