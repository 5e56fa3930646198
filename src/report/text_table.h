/* Cells set as a table of characters, for a terminal or in Markdown. */
#ifndef PARE_SRC_REPORT_TEXT_TABLE_H
#define PARE_SRC_REPORT_TEXT_TABLE_H

#include "base/text_buffer.h"

/* Set `columns`, then add cells row by row, titles first. */
typedef struct pri_text_table {
    size_t columns, count;
    char **cells;
} pri_text_table;

pare_status pri_text_table_add(pri_text_table *table, const char *cell);
/* The first column is set to the left, the others to the right. */
void pri_text_table_append(const pri_text_table *table, bool markdown, pri_text *text);
void pri_text_table_free(pri_text_table *table);

#endif
