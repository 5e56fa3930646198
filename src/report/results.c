/* results.json: the rows of a sweep and what they were measured on.
 *
 * The file is what other programs read, so numbers that are not known are null instead of left out,
 * and reading checks every value: the report trusts what pare_results_load returns. */
#include "pare/report.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"
#include "report/results.h"
#include "report/summary.h"

/* The numeric members of a row, once for reading and writing. */
typedef struct number_field {
    const char *key;
    size_t offset;
    double minimum, maximum;
} number_field;

#define FIELD(key, member, minimum, maximum)                                                       \
    {                                                                                              \
        key, offsetof(pare_result_row, member), minimum, maximum                                   \
    }
static const number_field number_fields[] = {
    FIELD("p", p_requested, 0, 100),
    FIELD("p_nom", p_nominal, 0, 100),
    FIELD("p_adm", p_admissible, 0, 100),
    FIELD("p_eff", p_effective, 0, 100),
    FIELD("kept_mass", kept_mass, 0, 100),
    FIELD("valid", valid, -1e300, 1e300),
    FIELD("test", test, -1e300, 1e300),
    FIELD("train_seconds", train_seconds, 0, 1e300),
    FIELD("tokens_per_second", tokens_per_second, 0, 1e300),
    FIELD("attention_seconds", attention_seconds, 0, 1e300),
    FIELD("evaluate_seconds", evaluate_seconds, 0, 1e300),
    FIELD("plan_seconds", plan_seconds, 0, 1e300),
};
enum { NUMBER_FIELDS = sizeof number_fields / sizeof number_fields[0] };

typedef struct count_field {
    const char *key;
    size_t offset;
} count_field;
static const count_field count_fields[] = {
    {"seed", offsetof(pare_result_row, seed)},
    {"peak_bytes", offsetof(pare_result_row, peak_bytes)},
    {"steps", offsetof(pare_result_row, steps)},
    {"parameters", offsetof(pare_result_row, parameters)},
};
enum { COUNT_FIELDS = sizeof count_fields / sizeof count_fields[0] };

typedef struct string_field {
    const char *key;
    size_t offset, capacity;
} string_field;
#define STRING_AS(key, member)                                                                     \
    {                                                                                              \
        key, offsetof(pare_results, member), sizeof((pare_results *)0)->member                     \
    }
#define STRING(member) STRING_AS(#member, member)
static const string_field string_fields[] = {
    STRING(name),
    STRING(description),
    STRING(metric),
    STRING(machine),
    STRING(level),
    STRING(version),
    STRING(command),
    STRING(geometry),
    STRING(scope),
    STRING(average),
    STRING(distillation),
    STRING_AS("average_path", average_path[PARE_ATTENTION_SELF]),
    STRING_AS("average_path_decoder", average_path[PARE_ATTENTION_DECODER]),
    STRING_AS("average_path_cross", average_path[PARE_ATTENTION_CROSS]),
};
enum { STRING_FIELDS = sizeof string_fields / sizeof string_fields[0] };

static double *row_number(pare_result_row *row, const number_field *field)
{
    return (double *)(void *)((char *)row + field->offset);
}

static uint64_t *row_count(pare_result_row *row, const count_field *field)
{
    return (uint64_t *)(void *)((char *)row + field->offset);
}

static char *results_string(pare_results *results, const string_field *field)
{
    return (char *)results + field->offset;
}

/* ---- Writing ---- */

static int set_number(json_t *object, const char *key, double value)
{
    return json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

/* Text from files may hold invalid UTF-8, which JSON cannot carry: such bytes become '?'. */
static int set_string(json_t *object, const char *key, const char *value)
{
    json_t *string = json_string(value);
    if (string)
        return json_object_set_new(object, key, string);
    char *ascii = pri_string_copy(value);
    if (!ascii)
        return -1;
    for (char *byte = ascii; *byte; byte++)
        if ((unsigned char)*byte >= 0x80)
            *byte = '?';
    int failed = json_object_set_new(object, key, json_string(ascii));
    pri_free(ascii);
    return failed;
}

static json_t *measures_to_json(const pare_result_row *row)
{
    json_t *measures = json_object();
    for (size_t i = 0; i < row->more_count; i++)
        if (set_number(measures, row->more[i].name, row->more[i].value)) {
            json_decref(measures);
            return NULL;
        }
    return measures;
}

static pare_status row_to_json(const pare_result_row *source, const char *metric, json_t *object)
{
    pare_result_row row = *source;
    int failed = set_string(object, "method", row.method);
    failed |= set_string(object, "start", row.start);
    if (row.attention[0])
        failed |= set_string(object, "attention", row.attention);
    failed |= set_string(object, "metric", metric);
    for (size_t i = 0; i < NUMBER_FIELDS; i++)
        failed |= set_number(object, number_fields[i].key, *row_number(&row, &number_fields[i]));
    for (size_t i = 0; i < COUNT_FIELDS; i++) {
        uint64_t value = *row_count(&row, &count_fields[i]);
        if (value > INT64_MAX)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "%s %llu does not fit a JSON integer: use a number below 2^63",
                            count_fields[i].key, (unsigned long long)value);
        failed |= json_object_set_new(object, count_fields[i].key, json_integer((json_int_t)value));
    }
    if (row.more_count)
        failed |= json_object_set_new(object, "more", measures_to_json(&row));
    failed |= set_string(object, "directory", row.directory);
    return failed ? pri_fail(PARE_ERROR_MEMORY, "out of memory writing results") : PARE_OK;
}

static pare_status results_to_json(const pare_results *source, json_t *object)
{
    pare_results results = *source;
    int failed = 0;
    for (size_t i = 0; i < STRING_FIELDS; i++)
        failed |=
            set_string(object, string_fields[i].key, results_string(&results, &string_fields[i]));
    failed |=
        json_object_set_new(object, "higher_is_better", json_boolean(results.higher_is_better));
    failed |= json_object_set_new(object, "threads", json_integer(results.threads));
    json_t *rows = json_array();
    failed |= json_object_set_new(object, "rows", rows);
    if (failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing results");
    for (size_t i = 0; i < results.count; i++) {
        json_t *row = json_object();
        if (json_array_append_new(rows, row))
            return pri_fail(PARE_ERROR_MEMORY, "out of memory writing results");
        PRI_TRY(row_to_json(&results.rows[i], results.metric, row));
    }
    return PARE_OK;
}

pare_status pare_results_save(const pare_results *results, const char *path)
{
    json_t *object = json_object();
    if (!object)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing results");
    pare_status status = results_to_json(results, object);
    if (status == PARE_OK)
        status = pri_json_save(object, path);
    json_decref(object);
    return status;
}

/* ---- Reading ---- */

static bool one_of(const char *value, const char *const *choices)
{
    for (; *choices; choices++)
        if (!strcmp(value, *choices))
            return true;
    return false;
}

static pare_status check_row(const pare_result_row *row, const char *name, size_t index)
{
    static const char *const methods[] = {"dense", "attention-pruning", "random", NULL};
    static const char *const starts[] = {"", "restart", "continue", "stepwise", "zero-shot", NULL};
    if (!one_of(row->attention, pri_attentions))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: row %zu: attention \"%s\" is none of encoder, decoder, selves, cross "
                        "and all",
                        name, index + 1, row->attention);
    if (!one_of(row->method, methods))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: row %zu: method \"%s\" is none of dense, attention-pruning and random",
                        name, index + 1, row->method);
    if (!one_of(row->start, starts))
        return pri_fail(
            PARE_ERROR_FORMAT,
            "%s: row %zu: start \"%s\" is none of restart, continue, stepwise and zero-shot", name,
            index + 1, row->start);
    return PARE_OK;
}

static pare_status measures_from_json(const json_t *object, const char *name, size_t index,
                                      pare_result_row *row)
{
    const char *key;
    json_t *measures = json_object_get(object, "more"), *value;
    if (!measures)
        return PARE_OK;
    if (!json_is_object(measures) || json_object_size(measures) > PARE_RESULT_MEASURES)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: row %zu: \"more\" must be an object of at most %d numbers", name,
                        index + 1, PARE_RESULT_MEASURES);
    json_object_foreach(measures, key, value)
    {
        pare_result_measure *measure = &row->more[row->more_count];
        PRI_TRY(pri_json_get_number_or(measures, name, key, (double)NAN, &measure->value));
        if (strlen(key) >= sizeof measure->name)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: row %zu: measure \"%.40s\" has a name of more "
                            "than %zu bytes",
                            name, index + 1, key, sizeof measure->name - 1);
        strcpy(measure->name, key);
        row->more_count++;
    }
    return PARE_OK;
}

static pare_status row_from_json(const json_t *object, const char *name, size_t index,
                                 pare_result_row *row)
{
    if (!json_is_object(object))
        return pri_fail(PARE_ERROR_FORMAT, "%s: row %zu is not an object", name, index + 1);
    PRI_TRY(pri_json_get_string(object, name, "method", row->method, sizeof row->method));
    PRI_TRY(pri_json_get_string_or(object, name, "start", "", row->start, sizeof row->start));
    PRI_TRY(pri_json_get_string_or(object, name, "attention", "", row->attention,
                                   sizeof row->attention));
    PRI_TRY(pri_json_get_string_or(object, name, "directory", "", row->directory,
                                   sizeof row->directory));
    for (size_t i = 0; i < NUMBER_FIELDS; i++) {
        const number_field *field = &number_fields[i];
        double *value = row_number(row, field);
        PRI_TRY(pri_json_get_number_or(object, name, field->key, (double)NAN, value));
        if (*value < field->minimum || *value > field->maximum)
            return pri_fail(PARE_ERROR_FORMAT, "%s: row %zu: %s is %g, outside %g .. %g", name,
                            index + 1, field->key, *value, field->minimum, field->maximum);
    }
    for (size_t i = 0; i < COUNT_FIELDS; i++) {
        size_t value;
        PRI_TRY(pri_json_get_size_or(object, name, count_fields[i].key, 0, &value));
        *row_count(row, &count_fields[i]) = value;
    }
    PRI_TRY(measures_from_json(object, name, index, row));
    return check_row(row, name, index);
}

static pare_status results_from_json(const json_t *object, const char *name, pare_results *results)
{
    for (size_t i = 0; i < STRING_FIELDS; i++)
        PRI_TRY(pri_json_get_string_or(object, name, string_fields[i].key, "",
                                       results_string(results, &string_fields[i]),
                                       string_fields[i].capacity));
    if (!results->metric[0])
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"metric\" is missing: not a results file", name);
    PRI_TRY(
        pri_json_get_bool_or(object, name, "higher_is_better", false, &results->higher_is_better));
    size_t threads;
    PRI_TRY(pri_json_get_size_or(object, name, "threads", 0, &threads));
    if (threads > 65536)
        return pri_fail(PARE_ERROR_FORMAT, "%s: threads is %zu, above 65536", name, threads);
    results->threads = (int)threads;

    const json_t *rows = json_object_get(object, "rows");
    if (!json_is_array(rows))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"rows\" is missing or not an array", name);
    size_t count = json_array_size(rows);
    results->rows = pri_allocate_zero(count, sizeof *results->rows);
    if (!results->rows)
        return PARE_ERROR_MEMORY;
    results->count = count;
    for (size_t i = 0; i < count; i++)
        PRI_TRY(row_from_json(json_array_get(rows, i), name, i, &results->rows[i]));
    return PARE_OK;
}

static pare_status finish_load(pare_status status, json_t *object, const char *name,
                               pare_results *results)
{
    *results = (pare_results){0};
    if (status != PARE_OK)
        return status;
    status = results_from_json(object, name, results);
    json_decref(object);
    if (status != PARE_OK)
        pare_results_free(results);
    return status;
}

pare_status pare_results_load(const char *path, pare_results *results)
{
    json_t *object = NULL;
    pare_status status =
        pri_path_exists(path)
            ? pri_json_load(path, &object)
            : pri_fail(PARE_ERROR_FILE, "%s does not exist; name the directory of a sweep", path);
    return finish_load(status, object, path, results);
}

pare_status pri_results_parse(const char *data, size_t size, const char *name,
                              pare_results *results)
{
    json_t *object = NULL;
    pare_status status = pri_json_parse(data, size, name, &object);
    return finish_load(status, object, name, results);
}

void pare_results_free(pare_results *results)
{
    if (!results)
        return;
    pri_free(results->rows);
    *results = (pare_results){0};
}
