/* The `pare` command: finds the verb and runs it. Ctrl-C stops long work at its next safe point; a
 * second Ctrl-C stops at once. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "command.h"

typedef struct verb {
    const cli_command *command;
    int (*run)(int argument_count, char **argument_values);
} verb;

static const verb verbs[] = {
    {&sweep_command, command_sweep},         {&train_command, command_train},
    {&observe_command, command_observe},     {&prune_command, command_prune},
    {&eval_command, command_eval},           {&generate_command, command_generate},
    {&report_command, command_report},       {&bench_command, command_bench},
    {&classify_command, command_classify},   {&answer_command, command_answer},
    {&translate_command, command_translate}, {&score_command, command_score},
    {&tokenize_command, command_tokenize},   {&info_command, command_info},
};
#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

/* Threads of GNU OpenMP spin while they wait for each other. Where other programs want the cores
 * too, that makes a training step several times slower; a few microseconds of spinning lose nothing
 * on an idle machine. The runtime reads its settings before main, so they need a new image of the
 * process; where that fails, all still works. */
static void limit_spinning(char **argument_values)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0)
        execv("/proc/self/exe", argument_values);
}

/* Weights and activations go back to the system when they are freed. By default the C library
 * begins to keep blocks of their size, and the peak memory of a sweep's later runs would include
 * them. Smaller blocks stay: a matrix product packs its operands into some of a few hundred
 * kilobytes, and page faults on fresh ones in each product made a training step 9% slower. */
static void return_large_blocks(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

/* Who signals a process and its group, as timeout does, means one request. */
#define SAME_REQUEST_SECONDS 0.3

static void stop_work(int signal_number)
{
    static const char note[] =
        "\nstopping at the next safe point; press Ctrl-C again to stop at once\n";
    static double first;
    double now = seconds_now();
    if (pare_interrupted() && now - first < SAME_REQUEST_SECONDS)
        return;
    if (pare_interrupted())
        _exit(128 + signal_number);
    first = now;
    pare_interrupt();
    if (write(STDERR_FILENO, note, sizeof note - 1) < 0)
        return;
}

static sigset_t stop_signals;

static void *wait_for_signals(void *unused)
{
    for (int signal_number;;)
        if (!sigwait(&stop_signals, &signal_number))
            stop_work(signal_number);
    return unused;
}

/* A thread of its own takes the signals: a handler's frame on the stack of a thread that computes
 * destroyed memory, most likely since generated kernels use the stack pointer for other things.
 * Threads made later inherit that the signals are blocked. */
static void watch_signals(void)
{
    pthread_t watcher;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGINT);
    sigaddset(&stop_signals, SIGTERM);
    /* A shell that starts a job in the background has them ignored. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
    if (pthread_create(&watcher, NULL, wait_for_signals, NULL))
        pthread_sigmask(SIG_UNBLOCK, &stop_signals, NULL); /* they end the program at once */
    else
        pthread_detach(watcher);
    /* A write past a file size limit then fails like one on a full disk instead of killing. */
    signal(SIGXFSZ, SIG_IGN);
}

static void print_overview(FILE *stream)
{
    fprintf(stream,
            "Pare " PARE_VERSION ": attention that keeps only what matters on your data.\n\n"
            "Usage: pare VERB [arguments]\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(stream, "  %-9s %s\n", verbs[i].command->name, verbs[i].command->summary);
    fprintf(stream,
            "\nStart here:  pare sweep recipes/demo.yaml\n"
            "Every verb:  pare VERB --help\n\n"
            "Variables: PARE_DATA (directory of data sets), PARE_ISA (x86-64-v2, -v3, -v4),\n"
            "OMP_NUM_THREADS.  Exit codes: 0 done, 2 wrong use, 3 wrong file contents, 4 file\n"
            "cannot be read or written, 5 out of memory, 6 not a number, 7 not supported,\n"
            "130 interrupted.\n");
}

static int run_verb(int argument_count, char **argument_values)
{
    const char *name = argument_count > 1 ? argument_values[1] : NULL;
    if (!name || !strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_overview(name ? stdout : stderr);
        return name ? PARE_OK : PARE_ERROR_ARGUMENT;
    }
    if (!strcmp(name, "--version")) {
        printf("pare " PARE_VERSION "\n");
        return PARE_OK;
    }
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(name, verbs[i].command->name))
            continue;
        limit_spinning(argument_values);
        return_large_blocks();
        watch_signals();
        return verbs[i].run(argument_count - 1, argument_values + 1);
    }
    fprintf(stderr, "pare: unknown verb '%s'; 'pare help' lists them\n", name);
    return PARE_ERROR_ARGUMENT;
}

int main(int argument_count, char **argument_values)
{
    int exit_code = run_verb(argument_count, argument_values);
    if ((fflush(stdout) || ferror(stdout)) && !exit_code) {
        fprintf(stderr, "pare: cannot write to standard output: %s\n", strerror(errno));
        return PARE_ERROR_FILE;
    }
    return exit_code;
}
