/* The table of a sweep: one line per attention, method and p, seeds of a random control as mean and
 * standard deviation. The cells are made once and set as text (text_table.c) or for the page
 * (page.c). A sweep over several kinds of attention has a second table, of quality by kind. */
#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text_buffer.h"
#include "report/kind_table.h"
#include "report/text_table.h"

static bool is_measure(pri_column column)
{
    return column >= PRI_COLUMN_MORE && column < PRI_COLUMN_MORE + PARE_RESULT_MEASURES;
}

/* Rows of one sweep have the same measures, as far as they have any. */
static const char *measure_title(const pri_summary *summary, size_t index)
{
    for (size_t g = 0; g < summary->count; g++)
        if (index < summary->groups[g].rows[0]->more_count)
            return summary->groups[g].rows[0]->more[index].name;
    return "";
}

const char *pri_column_title(const pri_summary *summary, pri_column column)
{
    static const char *const titles[PRI_COLUMN_COUNT] = {
        [PRI_COLUMN_METHOD] = "method",     [PRI_COLUMN_PRUNED] = "attention",
        [PRI_COLUMN_P_NOMINAL] = "p_nom",   [PRI_COLUMN_P_ADMISSIBLE] = "p_adm",
        [PRI_COLUMN_P_EFFECTIVE] = "p_eff", [PRI_COLUMN_VALID] = "valid",
        [PRI_COLUMN_TEST] = "test",         [PRI_COLUMN_CHANGE] = "change",
        [PRI_COLUMN_SPEED] = "tokens/s",    [PRI_COLUMN_ATTENTION_TIME] = "attention time",
        [PRI_COLUMN_MEMORY] = "memory",     [PRI_COLUMN_KEPT_MASS] = "kept mass",
    };
    return is_measure(column) ? measure_title(summary, (size_t)(column - PRI_COLUMN_MORE))
                              : titles[column];
}

/* Decimals that leave about four significant digits. */
static int metric_decimals(double value)
{
    double size = fabs(value);
    return size < 10 ? 3 : size < 1000 ? 2 : 1;
}

void pri_format_metric(double value, char *text, size_t size)
{
    if (fabs(value) < 1e7)
        snprintf(text, size, "%.*f", metric_decimals(value), value);
    else
        snprintf(text, size, "%.3g", value);
}

void pri_format_bytes(double bytes, char *text, size_t size)
{
    if (bytes >= 999.5e6)
        snprintf(text, size, "%.2f GB", bytes / 1e9);
    else
        snprintf(text, size, "%.0f MB", bytes / 1e6);
}

void pri_format_quality(const pri_statistic *statistic, char cell[PRI_CELL_SIZE])
{
    char mean[24], deviation[24];
    pri_format_metric(statistic->mean, mean, sizeof mean);
    if (isnan(statistic->deviation)) {
        snprintf(cell, PRI_CELL_SIZE, "%s", mean);
        return;
    }
    snprintf(deviation, sizeof deviation, "%.*f", metric_decimals(statistic->mean),
             fmin(statistic->deviation, 1e15));
    snprintf(cell, PRI_CELL_SIZE, "%s ± %s", mean, deviation);
}

const char *pri_method_words(const char *method)
{
    return strcmp(method, "attention-pruning") ? method : "attention pruning";
}

void pri_format_setting(const pare_result_row *row, char cell[PRI_CELL_SIZE])
{
    bool usual = !row->start[0] || !strcmp(row->start, "restart");
    snprintf(cell, PRI_CELL_SIZE, "%s%s%s", pri_method_words(row->method), usual ? "" : ", ",
             usual ? "" : row->start);
}

void pri_format_change(const pri_summary *summary, double change, char *text, size_t size)
{
    snprintf(text, size, "%+.1f%s", change, summary->in_points ? "" : "%");
}

static void format_method(const pri_group *group, char *cell)
{
    const char *method = pri_method_words(group->rows[0]->method);
    if (group->count > 1)
        snprintf(cell, PRI_CELL_SIZE, "%s, %zu seeds", method, group->count);
    else
        snprintf(cell, PRI_CELL_SIZE, "%s", method);
}

static pri_quantity column_quantity(pri_column column)
{
    static const pri_quantity quantities[PRI_COLUMN_COUNT] = {
        [PRI_COLUMN_P_NOMINAL] = PRI_QUANTITY_P_NOMINAL,
        [PRI_COLUMN_P_ADMISSIBLE] = PRI_QUANTITY_P_ADMISSIBLE,
        [PRI_COLUMN_P_EFFECTIVE] = PRI_QUANTITY_P_EFFECTIVE,
        [PRI_COLUMN_KEPT_MASS] = PRI_QUANTITY_KEPT_MASS,
        [PRI_COLUMN_VALID] = PRI_QUANTITY_VALID,
        [PRI_COLUMN_TEST] = PRI_QUANTITY_TEST,
        [PRI_COLUMN_SPEED] = PRI_QUANTITY_SPEED,
        [PRI_COLUMN_ATTENTION_TIME] = PRI_QUANTITY_ATTENTION_SECONDS,
        [PRI_COLUMN_MEMORY] = PRI_QUANTITY_PEAK_BYTES,
    };
    return is_measure(column) ? (pri_quantity)(PRI_QUANTITY_MORE + (column - PRI_COLUMN_MORE))
                              : quantities[column];
}

static void format_number(const pri_summary *summary, const pri_group *group, pri_column column,
                          char cell[PRI_CELL_SIZE])
{
    const pri_statistic *statistic = &group->statistics[column_quantity(column)];
    double value =
        column == PRI_COLUMN_CHANGE ? pri_summary_change(summary, group) : statistic->mean;
    snprintf(cell, PRI_CELL_SIZE, "-");
    if (isnan(value))
        return;
    switch (column) {
    case PRI_COLUMN_VALID:
    case PRI_COLUMN_TEST:
        pri_format_quality(statistic, cell);
        break;
    case PRI_COLUMN_CHANGE:
        pri_format_change(summary, value, cell, PRI_CELL_SIZE);
        break;
    case PRI_COLUMN_KEPT_MASS:
        snprintf(cell, PRI_CELL_SIZE, "%.1f%%", value);
        break;
    case PRI_COLUMN_SPEED:
        snprintf(cell, PRI_CELL_SIZE, "%.0f", value);
        break;
    case PRI_COLUMN_ATTENTION_TIME:
        snprintf(cell, PRI_CELL_SIZE, "%.1f s", value);
        break;
    case PRI_COLUMN_MEMORY:
        pri_format_bytes(value, cell, PRI_CELL_SIZE);
        break;
    default:
        if (is_measure(column))
            pri_format_metric(value, cell, PRI_CELL_SIZE);
        else
            snprintf(cell, PRI_CELL_SIZE, "%.1f", value);
    }
}

void pri_table_cell(const pri_summary *summary, const pri_group *group, pri_column column,
                    char cell[PRI_CELL_SIZE])
{
    const char *attention = group->rows[0]->attention;
    if (column == PRI_COLUMN_METHOD)
        format_method(group, cell);
    else if (column == PRI_COLUMN_PRUNED)
        snprintf(cell, PRI_CELL_SIZE, "%s", attention[0] ? attention : "-");
    else
        format_number(summary, group, column, cell);
}

bool pri_table_column_known(const pri_summary *summary, pri_column column)
{
    char cell[PRI_CELL_SIZE];
    if (!summary->count)
        return !is_measure(column) && column != PRI_COLUMN_PRUNED;
    for (size_t g = 0; g < summary->count; g++) {
        pri_table_cell(summary, &summary->groups[g], column, cell);
        if (cell[0] != '-' || cell[1])
            return true;
    }
    return false;
}

static pare_status append_group(pri_text_table *table, const pri_summary *summary,
                                const pri_group *group, const bool *shown)
{
    char cell[PRI_CELL_SIZE];
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++) {
        if (!shown[column])
            continue;
        pri_table_cell(summary, group, (pri_column)column, cell);
        PRI_TRY(pri_text_table_add(table, cell));
    }
    return PARE_OK;
}

static pare_status fill_table(pri_text_table *table, const pri_summary *summary)
{
    bool shown[PRI_TEXT_COLUMNS];
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++) {
        shown[column] = pri_table_column_known(summary, (pri_column)column);
        table->columns += shown[column];
    }
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++)
        if (shown[column])
            PRI_TRY(pri_text_table_add(table, pri_column_title(summary, (pri_column)column)));
    for (size_t g = 0; g < summary->count; g++)
        PRI_TRY(append_group(table, summary, &summary->groups[g], shown));
    return PARE_OK;
}

static pare_status append_results(pri_text *text, const pri_summary *summary, bool markdown)
{
    pri_text_table table = {.columns = 0};
    pare_status status = fill_table(&table, summary);
    if (status == PARE_OK)
        pri_text_table_append(&table, markdown, text);
    pri_text_table_free(&table);
    return status;
}

static pare_status append_kinds(pri_text *text, const pare_results *results,
                                const pri_summary *summary, bool markdown)
{
    if (summary->attention_count < 2)
        return PARE_OK;
    pri_text_table table = {.columns = 0};
    pare_status status = pri_kind_table_fill(summary, &table);
    if (status == PARE_OK) {
        pri_text_append(text, "\n%s on %s by the attention that is pruned:\n\n", results->metric,
                        summary->quality == PRI_QUANTITY_TEST ? "test" : "validation");
        pri_text_table_append(&table, markdown, text);
    }
    pri_text_table_free(&table);
    return status;
}

pare_status pare_results_table(const pare_results *results, bool markdown, char **text)
{
    *text = NULL;
    pri_summary summary;
    PRI_TRY(pri_summary_create(results, &summary));
    pri_text buffer = {0};
    pare_status status = append_results(&buffer, &summary, markdown);
    if (status == PARE_OK)
        status = append_kinds(&buffer, results, &summary, markdown);
    pri_summary_free(&summary);
    if (status == PARE_OK)
        return pri_text_take(&buffer, text);
    pri_text_free(&buffer);
    return status;
}
