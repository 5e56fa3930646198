/* What all readers of texts share: counting lines, and telling text from binary data. */
#include "text/line_range.h"

#include <string.h>

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
