/* Quality by the kind of attention that is pruned: a line per method, start and p, a column per
 * kind. */
#ifndef PARE_SRC_REPORT_KIND_TABLE_H
#define PARE_SRC_REPORT_KIND_TABLE_H

#include "report/summary.h"
#include "report/text_table.h"

typedef struct pri_kind_table {
    const pri_group **groups; /* (lines, summary's attentions); NULL: not run */
    size_t lines;
} pri_kind_table;

/* Borrows from the summary, which must not be free of pruned runs. */
pare_status pri_kind_table_create(const pri_summary *summary, pri_kind_table *kinds);
void pri_kind_table_free(pri_kind_table *kinds);
const pri_group *pri_kind_table_group(const pri_summary *summary, const pri_kind_table *kinds,
                                      size_t line, size_t attention);
/* A row of what the line's runs share. */
const pare_result_row *pri_kind_table_setting(const pri_summary *summary,
                                              const pri_kind_table *kinds, size_t line);
/* As cells for a text, with dense as the first line. */
pare_status pri_kind_table_fill(const pri_summary *summary, pri_text_table *table);

#endif
