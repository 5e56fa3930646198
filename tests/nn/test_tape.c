/* The tape itself: sticky errors with useful messages, gradients only where wanted, accumulation,
 * NaN that stays visible, and no allocation after the first step. */
#include "nn_check.h"

typedef struct fixture {
    pare_context *context;
    pare_tape *tape;
} fixture;

static int set_up(void **state)
{
    fixture *f = malloc(sizeof *f);
    f->context = check_best_context(2);
    assert_int_equal(pare_tape_create(f->context, &f->tape), PARE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    pare_tape_destroy(f->tape);
    pare_tape_destroy(NULL);
    pare_context_destroy(f->context);
    free(f);
    return 0;
}

static void expect_failure(pare_tape *tape, const pare_tensor *result, const char *message)
{
    assert_null(result);
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), message));
    pare_tape_begin(tape, true, 1);
    assert_int_equal(pare_tape_status(tape), PARE_OK);
}

static void test_shape_errors(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    float numbers[64] = {0};
    pare_tensor a = {.rows = 2, .columns = 3, .value = numbers};
    pare_tensor b = {.rows = 4, .columns = 2, .value = numbers};
    pare_tensor row = {.rows = 1, .columns = 3, .value = numbers};
    uint32_t ids[2] = {0, 7};
    pare_tape_begin(tape, true, 1);
    expect_failure(tape, pare_linear(tape, &a, &b, NULL, PARE_ACTIVATION_NONE),
                   "linear: the input has 3 columns but the weight is 4 x 2");
    expect_failure(tape, pare_linear(tape, &a, &a, &row, PARE_ACTIVATION_NONE),
                   "linear: the bias is 1 x 3");
    expect_failure(tape, pare_add(tape, &a, &b), "differ in shape");
    expect_failure(tape, pare_layer_norm(tape, &b, &row, &row, 1e-5f), "must be 1 x 2");
    expect_failure(tape, pare_embedding(tape, &b, ids, 2, 1.0f), "token 1 is 7");
    expect_failure(tape, pare_rows(tape, &a, 1, 2), "reach past");
    expect_failure(tape, pare_rows(tape, &a, SIZE_MAX, 2), "reach past");
    expect_failure(tape, pare_concatenate_groups(tape, &a, &row, 0), "0 groups");
    expect_failure(tape, pare_concatenate_groups(tape, &a, &row, 2), "2 groups");
    expect_failure(tape, pare_cross_entropy(tape, &a, ids, 0.0f, NULL), "target 1 is 7");
    expect_failure(tape, pare_cross_entropy(tape, &a, ids, 1.5f, NULL), "smoothing");
    expect_failure(tape, pare_add(tape, &a, NULL), "NULL");
    assert_null(pare_tape_tensor(tape, SIZE_MAX / 2, 8));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_MEMORY);
}

static void test_adaptive_errors(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    float numbers[64] = {0};
    pare_tensor hidden = {.rows = 2, .columns = 3, .value = numbers};
    pare_tensor weight = {.rows = 4, .columns = 3, .value = numbers};
    pare_tensor bias = {.rows = 1, .columns = 5, .value = numbers};
    uint32_t targets[2] = {0, 4};
    pare_adaptive_softmax softmax = {.clusters = 1, .cutoffs = {4}, .weight = {&weight}};
    pare_tape_begin(tape, true, 1);
    expect_failure(tape, pare_adaptive_softmax_loss(tape, &hidden, &softmax, targets, NULL),
                   "target 1 is 4 but the vocabulary has 4 words");
    softmax.bias[0] = &bias;
    expect_failure(tape, pare_adaptive_softmax_loss(tape, &hidden, &softmax, targets, NULL),
                   "a bias of 1 x 4");
    softmax.cutoffs[0] = 0;
    expect_failure(tape, pare_adaptive_softmax_loss(tape, &hidden, &softmax, targets, NULL),
                   "cutoff");
    softmax.clusters = 9;
    expect_failure(tape, pare_adaptive_softmax_loss(tape, &hidden, &softmax, targets, NULL), "");
    pare_adaptive_words words = {.clusters = 1, .cutoffs = {5}, .weight = {&weight}};
    expect_failure(tape, pare_adaptive_embedding(tape, &words, targets, 2, 1.0f),
                   "do not fit together");
    words.cutoffs[0] = 4;
    expect_failure(tape, pare_adaptive_embedding(tape, &words, targets, 2, 1.0f), "token 1 is 4");
}

static void test_errors_are_sticky(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    float numbers[8] = {0};
    pare_tensor a = {.rows = 2, .columns = 3, .value = numbers};
    pare_tensor b = {.rows = 2, .columns = 2, .value = numbers};
    pare_tape_begin(tape, true, 1);
    pare_tensor *wrong = pare_add(tape, &a, &b);
    assert_null(pare_add(tape, wrong, &a));
    assert_null(pare_add(tape, &a, &a));
    assert_null(pare_tape_tensor(tape, 1, 1));
    assert_int_equal(pare_tape_backward(tape, NULL, 1.0f), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "2 x 3 and 2 x 2"));
}

static void test_backward_needs_training(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    pare_tape_begin(tape, false, 1);
    pare_tensor *loss = pare_tape_tensor(tape, 1, 1);
    assert_null(loss->gradient);
    assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_ERROR_ARGUMENT);
    pare_tape_begin(tape, true, 1);
    assert_int_equal(pare_tape_backward(tape, pare_tape_tensor(tape, 2, 1), 1.0f),
                     PARE_ERROR_ARGUMENT);
}

/* y = w x through a constant and a parameter; two backward passes add up, scaled. */
static void test_gradients_accumulate(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    const float input[2] = {3.0f, 4.0f};
    float weight_value[2] = {1.0f, 1.0f}, weight_gradient[2] = {0.0f, 0.0f};
    pare_tensor weight = {
        .rows = 1, .columns = 2, .value = weight_value, .gradient = weight_gradient};
    for (int i = 0; i < 2; i++) {
        pare_tape_begin(tape, true, 1);
        pare_tensor *x = pare_tape_constant(tape, input, 1, 2);
        pare_tensor *y = pare_linear(tape, x, &weight, NULL, PARE_ACTIVATION_NONE);
        assert_true(y->value[0] == 7.0f);
        assert_int_equal(pare_tape_backward(tape, y, 0.5f), PARE_OK);
    }
    assert_true(weight_gradient[0] == 3.0f && weight_gradient[1] == 4.0f);
}

/* Results that only depend on constants ask for no gradient, and neither does evaluation. */
static void test_no_needless_gradients(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    float numbers[4] = {1, 2, 3, 4}, gradient[4] = {0};
    pare_tensor parameter = {.rows = 2, .columns = 2, .value = numbers, .gradient = gradient};
    pare_tape_begin(tape, true, 1);
    pare_tensor *constant = pare_tape_constant(tape, numbers, 2, 2);
    assert_false(pri_wants_gradient(pare_add(tape, constant, constant)));
    assert_true(pri_wants_gradient(pare_add(tape, constant, &parameter)));
    assert_true(parameter.gradient == gradient && constant->gradient == NULL);
    pare_tape_begin(tape, false, 1);
    assert_false(pri_wants_gradient(pare_add(tape, &parameter, &parameter)));
}

/* An input made by the caller keeps a zero gradient when nothing flows back to it, and a result
 * nobody used does not disturb. */
static void test_unused_results(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    pare_tape_begin(tape, true, 1);
    pare_tensor *a = pare_tape_tensor(tape, 2, 2), *b = pare_tape_tensor(tape, 1, 1);
    for (int i = 0; i < 4; i++)
        a->value[i] = 1.0f;
    b->value[0] = 2.0f;
    assert_non_null(pare_add(tape, a, a));
    pare_tensor *loss = pare_add(tape, b, b);
    assert_int_equal(pare_tape_backward(tape, loss, 3.0f), PARE_OK);
    for (int i = 0; i < 4; i++)
        assert_true(a->gradient[i] == 0.0f);
    assert_true(b->gradient[0] == 6.0f);
}

/* ---- Losses ---- */

/* Oracle 16: uniform logits give log V for any smoothing; ignored rows do not count. */
static void test_uniform_logits(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    const uint32_t targets[3] = {0, PARE_IGNORE, 36},
                   ignored[3] = {PARE_IGNORE, PARE_IGNORE, PARE_IGNORE};
    const float smoothings[3] = {0.0f, 0.1f, 0.9f};
    float losses[3];
    for (int i = 0; i < 3; i++) {
        pare_tape_begin(tape, true, 1);
        pare_tensor *logits = pare_tape_tensor(tape, 3, 37);
        for (int k = 0; k < 3 * 37; k++)
            logits->value[k] = 2.5f;
        pare_tensor *loss = pare_cross_entropy(tape, logits, targets, smoothings[i], losses);
        assert_true(fabs((double)loss->value[0] - log(37.0)) < 1e-6);
        assert_true(losses[1] == 0.0f && fabs((double)losses[2] - log(37.0)) < 1e-6);
        loss = pare_cross_entropy(tape, logits, ignored, smoothings[i], NULL);
        assert_true(loss->value[0] == 0.0f);
        assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
        for (int k = 0; k < 3 * 37; k++)
            assert_true(logits->gradient[k] == 0.0f);
    }
}

enum { PLAIN_ROWS = 600, PLAIN_WORDS = 9003, PLAIN_SIZE = 4 };

/* Oracle 14: one cluster is a plain softmax. Large enough for several blocks of rows, so that the
 * sums over blocks are checked too. */
static void test_one_cluster_is_a_softmax(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    const size_t counts[3] = {PLAIN_ROWS * PLAIN_SIZE, PLAIN_WORDS * PLAIN_SIZE, PLAIN_WORDS};
    pare_tensor tensors[3] = {{.rows = PLAIN_ROWS, .columns = PLAIN_SIZE},
                              {.rows = PLAIN_WORDS, .columns = PLAIN_SIZE},
                              {.rows = 1, .columns = PLAIN_WORDS}};
    float *gradients[2][3], loss[2];
    uint32_t targets[PLAIN_ROWS];
    for (size_t i = 0; i < PLAIN_ROWS; i++)
        targets[i] = (uint32_t)pri_random_below(4, i, PLAIN_WORDS);
    targets[17] = PARE_IGNORE;
    for (size_t t = 0; t < 3; t++) {
        tensors[t].value = malloc(counts[t] * sizeof(float));
        for (size_t i = 0; i < counts[t]; i++)
            tensors[t].value[i] = check_random(t, i);
    }
    for (int way = 0; way < 2; way++) {
        for (size_t t = 0; t < 3; t++)
            tensors[t].gradient = gradients[way][t] = calloc(counts[t], sizeof(float));
        pare_tape_begin(tape, true, 1);
        pare_adaptive_softmax softmax = {.clusters = 1,
                                         .cutoffs = {PLAIN_WORDS},
                                         .weight = {&tensors[1]},
                                         .bias = {&tensors[2]}};
        pare_tensor *result =
            way == 0 ? pare_adaptive_softmax_loss(tape, &tensors[0], &softmax, targets, NULL)
                     : pare_cross_entropy(tape,
                                          pare_linear(tape, &tensors[0], &tensors[1], &tensors[2],
                                                      PARE_ACTIVATION_NONE),
                                          targets, 0.0f, NULL);
        assert_non_null(result);
        loss[way] = result->value[0];
        assert_int_equal(pare_tape_backward(tape, result, 1.0f), PARE_OK);
    }
    assert_true(fabsf(loss[0] - loss[1]) < 1e-6f * loss[1]);
    for (size_t t = 0; t < 3; t++) {
        float largest = 0.0f;
        for (size_t i = 0; i < counts[t]; i++)
            largest = fmaxf(largest, fabsf(gradients[1][t][i]));
        assert_true(largest > 0.0f);
        for (size_t i = 0; i < counts[t]; i++)
            assert_true(fabsf(gradients[0][t][i] - gradients[1][t][i]) <= 1e-5f * largest);
        free(tensors[t].value);
        free(gradients[0][t]);
        free(gradients[1][t]);
    }
}

/* A NaN anywhere reaches the loss, through every operator. */
static void test_nan_stays_visible(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    float weight_value[21 * 21], row_value[21];
    for (size_t i = 0; i < 21 * 21; i++)
        weight_value[i] = check_random(1, i);
    for (size_t i = 0; i < 21; i++)
        row_value[i] = check_random(2, i);
    pare_tensor weight = {.rows = 21, .columns = 21, .value = weight_value};
    pare_tensor row = {.rows = 1, .columns = 21, .value = row_value};
    const uint32_t targets[2] = {3, 4};
    for (size_t position = 0; position < 21; position++)
        for (int activation = PARE_ACTIVATION_NONE; activation <= PARE_ACTIVATION_TANH;
             activation++) {
            pare_tape_begin(tape, false, 1);
            pare_tensor *x = pare_tape_tensor(tape, 2, 21);
            memset(x->value, 0, 42 * sizeof(float));
            x->value[position] = NAN;
            pare_tensor *y = pare_linear(tape, x, &weight, &row, (pare_activation)activation);
            y = pare_layer_norm(tape, pare_add(tape, x, y), &row, &row, 1e-5f);
            float losses[2];
            assert_non_null(pare_cross_entropy(tape, y, targets, 0.0f, losses));
            assert_true(isnan(losses[0]) && !isnan(losses[1]));
            assert_non_null(pare_cross_entropy(tape, x, targets, 0.0f, losses));
            assert_true(isnan(losses[0]) && !isnan(losses[1]));
        }
}

/* ---- Allocation ---- */

static void run_step(pare_tape *tape, pare_tensor *table, pare_tensor *weight, pare_tensor *row,
                     bool training)
{
    enum { COUNT = 300 };
    uint32_t ids[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        ids[i] = (uint32_t)pri_random_below(8, i, table->rows);
    pare_tape_begin(tape, training, 1);
    pare_tensor *x = pare_embedding(tape, table, ids, COUNT, 1.0f);
    pare_tensor *y = pare_linear(tape, x, weight, row, PARE_ACTIVATION_GELU);
    y = pare_layer_norm(tape, pare_add(tape, x, pare_dropout(tape, y, 0.1f)), row, row, 1e-5f);
    pare_adaptive_softmax softmax = {.clusters = 2, .cutoffs = {100, table->rows}};
    softmax.weight[0] = pare_rows(tape, table, 0, 100);
    softmax.weight[1] = pare_rows(tape, table, 100, table->rows - 100);
    softmax.cluster_weight = row;
    pare_tensor *loss = pare_adaptive_softmax_loss(tape, y, &softmax, ids, NULL);
    assert_non_null(loss);
    if (training)
        assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
}

static void test_no_allocation_after_first_step(void **state)
{
    pare_tape *tape = ((fixture *)*state)->tape;
    enum { WORDS = 1000, SIZE = 32 };
    pare_tensor tensors[3] = {{.rows = WORDS, .columns = SIZE},
                              {.rows = SIZE, .columns = SIZE},
                              {.rows = 1, .columns = SIZE}};
    for (size_t t = 0; t < 3; t++) {
        size_t count = tensors[t].rows * tensors[t].columns;
        tensors[t].value = malloc(count * sizeof(float));
        tensors[t].gradient = calloc(count, sizeof(float));
        for (size_t i = 0; i < count; i++)
            tensors[t].value[i] = check_random(t, i);
    }
    run_step(tape, &tensors[0], &tensors[1], &tensors[2], true);
    pare_tape_begin(tape, true, 1); /* joins the blocks of the first step */
    uint64_t allocations = pri_allocation_count();
    size_t bytes = pare_tape_bytes(tape);
    for (int step = 0; step < 4; step++)
        run_step(tape, &tensors[0], &tensors[1], &tensors[2], step % 2 == 0);
    assert_true(pri_allocation_count() == allocations);
    assert_true(pare_tape_bytes(tape) == bytes);
    for (size_t t = 0; t < 3; t++) {
        free(tensors[t].value);
        free(tensors[t].gradient);
    }
}

#define WITH_TAPE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TAPE(test_shape_errors),
        WITH_TAPE(test_adaptive_errors),
        WITH_TAPE(test_errors_are_sticky),
        WITH_TAPE(test_backward_needs_training),
        WITH_TAPE(test_gradients_accumulate),
        WITH_TAPE(test_no_needless_gradients),
        WITH_TAPE(test_unused_results),
        WITH_TAPE(test_uniform_logits),
        WITH_TAPE(test_one_cluster_is_a_softmax),
        WITH_TAPE(test_nan_stays_visible),
        WITH_TAPE(test_no_allocation_after_first_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
