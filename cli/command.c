/* Option parsing from a table, the help page of a verb made from the same table, and failing. */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const precision_words[] = {
    [PARE_PRECISION_FP32] = "fp32", [PARE_PRECISION_BF16] = "bf16", NULL};

static void print_help(const cli_command *command, const cli_option *options)
{
    printf("%s\n\nUsage: pare %s %s\n", command->summary, command->name, command->arguments);
    if (command->details)
        printf("\n%s\n", command->details);
    printf("\nOptions:\n");
    for (const cli_option *o = options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->placeholder ? " " : "",
                 o->placeholder ? o->placeholder : "");
        printf("  %-24s %s", left, o->help);
        if (o->kind == OPTION_CHOICE) {
            printf("\n%28s", "(");
            for (size_t i = 0; o->choices[i]; i++)
                printf("%s%s", i ? ", " : "", o->choices[i]);
            printf("; default %s)", o->choices[*(const int *)o->target]);
        }
        printf("\n");
    }
    printf("  %-24s %s\n", "--help", "this page");
    printf("\nExample:\n%s\n", command->example);
}

int fail(const char *verb, pare_status status)
{
    fflush(stdout);
    fprintf(stderr, "pare %s: %s\n", verb, pare_error_message());
    return (int)status;
}

int fail_usage(const char *verb, const char *format, ...)
{
    fflush(stdout);
    fprintf(stderr, "pare %s: ", verb);
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "; see 'pare %s --help'\n", verb);
    return PARE_ERROR_ARGUMENT;
}

int fail_memory(const char *verb)
{
    fprintf(stderr, "pare %s: out of memory\n", verb);
    return PARE_ERROR_MEMORY;
}

void tell_cut_lines(const char *verb, uint64_t count, const char *what)
{
    if (count)
        fprintf(stderr, "pare %s: %s %s %s\n", verb, format_count(count),
                count == 1 ? "line has" : "lines have", what);
}

static int fail_output(const char *verb, const char *path, int error)
{
    fflush(stdout);
    fprintf(stderr, "pare %s: %s: cannot write: %s\n", verb, path, strerror(error));
    return PARE_ERROR_FILE;
}

/* Of files, the directory matters: a new one takes the old one's place. */
static int check_directory_of(const char *verb, const char *path)
{
    char directory[PATH_MAX];
    char *existing = realpath(path, NULL);
    snprintf(directory, sizeof directory, "%s", existing ? existing : path);
    free(existing);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = 0;
    int missing = access(slash ? directory : ".", W_OK | X_OK);
    return missing ? fail_output(verb, path, errno) : PARE_OK;
}

int check_output(const char *verb, const char *path)
{
    struct stat status;
    if (!stat(path, &status)) {
        if (S_ISDIR(status.st_mode))
            return fail_output(verb, path, EISDIR);
        return S_ISREG(status.st_mode) ? check_directory_of(verb, path) : PARE_OK;
    }
    bool link = !lstat(path, &status);
    return link ? PARE_OK : check_directory_of(verb, path);
}

void join_command(int argument_count, char **argument_values, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "pare");
    for (int i = 0; i < argument_count && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, " %s", argument_values[i]);
}

double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int print_json(json_t *object)
{
    int failed = !object || json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed || printf("\n") < 0 || fflush(stdout)) {
        fprintf(stderr, "pare: cannot write the result to standard output: %s\n", strerror(errno));
        return PARE_ERROR_FILE;
    }
    return PARE_OK;
}

/* ---- Parsing ---- */

static const cli_option *find_option(const cli_option *options, const char *name, size_t length)
{
    for (const cli_option *o = options; o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length))
            return o;
    return NULL;
}

static bool parse_count(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *value = strtoull(text, &end, 10);
    return !*end && !errno;
}

static bool parse_number(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return *text && !*end && isfinite(*value);
}

static bool parse_choice(const cli_option *option, const char *text)
{
    for (int i = 0; option->choices[i]; i++)
        if (!strcmp(option->choices[i], text)) {
            *(int *)option->target = i;
            return true;
        }
    return false;
}

/* An exit code. */
static int add_item(const cli_command *command, const cli_option *option, const char *item)
{
    string_list *list = option->target;
    if (list->count == STRING_LIST_MAX)
        return fail_usage(command->name, "--%s is given more than %d times", option->name,
                          STRING_LIST_MAX);
    list->items[list->count++] = item;
    return 0;
}

/* An exit code. */
static int add_keys(const cli_command *command, const cli_option *option, const char *values)
{
    string_list *list = option->target;
    int exit_code = 0;
    for (size_t i = 0; values && !exit_code; i++) {
        if (!option->choices[i])
            return fail_usage(command->name, "--%s takes %zu at most (%s)", option->name, i,
                              option->placeholder);
        size_t length = strcspn(values, ","), room = sizeof list->made - list->made_bytes;
        char *item = list->made + list->made_bytes;
        int bytes = snprintf(item, room, "%s=%.*s", option->choices[i], (int)length, values);
        if (!length || bytes < 0 || (size_t)bytes >= room)
            return fail_usage(command->name, "--%s needs %s, not '%s'", option->name,
                              option->placeholder, values);
        list->made_bytes += (size_t)bytes + 1;
        exit_code = add_item(command, option, item);
        values = values[length] ? values + length + 1 : NULL;
    }
    return exit_code;
}

/* Returns an exit code, 0 when the value was taken. */
static int take_value(const cli_command *command, const cli_option *option, const char *value)
{
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->target = true;
        return 0;
    case OPTION_STRING:
        *(const char **)option->target = value;
        return 0;
    case OPTION_COUNT:
        if (parse_count(value, option->target))
            return 0;
        return fail_usage(command->name, "--%s needs a whole number, not '%s'", option->name,
                          value);
    case OPTION_NUMBER:
        if (parse_number(value, option->target))
            return 0;
        return fail_usage(command->name, "--%s needs a number, not '%s'", option->name, value);
    case OPTION_CHOICE:
        if (parse_choice(option, value))
            return 0;
        return fail_usage(command->name, "--%s cannot be '%s'", option->name, value);
    case OPTION_LIST:
        return add_item(command, option, value);
    case OPTION_KEYS:
        return add_keys(command, option, value);
    }
    return PARE_ERROR_ARGUMENT;
}

/* One "--name value", "--name=value" or "--flag" at argument_values[*index]. */
static int take_option(const cli_command *command, const cli_option *options, int argument_count,
                       char **argument_values, int *index)
{
    const char *name = argument_values[*index] + 2;
    const char *equals = strchr(name, '=');
    const cli_option *option =
        find_option(options, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!option)
        return fail_usage(command->name, "unknown option '--%s'", name);
    if (option->kind == OPTION_FLAG && equals)
        return fail_usage(command->name, "--%s takes no value", option->name);
    if (option->kind == OPTION_FLAG || equals)
        return take_value(command, option, equals ? equals + 1 : NULL);
    if (*index + 1 >= argument_count)
        return fail_usage(command->name, "--%s needs a value (%s)", option->name,
                          option->placeholder);
    return take_value(command, option, argument_values[++*index]);
}

bool parse_arguments(const cli_command *command, const cli_option *options, int argument_count,
                     char **argument_values, cli_arguments *parsed, int *exit_code)
{
    *parsed = (cli_arguments){.count = 0};
    *exit_code = 0;
    for (int i = 1; i < argument_count && !*exit_code; i++) {
        const char *word = argument_values[i];
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            print_help(command, options);
            return false;
        }
        if (word[0] == '-' && word[1] && word[1] != '-')
            *exit_code = fail_usage(command->name, "unknown option '%s'", word);
        else if (!strncmp(word, "--", 2))
            *exit_code = take_option(command, options, argument_count, argument_values, &i);
        else if (parsed->count == command->positionals_max)
            *exit_code = fail_usage(command->name, "unexpected argument '%s'", word);
        else
            parsed->positionals[parsed->count++] = word;
    }
    if (!*exit_code && parsed->count < command->positionals_min)
        *exit_code = fail_usage(command->name, "an argument is missing: pare %s %s", command->name,
                                command->arguments);
    return !*exit_code;
}

/* ---- Formatting ---- */

static char *next_buffer(size_t *capacity)
{
    static char buffers[16][32];
    static unsigned next;
    *capacity = sizeof buffers[0];
    return buffers[next++ % 16];
}

const char *format_count(uint64_t count)
{
    size_t capacity;
    char digits[24], *text = next_buffer(&capacity);
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count), used = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

const char *format_bytes(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t capacity, unit = 0;
    char *text = next_buffer(&capacity);
    for (; bytes >= 999.5 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(text, capacity, "%.*f %s", unit && bytes < 99.5 ? 1 : 0, bytes, units[unit]);
    return text;
}

const char *format_duration(double seconds)
{
    size_t capacity;
    char *text = next_buffer(&capacity);
    if (!(seconds >= 0 && seconds < 1e9))
        snprintf(text, capacity, "?");
    else if (seconds < 3600)
        snprintf(text, capacity, "%d:%02d", (int)(seconds / 60), (int)fmod(seconds, 60));
    else
        snprintf(text, capacity, "%d:%02d:%02d", (int)(seconds / 3600), (int)fmod(seconds / 60, 60),
                 (int)fmod(seconds, 60));
    return text;
}
