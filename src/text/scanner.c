/* Tokens of a stream. Words are handed over where they lie in the chunk; only a word that crosses a
 * chunk's end is copied, so that memory does not depend on the length of lines. */
#include "text/scanner.h"

#include <string.h>

#include "base/memory.h"
#include "text/text_file.h"

/* WikiText separates by single blanks; the others are for text from elsewhere ("\r\n"). */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_counted(const pri_scanner *scanner)
{
    return scanner->line >= scanner->lines.begin && scanner->line < scanner->lines.end;
}

static pare_status visit(pri_scanner *scanner, const char *bytes, size_t length)
{
    return is_counted(scanner) ? scanner->visit(scanner->user, bytes, length) : PARE_OK;
}

static pare_status carry_over(pri_scanner *scanner, const char *bytes, size_t length)
{
    if (scanner->carry_capacity - scanner->carry_length < length) {
        size_t capacity = 2 * (scanner->carry_length + length);
        char *carry = pri_reallocate(scanner->carry, scanner->carry_length, capacity, 1);
        if (!carry)
            return PARE_ERROR_MEMORY;
        scanner->carry = carry;
        scanner->carry_capacity = capacity;
    }
    memcpy(scanner->carry + scanner->carry_length, bytes, length);
    scanner->carry_length += length;
    return PARE_OK;
}

/* A word ends whose last `length` bytes are given; earlier ones may be carried. */
static pare_status end_word(pri_scanner *scanner, const char *bytes, size_t length)
{
    if (!scanner->carry_length)
        return length ? visit(scanner, bytes, length) : PARE_OK;
    PRI_TRY(carry_over(scanner, bytes, length));
    size_t carried = scanner->carry_length;
    scanner->carry_length = 0;
    return visit(scanner, scanner->carry, carried);
}

/* Part of one line, without its newline. */
static pare_status feed_words(pri_scanner *scanner, const char *data, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        if (is_blank(data[i])) {
            PRI_TRY(end_word(scanner, data + start, i - start));
            start = i + 1;
        }
    }
    return start < size ? carry_over(scanner, data + start, size - start) : PARE_OK;
}

static pare_status end_line(pri_scanner *scanner)
{
    if (scanner->level == PARE_TEXT_BYTE)
        return visit(scanner, "\n", 1);
    PRI_TRY(end_word(scanner, "", 0));
    return visit(scanner, PRI_END_OF_LINE, strlen(PRI_END_OF_LINE));
}

static pare_status feed_bytes(pri_scanner *scanner, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        PRI_TRY(visit(scanner, data + i, 1));
    return PARE_OK;
}

static pare_status check_zeros(const pri_scanner *scanner, const char *data, size_t size)
{
    const char *zero = memchr(data, 0, size);
    if (!zero)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: looks binary (a zero byte at offset %llu); give UTF-8 text, plain or gzip",
                    scanner->name, (unsigned long long)(scanner->offset + (uint64_t)(zero - data)));
}

pare_status pri_scanner_feed(pri_scanner *scanner, const char *data, size_t size)
{
    PRI_TRY(check_zeros(scanner, data, size));
    scanner->offset += size;
    while (size) {
        const char *newline = memchr(data, '\n', size);
        size_t length = newline ? (size_t)(newline - data) : size;
        size_t taken = length + (newline != NULL);
        if (scanner->level == PARE_TEXT_BYTE)
            PRI_TRY(feed_bytes(scanner, data, length));
        else
            PRI_TRY(feed_words(scanner, data, length));
        if (newline)
            PRI_TRY(end_line(scanner));
        scanner->bytes += is_counted(scanner) ? taken : 0;
        scanner->line += newline != NULL;
        scanner->line_open = !newline;
        data += taken;
        size -= taken;
    }
    return PARE_OK;
}

pare_status pri_scanner_finish(pri_scanner *scanner, bool close_line)
{
    PRI_TRY(end_word(scanner, "", 0));
    bool open_line = scanner->line_open && scanner->level == PARE_TEXT_WORD;
    return open_line && close_line ? end_line(scanner) : PARE_OK;
}

void pri_scanner_free(pri_scanner *scanner)
{
    pri_free(scanner->carry);
    scanner->carry = NULL;
    scanner->carry_length = scanner->carry_capacity = 0;
}

static pare_status feed_file(pri_scanner *scanner, pri_reader *reader)
{
    char chunk[1 << 16];
    size_t size;
    do {
        PRI_TRY(pri_reader_read(reader, chunk, sizeof chunk, &size));
        PRI_TRY(pri_scanner_feed(scanner, chunk, size));
    } while (size && scanner->line < scanner->lines.end);
    return pri_scanner_finish(scanner, true);
}

pare_status pri_scanner_read(pri_scanner *scanner, const char *path)
{
    pri_reader *reader;
    PRI_TRY(pri_reader_open(path, &reader));
    pare_status status = feed_file(scanner, reader);
    pri_reader_close(reader);
    return status;
}
