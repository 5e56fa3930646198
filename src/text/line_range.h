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
/* For texts that tokenizers read, which would replace what is not UTF-8: refuses a line that is
 * not, or has zero bytes. It is number `number`, from 1, of the file called `name`. */
pare_status pri_text_check_line(const char *name, uint64_t number, const char *line, size_t length);

/* Is called with each line in order, without its newline: UTF-8 of less than 4 GB. */
typedef pare_status (*pri_line_visit)(void *user, const char *line, size_t length);
/* Those of a plain or gzip file. A safe point for interruption at each. */
pare_status pri_text_visit_lines(const char *path, pri_line_range range, pri_line_visit visit,
                                 void *user);

#endif
