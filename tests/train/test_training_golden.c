/* AdamW, clipping and the linear schedule against PyTorch and transformers: the file of
 * tools/golden/training.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "train/optimizer.h"

enum { PARAMETERS = 2, ROWS = 7, COLUMNS = 11, FLOATS = ROWS * COLUMNS };
static const char *const names[PARAMETERS] = {"weight", "bias"};

typedef struct golden_run {
    pri_safetensors *file;
    pare_context *context;
    pare_training_options options;
    uint64_t steps;
    double clip;
    float values[PARAMETERS][FLOATS], gradients[PARAMETERS][FLOATS];
    float first[PARAMETERS * FLOATS], second[PARAMETERS * FLOATS];
    pare_parameter parameters[PARAMETERS];
    pri_optimizer optimizer;
} golden_run;

static double number(const golden_run *run, const char *key)
{
    const char *text = pri_safetensors_metadata(run->file, key);
    assert_non_null(text);
    return strtod(text, NULL);
}

static const float *stored(const golden_run *run, const char *format, uint64_t step, size_t p)
{
    char name[64];
    snprintf(name, sizeof name, format, (int)step, names[p]);
    const pri_stored_tensor *tensor;
    if (pri_safetensors_get(run->file, name, PRI_DATA_F32, 2, (size_t[]){ROWS, COLUMNS}, &tensor))
        fail_msg("%s", pare_error_message());
    return tensor->data;
}

static void set_options(golden_run *run)
{
    pare_training_options *options = &run->options;
    *options = pare_training_options_default();
    options->optimizer = PARE_OPTIMIZER_ADAMW;
    options->schedule = PARE_SCHEDULE_LINEAR;
    options->rate = number(run, "rate");
    options->epsilon = number(run, "epsilon");
    options->weight_decay = number(run, "decay");
    options->warmup = (uint64_t)number(run, "warmup");
    run->steps = (uint64_t)number(run, "steps");
    run->clip = number(run, "clip");
}

static golden_run *begin_run(void)
{
    golden_run *run = pri_allocate_zero(1, sizeof *run);
    assert_non_null(run);
    if (pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/training.safetensors", &run->file))
        fail_msg("%s", pare_error_message());
    assert_int_equal(pare_context_create(NULL, &run->context), PARE_OK);
    set_options(run);
    for (size_t p = 0; p < PARAMETERS; p++) {
        char name[32];
        snprintf(name, sizeof name, "start.%s", names[p]);
        const pri_stored_tensor *start = pri_safetensors_find(run->file, name);
        assert_non_null(start);
        memcpy(run->values[p], start->data, sizeof run->values[p]);
        run->parameters[p] = (pare_parameter){.name = names[p],
                                              .tensor = {.rows = ROWS,
                                                         .columns = COLUMNS,
                                                         .value = run->values[p],
                                                         .gradient = run->gradients[p]},
                                              .decay = p == 0};
    }
    run->optimizer = (pri_optimizer){.context = run->context,
                                     .parameters = run->parameters,
                                     .count = PARAMETERS,
                                     .first = run->first,
                                     .second = run->second,
                                     .floats = PARAMETERS * FLOATS};
    return run;
}

static void end_run(golden_run *run)
{
    pare_context_destroy(run->context);
    pri_safetensors_close(run->file);
    pri_free(run);
}

static void test_rates(void **state)
{
    (void)state;
    golden_run *run = begin_run();
    const pri_stored_tensor *rates = pri_safetensors_find(run->file, "rates");
    assert_non_null(rates);
    assert_int_equal(rates->elements, run->steps);
    for (uint64_t step = 1; step <= run->steps; step++) {
        double expected;
        memcpy(&expected, (const double *)rates->data + step - 1, sizeof expected);
        assert_true(fabs(pare_schedule_rate(&run->options, step, run->steps) - expected) < 1e-15);
    }
    end_run(run);
}

static void test_steps(void **state)
{
    (void)state;
    golden_run *run = begin_run();
    size_t clipped = 0;
    for (uint64_t step = 1; step <= run->steps; step++) {
        for (size_t p = 0; p < PARAMETERS; p++)
            memcpy(run->gradients[p], stored(run, "gradient.%d.%s", step, p),
                   sizeof run->gradients[p]);
        double scale = run->clip / (pri_optimizer_gradient_norm(&run->optimizer) + 1e-6);
        clipped += scale < 1;
        pri_optimizer_step(&run->optimizer, &run->options, step,
                           pare_schedule_rate(&run->options, step, run->steps), fmin(1, scale));
        for (size_t p = 0; p < PARAMETERS; p++) {
            const float *expected = stored(run, "value.%d.%s", step, p);
            for (size_t i = 0; i < FLOATS; i++)
                assert_true(fabsf(run->values[p][i] - expected[i]) <
                            2e-6f * (1 + fabsf(expected[i])));
        }
    }
    assert_true(clipped > 0 && clipped < run->steps);
    end_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
