/* The arithmetic peak. Times decide nothing here; that each level runs its own loop shows in what
 * the loop computes: every chain converges to 1, in as many lanes as the level's vectors have. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/levels.h"
#include "base/peak.h"
#include "pare/base.h"

#define DECLARE_KERNEL(name, level) extern const pri_peak_kernel pri_peak_kernel_##name;
PRI_EACH_LEVEL(DECLARE_KERNEL)

static void check_loop(pare_level level, const pri_peak_kernel *kernel)
{
    if (!pare_level_supported(level))
        return;
    /* One chain of one lane does two operations, and a factor of 0 makes each 1 at once. */
    assert_float_equal(kernel->run(1, 0), (float)kernel->operations / 2, 0);
    assert_float_equal(kernel->run(200, .5f), (float)kernel->operations / 2, 1e-3);
}

static void test_loop_does_the_operations_it_claims(void **state)
{
    (void)state;
#define CHECK(name, level) check_loop(level, &pri_peak_kernel_##name);
    PRI_EACH_LEVEL(CHECK)
}

static void test_peak_is_a_number_at_every_level(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context_options options = {.threads = 2, .level = pare_level_name((pare_level)level)};
        pare_context *context;
        assert_int_equal(pare_context_create(&options, &context), PARE_OK);
        double peak = pare_measure_peak(context);
        assert_true(isfinite(peak) && peak > 0);
        pare_context_destroy(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_does_the_operations_it_claims),
        cmocka_unit_test(test_peak_is_a_number_at_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
