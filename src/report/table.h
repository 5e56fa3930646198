/* The table of results as cells, for whoever sets it: terminal, Markdown, HTML. */
#ifndef PARE_SRC_REPORT_TABLE_H
#define PARE_SRC_REPORT_TABLE_H

#include "report/summary.h"

#define PRI_CELL_SIZE 64

typedef enum pri_column {
    PRI_COLUMN_METHOD,
    PRI_COLUMN_PRUNED, /* which attention, of translation */
    PRI_COLUMN_P_NOMINAL,
    PRI_COLUMN_P_ADMISSIBLE,
    PRI_COLUMN_P_EFFECTIVE,
    PRI_COLUMN_VALID,
    PRI_COLUMN_TEST,
    PRI_COLUMN_MORE, /* the first of the measures beside the metric */
    PRI_COLUMN_CHANGE = PRI_COLUMN_MORE + PARE_RESULT_MEASURES,
    PRI_COLUMN_SPEED,
    PRI_COLUMN_ATTENTION_TIME,
    PRI_COLUMN_MEMORY,
    PRI_COLUMN_KEPT_MASS, /* on the page only: a terminal is narrow */
    PRI_COLUMN_COUNT,
    PRI_TEXT_COLUMNS = PRI_COLUMN_KEPT_MASS
} pri_column;

const char *pri_column_title(const pri_summary *summary, pri_column column);
/* The text of one cell; "-" when not known. */
void pri_table_cell(const pri_summary *summary, const pri_group *group, pri_column column,
                    char cell[PRI_CELL_SIZE]);

/* Whether any row has something to say there. */
bool pri_table_column_known(const pri_summary *summary, pri_column column);

/* Numbers and names as people read them. */
const char *pri_method_words(const char *method);
/* "attention pruning, continue"; the usual start goes without saying. */
void pri_format_setting(const pare_result_row *row, char cell[PRI_CELL_SIZE]);
/* "+1.3%", or in points "-0.6". */
void pri_format_change(const pri_summary *summary, double change, char *text, size_t size);
/* Decimals that leave about four significant digits: of one number, and of all that stand in a
 * column, as their largest decides. */
int pri_metric_decimals(double value);
int pri_column_decimals(const pri_summary *summary, pri_quantity quantity);
void pri_format_number(double value, int decimals, char *text, size_t size);
/* A value of the summary's quality, with the decimals of its column. */
void pri_format_metric(const pri_summary *summary, double value, char *text, size_t size);
/* The group's quality, "86.3 ± 0.4", or the mean alone where there is one run; "-" when it is not
 * known. The group may be NULL. */
void pri_format_quality(const pri_summary *summary, const pri_group *group,
                        char cell[PRI_CELL_SIZE]);

#endif
