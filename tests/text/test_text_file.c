/* Reading texts: plain, gzip, and gzip in every state of damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "temporary_files.h"
#include "text/text_file.h"

/* Reads everything in pieces of `piece` bytes; the first failure ends it. */
static pare_status read_all(const char *path, size_t piece, uint8_t *into, size_t *total)
{
    pri_reader *reader;
    pare_status status = pri_reader_open(path, &reader);
    *total = 0;
    for (size_t size = 1; status == PARE_OK && size;) {
        status = pri_reader_read(reader, into + *total, piece, &size);
        *total += size;
    }
    pri_reader_close(reader);
    return status;
}

#define TEXT_SIZE ((size_t)700000)

/* Half noise, half repetition: gzip stores some and compresses some of it. */
static uint8_t *make_text(void)
{
    uint8_t *text = pri_allocate(TEXT_SIZE, 1);
    for (size_t i = 0; i < TEXT_SIZE; i++)
        text[i] = i / 50000 % 2 ? 'a' : (uint8_t)('a' + pri_random_below(1, i, 26));
    return text;
}

static void write_gzip(const char *path, const uint8_t *text, size_t size)
{
    gzFile file = gzopen(path, "wb6");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
}

static void test_plain_and_gzip_give_the_same_bytes(void **state)
{
    (void)state;
    uint8_t *text = make_text(), *read = pri_allocate(TEXT_SIZE + 100000, 1);
    const char *plain = in_directory("plain"), *gzip = in_directory("gzip");
    assert_int_equal(pri_file_replace(plain, text, TEXT_SIZE), PARE_OK);
    write_gzip(gzip, text, TEXT_SIZE);
    const size_t pieces[] = {7, 4096, 99999};
    for (size_t i = 0; i < 3; i++) {
        size_t total;
        assert_int_equal(read_all(plain, pieces[i], read, &total), PARE_OK);
        assert_int_equal(total, TEXT_SIZE);
        assert_memory_equal(read, text, TEXT_SIZE);
        memset(read, 0, TEXT_SIZE);
        assert_int_equal(read_all(gzip, pieces[i], read, &total), PARE_OK);
        assert_int_equal(total, TEXT_SIZE);
        assert_memory_equal(read, text, TEXT_SIZE);
    }
    pri_free(text);
    pri_free(read);
}

static void test_a_byte_order_mark_is_left_out_at_the_beginning_only(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"\xef\xbb\xbf"
                                            "a\n\xef\xbb\xbf"
                                            "b",
                                            "a\n\xef\xbb\xbf"
                                            "b"},
                                           {"\xef\xbb\xbf\xef\xbb\xbf", "\xef\xbb\xbf"},
                                           {"\xef\xbb\xbf", ""},
                                           {"\xef\xbb", "\xef\xbb"},
                                           {"\xef\xbc\xa1", "\xef\xbc\xa1"},
                                           {"\xef", "\xef"},
                                           {"", ""}};
    const char *plain = in_directory("marked"), *gzip = in_directory("marked.gz");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t size = strlen(texts[i][0]), expected = strlen(texts[i][1]), total;
        uint8_t read[64];
        assert_int_equal(pri_file_replace(plain, texts[i][0], size), PARE_OK);
        write_gzip(gzip, (const uint8_t *)texts[i][0], size);
        for (size_t piece = 1; piece < 5; piece++) {
            assert_int_equal(read_all(plain, piece, read, &total), PARE_OK);
            assert_int_equal(total, expected);
            assert_memory_equal(read, texts[i][1], expected);
            assert_int_equal(read_all(gzip, piece, read, &total), PARE_OK);
            assert_int_equal(total, expected);
            assert_memory_equal(read, texts[i][1], expected);
        }
    }
}

static void test_gzip_members_are_joined(void **state)
{
    (void)state;
    const char *first = in_directory("first"), *second = in_directory("second");
    const char *joined = in_directory("joined");
    write_gzip(first, (const uint8_t *)"in the ", 7);
    write_gzip(second, (const uint8_t *)"beginning", 9);
    uint8_t *a, *b, both[256], read[128];
    size_t a_size, b_size, total;
    assert_int_equal(pri_file_read(first, 0, &a, &a_size), PARE_OK);
    assert_int_equal(pri_file_read(second, 0, &b, &b_size), PARE_OK);
    memcpy(both, a, a_size);
    memcpy(both + a_size, b, b_size);
    assert_int_equal(pri_file_replace(joined, both, a_size + b_size), PARE_OK);
    assert_int_equal(read_all(joined, 16, read, &total), PARE_OK);
    assert_int_equal(total, 16);
    assert_memory_equal(read, "in the beginning", 16);
    pri_free(a);
    pri_free(b);
}

/* Wherever a gzip file is cut, reading it fails: never a short text that looks complete. */
static void test_truncated_gzip_is_an_error_at_every_length(void **state)
{
    (void)state;
    uint8_t *text = make_text(), *read = pri_allocate(TEXT_SIZE + 100000, 1), *bytes;
    size_t size, total;
    const char *whole = in_directory("whole"), *cut = in_directory("cut");
    write_gzip(whole, text, TEXT_SIZE);
    assert_int_equal(pri_file_read(whole, 0, &bytes, &size), PARE_OK);
    for (size_t length = 2; length < size;
         length += length < 600 || length > size - 40 ? 1 : 3001) {
        FILE *file = fopen(cut, "wb");
        assert_int_equal(fwrite(bytes, 1, length, file), length);
        fclose(file);
        assert_int_equal(read_all(cut, 65536, read, &total), PARE_ERROR_FORMAT);
        assert_non_null(strstr(pare_error_message(), "gzip"));
    }
    pri_free(bytes);
    pri_free(text);
    pri_free(read);
}

/* All zeros compress a thousandfold: one byte of the file stands for many buffers of text. */
static void test_truncated_gzip_of_long_runs_is_an_error_at_every_length(void **state)
{
    (void)state;
    const size_t zeros = (size_t)2 << 20;
    uint8_t *text = pri_allocate_zero(zeros, 1), *read = pri_allocate(zeros + 100000, 1), *bytes;
    size_t size, total;
    const char *whole = in_directory("zeros"), *cut = in_directory("cut");
    write_gzip(whole, text, zeros);
    assert_int_equal(pri_file_read(whole, 0, &bytes, &size), PARE_OK);
    for (size_t length = 2; length < size; length += 1 + length / 50) {
        FILE *file = fopen(cut, "wb");
        assert_int_equal(fwrite(bytes, 1, length, file), length);
        fclose(file);
        const size_t pieces[] = {4096, 65536};
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(read_all(cut, pieces[i], read, &total), PARE_ERROR_FORMAT);
    }
    pri_free(bytes);
    pri_free(text);
    pri_free(read);
}

static void test_damaged_gzip_is_an_error(void **state)
{
    (void)state;
    uint8_t *text = make_text(), *read = pri_allocate(TEXT_SIZE + 100000, 1), *bytes;
    size_t size, total;
    const char *path = in_directory("damaged");
    write_gzip(path, text, TEXT_SIZE);
    assert_int_equal(pri_file_read(path, 0, &bytes, &size), PARE_OK);
    /* Method, middle of the data, checksum, length. */
    const size_t places[] = {2, size / 2, size - 6, size - 2};
    for (size_t i = 0; i < 4; i++) {
        bytes[places[i]] ^= 0x20;
        assert_int_equal(pri_file_replace(path, bytes, size), PARE_OK);
        bytes[places[i]] ^= 0x20;
        assert_int_equal(read_all(path, 65536, read, &total), PARE_ERROR_FORMAT);
        assert_non_null(strstr(pare_error_message(), path));
    }
    pri_free(bytes);
    pri_free(text);
    pri_free(read);
}

static void test_reader_refuses_directories_and_absent_files(void **state)
{
    (void)state;
    pri_reader *reader;
    assert_int_equal(pri_reader_open(directory, &reader), PARE_ERROR_FILE);
    assert_null(reader);
    assert_int_equal(pri_reader_open(in_directory("absent.gz"), &reader), PARE_ERROR_FILE);
    pri_reader_close(NULL);
    uint8_t byte;
    size_t total;
    assert_int_equal(pri_file_replace(in_directory("nothing"), NULL, 0), PARE_OK);
    assert_int_equal(read_all(in_directory("nothing"), 1, &byte, &total), PARE_OK);
    assert_int_equal(total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_gzip_give_the_same_bytes),
        cmocka_unit_test(test_a_byte_order_mark_is_left_out_at_the_beginning_only),
        cmocka_unit_test(test_gzip_members_are_joined),
        cmocka_unit_test(test_truncated_gzip_is_an_error_at_every_length),
        cmocka_unit_test(test_truncated_gzip_of_long_runs_is_an_error_at_every_length),
        cmocka_unit_test(test_damaged_gzip_is_an_error),
        cmocka_unit_test(test_reader_refuses_directories_and_absent_files),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
