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

/* Larger ones are of runs that went astray; they are written with an exponent. */
static const double written_out = 1e7;

int pri_metric_decimals(double value)
{
    double size = fabs(value);
    return size < 10 ? 3 : size < 1000 ? 2 : 1;
}

/* Of the means of all groups, as far as they are below `limit`. */
static double largest_mean(const pri_summary *summary, pri_quantity quantity, double limit)
{
    double largest = 0;
    for (size_t g = 0; g < summary->count; g++) {
        double size = fabs(summary->groups[g].statistics[quantity].mean);
        if (size < limit)
            largest = fmax(largest, size);
    }
    return largest;
}

int pri_column_decimals(const pri_summary *summary, pri_quantity quantity)
{
    return pri_metric_decimals(largest_mean(summary, quantity, written_out));
}

void pri_format_number(double value, int decimals, char *text, size_t size)
{
    if (fabs(value) < written_out)
        snprintf(text, size, "%.*f", decimals, value);
    else
        snprintf(text, size, "%.3g", value);
}

void pri_format_metric(const pri_summary *summary, double value, char *text, size_t size)
{
    pri_format_number(value, pri_column_decimals(summary, summary->quality), text, size);
}

static void format_bytes(const pri_summary *summary, double bytes, char cell[PRI_CELL_SIZE])
{
    if (largest_mean(summary, PRI_QUANTITY_PEAK_BYTES, (double)INFINITY) >= 999.5e6)
        snprintf(cell, PRI_CELL_SIZE, "%.2f GB", bytes / 1e9);
    else
        snprintf(cell, PRI_CELL_SIZE, "%.0f MB", bytes / 1e6);
}

/* "86.3 ± 0.4", or the mean alone where there is one run. */
static void format_statistic(const pri_statistic *statistic, int decimals, char cell[PRI_CELL_SIZE])
{
    char mean[24];
    pri_format_number(statistic->mean, decimals, mean, sizeof mean);
    if (isnan(statistic->deviation))
        snprintf(cell, PRI_CELL_SIZE, "%s", mean);
    else
        snprintf(cell, PRI_CELL_SIZE, "%s ± %.*f", mean, decimals,
                 fmin(statistic->deviation, 1e15));
}

void pri_format_quality(const pri_summary *summary, const pri_group *group,
                        char cell[PRI_CELL_SIZE])
{
    snprintf(cell, PRI_CELL_SIZE, "-");
    if (group && !isnan(group->statistics[summary->quality].mean))
        format_statistic(&group->statistics[summary->quality],
                         pri_column_decimals(summary, summary->quality), cell);
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
    const pri_quantity quantity = column_quantity(column);
    const pri_statistic *statistic = &group->statistics[quantity];
    double value =
        column == PRI_COLUMN_CHANGE ? pri_summary_change(summary, group) : statistic->mean;
    snprintf(cell, PRI_CELL_SIZE, "-");
    if (isnan(value))
        return;
    switch (column) {
    case PRI_COLUMN_VALID:
    case PRI_COLUMN_TEST:
        format_statistic(statistic, pri_column_decimals(summary, quantity), cell);
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
        format_bytes(summary, value, cell);
        break;
    default:
        if (is_measure(column))
            pri_format_number(value, pri_column_decimals(summary, quantity), cell, PRI_CELL_SIZE);
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
        pri_text_append(
            text,
            "\n%s on %s by the attention that is pruned, in parentheses p_eff in percent:\n\n",
            results->metric, summary->quality == PRI_QUANTITY_TEST ? "test" : "validation");
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
