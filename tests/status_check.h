/* Assertions that cmocka lacks: a call's status with its message, and doubles. */
#ifndef PARE_TESTS_STATUS_CHECK_H
#define PARE_TESTS_STATUS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "pare/base.h"

static inline void check_ok(pare_status status)
{
    if (status != PARE_OK)
        fail_msg("status %d: %s", (int)status, pare_error_message());
}

static inline void assert_fails(pare_status status, pare_status expected,
                                const char *part_of_message)
{
    assert_int_equal(status, expected);
    if (!strstr(pare_error_message(), part_of_message))
        fail_msg("message \"%s\" lacks \"%s\"", pare_error_message(), part_of_message);
}

/* cmocka compares floats in single precision. */
static inline void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.12g is not within %g of %.12g", value, tolerance, expected);
}

#endif
