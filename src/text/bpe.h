/* Inside a tokenizer of byte-pair encoding. */
#ifndef PARE_SRC_TEXT_BPE_H
#define PARE_SRC_TEXT_BPE_H

#include "pare/text.h"
#include "text/bert_words.h"
#include "text/token_list.h"

#define PRI_END_OF_WORD "</w>"
#define PRI_METASPACE "\u2581"
#define PRI_METASPACE_CHARACTER 0x2581

enum { PRI_SEQUENCE_BEGIN, PRI_SEQUENCE_PADDING, PRI_SEQUENCE_END, PRI_SEQUENCE_UNKNOWN };
#define PRI_SEQUENCE_TOKENS 4
extern const char *const pri_sequence_names[PRI_SEQUENCE_TOKENS]; /* "<s>" */

typedef struct pri_bpe_merge {
    uint32_t left, right, merged; /* ids; left PRI_NO_WORD: none, in the table of slots */
} pri_bpe_merge;

typedef struct pri_bpe_letter {
    uint32_t character;
    uint32_t inner, last; /* ids where a word goes on and where it ends, or PRI_NO_WORD; both: an
                             empty slot */
} pri_bpe_letter;

struct pare_bpe {
    pri_token_list tokens;
    size_t vocabulary; /* tokens of the model; later ones are only added ones */
    pare_bpe_form form;
    pri_bert_rules rules;
    uint32_t special[PRI_SEQUENCE_TOKENS]; /* ids, or PARE_NO_TOKEN */
    pri_bpe_merge *merges;                 /* the first comes first */
    size_t merge_count, merge_capacity;
    /* Derived. */
    uint32_t *merge_slots; /* numbers of merges or PRI_NO_WORD; a power of two, at most half used */
    size_t merge_slot_count;
    pri_bpe_letter *letters; /* a power of two */
    size_t letter_slot_count;
};

/* An empty tokenizer. */
pare_status pri_bpe_create(pare_bpe_form form, bool lower_case, pare_bpe **bpe);
/* The next merge. One that is there already is a format error. */
pare_status pri_bpe_add_merge(pare_bpe *bpe, pri_bpe_merge merge, const char *name);
/* Ends vocabulary and merges, after which only added tokens come, and prepares look-ups. */
pare_status pri_bpe_finish(pare_bpe *bpe);
/* Finds the special tokens among all tokens; <s> and <pad> may be missing. */
pare_status pri_bpe_find_special(pare_bpe *bpe, const char *name);
/* The number of the merge that makes one piece of two, or PRI_NO_WORD. */
uint32_t pri_bpe_rank(const pare_bpe *bpe, uint32_t left, uint32_t right);
/* The piece of a character, the last of a word or another one; <unk> when there is none. */
uint32_t pri_bpe_letter_id(const pare_bpe *bpe, uint32_t character, bool last);

/* What the vocabularies that are made here begin with: special tokens, the letters by their
 * numbers, and those that end words. */
pare_status pri_bpe_begin_vocabulary(pare_bpe *bpe, const pri_word_table *letters,
                                     const pri_word_table *last_letters, const char *name);

#endif
