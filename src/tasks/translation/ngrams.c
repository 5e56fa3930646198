/* A hash table with open addressing and linear probing. An n-gram is packed into 128 bits, without
 * loss, so that equal keys are equal n-grams. The table is not cleared between uses, which after
 * one long segment would cost as much for every short one: a slot counts only when it carries the
 * number of the current round, and a round uses no more slots than its n-grams need. */
#include "tasks/translation/ngrams.h"

#include "base/memory.h"
#include "base/random.h"

typedef struct ngram {
    uint64_t older, newer; /* halves; the newest unit lies lowest */
} ngram;

typedef struct pri_ngram_slot {
    ngram key;
    uint64_t round, count;
} ngram_slot;

void pri_units_free(pri_units *units)
{
    pri_free(units->values);
    *units = (pri_units){0};
}

pare_status pri_units_begin(pri_units *units, size_t most)
{
    units->count = 0;
    if (most <= units->capacity)
        return PARE_OK;
    uint32_t *values = pri_allocate(most, sizeof *values);
    if (!values)
        return PARE_ERROR_MEMORY;
    pri_free(units->values);
    units->values = values;
    units->capacity = most;
    return PARE_OK;
}

/* ---- The table ---- */

void pri_ngram_table_free(pri_ngram_table *table)
{
    pri_free(table->slots);
    *table = (pri_ngram_table){0};
}

/* Empties the table for at most `most` n-grams; *mask + 1 slots are in use. */
static pare_status begin_round(pri_ngram_table *table, size_t most, size_t *mask)
{
    size_t slot_count = 64;
    while (slot_count / 2 < most)
        slot_count *= 2;
    if (slot_count > table->capacity) {
        ngram_slot *slots = pri_allocate_zero(slot_count, sizeof *slots);
        if (!slots)
            return PARE_ERROR_MEMORY;
        pri_free(table->slots);
        *table = (pri_ngram_table){.slots = slots, .capacity = slot_count};
    }
    table->round++;
    *mask = slot_count - 1;
    return PARE_OK;
}

/* The slot of the n-gram, or the free one where it belongs. */
static ngram_slot *find_slot(const pri_ngram_table *table, size_t mask, ngram key)
{
    size_t at = pri_random_bits(key.older, key.newer) & mask;
    for (;; at = (at + 1) & mask) {
        ngram_slot *slot = &table->slots[at];
        if (slot->round != table->round ||
            (slot->key.older == key.older && slot->key.newer == key.newer))
            return slot;
    }
}

static void put(pri_ngram_table *table, size_t mask, ngram key)
{
    ngram_slot *slot = find_slot(table, mask, key);
    if (slot->round != table->round)
        *slot = (ngram_slot){.key = key, .round = table->round};
    slot->count++;
}

/* Whether there was one. */
static bool take(pri_ngram_table *table, size_t mask, ngram key)
{
    ngram_slot *slot = find_slot(table, mask, key);
    if (slot->round != table->round || !slot->count)
        return false;
    slot->count--;
    return true;
}

/* ---- Counting ---- */

/* Which bits of the halves the newest units have. */
typedef struct window {
    ngram mask;
    unsigned bits, half_bits; /* of a unit; of a half's units but one */
} window;

static uint64_t low_bits(unsigned count)
{
    return count ? UINT64_MAX >> (64 - count) : 0;
}

static window window_of(size_t order, unsigned bits)
{
    unsigned half = 64 / bits, units = (unsigned)order;
    unsigned newer = units < half ? units : half;
    return (window){.mask = {low_bits((units - newer) * bits), low_bits(newer * bits)},
                    .bits = bits,
                    .half_bits = (half - 1) * bits};
}

/* The window that ends with `unit`. */
static ngram slide(const window *over, ngram before, uint32_t unit)
{
    uint64_t leaving = before.newer >> over->half_bits;
    return (ngram){(before.older << over->bits | leaving) & over->mask.older,
                   (before.newer << over->bits | unit) & over->mask.newer};
}

static uint64_t ngrams_of(const pri_units *units, size_t order)
{
    return units->count < order ? 0 : units->count - order + 1;
}

static pare_status count_order(pri_ngram_table *table, const pri_units *hypothesis,
                               const pri_units *reference, size_t order, unsigned bits,
                               uint64_t *matches)
{
    window over = window_of(order, bits);
    size_t mask;
    PRI_TRY(begin_round(table, reference->count, &mask));
    ngram key = {0};
    for (size_t i = 0; i < reference->count; i++) {
        key = slide(&over, key, reference->values[i]);
        if (i + 1 >= order)
            put(table, mask, key);
    }
    key = (ngram){0};
    *matches = 0;
    for (size_t i = 0; i < hypothesis->count; i++) {
        key = slide(&over, key, hypothesis->values[i]);
        if (i + 1 >= order)
            *matches += take(table, mask, key);
    }
    return PARE_OK;
}

pare_status pri_count_ngrams(pri_ngram_table *table, const pri_units *hypothesis,
                             const pri_units *reference, size_t orders, unsigned bits,
                             pri_ngram_counts *counts)
{
    *counts = (pri_ngram_counts){0};
    for (size_t n = 1; n <= orders; n++) {
        counts->hypothesis[n - 1] = ngrams_of(hypothesis, n);
        counts->reference[n - 1] = ngrams_of(reference, n);
        PRI_TRY(count_order(table, hypothesis, reference, n, bits, &counts->matches[n - 1]));
    }
    return PARE_OK;
}

void pri_ngram_counts_add(pri_ngram_counts *sum, const pri_ngram_counts *counts)
{
    for (size_t i = 0; i < PRI_NGRAM_ORDERS; i++) {
        sum->hypothesis[i] += counts->hypothesis[i];
        sum->reference[i] += counts->reference[i];
        sum->matches[i] += counts->matches[i];
    }
}
