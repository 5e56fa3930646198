/* Lines of files and of the standard input, and which of them have arrived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "pare/text.h"
#include "temporary_files.h"

static void assert_line(pare_lines *lines, const char *expected)
{
    const char *line;
    size_t length;
    assert_int_equal(pare_lines_next(lines, &line, &length), PARE_OK);
    if (!expected) {
        assert_null(line);
        return;
    }
    assert_non_null(line);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(line, expected, length);
}

static void test_lines_of_a_file(void **state)
{
    (void)state;
    const char *path = in_directory("lines.txt");
    assert_int_equal(pri_file_replace(path, "a\n\nb\r\nlast", 10), PARE_OK);
    pare_lines *lines;
    assert_int_equal(pare_lines_open(path, &lines), PARE_OK);
    assert_line(lines, "a");
    assert_true(pare_lines_ready(lines));
    assert_line(lines, "");
    assert_line(lines, "b\r");
    assert_line(lines, "last");
    assert_false(pare_lines_ready(lines));
    assert_line(lines, NULL);
    assert_line(lines, NULL);
    pare_lines_close(lines);
    assert_int_equal(pare_lines_open(in_directory("absent"), &lines), PARE_ERROR_FILE);
    assert_null(lines);
}

/* Makes the standard input a pipe; returns the end to write to. */
static int open_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    return ends[1];
}

static void send(int descriptor, const char *text)
{
    assert_int_equal(write(descriptor, text, strlen(text)), strlen(text));
}

static void test_what_a_pipe_has_is_ready_and_no_more(void **state)
{
    (void)state;
    int end = open_pipe();
    pare_lines *lines;
    send(end, "one\ntwo\nthr");
    assert_int_equal(pare_lines_open("-", &lines), PARE_OK);
    assert_line(lines, "one");
    assert_true(pare_lines_ready(lines));
    assert_line(lines, "two");
    assert_false(pare_lines_ready(lines)); /* "thr" may go on */
    send(end, "ee\nfour");
    assert_line(lines, "three");
    assert_false(pare_lines_ready(lines));
    close(end);
    assert_line(lines, "four");
    assert_line(lines, NULL);
    pare_lines_close(lines);
}

static void test_a_pipe_that_begins_with_a_mark(void **state)
{
    (void)state;
    static const char *const parts[] = {"\xef\xbb\xbfone\n", "\xef\xbc\xa1\n", "\xef\n", "a\n"};
    static const char *const lines_of[] = {"one", "\xef\xbc\xa1", "\xef", "a"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int end = open_pipe();
        pare_lines *lines;
        send(end, parts[i]); /* and it stays open: nothing may wait for more */
        assert_int_equal(pare_lines_open("-", &lines), PARE_OK);
        assert_line(lines, lines_of[i]);
        close(end);
        assert_line(lines, NULL);
        pare_lines_close(lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_a_file),
        cmocka_unit_test(test_what_a_pipe_has_is_ready_and_no_more),
        cmocka_unit_test(test_a_pipe_that_begins_with_a_mark),
    };
    return cmocka_run_group_tests_name("lines", tests, make_directory, remove_directory);
}
