/* The tokenizer 13a: escapes of SGML are undone, then four regular expressions part words from
 * punctuation, one after the other, each over the whole output of the one before. All they name are
 * ASCII characters, and "not a digit" asks for one byte of a character only: of the last one when a
 * full stop follows, of the first one when it stands before. So bytes may be read instead of
 * characters. */
#include <string.h>

#include "tasks/python_text.h"
#include "tasks/translation/segment.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_no_digit(char c)
{
    return !is_digit(c);
}

static bool is_stop(char c)
{
    return c == '.' || c == ',';
}

static bool is_dash(char c)
{
    return c == '-';
}

/* Always a token of its own. */
static bool is_apart(char c)
{
    return c && strchr("{|}~[\\]^_` !\"#$%&()*+:;<=>?@/", c);
}

/* Two characters in a row and where blanks come beside the one between them. */
typedef struct pair_rule {
    bool (*first)(char), (*second)(char);
    bool blank_before, blank_after;
} pair_rule;

static const pair_rule pair_rules[] = {
    {is_no_digit, is_stop, false, true}, /* a full stop or comma, unless a digit is before it */
    {is_stop, is_no_digit, true, false}, /* ... or unless a digit follows */
    {is_digit, is_dash, false, true},
};

static void append_blank_if(bool condition, pri_text *text)
{
    pri_text_append_bytes(text, " ", condition);
}

/* Matches do not overlap: the second of a pair is never the first of the next one. */
static void part_pairs(const pair_rule *rule, const pri_text *text, pri_text *parted)
{
    pri_text_clear(parted);
    for (size_t at = 0; at < text->length; at++) {
        const char *pair = text->data + at;
        if (at + 1 == text->length || !rule->first(pair[0]) || !rule->second(pair[1])) {
            pri_text_append_bytes(parted, pair, 1);
            continue;
        }
        append_blank_if(rule->blank_before, parted);
        pri_text_append_bytes(parted, pair, 1);
        pri_text_append_bytes(parted, " ", 1);
        pri_text_append_bytes(parted, pair + 1, 1);
        append_blank_if(rule->blank_after, parted);
        at++;
    }
}

static void part_punctuation(const pri_text *text, pri_text *parted)
{
    pri_text_clear(parted);
    for (size_t at = 0; at < text->length; at++) {
        bool apart = is_apart(text->data[at]);
        append_blank_if(apart, parted);
        pri_text_append_bytes(parted, text->data + at, 1);
        append_blank_if(apart, parted);
    }
}

/* What str.rstrip leaves. */
static size_t length_without_end(const pri_text *text)
{
    size_t length = 0;
    const char *end = text->data + text->length;
    for (const char *at = text->data; at < end;) {
        int32_t character;
        at = pri_next_character(at, end, &character);
        if (!pri_python_is_space(character))
            length = (size_t)(at - text->data);
    }
    return length;
}

/* The order matters: "&amp;lt;" is "<", "&amp;quot;" is "&quot;". */
static void undo_escapes(pri_text *text)
{
    static const char *const escapes[][2] = {
        {"<skipped>", ""}, {"-\n", ""},   {"\n", " "},   {"&quot;", "\""},
        {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"},
    };
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        pri_text_replace(text, escapes[i][0], escapes[i][1]);
}

void pri_tokenize_13a(const pri_text *segment, pri_text *tokens, pri_text *scratch)
{
    pri_text_clear(scratch);
    pri_text_append_bytes(scratch, segment->data, length_without_end(segment));
    undo_escapes(scratch);
    pri_text_clear(tokens);
    pri_text_append_bytes(tokens, " ", 1);
    pri_text_append_bytes(tokens, scratch->data, scratch->length);
    pri_text_append_bytes(tokens, " ", 1);
    part_punctuation(tokens, scratch);
    part_pairs(&pair_rules[0], scratch, tokens);
    part_pairs(&pair_rules[1], tokens, scratch);
    part_pairs(&pair_rules[2], scratch, tokens);
    tokens->failed |= scratch->failed;
}
