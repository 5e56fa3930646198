/* Attention on the tape: views, gradients of all inputs (shared and unshared) and of the relative
 * form against the attention room's fp64 reference. The kernels themselves are tested there. */
#include "nn_check.h"

enum { HEADS = 2, SIZE = 5, COLUMNS = HEADS * SIZE, QUERIES = 7, KEYS = 11, DISTANCES = 9 };

/* Two sequences: 3 queries on 4 keys, 4 queries on 7 keys. */
static const size_t query_offsets[3] = {0, 3, QUERIES}, key_offsets[3] = {0, 4, KEYS};

static pare_attention make_layout(bool relative)
{
    return (pare_attention){.heads = HEADS,
                            .head_size = SIZE,
                            .scale = 0.4f,
                            .queries = {query_offsets, 2},
                            .keys = {key_offsets, 2},
                            .causal = relative};
}

typedef struct inputs {
    pare_tensor tensors[6]; /* query, key, value, content bias, position bias, table */
} inputs;

static inputs make_inputs(void)
{
    const size_t shapes[6][2] = {{QUERIES, COLUMNS}, {KEYS, COLUMNS}, {KEYS, COLUMNS},
                                 {HEADS, SIZE},      {HEADS, SIZE},   {DISTANCES, COLUMNS}};
    inputs in;
    for (size_t t = 0; t < 6; t++) {
        size_t count = shapes[t][0] * shapes[t][1];
        in.tensors[t] = (pare_tensor){.rows = shapes[t][0],
                                      .columns = shapes[t][1],
                                      .value = malloc(count * sizeof(float)),
                                      .gradient = calloc(count, sizeof(float))};
        for (size_t i = 0; i < count; i++)
            in.tensors[t].value[i] = check_random(t + 20, i);
    }
    return in;
}

static void free_inputs(inputs *in)
{
    for (size_t t = 0; t < 6; t++) {
        free(in->tensors[t].value);
        free(in->tensors[t].gradient);
    }
}

static pare_view view(const float *data)
{
    return (pare_view){data, COLUMNS, SIZE};
}

/* The reference's gradients of `scale` times the weighted sum of the output. */
static void expect_gradients(const inputs *in, bool relative, double scale, double *expected[6])
{
    pare_attention call = make_layout(relative);
    pare_relative form = {in->tensors[3].value, in->tensors[4].value, view(in->tensors[5].value),
                          DISTANCES};
    call.query = view(in->tensors[0].value);
    call.key = view(in->tensors[1].value);
    call.value = view(in->tensors[2].value);
    call.relative = relative ? &form : NULL;
    float output_gradient[QUERIES * COLUMNS];
    for (size_t i = 0; i < QUERIES * COLUMNS; i++)
        output_gradient[i] = (float)scale * check_random(CHECK_LOSS_KEY, i);
    for (size_t t = 0; t < 6; t++)
        expected[t] = calloc(in->tensors[t].rows * in->tensors[t].columns, sizeof(double));
    pare_attention_reference_gradient gradient = {expected[0],
                                                  expected[1],
                                                  expected[2],
                                                  relative ? expected[3] : NULL,
                                                  relative ? expected[4] : NULL,
                                                  relative ? expected[5] : NULL};
    assert_int_equal(pare_attention_reference_backward(&call, view(output_gradient), &gradient),
                     PARE_OK);
}

static void expect_close(const float *actual, const double *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)actual[i] - expected[i]) < 1e-5);
}

static pare_tensor *attend(pare_tape *tape, inputs *in, bool relative)
{
    pare_attention layout = make_layout(relative);
    pare_relative_tensors tensors = {&in->tensors[3], &in->tensors[4], &in->tensors[5]};
    return pare_attend(tape, &layout, &in->tensors[0], &in->tensors[1], &in->tensors[2],
                       relative ? &tensors : NULL);
}

static void check_gradients(bool relative)
{
    inputs in = make_inputs();
    pare_context *context = check_best_context(2);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, true, 1);
    /* Twice the same attention: the second to go back finds gradients already written. */
    pare_tensor *first = attend(tape, &in, relative), *second = attend(tape, &in, relative);
    pare_tensor *loss = check_weighted_sum(tape, pare_add(tape, first, second), CHECK_LOSS_KEY);
    assert_non_null(loss);
    assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
    double *expected[6];
    expect_gradients(&in, relative, 2.0, expected);
    for (size_t t = 0; t < (relative ? 6 : 3); t++)
        expect_close(in.tensors[t].gradient, expected[t],
                     in.tensors[t].rows * in.tensors[t].columns);
    assert_true(pare_tape_attention_seconds(tape) > 0.0);
    for (size_t t = 0; t < 6; t++)
        free(expected[t]);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    free_inputs(&in);
}

static void test_gradients(void **state)
{
    (void)state;
    check_gradients(false);
    check_gradients(true);
}

/* One tensor as query, key and value at once, the result of an operator: three gradients meet. */
static void test_shared_input(void **state)
{
    (void)state;
    inputs in = make_inputs();
    pare_attention layout = make_layout(false);
    layout.queries = layout.keys;
    pare_context *context = check_best_context(2);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    float *x_gradients[2];
    for (int way = 0; way < 2; way++) {
        float *value = in.tensors[1].value;
        pare_tensor x = {.rows = KEYS,
                         .columns = COLUMNS,
                         .value = value,
                         .gradient = calloc(KEYS * COLUMNS, sizeof(float))};
        pare_tape_begin(tape, true, 1);
        pare_tensor *y[3] = {pare_add(tape, &x, &x), NULL, NULL};
        for (int i = 1; i < 3; i++)
            y[i] = way == 0 ? y[0] : pare_add(tape, &x, &x);
        pare_tensor *output = pare_attend(tape, &layout, y[0], y[1], y[2], NULL);
        pare_tensor *loss = check_weighted_sum(tape, output, CHECK_LOSS_KEY);
        assert_non_null(loss);
        assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
        x_gradients[way] = x.gradient;
    }
    for (size_t i = 0; i < KEYS * COLUMNS; i++)
        assert_true(fabsf(x_gradients[0][i] - x_gradients[1][i]) < 1e-5f);
    free(x_gradients[0]);
    free(x_gradients[1]);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    free_inputs(&in);
}

static void test_shape_errors(void **state)
{
    (void)state;
    inputs in = make_inputs();
    pare_context *context = check_best_context(1);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, false, 1);
    in.tensors[2].rows--;
    assert_null(attend(tape, &in, false));
    assert_non_null(strstr(pare_error_message(), "the value is 10 x 10"));
    in.tensors[2].rows++;
    pare_tape_begin(tape, false, 1);
    in.tensors[3].columns--;
    assert_null(attend(tape, &in, true));
    assert_non_null(strstr(pare_error_message(), "bias is 2 x 4"));
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    free_inputs(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_shared_input),
        cmocka_unit_test(test_shape_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
