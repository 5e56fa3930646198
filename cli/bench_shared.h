/* What several kinds of `pare bench` share: options that are lists, the JSON file, and the training
 * step. */
#ifndef PARE_CLI_BENCH_SHARED_H
#define PARE_CLI_BENCH_SHARED_H

#include <limits.h>
#include <stdio.h>

#include <jansson.h>

#include "pare/pare.h"

#define LIST_MAX 32
typedef struct number_list {
    size_t count;
    double values[LIST_MAX];
} number_list;

/* Which of `names` (NULL at the end) the words of `text` are. */
bool parse_names(const char *text, const char *const *names, number_list *list);
number_list supported_levels(void); /* that this CPU has, the best one last */
/* Names of levels that this CPU has. Returns an exit code, other than 0 with a message printed. */
int parse_levels(const char *verb, const char *text, number_list *list);

/* Written beside its target and renamed when complete; opened before measuring, so that a wrong
 * path fails at once. `path` NULL: no file. The functions return exit codes like parse_levels. */
typedef struct json_file {
    FILE *file;
    char partial[PATH_MAX];
} json_file;

int open_json(const char *verb, const char *path, json_file *json);
/* {"version", "cpu", "rows"} */
int close_json(const char *verb, const char *path, json_file *json, const json_t *rows);
void drop_json(json_file *json);

/* A measured training step: as lines of a table, and as the fields of an object. */
void print_step(const pare_step_measurement *measurement);
json_t *step_to_json(const pare_context *context, const pare_step_measurement *measurement);

#endif
