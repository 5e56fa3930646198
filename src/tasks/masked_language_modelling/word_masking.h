/* Which words of a sequence are hidden, and behind what: the recipe of BERT (arXiv 1810.04805). */
#ifndef PARE_SRC_TASKS_WORD_MASKING_H
#define PARE_SRC_TASKS_WORD_MASKING_H

#include "pare/text.h"
#include "tasks/sequences.h"

typedef struct pri_word_masking {
    double share; /* of the words of a sequence that are chosen */
    pare_special_tokens special;
    uint32_t *words; /* the tokens that are not special: random words are drawn from these */
    size_t word_count;
} pri_word_masking;

/* Free also after a failure. */
pare_status pri_word_masking_create(const pare_wordpiece *tokenizer, double share,
                                    pri_word_masking *masking);
void pri_word_masking_free(pri_word_masking *masking);
/* Special tokens are neither chosen nor drawn. */
bool pri_is_special(const pare_special_tokens *special, uint32_t token);

/* The chosen words of one or several sequences. Zero-initialise. */
typedef struct pri_chosen_words {
    uint32_t *rows, *words; /* where, and what the text says there */
    size_t count, capacity;
} pri_chosen_words;
void pri_chosen_words_free(pri_chosen_words *chosen);
/* Makes room for `more` words, and adds one for which there is room. */
pare_status pri_chosen_words_reserve(pri_chosen_words *chosen, size_t more);
void pri_chosen_words_add(pri_chosen_words *chosen, size_t row, uint32_t word);

/* Chooses words of a sequence, appends them with rows from `first_row` on, and hides them in
 * `tokens`: everything is a function of `key` and the sequence. */
pare_status pri_mask_words(const pri_word_masking *masking, uint64_t key, size_t first_row,
                           uint32_t *tokens, size_t length, pri_chosen_words *chosen);

#endif
