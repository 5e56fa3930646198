/* Tab-separated text, plain or gzip: one row per line, fields between tabs, nothing else. Quotes
 * are literal characters, so a row never spans lines. */
#ifndef PARE_SRC_TEXT_TSV_H
#define PARE_SRC_TEXT_TSV_H

#include "base/status.h"

#define PRI_TSV_LINE_MAX ((size_t)1 << 20)

typedef struct pri_tsv_row {
    const char *name;          /* of the file, for messages */
    uint64_t line;             /* from 1 */
    const char *const *fields; /* zero-terminated, valid during the visit */
    size_t count;              /* at least 1 */
} pri_tsv_row;

/* Is called with each row in order, the header included. */
typedef pare_status (*pri_tsv_visit)(void *user, const pri_tsv_row *row);

typedef struct pri_tsv {
    const char *name;
    pri_tsv_visit visit;
    void *user;
    /* Private from here. */
    uint64_t line;
    char *text; /* the line so far */
    size_t length, capacity;
    const char **fields;
    size_t fields_capacity;
} pri_tsv;

/* A text arrives in any number of chunks. Lines end in LF or CR LF; empty lines hold no row. A line
 * that is not UTF-8, has a zero byte or is longer than PRI_TSV_LINE_MAX is a format error that
 * names file and line. */
pare_status pri_tsv_feed(pri_tsv *tsv, const char *data, size_t size);
/* The end of the text: its last row, if no newline ended it. */
pare_status pri_tsv_finish(pri_tsv *tsv);
void pri_tsv_free(pri_tsv *tsv);
/* All rows of a file. */
pare_status pri_tsv_read(const char *path, pri_tsv_visit visit, void *user);

/* The number, from 0, of the column that `wanted` names: a name in the header, or a number from 1.
 * `header` NULL: the file has none. */
pare_status pri_tsv_find_column(const pri_tsv_row *header, const char *path, const char *wanted,
                                size_t *column);

#endif
