/* The safetensors container: what is written is read back, and every broken rule is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"

static char path[64];

static int set_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "test_%ld.safetensors", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* A file of this header and `data_size` bytes 0, 1, 2, ... after it. */
static pare_status parse_file(const char *header, size_t data_size, pri_safetensors **file)
{
    size_t length = strlen(header), size = 8 + length + data_size;
    /* Never freed before the file is closed, and exactly as long as the data for the sanitizer. */
    static uint8_t *bytes;
    free(bytes);
    bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + length + i] = (uint8_t)i;
    return pri_safetensors_parse(bytes, size, "weights", file);
}

static void expect_refused(const char *header, size_t data_size, const char *reason)
{
    pri_safetensors *file;
    assert_int_equal(parse_file(header, data_size, &file), PARE_ERROR_FORMAT);
    assert_null(file);
    assert_non_null(strstr(pare_error_message(), "weights"));
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

static void test_round_trip(void **state)
{
    (void)state;
    const float weights[6] = {1, 2, 3, 4, 5, -0.5f};
    const uint8_t bits[3] = {7, 8, 255};
    const double scalar = 1e-300;
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    pri_safetensors_writer_add(writer, "bits", PRI_DATA_U8, 1, (size_t[]){3}, bits);
    pri_safetensors_writer_add(writer, "weights", PRI_DATA_F32, 2, (size_t[]){2, 3}, weights);
    pri_safetensors_writer_add(writer, "empty", PRI_DATA_F32, 2, (size_t[]){0, 3}, NULL);
    pri_safetensors_writer_add(writer, "scalar", PRI_DATA_F64, 0, NULL, &scalar);
    pri_safetensors_writer_metadata(writer, "format", "pare");
    assert_int_equal(pri_safetensors_writer_save(writer, path), PARE_OK);
    pri_safetensors_writer_destroy(writer);

    pri_safetensors *file;
    assert_int_equal(pri_safetensors_open(path, &file), PARE_OK);
    assert_int_equal(pri_safetensors_count(file), 4);
    assert_string_equal(pri_safetensors_at(file, 0)->name, "bits");
    assert_string_equal(pri_safetensors_metadata(file, "format"), "pare");
    assert_null(pri_safetensors_metadata(file, "version"));
    assert_string_equal(pri_safetensors_name(file), path);
    const pri_stored_tensor *tensor;
    assert_int_equal(
        pri_safetensors_get(file, "weights", PRI_DATA_F32, 2, (size_t[]){2, 3}, &tensor), PARE_OK);
    /* Three bytes of bits lie before it, so the reader has to align it. */
    assert_int_equal((uintptr_t)tensor->data % sizeof(float), 0);
    assert_memory_equal(tensor->data, weights, sizeof weights);
    tensor = pri_safetensors_find(file, "scalar");
    assert_int_equal(tensor->elements, 1);
    assert_memory_equal(tensor->data, &scalar, sizeof scalar);
    assert_int_equal(pri_safetensors_find(file, "empty")->bytes, 0);
    assert_null(pri_safetensors_find(file, "bit"));
    pri_safetensors_close(file);
}

static void test_same_contents_give_the_same_bytes(void **state)
{
    (void)state;
    uint8_t *first = NULL, *second = NULL;
    size_t first_size, second_size;
    for (int round = 0; round < 2; round++) {
        pri_safetensors_writer *writer = pri_safetensors_writer_create();
        pri_safetensors_writer_metadata(writer, "k", "v");
        pri_safetensors_writer_add(writer, "a", PRI_DATA_U8, 1, (size_t[]){2}, "xy");
        assert_int_equal(pri_safetensors_writer_save(writer, path), PARE_OK);
        pri_safetensors_writer_destroy(writer);
        assert_int_equal(
            pri_file_read(path, 0, round ? &second : &first, round ? &second_size : &first_size),
            PARE_OK);
    }
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    assert_int_equal(first_size % 8, 2); /* the header is padded to a multiple of 8 */
    pri_free(first);
    pri_free(second);
}

/* The header is JSON without blanks, metadata first, in the order of the calls. */
static void test_header_is_written_in_order(void **state)
{
    (void)state;
    static const char expected[] =
        "{\"__metadata__\":{\"q\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001F\",\"k\":\"\xc3\xa9\"},"
        "\"b\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[0,2]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[2,3]}}";
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    pri_safetensors_writer_add(writer, "b", PRI_DATA_U8, 2, (size_t[]){2, 1}, "xy");
    pri_safetensors_writer_metadata(writer, "q", "\"\\/\b\f\n\r\t\x1f");
    pri_safetensors_writer_add(writer, "a", PRI_DATA_U8, 0, NULL, "z");
    pri_safetensors_writer_metadata(writer, "k", "\xc3\xa9");
    assert_int_equal(pri_safetensors_writer_save(writer, path), PARE_OK);
    pri_safetensors_writer_destroy(writer);
    uint8_t *bytes;
    size_t size;
    assert_int_equal(pri_file_read(path, 0, &bytes, &size), PARE_OK);
    assert_int_equal(bytes[0], (sizeof expected - 1 + 7) / 8 * 8);
    assert_memory_equal(bytes + 8, expected, sizeof expected - 1);
    assert_memory_equal(bytes + size - 3, "xyz", 3);
    pri_free(bytes);
    pri_safetensors *file;
    assert_int_equal(pri_safetensors_open(path, &file), PARE_OK);
    assert_string_equal(pri_safetensors_metadata(file, "q"), "\"\\/\b\f\n\r\t\x1f");
    pri_safetensors_close(file);
}

static void test_get_names_both_shapes(void **state)
{
    (void)state;
    pri_safetensors *file;
    assert_int_equal(
        parse_file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2,3],\"data_offsets\":[0,6]}}", 6, &file),
        PARE_OK);
    const pri_stored_tensor *tensor;
    assert_int_equal(pri_safetensors_get(file, "a", PRI_DATA_F32, 1, (size_t[]){6}, &tensor),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "U8 [2, 3]"));
    assert_non_null(strstr(pare_error_message(), "F32 [6]"));
    assert_int_equal(pri_safetensors_get(file, "b", PRI_DATA_U8, 0, NULL, &tensor),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "missing"));
    pri_safetensors_close(file);
}

static void test_order_of_the_header_is_free(void **state)
{
    (void)state;
    pri_safetensors *file;
    assert_int_equal(
        parse_file("{\"late\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[4,12]},"
                   "\"early\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                   "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}   ",
                   12, &file),
        PARE_OK);
    assert_string_equal(pri_safetensors_at(file, 0)->name, "early");
    const uint8_t expected[8] = {4, 5, 6, 7, 8, 9, 10, 11};
    const pri_stored_tensor *late = pri_safetensors_find(file, "late");
    assert_memory_equal(late->data, expected, 8);
    assert_int_equal((uintptr_t)late->data % 8, 0);
    pri_safetensors_close(file);
}

#define A(TYPE, SHAPE, BEGIN, END)                                                                 \
    "\"a\":{\"dtype\":\"" TYPE "\",\"shape\":" SHAPE ",\"data_offsets\":[" #BEGIN "," #END "]}"
#define B(TYPE, SHAPE, BEGIN, END)                                                                 \
    "\"b\":{\"dtype\":\"" TYPE "\",\"shape\":" SHAPE ",\"data_offsets\":[" #BEGIN "," #END "]}"

static void test_offsets_must_cover_the_buffer(void **state)
{
    (void)state;
    expect_refused("{" A("U8", "[4]", 0, 4) "," B("U8", "[4]", 2, 6) "}", 6, "overlaps");
    expect_refused("{" A("U8", "[4]", 0, 4) "," B("U8", "[4]", 0, 4) "}", 4, "overlaps");
    expect_refused("{" A("U8", "[4]", 0, 4) "," B("U8", "[0]", 2, 2) "}", 4, "overlaps");
    expect_refused("{" A("U8", "[4]", 0, 4) "," B("U8", "[2]", 6, 8) "}", 8, "hole");
    expect_refused("{" A("U8", "[4]", 1, 5) "}", 5, "hole");
    expect_refused("{" A("U8", "[4]", 0, 4) "}", 5, "after the last tensor");
    expect_refused("{}", 1, "after the last tensor");
    expect_refused("{" A("U8", "[4]", 0, 4) "}", 3, "beyond the end");
    expect_refused("{" A("U8", "[4]", 4, 0) "}", 4, "begin <= end");
    expect_refused("{" A("U8", "[4]", -4, 0) "}", 4, "whole number");
    expect_refused("{" A("U8", "[0]", 9223372036854775807, 9223372036854775807) "}", 0, "beyond");
}

static void test_shapes_must_agree_with_offsets(void **state)
{
    (void)state;
    expect_refused("{" A("F32", "[4]", 0, 4) "}", 4, "another number of bytes");
    expect_refused("{" A("F32", "[4294967296,4294967296]", 0, 0) "}", 0, "larger than any memory");
    expect_refused("{" A("F64", "[2305843009213693952]", 0, 0) "}", 0, "larger than any memory");
    expect_refused("{" A("U8", "[-1]", 0, 0) "}", 0, "whole number");
    expect_refused("{" A("U8", "[1.0]", 0, 1) "}", 1, "whole number");
    expect_refused("{" A("U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, "dimensions");
    expect_refused("{" A("U8", "[18446744073709551616]", 0, 0) "}", 0, "larger than 2^64");
    expect_refused("{" A("C64", "[1]", 0, 8) "}", 8, "unknown type");
    expect_refused("{" A("u8", "[1]", 0, 1) "}", 1, "unknown type");
}

static void test_headers_must_be_well_formed(void **state)
{
    (void)state;
    expect_refused("[]", 0, "begin with '{'");
    expect_refused(" {}", 0, "begin with '{'");
    expect_refused("{\"a\":1}", 0, "object");
    expect_refused("{\"a\":{}}", 0, "should have");
    expect_refused("{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,0]}}", 0, "string");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "array");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]}}", 4, "begin");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"offsets\":[0,4]}}", 4, "only");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":0}}", 0,
                   "only");
    expect_refused("{" A("U8", "[2]", 0, 2) "," A("U8", "[2]", 2, 4) "}", 4, "occurs twice");
    expect_refused("{" A("U8", "[2]", 0, 2), 2, "not valid JSON");
    expect_refused("{" A("U8", "[2]", 0, 2) "} x", 2, "not valid JSON");
    expect_refused("{" A("U8", "[0]", 0, 0) "," B("U8", "[0]", 0, 0) "," A("U8", "[0]", 0, 0) "}",
                   0, "occurs twice");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0]}}", 0, "each once");
    expect_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "should have");
    expect_refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "occurs twice");
    expect_refused("{\"__metadata__\":{\"k\":\"1\",\"l\":\"\",\"k\":\"2\"}}", 0, "occurs twice");
    expect_refused("{\"__metadata__\":[]}", 0, "object");
    expect_refused("{\"__metadata__\":{\"k\":1}}", 0, "string");
}

static void test_length_of_the_header(void **state)
{
    (void)state;
    pri_safetensors *file;
    uint8_t bytes[16] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    assert_int_equal(pri_safetensors_parse(bytes, 10, "f", &file), PARE_OK);
    assert_int_equal(pri_safetensors_count(file), 0);
    pri_safetensors_close(file);
    for (size_t size = 0; size < 10; size++)
        assert_int_equal(pri_safetensors_parse(bytes, size, "f", &file), PARE_ERROR_FORMAT);
    bytes[0] = 3;
    assert_int_equal(pri_safetensors_parse(bytes, 10, "f", &file), PARE_ERROR_FORMAT);
    bytes[0] = 0;
    assert_int_equal(pri_safetensors_parse(bytes, 10, "f", &file), PARE_ERROR_FORMAT);
    memset(bytes, 0xff, 8);
    assert_int_equal(pri_safetensors_parse(bytes, 10, "f", &file), PARE_ERROR_FORMAT);
}

static void test_files_that_are_no_files(void **state)
{
    (void)state;
    pri_safetensors *file;
    assert_int_equal(pri_safetensors_open("no/such/file", &file), PARE_ERROR_FILE);
    assert_int_equal(pri_safetensors_open(".", &file), PARE_ERROR_FILE);
    assert_int_equal(pri_file_replace(path, "", 0), PARE_OK);
    assert_int_equal(pri_safetensors_open(path, &file), PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "empty"));
}

static void test_writer_reports_failures_at_the_end(void **state)
{
    (void)state;
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    pri_safetensors_writer_add(writer, "a", PRI_DATA_U8, 1, (size_t[]){1}, "x");
    pri_safetensors_writer_add(writer, "a", PRI_DATA_U8, 1, (size_t[]){1}, "y");
    assert_int_equal(pri_safetensors_writer_save(writer, path), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "\"a\" is taken"));
    assert_false(pri_path_exists(path));
    pri_safetensors_writer_destroy(writer);

    writer = pri_safetensors_writer_create();
    pri_safetensors_writer_metadata(writer, "k", "\xff");
    assert_int_equal(pri_safetensors_writer_save(writer, path), PARE_ERROR_ARGUMENT);
    pri_safetensors_writer_destroy(writer);

    writer = pri_safetensors_writer_create();
    assert_int_equal(pri_safetensors_writer_save(writer, "no/such/directory"), PARE_ERROR_FILE);
    pri_safetensors_writer_destroy(writer);
}

int main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_path, remove_path)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_same_contents_give_the_same_bytes),
        TEST(test_header_is_written_in_order),
        TEST(test_get_names_both_shapes),
        TEST(test_order_of_the_header_is_free),
        TEST(test_offsets_must_cover_the_buffer),
        TEST(test_shapes_must_agree_with_offsets),
        TEST(test_headers_must_be_well_formed),
        TEST(test_length_of_the_header),
        TEST(test_files_that_are_no_files),
        TEST(test_writer_reports_failures_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
