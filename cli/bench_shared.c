/* Lists of names, a JSON file that appears whole or not at all, and where a step's time went. */
#include "bench_shared.h"

#include <errno.h>
#include <string.h>

#include "command.h"

/* ---- Lists ---- */

bool parse_names(const char *text, const char *const *names, number_list *list)
{
    list->count = 0;
    while (list->count < LIST_MAX) {
        size_t length = strcspn(text, ","), i = 0;
        while (names[i] && (strlen(names[i]) != length || strncmp(names[i], text, length) != 0))
            i++;
        if (!names[i])
            return false;
        list->values[list->count++] = (double)i;
        if (!text[length])
            return true;
        text += length + 1;
    }
    return false;
}

number_list supported_levels(void)
{
    number_list levels = {0};
    for (int level = 0; level < PARE_LEVEL_COUNT; level++)
        if (pare_level_supported((pare_level)level))
            levels.values[levels.count++] = level;
    return levels;
}

int parse_levels(const char *verb, const char *text, number_list *list)
{
    const char *names[PARE_LEVEL_COUNT + 1] = {NULL};
    for (int level = 0; level < PARE_LEVEL_COUNT; level++)
        names[level] = pare_level_name((pare_level)level);
    if (!parse_names(text, names, list))
        return fail_usage(verb, "--isa cannot be '%s'; 'pare info' lists the levels", text);
    for (size_t i = 0; i < list->count; i++)
        if (!pare_level_supported((pare_level)list->values[i]))
            return fail_usage(verb,
                              "--isa: this CPU or build has no %s; 'pare info' lists the levels",
                              names[(int)list->values[i]]);
    return PARE_OK;
}

/* ---- The JSON file ---- */

static int fail_json(const char *verb, const char *path)
{
    fflush(stdout);
    fprintf(stderr, "pare %s: cannot write '%s' (%s)\n", verb, path, strerror(errno));
    return PARE_ERROR_FILE;
}

int open_json(const char *verb, const char *path, json_file *json)
{
    json->file = NULL;
    if (!path)
        return PARE_OK;
    snprintf(json->partial, sizeof json->partial, "%s.partial", path);
    json->file = fopen(json->partial, "w");
    return json->file ? PARE_OK : fail_json(verb, path);
}

int close_json(const char *verb, const char *path, json_file *json, const json_t *rows)
{
    if (!json->file)
        return PARE_OK;
    json_t *object =
        json_pack("{s:s, s:s, s:O}", "version", PARE_VERSION, "cpu", pare_cpu_name(), "rows", rows);
    bool failed =
        !object || json_dumpf(object, json->file, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0;
    failed = fputc('\n', json->file) == EOF || failed;
    failed = fclose(json->file) != 0 || failed;
    json_decref(object);
    if (!failed && rename(json->partial, path) == 0)
        return PARE_OK;
    int exit_code = fail_json(verb, path);
    remove(json->partial);
    return exit_code;
}

void drop_json(json_file *json)
{
    if (!json->file)
        return;
    fclose(json->file);
    remove(json->partial);
}

/* ---- A training step ---- */

static void print_share(const char *name, double seconds, const pare_step_measurement *m)
{
    printf("  %-15s %.4f s %5.1f%%\n", name, seconds, 100.0 * seconds / m->seconds);
}

void print_step(const pare_step_measurement *m)
{
    printf("step              %.4f s, %s tokens/s\n", m->seconds,
           format_count((uint64_t)m->tokens_per_second));
    print_share("attention", m->attention_seconds, m);
    print_share("matrix products", m->matrix_product_seconds, m);
    print_share("the rest", m->seconds - m->attention_seconds - m->matrix_product_seconds, m);
    printf("peak memory       %s\n", format_bytes((double)m->peak_bytes));
}

json_t *step_to_json(const pare_context *context, const pare_step_measurement *m)
{
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:I}", "cpu", pare_cpu_name(),
                     "level", pare_level_name(pare_context_level(context)), "threads",
                     pare_context_threads(context), "step_seconds", m->seconds, "attention_seconds",
                     m->attention_seconds, "matrix_product_seconds", m->matrix_product_seconds,
                     "tokens_per_second", m->tokens_per_second, "loss", m->loss, "peak_bytes",
                     (json_int_t)m->peak_bytes);
}
