/* Masking words. Of n words, round(share * n) are chosen and at least one, each set of that many
 * being equally likely; 80% of the chosen become [MASK], 10% a random word, 10% stay. */
#include "tasks/masked_language_modelling/word_masking.h"

#include <math.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"

#define MASK_SHARE 0.8
#define RANDOM_SHARE 0.1

bool pri_is_special(const pare_special_tokens *special, uint32_t token)
{
    return token == special->padding || token == special->unknown ||
           token == special->classification || token == special->separator ||
           token == special->mask;
}

pare_status pri_word_masking_create(const pare_wordpiece *tokenizer, double share,
                                    pri_word_masking *masking)
{
    *masking =
        (pri_word_masking){.share = share, .special = pare_wordpiece_special_tokens(tokenizer)};
    if (!(share > 0 && share < 1))
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "data.masked_share %g of the words cannot be masked; use a share between 0 and 1, "
            "such as 0.15",
            share);
    size_t size = pare_wordpiece_size(tokenizer);
    masking->words = pri_allocate(size, sizeof *masking->words);
    if (!masking->words)
        return PARE_ERROR_MEMORY;
    for (size_t token = 0; token < size; token++)
        if (!pri_is_special(&masking->special, (uint32_t)token))
            masking->words[masking->word_count++] = (uint32_t)token;
    if (!masking->word_count)
        return pri_fail(PARE_ERROR_FORMAT, "the tokenizer has special tokens only");
    return PARE_OK;
}

void pri_word_masking_free(pri_word_masking *masking)
{
    pri_free(masking->words);
    *masking = (pri_word_masking){0};
}

void pri_chosen_words_free(pri_chosen_words *chosen)
{
    pri_free(chosen->rows);
    pri_free(chosen->words);
    *chosen = (pri_chosen_words){0};
}

pare_status pri_chosen_words_reserve(pri_chosen_words *chosen, size_t more)
{
    if (chosen->capacity - chosen->count >= more)
        return PARE_OK;
    size_t capacity = pri_larger(chosen->count + more, 2 * chosen->capacity);
    uint32_t *rows = pri_reallocate(chosen->rows, chosen->count, capacity, sizeof *rows);
    if (!rows)
        return PARE_ERROR_MEMORY;
    chosen->rows = rows;
    uint32_t *words = pri_reallocate(chosen->words, chosen->count, capacity, sizeof *words);
    if (!words)
        return PARE_ERROR_MEMORY;
    chosen->words = words;
    chosen->capacity = capacity;
    return PARE_OK;
}

void pri_chosen_words_add(pri_chosen_words *chosen, size_t row, uint32_t word)
{
    chosen->rows[chosen->count] = (uint32_t)row;
    chosen->words[chosen->count++] = word;
}

static size_t count_words(const pri_word_masking *masking, const uint32_t *tokens, size_t length)
{
    size_t words = 0;
    for (size_t i = 0; i < length; i++)
        words += !pri_is_special(&masking->special, tokens[i]);
    return words;
}

static size_t words_to_choose(const pri_word_masking *masking, size_t words)
{
    size_t rounded = (size_t)rint(masking->share * (double)words);
    return pri_smaller(pri_larger(rounded, 1), words);
}

/* Draws of the token at position i. */
enum { DRAW_CHOICE, DRAW_KIND, DRAW_WORD, DRAWS };

static uint32_t hide(const pri_word_masking *masking, uint64_t key, size_t i, uint32_t word)
{
    double kind = pri_random_uniform(key, DRAWS * i + DRAW_KIND);
    if (kind < MASK_SHARE)
        return masking->special.mask;
    if (kind < MASK_SHARE + RANDOM_SHARE)
        return masking->words[pri_random_below(key, DRAWS * i + DRAW_WORD, masking->word_count)];
    return word;
}

pare_status pri_mask_words(const pri_word_masking *masking, uint64_t key, size_t first_row,
                           uint32_t *tokens, size_t length, pri_chosen_words *chosen)
{
    size_t left = count_words(masking, tokens, length);
    size_t wanted = words_to_choose(masking, left);
    PRI_TRY(pri_chosen_words_reserve(chosen, wanted));
    for (size_t i = 0; i < length && wanted; i++) {
        if (pri_is_special(&masking->special, tokens[i]))
            continue;
        if (pri_random_below(key, DRAWS * i + DRAW_CHOICE, left--) >= wanted)
            continue;
        wanted--;
        pri_chosen_words_add(chosen, first_row + i, tokens[i]);
        tokens[i] = hide(masking, key, i, tokens[i]);
    }
    return PARE_OK;
}
