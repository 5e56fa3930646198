#include "tasks/question_answering/words.h"

#include <stdbool.h>
#include <string.h>

#define NARROW_SPACE "\xe2\x80\xaf" /* U+202F */
#define NARROW_SPACE_BYTES 3

/* Bytes of the blank that begins at byte `at`; 0: none does. */
static size_t blank_at(const char *text, size_t at)
{
    if (text[at] && strchr(" \t\r\n", text[at]))
        return 1;
    return strncmp(text + at, NARROW_SPACE, NARROW_SPACE_BYTES) ? 0 : NARROW_SPACE_BYTES;
}

static size_t blank_before(const char *text, size_t at)
{
    if (at && blank_at(text, at - 1) == 1)
        return 1;
    bool narrow =
        at >= NARROW_SPACE_BYTES && blank_at(text, at - NARROW_SPACE_BYTES) == NARROW_SPACE_BYTES;
    return narrow ? NARROW_SPACE_BYTES : 0;
}

void pri_trim_blanks(const char *text, size_t *begin, size_t *end)
{
    size_t bytes;
    while (*begin < *end && (bytes = blank_at(text, *begin)))
        *begin += bytes;
    while (*begin < *end && (bytes = blank_before(text, *end)))
        *end -= bytes;
}

void pri_widen_to_words(const char *text, size_t *begin, size_t *end)
{
    while (*begin && !blank_before(text, *begin))
        --*begin;
    while (text[*end] && !blank_at(text, *end))
        ++*end;
}
