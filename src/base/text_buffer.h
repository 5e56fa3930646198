/* A growing string. Failure is sticky: check once at the end. */
#ifndef PARE_SRC_BASE_TEXT_BUFFER_H
#define PARE_SRC_BASE_TEXT_BUFFER_H

#include "base/status.h"

typedef struct pri_text {
    char *data; /* always terminated once anything was appended; release with pri_text_free */
    size_t length, capacity;
    bool failed;
} pri_text;

void pri_text_append(pri_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pri_text_append_bytes(pri_text *text, const char *bytes, size_t length);
void pri_text_free(pri_text *text);
/* Hands the string to a caller who will free() it, and empties `text`. */
pare_status pri_text_take(pri_text *text, char **string);

#endif
