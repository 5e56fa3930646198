/* What all readers of texts share: going through lines, counting them, and telling text from binary
 * data. */
#include "text/line_range.h"

#include <string.h>

#include "pare/text.h"
#include "text/text_file.h"

pare_status pri_text_check_binary(const char *name, const char *data, size_t size, uint64_t offset)
{
    const char *zero = memchr(data, 0, size);
    if (!zero)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: looks binary (a zero byte at offset %llu); give UTF-8 text, plain or gzip",
                    name, (unsigned long long)(offset + (uint64_t)(zero - data)));
}

pare_status pri_text_count_lines(const char *path, uint64_t *lines)
{
    *lines = 0;
    pri_reader *reader;
    PRI_TRY(pri_reader_open(path, &reader));
    char chunk[1 << 16], last = '\n';
    size_t size;
    pare_status status;
    while ((status = pri_reader_read(reader, chunk, sizeof chunk, &size)) == PARE_OK && size) {
        const char *end = chunk + size;
        for (const char *c = chunk; (c = memchr(c, '\n', (size_t)(end - c))); c++)
            ++*lines;
        last = end[-1];
    }
    *lines += last != '\n';
    pri_reader_close(reader);
    return status;
}

static pare_status visit_lines(pare_lines *lines, const char *path, pri_line_range range,
                               pri_line_visit visit, void *user)
{
    uint64_t offset = 0;
    for (uint64_t number = 0; number < range.end; number++) {
        const char *line;
        size_t length;
        PRI_TRY(pare_lines_next(lines, &line, &length));
        if (!line)
            break;
        PRI_TRY(pri_text_check_binary(path, line, length, offset));
        offset += length + 1;
        if (number < range.begin)
            continue;
        if (length >= UINT32_MAX)
            return pri_fail(PARE_ERROR_UNSUPPORTED,
                            "%s: a line of 4 GB or more; break it into lines", path);
        PRI_TRY(visit(user, line, length));
    }
    return PARE_OK;
}

pare_status pri_text_visit_lines(const char *path, pri_line_range range, pri_line_visit visit,
                                 void *user)
{
    pare_lines *lines;
    PRI_TRY(pare_lines_open(path, &lines));
    pare_status status = visit_lines(lines, path, range, visit, user);
    pare_lines_close(lines);
    return status;
}
