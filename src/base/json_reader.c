/* JSON, a token at a time. Strings are decoded into memory of their own, at most as long as they
 * are in the text. */
#include "base/json_reader.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

static pare_status fail(const pri_json_reader *reader, const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: not valid JSON of this format (byte %zu: %s)",
                    reader->name, reader->position, reason);
}

static void skip_space(pri_json_reader *reader)
{
    while (reader->position < reader->size) {
        char c = reader->text[reader->position];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        reader->position++;
    }
}

bool pri_json_reader_sees(pri_json_reader *reader, char first)
{
    skip_space(reader);
    return reader->position < reader->size && reader->text[reader->position] == first;
}

static bool take(pri_json_reader *reader, char c)
{
    bool seen = pri_json_reader_sees(reader, c);
    reader->position += seen;
    return seen;
}

pare_status pri_json_reader_open(pri_json_reader *reader, char bracket)
{
    if (!take(reader, bracket))
        return fail(reader, bracket == '{' ? "an object, {...}, was expected"
                                           : "an array, [...], was expected");
    reader->opened = true;
    return PARE_OK;
}

pare_status pri_json_reader_next(pri_json_reader *reader, char bracket, bool *more)
{
    bool opened = reader->opened;
    reader->opened = false;
    *more = !take(reader, bracket);
    if (*more && !opened && !take(reader, ','))
        return fail(reader, bracket == '}' ? "',' or '}' was expected" : "',' or ']' was expected");
    return PARE_OK;
}

pare_status pri_json_reader_end(pri_json_reader *reader)
{
    skip_space(reader);
    return reader->position == reader->size ? PARE_OK : fail(reader, "the end was expected");
}

/* ---- Strings ---- */

static pare_status read_hexadecimal(pri_json_reader *reader, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = reader->position < reader->size ? reader->text[reader->position] : 0;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            return fail(reader, "\\u needs four hexadecimal digits");
        *unit = *unit << 4 | digit;
        reader->position++;
    }
    return PARE_OK;
}

/* What follows "\u": one UTF-16 unit, or two that make a surrogate pair. */
static pare_status read_unicode_escape(pri_json_reader *reader, uint32_t *character)
{
    PRI_TRY(read_hexadecimal(reader, character));
    if (!*character)
        return fail(reader, "a string must not hold \\u0000");
    if (*character < 0xd800 || *character > 0xdfff)
        return PARE_OK;
    uint32_t low = 0;
    bool pair = *character < 0xdc00 && reader->size - reader->position >= 2 &&
                !memcmp(reader->text + reader->position, "\\u", 2);
    if (pair) {
        reader->position += 2;
        PRI_TRY(read_hexadecimal(reader, &low));
    }
    if (low < 0xdc00 || low > 0xdfff)
        return fail(reader, "half of a surrogate pair");
    *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
    return PARE_OK;
}

/* Decodes the escape after a backslash to the end of `string`. */
static pare_status read_escape(pri_json_reader *reader, char *string, size_t *length)
{
    static const char codes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char code = reader->position < reader->size ? reader->text[reader->position] : 0;
    if (code == 'u') {
        uint32_t character;
        reader->position++;
        PRI_TRY(read_unicode_escape(reader, &character));
        *length += pri_utf8_write(character, string + *length);
        return PARE_OK;
    }
    const char *known = code ? strchr(codes, code) : NULL;
    if (!known)
        return fail(reader, "unknown escape");
    reader->position++;
    string[(*length)++] = meanings[known - codes];
    return PARE_OK;
}

static pare_status read_characters(pri_json_reader *reader, char *string)
{
    size_t length = 0;
    while (reader->position < reader->size) {
        const char *at = reader->text + reader->position;
        if (*at == '"') {
            reader->position++;
            string[length] = 0;
            return PARE_OK;
        }
        if (*at == '\\') {
            reader->position++;
            PRI_TRY(read_escape(reader, string, &length));
            continue;
        }
        size_t bytes = pri_utf8_length(at, reader->size - reader->position);
        if (!bytes)
            return fail(reader, "not UTF-8");
        if ((unsigned char)*at < ' ')
            return fail(reader, "a control character in a string");
        memcpy(string + length, at, bytes);
        length += bytes;
        reader->position += bytes;
    }
    return fail(reader, "the string does not end");
}

/* Bytes up to the closing quote: decoding makes none of them more. */
static size_t bound_length(const pri_json_reader *reader)
{
    size_t at = reader->position;
    while (at < reader->size && reader->text[at] != '"')
        at += reader->text[at] == '\\' ? 2 : 1;
    return (at < reader->size ? at : reader->size) - reader->position;
}

pare_status pri_json_reader_string(pri_json_reader *reader, char **string)
{
    *string = NULL;
    if (!take(reader, '"'))
        return fail(reader, "a string was expected");
    char *decoded = pri_allocate(bound_length(reader) + 1, 1);
    if (!decoded)
        return PARE_ERROR_MEMORY;
    pare_status status = read_characters(reader, decoded);
    if (status != PARE_OK) {
        pri_free(decoded);
        return status;
    }
    *string = decoded;
    return PARE_OK;
}

pare_status pri_json_reader_key(pri_json_reader *reader, char **key)
{
    PRI_TRY(pri_json_reader_string(reader, key));
    if (take(reader, ':'))
        return PARE_OK;
    pri_free(*key);
    *key = NULL;
    return fail(reader, "':' was expected after a key");
}

/* ---- Numbers ---- */

pare_status pri_json_reader_whole_number(pri_json_reader *reader, uint64_t *number)
{
    static const char expected[] = "a whole number, 0 or more, was expected";
    skip_space(reader);
    size_t first = reader->position;
    *number = 0;
    for (; reader->position < reader->size; reader->position++) {
        char c = reader->text[reader->position];
        if (c < '0' || c > '9')
            break;
        unsigned digit = (unsigned)(c - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            return fail(reader, "the number is larger than 2^64 - 1");
        *number = 10 * *number + digit;
    }
    size_t digits = reader->position - first;
    if (!digits || (reader->text[first] == '0' && digits > 1))
        return fail(reader, expected);
    if (reader->position < reader->size && strchr(".eE", reader->text[reader->position]) &&
        reader->text[reader->position])
        return fail(reader, expected);
    return PARE_OK;
}
