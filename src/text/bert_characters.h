/* What BERT's tokenizer does with a character. The classes come from a table of our own, made from
 * the tokenizers package (tools/golden/bert_characters.py), because ids must not depend on which
 * version of Unicode the installed utf8proc knows; decompositions and lower case come from
 * utf8proc. */
#ifndef PARE_SRC_TEXT_BERT_CHARACTERS_H
#define PARE_SRC_TEXT_BERT_CHARACTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PRI_DROPPED = 1,     /* control, format and private characters, U+0000, U+FFFD */
    PRI_SPACE = 2,       /* white space, also where it is dropped */
    PRI_PUNCTUATION = 4, /* a word of its own */
    PRI_MARK = 8,        /* nonspacing, an accent */
    PRI_DECOMPOSES = 16
};

typedef struct pri_character_range {
    uint32_t first, last;
    uint8_t flags, combining_class;
} pri_character_range;

/* Sorted; what lies between is a letter or the like: no flags, combining class 0. */
extern const pri_character_range pri_bert_characters[];
extern const size_t pri_bert_character_count;

typedef struct pri_character_kind {
    uint8_t flags, combining_class;
} pri_character_kind;
pri_character_kind pri_character_kind_of(uint32_t character);

/* CJK ideographs, which are words of one character each. */
bool pri_is_ideograph(uint32_t character);

#define PRI_LONGEST_DECOMPOSITION 4
/* The canonical decomposition (NFD) of a character that has PRI_DECOMPOSES; returns its length. */
size_t pri_decompose(uint32_t character, uint32_t decomposed[PRI_LONGEST_DECOMPOSITION]);

#define PRI_LONGEST_LOWER_CASE 2
/* By the character alone, without its neighbours or a language; returns the number of characters.
 */
size_t pri_lower_case(uint32_t character, uint32_t lower[PRI_LONGEST_LOWER_CASE]);

#endif
