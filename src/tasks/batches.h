/* Dealing examples of given lengths into ragged batches, epoch after epoch. */
#ifndef PARE_SRC_TASKS_BATCHES_H
#define PARE_SRC_TASKS_BATCHES_H

#include "base/status.h"

/* What a batch may hold at most; 0: no limit. There is no padding, so the tokens of a batch are the
 * sum of its lengths. One example that is longer than the budget makes a batch of its own. */
typedef struct pri_dealing {
    size_t examples;
    size_t tokens;
    uint64_t seed;
} pri_dealing;

/* All examples once, in batches: batch b is indices[begins[b]] .. indices[begins[b + 1] - 1]. */
typedef struct pri_deal {
    size_t *indices; /* (examples) */
    size_t *begins;  /* (batches + 1) */
    size_t batches;
} pri_deal;

/* For evaluation: examples in the order of their lengths, equal lengths in the order of their
 * indices; `dealing->seed` is not read. Zero examples make zero batches. Free also after a failure.
 */
pare_status pri_deal_by_length(const pri_dealing *dealing, const size_t *lengths, size_t count,
                               pri_deal *deal);
void pri_deal_free(pri_deal *deal);

/* For training: endless, every example once per epoch, in an order that is a function of seed and
 * epoch alone. Without a token budget, or with no more than one example per batch, examples are
 * shuffled. With a budget, those of nearly the same length come together and the batches are
 * shuffled: their number may then differ a little from epoch to epoch. A batch never crosses
 * epochs. */
typedef struct pri_dealer pri_dealer;
/* `lengths` are copied. No examples at all are an error. */
pare_status pri_dealer_create(const pri_dealing *dealing, const size_t *lengths, size_t count,
                              pri_dealer **dealer);
void pri_dealer_destroy(pri_dealer *dealer);
/* The next batch; `indices` belong to the dealer, until the next call. */
void pri_dealer_next(pri_dealer *dealer, const size_t **indices, size_t *count);
uint64_t pri_dealer_batches(const pri_dealer *dealer); /* of the first epoch */
/* In the first `batches` batches, whatever the position. */
uint64_t pri_dealer_tokens(pri_dealer *dealer, uint64_t batches);

/* Which batch comes next. */
typedef struct pri_dealer_position {
    uint64_t epoch, batch;
} pri_dealer_position;
pri_dealer_position pri_dealer_tell(const pri_dealer *dealer);
/* False, and nothing happens, when that epoch has no such batch. */
bool pri_dealer_seek(pri_dealer *dealer, pri_dealer_position position);
void pri_dealer_rewind(pri_dealer *dealer);

/* The position as a safetensors file: what a task that is nothing but a dealer saves. `data` is the
 * hash of what is dealt; loading refuses a file of other data, limits or seed. */
pare_status pri_dealer_save(const pri_dealer *dealer, uint64_t data, const char *path);
pare_status pri_dealer_load(pri_dealer *dealer, uint64_t data, const char *path);

#endif
