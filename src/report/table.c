/* The table of a sweep: one line per method and p, seeds of a random control as mean and standard
 * deviation. The cells are made once and set for a terminal, for Markdown or (page.c) for the page.
 */
#include "report/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text_buffer.h"

const char *const pri_column_titles[PRI_COLUMN_COUNT] = {
    "method", "p_nom",    "p_adm",     "p_eff",  "valid",     "test",
    "change", "tokens/s", "attention", "memory", "kept mass",
};

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

static void format_quality(const pri_statistic *statistic, char *cell)
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

static void format_method(const pri_group *group, char *cell)
{
    const char *method = group->rows[0]->method;
    if (!strcmp(method, "attention-pruning"))
        method = "attention pruning";
    if (group->count > 1)
        snprintf(cell, PRI_CELL_SIZE, "%s, %zu seeds", method, group->count);
    else
        snprintf(cell, PRI_CELL_SIZE, "%s", method);
}

void pri_table_cell(const pri_summary *summary, const pri_group *group, pri_column column,
                    char cell[PRI_CELL_SIZE])
{
    static const pri_quantity quantities[PRI_COLUMN_COUNT] = {
        [PRI_COLUMN_P_NOMINAL] = PRI_QUANTITY_P_NOMINAL,
        [PRI_COLUMN_P_ADMISSIBLE] = PRI_QUANTITY_P_ADMISSIBLE,
        [PRI_COLUMN_P_EFFECTIVE] = PRI_QUANTITY_P_EFFECTIVE,
        [PRI_COLUMN_KEPT_MASS] = PRI_QUANTITY_KEPT_MASS,
        [PRI_COLUMN_VALID] = PRI_QUANTITY_VALID,
        [PRI_COLUMN_TEST] = PRI_QUANTITY_TEST,
        [PRI_COLUMN_SPEED] = PRI_QUANTITY_SPEED,
        [PRI_COLUMN_ATTENTION] = PRI_QUANTITY_ATTENTION_SECONDS,
        [PRI_COLUMN_MEMORY] = PRI_QUANTITY_PEAK_BYTES,
    };
    if (column == PRI_COLUMN_METHOD) {
        format_method(group, cell);
        return;
    }
    const pri_statistic *statistic = &group->statistics[quantities[column]];
    double value =
        column == PRI_COLUMN_CHANGE ? pri_summary_change(summary, group) : statistic->mean;
    snprintf(cell, PRI_CELL_SIZE, "-");
    if (isnan(value))
        return;
    switch (column) {
    case PRI_COLUMN_VALID:
    case PRI_COLUMN_TEST:
        format_quality(statistic, cell);
        break;
    case PRI_COLUMN_CHANGE:
        snprintf(cell, PRI_CELL_SIZE, "%+.1f%%", value);
        break;
    case PRI_COLUMN_KEPT_MASS:
        snprintf(cell, PRI_CELL_SIZE, "%.1f%%", value);
        break;
    case PRI_COLUMN_SPEED:
        snprintf(cell, PRI_CELL_SIZE, "%.0f", value);
        break;
    case PRI_COLUMN_ATTENTION:
        snprintf(cell, PRI_CELL_SIZE, "%.1f s", value);
        break;
    case PRI_COLUMN_MEMORY:
        pri_format_bytes(value, cell, PRI_CELL_SIZE);
        break;
    default:
        snprintf(cell, PRI_CELL_SIZE, "%.1f", value);
    }
}

/* Characters, not bytes: continuation bytes of UTF-8 do not count. */
static size_t display_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

typedef struct table_layout {
    size_t widths[PRI_TEXT_COLUMNS];
    const char *separator, *start, *end;
} table_layout;

static void append_cell(pri_text *text, const table_layout *layout, pri_column column,
                        const char *cell)
{
    size_t padding = layout->widths[column] - display_width(cell);
    if (column == PRI_COLUMN_METHOD)
        pri_text_append(text, "%s%s%*s", layout->start, cell, (int)padding, "");
    else
        pri_text_append(text, "%s%*s%s", layout->separator, (int)padding, "", cell);
    if (column == PRI_TEXT_COLUMNS - 1)
        pri_text_append(text, "%s\n", layout->end);
}

static void append_rule(pri_text *text, const table_layout *layout, bool markdown)
{
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++) {
        pri_text_append(text, "%s", column ? layout->separator : layout->start);
        for (size_t i = 0; i + 1 < layout->widths[column]; i++)
            pri_text_append(text, "-");
        pri_text_append(text, "%s", markdown && column ? ":" : "-");
    }
    pri_text_append(text, "%s\n", layout->end);
}

pare_status pare_results_table(const pare_results *results, bool markdown, char **text)
{
    pri_summary summary;
    PRI_TRY(pri_summary_create(results, &summary));
    table_layout layout = {.separator = markdown ? " | " : "  ",
                           .start = markdown ? "| " : "",
                           .end = markdown ? " |" : ""};
    char cell[PRI_CELL_SIZE];
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++) {
        layout.widths[column] = display_width(pri_column_titles[column]);
        for (size_t g = 0; g < summary.count; g++) {
            pri_table_cell(&summary, &summary.groups[g], (pri_column)column, cell);
            size_t width = display_width(cell);
            layout.widths[column] = width > layout.widths[column] ? width : layout.widths[column];
        }
    }
    pri_text buffer = {0};
    for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++)
        append_cell(&buffer, &layout, (pri_column)column, pri_column_titles[column]);
    append_rule(&buffer, &layout, markdown);
    for (size_t g = 0; g < summary.count; g++)
        for (size_t column = 0; column < PRI_TEXT_COLUMNS; column++) {
            pri_table_cell(&summary, &summary.groups[g], (pri_column)column, cell);
            append_cell(&buffer, &layout, (pri_column)column, cell);
        }
    pri_summary_free(&summary);
    return pri_text_take(&buffer, text);
}
