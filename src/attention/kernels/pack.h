/* Copies from the caller's strided views into scratch memory, in the shapes the kernels read: rows
 * padded with zeros, and transposed panels. Packing costs a few percent of the products
 * and spares them tails in the head size and cache-set conflicts of power-of-two strides. */
#ifndef PARE_SRC_ATTENTION_KERNELS_PACK_H
#define PARE_SRC_ATTENTION_KERNELS_PACK_H

#include "attention/kernels.h"
#include "attention/sequence.h"
#include "base/arithmetic.h"
#include "base/vector.h"

V_INLINE size_t vectors_for(size_t count)
{
    return pri_divide_up(count, V_WIDTH);
}

/* Hands out pieces of a thread's scratch memory; with a NULL base it only counts. */
typedef struct carver {
    float *base;
    size_t used;
} carver;

static float *carve(carver *c, size_t floats)
{
    float *piece = c->base ? c->base + c->used : NULL;
    c->used += pri_round_up(floats, PRI_PADDING);
    return piece;
}

static void clear_floats(float *to, size_t count)
{
    memset(to, 0, count * sizeof *to);
}

/* Asks for a row before its use: rows of one head lie too far apart for the hardware to guess. An
 * address beyond the data is harmless. */
static void prefetch_row(const float *row, size_t ahead, size_t size)
{
    uintptr_t address = (uintptr_t)row + ahead * sizeof *row;
    for (size_t byte = 0; byte < size * sizeof *row; byte += 64)
        __builtin_prefetch((const void *)(address + byte));
}

#define PREFETCH_ROWS 12

/* factor * (from + bias) at d .. d + V_WIDTH - 1, zeros beyond `size`; bias may be NULL. */
V_INLINE v_float scaled_sum(const float *from, const float *bias, v_float factor, size_t d,
                            size_t size)
{
    if (d >= size)
        return v_zero();
    v_float x = v_load_partial(from + d, size - d);
    if (bias)
        x = v_add(x, v_load_partial(bias + d, size - d));
    return v_mul(factor, x);
}

/* to (count, stride) = factor * (from + bias), zeros beyond `size`; bias may be NULL. */
static void pack_rows(pare_precision precision, const float *from, size_t from_stride,
                      const float *bias, float factor, size_t count, size_t size, size_t stride,
                      float *to)
{
    v_float scale = v_set(factor);
    for (size_t row = 0; row < count; row++) {
        prefetch_row(from, PREFETCH_ROWS * from_stride, size);
        for (size_t d = 0; d < stride; d += V_WIDTH) {
            v_float x = scaled_sum(from, bias, scale, d, size);
            v_store(to + d, precision == PARE_PRECISION_BF16 ? v_round_to_bf16(x) : x);
        }
        from += from_stride;
        to += stride;
    }
}

#if defined(__AVX512BF16__)
/* The same in words of two numbers that lie a vector apart: a vector of words then widens to two
 * vectors of neighbours. */
static void pack_words(const float *from, size_t from_stride, const float *bias, float factor,
                       size_t count, size_t size, size_t stride, float *to)
{
    v_float scale = v_set(factor);
    for (size_t row = 0; row < count; row++) {
        prefetch_row(from, PREFETCH_ROWS * from_stride, size);
        for (size_t d = 0; d < stride; d += V_WIDTH) {
            v_float low = scaled_sum(from, bias, scale, 2 * d, size);
            v_float high = scaled_sum(from, bias, scale, 2 * d + V_WIDTH, size);
            v_store_words(to + d, v_words_of(low, high));
        }
        from += from_stride;
        to += stride;
    }
}
#endif

/* to (size, to_stride) = transposed rows; columns are padded with zeros to whole vectors. */
static void pack_transposed(pare_precision precision, const float *from, size_t from_stride,
                            size_t count, size_t size, float *to, size_t to_stride)
{
    for (size_t row = 0; row < count; row += V_WIDTH)
        for (size_t d = 0; d < size; d += V_WIDTH) {
            v_float block[V_WIDTH];
            V_UNROLL for (size_t r = 0; r < V_WIDTH; r++) block[r] =
                row + r < count ? v_load_partial(from + (row + r) * from_stride + d, size - d)
                                : v_zero();
            if (precision == PARE_PRECISION_BF16)
                V_UNROLL for (size_t r = 0; r < V_WIDTH; r++) block[r] = v_round_to_bf16(block[r]);
            v_transpose(block);
            for (size_t r = 0; r < V_WIDTH && d + r < size; r++)
                v_store(to + (d + r) * to_stride + row, block[r]);
        }
}

#endif
