/* The halves of a transformer layer (transformer_block.h) without a tape: products with packed
 * weights, and the passes over rows between them. Everything works on a block of rows on the
 * calling thread, and a row's bits do not depend on the others. */
#ifndef PARE_SRC_MODELS_PACKED_BLOCK_H
#define PARE_SRC_MODELS_PACKED_BLOCK_H

#include "models/transformer_block.h"
#include "nn/kernels.h"
#include "nn/packed_product.h"

/* A weight with its bias, or several that are multiplied by the same rows as one. */
typedef struct pri_packed_linear {
    pri_packed_weight *weight;
    float *bias;
} pri_packed_linear;

/* What packing needs to know, and what came of it so far. */
typedef struct pri_packing {
    const pare_context *context;
    pare_precision precision;
    size_t bytes;
    size_t most_words; /* that the input of a product takes a row, in bf16 */
} pri_packing;

/* `biases` (rows of its weight) each. */
pare_status pri_packed_linear_create(pri_packing *packing, const pare_tensor *const *weights,
                                     const float *const *biases, size_t count,
                                     pri_packed_linear *linear);
pare_status pri_packed_linear_create_one(pri_packing *packing, const pare_tensor *weight,
                                         const float *bias, pri_packed_linear *linear);
void pri_packed_linear_destroy(pri_packed_linear *linear);

/* What all blocks of a model have in common. */
typedef struct pri_packed_rules {
    const pri_nn_kernels *kernels;
    size_t size; /* columns of a hidden state */
    float epsilon;
    pare_activation activation;
    bool pre_norm;
} pri_packed_rules;

/* output (rows, the weight's rows) = activation(input x weight^T + bias); `words`: the product's
 * scratch. */
void pri_packed_linear_apply(const pri_packed_rules *rules, const pri_packed_linear *linear,
                             pare_activation activation, size_t rows, const float *input,
                             float *output, uint32_t *words);
/* y = layer norm(x), both (rows, size). */
void pri_packed_norm(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                     const float *x, float *y);
/* What a half's products read: `hidden` itself, or of pre-norm models its layer norm in `normal`.
 */
const float *pri_packed_input(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                              const float *hidden, float *normal);
/* The end of a half: value = value + bias + residual, and of post-norm models its layer norm. */
void pri_packed_add_change(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                           const float *bias, const float *residual, float *value);

#endif
