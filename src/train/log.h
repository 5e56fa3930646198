/* log.jsonl: one JSON object per line, appended. */
#ifndef PARE_SRC_TRAIN_LOG_H
#define PARE_SRC_TRAIN_LOG_H

#include <jansson.h>

#include "base/status.h"

typedef struct pri_log {
    int descriptor; /* -1: closed */
    char *path;
    uint64_t bytes; /* length of the file */
} pri_log;

/* Opens for appending after the first `bytes` bytes; what an interrupted process wrote after them
 * is cut off. */
pare_status pri_log_open(const char *path, uint64_t bytes, pri_log *log);
/* Takes over the reference to `line`, which may be NULL (no memory). */
pare_status pri_log_write(pri_log *log, json_t *line);
/* On disk, so that a checkpoint may count on it. */
pare_status pri_log_flush(pri_log *log);
void pri_log_close(pri_log *log);

#endif
