/* Runs killed by SIGKILL, at every file operation and at random moments, and runs on a full disk:
 * each must end with the bits of an undisturbed run.
 *
 * The runs are processes of their own: this program starts itself with the directories as
 * arguments. File operations are counted by standing in for the C library's functions; the process
 * kills itself just before the operation it was told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "training_fixture.h"

/* ---- Counted file operations ---- */

static long operations_left = -1; /* before the process kills itself; negative: never */

static void count_operation(void)
{
    if (operations_left >= 0 && operations_left-- == 0)
        kill(getpid(), SIGKILL);
}

int fsync(int descriptor)
{
    count_operation();
    (void)descriptor; /* flushing matters for power cuts, which a test cannot make */
    return 0;
}

int rename(const char *from, const char *to)
{
    count_operation();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int mkdir(const char *path, mode_t mode)
{
    count_operation();
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int unlink(const char *path)
{
    count_operation();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    count_operation();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* ---- The child ---- */

static int run_child(const char *corpus, const char *directory, const char *operations,
                     const char *file_limit)
{
    training_fixture fixture = open_fixture(corpus, 2);
    pare_training_options options = small_options();
    options.steps = 7;
    pare_training_result result;
    rlim_t limit = (rlim_t)strtoul(file_limit, NULL, 10);
    if (limit) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    }
    operations_left = strtol(operations, NULL, 10);
    pare_status status =
        pare_train(fixture.model, fixture.task, fixture.tape, &options, directory, NULL, &result);
    operations_left = -1;
    if (status != PARE_OK)
        printf("%s\n", pare_error_message());
    close_fixture(&fixture);
    return (int)status;
}

/* ---- The parent ---- */

static const char *program;

typedef struct test_directory {
    char *root, *reference, *other, *messages;
} test_directory;

/* Its messages go to a file. */
static pid_t start_child(const test_directory *directory, const char *run, long operations,
                         unsigned long file_limit)
{
    char operations_text[32], limit_text[32];
    snprintf(operations_text, sizeof operations_text, "%ld", operations);
    snprintf(limit_text, sizeof limit_text, "%lu", file_limit);
    fflush(NULL);
    pid_t child = fork();
    if (child)
        return child;
    if (!freopen(directory->messages, "w", stdout))
        _exit(100);
    execl(program, program, "--child", directory->root, run, operations_text, limit_text,
          (char *)NULL);
    _exit(101);
}

/* The exit code, or -1 when the child was killed. */
static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return -1;
}

static int set_up(void **state)
{
    test_directory *directory = pri_allocate(1, sizeof *directory);
    directory->root = make_directory();
    directory->reference = pri_path_join(directory->root, "reference");
    directory->other = pri_path_join(directory->root, "other");
    directory->messages = pri_path_join(directory->root, "messages");
    write_corpus(directory->root);
    if (wait_for(start_child(directory, directory->reference, -1, 0)) != 0)
        return 1;
    *state = directory;
    return 0;
}

static int tear_down(void **state)
{
    test_directory *directory = *state;
    int failed = pri_remove_tree(directory->root) != PARE_OK;
    pri_free(directory->root);
    pri_free(directory->reference);
    pri_free(directory->other);
    pri_free(directory->messages);
    pri_free(directory);
    return failed;
}

/* What a killed process may leave is gone in the end: one checkpoint, no temporary file. */
static void expect_tidy(const test_directory *directory)
{
    char command[1024];
    snprintf(command, sizeof command,
             "test \"$(cd %s && find . -type f | sort)\" = "
             "\"$(cd %s && find . -type f | sort)\"",
             directory->reference, directory->other);
    assert_int_equal(system(command), 0);
}

/* The run survives a kill before its first, second, ... operation, each followed by one
 * undisturbed process. */
static void killed_before_any_file_operation(void **state)
{
    const test_directory *directory = *state;
    long operations = 0;
    for (;; operations++) {
        assert_int_equal(pri_remove_tree(directory->other), PARE_OK);
        int code = wait_for(start_child(directory, directory->other, operations, 0));
        if (code == 0)
            break;
        assert_int_equal(code, -1);
        assert_int_equal(wait_for(start_child(directory, directory->other, -1, 0)), 0);
        assert_true(same_runs(directory->reference, directory->other, "step-7"));
        expect_tidy(directory);
    }
    assert_true(operations > 40);
}

/* A chain of processes, each killed some operations further on. */
static void killed_again_and_again(void **state)
{
    const test_directory *directory = *state;
    for (long step = 12; step < 40; step += 9) {
        assert_int_equal(pri_remove_tree(directory->other), PARE_OK);
        int code, processes = 0;
        for (long operations = step;
             (code = wait_for(start_child(directory, directory->other, operations, 0))) == -1;
             operations++)
            processes++;
        assert_int_equal(code, 0);
        assert_true(processes > 0);
        assert_true(same_runs(directory->reference, directory->other, "step-7"));
        expect_tidy(directory);
    }
}

static void killed_at_random_moments(void **state)
{
    const test_directory *directory = *state;
    for (uint64_t round = 0; round < 4; round++) {
        assert_int_equal(pri_remove_tree(directory->other), PARE_OK);
        int code = -1;
        for (uint64_t attempt = 0; code == -1; attempt++) {
            pid_t child = start_child(directory, directory->other, -1, 0);
            uint64_t microseconds = 1000 + pri_random_below(round, attempt, 20000) + 2000 * attempt;
            nanosleep(&(struct timespec){.tv_nsec = (long)(1000 * microseconds)}, NULL);
            kill(child, SIGKILL);
            code = wait_for(child);
        }
        assert_int_equal(code, 0);
        assert_true(same_runs(directory->reference, directory->other, "step-7"));
        expect_tidy(directory);
    }
}

/* Room for the weights, but not for the moments, which take twice as much. */
static void a_full_disk_leaves_the_old_checkpoint(void **state)
{
    const test_directory *directory = *state;
    size_t weights;
    pri_free(read_whole(directory->reference, "model.safetensors", &weights));

    /* Stop somewhere after the first checkpoint, then continue without space. */
    long operations = 0;
    char *trainer = pri_path_join(directory->other, "trainer.json");
    do {
        assert_int_equal(pri_remove_tree(directory->other), PARE_OK);
        operations += 5;
        assert_int_equal(wait_for(start_child(directory, directory->other, operations, 0)), -1);
    } while (!pri_path_exists(trainer));
    pri_free(trainer);
    json_t *before = read_objects(directory->other, "trainer.json");
    assert_int_equal(wait_for(start_child(directory, directory->other, -1, weights * 3 / 2)),
                     PARE_ERROR_FILE);
    size_t size;
    uint8_t *message = read_whole(directory->root, "messages", &size);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)size, (const char *)message);
    pri_free(message);
    assert_non_null(strstr(text, "optimizer.safetensors: cannot write: File too large"));

    json_t *after = read_objects(directory->other, "trainer.json");
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    assert_int_equal(wait_for(start_child(directory, directory->other, -1, 0)), 0);
    assert_true(same_runs(directory->reference, directory->other, "step-7"));
    expect_tidy(directory);
}

int main(int count, char **arguments)
{
    if (count == 6 && !strcmp(arguments[1], "--child"))
        return run_child(arguments[2], arguments[3], arguments[4], arguments[5]);
    program = arguments[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_before_any_file_operation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_again_and_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_at_random_moments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_old_checkpoint, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
