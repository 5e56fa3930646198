/* Which lines of which files are the splits of a text: three files, or one that is split. */
#ifndef PARE_SRC_TASKS_CORPUS_FILES_H
#define PARE_SRC_TASKS_CORPUS_FILES_H

#include "pare/task.h"
#include "text/line_range.h"

typedef struct pri_corpus_part {
    const char *path;
    pri_line_range lines;
} pri_corpus_part;

/* `valid` and `test` NULL: `train` is split 90 : 5 : 5 by lines. */
pare_status pri_corpus_find(const char *train, const char *valid, const char *test,
                            pri_corpus_part parts[PARE_SPLIT_COUNT]);
/* The file's name without folders, cut to 63 bytes: what averages are called after. */
void pri_corpus_name(const char *path, char name[64]);

#endif
