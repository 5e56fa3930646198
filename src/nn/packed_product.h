/* Products of rows with a weight that stays the same, for inference. The weight is packed once, in
 * the order in which kernels read it; the caller's own thread multiplies a block of rows by it and
 * goes on with their results while they are in its cache. */
#ifndef PARE_SRC_NN_PACKED_PRODUCT_H
#define PARE_SRC_NN_PACKED_PRODUCT_H

#include "base/arithmetic.h"
#include "pare/nn.h"

typedef struct pri_packed_weight pri_packed_weight;

/* The rows of `count` weights of equal columns, one below the other, as one: query, key and value
 * in one product. In bf16 both operands of products are rounded to it; the context must have it
 * (pare_context_check_precision). */
pare_status pri_packed_create(const pare_context *context, pare_precision precision,
                              const pare_tensor *const *weights, size_t count,
                              pri_packed_weight **packed);
void pri_packed_destroy(pri_packed_weight *packed);
size_t pri_packed_rows(const pri_packed_weight *packed);
size_t pri_packed_bytes(const pri_packed_weight *packed);

/* Words of scratch for products of so many rows; 0 in fp32. */
size_t pri_packed_scratch(const pri_packed_weight *packed, size_t rows);

/* output (rows, the weight's rows) = input (rows, the weight's columns) x weight^T, contiguous, on
 * the calling thread. A row's bits do not depend on the other rows of the call. */
void pri_packed_multiply(const pri_packed_weight *packed, size_t rows, const float *input,
                         float *output, uint32_t *scratch);

/* The same for rows begin .. end - 1 of the weight, of which `begin`, and `end` unless it is the
 * last, are multiples of pri_packed_unit: row i of the result is at output + i * stride, from
 * `begin` on. Bits are those of the whole. */
size_t pri_packed_unit(const pri_packed_weight *packed);
void pri_packed_multiply_part(const pri_packed_weight *packed, size_t begin, size_t end,
                              size_t rows, const float *input, float *output, size_t stride,
                              uint32_t *scratch);

/* ---- Kernels ---- */

typedef struct pri_packed_tile {
    size_t rows, columns; /* of the output, at most those of the kernels */
    size_t size;          /* columns of the weight */
    const float *input;
    size_t input_stride;
    const float *panel; /* (size, columns of the kernels) */
    float *output;
    size_t output_stride;
} pri_packed_tile;

typedef struct pri_packed_kernels {
    size_t rows, columns;
    void (*multiply)(const pri_packed_tile *tile);
} pri_packed_kernels;

#endif
