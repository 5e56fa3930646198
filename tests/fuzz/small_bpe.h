/* A tokenizer of a few letters, put together by hand. */
#ifndef PARE_TESTS_FUZZ_SMALL_BPE_H
#define PARE_TESTS_FUZZ_SMALL_BPE_H

#include <stdlib.h>

#include "text/bpe.h"

static inline void append_token(pare_bpe *bpe, const char *token)
{
    if (pri_token_list_append(&bpe->tokens, token, "input") != PARE_OK)
        abort();
}

/* The special tokens, then the letters. */
static inline pare_bpe *begin_bpe(pare_bpe_form form, bool lower_case, const char *const *letters,
                                  size_t count)
{
    pare_bpe *bpe;
    if (pri_bpe_create(form, lower_case, &bpe) != PARE_OK)
        abort();
    for (size_t i = 0; i < PRI_SEQUENCE_TOKENS; i++)
        append_token(bpe, pri_sequence_names[i]);
    for (size_t i = 0; i < count; i++)
        append_token(bpe, letters[i]);
    return bpe;
}

static inline void finish_bpe(pare_bpe *bpe)
{
    if (pri_bpe_finish(bpe) != PARE_OK || pri_bpe_find_special(bpe, "input") != PARE_OK)
        abort();
}

#endif
