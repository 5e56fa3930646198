/* The context: thread counts, and instruction-set levels by option and by PARE_ISA. The probe is
 * checked against what the Linux kernel says of the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <omp.h>

#include "pare/base.h"

static int clear_environment(void **state)
{
    (void)state;
    return unsetenv("PARE_ISA");
}

static pare_level best_level(void)
{
    pare_level best = PARE_LEVEL_PORTABLE;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++)
        if (pare_level_supported((pare_level)level))
            best = (pare_level)level;
    return best;
}

static void test_default_is_the_best_level_and_all_threads(void **state)
{
    (void)state;
    pare_context *context;
    assert_int_equal(pare_context_create(NULL, &context), PARE_OK);
    assert_int_equal(pare_context_level(context), best_level());
    assert_int_equal(pare_context_threads(context), omp_get_max_threads());
    pare_context_destroy(context);
    pare_context_destroy(NULL);
}

static void test_threads_are_taken_or_refused(void **state)
{
    (void)state;
    pare_context *context;
    pare_context_options options = {.threads = 3};
    assert_int_equal(pare_context_create(&options, &context), PARE_OK);
    assert_int_equal(pare_context_threads(context), 3);
    pare_context_destroy(context);
    const int refused[] = {-1, 1025, 1 << 30};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        options.threads = refused[i];
        assert_int_equal(pare_context_create(&options, &context), PARE_ERROR_ARGUMENT);
        assert_null(context);
        assert_non_null(strstr(pare_error_message(), "threads"));
    }
}

static void test_every_level_by_option_and_by_environment(void **state)
{
    (void)state;
    for (int i = 0; i < PARE_LEVEL_COUNT; i++) {
        pare_level level = (pare_level)i;
        pare_status expected = pare_level_supported(level) ? PARE_OK : PARE_ERROR_ARGUMENT;
        for (int by_environment = 0; by_environment < 2; by_environment++) {
            pare_context_options options = {0};
            if (by_environment)
                setenv("PARE_ISA", pare_level_name(level), 1);
            else
                options.level = pare_level_name(level);
            pare_context *context;
            assert_int_equal(pare_context_create(&options, &context), expected);
            unsetenv("PARE_ISA");
            if (expected == PARE_OK)
                assert_int_equal(pare_context_level(context), level);
            else
                assert_non_null(strstr(pare_error_message(), pare_level_name(level)));
            pare_context_destroy(context);
        }
    }
}

static void test_misspelt_levels_are_errors(void **state)
{
    (void)state;
    const char *const wrong[] = {"avx2", "x86_64_v3", "X86-64-V3", "x86-64-v3 ", "x86-64-v", "?"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pare_context *context;
        setenv("PARE_ISA", wrong[i], 1);
        assert_int_equal(pare_context_create(NULL, &context), PARE_ERROR_ARGUMENT);
        assert_null(context);
        assert_non_null(strstr(pare_error_message(), "PARE_ISA"));
        assert_non_null(strstr(pare_error_message(), wrong[i]));
    }
}

static void test_option_wins_over_environment_and_empty_means_unset(void **state)
{
    (void)state;
    pare_context *context;
    setenv("PARE_ISA", "nonsense", 1);
    pare_context_options options = {.level = pare_level_name(best_level())};
    assert_int_equal(pare_context_create(&options, &context), PARE_OK);
    pare_context_destroy(context);
    setenv("PARE_ISA", "", 1);
    assert_int_equal(pare_context_create(NULL, &context), PARE_OK);
    assert_int_equal(pare_context_level(context), best_level());
    pare_context_destroy(context);
}

static void test_some_level_is_supported_and_the_cpu_has_a_name(void **state)
{
    (void)state;
    int supported = 0;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++)
        supported += pare_level_supported((pare_level)level);
    assert_true(supported > 0);
    assert_true(strlen(pare_cpu_name()) > 2);
}

#if defined(__x86_64__) && defined(__linux__)
static bool kernel_lists(const char *flags, const char *names)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name = strtok(copy, " "); name; name = strtok(NULL, " ")) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, " %s ", name);
        if (!strstr(flags, wanted))
            return false;
    }
    return true;
}

static void test_probe_agrees_with_the_kernel(void **state)
{
    (void)state;
    static char line[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        skip();
    while (fgets(line, sizeof line, file) && strncmp(line, "flags", 5))
        line[0] = 0;
    fclose(file);
    if (!line[0])
        skip();
    line[strcspn(line, "\n")] = ' ';
    bool v2 = kernel_lists(line, "pni ssse3 sse4_1 sse4_2 popcnt cx16");
    bool v3 = v2 && kernel_lists(line, "avx avx2 fma f16c movbe bmi1 bmi2 abm");
    bool v4 = v3 && kernel_lists(line, "avx512f avx512bw avx512cd avx512dq avx512vl");
    const bool expected[] = {v2, v3, v4};
    const bool built[] = {
#ifdef PARE_WITH_x86_64_v2
        true,
#else
        false,
#endif
#ifdef PARE_WITH_x86_64_v3
        true,
#else
        false,
#endif
#ifdef PARE_WITH_x86_64_v4
        true,
#else
        false,
#endif
    };
    for (int i = 0; i < 3; i++)
        assert_int_equal(pare_level_supported((pare_level)(PARE_LEVEL_X86_64_V2 + i)),
                         expected[i] && built[i]);
    assert_false(pare_level_supported(PARE_LEVEL_NEON));
}
#else
static void test_probe_agrees_with_the_kernel(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_default_is_the_best_level_and_all_threads, clear_environment),
        cmocka_unit_test_setup(test_threads_are_taken_or_refused, clear_environment),
        cmocka_unit_test_setup(test_every_level_by_option_and_by_environment, clear_environment),
        cmocka_unit_test_setup(test_misspelt_levels_are_errors, clear_environment),
        cmocka_unit_test_setup(test_option_wins_over_environment_and_empty_means_unset,
                               clear_environment),
        cmocka_unit_test(test_some_level_is_supported_and_the_cpu_has_a_name),
        cmocka_unit_test(test_probe_agrees_with_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
