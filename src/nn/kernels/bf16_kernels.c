/* The kernels of pri_bf16_kernels, for AVX512-BF16, which is an addition to the level x86-64-v4; at
 * other levels the table is empty. */
#include "base/vector.h"
#include "nn/bf16_product.h"

#define JOIN(a, b) a##b
#define TABLE_NAME(level) JOIN(pri_bf16_kernels_, level)

extern const pri_bf16_kernels TABLE_NAME(PARE_LEVEL);

#if V_WIDTH == 16 && defined(__AVX512BW__)

#define WITH_BF16 __attribute__((target("avx512bf16")))
#define BF16_INLINE WITH_BF16 V_INLINE

/* Words of 32 floats in a row. */
BF16_INLINE __m512i words_along(const float *x, size_t left)
{
    v_float low = left >= 16 ? v_load(x) : v_load_partial(x, left);
    v_float high = left >= 32  ? v_load(x + 16)
                   : left > 16 ? v_load_partial(x + 16, left - 16)
                               : v_zero();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

WITH_BF16 static void pack_along(size_t count, const float *x, uint32_t *words)
{
    for (size_t i = 0; i < count; i += 32) {
        size_t left = count - i;
        _mm512_mask_storeu_epi32(words + i / 2, v_first_lanes((left + 1) / 2),
                                 words_along(x + i, left));
    }
}

WITH_BF16 static void pack_across(size_t count, const float *first, const float *second,
                                  uint32_t *words, size_t stride)
{
    for (size_t j = 0; j < count; j += 16) {
        v_mask lanes = v_first_lanes(count - j);
        __m512 low = _mm512_maskz_loadu_ps(lanes, first + j);
        __m512 high = second ? _mm512_maskz_loadu_ps(lanes, second + j) : v_zero();
        __m512i low_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
        __m512i high_words = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
        uint32_t *to = words + j / PRI_BF16_COLUMNS * stride + j % PRI_BF16_COLUMNS;
        _mm512_mask_storeu_epi32(to, lanes,
                                 _mm512_or_si512(low_words, _mm512_slli_epi32(high_words, 16)));
    }
}

WITH_BF16 static void pack_panel_transposed(size_t columns, size_t k, const float *x, size_t stride,
                                            uint32_t *panel)
{
    for (size_t column = 0; column < columns; column += 16)
        for (size_t i = 0; i < k; i += 32) {
            v_float block[16];
            for (size_t j = 0; j < 16; j++) {
                size_t row = column + j < columns ? column + j : column;
                block[j] = _mm512_castsi512_ps(words_along(x + row * stride + i, k - i));
            }
            v_transpose(block);
            size_t pairs = k - i < 32 ? (k - i + 1) / 2 : 16;
            for (size_t p = 0; p < pairs; p++)
                v_store((float *)(void *)(panel + (i / 2 + p) * PRI_BF16_COLUMNS + column),
                        block[p]);
        }
}

BF16_INLINE void store_output(const pri_bf16_tile *t, size_t row, size_t column, v_float sum)
{
    v_mask lanes = v_first_lanes(t->columns - column);
    float *output = t->output + row * t->output_stride + column;
    v_float value = v_mul(v_set(t->alpha), sum);
    if (t->beta != 0.0f)
        value = v_fma(v_set(t->beta), _mm512_maskz_loadu_ps(lanes, output), value);
    _mm512_mask_storeu_ps(output, lanes, value);
}

/* `rows` and `vectors` are constants where this is used. */
BF16_INLINE void multiply_block(const pri_bf16_tile *t, const size_t rows, const size_t vectors)
{
    v_float sums[PRI_BF16_ROWS][2];
    V_UNROLL for (size_t i = 0; i < rows; i++) V_UNROLL for (size_t v = 0; v < vectors; v++)
        sums[i][v] = v_zero();
    const uint32_t *a = t->a, *panel = t->panel;
    for (size_t p = 0; p < t->pairs; p++) {
        __m512bh b[2];
        V_UNROLL for (size_t v = 0; v < vectors; v++) b[v] =
            (__m512bh)_mm512_loadu_si512(panel + 16 * v);
        V_UNROLL for (size_t i = 0; i < rows; i++)
        {
            __m512bh pair = (__m512bh)_mm512_set1_epi32((int)a[i * t->row_stride]);
            V_UNROLL for (size_t v = 0; v < vectors; v++) sums[i][v] =
                _mm512_dpbf16_ps(sums[i][v], pair, b[v]);
        }
        a += t->pair_stride;
        panel += PRI_BF16_COLUMNS;
    }
    V_UNROLL for (size_t i = 0; i < rows; i++) V_UNROLL for (size_t v = 0; v < vectors; v++)
        store_output(t, i, 16 * v, sums[i][v]);
}

#define ROWS_CASE(rows)                                                                            \
    case rows:                                                                                     \
        if (t->columns > 16)                                                                       \
            multiply_block(t, rows, 2);                                                            \
        else                                                                                       \
            multiply_block(t, rows, 1);                                                            \
        break

WITH_BF16 static void multiply(const pri_bf16_tile *t)
{
    switch (t->rows) {
        ROWS_CASE(1);
        ROWS_CASE(2);
        ROWS_CASE(3);
        ROWS_CASE(4);
        ROWS_CASE(5);
        ROWS_CASE(6);
        ROWS_CASE(7);
        ROWS_CASE(8);
        ROWS_CASE(9);
        ROWS_CASE(10);
        ROWS_CASE(11);
        ROWS_CASE(12);
    }
}

const pri_bf16_kernels TABLE_NAME(PARE_LEVEL) = {
    .pack_along = pack_along,
    .pack_across = pack_across,
    .pack_panel_transposed = pack_panel_transposed,
    .multiply = multiply,
};
#else
const pri_bf16_kernels TABLE_NAME(PARE_LEVEL) = {.multiply = NULL};
#endif
