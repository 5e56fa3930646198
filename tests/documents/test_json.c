/* JSON files: typed members, what is refused and with which words, saving. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"

static json_t *parse(const char *text)
{
    json_t *object;
    assert_int_equal(pri_json_parse(text, strlen(text), "config.json", &object), PARE_OK);
    return object;
}

static void expect_refused(const char *text, size_t size)
{
    json_t *object = (json_t *)&size;
    assert_int_equal(pri_json_parse(text, size, "config.json", &object), PARE_ERROR_FORMAT);
    assert_null(object);
    assert_non_null(strstr(pare_error_message(), "config.json"));
}

static void test_members(void **state)
{
    (void)state;
    json_t *object =
        parse("{\"n\": 41, \"x\": -2.5, \"b\": true, \"s\": \"relu\", \"none\": null}");
    size_t size = 0;
    double number = 0;
    bool flag = false;
    char text[8];
    assert_int_equal(pri_json_get_size(object, "f", "n", &size), PARE_OK);
    assert_int_equal(size, 41);
    assert_int_equal(pri_json_get_number(object, "f", "x", &number), PARE_OK);
    assert_true(number == -2.5);
    assert_int_equal(pri_json_get_number(object, "f", "n", &number), PARE_OK);
    assert_true(number == 41);
    assert_int_equal(pri_json_get_bool_or(object, "f", "b", false, &flag), PARE_OK);
    assert_true(flag);
    assert_int_equal(pri_json_get_string(object, "f", "s", text, sizeof text), PARE_OK);
    assert_string_equal(text, "relu");
    json_decref(object);
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    json_t *object = parse("\xef\xbb\xbf{\"n\": 41}");
    size_t size;
    assert_int_equal(pri_json_get_size(object, "f", "n", &size), PARE_OK);
    assert_int_equal(size, 41);
    json_decref(object);
    expect_refused("\xef\xbb\xbf", 3);
    expect_refused("\xef\xbb{}", 4);
}

static void test_absent_members(void **state)
{
    (void)state;
    json_t *object = parse("{\"none\": null, \"n\": 3}");
    size_t size;
    double number;
    bool flag;
    char text[8];
    assert_int_equal(pri_json_get_size_or(object, "f", "none", 7, &size), PARE_OK);
    assert_int_equal(size, 7);
    assert_int_equal(pri_json_get_size_or(object, "f", "n", 7, &size), PARE_OK);
    assert_int_equal(size, 3);
    assert_int_equal(pri_json_get_number_or(object, "f", "gone", 0.5, &number), PARE_OK);
    assert_true(number == 0.5);
    assert_int_equal(pri_json_get_bool_or(object, "f", "gone", true, &flag), PARE_OK);
    assert_true(flag);
    assert_int_equal(pri_json_get_string_or(object, "f", "gone", "gelu", text, sizeof text),
                     PARE_OK);
    assert_string_equal(text, "gelu");
    assert_int_equal(pri_json_get_size(object, "f", "gone", &size), PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "f: \"gone\""));
    json_decref(object);
}

static void test_wrong_types(void **state)
{
    (void)state;
    json_t *object = parse("{\"minus\": -1, \"real\": 1.5, \"s\": \"12345678\", \"b\": 1}");
    size_t size;
    double number;
    bool flag;
    char text[8];
    assert_int_equal(pri_json_get_size(object, "f", "minus", &size), PARE_ERROR_FORMAT);
    assert_int_equal(pri_json_get_size(object, "f", "real", &size), PARE_ERROR_FORMAT);
    assert_int_equal(pri_json_get_size_or(object, "f", "s", 1, &size), PARE_ERROR_FORMAT);
    assert_int_equal(pri_json_get_number(object, "f", "s", &number), PARE_ERROR_FORMAT);
    assert_int_equal(pri_json_get_bool_or(object, "f", "b", true, &flag), PARE_ERROR_FORMAT);
    assert_int_equal(pri_json_get_string(object, "f", "b", text, sizeof text), PARE_ERROR_FORMAT);
    /* Eight bytes and a terminator do not fit in eight. */
    assert_int_equal(pri_json_get_string(object, "f", "s", text, sizeof text), PARE_ERROR_FORMAT);
    json_decref(object);
}

static void test_refused_texts(void **state)
{
    (void)state;
    const char *texts[] = {"",
                           "[1]",
                           "null",
                           "{\"a\": 1, \"a\": 2}",
                           "{\"a\": {\"b\": 1, \"b\": 1}}",
                           "{\"a\": 1} x",
                           "{\"a\": 1",
                           "{\"a\": NaN}",
                           "{\"a\": 1e999}",
                           "{\"a\": 99999999999999999999}",
                           "{\"a\": \"\\u0000\"}",
                           "{\"a\": \"\xff\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refused(texts[i], strlen(texts[i]));
    expect_refused("{\"a\0b\": 1}", 10);
    char nested[20001];
    memset(nested, '[', 20000);
    memcpy(nested, "{\"a\":", 5);
    expect_refused(nested, 20000);
}

static void test_save_and_load(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "test_json_%ld.json", (long)getpid());
    json_t *object = parse("{\"z\": 0.1, \"a\": [1, 2]}");
    assert_int_equal(pri_json_save(object, path), PARE_OK);
    uint8_t *bytes;
    size_t size;
    assert_int_equal(pri_file_read(path, 0, &bytes, &size), PARE_OK);
    assert_int_equal(bytes[size - 1], '\n');
    assert_true(strstr((char *)bytes, "\"z\"") < strstr((char *)bytes, "\"a\""));
    pri_free(bytes);
    json_t *loaded;
    assert_int_equal(pri_json_load(path, &loaded), PARE_OK);
    assert_true(json_equal(object, loaded));
    json_decref(loaded);
    json_decref(object);
    unlink(path);
    assert_int_equal(pri_json_load(path, &loaded), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),         cmocka_unit_test(test_absent_members),
        cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_refused_texts),   cmocka_unit_test(test_save_and_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
