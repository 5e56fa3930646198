/* Lines of a text. A line is handed over where it lies in the chunk; only one that crosses a
 * chunk's end is copied. */
#include "text/lines.h"

#include <string.h>

#include "base/text_buffer.h"
#include "text/text_file.h"

typedef struct line_reader {
    const char *path;
    pri_line_range lines;
    pri_line_visit visit;
    void *user;
    uint64_t line, offset; /* newlines and bytes seen */
    pri_text carry;        /* the beginning of a line that the last chunk cut */
} line_reader;

pare_status pri_text_check_binary(const char *name, const char *data, size_t size, uint64_t offset)
{
    const char *zero = memchr(data, 0, size);
    if (!zero)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: looks binary (a zero byte at offset %llu); give UTF-8 text, plain or gzip",
                    name, (unsigned long long)(offset + (uint64_t)(zero - data)));
}

static pare_status visit_line(line_reader *reader, const char *line, size_t length)
{
    if (reader->line < reader->lines.begin || reader->line >= reader->lines.end)
        return PARE_OK;
    if (length && line[length - 1] == '\r')
        length--;
    return reader->visit(reader->user, line, length);
}

static pare_status carry_over(line_reader *reader, const char *bytes, size_t length)
{
    pri_text_append_bytes(&reader->carry, bytes, length);
    if (reader->carry.failed)
        return pri_fail(PARE_ERROR_MEMORY, "%s: out of memory reading line %llu", reader->path,
                        (unsigned long long)reader->line + 1);
    return PARE_OK;
}

/* A line ends whose last `length` bytes are given; earlier ones may be carried. */
static pare_status end_line(line_reader *reader, const char *bytes, size_t length)
{
    if (!reader->carry.length) {
        PRI_TRY(visit_line(reader, bytes, length));
    } else {
        PRI_TRY(carry_over(reader, bytes, length));
        size_t carried = reader->carry.length;
        reader->carry.length = 0;
        PRI_TRY(visit_line(reader, reader->carry.data, carried));
    }
    reader->line++;
    return PARE_OK;
}

static pare_status feed(line_reader *reader, const char *data, size_t size)
{
    PRI_TRY(pri_text_check_binary(reader->path, data, size, reader->offset));
    reader->offset += size;
    while (size) {
        const char *newline = memchr(data, '\n', size);
        if (!newline)
            return carry_over(reader, data, size);
        size_t length = (size_t)(newline - data);
        PRI_TRY(end_line(reader, data, length));
        data += length + 1;
        size -= length + 1;
    }
    return PARE_OK;
}

static pare_status read_lines(line_reader *reader, pri_reader *file)
{
    char chunk[1 << 16];
    size_t size;
    do {
        PRI_TRY(pri_reader_read(file, chunk, sizeof chunk, &size));
        PRI_TRY(feed(reader, chunk, size));
    } while (size && reader->line < reader->lines.end);
    return reader->carry.length ? end_line(reader, "", 0) : PARE_OK;
}

pare_status pri_text_read_lines(const char *path, pri_line_range lines, pri_line_visit visit,
                                void *user)
{
    pri_reader *file;
    PRI_TRY(pri_reader_open(path, &file));
    line_reader reader = {.path = path, .lines = lines, .visit = visit, .user = user};
    pare_status status = read_lines(&reader, file);
    pri_text_free(&reader.carry);
    pri_reader_close(file);
    return status;
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
