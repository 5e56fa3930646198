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

size_t pri_utf8_length(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = size ? expected_length(bytes[0]) : 0;
    if (!length || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (bytes[i] < 0x80 || bytes[i] > 0xbf)
            return 0;
    bool overlong = (bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xf0 && bytes[1] < 0x90);
    bool surrogate = bytes[0] == 0xed && bytes[1] > 0x9f;
    bool too_large = bytes[0] == 0xf4 && bytes[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : length;
}

bool pri_utf8_valid(const char *string)
{
    size_t size = strlen(string);
    while (size) {
        size_t length = pri_utf8_length(string, size);
        if (!length)
            return false;
        string += length;
        size -= length;
    }
    return true;
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
