/* UTF-8, read and written by the table of well-formed sequences in RFC 3629. */
#include "base/utf8.h"

#include <string.h>

static size_t expected_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* The second byte may not make an overlong form, a surrogate or a number above U+10FFFF. */
static bool may_follow(unsigned char lead, unsigned char second)
{
    unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return second >= lowest && second <= highest;
}

/* How many bytes agree with a character of `expected` bytes. */
static size_t agreeing_bytes(const unsigned char *bytes, size_t size, size_t expected)
{
    size_t end = size < expected ? size : expected;
    if (end < 2 || !may_follow(bytes[0], bytes[1]))
        return end ? 1 : 0;
    size_t count = 2;
    while (count < end && bytes[count] >= 0x80 && bytes[count] <= 0xbf)
        count++;
    return count;
}

size_t pri_utf8_length(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t expected = size ? expected_length(bytes[0]) : 0;
    return expected && agreeing_bytes(bytes, size, expected) == expected ? expected : 0;
}

size_t pri_utf8_read(const char *text, size_t size, uint32_t *character)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *bytes = (const unsigned char *)text;
    size_t expected = expected_length(bytes[0]);
    size_t count = expected ? agreeing_bytes(bytes, size, expected) : 1;
    *character = 0xfffd;
    if (count != expected)
        return count;
    *character = bytes[0] & lead_bits[expected];
    for (size_t i = 1; i < count; i++)
        *character = *character << 6 | (bytes[i] & 0x3f);
    return count;
}

/* Eight at a time: most texts are little else. */
static size_t skip_ascii(const char *text, size_t size)
{
    size_t skipped = 0;
    for (uint64_t eight; size - skipped >= sizeof eight; skipped += sizeof eight) {
        memcpy(&eight, text + skipped, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    return skipped;
}

size_t pri_utf8_valid_bytes(const char *text, size_t size)
{
    size_t valid = 0;
    for (size_t length = 1; valid < size && length; valid += length) {
        valid += skip_ascii(text + valid, size - valid);
        length = pri_utf8_length(text + valid, size - valid);
    }
    return valid;
}

bool pri_utf8_valid(const char *string)
{
    size_t size = strlen(string);
    return pri_utf8_valid_bytes(string, size) == size;
}

size_t pri_utf8_write(uint32_t character, char bytes[4])
{
    if (character < 0x80) {
        bytes[0] = (char)character;
        return 1;
    }
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; character >>= 6)
        bytes[i] = (char)(0x80 | (character & 0x3f));
    bytes[0] = (char)(leads[length] | character);
    return length;
}

static const char mark[] = {'\xef', '\xbb', '\xbf'};

size_t pri_utf8_mark(const char *text, size_t size)
{
    return size >= sizeof mark && !memcmp(text, mark, sizeof mark) ? sizeof mark : 0;
}

bool pri_utf8_begins_mark(const char *text, size_t size)
{
    return size < sizeof mark && !memcmp(text, mark, size);
}
