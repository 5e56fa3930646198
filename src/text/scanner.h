/* Cuts a stream of bytes into tokens: the one place that knows what a word, a line and binary data
 * are. */
#ifndef PARE_SRC_TEXT_SCANNER_H
#define PARE_SRC_TEXT_SCANNER_H

#include "base/status.h"
#include "pare/text.h"
#include "text/line_range.h"

#define PRI_END_OF_LINE "<eos>"
#define PRI_UNKNOWN "<unk>"

/* Is called with each token in order; the bytes are valid during the call. */
typedef pare_status (*pri_token_visit)(void *user, const char *bytes, size_t length);

typedef struct pri_scanner {
    pare_text_level level;
    pri_line_range lines;
    pri_token_visit visit;
    void *user;
    const char *name; /* of the file, for messages */
    /* Private from here. */
    uint64_t offset; /* bytes seen */
    uint64_t line;   /* newlines seen */
    uint64_t bytes;  /* seen within `lines` */
    bool line_open;  /* something was seen since the last newline */
    char *carry;     /* the beginning of a word that the last chunk cut */
    size_t carry_length, carry_capacity;
} pri_scanner;

/* A text arrives in any number of chunks. */
pare_status pri_scanner_feed(pri_scanner *scanner, const char *data, size_t size);
/* The end of the text: its last word, and <eos> for an unterminated last line if `close_line`. */
pare_status pri_scanner_finish(pri_scanner *scanner, bool close_line);
void pri_scanner_free(pri_scanner *scanner);
/* Feeds a plain or gzip file, as far as `scanner->lines` reach, and finishes. */
pare_status pri_scanner_read(pri_scanner *scanner, const char *path);

#endif
