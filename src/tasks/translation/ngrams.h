/* N-grams that two sequences have in common. */
#ifndef PARE_SRC_TASKS_TRANSLATION_NGRAMS_H
#define PARE_SRC_TASKS_TRANSLATION_NGRAMS_H

#include "base/status.h"

#define PRI_NGRAM_ORDERS 6

/* Words or characters as numbers. Zero-initialise. */
typedef struct pri_units {
    uint32_t *values;
    size_t count, capacity;
} pri_units;

/* Makes room for `most` units and empties the sequence. */
pare_status pri_units_begin(pri_units *units, size_t most);
static inline void pri_units_append(pri_units *units, uint32_t value)
{
    units->values[units->count++] = value;
}
void pri_units_free(pri_units *units);

/* Of n-grams of n units, [n - 1]: how many each side has, and how many of the hypothesis's are also
 * in the reference, each at most as often as there. */
typedef struct pri_ngram_counts {
    uint64_t hypothesis[PRI_NGRAM_ORDERS], reference[PRI_NGRAM_ORDERS], matches[PRI_NGRAM_ORDERS];
} pri_ngram_counts;

/* Room to count in, used again and again. Zero-initialise. */
typedef struct pri_ngram_table {
    struct pri_ngram_slot *slots;
    size_t capacity;
    uint64_t round;
} pri_ngram_table;

void pri_ngram_table_free(pri_ngram_table *table);
/* Of all n up to `orders`. Units are smaller than 2^bits, and as many as `orders` fit into two
 * words of 64 bits: 6 of 21 bits, 4 of 32. */
pare_status pri_count_ngrams(pri_ngram_table *table, const pri_units *hypothesis,
                             const pri_units *reference, size_t orders, unsigned bits,
                             pri_ngram_counts *counts);
void pri_ngram_counts_add(pri_ngram_counts *sum, const pri_ngram_counts *counts);

#endif
