/* Pictures inside a page, as data of the page itself. */
#ifndef PARE_SRC_REPORT_HTML_IMAGE_H
#define PARE_SRC_REPORT_HTML_IMAGE_H

#include "base/text_buffer.h"
#include "report/png.h"

/* The address of a picture, "data:image/png;base64,...", without quotes. */
pare_status pri_html_append_image(pri_text *text, const pri_indexed_image *image);

#endif
