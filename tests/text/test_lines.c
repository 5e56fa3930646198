/* Lines of texts, against a text that was joined from known lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "temporary_files.h"
#include "text/lines.h"

typedef struct seen_lines {
    size_t count, failing; /* visit number `failing` fails; 0: none */
    char text[1024];       /* each line followed by '|' */
    size_t lengths[1024];
} seen_lines;

static pare_status remember(void *user, const char *line, size_t length)
{
    seen_lines *seen = user;
    if (strlen(seen->text) + length + 2 <= sizeof seen->text) {
        strncat(seen->text, line, length);
        strcat(seen->text, "|");
    }
    seen->lengths[seen->count++] = length;
    return seen->count == seen->failing ? PARE_ERROR_INTERRUPTED : PARE_OK;
}

static const char *write_bytes(const char *text, size_t size)
{
    const char *path = in_directory("text");
    assert_int_equal(pri_file_replace(path, text, size), PARE_OK);
    return path;
}

static void assert_lines(const char *text, pri_line_range range, const char *expected)
{
    seen_lines seen = {0};
    assert_int_equal(pri_text_read_lines(write_bytes(text, strlen(text)), range, remember, &seen),
                     PARE_OK);
    assert_string_equal(seen.text, expected);
}

static void test_line_ends(void **state)
{
    (void)state;
    assert_lines("", PRI_ALL_LINES, "");
    assert_lines("\n", PRI_ALL_LINES, "|");
    assert_lines("a", PRI_ALL_LINES, "a|");
    assert_lines("a\n\n b \n", PRI_ALL_LINES, "a|| b |");
    assert_lines("a\r\n\r\nb\r", PRI_ALL_LINES, "a||b|");
    assert_lines("a\rb\n", PRI_ALL_LINES, "a\rb|");
}

static void test_ranges(void **state)
{
    (void)state;
    const char *text = "0\n1\n2\n3";
    assert_lines(text, (pri_line_range){1, 3}, "1|2|");
    assert_lines(text, (pri_line_range){3, UINT64_MAX}, "3|");
    assert_lines(text, (pri_line_range){4, UINT64_MAX}, "");
    assert_lines(text, (pri_line_range){2, 2}, "");
}

/* Lines that cross any number of chunks. */
static void test_long_lines(void **state)
{
    (void)state;
    const size_t lengths[] = {65535, 65536, 0, 1, 65537, 300000, 65534, 131072, 12};
    const size_t count = sizeof lengths / sizeof lengths[0];
    char *text = pri_allocate(1 << 20, 1);
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        memset(text + size, 'a' + (int)i, lengths[i]);
        size += lengths[i];
        text[size++] = '\n';
    }
    seen_lines seen = {0};
    assert_int_equal(pri_text_read_lines(write_bytes(text, size), PRI_ALL_LINES, remember, &seen),
                     PARE_OK);
    assert_int_equal(seen.count, count);
    assert_memory_equal(seen.lengths, lengths, sizeof lengths);
    uint64_t lines;
    assert_int_equal(pri_text_count_lines(write_bytes(text, size - 1), &lines), PARE_OK);
    assert_int_equal(lines, count);
    pri_free(text);
}

static void test_failures(void **state)
{
    (void)state;
    seen_lines seen = {.failing = 2};
    assert_int_equal(
        pri_text_read_lines(write_bytes("a\nb\nc\n", 6), PRI_ALL_LINES, remember, &seen),
        PARE_ERROR_INTERRUPTED);
    assert_string_equal(seen.text, "a|b|");
    assert_int_equal(pri_text_read_lines(write_bytes("ab\n\0", 4), PRI_ALL_LINES, remember, &seen),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "a zero byte at offset 3"));
    assert_int_equal(pri_text_read_lines(in_directory("absent"), PRI_ALL_LINES, remember, &seen),
                     PARE_ERROR_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
