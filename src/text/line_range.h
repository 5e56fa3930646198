/* Parts of texts, by their lines. */
#ifndef PARE_SRC_TEXT_LINE_RANGE_H
#define PARE_SRC_TEXT_LINE_RANGE_H

#include "base/status.h"

/* Lines begin .. end - 1 of a text. */
typedef struct pri_line_range {
    uint64_t begin, end;
} pri_line_range;
#define PRI_ALL_LINES ((pri_line_range){0, UINT64_MAX})

/* The lines of a plain or gzip file, an unterminated last one included. */
pare_status pri_text_count_lines(const char *path, uint64_t *lines);
/* Text has no zero bytes. `data` lies at `offset` in the file called `name`. */
pare_status pri_text_check_binary(const char *name, const char *data, size_t size, uint64_t offset);

/* Is called with each line in order, without its newline; less than 4 GB, no zero bytes. */
typedef pare_status (*pri_line_visit)(void *user, const char *line, size_t length);
/* Those of a plain or gzip file. A safe point for interruption at each. */
pare_status pri_text_visit_lines(const char *path, pri_line_range range, pri_line_visit visit,
                                 void *user);

#endif
