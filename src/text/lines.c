/* A text line by line, in a buffer that holds the unread part of what was read last. */
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "pare/text.h"
#include "text/text_file.h"

#define READ_SIZE ((size_t)1 << 16)

struct pare_lines {
    pri_reader *reader;
    char *buffer;
    size_t begin, end, capacity; /* the unread part of the buffer */
    bool finished;               /* the file has no more */
};

pare_status pare_lines_open(const char *path, pare_lines **lines)
{
    *lines = NULL;
    pare_lines *opened = pri_allocate_zero(1, sizeof *opened);
    if (!opened)
        return PARE_ERROR_MEMORY;
    pare_status status = strcmp(path, "-") ? pri_reader_open(path, &opened->reader)
                                           : pri_reader_open_standard_input(&opened->reader);
    if (status != PARE_OK) {
        pare_lines_close(opened);
        return status;
    }
    *lines = opened;
    return PARE_OK;
}

void pare_lines_close(pare_lines *lines)
{
    if (!lines)
        return;
    pri_reader_close(lines->reader);
    pri_free(lines->buffer);
    pri_free(lines);
}

static pare_status make_room(pare_lines *lines)
{
    size_t unread = lines->end - lines->begin;
    if (lines->begin)
        memmove(lines->buffer, lines->buffer + lines->begin, unread);
    lines->begin = 0;
    lines->end = unread;
    if (lines->capacity - unread >= READ_SIZE)
        return PARE_OK;
    size_t capacity = 2 * lines->capacity + READ_SIZE;
    char *larger = pri_reallocate(lines->buffer, unread, capacity, 1);
    if (!larger)
        return PARE_ERROR_MEMORY;
    lines->buffer = larger;
    lines->capacity = capacity;
    return PARE_OK;
}

static pare_status read_more(pare_lines *lines)
{
    size_t size;
    PRI_TRY(make_room(lines));
    PRI_TRY(pri_reader_read(lines->reader, lines->buffer + lines->end, READ_SIZE, &size));
    lines->end += size;
    lines->finished = !size;
    return PARE_OK;
}

bool pare_lines_ready(const pare_lines *lines)
{
    size_t unread = lines->end - lines->begin;
    return unread && (lines->finished || memchr(lines->buffer + lines->begin, '\n', unread));
}

pare_status pare_lines_next(pare_lines *lines, const char **line, size_t *length)
{
    *line = NULL;
    *length = 0;
    if (pare_interrupted())
        return pri_fail(PARE_ERROR_INTERRUPTED, "interrupted");
    const char *newline = NULL;
    for (size_t searched = 0;;) {
        size_t unread = lines->end - lines->begin;
        if (unread > searched)
            newline = memchr(lines->buffer + lines->begin + searched, '\n', unread - searched);
        if (newline || lines->finished)
            break;
        searched = unread;
        PRI_TRY(read_more(lines));
    }
    if (lines->begin == lines->end)
        return PARE_OK;
    *line = lines->buffer + lines->begin;
    *length = newline ? (size_t)(newline - *line) : lines->end - lines->begin;
    lines->begin += *length + (newline ? 1 : 0);
    return PARE_OK;
}
