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
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

static bool is_link(const char *path)
{
    struct stat status;
    return !lstat(path, &status) && S_ISLNK(status.st_mode);
}

static void test_links_stay_and_their_targets_are_replaced(void **state)
{
    (void)state;
    assert_int_equal(pri_make_directories(in_directory("links/below")), PARE_OK);
    assert_int_equal(pri_file_replace(in_directory("links/file"), "old", 3), PARE_OK);
    assert_int_equal(symlink("../file", in_directory("links/below/relative")), 0);
    assert_int_equal(symlink(in_directory("links/below/relative"), in_directory("links/chain")), 0);
    assert_int_equal(symlink("made", in_directory("links/early")), 0);
    size_t before = count_entries(in_directory("links"));
    assert_int_equal(pri_file_replace(in_directory("links/chain"), "new", 3), PARE_OK);
    assert_contents(in_directory("links/file"), "new");
    assert_true(is_link(in_directory("links/chain")));
    assert_true(is_link(in_directory("links/below/relative")));
    assert_int_equal(pri_file_replace(in_directory("links/early"), "x", 1), PARE_OK);
    assert_true(is_link(in_directory("links/early")));
    assert_contents(in_directory("links/made"), "x");
    assert_int_equal(count_entries(in_directory("links")), before + 1);
}

static void test_a_link_that_leads_nowhere_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(symlink("ring", in_directory("ring")), 0);
    assert_int_equal(symlink("absent-directory/file", in_directory("astray")), 0);
    assert_int_equal(pri_file_replace(in_directory("ring"), "x", 1), PARE_ERROR_FILE);
    assert_int_equal(pri_file_replace(in_directory("astray"), "x", 1), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), "astray"));
    assert_true(is_link(in_directory("ring")) && is_link(in_directory("astray")));
}

static void test_pipes_are_written_to(void **state)
{
    (void)state;
    const char *path = in_directory("pipe"), *link = in_directory("link-to-pipe");
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(symlink("pipe", link), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(pri_file_replace(path, "one ", 4), PARE_OK);
    assert_int_equal(pri_file_replace(link, "two", 3), PARE_OK);
    char received[16];
    assert_int_equal(read(reader, received, sizeof received), 7);
    assert_memory_equal(received, "one two", 7);
    pri_writer *writer;
    assert_int_equal(pri_writer_open(path, &writer), PARE_OK);
    pri_writer_abandon(writer);
    close(reader);
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISFIFO(status.st_mode) && is_link(link));
}

/* A node of its own with the numbers of /dev/full: only root may make one, and not everywhere. */
static void test_a_full_device_is_an_error_and_stays(void **state)
{
    (void)state;
    const char *path = in_directory("full-device");
    if (mknod(path, S_IFCHR | 0666, makedev(1, 7)))
        skip();
    int descriptor = open(path, O_WRONLY);
    if (descriptor < 0)
        skip();
    close(descriptor);
    assert_int_equal(pri_file_replace(path, "x", 1), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), path));
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

/* What was printed before must stay, also where the output is a file. */
static void test_standard_output_is_appended_to(void **state)
{
    (void)state;
    const char *path = in_directory("output");
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        int file = open(path, O_WRONLY | O_CREAT, 0666);
        if (file < 0 || dup2(file, STDOUT_FILENO) < 0 || write(STDOUT_FILENO, "a", 1) != 1 ||
            pri_file_replace("/proc/self/fd/1", "b", 1) != PARE_OK ||
            write(STDOUT_FILENO, "c", 1) != 1)
            _exit(1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    assert_contents(path, "abc");
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
        cmocka_unit_test(test_links_stay_and_their_targets_are_replaced),
        cmocka_unit_test(test_a_link_that_leads_nowhere_is_an_error),
        cmocka_unit_test(test_pipes_are_written_to),
        cmocka_unit_test(test_a_full_device_is_an_error_and_stays),
        cmocka_unit_test(test_standard_output_is_appended_to),
        cmocka_unit_test(test_read_only_directory_is_an_error),
        cmocka_unit_test(test_directories_are_made_with_parents),
        cmocka_unit_test(test_trees_are_removed_without_following_links),
        cmocka_unit_test(test_paths_are_joined),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
