/* Products with rows picked by the lists of a plan, the engine for listed cells. Everything a run
 * gathers from (the keys of a tile, the queries of a row block) fits the first-level cache, so what
 * limits these loops is two loads per cycle; they read entries and weights a quad at a time for
 * that reason. Rows are `stride` floats, padded with zeros to whole vectors, and the row behind a
 * tile's last one is zero: entries by row that are no cell point there. */
#ifndef PARE_SRC_ATTENTION_KERNELS_GATHER_H
#define PARE_SRC_ATTENTION_KERNELS_GATHER_H

#include "attention/plan.h"
#include "base/vector.h"

#define QUADS_PER_VECTOR (V_WIDTH / PRI_QUAD)

/* What rows are gathered as. With AVX512-BF16 these are words of two numbers that lie a vector
 * apart in the row (pack_words), in memory half of what they are otherwise. */
#if defined(__AVX512BF16__)
#define HALVES ((size_t)2)
typedef v_words v_gathered;

V_INLINE v_gathered load_gathered(const float *p)
{
    return v_load_words(p);
}
V_INLINE v_float half_of(v_gathered x, const size_t half)
{
    return half ? v_high(x) : v_low(x);
}
V_INLINE v_float add_products(v_gathered a, v_gathered b, v_float sum)
{
    return v_fma_words(a, b, sum);
}
#else
#define HALVES ((size_t)1)
typedef v_float v_gathered;

V_INLINE v_gathered load_gathered(const float *p)
{
    return v_load(p);
}
V_INLINE v_float half_of(v_gathered x, const size_t half)
{
    (void)half;
    return x;
}
V_INLINE v_float add_products(v_gathered a, v_gathered b, v_float sum)
{
    return v_fma(a, b, sum);
}
#endif

/* Rows of one length, and sums, which are fp32. Constants in the loops made for common head sizes.
 */
typedef struct row_shape {
    size_t vectors, stride;
    size_t sum_vectors, sum_stride;
} row_shape;

V_INLINE row_shape row_shape_of(const size_t sum_vectors)
{
    size_t vectors = (sum_vectors + HALVES - 1) / HALVES;
    return (row_shape){vectors, (vectors * V_WIDTH + 15) / 16 * 16, sum_vectors,
                       (sum_vectors * V_WIDTH + 15) / 16 * 16};
}

/* Calls `function(..., shape)`, with a constant shape for common head sizes. */
#define WITH_CONSTANT_SHAPE(vectors_, function, ...)                                               \
    switch (vectors_) {                                                                            \
    case 2:                                                                                        \
        function(__VA_ARGS__, row_shape_of(2));                                                    \
        break;                                                                                     \
    case 3:                                                                                        \
        function(__VA_ARGS__, row_shape_of(3));                                                    \
        break;                                                                                     \
    case 4:                                                                                        \
        function(__VA_ARGS__, row_shape_of(4));                                                    \
        break;                                                                                     \
    case 8:                                                                                        \
        function(__VA_ARGS__, row_shape_of(8));                                                    \
        break;                                                                                     \
    default:                                                                                       \
        function(__VA_ARGS__, row_shape_of(vectors_));                                             \
        break;                                                                                     \
    }

/* Four entries in one load. */
V_INLINE uint64_t load_quad(const uint16_t *entries)
{
    uint64_t quad;
    memcpy(&quad, entries, sizeof quad);
    return quad;
}

V_INLINE size_t entry_of(uint64_t quad, const size_t i)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return quad >> (48 - 16 * i) & UINT16_MAX;
#else
    return quad >> 16 * i & UINT16_MAX;
#endif
}

/* ---- Scores: one dot product per entry ---- */

/* dots[k] += row_k . with, over `width` vectors from vector `from`; lanes are summed later. */
V_INLINE void dot_step(const float *rows, const uint16_t *entries, const float *with, size_t from,
                       const size_t width, const size_t quads, row_shape shape,
                       v_float dots[V_WIDTH])
{
    v_gathered factors[4];
    V_UNROLL for (size_t v = 0; v < width; v++) factors[v] =
        load_gathered(with + (from + v) * V_WIDTH);
    V_UNROLL for (size_t q = 0; q < quads; q++)
    {
        uint64_t quad = load_quad(entries + q * PRI_QUAD);
        V_UNROLL for (size_t k = 0; k < PRI_QUAD; k++)
        {
            const float *row = rows + entry_of(quad, k) * shape.stride + from * V_WIDTH;
            V_UNROLL for (size_t v = 0; v < width; v++) dots[q * PRI_QUAD + k] =
                add_products(load_gathered(row + v * V_WIDTH), factors[v], dots[q * PRI_QUAD + k]);
        }
    }
}

/* scores[0 .. 4 * quads) (+)= the entries' rows . with - offset */
V_INLINE void dot_quads(const float *rows, const uint16_t *entries, const float *with,
                        const size_t quads, row_shape shape, float offset, bool accumulate,
                        float *scores)
{
    v_float dots[V_WIDTH];
    size_t from = 0;
    V_UNROLL for (size_t k = 0; k < V_WIDTH; k++) dots[k] = v_zero();
    for (; from + 4 <= shape.vectors; from += 4)
        dot_step(rows, entries, with, from, 4, quads, shape, dots);
    switch (shape.vectors - from) {
    case 3:
        dot_step(rows, entries, with, from, 3, quads, shape, dots);
        break;
    case 2:
        dot_step(rows, entries, with, from, 2, quads, shape, dots);
        break;
    case 1:
        dot_step(rows, entries, with, from, 1, quads, shape, dots);
        break;
    default:
        break;
    }
    v_float sums = v_sub(v_reduce_add_each(dots), v_set(offset));
    if (accumulate)
        sums = v_add(sums, v_load_partial(scores, quads * PRI_QUAD));
    v_store_partial(scores, sums, quads * PRI_QUAD);
}

/* Scores of one run; `with` is its query. */
V_INLINE void dot_run(const float *rows, const uint16_t *entries, const float *with, size_t quads,
                      float offset, bool accumulate, float *scores, row_shape shape)
{
    for (; quads >= QUADS_PER_VECTOR; quads -= QUADS_PER_VECTOR) {
        dot_quads(rows, entries, with, QUADS_PER_VECTOR, shape, offset, accumulate, scores);
        entries += V_WIDTH;
        scores += V_WIDTH;
    }
#if QUADS_PER_VECTOR == 4
    if (quads == 3)
        dot_quads(rows, entries, with, 3, shape, offset, accumulate, scores);
    else if (quads == 2)
        dot_quads(rows, entries, with, 2, shape, offset, accumulate, scores);
#endif
#if QUADS_PER_VECTOR > 1
    if (quads == 1)
        dot_quads(rows, entries, with, 1, shape, offset, accumulate, scores);
#endif
}

/* ---- Sums: to += sum of weight * row over the entries ---- */

/* Entries and their weights: weights[k] belongs to entries[k], or weights[picks[k]] does. */
typedef struct weighted_entries {
    const uint16_t *entries;
    const uint16_t *picks; /* NULL: in the order of the entries */
    const float *weights;
    size_t count;
} weighted_entries;

/* The weight of entry k in all lanes. */
V_INLINE v_float weight_of(const weighted_entries *from, size_t k)
{
    return v_set(from->weights[from->picks ? from->picks[k] : k]);
}

V_INLINE void quad_weights(const weighted_entries *from, size_t quad, v_float factors[PRI_QUAD])
{
    if (from->picks) {
        V_UNROLL for (size_t k = 0; k < PRI_QUAD; k++) factors[k] =
            weight_of(from, quad * PRI_QUAD + k);
    } else {
        v_float four = v_load_four(from->weights + quad * PRI_QUAD);
        factors[0] = v_lane_of_four(four, 0);
        factors[1] = v_lane_of_four(four, 1);
        factors[2] = v_lane_of_four(four, 2);
        factors[3] = v_lane_of_four(four, 3);
    }
}

/* `width` vectors of the rows from vector `from` on. `chains` independent sums per vector cover the
 * latency of the fused multiply-add. */
V_INLINE void sum_step(const float *rows, weighted_entries with, size_t from, const size_t width,
                       const size_t chains, row_shape shape, float *to)
{
    const size_t first = from * HALVES, wide = width * HALVES;
    v_float sums[4][8];
    V_UNROLL for (size_t c = 0; c < chains; c++) V_UNROLL for (size_t v = 0; v < wide; v++)
        sums[c][v] =
            c || first + v >= shape.sum_vectors ? v_zero() : v_load(to + (first + v) * V_WIDTH);
    size_t quads = with.count / PRI_QUAD;
    for (size_t q = 0; q < quads; q++) {
        uint64_t quad = load_quad(with.entries + q * PRI_QUAD);
        v_float factors[PRI_QUAD];
        quad_weights(&with, q, factors);
        V_UNROLL for (size_t k = 0; k < PRI_QUAD; k++)
        {
            const float *row = rows + entry_of(quad, k) * shape.stride + from * V_WIDTH;
            V_UNROLL for (size_t v = 0; v < wide; v++) sums[k % chains][v] =
                v_fma(factors[k], half_of(load_gathered(row + v / HALVES * V_WIDTH), v % HALVES),
                      sums[k % chains][v]);
        }
    }
    for (size_t k = quads * PRI_QUAD; k < with.count; k++) {
        const float *row = rows + with.entries[k] * shape.stride + from * V_WIDTH;
        v_float factor = weight_of(&with, k);
        V_UNROLL for (size_t v = 0; v < wide; v++) sums[0][v] = v_fma(
            factor, half_of(load_gathered(row + v / HALVES * V_WIDTH), v % HALVES), sums[0][v]);
    }
    V_UNROLL for (size_t v = 0; v < wide; v++)
    {
        v_float sum = sums[0][v];
        V_UNROLL for (size_t c = 1; c < chains; c++) sum = v_add(sum, sums[c][v]);
        if (first + v < shape.sum_vectors)
            v_store(to + (first + v) * V_WIDTH, sum);
    }
}

V_INLINE void sum_run(const float *rows, weighted_entries with, float *to, row_shape shape)
{
    size_t from = 0;
    for (; from + 8 / HALVES <= shape.vectors; from += 8 / HALVES)
        sum_step(rows, with, from, 8 / HALVES, 1, shape, to);
    if (from + 4 / HALVES <= shape.vectors) {
        sum_step(rows, with, from, 4 / HALVES, 2, shape, to);
        from += 4 / HALVES;
    }
    if (from + 2 / HALVES <= shape.vectors) {
        sum_step(rows, with, from, 2 / HALVES, 4, shape, to);
        from += 2 / HALVES;
    }
    if (HALVES == 1 && from < shape.vectors)
        sum_step(rows, with, from, 1, 4, shape, to);
}

#endif
