/* pare bench compare: two files that `pare bench attention --json` wrote, row by row. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "command.h"

static const cli_command description = {
    .name = "bench compare",
    .arguments = "OLD.json NEW.json [options]",
    .summary = "compare two files of `pare bench attention --json`",
    .details =
        "Prints the rows that both files have, with old time / new time (above 1: NEW is\n"
        "faster), and the geometric mean of these ratios. Run both measurements on the same\n"
        "machine, one after the other.",
    .example = "  pare bench compare before.json after.json",
    .positionals_min = 2,
    .positionals_max = 2};

#define VERB "bench compare"

/* What names a row, as text. */
typedef struct bench_row {
    char key[512], label[128];
    double seconds;
    bool matched;
} bench_row;

typedef struct row_list {
    bench_row *rows;
    size_t count;
} row_list;

static int fail_file(pare_status status, const char *path, const char *what)
{
    fprintf(stderr, "pare bench compare: '%s' %s\n", path, what);
    return (int)status;
}

/* ---- Reading ---- */

/* The fields of the key that every row has, and those that tell more where both sides have them. */
static bool read_row(const json_t *object, bench_row *row)
{
    const char *family, *isa, *pass, *mask = "";
    double density;
    json_int_t length, queries = 0, heads = 0, head_size, threads;
    int causal = 0, relative = 0;
    json_error_t error;
    if (json_unpack_ex((json_t *)object, &error, 0,
                       "{s:s, s:F, s:I, s:I, s:I, s:s, s:s, s:F, s?I, s?I, s?b, s?b, s?s}",
                       "family", &family, "density", &density, "length", &length, "head_dim",
                       &head_size, "threads", &threads, "isa", &isa, "pass", &pass, "seconds",
                       &row->seconds, "queries", &queries, "heads", &heads, "causal", &causal,
                       "relative", &relative, "mask", &mask) != 0)
        return false;
    if (!(row->seconds > 0 && isfinite(row->seconds)))
        return false;
    int used =
        snprintf(row->key, sizeof row->key, "%s|%.6f|%lld|%lld|%lld|%lld|%lld|%s|%s|%d%d|%s",
                 family, density, (long long)length, (long long)queries, (long long)heads,
                 (long long)head_size, (long long)threads, isa, pass, causal, relative, mask);
    if (used < 0 || (size_t)used >= sizeof row->key)
        return false;
    snprintf(row->label, sizeof row->label, "%-8.8s %5.1f%% %6lld %5lld %7lld  %-9.9s  %-16.16s",
             family, 100 * density, (long long)length, (long long)head_size, (long long)threads,
             isa, pass);
    return true;
}

static int take_rows(const char *path, const json_t *root, row_list *list)
{
    const json_t *rows = json_object_get(root, "rows");
    size_t count = json_array_size(rows);
    if (!count)
        return fail_file(PARE_ERROR_FORMAT, path,
                         "has no rows; it must come from `pare bench attention --json`");
    list->rows = calloc(count, sizeof *list->rows);
    if (!list->rows)
        return fail_file(PARE_ERROR_MEMORY, path, "does not fit in memory");
    for (; list->count < count; list->count++)
        if (!read_row(json_array_get(rows, list->count), &list->rows[list->count])) {
            char what[128];
            snprintf(what, sizeof what,
                     "is damaged: row %zu is not one that `pare bench attention` writes",
                     list->count + 1);
            return fail_file(PARE_ERROR_FORMAT, path, what);
        }
    return PARE_OK;
}

static int read_rows(const char *path, row_list *list)
{
    *list = (row_list){0};
    FILE *file = fopen(path, "r");
    if (!file) {
        char what[128];
        snprintf(what, sizeof what, "cannot be read (%s)", strerror(errno));
        return fail_file(PARE_ERROR_FILE, path, what);
    }
    json_error_t error;
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!root) {
        char what[JSON_ERROR_TEXT_LENGTH + 64];
        snprintf(what, sizeof what, "is not JSON: line %d: %s", error.line, error.text);
        for (char *c = what; *c; c++)
            if ((unsigned char)*c < ' ')
                *c = '?';
        return fail_file(PARE_ERROR_FORMAT, path, what);
    }
    int exit_code = take_rows(path, root, list);
    json_decref(root);
    return exit_code;
}

/* ---- Comparing ---- */

static bench_row *find_row(row_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->rows[i].matched && !strcmp(list->rows[i].key, key))
            return &list->rows[i];
    return NULL;
}

static size_t print_matches(const row_list *before, row_list *after, double *log_sum)
{
    size_t matches = 0;
    for (size_t i = 0; i < before->count; i++) {
        const bench_row *old = &before->rows[i];
        bench_row *new = find_row(after, old->key);
        if (!new)
            continue;
        if (!matches++)
            printf("mask       kept length  head threads  level      pass                old ms    "
                   "new ms  ratio\n");
        new->matched = true;
        double ratio = old->seconds / new->seconds;
        *log_sum += log(ratio);
        printf("%s %9.3f %9.3f %6.2f\n", old->label, 1e3 * old->seconds, 1e3 * new->seconds, ratio);
    }
    return matches;
}

static int compare(row_list *before, row_list *after)
{
    double log_sum = 0;
    size_t matches = print_matches(before, after, &log_sum);
    if (!matches) {
        fprintf(stderr, "pare bench compare: the files have no row in common; measure the same "
                        "points with the same threads\n");
        return PARE_ERROR_ARGUMENT;
    }
    printf("geometric mean of %zu ratios: %.3f", matches, exp(log_sum / (double)matches));
    if (matches < before->count || matches < after->count)
        printf("  (rows only in OLD: %zu, only in NEW: %zu)", before->count - matches,
               after->count - matches);
    printf("\n");
    return PARE_OK;
}

int bench_compare(int argument_count, char **argument_values)
{
    const cli_option options[] = {{0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&description, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    row_list before, after = {0};
    exit_code = read_rows(parsed.positionals[0], &before);
    if (!exit_code)
        exit_code = read_rows(parsed.positionals[1], &after);
    if (!exit_code)
        exit_code = compare(&before, &after);
    free(before.rows);
    free(after.rows);
    return exit_code;
}
