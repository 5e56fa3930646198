/* Classes by binary search, and what utf8proc knows. */
#include "text/bert_characters.h"

#include <utf8proc.h>

pri_character_kind pri_character_kind_of(uint32_t character)
{
    size_t begin = 0, end = pri_bert_character_count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        const pri_character_range *range = &pri_bert_characters[middle];
        if (character < range->first)
            end = middle;
        else if (character > range->last)
            begin = middle + 1;
        else
            return (pri_character_kind){range->flags, range->combining_class};
    }
    return (pri_character_kind){0, 0};
}

bool pri_is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

size_t pri_decompose(uint32_t character, uint32_t decomposed[PRI_LONGEST_DECOMPOSITION])
{
    utf8proc_int32_t found[PRI_LONGEST_DECOMPOSITION];
    int boundary_class = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)character, found, PRI_LONGEST_DECOMPOSITION,
                                UTF8PROC_DECOMPOSE, &boundary_class);
    if (count < 1 ||
        count > PRI_LONGEST_DECOMPOSITION) { /* a library that is older than the table */
        decomposed[0] = character;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < count; i++)
        decomposed[i] = (uint32_t)found[i];
    return (size_t)count;
}

/* Capitals that the oldest supported utf8proc (2.7, Unicode 14) does not know yet. */
static const struct {
    uint32_t first, last, lower;
} recent_capitals[] = {
    {0x1c89, 0x1c89, 0x1c8a},    {0xa7cb, 0xa7cb, 0x264},  {0xa7cc, 0xa7cc, 0xa7cd},
    {0xa7ce, 0xa7ce, 0xa7cf},    {0xa7d2, 0xa7d2, 0xa7d3}, {0xa7d4, 0xa7d4, 0xa7d5},
    {0xa7da, 0xa7da, 0xa7db},    {0xa7dc, 0xa7dc, 0x19b},  {0x10d50, 0x10d65, 0x10d70},
    {0x16ea0, 0x16eb8, 0x16ebb},
};

size_t pri_lower_case(uint32_t character, uint32_t lower[PRI_LONGEST_LOWER_CASE])
{
    if (character == 0x130) { /* dotted capital I: i and a dot above */
        lower[0] = 'i';
        lower[1] = 0x307;
        return 2;
    }
    lower[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)character);
    for (size_t i = 0; i < sizeof recent_capitals / sizeof recent_capitals[0]; i++)
        if (character >= recent_capitals[i].first && character <= recent_capitals[i].last)
            lower[0] = recent_capitals[i].lower + (character - recent_capitals[i].first);
    return 1;
}
