/* Packing of weights with their biases, and the passes over rows that border products. */
#include "models/packed_block.h"

#include <string.h>

#include "base/memory.h"

/* ---- Packing ---- */

static pare_status copy_biases(const pare_tensor *const *weights, const float *const *biases,
                               size_t count, pri_packed_linear *linear)
{
    linear->bias = pri_allocate(pri_packed_rows(linear->weight), sizeof(float));
    if (!linear->bias)
        return PARE_ERROR_MEMORY;
    float *to = linear->bias;
    for (size_t i = 0; i < count; i++) {
        memcpy(to, biases[i], weights[i]->rows * sizeof(float));
        to += weights[i]->rows;
    }
    return PARE_OK;
}

pare_status pri_packed_linear_create(pri_packing *packing, const pare_tensor *const *weights,
                                     const float *const *biases, size_t count,
                                     pri_packed_linear *linear)
{
    PRI_TRY(
        pri_packed_create(packing->context, packing->precision, weights, count, &linear->weight));
    packing->bytes += pri_packed_bytes(linear->weight);
    packing->most_words = pri_larger(packing->most_words, pri_packed_scratch(linear->weight, 1));
    return copy_biases(weights, biases, count, linear);
}

pare_status pri_packed_linear_create_one(pri_packing *packing, const pare_tensor *weight,
                                         const float *bias, pri_packed_linear *linear)
{
    return pri_packed_linear_create(packing, &weight, &bias, 1, linear);
}

void pri_packed_linear_destroy(pri_packed_linear *linear)
{
    pri_packed_destroy(linear->weight);
    pri_free(linear->bias);
}

/* ---- Passes over rows ---- */

void pri_packed_linear_apply(const pri_packed_rules *rules, const pri_packed_linear *linear,
                             pare_activation activation, size_t rows, const float *input,
                             float *output, uint32_t *words)
{
    size_t columns = pri_packed_rows(linear->weight);
    pri_packed_multiply(linear->weight, rows, input, output, words);
    for (size_t i = 0; i < rows; i++)
        rules->kernels->bias_activation(1, columns, linear->bias, activation, output + i * columns,
                                        NULL);
}

void pri_packed_norm(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                     const float *x, float *y)
{
    for (size_t i = 0; i < rows; i++) {
        float mean, inverse_deviation;
        rules->kernels->layer_norm(1, rules->size, x + i * rules->size, norm->gain->value,
                                   norm->offset->value, rules->epsilon, y + i * rules->size, &mean,
                                   &inverse_deviation);
    }
}

const float *pri_packed_input(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                              const float *hidden, float *normal)
{
    if (!rules->pre_norm)
        return hidden;
    pri_packed_norm(rules, norm, rows, hidden, normal);
    return normal;
}

void pri_packed_add_change(const pri_packed_rules *rules, const pri_norm *norm, size_t rows,
                           const float *bias, const float *residual, float *value)
{
    size_t size = rules->size;
    for (size_t i = 0; i < rows; i++) {
        const float *before = residual + i * size;
        float *row = value + i * size;
        if (rules->pre_norm) {
            rules->kernels->add_scaled(size, 1.0f, bias, 1.0f, row);
            rules->kernels->add_scaled(size, 1.0f, before, 1.0f, row);
        } else {
            rules->kernels->add_layer_norm(size, bias, before, norm->gain->value,
                                           norm->offset->value, rules->epsilon, row);
        }
    }
}
