/* Characters are counted as words of a table are. */
#include "text/alphabet.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

pare_status pri_count_characters(const pri_word_table *words, pri_word_table *characters)
{
    for (size_t n = 0; n < words->count; n++) {
        const pri_word *word = &words->words[n];
        const char *bytes = pri_word_table_bytes(words, word);
        for (size_t i = 0, length; i < word->length; i += length) {
            length = pri_utf8_length(bytes + i, word->length - i);
            PRI_TRY(pri_word_table_add(characters, bytes + i, length, word->count, NULL));
        }
    }
    return PARE_OK;
}

/* UTF-8 sorts as its characters' numbers do. */
static int compare_numbers(const void *a, const void *b)
{
    return strcmp(((const pri_letter *)a)->bytes, ((const pri_letter *)b)->bytes);
}

static int compare_counts(const void *a, const void *b)
{
    const pri_letter *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return compare_numbers(a, b);
}

pare_status pri_letters_of(const pri_word_table *characters, size_t limit, pri_letter **letters,
                           size_t *count)
{
    pri_letter *sorted = pri_allocate_zero(characters->count, sizeof *sorted);
    if (!sorted)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < characters->count; i++) {
        const pri_word *word = &characters->words[i];
        memcpy(sorted[i].bytes, pri_word_table_bytes(characters, word), word->length);
        sorted[i].count = word->count;
    }
    qsort(sorted, characters->count, sizeof *sorted, compare_counts);
    *count = characters->count < limit ? characters->count : limit;
    qsort(sorted, *count, sizeof *sorted, compare_numbers);
    *letters = sorted;
    return PARE_OK;
}
