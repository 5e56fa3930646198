/* What all readers of texts share: going through lines, counting them, and telling what is no text.
 */
#include "text/line_range.h"

#include <string.h>

#include "base/utf8.h"
#include "pare/text.h"
#include "text/text_file.h"

pare_status pri_text_check_line(const char *name, uint64_t number, const char *line, size_t length)
{
    if (memchr(line, 0, length))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: a zero byte; this is binary, or text in UTF-16, and UTF-8 is "
                        "needed, plain or gzip",
                        name, (unsigned long long)number);
    size_t valid = pri_utf8_valid_bytes(line, length);
    if (valid == length)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s:%llu: byte %zu of the line is not UTF-8; convert the text, as in 'iconv -f "
                    "latin1 -t utf-8'",
                    name, (unsigned long long)number, valid + 1);
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
    for (uint64_t number = 0; number < range.end; number++) {
        const char *line;
        size_t length;
        PRI_TRY(pare_lines_next(lines, &line, &length));
        if (!line)
            break;
        if (number < range.begin)
            continue;
        PRI_TRY(pri_text_check_line(path, number + 1, line, length));
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
