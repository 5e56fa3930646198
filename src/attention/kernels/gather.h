/* Products with rows picked by an index list, the engine of the sparse kernels. Rows are `stride`
 * floats, padded with zeros to whole vectors; entry x of a list means the row at
 * rows + (x * stride - origin). `origin` may wrap around below zero; the sum never does. */
#ifndef PARE_SRC_ATTENTION_KERNELS_GATHER_H
#define PARE_SRC_ATTENTION_KERNELS_GATHER_H

#include "base/vector.h"

typedef struct gather_source {
    const float *rows;
    size_t origin, stride, vectors;
} gather_source;

V_INLINE const float *gather_row(const gather_source *source, uint16_t entry)
{
    return source->rows + (entry * source->stride - source->origin);
}

/* dots[k] += row_k . with, over `width` vectors from vector `from`, for `rows` rows; lanes of
 * dots[k] are summed later. */
V_INLINE void dot_step(const gather_source *source, const uint16_t *list, const float *with,
                       size_t from, const size_t width, const size_t rows, v_float dots[V_WIDTH])
{
    v_float factors[4];
    V_UNROLL for (size_t v = 0; v < width; v++) factors[v] = v_load(with + (from + v) * V_WIDTH);
    V_UNROLL for (size_t k = 0; k < rows; k++)
    {
        const float *row = gather_row(source, list[k]) + from * V_WIDTH;
        V_UNROLL for (size_t v = 0; v < width; v++) dots[k] =
            v_fma(v_load(row + v * V_WIDTH), factors[v], dots[k]);
    }
}

V_INLINE void dot_all(const gather_source *source, const uint16_t *list, const float *with,
                      const size_t rows, v_float dots[V_WIDTH])
{
    size_t from = 0;
    for (; from + 4 <= source->vectors; from += 4)
        dot_step(source, list, with, from, 4, rows, dots);
    switch (source->vectors - from) {
    case 3:
        dot_step(source, list, with, from, 3, rows, dots);
        break;
    case 2:
        dot_step(source, list, with, from, 2, rows, dots);
        break;
    case 1:
        dot_step(source, list, with, from, 1, rows, dots);
        break;
    default:
        break;
    }
}

/* The first `rows` lanes are the dot products of the list's first entries. */
V_INLINE v_float gather_dots(const gather_source *first, const float *with_first,
                             const gather_source *second, const float *with_second,
                             const uint16_t *list, const size_t rows)
{
    v_float dots[V_WIDTH];
    V_UNROLL for (size_t k = 0; k < V_WIDTH; k++) dots[k] = v_zero();
    dot_all(first, list, with_first, rows, dots);
    if (second)
        dot_all(second, list, with_second, rows, dots);
    return v_reduce_add_each(dots);
}

/* out[k] = first_k . with_first (+ second_k . with_second; NULL: without) for the list's entries.
 * Writes whole vectors; what lies beyond `count` is finite and meaningless. */
static void gather_dot(const gather_source *first, const float *with_first,
                       const gather_source *second, const float *with_second, const uint16_t *list,
                       size_t count, float *out)
{
    size_t k = 0;
    for (; k + V_WIDTH <= count; k += V_WIDTH)
        v_store(out + k, gather_dots(first, with_first, second, with_second, list + k, V_WIDTH));
    if (k == count)
        return;
    uint16_t tail[V_WIDTH];
    for (size_t t = 0; t < V_WIDTH; t++)
        tail[t] = list[k + t < count ? k + t : k];
    if (count - k <= V_WIDTH / 2)
        v_store(out + k, gather_dots(first, with_first, second, with_second, tail, V_WIDTH / 2));
    else
        v_store(out + k, gather_dots(first, with_first, second, with_second, tail, V_WIDTH));
}

/* to += sum over k of weights[k] * row_k, for `width` vectors from vector `from`. Several rows at a
 * time (`rows`) keep as many independent chains as the fused multiply-add has latency. */
V_INLINE void gather_sum_step(const gather_source *source, const uint16_t *list,
                              const float *weights, size_t count, size_t from, const size_t width,
                              const size_t rows, float *to)
{
    v_float sums[4][8];
    V_UNROLL for (size_t r = 0; r < rows; r++) V_UNROLL for (size_t v = 0; v < width; v++)
        sums[r][v] = r ? v_zero() : v_load(to + (from + v) * V_WIDTH);
    size_t k = 0;
    for (; k + rows <= count; k += rows)
        V_UNROLL for (size_t r = 0; r < rows; r++)
        {
            const float *row = gather_row(source, list[k + r]) + from * V_WIDTH;
            v_float weight = v_set(weights[k + r]);
            V_UNROLL for (size_t v = 0; v < width; v++) sums[r][v] =
                v_fma(weight, v_load(row + v * V_WIDTH), sums[r][v]);
        }
    for (; k < count; k++) {
        const float *row = gather_row(source, list[k]) + from * V_WIDTH;
        v_float weight = v_set(weights[k]);
        V_UNROLL for (size_t v = 0; v < width; v++) sums[0][v] =
            v_fma(weight, v_load(row + v * V_WIDTH), sums[0][v]);
    }
    V_UNROLL for (size_t r = 1; r < rows; r++) V_UNROLL for (size_t v = 0; v < width; v++)
        sums[0][v] = v_add(sums[0][v], sums[r][v]);
    V_UNROLL for (size_t v = 0; v < width; v++) v_store(to + (from + v) * V_WIDTH, sums[0][v]);
}

static void gather_sum(const gather_source *source, const uint16_t *list, const float *weights,
                       size_t count, float *to)
{
    size_t from = 0;
    for (; from + 8 <= source->vectors; from += 8)
        gather_sum_step(source, list, weights, count, from, 8, 1, to);
    if (from + 4 <= source->vectors) {
        gather_sum_step(source, list, weights, count, from, 4, 2, to);
        from += 4;
    }
    switch (source->vectors - from) {
    case 3:
        gather_sum_step(source, list, weights, count, from, 3, 2, to);
        break;
    case 2:
        gather_sum_step(source, list, weights, count, from, 2, 4, to);
        break;
    case 1:
        gather_sum_step(source, list, weights, count, from, 1, 4, to);
        break;
    default:
        break;
    }
}

/* row_k += weights[k] * with, in the list's order. `target` describes the writable `rows`. */
static void scatter_sum(float *rows, const gather_source *target, const uint16_t *list,
                        const float *weights, size_t count, const float *with)
{
    for (size_t k = 0; k < count; k++) {
        float *row = rows + (list[k] * target->stride - target->origin);
        v_float weight = v_set(weights[k]);
        for (size_t v = 0; v < target->vectors * V_WIDTH; v += V_WIDTH)
            v_store(row + v, v_fma(weight, v_load(with + v), v_load(row + v)));
    }
}

#endif
