/* Error messages (one line, one per thread), interruption, growing strings and the clock. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <omp.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/text_buffer.h"

static void test_message_is_set_and_code_returned(void **state)
{
    (void)state;
    assert_non_null(pare_error_message());
    assert_int_equal(pri_fail(PARE_ERROR_FILE, "%s: line %d", "a.txt", 3), PARE_ERROR_FILE);
    assert_string_equal(pare_error_message(), "a.txt: line 3");
    assert_int_equal(pri_fail_in(PARE_ERROR_FORMAT, "reading %s", "b"), PARE_ERROR_FORMAT);
    assert_string_equal(pare_error_message(), "reading b: a.txt: line 3");
}

static void test_message_stays_one_line(void **state)
{
    (void)state;
    (void)pri_fail(PARE_ERROR_FORMAT, "token '%s' is bad", "a\nb\r\t\x1b[31m\x7f");
    assert_string_equal(pare_error_message(), "token 'a?b???[31m?' is bad");
    (void)pri_fail(PARE_ERROR_FORMAT, "%s", "na\xc3\xafve"); /* UTF-8 passes */
    assert_string_equal(pare_error_message(), "na\xc3\xafve");
}

static void test_long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    static char long_text[5000];
    memset(long_text, 'x', sizeof long_text - 1);
    (void)pri_fail(PARE_ERROR_FORMAT, "%s", long_text);
    size_t length = strlen(pare_error_message());
    assert_true(length > 500 && length < sizeof long_text);
    (void)pri_fail_in(PARE_ERROR_FORMAT, "prefix %s", long_text);
    assert_memory_equal(pare_error_message(), "prefix x", 8);
}

static void test_messages_belong_to_threads(void **state)
{
    (void)state;
    int wrong = 0;
#pragma omp parallel num_threads(4) reduction(+ : wrong)
    {
        char expected[32];
        snprintf(expected, sizeof expected, "thread %d", omp_get_thread_num());
        for (int i = 0; i < 1000; i++) {
            (void)pri_fail(PARE_ERROR_FILE, "thread %d", omp_get_thread_num());
            wrong += strcmp(pare_error_message(), expected) != 0;
        }
    }
    assert_int_equal(wrong, 0);
}

static pare_status fail_with(pare_status status, int *reached)
{
    PRI_TRY(status);
    ++*reached;
    return PARE_OK;
}

static void test_try_returns_the_first_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(fail_with(PARE_ERROR_NUMERIC, &reached), PARE_ERROR_NUMERIC);
    assert_int_equal(reached, 0);
    assert_int_equal(fail_with(PARE_OK, &reached), PARE_OK);
    assert_int_equal(reached, 1);
}

static void on_signal(int number)
{
    (void)number;
    pare_interrupt();
}

static void test_interruption_from_a_signal_handler(void **state)
{
    (void)state;
    pare_interrupt_clear();
    assert_false(pare_interrupted());
    void (*previous)(int) = signal(SIGINT, on_signal);
    raise(SIGINT);
    signal(SIGINT, previous);
    assert_true(pare_interrupted());
    assert_true(pare_interrupted()); /* looking does not clear it */
    pare_interrupt_clear();
    assert_false(pare_interrupted());
}

static void test_text_grows(void **state)
{
    (void)state;
    pri_text text = {0};
    for (int i = 0; i < 2000; i++)
        pri_text_append(&text, "%d,", i);
    pri_text_append_bytes(&text, "a\0b", 3);
    pri_text_append(&text, "%s", "");
    size_t expected = 10 * 2 + 90 * 3 + 900 * 4 + 1000 * 5 + 3;
    assert_int_equal(text.length, expected);
    assert_memory_equal(text.data, "0,1,2,3,", 8);
    assert_memory_equal(text.data + expected - 8, "1999,a\0b", 9);
    char *string;
    assert_int_equal(pri_text_take(&text, &string), PARE_OK);
    assert_int_equal(text.length, 0);
    assert_null(text.data);
    free(string);
}

static void test_empty_text_is_an_empty_string(void **state)
{
    (void)state;
    pri_text text = {0};
    char *string;
    assert_int_equal(pri_text_take(&text, &string), PARE_OK);
    assert_string_equal(string, "");
    free(string);
    pri_text_free(&text);
}

static void test_failed_text_stays_failed(void **state)
{
    (void)state;
    pri_text text = {0};
    pri_text_append(&text, "before");
    pri_text_append_bytes(&text, "x", SIZE_MAX / 2);
    assert_true(text.failed);
    pri_text_append(&text, "after");
    char *string;
    assert_int_equal(pri_text_take(&text, &string), PARE_ERROR_MEMORY);
    assert_null(text.data);
}

static void test_clock_runs_forward(void **state)
{
    (void)state;
    double start = pri_clock_seconds();
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    double elapsed = pri_clock_seconds() - start;
    assert_true(elapsed >= .02);
    assert_true(elapsed < 10);
}

static void test_peak_memory_sees_touched_pages(void **state)
{
    (void)state;
    const size_t bytes = (size_t)48 << 20;
    pri_peak_resident_reset();
    uint8_t *block = pri_allocate(bytes, 1);
    memset(block, 1, bytes);
    size_t peak = pri_peak_resident_bytes();
    pri_free(block);
    assert_true(peak >= bytes);
    assert_true(pri_peak_resident_bytes() >= bytes); /* a high-water mark does not fall */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_is_set_and_code_returned),
        cmocka_unit_test(test_message_stays_one_line),
        cmocka_unit_test(test_long_messages_are_cut_not_overrun),
        cmocka_unit_test(test_messages_belong_to_threads),
        cmocka_unit_test(test_try_returns_the_first_failure),
        cmocka_unit_test(test_interruption_from_a_signal_handler),
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_empty_text_is_an_empty_string),
        cmocka_unit_test(test_failed_text_stays_failed),
        cmocka_unit_test(test_clock_runs_forward),
        cmocka_unit_test(test_peak_memory_sees_touched_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
