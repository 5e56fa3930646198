/* From pieces back to text, as the decoders of the tokenizers package do it. */
#include <string.h>

#include "base/text_buffer.h"
#include "text/bpe.h"

/* The token with `blank` for each `mark` in it. */
static void append_token(pri_text *text, const char *token, const char *mark, const char *blank)
{
    for (const char *found; (found = strstr(token, mark)); token = found + strlen(mark)) {
        pri_text_append_bytes(text, token, (size_t)(found - token));
        pri_text_append_bytes(text, blank, strlen(blank));
    }
    pri_text_append_bytes(text, token, strlen(token));
}

/* Whether a token is no part of a text. */
static bool is_hidden(const pare_bpe *bpe, uint32_t id)
{
    if (id == bpe->special[PRI_SEQUENCE_UNKNOWN])
        return false;
    for (int i = 0; i < PRI_SEQUENCE_TOKENS; i++)
        if (bpe->special[i] == id)
            return true;
    for (size_t i = 0; i < bpe->tokens.added_count; i++)
        if (bpe->tokens.added[i].id == id)
            return bpe->tokens.added[i].special;
    return false;
}

static size_t count_shown(const pare_bpe *bpe, const uint32_t *ids, size_t count)
{
    size_t shown = 0;
    for (size_t i = 0; i < count; i++)
        shown += !is_hidden(bpe, ids[i]);
    return shown;
}

static void append_tokens(const pare_bpe *bpe, const uint32_t *ids, size_t count, pri_text *text)
{
    bool words = bpe->form == PARE_BPE_WORDS;
    size_t total = count_shown(bpe, ids, count);
    for (size_t i = 0, shown = 0; i < count; i++) {
        if (is_hidden(bpe, ids[i]))
            continue;
        bool at_end = words ? shown + 1 == total : !shown;
        append_token(text, pri_token_list_bytes(&bpe->tokens, ids[i]),
                     words ? PRI_END_OF_WORD : PRI_METASPACE, at_end ? "" : " ");
        shown++;
    }
}

pare_status pare_bpe_decode(const pare_bpe *bpe, const uint32_t *ids, size_t count, char **text)
{
    *text = NULL;
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= bpe->tokens.table.count)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "piece %zu has the id %u, but there are %zu tokens", i, ids[i],
                            bpe->tokens.table.count);
    pri_text buffer = {0};
    append_tokens(bpe, ids, count, &buffer);
    return pri_text_take(&buffer, text);
}
