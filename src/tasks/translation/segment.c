/* Segments are repaired before anything else looks at them, so that all that follows may take a
 * byte below 0x80 for a character. */
#include "tasks/translation/segment.h"

#include <string.h>

#include "base/utf8.h"
#include "tasks/python_text.h"

void pri_text_clear(pri_text *text)
{
    text->length = 0;
    pri_text_append_bytes(text, "", 0);
}

static void append_valid(const char *bytes, size_t length, pri_text *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t begin = 0;
    for (size_t at = 0; at < length;) {
        size_t valid = pri_utf8_length(bytes + at, length - at);
        if (valid) {
            at += valid;
            continue;
        }
        uint32_t character;
        pri_text_append_bytes(text, bytes + begin, at - begin);
        pri_text_append_bytes(text, replacement, sizeof replacement - 1);
        at += pri_utf8_read(bytes + at, length - at, &character);
        begin = at;
    }
    pri_text_append_bytes(text, bytes + begin, length - begin);
}

void pri_segment_read(const char *bytes, size_t length, bool lower_case, pri_text *text)
{
    pri_text_clear(text);
    append_valid(bytes, length, text);
    if (!lower_case || text->failed)
        return;
    pri_text lower = {0};
    pri_text_clear(&lower);
    pri_python_lower(text->data, text->length, &lower);
    pri_text_free(text);
    *text = lower;
}

void pri_text_replace(pri_text *text, const char *pattern, const char *replacement)
{
    size_t pattern_length = strlen(pattern), replacement_length = strlen(replacement);
    if (text->failed || !memchr(text->data, pattern[0], text->length))
        return;
    size_t kept = 0;
    for (size_t at = 0; at < text->length;) {
        if (text->length - at >= pattern_length &&
            !memcmp(text->data + at, pattern, pattern_length)) {
            memcpy(text->data + kept, replacement, replacement_length);
            kept += replacement_length;
            at += pattern_length;
        } else {
            text->data[kept++] = text->data[at++];
        }
    }
    text->length = kept;
}

/* The blank at the end makes the last joint one like all others. */
void pri_segment_join(const pri_text *segment, pri_text *joined)
{
    pri_text_clear(joined);
    pri_text_append_bytes(joined, segment->data, segment->length);
    pri_text_append_bytes(joined, " ", 1);
    pri_text_replace(joined, "@@ ", "");
}

const char *pri_next_word(const char **at, const char *end, size_t *length)
{
    const char *word = NULL;
    for (const char *next; *at < end; *at = next) {
        int32_t character;
        next = pri_next_character(*at, end, &character);
        bool space = pri_python_is_space(character);
        if (space && word)
            break;
        if (!space && !word)
            word = *at;
    }
    *length = word ? (size_t)(*at - word) : 0;
    return word;
}
