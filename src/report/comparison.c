/* Several sweeps side by side: one line per attention, method and p, one column per sweep and the
 * mean of different tasks. Sweeps of one recipe are told apart by what they differ in. */
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
    const pare_results *results;
    pri_summary *summaries; /* of each of the results */
    size_t count;
    const pare_result_row **lines; /* a row of each line, in order of appearance */
    size_t line_count;
    bool translation; /* a column says what is pruned */
    bool one_task;    /* of all sweeps: the table's title names it, not every column */
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

static pare_status read_sweeps(comparison *compared, size_t count)
{
    compared->summaries = pri_allocate_zero(count, sizeof *compared->summaries);
    if (!compared->summaries)
        return PARE_ERROR_MEMORY;
    for (; compared->count < count; compared->count++) {
        pri_summary *summary = &compared->summaries[compared->count];
        PRI_TRY(pri_summary_create(&compared->results[compared->count], summary));
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

static bool same_task(const pare_results *a, const pare_results *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->metric, b->metric);
}

/* How many of the sweeps before this one are of the same task. */
static size_t earlier_of_task(const comparison *compared, size_t sweep)
{
    size_t earlier = 0;
    for (size_t i = 0; i < sweep; i++)
        earlier += same_task(&compared->results[i], &compared->results[sweep]);
    return earlier;
}

/* Scores of 0 .. 100 of different tasks are averaged, as the papers do; what is measured in other
 * units only with its like, and two definitions of BLEU not with each other. */
static bool have_mean(const comparison *compared)
{
    const pare_results *results = compared->results;
    bool same = true, scores = !compared->translation;
    for (size_t i = 0; i < compared->count; i++) {
        if (earlier_of_task(compared, i))
            return false;
        same = same && !strcmp(results[i].metric, results[0].metric);
        scores = scores && results[i].higher_is_better;
    }
    return same || scores;
}

/* ---- Titles ---- */

enum { TITLE_SIZE = 256, SETTING_SIZE = 48 };

/* What sweeps of one recipe may differ in. */
enum { SETTINGS = 4 };
static void name_setting(const pare_results *results, int setting, char text[SETTING_SIZE])
{
    const char *const values[SETTINGS] = {results->geometry, results->scope, results->average,
                                          results->distillation};
    static const char *const words[SETTINGS] = {"geometry", "scope", "average", "distillation"};
    static const char *const missing[SETTINGS] = {"unknown", "unknown", "unknown", "none"};
    const char *value = values[setting][0] ? values[setting] : missing[setting];
    snprintf(text, SETTING_SIZE, "%s %s", words[setting], value);
}

static bool differs(const comparison *compared, size_t sweep, int setting)
{
    char own[SETTING_SIZE], other[SETTING_SIZE];
    name_setting(&compared->results[sweep], setting, own);
    for (size_t i = 0; i < compared->count; i++) {
        name_setting(&compared->results[i], setting, other);
        if (same_task(&compared->results[i], &compared->results[sweep]) && strcmp(own, other))
            return true;
    }
    return false;
}

static void append_words(char title[TITLE_SIZE], const char *words)
{
    size_t used = strlen(title);
    snprintf(title + used, TITLE_SIZE - used, "%s%s", used && words[0] ? ", " : "", words);
}

static void append_task(char title[TITLE_SIZE], const pare_results *results)
{
    append_words(title, results->name);
    append_words(title, results->metric);
}

/* The task, unless all have it, and what tells the sweep from others of it. May be empty. */
static void name_sweep(const comparison *compared, size_t sweep, char title[TITLE_SIZE])
{
    title[0] = 0;
    if (!compared->one_task)
        append_task(title, &compared->results[sweep]);
    for (int setting = 0; setting < SETTINGS; setting++) {
        char words[SETTING_SIZE];
        name_setting(&compared->results[sweep], setting, words);
        if (differs(compared, sweep, setting))
            append_words(title, words);
    }
}

/* Sweeps that are still called the same are numbered. */
static pare_status append_title(pri_text_table *table, const comparison *compared, size_t sweep)
{
    char title[TITLE_SIZE], other[TITLE_SIZE], number[24];
    size_t same = 0, before = 0;
    name_sweep(compared, sweep, title);
    for (size_t i = 0; i < compared->count; i++) {
        name_sweep(compared, i, other);
        same += !strcmp(title, other);
        before += i < sweep && !strcmp(title, other);
    }
    snprintf(number, sizeof number, "sweep %zu", before + 1);
    if (same > 1)
        append_words(title, number);
    return pri_text_table_add(table, title);
}

static pare_status append_titles(pri_text_table *table, const comparison *compared)
{
    table->columns = 2 + compared->translation + compared->count + compared->mean;
    PRI_TRY(pri_text_table_add(table, "method"));
    if (compared->translation)
        PRI_TRY(pri_text_table_add(table, "attention"));
    PRI_TRY(pri_text_table_add(table, "p"));
    for (size_t i = 0; i < compared->count; i++)
        PRI_TRY(append_title(table, compared, i));
    return compared->mean ? pri_text_table_add(table, "mean") : PARE_OK;
}

/* ---- Lines ---- */

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
    if (!isnan(sum))
        pri_format_number(sum / (double)compared->count, mean_decimals(compared), cell,
                          sizeof cell);
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
    return compared->mean ? append_mean(table, compared, sum) : PARE_OK;
}

static pare_status fill_table(pri_text_table *table, const comparison *compared)
{
    PRI_TRY(append_titles(table, compared));
    for (size_t i = 0; i < compared->line_count; i++)
        PRI_TRY(append_line(table, compared, compared->lines[i]));
    return PARE_OK;
}

static void append_comparison(pri_text *text, const comparison *compared,
                              const pri_text_table *table, bool markdown)
{
    if (compared->one_task) {
        char task[TITLE_SIZE] = "";
        append_task(task, &compared->results[0]);
        pri_text_append(text, "%s:\n\n", task);
    }
    pri_text_table_append(table, markdown, text);
}

pare_status pare_results_comparison(const pare_results *results, size_t count, bool markdown,
                                    char **text)
{
    *text = NULL;
    comparison compared = {.results = results};
    pri_text_table table = {.columns = 0};
    pare_status status = read_sweeps(&compared, count);
    if (status == PARE_OK) {
        compared.one_task = count > 1 && earlier_of_task(&compared, count - 1) == count - 1;
        compared.mean = have_mean(&compared);
        status = fill_table(&table, &compared);
    }
    pri_text buffer = {0};
    if (status == PARE_OK) {
        append_comparison(&buffer, &compared, &table, markdown);
        status = pri_text_take(&buffer, text);
    }
    pri_text_table_free(&table);
    free_comparison(&compared);
    return status;
}
