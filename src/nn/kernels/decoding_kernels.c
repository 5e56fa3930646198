/* The kernels of pri_decoding_kernels; built once per instruction-set level (PARE_LEVEL). */
#include <string.h>

#include "base/vector.h"
#include "nn/decoding.h"
#include "nn/kernels/row_access.h"

/* -infinity in lanes past the end of a row. */
V_INLINE v_float load_or_least(const float *p, size_t left)
{
    if (left >= V_WIDTH)
        return v_load(p);
    return v_select(v_first_lanes(left), v_load_partial(p, left), v_set(-INFINITY));
}

/* ---- Attention ---- */

/* Scores of keys first .. first + keys - 1, of which those past the last one are computed from it;
 * `keys`, at most V_WIDTH, is a constant where this is used. Partial sums of a key lie side by side
 * in a vector and are added up for all keys together. */
V_INLINE void score_keys(const pri_row_attention *a, size_t first, const size_t keys)
{
    v_float sums[V_WIDTH];
    const float *key[V_WIDTH];
    V_UNROLL for (size_t i = 0; i < V_WIDTH; i++) sums[i] = v_zero();
    V_UNROLL for (size_t i = 0; i < keys; i++)
    {
        size_t index = first + i < a->count ? first + i : a->count - 1;
        key[i] = a->key + a->rows[index] * a->stride;
    }
    size_t d = 0;
    for (; d + V_WIDTH <= a->head_size; d += V_WIDTH) {
        v_float query = v_load(a->query + d);
        V_UNROLL for (size_t i = 0; i < keys; i++) sums[i] =
            v_fma(query, v_load(key[i] + d), sums[i]);
    }
    if (d < a->head_size) {
        size_t left = a->head_size - d;
        v_float query = v_load_partial(a->query + d, left);
        V_UNROLL for (size_t i = 0; i < keys; i++) sums[i] =
            v_fma(query, v_load_partial(key[i] + d, left), sums[i]);
    }
    v_store(a->weights + first, v_mul(v_set(a->scale), v_reduce_add_each(sums)));
}

static void score(const pri_row_attention *a)
{
    size_t first = 0;
    for (; first + V_WIDTH <= a->count; first += V_WIDTH)
        score_keys(a, first, V_WIDTH);
    size_t left = a->count - first;
    if (left > V_WIDTH / 2)
        score_keys(a, first, V_WIDTH);
    else if (left > V_WIDTH / 4)
        score_keys(a, first, V_WIDTH / 2);
    else if (left)
        score_keys(a, first, V_WIDTH / 4);
}

/* Scores to weights that still have to be divided by their sum, which is returned. */
static float exponentiate(size_t count, float *weights)
{
    v_float maxima = v_set(-INFINITY), sums = v_zero();
    for (size_t i = 0; i < count; i += V_WIDTH)
        maxima = v_max(load_or_least(weights + i, count - i), maxima);
    v_float largest = v_set(v_reduce_max(maxima));
    for (size_t i = 0; i < count; i += V_WIDTH) {
        v_float e = v_exp_bounded(v_sub(load_or_least(weights + i, count - i), largest));
        sums = v_add(sums, e);
        v_store(weights + i, e);
    }
    return v_reduce_add(sums);
}

/* Columns d .. d + vectors * V_WIDTH - 1 of the output, `left` of them at most; `vectors` is a
 * constant where this is used. */
V_INLINE void sum_values(const pri_row_attention *a, size_t d, size_t left, float factor,
                         const size_t vectors)
{
    v_float sums[4];
    V_UNROLL for (size_t j = 0; j < vectors; j++) sums[j] = v_zero();
    for (size_t i = 0; i < a->count; i++) {
        const float *value = a->value + a->rows[i] * a->stride + d;
        v_float weight = v_set(a->weights[i]);
        V_UNROLL for (size_t j = 0; j < vectors; j++)
        {
            v_float v = vectors == 1 ? load(value, left) : v_load(value + j * V_WIDTH);
            sums[j] = v_fma(weight, v, sums[j]);
        }
    }
    V_UNROLL for (size_t j = 0; j < vectors; j++)
        store(a->output + d + j * V_WIDTH, v_mul(v_set(factor), sums[j]), left - j * V_WIDTH);
}

static void attend(const pri_row_attention *a)
{
    if (!a->count) {
        memset(a->output, 0, a->head_size * sizeof *a->output);
        return;
    }
    score(a);
    float factor = 1.0f / exponentiate(a->count, a->weights);
    size_t d = 0;
    for (; d + 4 * V_WIDTH <= a->head_size; d += 4 * V_WIDTH)
        sum_values(a, d, a->head_size - d, factor, 4);
    for (; d + 2 * V_WIDTH <= a->head_size; d += 2 * V_WIDTH)
        sum_values(a, d, a->head_size - d, factor, 2);
    for (; d < a->head_size; d += V_WIDTH)
        sum_values(a, d, a->head_size - d, factor, 1);
}

static void prefetch(const pri_row_attention *a)
{
    const size_t line = 16; /* floats */
    for (size_t i = 0; i < a->count; i++) {
        size_t row = a->rows[i] * a->stride;
        for (size_t d = 0; d < a->head_size; d += line) {
            __builtin_prefetch(a->key + row + d);
            __builtin_prefetch(a->value + row + d);
        }
    }
}

/* ---- Words ---- */

/* What a logit has to exceed to become one of the best. */
static float threshold_of(const pri_best_words *best)
{
    return best->count < best->capacity ? -INFINITY : best->words[best->count - 1].logit;
}

/* Behind all that are no less. */
static size_t place_of(const pri_word *words, size_t count, float logit)
{
    size_t begin = 0, end = count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (words[middle].logit < logit)
            end = middle;
        else
            begin = middle + 1;
    }
    return begin;
}

/* Moving words one by one is faster in the short lists of usual beams. */
#define SHORT_LIST 64

static void insert(pri_best_words *best, float logit, uint32_t word)
{
    if (word == best->excluded || !(logit > threshold_of(best)))
        return;
    size_t i = best->count < best->capacity ? best->count++ : best->count - 1;
    if (i > SHORT_LIST) {
        size_t place = place_of(best->words, i, logit);
        memmove(best->words + place + 1, best->words + place, (i - place) * sizeof *best->words);
        i = place;
    }
    for (; i && best->words[i - 1].logit < logit; i--)
        best->words[i] = best->words[i - 1];
    best->words[i] = (pri_word){logit, word};
}

static float scan(size_t columns, const float *bias, float *logits, uint32_t first,
                  pri_best_words *best, float *largest)
{
    v_float maxima = v_set(-INFINITY), threshold = v_set(threshold_of(best));
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        size_t left = columns - j;
        v_float logit = v_add(load(bias + j, left), load_or_least(logits + j, left));
        store(logits + j, logit, left);
        maxima = v_max(logit, maxima);
        uint32_t better = v_mask_bits(v_less(threshold, logit));
        if (!better)
            continue;
        for (; better; better &= better - 1) {
            size_t i = j + (size_t)__builtin_ctz(better);
            insert(best, logits[i], first + (uint32_t)i);
        }
        threshold = v_set(threshold_of(best));
    }
    *largest = v_reduce_max(maxima);
    v_float sums = v_zero();
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        v_float difference = v_sub(load_or_least(logits + j, columns - j), v_set(*largest));
        sums = v_add(sums, v_exp_bounded(difference));
    }
    return v_reduce_add(sums);
}

#define JOIN(a, b) a##b
#define TABLE_NAME(level) JOIN(pri_decoding_kernels_, level)

extern const pri_decoding_kernels TABLE_NAME(PARE_LEVEL);
const pri_decoding_kernels TABLE_NAME(PARE_LEVEL) = {
    .attend = attend,
    .prefetch = prefetch,
    .scan = scan,
};
