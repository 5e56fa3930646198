/* Matrix products of numbers rounded to bf16, with sums in fp32, on CPUs that have them. */
#ifndef PARE_SRC_NN_BF16_PRODUCT_H
#define PARE_SRC_NN_BF16_PRODUCT_H

#include "pare/nn.h"

/* output (m, n) = alpha * op(a) op(b) + beta * output, row-major. */
typedef struct pri_product {
    bool transpose_a, transpose_b;
    size_t m, n, k;
    float alpha;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float beta;
    float *output;
    size_t ldo;
} pri_product;

/* So few multiply-adds that waking threads does not pay. */
static inline bool pri_product_is_small(const pri_product *product)
{
    const size_t serial_work = (size_t)1 << 18;
    return product->m * product->n <= serial_work / product->k;
}

pare_status pri_bf16_product(pare_context *context, const pri_product *product);

/* ---- Kernels ----
 * A word holds two bf16 numbers that are neighbours in k, the first in its low half; pairs of an
 * odd k end with 0. */
#define PRI_BF16_COLUMNS ((size_t)32) /* of a panel of b: (pairs, PRI_BF16_COLUMNS) words */
#define PRI_BF16_ROWS ((size_t)12)

typedef struct pri_bf16_kernels pri_bf16_kernels;
typedef struct pri_bf16_tile {
    size_t rows, columns, pairs; /* at most PRI_BF16_ROWS and PRI_BF16_COLUMNS */
    const uint32_t *a;
    size_t row_stride, pair_stride; /* of a */
    const uint32_t *panel;
    float alpha, beta; /* with beta 0 the output is not read */
    float *output;
    size_t output_stride;
} pri_bf16_tile;

struct pri_bf16_kernels {
    /* words[i] = (x[2 i], x[2 i + 1]) */
    void (*pack_along)(size_t count, const float *x, uint32_t *words);
    /* Words (first[j], second[j]), `second` NULL: zeros, in runs of PRI_BF16_COLUMNS that lie
     * `stride` apart. */
    void (*pack_across)(size_t count, const float *first, const float *second, uint32_t *words,
                        size_t stride);
    /* A panel whose columns are rows of x. */
    void (*pack_panel_transposed)(size_t columns, size_t k, const float *x, size_t stride,
                                  uint32_t *panel);
    void (*multiply)(const pri_bf16_tile *tile);
};

/* NULL where the CPU has no bf16, or the context's level does not use it. */
const pri_bf16_kernels *pri_bf16_kernels_for(const pare_context *context);

#endif
