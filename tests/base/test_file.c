/* Files: writes that happen entirely or not at all, directories. Failures are real ones: a
 * file-size limit, a directory without write permission, a target that cannot be replaced. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "temporary_files.h"

static void assert_contents(const char *path, const char *expected)
{
    uint8_t *data;
    size_t size;
    assert_int_equal(pri_file_read(path, 0, &data, &size), PARE_OK);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(data, expected, size);
    pri_free(data);
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *stream = opendir(path);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += entry->d_name[0] != '.';
    closedir(stream);
    return count;
}

/* ---- Whole reads ---- */

static void test_read_refuses_what_is_not_a_file_of_allowed_size(void **state)
{
    (void)state;
    uint8_t *data;
    size_t size;
    assert_int_equal(pri_file_read(in_directory("absent"), 0, &data, &size), PARE_ERROR_FILE);
    assert_null(data);
    assert_non_null(strstr(pare_error_message(), "absent"));
    assert_int_equal(pri_file_read(directory, 0, &data, &size), PARE_ERROR_FILE);
    assert_int_equal(pri_file_read("/dev/zero", 0, &data, &size), PARE_ERROR_FILE);
    const char *path = in_directory("limited");
    assert_int_equal(pri_file_replace(path, "0123456789", 10), PARE_OK);
    assert_int_equal(pri_file_read(path, 9, &data, &size), PARE_ERROR_FORMAT);
    assert_int_equal(pri_file_read(path, 10, &data, &size), PARE_OK);
    pri_free(data);
}

static void test_empty_file_is_read_as_empty(void **state)
{
    (void)state;
    const char *path = in_directory("empty");
    assert_int_equal(pri_file_replace(path, NULL, 0), PARE_OK);
    assert_contents(path, "");
}

/* ---- Atomic replacement ---- */

static void test_replace_writes_and_leaves_no_other_file(void **state)
{
    (void)state;
    const char *path = in_directory("target");
    size_t before = count_entries(directory);
    assert_int_equal(pri_file_replace(path, "one", 3), PARE_OK);
    assert_contents(path, "one");
    assert_int_equal(pri_file_replace(path, "second", 6), PARE_OK);
    assert_contents(path, "second");
    assert_int_equal(count_entries(directory), before + 1);
}

static void test_old_file_stays_until_commit_and_after_abandon(void **state)
{
    (void)state;
    const char *path = in_directory("kept");
    assert_int_equal(pri_file_replace(path, "old", 3), PARE_OK);
    size_t before = count_entries(directory);
    pri_writer *writer;
    assert_int_equal(pri_writer_open(path, &writer), PARE_OK);
    assert_int_equal(pri_writer_write(writer, "new", 3), PARE_OK);
    assert_contents(path, "old");
    pri_writer_abandon(writer);
    pri_writer_abandon(NULL);
    assert_contents(path, "old");
    assert_int_equal(count_entries(directory), before);
}

/* The file-size limit makes the system refuse to write, as a full disk does. */
static void test_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = in_directory("full");
    assert_int_equal(pri_file_replace(path, "old", 3), PARE_OK);
    size_t before = count_entries(directory);
    static char large[1 << 20];
    memset(large, 'x', sizeof large);
    void (*previous)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    /* A limit that is met in write, one in the final flush, one that lets nothing pass. */
    const rlim_t limits[] = {65536, sizeof large - 1, 0};
    for (size_t i = 0; i < 3; i++) {
        small.rlim_cur = limits[i];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        pare_status status = pri_file_replace(path, large, sizeof large);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(status, PARE_ERROR_FILE);
        assert_non_null(strstr(pare_error_message(), path));
        assert_contents(path, "old");
        assert_int_equal(count_entries(directory), before);
    }
    signal(SIGXFSZ, previous);
}

static void test_what_cannot_be_replaced_is_an_error(void **state)
{
    (void)state;
    const char *path = in_directory("occupied");
    assert_int_equal(pri_make_directories(in_directory("occupied/by/directories")), PARE_OK);
    size_t before = count_entries(directory);
    assert_int_equal(pri_file_replace(path, "x", 1), PARE_ERROR_FILE);
    assert_true(pri_path_is_directory(path));
    assert_int_equal(count_entries(directory), before);
    assert_int_equal(pri_file_replace(in_directory("no/such/place"), "x", 1), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), "No such file"));
}

/* Root may write anywhere, so the attempt is made by an ordinary user. */
static void test_read_only_directory_is_an_error(void **state)
{
    (void)state;
    const char *path = in_directory("closed");
    assert_int_equal(mkdir(path, 0555), 0);
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        if (!getuid() && (setgid(65534) || setuid(65534)))
            _exit(1);
        bool refused = pri_file_replace(in_directory("closed/file"), "x", 1) == PARE_ERROR_FILE &&
                       strstr(pare_error_message(), "closed/file") &&
                       pri_make_directories(in_directory("closed/below")) == PARE_ERROR_FILE;
        _exit(refused ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(count_entries(path), 0);
}

/* ---- Directories and paths ---- */

static void test_directories_are_made_with_parents(void **state)
{
    (void)state;
    assert_int_equal(pri_make_directories(in_directory("a/b//c/")), PARE_OK);
    assert_true(pri_path_is_directory(in_directory("a/b/c")));
    assert_int_equal(pri_make_directories(in_directory("a/b/c")), PARE_OK);
    assert_int_equal(pri_make_directories("/"), PARE_OK);
    assert_int_equal(pri_file_replace(in_directory("a/file"), "x", 1), PARE_OK);
    assert_int_equal(pri_make_directories(in_directory("a/file/below")), PARE_ERROR_FILE);
    assert_int_equal(pri_make_directories(in_directory("a/file")), PARE_ERROR_FILE);
    assert_true(pri_path_exists(in_directory("a/file")));
    assert_false(pri_path_is_directory(in_directory("a/file")));
    assert_false(pri_path_exists(in_directory("a/none")));
}

static void test_trees_are_removed_without_following_links(void **state)
{
    (void)state;
    assert_int_equal(pri_make_directories(in_directory("tree/x/y")), PARE_OK);
    assert_int_equal(pri_make_directories(in_directory("outside")), PARE_OK);
    assert_int_equal(pri_file_replace(in_directory("outside/precious"), "x", 1), PARE_OK);
    assert_int_equal(pri_file_replace(in_directory("tree/x/.hidden"), "x", 1), PARE_OK);
    assert_int_equal(symlink(in_directory("outside"), in_directory("tree/x/link")), 0);
    assert_int_equal(pri_remove_tree(in_directory("tree")), PARE_OK);
    assert_false(pri_path_exists(in_directory("tree")));
    assert_contents(in_directory("outside/precious"), "x");
    assert_int_equal(pri_remove_tree(in_directory("tree")), PARE_OK); /* absent is fine */
    assert_int_equal(pri_remove_tree(in_directory("outside/precious")), PARE_OK);
}

static void assert_joined(const char *first, const char *second, const char *expected)
{
    char *path = pri_path_join(first, second);
    assert_string_equal(path, expected);
    pri_free(path);
}

static void test_paths_are_joined(void **state)
{
    (void)state;
    assert_joined("a", "b", "a/b");
    assert_joined("a/", "b", "a/b");
    assert_joined("/", "b", "/b");
    assert_joined("", "b", "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_refuses_what_is_not_a_file_of_allowed_size),
        cmocka_unit_test(test_empty_file_is_read_as_empty),
        cmocka_unit_test(test_replace_writes_and_leaves_no_other_file),
        cmocka_unit_test(test_old_file_stays_until_commit_and_after_abandon),
        cmocka_unit_test(test_full_disk_leaves_the_old_file),
        cmocka_unit_test(test_what_cannot_be_replaced_is_an_error),
        cmocka_unit_test(test_read_only_directory_is_an_error),
        cmocka_unit_test(test_directories_are_made_with_parents),
        cmocka_unit_test(test_trees_are_removed_without_following_links),
        cmocka_unit_test(test_paths_are_joined),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
