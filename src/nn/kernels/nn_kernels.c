/* The kernels of pri_nn_kernels, written as plain loops that compilers turn into vector code; this
 * file is built once per instruction-set level (PARE_LEVEL) and exports one table.
 *
 * Sums are vector reductions ("omp simd"): their order depends on the level, never on threads. exp
 * is a polynomial with two units in the last place of error, and keeps NaN. */
#include <math.h>
#include <string.h>

#include "nn/kernels.h"

/* A fused multiply-add where the level has one; libm's would be a slow call elsewhere. */
static inline float multiply_add(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp(x) = 2^n exp(r), |r| <= ln(2) / 2; the polynomial is that of the Cephes library. Exactly 0
 * where the result would be subnormal. */
static inline float exponential(float x)
{
    const float smallest = -87.33654f, largest = 88.37626f;
    const float shifter = 0x1.8p23f; /* adding it rounds to an integer, found in the low bits */
    float clamped = x > largest ? largest : x;
    float shifted = multiply_add(clamped, 1.44269504f, shifter);
    float n = shifted - shifter;
    float r = multiply_add(n, -0.693359375f, clamped);
    r = multiply_add(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = multiply_add(p, r, 1.3981999507e-3f);
    p = multiply_add(p, r, 8.3334519073e-3f);
    p = multiply_add(p, r, 4.1665795894e-2f);
    p = multiply_add(p, r, 1.6666665459e-1f);
    p = multiply_add(p, r, 5.0000001201e-1f);
    p = multiply_add(p, r * r, r) + 1.0f;
    float power = float_of((bits_of(shifted) << 23) + bits_of(1.0f));
    float result = p * power;
    return x < smallest ? 0.0f : result;
}

/* ---- Activations ---- */

/* Cumulative normal distribution by 7.1.26 of Abramowitz and Stegun, off by at most 7.5e-8; small
 * values keep their relative accuracy because the tail is computed, not 1 - (1 - tail). `density`
 * receives exp(-x^2 / 2). */
static inline float normal_cumulative(float x, float *density)
{
    float z = fabsf(x) * 0.70710678f;
    float t = 1.0f / multiply_add(0.3275911f, z, 1.0f);
    float e = exponential(-0.5f * x * x);
    float p = 1.061405429f;
    p = multiply_add(p, t, -1.453152027f);
    p = multiply_add(p, t, 1.421413741f);
    p = multiply_add(p, t, -0.284496736f);
    p = multiply_add(p, t, 0.254829592f);
    float tail = 0.5f * p * t * e;
    *density = e;
    return x < 0.0f ? tail : 1.0f - tail;
}

static inline float gelu(float x)
{
    float density;
    return x * normal_cumulative(x, &density);
}

static inline float gelu_derivative(float x)
{
    float density, cumulative = normal_cumulative(x, &density);
    return multiply_add(x * 0.39894228f, density, cumulative);
}

/* Near zero, where 1 - exp(-2x) cancels, by the series. */
static inline float hyperbolic_tangent(float x)
{
    float magnitude = fabsf(x), square = x * x;
    float e = exponential(-2.0f * magnitude);
    float quotient = (1.0f - e) / (1.0f + e);
    float series = multiply_add(-17.0f / 315.0f, square, 2.0f / 15.0f);
    series = multiply_add(series, square, -1.0f / 3.0f);
    series = multiply_add(series * square, x, x);
    return magnitude < 0.2f ? series : copysignf(quotient, x);
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
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            value[i] = gelu(value[i]);
        break;
    case PARE_ACTIVATION_TANH:
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            value[i] = hyperbolic_tangent(value[i]);
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
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            gradient[i] *= gelu_derivative(saved[i]);
        break;
    case PARE_ACTIVATION_TANH:
#pragma omp simd
        for (size_t i = 0; i < count; i++)
            gradient[i] *= 1.0f - saved[i] * saved[i];
        break;
    }
}

/* ---- Layer normalisation ---- */

static void layer_norm(size_t rows, size_t columns, const float *x, const float *restrict gain,
                       const float *restrict bias, float epsilon, float *y, float *mean,
                       float *inverse_deviation)
{
    for (size_t i = 0; i < rows; i++) {
        const float *restrict in = x + i * columns;
        float *restrict out = y + i * columns;
        float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < columns; j++)
            sum += in[j];
        float middle = sum / (float)columns;
#pragma omp simd reduction(+ : squares)
        for (size_t j = 0; j < columns; j++)
            squares += (in[j] - middle) * (in[j] - middle);
        float inverse = 1.0f / sqrtf(squares / (float)columns + epsilon);
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            out[j] = multiply_add((in[j] - middle) * inverse, gain[j], bias[j]);
        mean[i] = middle;
        inverse_deviation[i] = inverse;
    }
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

static void dropout(size_t columns, uint64_t row_key, float probability, const float *restrict x,
                    float beta, float *restrict y)
{
    uint32_t low = (uint32_t)row_key, high = (uint32_t)(row_key >> 32);
    uint32_t threshold = (uint32_t)((double)probability * 0x1p32);
    float scale = 1.0f / (1.0f - probability);
    int count = (int)columns; /* a signed counter, which may not wrap, lets compilers use vectors */
    if (beta == 0.0f) {
#pragma omp simd
        for (int j = 0; j < count; j++)
            y[j] = column_bits((uint32_t)j, low, high) >= threshold ? x[j] * scale : 0.0f;
    } else {
#pragma omp simd
        for (int j = 0; j < count; j++)
            y[j] += column_bits((uint32_t)j, low, high) >= threshold ? x[j] * scale : 0.0f;
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

/* A NaN logit loses every comparison, so it never becomes the maximum, but it makes the sum NaN. */
static float log_sum_exp(size_t columns, const float *restrict bias, float *restrict logits)
{
    float largest = -INFINITY, total = 0.0f;
    if (bias)
        add_bias(1, columns, bias, logits);
#pragma omp simd reduction(max : largest)
    for (size_t j = 0; j < columns; j++)
        largest = logits[j] > largest ? logits[j] : largest;
#pragma omp simd reduction(+ : total)
    for (size_t j = 0; j < columns; j++)
        total += exponential(logits[j] - largest);
    return largest + logf(total);
}

static void softmax_gradient(size_t columns, const float *logits, float log_sum, float factor,
                             float share, float beta, float *out)
{
    if (beta == 0.0f) {
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            out[j] = factor * (exponential(logits[j] - log_sum) - share);
    } else {
#pragma omp simd
        for (size_t j = 0; j < columns; j++)
            out[j] += factor * (exponential(logits[j] - log_sum) - share);
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
    .layer_norm_gradient = layer_norm_gradient,
    .dropout = dropout,
    .add = add,
    .add_scaled = add_scaled,
    .add_column_sums = add_column_sums,
    .log_sum_exp = log_sum_exp,
    .softmax_gradient = softmax_gradient,
    .sum = sum,
    .sum_of_squares = sum_of_squares,
    .adam = adam,
};
