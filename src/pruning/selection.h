/* Choosing the smallest of many numbers, exactly and in linear time. */
#ifndef PARE_SRC_PRUNING_SELECTION_H
#define PARE_SRC_PRUNING_SELECTION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Numbers >= 0 as integers in the same order. */
static inline uint64_t pri_selection_key(double number)
{
    double positive = number + 0.0; /* -0.0 becomes 0.0 */
    uint64_t key;
    memcpy(&key, &positive, sizeof key);
    return key;
}

/* The key at `index` (0-based) of the ascending order, and how many keys are smaller. Reorders
 * nothing that the caller may still use: the contents of keys are lost. index < count. */
uint64_t pri_selection_at(uint64_t *keys, size_t count, size_t index, size_t *smaller);

/* floor(percent * count / 100) for the decimal number the user wrote: 57.3% of 1000 is 573, though
 * neither 57.3 nor the quotient is exact in binary. */
size_t pri_selection_share(double percent, size_t count);

/* Index of the percentile by the "nearest" rule: rint(p (count - 1)), halves to even. */
size_t pri_selection_percentile_index(double percent, size_t count);

#endif
