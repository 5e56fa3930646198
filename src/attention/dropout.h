/* Attention dropout: whether a cell is dropped is a hash of (key, query token, head, key index), so
 * forward, backward and reference agree without storing anything. One 64-bit mix per row, then a
 * 32-bit mix per cell that compilers turn into vector code. */
#ifndef PARE_SRC_ATTENTION_DROPOUT_H
#define PARE_SRC_ATTENTION_DROPOUT_H

#include "base/random.h"
#include "pare/attention.h"

typedef struct pri_dropout_row {
    uint32_t key, threshold; /* a cell is dropped when its draw is below */
    float factor;            /* what is kept is multiplied by this */
} pri_dropout_row;

static inline pri_dropout_row pri_dropout_for_row(const pare_attention *call, size_t query_token,
                                                  size_t head)
{
    uint64_t row = (uint64_t)query_token * call->heads + head;
    return (pri_dropout_row){
        .key = (uint32_t)(pri_random_bits(call->dropout_key, row) >> 32),
        .threshold = (uint32_t)((double)call->dropout * 0x1p32),
        .factor = 1.0f / (1.0f - call->dropout),
    };
}

/* 0 for a dropped cell, 1 / (1 - dropout) for others. Mix: the 32-bit finaliser of MurmurHash3. */
static inline float pri_dropout_factor(pri_dropout_row row, uint32_t key_index)
{
    uint32_t x = row.key + key_index * UINT32_C(0x9e3779b9);
    x ^= x >> 16;
    x *= UINT32_C(0x85ebca6b);
    x ^= x >> 13;
    x *= UINT32_C(0xc2b2ae35);
    x ^= x >> 16;
    return x < row.threshold ? 0.0f : row.factor;
}

#endif
