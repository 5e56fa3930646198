/* results.json: what is written is read back, and what is not right is refused with a reason. */
#include "report/results.h"
#include "report/sample.h"

static char directory[] = "/tmp/pare-results-XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return pri_remove_tree(directory) == PARE_OK ? 0 : -1;
}

static void assert_same_number(double a, double b)
{
    assert_true((isnan(a) && isnan(b)) || a == b);
}

static void assert_same_row(const pare_result_row *a, const pare_result_row *b)
{
    assert_string_equal(a->method, b->method);
    assert_string_equal(a->start, b->start);
    assert_string_equal(a->directory, b->directory);
    assert_string_equal(a->attention, b->attention);
    assert_same_number(a->p_requested, b->p_requested);
    assert_same_number(a->p_nominal, b->p_nominal);
    assert_same_number(a->p_admissible, b->p_admissible);
    assert_same_number(a->p_effective, b->p_effective);
    assert_same_number(a->kept_mass, b->kept_mass);
    assert_same_number(a->valid, b->valid);
    assert_same_number(a->test, b->test);
    assert_same_number(a->train_seconds, b->train_seconds);
    assert_same_number(a->tokens_per_second, b->tokens_per_second);
    assert_same_number(a->attention_seconds, b->attention_seconds);
    assert_same_number(a->evaluate_seconds, b->evaluate_seconds);
    assert_same_number(a->plan_seconds, b->plan_seconds);
    assert_true(a->seed == b->seed && a->peak_bytes == b->peak_bytes);
    assert_true(a->steps == b->steps && a->parameters == b->parameters);
    assert_int_equal(a->more_count, b->more_count);
    for (size_t i = 0; i < a->more_count; i++) {
        assert_string_equal(a->more[i].name, b->more[i].name);
        assert_same_number(a->more[i].value, b->more[i].value);
    }
}

static void round_trip_is_identity(void **state)
{
    (void)state;
    pare_result_row rows[12];
    pare_results results = sample_results(rows), read;
    rows[1].test = (double)NAN;
    rows[2].seed = 1;
    rows[2].peak_bytes = UINT64_C(1) << 52;
    rows[3].valid = 0.1; /* no short decimal form */
    rows[4].more_count = 2;
    rows[4].more[0] = (pare_result_measure){"zeta", -1.5};
    rows[4].more[1] = (pare_result_measure){"accuracy", (double)NAN};
    rows[5].p_requested = 55;
    char *path = pri_path_join(directory, "results.json");
    assert_int_equal(pare_results_save(&results, path), PARE_OK);
    assert_int_equal(pare_results_load(path, &read), PARE_OK);
    pri_free(path);
    assert_string_equal(read.name, results.name);
    assert_string_equal(read.description, results.description);
    assert_string_equal(read.metric, results.metric);
    assert_string_equal(read.machine, results.machine);
    assert_string_equal(read.level, results.level);
    assert_string_equal(read.command, results.command);
    assert_string_equal(read.geometry, results.geometry);
    assert_string_equal(read.average_path[0], results.average_path[0]);
    assert_int_equal(read.threads, 2);
    assert_false(read.higher_is_better);
    assert_int_equal(read.count, results.count);
    for (size_t i = 0; i < read.count; i++)
        assert_same_row(&read.rows[i], &rows[i]);
    pare_results_free(&read);
}

static void kinds_of_attention_are_kept(void **state)
{
    (void)state;
    pare_result_row rows[21];
    pare_results results = sample_translation(rows), read;
    char *path = pri_path_join(directory, "kinds.json");
    assert_int_equal(pare_results_save(&results, path), PARE_OK);
    assert_int_equal(pare_results_load(path, &read), PARE_OK);
    pri_free(path);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        assert_string_equal(read.average_path[kind], results.average_path[kind]);
    assert_int_equal(read.count, 21);
    for (size_t i = 0; i < read.count; i++)
        assert_same_row(&read.rows[i], &rows[i]);
    pare_results_free(&read);
}

/* As the first released format had them: one average, no kinds. */
static void files_without_kinds_are_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"metric\": \"perplexity\", \"average_path\": \"dense/average.safetensors\", \"rows\": "
        "[{\"method\": \"dense\"}, {\"method\": \"attention-pruning\", \"start\": \"restart\", "
        "\"p_adm\": 60, \"test\": 138.5}]}";
    pare_results read;
    assert_int_equal(pri_results_parse(text, sizeof text - 1, "results.json", &read), PARE_OK);
    assert_string_equal(read.average_path[PARE_ATTENTION_SELF], "dense/average.safetensors");
    assert_string_equal(read.average_path[PARE_ATTENTION_CROSS], "");
    assert_string_equal(read.rows[1].attention, "");
    assert_true(isnan(read.rows[1].p_requested) && read.rows[1].test == 138.5);
    pare_results_free(&read);
}

static void unknown_numbers_are_null(void **state)
{
    (void)state;
    pare_result_row row = sample_row("dense", 0, 0);
    row.test = (double)NAN;
    pare_results results = {.metric = "perplexity", .rows = &row, .count = 1};
    char *path = pri_path_join(directory, "null.json");
    assert_int_equal(pare_results_save(&results, path), PARE_OK);
    uint8_t *data;
    size_t size;
    assert_int_equal(pri_file_read(path, 0, &data, &size), PARE_OK);
    char *text = calloc(size + 1, 1);
    assert_non_null(text);
    memcpy(text, data, size);
    assert_non_null(strstr(text, "\"test\": null"));
    assert_non_null(strstr(text, "\"method\": \"dense\""));
    assert_non_null(strstr(text, "\"metric\": \"perplexity\""));
    free(text);
    pri_free(data);
    pri_free(path);
}

/* JSON is UTF-8; a machine's name may not be. */
static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    pare_results results = {.metric = "perplexity", .machine = "a\xff z"}, read;
    char *path = pri_path_join(directory, "utf8.json");
    assert_int_equal(pare_results_save(&results, path), PARE_OK);
    assert_int_equal(pare_results_load(path, &read), PARE_OK);
    assert_string_equal(read.machine, "a? z");
    pare_results_free(&read);
    pri_free(path);
}

static void seeds_beyond_json_are_refused(void **state)
{
    (void)state;
    pare_result_row row = sample_row("random", 60, UINT64_MAX);
    pare_results results = {.metric = "perplexity", .rows = &row, .count = 1};
    char *path = pri_path_join(directory, "seed.json");
    assert_int_equal(pare_results_save(&results, path), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "seed"));
    assert_false(pri_path_exists(path));
    pri_free(path);
}

typedef struct bad_input {
    const char *text, *reason; /* a word the message must have */
} bad_input;

static void bad_files_are_refused(void **state)
{
    (void)state;
    static const bad_input inputs[] = {
        {"", ""},
        {"[]", ""},
        {"{\"metric\": \"x\"", ""},
        {"{\"rows\": []}", "metric"},
        {"{\"metric\": 3, \"rows\": []}", "metric"},
        {"{\"metric\": \"x\"}", "rows"},
        {"{\"metric\": \"x\", \"rows\": 7}", "rows"},
        {"{\"metric\": \"x\", \"rows\": [1]}", "row 1"},
        {"{\"metric\": \"x\", \"metric\": \"y\", \"rows\": []}", ""},
        {"{\"metric\": \"x\", \"rows\": [{}]}", "method"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"magic\"}]}", "magic"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"start\": \"again\"}]}", "again"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"attention\": \"eyes\"}]}",
         "eyes"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"p_adm\": 101}]}", "p_adm"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"p_nom\": -1}]}", "p_nom"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"more\": [1]}]}", "more"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"more\": {\"a\": \"b\"}}]}", "a"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"more\": "
         "{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4}}]}",
         "more"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"more\": "
         "{\"a name of more than twenty-three bytes\": 1}}]}",
         "more than 23 bytes"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"test\": \"3\"}]}", "test"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"seed\": -1}]}", "seed"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"steps\": 1.5}]}", "steps"},
        {"{\"metric\": \"x\", \"rows\": [{\"method\": \"dense\", \"train_seconds\": -2}]}",
         "train_seconds"},
        {"{\"metric\": \"x\", \"threads\": 99999999, \"rows\": []}", "threads"},
        {"{\"metric\": \"a metric with a name of more than thirty-one bytes\", \"rows\": []}",
         "metric"},
    };
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        pare_results results;
        pare_status status =
            pri_results_parse(inputs[i].text, strlen(inputs[i].text), "results.json", &results);
        if (status != PARE_ERROR_FORMAT || !strstr(pare_error_message(), inputs[i].reason))
            fail_msg("%s: %d, %s", inputs[i].text, (int)status, pare_error_message());
        assert_null(results.rows);
    }
}

static void missing_file_is_a_file_error(void **state)
{
    (void)state;
    pare_results results;
    assert_int_equal(pare_results_load("/nonexistent/results.json", &results), PARE_ERROR_FILE);
    assert_string_equal(pare_error_message(),
                        "/nonexistent/results.json does not exist; name the directory of a sweep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_is_identity),
        cmocka_unit_test(unknown_numbers_are_null),
        cmocka_unit_test(kinds_of_attention_are_kept),
        cmocka_unit_test(files_without_kinds_are_read),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(seeds_beyond_json_are_refused),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(missing_file_is_a_file_error),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
