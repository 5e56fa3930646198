/* Radix selection: look at eight bits at a time from the top, keep the keys that share the bucket
 * of the wanted one. At most eight passes over shrinking data, whatever the data, where quickselect
 * has bad cases that a file from outside could hold. */
#include "pruning/selection.h"

#include <math.h>

#define DIGIT_BITS 8
#define BUCKETS (1u << DIGIT_BITS)

static size_t digit_of(uint64_t key, int shift)
{
    return (size_t)(key >> shift) & (BUCKETS - 1);
}

uint64_t pri_selection_at(uint64_t *keys, size_t count, size_t index, size_t *smaller)
{
    *smaller = 0;
    for (int shift = 64 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        size_t sizes[BUCKETS] = {0};
        for (size_t i = 0; i < count; i++)
            sizes[digit_of(keys[i], shift)]++;
        size_t bucket = 0;
        while (index >= sizes[bucket]) {
            index -= sizes[bucket];
            *smaller += sizes[bucket++];
        }
        size_t kept = 0;
        for (size_t i = 0; sizes[bucket] < count && i < count; i++)
            if (digit_of(keys[i], shift) == bucket)
                keys[kept++] = keys[i];
        count = sizes[bucket];
    }
    return keys[0];
}

size_t pri_selection_share(double percent, size_t count)
{
    /* Three roundings of half an ulp each; 2^-50 is eight times one. */
    double share = percent * (double)count / 100;
    share = floor(share + share * 0x1p-50);
    return share < (double)count ? (size_t)share : count;
}

size_t pri_selection_percentile_index(double percent, size_t count)
{
    return (size_t)nearbyint(percent / 100 * (double)(count - 1));
}
