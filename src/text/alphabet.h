/* The characters of words, from which the pieces of a vocabulary grow. */
#ifndef PARE_SRC_TEXT_ALPHABET_H
#define PARE_SRC_TEXT_ALPHABET_H

#include "base/status.h"
#include "text/word_table.h"

/* Adds the characters of all words, which are UTF-8, with the words' counts. */
pare_status pri_count_characters(const pri_word_table *words, pri_word_table *characters);

typedef struct pri_letter {
    char bytes[5]; /* zero-terminated */
    uint64_t count;
} pri_letter;
/* The `limit` most frequent of the characters, in order of their numbers. */
pare_status pri_letters_of(const pri_word_table *characters, size_t limit, pri_letter **letters,
                           size_t *count);

#endif
