/* The training log is the one file that grows instead of being replaced. A checkpoint records its
 * length; resuming cuts it back to there, so that the log of an interrupted run ends up as if it
 * had never stopped. */
#include "train/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static pare_status fail_log(const pri_log *log)
{
    return pri_fail(PARE_ERROR_FILE, "%s: cannot write: %s", log->path, strerror(errno));
}

pare_status pri_log_open(const char *path, uint64_t bytes, pri_log *log)
{
    *log = (pri_log){.descriptor = -1, .path = pri_string_copy(path)};
    if (!log->path)
        return PARE_ERROR_MEMORY;
    log->descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    struct stat status;
    if (log->descriptor < 0 || fstat(log->descriptor, &status))
        return fail_log(log);
    log->bytes = (uint64_t)status.st_size < bytes ? (uint64_t)status.st_size : bytes;
    if (ftruncate(log->descriptor, (off_t)log->bytes) ||
        lseek(log->descriptor, 0, SEEK_END) == (off_t)-1)
        return fail_log(log);
    return PARE_OK;
}

static pare_status write_bytes(pri_log *log, const char *data, size_t size)
{
    while (size) {
        ssize_t written = write(log->descriptor, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_log(log);
        data += written;
        size -= (size_t)written;
        log->bytes += (uint64_t)written;
    }
    return PARE_OK;
}

pare_status pri_log_write(pri_log *log, json_t *line)
{
    /* 9 digits give every float back; times and rates need no more. */
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(line);
    if (!text)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing %s", log->path);
    pare_status status = write_bytes(log, text, strlen(text));
    if (status == PARE_OK)
        status = write_bytes(log, "\n", 1);
    free(text);
    return status;
}

pare_status pri_log_flush(pri_log *log)
{
    return fsync(log->descriptor) ? fail_log(log) : PARE_OK;
}

void pri_log_close(pri_log *log)
{
    if (log->descriptor >= 0)
        close(log->descriptor);
    pri_free(log->path);
    *log = (pri_log){.descriptor = -1};
}
