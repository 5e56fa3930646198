/* The strict JSON reader: what each call takes, and that it takes nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_reader.h"
#include "base/memory.h"

/* A reader of exactly these bytes, so that the sanitizer sees the first one past them. */
static pri_json_reader reader_of(const char *text)
{
    static char *bytes;
    free(bytes);
    size_t size = strlen(text);
    bytes = malloc(size ? size : 1);
    assert_non_null(bytes);
    memcpy(bytes, text, size);
    return (pri_json_reader){.name = "header", .text = bytes, .size = size};
}

static void assert_refused(pare_status status, const char *reason)
{
    assert_int_equal(status, PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "header"));
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

static void assert_string(const char *text, const char *expected)
{
    pri_json_reader reader = reader_of(text);
    char *string;
    assert_int_equal(pri_json_reader_string(&reader, &string), PARE_OK);
    assert_string_equal(string, expected);
    assert_int_equal(pri_json_reader_end(&reader), PARE_OK);
    pri_free(string);
}

static void assert_no_string(const char *text, const char *reason)
{
    pri_json_reader reader = reader_of(text);
    char *string;
    assert_refused(pri_json_reader_string(&reader, &string), reason);
    assert_null(string);
}

static void test_strings(void **state)
{
    (void)state;
    assert_string("\"\"", "");
    assert_string(" \t\r\n\"word\" ", "word");
    assert_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    assert_string("\"\\u0041\\u00e9\\u00E9\\u20ac\"", "A\xc3\xa9\xc3\xa9\xe2\x82\xac");
    assert_string("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80");
    assert_string("\"caf\xc3\xa9 \x7f\"", "caf\xc3\xa9 \x7f");
}

static void test_refused_strings(void **state)
{
    (void)state;
    assert_no_string("", "string was expected");
    assert_no_string("word", "string was expected");
    assert_no_string("1", "string was expected");
    assert_no_string("\"", "does not end");
    assert_no_string("\"word", "does not end");
    assert_no_string("\"word\\\"", "does not end");
    assert_no_string("\"a\nb\"", "control character");
    assert_no_string("\"a\x01\"", "control character");
    assert_no_string("\"\xff\"", "not UTF-8");
    assert_no_string("\"\xc3\"", "not UTF-8");
    assert_no_string("\"\xed\xa0\x80\"", "not UTF-8");
    assert_no_string("\"\\", "unknown escape");
    assert_no_string("\"\\x41\"", "unknown escape");
    assert_no_string("\"\\u00", "four hexadecimal");
    assert_no_string("\"\\u00g0\"", "four hexadecimal");
    assert_no_string("\"\\u0000\"", "\\u0000");
    assert_no_string("\"\\ud83d\"", "surrogate");
    assert_no_string("\"\\ud83d\\u0041\"", "surrogate");
    assert_no_string("\"\\ud83d\\ud83d\"", "surrogate");
    assert_no_string("\"\\ud83d\\n\"", "surrogate");
    assert_no_string("\"\\ude00\"", "surrogate");
}

static void assert_number(const char *text, uint64_t expected)
{
    pri_json_reader reader = reader_of(text);
    uint64_t number;
    assert_int_equal(pri_json_reader_whole_number(&reader, &number), PARE_OK);
    assert_true(number == expected);
}

static void assert_no_number(const char *text, const char *reason)
{
    pri_json_reader reader = reader_of(text);
    uint64_t number;
    assert_refused(pri_json_reader_whole_number(&reader, &number), reason);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_number("0", 0);
    assert_number(" 17,", 17);
    assert_number("18446744073709551615", UINT64_MAX);
    assert_no_number("18446744073709551616", "larger than 2^64 - 1");
    assert_no_number("99999999999999999999999", "larger than 2^64 - 1");
    const char *const others[] = {"",    "-1",  "+1",  "01",   "00",    "1.0",
                                  "1e3", "1E3", "0.5", "null", "\"1\"", "[1]"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_no_number(others[i], "whole number");
}

/* Reads an array of whole numbers; returns their sum. */
static pare_status add_up(const char *text, uint64_t *sum)
{
    pri_json_reader reader = reader_of(text);
    bool more;
    *sum = 0;
    PRI_TRY(pri_json_reader_open(&reader, '['));
    for (;;) {
        uint64_t number;
        PRI_TRY(pri_json_reader_next(&reader, ']', &more));
        if (!more)
            return pri_json_reader_end(&reader);
        PRI_TRY(pri_json_reader_whole_number(&reader, &number));
        *sum += number;
    }
}

static void test_arrays(void **state)
{
    (void)state;
    uint64_t sum;
    assert_int_equal(add_up("[]", &sum), PARE_OK);
    assert_int_equal(add_up(" [ 1 , 2,3 ] ", &sum), PARE_OK);
    assert_int_equal(sum, 6);
    assert_refused(add_up("", &sum), "an array");
    assert_refused(add_up("{}", &sum), "an array");
    assert_refused(add_up("[", &sum), "whole number");
    assert_refused(add_up("[1", &sum), "',' or ']'");
    assert_refused(add_up("[1 2]", &sum), "',' or ']'");
    assert_refused(add_up("[1x]", &sum), "',' or ']'");
    assert_refused(add_up("[,1]", &sum), "whole number");
    assert_refused(add_up("[1,]", &sum), "whole number");
    assert_refused(add_up("[1}", &sum), "',' or ']'");
    assert_refused(add_up("[1]]", &sum), "the end");
}

static void test_objects_in_objects(void **state)
{
    (void)state;
    pri_json_reader reader = reader_of("{\"a\": {}, \"b\" :{\"c\":1}}");
    char *key;
    bool more;
    uint64_t number;
    assert_int_equal(pri_json_reader_open(&reader, '{'), PARE_OK);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_true(more);
    assert_int_equal(pri_json_reader_key(&reader, &key), PARE_OK);
    assert_string_equal(key, "a");
    pri_free(key);
    assert_int_equal(pri_json_reader_open(&reader, '{'), PARE_OK);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_false(more);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_true(more);
    assert_int_equal(pri_json_reader_key(&reader, &key), PARE_OK);
    assert_string_equal(key, "b");
    pri_free(key);
    assert_int_equal(pri_json_reader_open(&reader, '{'), PARE_OK);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_int_equal(pri_json_reader_key(&reader, &key), PARE_OK);
    pri_free(key);
    assert_int_equal(pri_json_reader_whole_number(&reader, &number), PARE_OK);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_false(more);
    assert_int_equal(pri_json_reader_next(&reader, '}', &more), PARE_OK);
    assert_false(more);
    assert_int_equal(pri_json_reader_end(&reader), PARE_OK);
}

static void test_keys_need_a_colon(void **state)
{
    (void)state;
    char *key;
    pri_json_reader reader = reader_of("\"a\" 1");
    assert_refused(pri_json_reader_key(&reader, &key), "':' was expected");
    assert_null(key);
    reader = reader_of("a: 1");
    assert_refused(pri_json_reader_key(&reader, &key), "string was expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_refused_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_objects_in_objects),
        cmocka_unit_test(test_keys_need_a_colon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
