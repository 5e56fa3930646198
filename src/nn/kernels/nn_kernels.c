/* The kernels of pri_nn_kernels; this file is built once per instruction-set level (PARE_LEVEL) and
 * exports one table. Most are plain loops that compilers turn into vector code, with "omp simd"
 * allowing them to reorder sums: the order depends on the level, never on threads. Those that need
 * an exponential use base/vector.h. */
#include <math.h>
#include <string.h>

#include "base/vector.h"
#include "nn/kernels.h"
#include "nn/kernels/row_access.h"

/* A fused multiply-add where the level has one; libm's would be a slow call elsewhere. */
static inline float multiply_add(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

V_INLINE v_float v_negate(v_float x)
{
    return v_sub(v_zero(), x);
}

/* ---- Activations ---- */

/* Cumulative normal distribution by 7.1.26 of Abramowitz and Stegun, off by at most 7.5e-8; the
 * tail itself is computed, not 1 - (1 - tail), so that small values are not lost to cancellation.
 * `density` receives exp(-x^2 / 2). */
V_INLINE v_float normal_cumulative(v_float x, v_float *density)
{
    v_float z = v_mul(v_max(x, v_negate(x)), v_set(0.70710678f));
    v_float t = v_div(v_set(1.0f), v_fma(v_set(0.3275911f), z, v_set(1.0f)));
    v_float e = v_exp(v_mul(v_mul(v_set(-0.5f), x), x));
    v_float p = v_set(1.061405429f);
    p = v_fma(p, t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    v_float tail = v_mul(v_mul(v_mul(v_set(0.5f), p), t), e);
    *density = e;
    return v_select(v_less(x, v_zero()), tail, v_sub(v_set(1.0f), tail));
}

V_INLINE v_float gelu(v_float x)
{
    v_float density;
    return v_mul(x, normal_cumulative(x, &density));
}

V_INLINE v_float gelu_derivative(v_float x)
{
    v_float density, cumulative = normal_cumulative(x, &density);
    return v_fma(v_mul(x, v_set(0.39894228f)), density, cumulative);
}

/* 1 / (1 + exp(-x)); `rest` receives 1 minus that, without cancellation. The exponential stays
 * finite. */
V_INLINE v_float logistic(v_float x, v_float *rest)
{
    v_float e = v_exp(v_negate(v_max(x, v_set(-80.0f))));
    v_float share = v_div(v_set(1.0f), v_add(v_set(1.0f), e));
    *rest = v_mul(e, share);
    return share;
}

V_INLINE v_float swish(v_float x)
{
    v_float rest;
    return v_mul(x, logistic(x, &rest));
}

V_INLINE v_float swish_derivative(v_float x)
{
    v_float rest, share = logistic(x, &rest);
    return v_mul(share, v_fma(x, rest, v_set(1.0f)));
}

/* Near zero, where 1 - exp(-2x) cancels, by the series. */
V_INLINE v_float hyperbolic_tangent(v_float x)
{
    v_float one = v_set(1.0f), magnitude = v_max(x, v_negate(x)), square = v_mul(x, x);
    v_float e = v_exp(v_mul(v_set(-2.0f), magnitude));
    v_float quotient = v_div(v_sub(one, e), v_add(one, e));
    v_float signed_quotient = v_select(v_less(x, v_zero()), v_negate(quotient), quotient);
    v_float series = v_fma(v_set(-17.0f / 315.0f), square, v_set(2.0f / 15.0f));
    series = v_fma(series, square, v_set(-1.0f / 3.0f));
    series = v_fma(v_mul(series, square), x, x);
    return v_select(v_less(magnitude, v_set(0.2f)), series, signed_quotient);
}

static void add_bias(size_t rows, size_t columns, const float *restrict bias, float *restrict value)
{
    for (size_t i = 0; i < rows; i++) {
        float *row = value + i * columns;
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            row[j] += bias[j];
    }
}

static void activate(size_t count, pare_activation activation, float *restrict value)
{
    switch (activation) {
    case PARE_ACTIVATION_NONE:
        break;
    case PARE_ACTIVATION_RELU:
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            value[i] = value[i] < 0.0f ? 0.0f : value[i];
        break;
    case PARE_ACTIVATION_GELU:
        for (size_t i = 0; i < count; i += V_WIDTH)
            store(value + i, gelu(load(value + i, count - i)), count - i);
        break;
    case PARE_ACTIVATION_SWISH:
        for (size_t i = 0; i < count; i += V_WIDTH)
            store(value + i, swish(load(value + i, count - i)), count - i);
        break;
    case PARE_ACTIVATION_TANH:
        for (size_t i = 0; i < count; i += V_WIDTH)
            store(value + i, hyperbolic_tangent(load(value + i, count - i)), count - i);
        break;
    }
}

static void bias_activation(size_t rows, size_t columns, const float *bias,
                            pare_activation activation, float *value, float *before)
{
    if (bias)
        add_bias(rows, columns, bias, value);
    if (before)
        memcpy(before, value, rows * columns * sizeof(float));
    activate(rows * columns, activation, value);
}

static void activation_gradient(size_t count, pare_activation activation,
                                const float *restrict saved, float *restrict gradient)
{
    switch (activation) {
    case PARE_ACTIVATION_NONE:
        break;
    case PARE_ACTIVATION_RELU:
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            gradient[i] = saved[i] <= 0.0f ? 0.0f : gradient[i];
        break;
    case PARE_ACTIVATION_GELU:
        for (size_t i = 0; i < count; i += V_WIDTH) {
            v_float slope = gelu_derivative(load(saved + i, count - i));
            store(gradient + i, v_mul(load(gradient + i, count - i), slope), count - i);
        }
        break;
    case PARE_ACTIVATION_SWISH:
        for (size_t i = 0; i < count; i += V_WIDTH) {
            v_float slope = swish_derivative(load(saved + i, count - i));
            store(gradient + i, v_mul(load(gradient + i, count - i), slope), count - i);
        }
        break;
    case PARE_ACTIVATION_TANH:
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            gradient[i] *= 1.0f - saved[i] * saved[i];
        break;
    }
}

/* ---- Layer normalisation ---- */

static float mean_of(size_t columns, const float *x)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < columns; j++)
        sum += x[j];
    return sum / (float)columns;
}

static float inverse_deviation_of(size_t columns, const float *x, float mean, float epsilon)
{
    float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
    for (size_t j = 0; j < columns; j++)
        squares += (x[j] - mean) * (x[j] - mean);
    return 1.0f / sqrtf(squares / (float)columns + epsilon);
}

static void layer_norm(size_t rows, size_t columns, const float *x, const float *restrict gain,
                       const float *restrict bias, float epsilon, float *y, float *mean,
                       float *inverse_deviation)
{
    for (size_t i = 0; i < rows; i++) {
        const float *restrict in = x + i * columns;
        float *restrict out = y + i * columns;
        float middle = mean_of(columns, in);
        float inverse = inverse_deviation_of(columns, in, middle, epsilon);
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            out[j] = multiply_add((in[j] - middle) * inverse, gain[j], bias[j]);
        mean[i] = middle;
        inverse_deviation[i] = inverse;
    }
}

static void add_layer_norm(size_t columns, const float *restrict a, const float *restrict b,
                           const float *restrict gain, const float *restrict bias, float epsilon,
                           float *restrict value)
{
#pragma omp simd
    for (size_t j = 0; j < columns; j++)
        value[j] += a[j] + b[j];
    float middle = mean_of(columns, value);
    float inverse = inverse_deviation_of(columns, value, middle, epsilon);
#pragma omp simd
    for (size_t j = 0; j < columns; j++)
        value[j] = multiply_add((value[j] - middle) * inverse, gain[j], bias[j]);
}

/* With n = (x - mean) / deviation and h = gain dy:
 *     dx = (h - mean(h) - n mean(h n)) / deviation */
static void layer_norm_gradient(size_t rows, size_t columns, const float *x,
                                const float *restrict gain, const float *mean,
                                const float *inverse_deviation, const float *dy, float beta,
                                float *dx, float *restrict gain_sums, float *restrict bias_sums)
{
    for (size_t i = 0; i < rows; i++) {
        const float *restrict in = x + i * columns, *restrict out_gradient = dy + i * columns;
        float middle = mean[i], inverse = inverse_deviation[i];
        float sum = 0.0f, product = 0.0f;
#pragma omp simd reduction(+ : sum, product)
        for (size_t j = 0; j < columns; j++) {
            float normal = (in[j] - middle) * inverse, scaled = gain[j] * out_gradient[j];
            gain_sums[j] += normal * out_gradient[j];
            bias_sums[j] += out_gradient[j];
            sum += scaled;
            product += scaled * normal;
        }
        if (!dx)
            continue;
        float sum_mean = sum / (float)columns, product_mean = product / (float)columns;
        float *restrict gradient = dx + i * columns;
        if (beta == 0.0f) {
#pragma omp simd
            for (size_t j = 0; j < columns; j++) {
                float normal = (in[j] - middle) * inverse;
                gradient[j] =
                    inverse * (gain[j] * out_gradient[j] - sum_mean - normal * product_mean);
            }
        } else {
#pragma omp simd
            for (size_t j = 0; j < columns; j++) {
                float normal = (in[j] - middle) * inverse;
                gradient[j] +=
                    inverse * (gain[j] * out_gradient[j] - sum_mean - normal * product_mean);
            }
        }
    }
}

/* ---- Dropout ---- */

/* 32 random bits for a column of a row with this key: the two-round mix "lowbias32" (C. Wellons),
 * started at a multiple of the golden ratio and keyed before each round. tests/nn/test_dropout.c
 * checks frequency, neighbours along rows and columns, and different keys. */
static inline uint32_t column_bits(uint32_t column, uint32_t low, uint32_t high)
{
    uint32_t x = column * UINT32_C(0x9e3779b1) + low;
    x ^= x >> 16;
    x *= UINT32_C(0x7feb352d);
    x ^= x >> 15;
    x += high;
    x *= UINT32_C(0x846ca68b);
    x ^= x >> 16;
    return x;
}

static void dropout(size_t columns, uint64_t row_key, float probability, const float *x,
                    const float *added, float *y)
{
    uint32_t low = (uint32_t)row_key, high = (uint32_t)(row_key >> 32);
    uint32_t threshold = (uint32_t)((double)probability * 0x1p32);
    float scale = 1.0f / (1.0f - probability);
    int count = (int)columns; /* a signed counter, which may not wrap, lets compilers use vectors */
    if (added) {
#pragma omp simd
        for (int j = 0; j < count; j++)
            y[j] =
                added[j] + (column_bits((uint32_t)j, low, high) >= threshold ? x[j] * scale : 0.0f);
    } else {
#pragma omp simd
        for (int j = 0; j < count; j++)
            y[j] = column_bits((uint32_t)j, low, high) >= threshold ? x[j] * scale : 0.0f;
    }
}

/* ---- Element-wise sums and column sums ---- */

static void add(size_t count, const float *a, const float *b, float *restrict sum)
{
#pragma omp simd
    for (size_t i = 0; i < count; i++)
        sum[i] = a[i] + b[i];
}

static void add_scaled(size_t count, float factor, const float *restrict x, float beta,
                       float *restrict y)
{
    if (beta == 0.0f) {
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            y[i] = factor * x[i];
    } else {
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            y[i] = multiply_add(factor, x[i], y[i]);
    }
}

static void add_column_sums(size_t rows, size_t columns, const float *restrict x, size_t stride,
                            float *restrict out)
{
    for (size_t i = 0; i < rows; i++) {
        const float *row = x + i * stride;
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            out[j] += row[j];
    }
}

static double sum(size_t count, const float *x)
{
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (size_t i = 0; i < count; i++)
        total += (double)x[i];
    return total;
}

static double sum_of_squares(size_t count, const float *x)
{
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (size_t i = 0; i < count; i++)
        total += (double)x[i] * (double)x[i];
    return total;
}

/* ---- Softmax ---- */

/* -infinity in lanes past the end of a row. */
V_INLINE v_float load_or_least(const float *p, size_t left)
{
    if (left >= V_WIDTH)
        return v_load(p);
    return v_select(v_first_lanes(left), v_load_partial(p, left), v_set(-INFINITY));
}

/* Adds the bias where there is one. A NaN logit never becomes the maximum. */
static float add_bias_find_largest(size_t columns, const float *bias, float *logits)
{
    v_float maxima = v_set(-INFINITY);
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        size_t left = columns - j;
        v_float logit = load_or_least(logits + j, left);
        if (bias) {
            logit = v_add(logit, load(bias + j, left));
            store(logits + j, logit, left);
        }
        maxima = v_max(logit, maxima);
    }
    return v_reduce_max(maxima);
}

/* A NaN logit makes the sum NaN. */
static float log_sum_exp(size_t columns, const float *bias, float *logits)
{
    float largest = add_bias_find_largest(columns, bias, logits);
    v_float sums = v_zero();
    for (size_t j = 0; j < columns; j += V_WIDTH)
        sums = v_add(sums, v_exp(v_sub(load_or_least(logits + j, columns - j), v_set(largest))));
    return largest + logf(v_reduce_add(sums));
}

static float softmax_cross_entropy(size_t columns, const float *bias, size_t target, float *logits,
                                   float *column_sums)
{
    float largest = add_bias_find_largest(columns, bias, logits), logit = logits[target];
    v_float sums = v_zero();
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        v_float e = v_exp(v_sub(load_or_least(logits + j, columns - j), v_set(largest)));
        sums = v_add(sums, e);
        store(logits + j, e, columns - j);
    }
    float sum = v_reduce_add(sums);
    v_float inverse = v_set(1.0f / sum);
    logits[target] -= sum;
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        size_t left = columns - j;
        v_float gradient = v_mul(load(logits + j, left), inverse);
        store(logits + j, gradient, left);
        if (column_sums)
            store(column_sums + j, v_add(load(column_sums + j, left), gradient), left);
    }
    return largest + logf(sum) - logit;
}

static void softmax_gradient(size_t columns, const float *logits, float log_sum, float factor,
                             float share, float beta, float *out)
{
    for (size_t j = 0; j < columns; j += V_WIDTH) {
        size_t left = columns - j;
        v_float p = v_exp(v_sub(load(logits + j, left), v_set(log_sum)));
        v_float gradient = v_mul(v_set(factor), v_sub(p, v_set(share)));
        if (beta != 0.0f)
            gradient = v_add(gradient, load(out + j, left));
        store(out + j, gradient, left);
    }
}

/* ---- Adam ---- */

static void adam(const pri_adam *settings, size_t count, float *restrict parameter,
                 const float *restrict gradient, float *restrict m, float *restrict v)
{
    float beta1 = settings->beta1, beta2 = settings->beta2, epsilon = settings->epsilon;
    float rate = settings->rate / settings->correction1;
    float root = 1.0f / sqrtf(settings->correction2), scale = settings->gradient_scale;
    float keep = settings->decoupled ? 1.0f - settings->rate * settings->weight_decay : 1.0f;
    float decay = settings->decoupled ? 0.0f : settings->weight_decay;
#pragma omp simd
    for (size_t i = 0; i < count; i++) {
        float g = scale * gradient[i] + decay * parameter[i];
        m[i] = beta1 * m[i] + (1.0f - beta1) * g;
        v[i] = beta2 * v[i] + (1.0f - beta2) * (g * g);
        parameter[i] = keep * parameter[i] - rate * m[i] / (sqrtf(v[i]) * root + epsilon);
    }
}

#define JOIN(a, b) a##b
#define TABLE_NAME(level) JOIN(pri_nn_kernels_, level)

extern const pri_nn_kernels TABLE_NAME(PARE_LEVEL);
const pri_nn_kernels TABLE_NAME(PARE_LEVEL) = {
    .bias_activation = bias_activation,
    .activation_gradient = activation_gradient,
    .layer_norm = layer_norm,
    .add_layer_norm = add_layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
    .dropout = dropout,
    .add = add,
    .add_scaled = add_scaled,
    .add_column_sums = add_column_sums,
    .log_sum_exp = log_sum_exp,
    .softmax_cross_entropy = softmax_cross_entropy,
    .softmax_gradient = softmax_gradient,
    .sum = sum,
    .sum_of_squares = sum_of_squares,
    .adam = adam,
};
