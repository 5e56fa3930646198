/* Tab-separated text. A line is collected until it is whole, then its tabs become terminators. */
#include "text/tsv.h"

#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "text/line_range.h"
#include "text/text_file.h"

#define CHUNK_SIZE ((size_t)1 << 16)

static pare_status reserve_text(pri_tsv *tsv, size_t length)
{
    if (length <= tsv->capacity)
        return PARE_OK;
    size_t capacity = pri_larger(length, 2 * tsv->capacity);
    char *text = pri_reallocate(tsv->text, tsv->length, capacity, 1);
    if (!text)
        return PARE_ERROR_MEMORY;
    tsv->text = text;
    tsv->capacity = capacity;
    return PARE_OK;
}

static pare_status append(pri_tsv *tsv, const char *data, size_t size)
{
    if (size > PRI_TSV_LINE_MAX - tsv->length)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: longer than %zu bytes; is this tab-separated text?", tsv->name,
                        (unsigned long long)tsv->line + 1, PRI_TSV_LINE_MAX);
    PRI_TRY(reserve_text(tsv, tsv->length + size + 1));
    memcpy(tsv->text + tsv->length, data, size);
    tsv->length += size;
    return PARE_OK;
}

static pare_status add_field(pri_tsv *tsv, size_t count, const char *field)
{
    if (count == tsv->fields_capacity) {
        size_t capacity = pri_larger(16, 2 * count);
        const char **fields = pri_reallocate(tsv->fields, count, capacity, sizeof *fields);
        if (!fields)
            return PARE_ERROR_MEMORY;
        tsv->fields = fields;
        tsv->fields_capacity = capacity;
    }
    tsv->fields[count] = field;
    return PARE_OK;
}

static pare_status visit_row(pri_tsv *tsv, char *text)
{
    pri_tsv_row row = {.name = tsv->name, .line = tsv->line};
    for (char *field = text; field; row.count++) {
        PRI_TRY(add_field(tsv, row.count, field));
        field = strchr(field, '\t');
        if (field)
            *field++ = 0;
    }
    row.fields = tsv->fields;
    return tsv->visit(tsv->user, &row);
}

static pare_status finish_line(pri_tsv *tsv)
{
    tsv->line++;
    size_t length = tsv->length;
    tsv->length = 0;
    if (length && tsv->text[length - 1] == '\r')
        length--;
    if (!length)
        return PARE_OK;
    PRI_TRY(pri_text_check_line(tsv->name, tsv->line, tsv->text, length));
    tsv->text[length] = 0;
    return visit_row(tsv, tsv->text);
}

pare_status pri_tsv_feed(pri_tsv *tsv, const char *data, size_t size)
{
    while (size) {
        const char *newline = memchr(data, '\n', size);
        size_t taken = newline ? (size_t)(newline - data) : size;
        PRI_TRY(append(tsv, data, taken));
        if (!newline)
            return PARE_OK;
        PRI_TRY(finish_line(tsv));
        data += taken + 1;
        size -= taken + 1;
    }
    return PARE_OK;
}

pare_status pri_tsv_finish(pri_tsv *tsv)
{
    return tsv->length ? finish_line(tsv) : PARE_OK;
}

void pri_tsv_free(pri_tsv *tsv)
{
    pri_free(tsv->text);
    pri_free(tsv->fields);
}

static pare_status feed_all(pri_tsv *tsv, pri_reader *reader, char *chunk)
{
    size_t size;
    do {
        PRI_TRY(pri_reader_read(reader, chunk, CHUNK_SIZE, &size));
        PRI_TRY(pri_tsv_feed(tsv, chunk, size));
    } while (size);
    return pri_tsv_finish(tsv);
}

pare_status pri_tsv_read(const char *path, pri_tsv_visit visit, void *user)
{
    pri_reader *reader;
    PRI_TRY(pri_reader_open(path, &reader));
    pri_tsv tsv = {.name = path, .visit = visit, .user = user};
    char *chunk = pri_allocate(CHUNK_SIZE, 1);
    pare_status status = chunk ? feed_all(&tsv, reader, chunk) : PARE_ERROR_MEMORY;
    pri_free(chunk);
    pri_tsv_free(&tsv);
    pri_reader_close(reader);
    return status;
}

/* ---- Columns ---- */

static bool parse_column(const char *text, size_t *column)
{
    char *end;
    if (*text < '1' || *text > '9' || strlen(text) > 6)
        return false;
    *column = (size_t)strtoul(text, &end, 10) - 1;
    return !*end;
}

pare_status pri_tsv_find_column(const pri_tsv_row *header, const char *path, const char *wanted,
                                size_t *column)
{
    size_t found = 0;
    for (size_t i = 0; header && i < header->count; i++)
        if (!strcmp(header->fields[i], wanted)) {
            *column = i;
            found++;
        }
    if (found == 1)
        return PARE_OK;
    if (found)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: %zu columns are called '%s'; name one by its number, from 1",
                        path, (unsigned long long)header->line, found, wanted);
    if (parse_column(wanted, column))
        return PARE_OK;
    if (header && header->count == 1)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: no column '%s', as the header is a single one; columns must be "
                        "separated by tabs",
                        path, (unsigned long long)header->line, wanted);
    if (header)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: the header has no column '%s'; name one of its %zu columns, or a "
                        "number from 1",
                        path, (unsigned long long)header->line, wanted, header->count);
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "'%s' is no column of %s, which has no header; give a number from 1", wanted,
                    path);
}
