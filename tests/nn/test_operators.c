/* Every operator but attention and dropout, against fp64 references written out here. Sizes are odd
 * on purpose: vectors must cope with their tails. */
#include "nn_check.h"

/* ---- Linear ---- */

typedef struct linear_settings {
    size_t rows, in, out;
    pare_activation activation;
    bool biased;
} linear_settings;

static double activation_reference(pare_activation activation, double x)
{
    switch (activation) {
    case PARE_ACTIVATION_RELU:
        return x > 0.0 ? x : 0.0;
    case PARE_ACTIVATION_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case PARE_ACTIVATION_SWISH:
        return x / (1.0 + exp(-x));
    case PARE_ACTIVATION_TANH:
        return tanh(x);
    default:
        return x;
    }
}

/* result (rows, out) = x (rows, in) weight (out, in)^T + bias */
static void linear_reference_into(size_t rows, size_t in, size_t out, const double *x,
                                  const double *weight, const double *bias, double *result)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t o = 0; o < out; o++) {
            double sum = bias ? bias[o] : 0.0;
            for (size_t k = 0; k < in; k++)
                sum += x[i * in + k] * weight[o * in + k];
            result[i * out + o] = sum;
        }
}

static void linear_reference(double *const *p, const void *settings, double *result)
{
    const linear_settings *s = settings;
    linear_reference_into(s->rows, s->in, s->out, p[0], p[1], s->biased ? p[2] : NULL, result);
    for (size_t i = 0; i < s->rows * s->out; i++)
        result[i] = activation_reference(s->activation, result[i]);
}

static pare_tensor *linear_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    const linear_settings *s = settings;
    return pare_linear(tape, p[0], p[1], s->biased ? p[2] : NULL, s->activation);
}

static void test_linear(void **state)
{
    (void)state;
    const pare_activation activations[] = {PARE_ACTIVATION_NONE, PARE_ACTIVATION_RELU,
                                           PARE_ACTIVATION_GELU, PARE_ACTIVATION_SWISH,
                                           PARE_ACTIVATION_TANH};
    for (int a = 0; a < 5; a++)
        for (int biased = 0; biased < 2; biased++) {
            linear_settings s = {9, 13, 21, activations[a], biased};
            check_operator(&(check_case){.name = "linear",
                                         .parameter_count = biased ? 3 : 2,
                                         .shapes = {{9, 13}, {21, 13}, {1, 21}},
                                         .rows = 9,
                                         .columns = 21,
                                         .build = linear_build,
                                         .reference = linear_reference,
                                         .settings = &s});
        }
}

static double derivative_reference(pare_activation activation, double x)
{
    double share = 1.0 / (1.0 + exp(-x)), t = tanh(x);
    switch (activation) {
    case PARE_ACTIVATION_GELU:
        return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(2.0 * 3.14159265358979);
    case PARE_ACTIVATION_SWISH:
        return share * (1.0 + x * (1.0 - share));
    default:
        return 1.0 - t * t;
    }
}

/* The approximations behind GELU, swish and tanh over their whole range, derivative included. */
static void check_activation_range(pare_context *context)
{
    enum { COUNT = 20001 };
    float *x = malloc(COUNT * sizeof *x), *y = malloc(COUNT * sizeof *y);
    float *slope = malloc(COUNT * sizeof *slope);
    const pri_nn_kernels *kernels = pri_nn_kernels_for(context);
    for (int a = PARE_ACTIVATION_GELU; a <= PARE_ACTIVATION_TANH; a++) {
        for (int i = 0; i < COUNT; i++) {
            x[i] = y[i] = (float)(i - COUNT / 2) * 1.3e-3f;
            slope[i] = 1.0f;
        }
        kernels->bias_activation(1, COUNT, NULL, (pare_activation)a, y, NULL);
        bool from_output = a == PARE_ACTIVATION_TANH;
        kernels->activation_gradient(COUNT, (pare_activation)a, from_output ? y : x, slope);
        for (int i = 0; i < COUNT; i++) {
            double value = (double)x[i];
            double expected = activation_reference((pare_activation)a, value);
            double derivative = derivative_reference((pare_activation)a, value);
            assert_true(fabs((double)y[i] - expected) <= 3e-7 * fmax(1.0, fabs(expected)));
            assert_true(fabs((double)slope[i] - derivative) <= 6e-7);
        }
    }
    free(x);
    free(y);
    free(slope);
}

static void test_activation_range(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context *context = check_context((pare_level)level, 1);
        check_activation_range(context);
        pare_context_destroy(context);
    }
}

/* ---- Layer norm ---- */

static void layer_norm_reference(double *const *p, const void *settings, double *result)
{
    const size_t *shape = settings;
    size_t columns = shape[1];
    for (size_t i = 0; i < shape[0]; i++) {
        const double *x = p[0] + i * columns;
        double mean = 0.0, variance = 0.0;
        for (size_t j = 0; j < columns; j++)
            mean += x[j] / (double)columns;
        for (size_t j = 0; j < columns; j++)
            variance += (x[j] - mean) * (x[j] - mean) / (double)columns;
        for (size_t j = 0; j < columns; j++)
            result[i * columns + j] =
                (x[j] - mean) / sqrt(variance + (double)1e-5f) * p[1][j] + p[2][j];
    }
}

static pare_tensor *layer_norm_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_layer_norm(tape, p[0], p[1], p[2], 1e-5f);
}

static void test_layer_norm(void **state)
{
    (void)state;
    const size_t shapes[][2] = {{7, 41}, {3, 128}, {1, 5}, {5, 2}, {300, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t rows = shapes[i][0], columns = shapes[i][1];
        check_operator(&(check_case){.name = "layer norm",
                                     .parameter_count = 3,
                                     .shapes = {{rows, columns}, {1, columns}, {1, columns}},
                                     .rows = rows,
                                     .columns = columns,
                                     .build = layer_norm_build,
                                     .reference = layer_norm_reference,
                                     .settings = shapes[i]});
    }
}

/* ---- Sums and rows ---- */

static void add_twice_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < 6 * 19; i++)
        result[i] = p[0][i] + p[1][i] + p[0][i];
}

static pare_tensor *add_twice_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_add(tape, pare_add(tape, p[0], p[1]), p[0]);
}

static void add_itself_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < 6 * 19; i++)
        result[i] = 2.0 * (p[0][i] + p[1][i]);
}

static pare_tensor *add_itself_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    pare_tensor *sum = pare_add(tape, p[0], p[1]);
    return pare_add(tape, sum, sum);
}

static void test_add(void **state)
{
    (void)state;
    check_case c = {.name = "add",
                    .parameter_count = 2,
                    .shapes = {{6, 19}, {6, 19}},
                    .rows = 6,
                    .columns = 19,
                    .build = add_twice_build,
                    .reference = add_twice_reference};
    check_operator(&c);
    c.name = "add to itself";
    c.build = add_itself_build;
    c.reference = add_itself_reference;
    check_operator(&c);
}

/* ---- Scale ---- */

/* The input takes part twice, so its gradient is added to. */
static void scale_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < 5 * 13; i++)
        result[i] = -1.5 * (p[0][i] + 0.25 * p[0][i]);
}

static pare_tensor *scale_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_scale(tape, pare_add(tape, p[0], pare_scale(tape, p[0], 0.25f)), -1.5f);
}

static void test_scale(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "scale",
                                 .parameter_count = 1,
                                 .shapes = {{5, 13}},
                                 .rows = 5,
                                 .columns = 13,
                                 .build = scale_build,
                                 .reference = scale_reference});
}

static void concatenate_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t group = 0; group < 3; group++)
        for (size_t i = 0; i < 7; i++)
            for (size_t j = 0; j < 5; j++)
                result[(group * 7 + i) * 5 + j] =
                    i < 2 ? p[0][(group * 2 + i) * 5 + j] : p[1][(group * 5 + i - 2) * 5 + j];
}

static pare_tensor *concatenate_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_concatenate_groups(tape, p[0], p[1], 3);
}

static void test_concatenate(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "concatenate",
                                 .parameter_count = 2,
                                 .shapes = {{6, 5}, {15, 5}},
                                 .rows = 21,
                                 .columns = 5,
                                 .build = concatenate_build,
                                 .reference = concatenate_reference});
}

/* Rows 1..4 of a sum plus rows 3..6 of it: two views of a result, overlapping. */
static void rows_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < 4 * 3; i++)
        result[i] = 2.0 * p[0][3 + i] + 2.0 * p[0][9 + i];
}

static pare_tensor *rows_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    pare_tensor *twice = pare_add(tape, p[0], p[0]);
    return pare_add(tape, pare_rows(tape, twice, 1, 4), pare_rows(tape, twice, 3, 4));
}

static void test_rows(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "rows",
                                 .parameter_count = 1,
                                 .shapes = {{8, 3}},
                                 .rows = 4,
                                 .columns = 3,
                                 .build = rows_build,
                                 .reference = rows_reference});
}

/* ---- Embeddings ---- */

enum { TOKENS = 11 };
static const uint32_t tokens[TOKENS] = {3, 0, 9, 3, 3, 12, 6, 4, 12, 0, 5};

static void embedding_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < TOKENS; i++)
        for (size_t j = 0; j < 7; j++)
            result[i * 7 + j] = 1.5 * p[0][tokens[i] * 7 + j];
}

static pare_tensor *embedding_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_embedding(tape, p[0], tokens, TOKENS, 1.5f);
}

static void test_embedding(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "embedding",
                                 .parameter_count = 1,
                                 .shapes = {{13, 7}},
                                 .rows = TOKENS,
                                 .columns = 7,
                                 .build = embedding_build,
                                 .reference = embedding_reference});
}

/* Clusters 0..3, 4..8, 9..12 of widths 6, 3, 2; a projection each; model size 6. The last run has
 * no projection in cluster 0. */
static const size_t cutoffs[3] = {4, 9, 13};
static const size_t widths[3] = {6, 3, 2};

static void adaptive_embedding_reference(double *const *p, const void *settings, double *result)
{
    bool first_projected = *(const bool *)settings;
    for (size_t i = 0; i < TOKENS; i++) {
        size_t c = tokens[i] < 4 ? 0 : tokens[i] < 9 ? 1 : 2, width = widths[c];
        const double *row = p[c] + (tokens[i] - (c ? cutoffs[c - 1] : 0)) * width;
        for (size_t o = 0; o < 6; o++) {
            double sum = 0.0;
            for (size_t k = 0; k < width; k++)
                sum += row[k] * p[3 + c][o * width + k];
            result[i * 6 + o] = 0.5 * (c == 0 && !first_projected ? row[o] : sum);
        }
    }
}

static pare_tensor *adaptive_embedding_build(pare_tape *tape, pare_tensor *const *p,
                                             const void *settings)
{
    bool first_projected = *(const bool *)settings;
    pare_adaptive_words words = {.clusters = 3};
    for (size_t c = 0; c < 3; c++) {
        words.cutoffs[c] = cutoffs[c];
        words.weight[c] = p[c];
        words.projection[c] = c == 0 && !first_projected ? NULL : p[3 + c];
    }
    pare_tensor *result = pare_adaptive_embedding(tape, &words, tokens, TOKENS, 0.5f);
    return result;
}

static void test_adaptive_embedding(void **state)
{
    (void)state;
    for (int projected = 0; projected < 2; projected++) {
        bool setting = projected;
        check_operator(&(check_case){.name = "adaptive embedding",
                                     .parameter_count = 6,
                                     .shapes = {{4, 6}, {5, 3}, {4, 2}, {6, 6}, {6, 3}, {6, 2}},
                                     .rows = TOKENS,
                                     .columns = 6,
                                     .build = adaptive_embedding_build,
                                     .reference = adaptive_embedding_reference,
                                     .settings = &setting});
    }
}

/* ---- Losses ---- */

static double log_sum_exp_reference(const double *x, size_t count)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, x[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp(x[i] - largest);
    return largest + log(sum);
}

enum { CLASSES = 23 };
static const uint32_t classes[6] = {0, 22, 7, PARE_IGNORE, 7, 11};

static void cross_entropy_reference(double *const *p, const void *settings, double *result)
{
    double smoothing = (double)*(const float *)settings;
    *result = 0.0;
    for (size_t i = 0; i < 6; i++) {
        if (classes[i] == PARE_IGNORE)
            continue;
        const double *x = p[0] + i * CLASSES;
        double log_sum = log_sum_exp_reference(x, CLASSES);
        double loss = (1.0 - smoothing) * (log_sum - x[classes[i]]);
        for (size_t j = 0; j < CLASSES; j++)
            loss += smoothing / CLASSES * (log_sum - x[j]);
        *result += loss / 5.0;
    }
}

static pare_tensor *cross_entropy_build(pare_tape *tape, pare_tensor *const *p,
                                        const void *settings)
{
    return pare_cross_entropy(tape, p[0], classes, *(const float *)settings, NULL);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    const float smoothings[] = {0.0f, 0.1f, 1.0f};
    for (int i = 0; i < 3; i++)
        check_operator(&(check_case){.name = "cross entropy",
                                     .parameter_count = 1,
                                     .shapes = {{6, CLASSES}},
                                     .rows = 1,
                                     .columns = 1,
                                     .build = cross_entropy_build,
                                     .reference = cross_entropy_reference,
                                     .settings = &smoothings[i]});
}

/* The adaptive softmax over the vocabulary and widths above. Parameters: hidden (ROWS, 6), three
 * weights, three biases, three projections, cluster weight, cluster bias. */
enum { ROWS = 21 }; /* more than one group of rows in the sums for the bias gradient */
static const uint32_t words[ROWS] = {3, 12, 4, 0, 5,  PARE_IGNORE, 9, 8, 12, 1, 1,
                                     0, 2,  7, 6, 11, 10,          2, 3, 3,  0};

typedef struct adaptive_settings {
    bool first_projected;
    size_t cluster_count; /* 3, or 1: a plain softmax over the shortlist */
} adaptive_settings;

static void project_reference(const double *hidden, const double *projection, size_t width,
                              double *narrow)
{
    for (size_t k = 0; k < width; k++) {
        narrow[k] = projection ? 0.0 : hidden[k];
        for (size_t o = 0; projection && o < 6; o++)
            narrow[k] += hidden[o] * projection[o * width + k];
    }
}

/* Log-probability of each word for one hidden row. */
static void adaptive_row_reference(double *const *p, const adaptive_settings *s,
                                   const double *hidden, double *log_probabilities)
{
    double head[4 + 2], narrow[6], scores[5];
    size_t head_count = 4 + s->cluster_count - 1;
    project_reference(hidden, s->first_projected ? p[7] : NULL, 6, narrow);
    linear_reference_into(1, 6, 4, narrow, p[1], p[4], head);
    if (s->cluster_count > 1)
        linear_reference_into(1, 6, 2, narrow, p[10], p[11], head + 4);
    double log_sum = log_sum_exp_reference(head, head_count);
    for (size_t w = 0; w < 4; w++)
        log_probabilities[w] = head[w] - log_sum;
    for (size_t c = 1; c < s->cluster_count; c++) {
        size_t begin = cutoffs[c - 1], count = cutoffs[c] - begin;
        project_reference(hidden, p[7 + c], widths[c], narrow);
        linear_reference_into(1, widths[c], count, narrow, p[1 + c], p[4 + c], scores);
        double tail_sum = log_sum_exp_reference(scores, count);
        double token = head[4 + c - 1] - log_sum;
        for (size_t w = 0; w < count; w++)
            log_probabilities[begin + w] = token + scores[w] - tail_sum;
    }
}

static uint32_t word_at(const adaptive_settings *s, size_t i)
{
    return words[i] == PARE_IGNORE || s->cluster_count > 1 ? words[i] : words[i] % 4;
}

static void adaptive_softmax_reference(double *const *p, const void *settings, double *result)
{
    const adaptive_settings *s = settings;
    *result = 0.0;
    for (size_t i = 0; i < ROWS; i++) {
        double log_probabilities[13];
        if (words[i] == PARE_IGNORE)
            continue;
        adaptive_row_reference(p, s, p[0] + i * 6, log_probabilities);
        *result -= log_probabilities[word_at(s, i)] / (ROWS - 1);
    }
}

static pare_adaptive_softmax make_softmax(pare_tensor *const *p, const adaptive_settings *s)
{
    pare_adaptive_softmax softmax = {.clusters = s->cluster_count};
    for (size_t c = 0; c < s->cluster_count; c++) {
        softmax.cutoffs[c] = cutoffs[c];
        softmax.weight[c] = p[1 + c];
        softmax.bias[c] = p[4 + c];
        softmax.projection[c] = c == 0 && !s->first_projected ? NULL : p[7 + c];
    }
    if (s->cluster_count > 1) {
        softmax.cluster_weight = p[10];
        softmax.cluster_bias = p[11];
    }
    return softmax;
}

static pare_tensor *adaptive_softmax_build(pare_tape *tape, pare_tensor *const *p,
                                           const void *settings)
{
    const adaptive_settings *s = settings;
    pare_adaptive_softmax softmax = make_softmax(p, s);
    uint32_t targets[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        targets[i] = word_at(s, i);
    float losses[ROWS];
    pare_tensor *loss = pare_adaptive_softmax_loss(tape, p[0], &softmax, targets, losses);
    double sum = 0.0;
    for (size_t i = 0; loss && i < ROWS; i++)
        sum += (double)losses[i];
    if (loss && fabs(sum / (ROWS - 1) - (double)loss->value[0]) > 1e-6)
        fail_msg("adaptive softmax: the losses of rows do not add up to the loss");
    return loss;
}

static void test_adaptive_softmax(void **state)
{
    (void)state;
    for (int projected = 0; projected < 2; projected++)
        for (size_t clusters = 1; clusters <= 3; clusters += 2) {
            adaptive_settings s = {projected, clusters};
            check_operator(&(check_case){.name = "adaptive softmax",
                                         .parameter_count = 12,
                                         .shapes = {{ROWS, 6},
                                                    {4, 6},
                                                    {5, 3},
                                                    {4, 2},
                                                    {1, 4},
                                                    {1, 5},
                                                    {1, 4},
                                                    {6, 6},
                                                    {6, 3},
                                                    {6, 2},
                                                    {2, 6},
                                                    {1, 2}},
                                         .rows = 1,
                                         .columns = 1,
                                         .build = adaptive_softmax_build,
                                         .reference = adaptive_softmax_reference,
                                         .settings = &s});
        }
}

/* The whole vocabulary: equal to the reference, and of total probability 1 (oracle 14). */
static void test_log_probabilities(void **state)
{
    (void)state;
    adaptive_settings s = {true, 3};
    pare_tensor parameters[12], *pointers[12];
    double *values[12], expected[ROWS * 13];
    const size_t shapes[12][2] = {{ROWS, 6}, {4, 6}, {5, 3}, {4, 2}, {1, 4}, {1, 5},
                                  {1, 4},    {6, 6}, {6, 3}, {6, 2}, {2, 6}, {1, 2}};
    for (size_t i = 0; i < 12; i++) {
        size_t count = shapes[i][0] * shapes[i][1];
        parameters[i] = (pare_tensor){
            .rows = shapes[i][0], .columns = shapes[i][1], .value = malloc(count * sizeof(float))};
        values[i] = malloc(count * sizeof(double));
        pointers[i] = &parameters[i];
        for (size_t k = 0; k < count; k++)
            values[i][k] = (double)(parameters[i].value[k] = check_random(i, k));
    }
    for (size_t i = 0; i < ROWS; i++)
        adaptive_row_reference(values, &s, values[0] + i * 6, expected + i * 13);
    pare_context *context;
    pare_tape *tape;
    assert_int_equal(pare_context_create(NULL, &context), PARE_OK);
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, false, 0);
    pare_adaptive_softmax softmax = make_softmax(pointers, &s);
    float result[ROWS * 13];
    assert_int_equal(pare_adaptive_softmax_log_probabilities(tape, pointers[0], &softmax, result),
                     PARE_OK);
    for (size_t i = 0; i < ROWS * 13; i++)
        assert_true(fabs((double)result[i] - expected[i]) < 1e-5);
    for (size_t i = 0; i < ROWS; i++) {
        double total = 0.0;
        for (size_t w = 0; w < 13; w++)
            total += exp((double)result[i * 13 + w]);
        assert_true(fabs(total - 1.0) < 1e-5);
    }
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    for (size_t i = 0; i < 12; i++) {
        free(parameters[i].value);
        free(values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_activation_range),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_concatenate),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_adaptive_embedding),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_adaptive_softmax),
        cmocka_unit_test(test_log_probabilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
