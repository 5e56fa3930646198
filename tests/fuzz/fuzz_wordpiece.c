/* Encoding. The first byte chooses the settings. Pieces must lie in the text, and a text that is
 * cut at a space must give the same pieces as the whole. */
#include <stdlib.h>
#include <string.h>

#include "text/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const tokens[] = {
    "[PAD]",  "[UNK]",    "[CLS]", "[SEP]",  "[MASK]",   "a",      "##a",      "ab",
    "##b",    "e",        "##e",   "A",      "\u00e9",   "\u0301", "##\u0301", "\u302e",
    "\u4e2d", "##\ufffd", ".",     "\u1100", "##\u1161", "i",      "##\u0307"};

static pare_wordpiece *make_tokenizer(uint8_t choice)
{
    pri_bert_settings settings = pri_bert_settings_default();
    settings.clean_text = !(choice & 1);
    settings.split_ideographs = !(choice & 2);
    settings.lower_case = !(choice & 4);
    settings.accents = (pri_accents)((choice >> 3 & 3) % 3);
    settings.word_characters = choice & 32 ? 3 : 100;
    pare_wordpiece *tokenizer;
    if (pri_wordpiece_create(&settings, &tokenizer) != PARE_OK)
        abort();
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        if (pri_token_list_append(&tokenizer->tokens, tokens[i], "input") != PARE_OK)
            abort();
    if (pri_wordpiece_finish(tokenizer, pri_role_names, "input") != PARE_OK)
        abort();
    for (int role = 0; role < PRI_ROLES; role++)
        if (pri_token_list_mark_added(&tokenizer->tokens, tokenizer->roles[role], true) != PARE_OK)
            abort();
    return tokenizer;
}

static void encode(const pare_wordpiece *tokenizer, const char *text, size_t size,
                   pare_pieces *pieces)
{
    if (pare_wordpiece_encode(tokenizer, text, size, pieces) != PARE_OK)
        abort();
}

static void compare_cut(const pare_wordpiece *tokenizer, const char *text, size_t size, size_t cut,
                        const pare_pieces *whole)
{
    pare_pieces parts = {0};
    encode(tokenizer, text, cut, &parts);
    size_t first = parts.count;
    encode(tokenizer, text + cut, size - cut, &parts);
    if (parts.count != whole->count)
        abort();
    for (size_t i = 0; i < parts.count; i++) {
        size_t shift = i < first ? 0 : cut;
        if (parts.ids[i] != whole->ids[i] || parts.begins[i] + shift != whole->begins[i] ||
            parts.ends[i] + shift != whole->ends[i])
            abort();
    }
    pare_pieces_free(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    pare_wordpiece *tokenizer = make_tokenizer(data[0]);
    const char *text = (const char *)data + 1;
    pare_pieces pieces = {0};
    encode(tokenizer, text, --size, &pieces);
    for (size_t i = 0; i < pieces.count; i++)
        if (pieces.ids[i] >= pare_wordpiece_size(tokenizer) || pieces.begins[i] >= pieces.ends[i] ||
            pieces.ends[i] > size || (i && pieces.begins[i] < pieces.begins[i - 1]) ||
            (i && pieces.ends[i] < pieces.ends[i - 1]))
            abort();
    const char *space = memchr(text, ' ', size);
    if (space)
        compare_cut(tokenizer, text, size, (size_t)(space - text), &pieces);
    pare_pieces_count_characters(&pieces, text, size);
    pare_pieces_free(&pieces);
    pare_wordpiece_destroy(tokenizer);
    return 0;
}
