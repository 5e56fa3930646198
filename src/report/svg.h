/* A painter that writes SVG. Colours are classes of the page's style sheet (style.c), so that one
 * drawing serves light, dark and print. */
#ifndef PARE_SRC_REPORT_SVG_H
#define PARE_SRC_REPORT_SVG_H

#include "base/text_buffer.h"
#include "report/chart.h"

/* The class of an ink in the style sheet. */
extern const char *const pri_ink_classes[PRI_INK_COUNT];
/* Appends text with <, >, & and quotes escaped; control characters become spaces. */
void pri_html_append_escaped(pri_text *text, const char *string);
/* Appends <svg class="..." role="img"> with the chart; `description` is for readers who do not see
 * it. */
void pri_svg_append_chart(pri_text *text, const pri_chart *chart, const char *css_class,
                          const char *description);

#endif
