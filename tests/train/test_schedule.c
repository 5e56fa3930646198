/* Learning rates against values worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "pare/train.h"

#define assert_close(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static pare_training_options make_options(pare_schedule_kind schedule, uint64_t warmup)
{
    pare_training_options options = pare_training_options_default();
    options.schedule = schedule;
    options.rate = 2;
    options.minimum_rate = .5;
    options.warmup = warmup;
    return options;
}

static void warm_up_is_linear(void **state)
{
    (void)state;
    for (int kind = PARE_SCHEDULE_CONSTANT; kind < PARE_SCHEDULE_LINEAR; kind++) {
        pare_training_options options = make_options((pare_schedule_kind)kind, 4);
        assert_close(pare_schedule_rate(&options, 1, 12), .5);
        assert_close(pare_schedule_rate(&options, 2, 12), 1);
        assert_close(pare_schedule_rate(&options, 3, 12), 1.5);
        assert_close(pare_schedule_rate(&options, 4, 12), 2);
    }
}

static void constant_stays(void **state)
{
    (void)state;
    pare_training_options options = make_options(PARE_SCHEDULE_CONSTANT, 0);
    assert_close(pare_schedule_rate(&options, 1, 10), 2);
    assert_close(pare_schedule_rate(&options, 10, 10), 2);
}

/* Steps 1 .. 9: the angle goes 0, pi/8 .. pi. */
static void cosine_falls_to_the_minimum(void **state)
{
    (void)state;
    pare_training_options options = make_options(PARE_SCHEDULE_COSINE, 0);
    assert_close(pare_schedule_rate(&options, 1, 9), 2);
    assert_close(pare_schedule_rate(&options, 3, 9), .5 + 1.5 * (1 + sqrt(.5)) / 2);
    assert_close(pare_schedule_rate(&options, 5, 9), 1.25);
    assert_close(pare_schedule_rate(&options, 7, 9), .5 + 1.5 * (1 - sqrt(.5)) / 2);
    assert_close(pare_schedule_rate(&options, 9, 9), .5);
    options = make_options(PARE_SCHEDULE_COSINE, 4);
    assert_close(pare_schedule_rate(&options, 8, 12), 1.25);
    assert_close(pare_schedule_rate(&options, 12, 12), .5);
}

/* Steps count from 0: 0, .5, then 1, 3/4, 1/2, 1/4 of the way down to the minimum. */
static void linear_falls_to_the_minimum(void **state)
{
    (void)state;
    pare_training_options options = make_options(PARE_SCHEDULE_LINEAR, 2);
    const double rates[] = {0, 1, 2, .5 + 1.5 * 3 / 4, 1.25, .5 + 1.5 / 4};
    for (uint64_t step = 1; step <= 6; step++)
        assert_close(pare_schedule_rate(&options, step, 6), rates[step - 1]);
    options.warmup = 0;
    assert_close(pare_schedule_rate(&options, 1, 3), 2);
    assert_close(pare_schedule_rate(&options, 2, 3), 1.5);
    assert_close(pare_schedule_rate(&options, 3, 3), 1);
}

static void inverse_square_root_falls_by_steps(void **state)
{
    (void)state;
    pare_training_options options = make_options(PARE_SCHEDULE_INVERSE_SQUARE_ROOT, 4);
    assert_close(pare_schedule_rate(&options, 16, 1000), 1);
    assert_close(pare_schedule_rate(&options, 36, 1000), 2. / 3);
    assert_close(pare_schedule_rate(&options, 1000, 1000), .5);
    options.warmup = 0;
    assert_close(pare_schedule_rate(&options, 1, 1000), 2);
    assert_close(pare_schedule_rate(&options, 4, 1000), 1);
}

static void one_step_has_the_full_rate(void **state)
{
    (void)state;
    for (int kind = PARE_SCHEDULE_CONSTANT; kind <= PARE_SCHEDULE_LINEAR; kind++) {
        pare_training_options options = make_options((pare_schedule_kind)kind, 0);
        assert_close(pare_schedule_rate(&options, 1, 1), 2);
        if (kind == PARE_SCHEDULE_LINEAR)
            continue; /* its warm-up begins at 0 */
        options.warmup = 1;
        assert_close(pare_schedule_rate(&options, 1, 1), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_is_linear),
        cmocka_unit_test(constant_stays),
        cmocka_unit_test(cosine_falls_to_the_minimum),
        cmocka_unit_test(linear_falls_to_the_minimum),
        cmocka_unit_test(inverse_square_root_falls_by_steps),
        cmocka_unit_test(one_step_has_the_full_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
