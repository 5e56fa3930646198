/* Reading a text piece by piece, plain or gzip (recognised by content). The byte-order mark that
 * some editors put before a text is left out. */
#ifndef PARE_SRC_TEXT_TEXT_FILE_H
#define PARE_SRC_TEXT_TEXT_FILE_H

#include "base/status.h"

typedef struct pri_reader pri_reader;
pare_status pri_reader_open(const char *path, pri_reader **reader);
/* Is left open by pri_reader_close. */
pare_status pri_reader_open_standard_input(pri_reader **reader);
/* Up to `capacity` bytes, what a pipe has at the moment; *size 0 at the end. A damaged or truncated
 * gzip file is a format error.
 */
pare_status pri_reader_read(pri_reader *reader, void *buffer, size_t capacity, size_t *size);
void pri_reader_close(pri_reader *reader);

#endif
