/* What every verb of the `pare` command shares: its description, option parsing and the way it
 * fails. A verb is one file with one `command` and one function. */
#ifndef PARE_CLI_COMMAND_H
#define PARE_CLI_COMMAND_H

#include <jansson.h>

#include "pare/pare.h"

typedef enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_STRING, /* const char * */
    OPTION_COUNT,  /* uint64_t */
    OPTION_NUMBER, /* double */
    OPTION_CHOICE, /* int, index into `choices` */
    OPTION_LIST,   /* string_list: may be given several times */
    OPTION_KEYS /* string_list: values between commas, one for each key of `choices`, become items
                   "KEY=VALUE" */
} option_kind;

#define STRING_LIST_MAX 64
typedef struct string_list {
    const char *items[STRING_LIST_MAX];
    size_t count;
    char made[1024]; /* items that are no argument of the command line */
    size_t made_bytes;
} string_list;

typedef struct cli_option {
    const char *name;        /* without the dashes */
    const char *placeholder; /* "FILE"; NULL for flags */
    option_kind kind;
    void *target;
    const char *help;
    const char *const *choices; /* OPTION_CHOICE: names, then NULL; OPTION_KEYS: keys, then NULL */
} cli_option;

typedef struct cli_command {
    const char *name;
    const char *arguments; /* "RECIPE [options]" */
    const char *summary;   /* one line, for `pare help` */
    const char *details;   /* paragraphs, for `pare VERB --help` */
    const char *example;
    size_t positionals_min, positionals_max;
} cli_command;

#define POSITIONALS_MAX 16
typedef struct cli_arguments {
    const char *positionals[POSITIONALS_MAX];
    size_t count;
} cli_arguments;

/* Fills the targets of `options` (which end with a NULL name). Returns true to go on; false after
 * --help or a mistake, with *exit_code set and everything already printed. */
bool parse_arguments(const cli_command *command, const cli_option *options, int argument_count,
                     char **argument_values, cli_arguments *parsed, int *exit_code);

/* Choices of --precision, by pare_precision. */
extern const char *const precision_words[];

/* Prints the library's message for a failed call and returns the exit code. */
int fail(const char *verb, pare_status status);
/* The same for mistakes found by the command itself. */
int fail_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

int fail_memory(const char *verb);

/* Says at the end of how many lines only the beginning was used, if any; `what`: "more pieces than
 * the model has room for; only the beginning was translated". */
void tell_cut_lines(const char *verb, uint64_t count, const char *what);

/* Prints what keeps `path` from being written, as far as it can be told before hours of work, and
 * returns an exit code; 0: nothing known. */
int check_output(const char *verb, const char *path);

/* The command as typed, for what it writes. */
void join_command(int argument_count, char **argument_values, char *text, size_t capacity);

/* Of a clock that only goes forward. */
double seconds_now(void);

/* Prints and releases a JSON object as the verb's only standard output. */
int print_json(json_t *object);

/* Kept shares per layer and head, in percent, and with the average (or NULL) what each layer keeps
 * of its attention. */
void print_kept_shares(const pare_mask *mask, const pare_average *average);
/* An array of layers of heads, 0 .. 1. */
json_t *kept_shares_to_json(const pare_mask *mask);

/* "1,234,567", "1.2 GB", "1:02:03", in one of a few static buffers. */
const char *format_count(uint64_t count);
const char *format_bytes(double bytes);
const char *format_duration(double seconds);

/* The verbs, one file each. */
int command_answer(int argument_count, char **argument_values);
int command_bench(int argument_count, char **argument_values);
int command_classify(int argument_count, char **argument_values);
int command_eval(int argument_count, char **argument_values);
int command_generate(int argument_count, char **argument_values);
int command_info(int argument_count, char **argument_values);
int command_observe(int argument_count, char **argument_values);
int command_prune(int argument_count, char **argument_values);
int command_report(int argument_count, char **argument_values);
int command_score(int argument_count, char **argument_values);
int command_sweep(int argument_count, char **argument_values);
int command_tokenize(int argument_count, char **argument_values);
int command_train(int argument_count, char **argument_values);
int command_translate(int argument_count, char **argument_values);

extern const cli_command answer_command, bench_command, classify_command, eval_command,
    generate_command, info_command, observe_command, prune_command, report_command, score_command,
    sweep_command, tokenize_command, train_command, translate_command;

#endif
