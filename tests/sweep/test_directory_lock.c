/* One process per directory, and what is left of a directory in which nothing came about. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "sweep/directory_lock.h"

static char directory[64];

static int name_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "directory_lock_%ld", (long)getpid());
    return pri_remove_tree(directory) != PARE_OK;
}

static int remove_directory(void **state)
{
    (void)state;
    return pri_remove_tree(directory) != PARE_OK;
}

static void nothing_is_left_of_nothing(void **state)
{
    (void)state;
    pri_directory_lock lock;
    assert_int_equal(pri_directory_lock_take(directory, &lock), PARE_OK);
    assert_true(pri_path_is_directory(directory));
    pri_directory_lock_release(&lock);
    assert_false(pri_path_exists(directory));

    assert_int_equal(mkdir(directory, 0777), 0);
    assert_int_equal(pri_directory_lock_take(directory, &lock), PARE_OK);
    pri_directory_lock_release(&lock);
    assert_true(pri_path_is_directory(directory)); /* it was there before */

    char path[96];
    snprintf(path, sizeof path, "%s/result", directory);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(pri_directory_lock_take(directory, &lock), PARE_OK);
    assert_int_equal(pri_file_replace(path, "x", 1), PARE_OK);
    pri_directory_lock_release(&lock);
    assert_true(pri_path_exists(path));
}

/* Takes the lock in another process, which ends after `milliseconds`. */
static pid_t hold_elsewhere(long milliseconds)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        pri_directory_lock lock;
        char taken = pri_directory_lock_take(directory, &lock) == PARE_OK;
        const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        if (write(ready[1], &taken, 1) == 1)
            nanosleep(&pause, NULL);
        _exit(0);
    }
    char taken = 0;
    assert_int_equal(read(ready[0], &taken, 1), 1);
    assert_true(taken);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void a_process_that_ends_is_waited_for(void **state)
{
    (void)state;
    pid_t child = hold_elsewhere(300);
    pri_directory_lock lock;
    assert_int_equal(pri_directory_lock_take(directory, &lock), PARE_OK);
    assert_int_equal(waitpid(child, NULL, 0), child);
    pri_directory_lock_release(&lock);
}

static void a_process_at_work_keeps_others_out(void **state)
{
    (void)state;
    pid_t child = hold_elsewhere(60 * 1000);
    pri_directory_lock lock;
    assert_int_equal(pri_directory_lock_take(directory, &lock), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), "another process is working"));
    pri_directory_lock_release(&lock); /* holds nothing */
    assert_true(pri_path_is_directory(directory));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_left_of_nothing, name_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_process_that_ends_is_waited_for, name_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_process_at_work_keeps_others_out, name_directory,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
