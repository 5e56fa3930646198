/* The parts of report.html, each in its file, written one after another. */
#ifndef PARE_SRC_REPORT_PAGE_H
#define PARE_SRC_REPORT_PAGE_H

#include "base/text_buffer.h"
#include "report/collection.h"
#include "report/head_map.h"

/* The style sheet (style.c), without <style>. */
extern const char *const pri_page_style;
/* The beginning of a page, up to the end of the common style sheet; rules of one's own may follow,
 * then </style></head>. The window is called "TITLE SUFFIX". */
void pri_page_append_beginning(pri_text *text, const char *title, const char *suffix);
/* The rules that show the pictures of the chosen mask run, of a section whose radio buttons are
 * "PREFIX-0" and so on. */
void pri_page_append_run_style(pri_text *text, const char *prefix, size_t run_count);
const char *pri_page_run_prefix(const pri_head_set *set);
void pri_page_append_element(pri_text *text, const char *tag, const char *css_class,
                             const char *content);
/* The sections with the tables (page_tables.c). */
pare_status pri_page_append_tables(pri_text *text, const pri_collection *collection);
/* A section per kind of attention, with every head's average, mask and distance profile
 * (page_heads.c). */
pare_status pri_page_append_heads(pri_text *text, const pri_collection *collection);
/* What such a section begins with: one grid of all heads for the average and one for the mask of
 * each run (page_overview.c). `scale` is of the average, where there is one. */
pare_status pri_page_append_overview(pri_text *text, const pri_head_set *set,
                                     const pri_heat_scale *scale);

#endif
