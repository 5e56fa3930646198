/* Encoding. The first byte chooses form and case. Pieces must lie in the text, a text that is cut
 * at a space must give the same pieces as the whole, and decoding must not fail. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "small_bpe.h"
#include "text/bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const letters[] = {"a", "b",      "e",      "A",      "(",      "<",
                                      "/", "w",      ">",      "\u2581", "\u0130", "\u0307",
                                      "i", "\ufffd", "\u4e2d", "\u0301"};
/* Numbers of letters, and of what earlier lines make, which come behind them. */
static const uint8_t merges[][2] = {{0, 1},  {0, 0},   {17, 0},  {17, 17}, {9, 0},
                                    {16, 2}, {12, 11}, {13, 13}, {1, 0},   {2, 15}};
#define LETTERS (sizeof letters / sizeof letters[0])

static void add_merges(pare_bpe *bpe)
{
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        pri_bpe_merge merge = {PRI_SEQUENCE_TOKENS + merges[i][0],
                               PRI_SEQUENCE_TOKENS + merges[i][1],
                               (uint32_t)bpe->tokens.table.count};
        char *token = pri_token_list_join(&bpe->tokens, merge.left, merge.right, 0);
        if (!token)
            abort();
        append_token(bpe, token);
        if (pri_bpe_add_merge(bpe, merge, "input") != PARE_OK)
            abort();
        pri_free(token);
    }
}

static pare_bpe *make_tokenizer(uint8_t choice)
{
    pare_bpe_form form = choice & 1 ? PARE_BPE_METASPACE : PARE_BPE_WORDS;
    pare_bpe *bpe = begin_bpe(form, choice & 2, letters, LETTERS);
    add_merges(bpe);
    append_token(bpe, "a</w>");
    finish_bpe(bpe);
    if (choice & 4 && pri_token_list_mark_added(&bpe->tokens, 2, true) != PARE_OK)
        abort();
    return bpe;
}

static void encode(const pare_bpe *bpe, const char *text, size_t size, pare_pieces *pieces)
{
    if (pare_bpe_encode(bpe, text, size, pieces) != PARE_OK)
        abort();
}

static void compare_cut(const pare_bpe *bpe, const char *text, size_t size, size_t cut,
                        const pare_pieces *whole)
{
    pare_pieces parts = {0};
    encode(bpe, text, cut, &parts);
    size_t first = parts.count;
    encode(bpe, text + cut, size - cut, &parts);
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

/* Pieces of one word can be merged no more. */
static void check_merged(const pare_bpe *bpe, const pare_pieces *pieces)
{
    for (size_t i = 1; i < pieces->count; i++)
        if (bpe->form == PARE_BPE_WORDS && pieces->begins[i] == pieces->ends[i - 1] &&
            pieces->ids[i - 1] != 2 && pieces->ids[i] != 2 &&
            pri_bpe_rank(bpe, pieces->ids[i - 1], pieces->ids[i]) != PRI_NO_WORD)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    pare_bpe *bpe = make_tokenizer(data[0]);
    const char *text = (const char *)data + 1;
    pare_pieces pieces = {0};
    encode(bpe, text, --size, &pieces);
    for (size_t i = 0; i < pieces.count; i++)
        if (pieces.ids[i] >= pare_bpe_size(bpe) || pieces.begins[i] >= pieces.ends[i] ||
            pieces.ends[i] > size || (i && pieces.begins[i] < pieces.begins[i - 1]) ||
            (i && pieces.ends[i] < pieces.ends[i - 1]))
            abort();
    check_merged(bpe, &pieces);
    const char *space = memchr(text, ' ', size);
    if (space)
        compare_cut(bpe, text, size, (size_t)(space - text), &pieces);
    char *decoded;
    if (pare_bpe_decode(bpe, pieces.ids, pieces.count, &decoded) != PARE_OK)
        abort();
    free(decoded);
    pare_pieces_count_characters(&pieces, text, size);
    pare_pieces_free(&pieces);
    pare_bpe_destroy(bpe);
    return 0;
}
