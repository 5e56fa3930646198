/* PARE_ISA reaches oneDNN, which takes a limit once in a process: hence a program of its own. */
#include <dnnl.h>

#include "nn_check.h"

static void test_variable_limits_products(void **state)
{
    (void)state;
    if (!pare_level_supported(PARE_LEVEL_X86_64_V2))
        skip();
    setenv("PARE_ISA", "x86-64-v2", 1);
    pare_context *context;
    assert_int_equal(pare_context_create(NULL, &context), PARE_OK);
    float x = 3.0f, y = 0.0f;
    assert_int_equal(
        pare_matrix_product(context, false, false, 1, 1, 1, 1.0f, &x, 1, &x, 1, 0.0f, &y, 1),
        PARE_OK);
    assert_true(y == 9.0f);
    assert_int_equal(dnnl_get_effective_cpu_isa(), dnnl_cpu_isa_sse41);
    pare_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variable_limits_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
