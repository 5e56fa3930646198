/* Adam and AdamW against the update written out in fp64, and the optimiser's file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/optimizer.h"

enum { PARAMETERS = 2, ROWS = 7, COLUMNS = 11, FLOATS = ROWS * COLUMNS, STEPS = 20 };

/* Two parameters of one shape; weight decay applies to the first. */
typedef struct fixture {
    pare_context *context;
    pare_parameter parameters[PARAMETERS];
    float values[PARAMETERS][FLOATS], gradients[PARAMETERS][FLOATS];
    float first[PARAMETERS * FLOATS], second[PARAMETERS * FLOATS];
    double expected[PARAMETERS][FLOATS], m[PARAMETERS][FLOATS], v[PARAMETERS][FLOATS];
    pri_optimizer optimizer;
} fixture;

static void *checked_allocation(size_t size)
{
    void *pointer = calloc(1, size);
    assert_non_null(pointer);
    return pointer;
}

static fixture *make_fixture(void)
{
    fixture *made = checked_allocation(sizeof *made);
    assert_int_equal(pare_context_create(NULL, &made->context), PARE_OK);
    const char *const names[] = {"layer.weight", "layer.bias"};
    for (size_t p = 0; p < PARAMETERS; p++) {
        made->parameters[p] = (pare_parameter){
            .name = names[p],
            .tensor = {.rows = ROWS,
                       .columns = COLUMNS,
                       .value = made->values[p],
                       .gradient = made->gradients[p]},
            .decay = p == 0,
        };
        for (size_t i = 0; i < FLOATS; i++) {
            made->values[p][i] = (float)pri_random_normal(p, i);
            made->expected[p][i] = (double)made->values[p][i];
        }
    }
    made->optimizer = (pri_optimizer){.context = made->context,
                                      .parameters = made->parameters,
                                      .count = PARAMETERS,
                                      .first = made->first,
                                      .second = made->second,
                                      .floats = PARAMETERS * FLOATS};
    return made;
}

static void free_fixture(fixture *made)
{
    pare_context_destroy(made->context);
    free(made);
}

static void draw_gradients(fixture *made, uint64_t step)
{
    for (size_t p = 0; p < PARAMETERS; p++)
        for (size_t i = 0; i < FLOATS; i++)
            made->gradients[p][i] = (float)pri_random_normal(100 + step, p * FLOATS + i);
}

/* PyTorch's definition, literally. */
static void expected_step(fixture *made, const pare_training_options *options, uint64_t step,
                          double rate, double scale)
{
    double t = (double)step;
    for (size_t p = 0; p < PARAMETERS; p++) {
        double decay = made->parameters[p].decay ? options->weight_decay : 0;
        for (size_t i = 0; i < FLOATS; i++) {
            double *x = &made->expected[p][i], *m = &made->m[p][i], *v = &made->v[p][i];
            double g = scale * (double)made->gradients[p][i];
            if (options->optimizer == PARE_OPTIMIZER_ADAMW)
                *x -= rate * decay * *x;
            else
                g += decay * *x;
            *m = options->beta1 * *m + (1 - options->beta1) * g;
            *v = options->beta2 * *v + (1 - options->beta2) * g * g;
            double m_hat = *m / (1 - pow(options->beta1, t));
            double v_hat = *v / (1 - pow(options->beta2, t));
            *x -= rate * m_hat / (sqrt(v_hat) + options->epsilon);
        }
    }
}

static void follow(pare_optimizer_kind kind, double weight_decay)
{
    fixture *made = make_fixture();
    pare_training_options options = pare_training_options_default();
    options.optimizer = kind;
    options.weight_decay = weight_decay;
    for (uint64_t step = 1; step <= STEPS; step++) {
        double rate = .01 * (double)step, scale = step % 2 ? 1 : .25;
        draw_gradients(made, step);
        expected_step(made, &options, step, rate, scale);
        pri_optimizer_step(&made->optimizer, &options, step, rate, scale);
        for (size_t p = 0; p < PARAMETERS; p++)
            for (size_t i = 0; i < FLOATS; i++)
                assert_true(fabs((double)made->values[p][i] - made->expected[p][i]) <
                            2e-6 * (1 + fabs(made->expected[p][i])));
    }
    free_fixture(made);
}

static void adam_follows_fp64(void **state)
{
    (void)state;
    follow(PARE_OPTIMIZER_ADAM, 0);
    follow(PARE_OPTIMIZER_ADAM, .1);
}

static void adamw_follows_fp64(void **state)
{
    (void)state;
    follow(PARE_OPTIMIZER_ADAMW, 0);
    follow(PARE_OPTIMIZER_ADAMW, .1);
}

static void the_norm_covers_all_parameters(void **state)
{
    (void)state;
    fixture *made = make_fixture();
    draw_gradients(made, 1);
    double sum = 0;
    for (size_t p = 0; p < PARAMETERS; p++)
        for (size_t i = 0; i < FLOATS; i++)
            sum += (double)made->gradients[p][i] * (double)made->gradients[p][i];
    assert_true(fabs(pri_optimizer_gradient_norm(&made->optimizer) - sqrt(sum)) < 1e-9);
    made->gradients[1][FLOATS - 1] = NAN;
    assert_true(!isfinite(pri_optimizer_gradient_norm(&made->optimizer)));
    made->gradients[1][FLOATS - 1] = -INFINITY;
    assert_true(!isfinite(pri_optimizer_gradient_norm(&made->optimizer)));
    free_fixture(made);
}

static void moments_survive_the_file(void **state)
{
    (void)state;
    fixture *made = make_fixture();
    pare_training_options options = pare_training_options_default();
    draw_gradients(made, 1);
    pri_optimizer_step(&made->optimizer, &options, 1, .1, 1);
    float first[PARAMETERS * FLOATS], second[PARAMETERS * FLOATS];
    memcpy(first, made->first, sizeof first);
    memcpy(second, made->second, sizeof second);

    char directory[] = "/tmp/pare-optimizer-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char *path = pri_path_join(directory, "optimizer.safetensors");
    assert_int_equal(pri_optimizer_save(&made->optimizer, 1, path), PARE_OK);
    memset(made->first, 0, sizeof made->first);
    memset(made->second, 0, sizeof made->second);
    assert_int_equal(pri_optimizer_load(&made->optimizer, 1, path), PARE_OK);
    assert_memory_equal(made->first, first, sizeof first);
    assert_memory_equal(made->second, second, sizeof second);

    assert_int_equal(pri_optimizer_load(&made->optimizer, 2, path), PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "optimizer state of step 1"));
    made->parameters[1].tensor.rows = COLUMNS;
    made->parameters[1].tensor.columns = ROWS;
    assert_int_equal(pri_optimizer_load(&made->optimizer, 1, path), PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "first.layer.bias"));
    assert_int_equal(pri_remove_tree(directory), PARE_OK);
    pri_free(path);
    free_fixture(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adam_follows_fp64),
        cmocka_unit_test(adamw_follows_fp64),
        cmocka_unit_test(the_norm_covers_all_parameters),
        cmocka_unit_test(moments_survive_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
