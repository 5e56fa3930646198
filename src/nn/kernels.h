/* The inner loops of operators, built once per instruction-set level. A kernel works on one piece
 * on one thread; the operators cut the work into pieces. */
#ifndef PARE_SRC_NN_KERNELS_H
#define PARE_SRC_NN_KERNELS_H

#include "nn/optimizer.h"
#include "pare/nn.h"

typedef struct pri_nn_kernels {
    /* value = activation(value + bias); bias NULL: none. `before` (rows, columns) or NULL receives
     * value + bias. */
    void (*bias_activation)(size_t rows, size_t columns, const float *bias,
                            pare_activation activation, float *value, float *before);
    /* gradient *= activation'; `saved` is what went in for GELU and SWISH, what came out
     * for the others. */
    void (*activation_gradient)(size_t count, pare_activation activation, const float *saved,
                                float *gradient);
    /* y = gain * (x - mean) * inverse_deviation + bias, statistics per row. */
    void (*layer_norm)(size_t rows, size_t columns, const float *x, const float *gain,
                       const float *bias, float epsilon, float *y, float *mean,
                       float *inverse_deviation);
    /* value = layer_norm(value + a + b), one row. */
    void (*add_layer_norm)(size_t columns, const float *a, const float *b, const float *gain,
                           const float *bias, float epsilon, float *value);
    /* dx = gradient + beta * dx when dx is not NULL; gain_sums and bias_sums (columns) are added
     * to.
     */
    void (*layer_norm_gradient)(size_t rows, size_t columns, const float *x, const float *gain,
                                const float *mean, const float *inverse_deviation, const float *dy,
                                float beta, float *dx, float *gain_sums, float *bias_sums);
    /* y = x / (1 - probability) where kept, else 0, plus `added`, or NULL for none. `row_key` is
     * the row's own. y may be x, or `added`. */
    void (*dropout)(size_t columns, uint64_t row_key, float probability, const float *x,
                    const float *added, float *y);
    void (*add)(size_t count, const float *a, const float *b, float *sum);
    /* y = factor * x + beta * y */
    void (*add_scaled)(size_t count, float factor, const float *x, float beta, float *y);
    /* out += sums over rows, in row order. */
    void (*add_column_sums)(size_t rows, size_t columns, const float *x, size_t stride, float *out);
    /* logits += bias (NULL: none); returns the logarithm of the sum of exponentials. */
    float (*log_sum_exp)(size_t columns, const float *bias, float *logits);
    /* Adds bias (NULL: none), returns -log softmax(logits)[target], and turns logits into the
     * gradient of that, which is added to column_sums (NULL: not). */
    float (*softmax_cross_entropy)(size_t columns, const float *bias, size_t target, float *logits,
                                   float *column_sums);
    /* out = factor * (exp(logits - log_sum) - share) + beta * out, beta 0 or 1; out may be logits
     * itself. */
    void (*softmax_gradient)(size_t columns, const float *logits, float log_sum, float factor,
                             float share, float beta, float *out);
    /* Sum of x, in fp64. */
    double (*sum)(size_t count, const float *x);
    double (*sum_of_squares)(size_t count, const float *x);
    void (*adam)(const pri_adam *adam, size_t count, float *parameter, const float *gradient,
                 float *m, float *v);
} pri_nn_kernels;

/* The table for the context's level. */
const pri_nn_kernels *pri_nn_kernels_for(const pare_context *context);

#endif
