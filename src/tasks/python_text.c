/* Character classes come from utf8proc, whose tables follow the same Unicode data as Python's. */
#include "tasks/python_text.h"

#include <utf8proc.h>

#include "base/utf8.h"

enum {
    CAPITAL_I_WITH_DOT = 0x130, /* the one character whose lower case is two */
    COMBINING_DOT_ABOVE = 0x307,
    CAPITAL_SIGMA = 0x3a3,
    FINAL_SIGMA = 0x3c2,
    SMALL_SIGMA = 0x3c3
};

const char *pri_next_character(const char *text, const char *end, int32_t *character)
{
    utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)text, end - text, character);
    if (length > 0)
        return text + length;
    *character = 0xfffd; /* not reached in valid text */
    return text + 1;
}

bool pri_python_is_space(int32_t character)
{
    const utf8proc_property_t *property = utf8proc_get_property(character);
    return property->category == UTF8PROC_CATEGORY_ZS ||
           property->bidi_class == UTF8PROC_BIDI_CLASS_WS ||
           property->bidi_class == UTF8PROC_BIDI_CLASS_B ||
           property->bidi_class == UTF8PROC_BIDI_CLASS_S;
}

bool pri_python_is_word(int32_t character)
{
    switch (utf8proc_category(character)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return character == '_';
    }
}

bool pri_is_mark(int32_t character)
{
    utf8proc_category_t category = utf8proc_category(character);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

/* ---- Lower case ---- */

/* Unicode's Case_Ignorable: classes, and characters that stand inside of words (Word_Break
 * MidLetter, MidNumLet and Single_Quote). */
static bool is_case_ignorable(int32_t character)
{
    static const int32_t inside_words[] = {'\'',   '.',    ':',    0xb7,   0x387,  0x55f,
                                           0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                           0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < sizeof inside_words / sizeof *inside_words; i++)
        if (character == inside_words[i])
            return true;
    switch (utf8proc_category(character)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* Unicode's Cased: letters with a case, and other characters that have one. */
static bool is_cased(int32_t character)
{
    switch (utf8proc_category(character)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return true;
    default:
        break;
    }
    bool ordinal = character == 0xaa || character == 0xba;
    bool squared = (character >= 0x1f130 && character <= 0x1f149) ||
                   (character >= 0x1f150 && character <= 0x1f169) ||
                   (character >= 0x1f170 && character <= 0x1f189);
    return ordinal || squared || utf8proc_tolower(character) != character ||
           utf8proc_toupper(character) != character;
}

static const char *previous_character(const char *begin, const char *text, int32_t *character)
{
    do
        text--;
    while (text > begin && ((unsigned char)*text & 0xc0) == 0x80);
    pri_next_character(text, text + 4, character);
    return text;
}

static bool follows_cased(const char *begin, const char *text)
{
    int32_t character;
    while (text > begin) {
        text = previous_character(begin, text, &character);
        if (!is_case_ignorable(character))
            return is_cased(character);
    }
    return false;
}

static bool precedes_cased(const char *text, const char *end)
{
    int32_t character;
    while (text < end) {
        text = pri_next_character(text, end, &character);
        if (!is_case_ignorable(character))
            return is_cased(character);
    }
    return false;
}

static void append_character(pri_text *text, int32_t character)
{
    char bytes[4];
    pri_text_append_bytes(text, bytes, pri_utf8_write((uint32_t)character, bytes));
}

void pri_python_lower(const char *text, size_t length, pri_text *lower)
{
    const char *end = text + length;
    for (const char *at = text; at < end;) {
        int32_t character;
        const char *next = pri_next_character(at, end, &character);
        if (character == CAPITAL_I_WITH_DOT) {
            append_character(lower, 'i');
            append_character(lower, COMBINING_DOT_ABOVE);
        } else if (character == CAPITAL_SIGMA) {
            bool final = follows_cased(text, at) && !precedes_cased(next, end);
            append_character(lower, final ? FINAL_SIGMA : SMALL_SIGMA);
        } else {
            append_character(lower, utf8proc_tolower(character));
        }
        at = next;
    }
}
