/* Numbers in files: all 17 digits, and a point under every locale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/number.h"
#include "comma_locale.h"

static void assert_survives(double number)
{
    char text[PRI_NUMBER_CAPACITY];
    double back = -1;
    pri_number_format(number, text);
    assert_null(strchr(text, ','));
    assert_true(pri_number_parse(text, &back));
    assert_true(back == number);
}

static void test_numbers_survive(void **state)
{
    (void)state;
    const double numbers[] = {
        0, 0.1, 1.0 / 3, 1e-300, 1.7976931348623157e308, -2.5, 99.999999999999986};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_survives(numbers[i]);
}

static void test_what_is_no_number(void **state)
{
    (void)state;
    const char *const texts[] = {"",     " 1", "1 ",    "1,5", "nan", "inf",
                                 "0x10", "1e", "1.5.1", "--1", ".",   "1e+"};
    double number;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(pri_number_parse(texts[i], &number));
}

static void test_decimal_comma(void **state)
{
    (void)state;
    if (!set_comma_locale())
        skip();
    double number = 0;
    char text[PRI_NUMBER_CAPACITY];
    pri_number_format(12345.5, text);
    assert_string_equal(text, "12345.5");
    assert_true(pri_number_parse("12345.5", &number));
    assert_true(number == 12345.5);
    assert_false(pri_number_parse("12345,5", &number));
    /* The program's own locale is as it was. */
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_survive),
        cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_decimal_comma),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
