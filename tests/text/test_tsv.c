/* Tab-separated text: rows, hostile bytes, columns by name and number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "status_check.h"
#include "temporary_files.h"
#include "text/tsv.h"

/* "2:a|b;" for a row of two fields on line 2. */
static pare_status write_row(void *user, const pri_tsv_row *row)
{
    pri_text *text = user;
    pri_text_append(text, "%d:", (int)row->line);
    for (size_t i = 0; i < row->count; i++)
        pri_text_append(text, "%s%s", i ? "|" : "", row->fields[i]);
    pri_text_append(text, ";");
    return PARE_OK;
}

static pare_status parse(const char *data, size_t size, size_t chunk, pri_text *rows)
{
    pri_tsv tsv = {.name = "table.tsv", .visit = write_row, .user = rows};
    pare_status status = PARE_OK;
    for (size_t begin = 0; begin < size && status == PARE_OK; begin += chunk)
        status = pri_tsv_feed(&tsv, data + begin, size - begin < chunk ? size - begin : chunk);
    if (status == PARE_OK)
        status = pri_tsv_finish(&tsv);
    pri_tsv_free(&tsv);
    return status;
}

static void assert_rows(const char *data, const char *expected)
{
    for (size_t chunk = 1; chunk < 20; chunk++) {
        pri_text rows = {0};
        pri_text_append(&rows, "%s", "");
        assert_int_equal(parse(data, strlen(data), chunk, &rows), PARE_OK);
        assert_string_equal(rows.data, expected);
        pri_text_free(&rows);
    }
}

static void test_rows(void **state)
{
    (void)state;
    assert_rows("", "");
    assert_rows("a\tb\nc\td\n", "1:a|b;2:c|d;");
    assert_rows("a\tb\nc\td", "1:a|b;2:c|d;");
    assert_rows("\t\n\t\t", "1:|;2:||;");
    assert_rows("a\r\nb\r\n", "1:a;2:b;");
    assert_rows("a\rb\tc\r\n", "1:a\rb|c;");
    assert_rows("a\n\n\r\nb\n\n", "1:a;4:b;");
    assert_rows("x\ty\r", "1:x|y;");
}

static void test_quotes_are_literal(void **state)
{
    (void)state;
    assert_rows("\"a\tb\"\n'c\t\"d\ne\n", "1:\"a|b\";2:'c|\"d;3:e;");
}

static void test_a_byte_order_mark_is_skipped_at_the_beginning_only(void **state)
{
    (void)state;
    static const char *const tables[][2] = {
        {"\xef\xbb\xbfid\n\xef\xbb\xbfid\n", "1:id;2:\xef\xbb\xbfid;"},
        {"\xef\xbb\xbf\na\n", "2:a;"}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        pri_text rows = {0};
        const char *path = in_directory("marked.tsv");
        assert_int_equal(pri_file_replace(path, tables[i][0], strlen(tables[i][0])), PARE_OK);
        assert_int_equal(pri_tsv_read(path, write_row, &rows), PARE_OK);
        assert_string_equal(rows.data, tables[i][1]);
        pri_text_free(&rows);
    }
}

static void test_what_is_no_text_is_refused(void **state)
{
    (void)state;
    pri_text rows = {0};
    for (size_t chunk = 1; chunk < 7; chunk++) {
        assert_fails(parse("a\nb\0c\n", 6, chunk, &rows), PARE_ERROR_FORMAT,
                     "table.tsv:2: a zero byte");
        assert_fails(parse("a\nb\t\xe9t\xe9\n", 8, chunk, &rows), PARE_ERROR_FORMAT,
                     "table.tsv:2: byte 3 of the line is not UTF-8");
    }
    pri_text_free(&rows);
}

static void test_the_longest_line(void **state)
{
    (void)state;
    size_t size = PRI_TSV_LINE_MAX + 3;
    char *text = pri_allocate(size, 1);
    memset(text, 'a', size);
    text[1] = '\n';
    text[size - 1] = '\n'; /* a line of PRI_TSV_LINE_MAX bytes */
    for (size_t chunk = 1000; chunk <= size; chunk += size - 1000) {
        pri_text rows = {0};
        assert_int_equal(parse(text, size, chunk, &rows), PARE_OK);
        assert_int_equal(rows.length, strlen("1:a;2:;") + PRI_TSV_LINE_MAX);
        pri_text_free(&rows);
        text[size - 1] = 'a';
        assert_fails(parse(text, size, chunk, &rows), PARE_ERROR_FORMAT,
                     "table.tsv:2: longer than 1048576 bytes");
        text[size - 1] = '\n';
        pri_text_free(&rows);
    }
    pri_free(text);
}

static void test_files(void **state)
{
    (void)state;
    const char *plain = in_directory("rows.tsv"), *gzip = in_directory("rows.tsv.gz");
    pri_text rows = {0};
    assert_int_equal(pri_file_replace(plain, "a\tb\nc", 5), PARE_OK);
    assert_int_equal(pri_tsv_read(plain, write_row, &rows), PARE_OK);
    gzFile file = gzopen(gzip, "wb");
    assert_int_equal(gzwrite(file, "d\te\n", 4), 4);
    assert_int_equal(gzclose(file), Z_OK);
    assert_int_equal(pri_tsv_read(gzip, write_row, &rows), PARE_OK);
    assert_string_equal(rows.data, "1:a|b;2:c;1:d|e;");
    pri_text_free(&rows);
    const char *absent = in_directory("absent.tsv");
    assert_fails(pri_tsv_read(absent, write_row, NULL), PARE_ERROR_FILE, absent);
}

static pare_status stop_at_row(void *user, const pri_tsv_row *row)
{
    (void)user;
    return row->line == 2 ? PARE_ERROR_UNSUPPORTED : PARE_OK;
}

static void test_a_visit_that_fails_ends_the_reading(void **state)
{
    (void)state;
    const char *path = in_directory("three.tsv");
    assert_int_equal(pri_file_replace(path, "a\nb\nc\n", 6), PARE_OK);
    assert_int_equal(pri_tsv_read(path, stop_at_row, NULL), PARE_ERROR_UNSUPPORTED);
}

static void test_columns(void **state)
{
    (void)state;
    const char *const fields[] = {"id", "2", "#1 String"};
    const pri_tsv_row header = {.name = "t", .line = 1, .fields = fields, .count = 3};
    size_t column = 9;
    assert_int_equal(pri_tsv_find_column(&header, "t", "#1 String", &column), PARE_OK);
    assert_int_equal(column, 2);
    assert_int_equal(pri_tsv_find_column(&header, "t", "2", &column), PARE_OK);
    assert_int_equal(column, 1); /* by name first */
    assert_int_equal(pri_tsv_find_column(&header, "t", "1", &column), PARE_OK);
    assert_int_equal(column, 0);
    assert_int_equal(pri_tsv_find_column(NULL, "t", "7", &column), PARE_OK);
    assert_int_equal(column, 6);
    assert_fails(pri_tsv_find_column(&header, "t", "label", &column), PARE_ERROR_FORMAT,
                 "t:1: the header has no column 'label'");
    const char *const wrong[] = {"label", "0", "-1", "1x", "", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(pri_tsv_find_column(NULL, "t", wrong[i], &column), PARE_ERROR_ARGUMENT,
                     "which has no header");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_quotes_are_literal),
        cmocka_unit_test(test_a_byte_order_mark_is_skipped_at_the_beginning_only),
        cmocka_unit_test(test_what_is_no_text_is_refused),
        cmocka_unit_test(test_the_longest_line),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_a_visit_that_fails_ends_the_reading),
        cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests_name("tsv", tests, make_directory, remove_directory);
}
