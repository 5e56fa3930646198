/* Texts by lines, plain or gzip. */
#ifndef PARE_SRC_TEXT_LINES_H
#define PARE_SRC_TEXT_LINES_H

#include "base/status.h"

/* Lines begin .. end - 1 of a text. */
typedef struct pri_line_range {
    uint64_t begin, end;
} pri_line_range;
#define PRI_ALL_LINES ((pri_line_range){0, UINT64_MAX})

/* Is called with each line in order, without what ends it ("\n" or "\r\n"); the bytes are valid
 * during the call and not terminated by a zero. */
typedef pare_status (*pri_line_visit)(void *user, const char *line, size_t length);

/* Memory grows with the longest line only. A failure of `visit` ends the reading. */
pare_status pri_text_read_lines(const char *path, pri_line_range lines, pri_line_visit visit,
                                void *user);
/* An unterminated last line included. */
pare_status pri_text_count_lines(const char *path, uint64_t *lines);
/* Text has no zero bytes. `data` lies at `offset` in the file called `name`. */
pare_status pri_text_check_binary(const char *name, const char *data, size_t size, uint64_t offset);

#endif
