/* A strict reader of JSON (RFC 8259) for text of a known form, such as the headers of safetensors.
 *
 * The caller asks for what has to come next, and nothing else is accepted, so no tree is built and
 * nesting goes as deep as the caller's own code. Documents whose form is open are read with
 * documents/json.h.
 *
 *     pri_json_reader reader = {.name = path, .text = text, .size = size};
 *     bool more;
 *     PRI_TRY(pri_json_reader_open(&reader, '['));
 *     for (;;) {
 *         PRI_TRY(pri_json_reader_next(&reader, ']', &more));
 *         if (!more)
 *             break;
 *         PRI_TRY(pri_json_reader_whole_number(&reader, &number));
 *     }
 *     PRI_TRY(pri_json_reader_end(&reader));
 *
 * Every failure is a format error that names the file and the byte. Whether keys repeat is for the
 * caller to see. */
#ifndef PARE_SRC_BASE_JSON_READER_H
#define PARE_SRC_BASE_JSON_READER_H

#include "base/status.h"

typedef struct pri_json_reader {
    const char *name; /* the file, for messages */
    const char *text;
    size_t size, position;
    bool opened; /* no member was read since the last bracket */
} pri_json_reader;

/* Whether `bracket`, '"' or another first byte of a value comes next. */
bool pri_json_reader_sees(pri_json_reader *reader, char first);
/* Enters an object, '{', or an array, '['. */
pare_status pri_json_reader_open(pri_json_reader *reader, char bracket);
/* Goes to the next member or element, or past `bracket`, the closing one: then *more is false. */
pare_status pri_json_reader_next(pri_json_reader *reader, char bracket, bool *more);
/* A key with the colon after it. Free it, as every string, with pri_free. */
pare_status pri_json_reader_key(pri_json_reader *reader, char **key);
/* A string without NUL characters, as UTF-8. */
pare_status pri_json_reader_string(pri_json_reader *reader, char **string);
/* 0 to 2^64 - 1, written without fraction and exponent. */
pare_status pri_json_reader_whole_number(pri_json_reader *reader, uint64_t *number);
/* Only white space may follow. */
pare_status pri_json_reader_end(pri_json_reader *reader);

#endif
