/* Beam search against transformers' generate (tools/golden/marian.py): the same tokens and scores
 * for 50 sentences of a trained and of a random model under every setting of beam, length penalty,
 * early stopping and forced end. */
#include <jansson.h>

#include "golden_check.h"

static const char directory[] = "translator_golden.tmp";

static json_t *read_searches(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        fail_msg("%s: %s", path, error.text);
    return root;
}

/* With this forced_eos_token_id, a number or null. */
static void write_forced_end(json_t *forced)
{
    char path[512];
    snprintf(path, sizeof path, "%s/config.json", directory);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    json_object_set(config, "forced_eos_token_id", forced);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
}

static pare_model *read_model(const char *path, json_t *forced_end)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(path, &file));
    write_directory(file, directory);
    write_forced_end(forced_end);
    pri_safetensors_close(file);
    pare_model *model;
    check_ok(pare_model_load(context, directory, &model));
    return model;
}

static size_t integer_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value));
    return (size_t)json_integer_value(value);
}

static pare_translate_options options_of(const json_t *search)
{
    pare_translate_options options = pare_translate_options_default();
    options.beam = integer_of(search, "num_beams");
    options.length_penalty = json_number_value(json_object_get(search, "length_penalty"));
    options.length_factor = 0.0;
    options.length_extra = (double)integer_of(search, "max_length") - 1.0; /* it counts the start */
    options.stop = json_is_true(json_object_get(search, "early_stopping")) ? PARE_STOP_FULL
                                                                           : PARE_STOP_HOPELESS;
    return options;
}

static void expect_output(const pare_hypothesis *found, const json_t *expected, size_t search,
                          size_t sentence)
{
    const json_t *tokens = json_object_get(expected, "tokens");
    double score = json_number_value(json_object_get(expected, "score"));
    bool same = found->length == json_array_size(tokens);
    for (size_t i = 0; same && i < found->length; i++)
        same = found->tokens[i] == (uint32_t)json_integer_value(json_array_get(tokens, i));
    if (!same)
        fail_msg("search %zu, sentence %zu: other tokens (score %g, expected %g)", search, sentence,
                 found->score, score);
    assert_near(found->score, score, 2e-5);
}

static void check_search(const char *weights, const json_t *sources, const json_t *search,
                         size_t number)
{
    pare_model *model = read_model(weights, json_object_get(search, "forced_eos_token_id"));
    pare_translator *translator;
    check_ok(pare_translator_create(model, PARE_PRECISION_FP32, &translator));

    size_t count = json_array_size(sources), total = 0;
    size_t *offsets = calloc(count + 1, sizeof *offsets);
    uint32_t *tokens = calloc(count * 24, sizeof *tokens);
    assert_true(offsets && tokens);
    for (size_t n = 0; n < count; n++) {
        const json_t *source = json_array_get(sources, n);
        for (size_t i = 0; i < json_array_size(source); i++)
            tokens[total++] = (uint32_t)json_integer_value(json_array_get(source, i));
        offsets[n + 1] = total;
    }
    pare_ragged ragged = {offsets, count};
    pare_translate_options options = options_of(search);
    pare_translations found;
    check_ok(pare_translate(translator, &ragged, tokens, &options, &found));
    const json_t *outputs = json_object_get(search, "outputs");
    assert_int_equal(json_array_size(outputs), count);
    for (size_t n = 0; n < count; n++)
        expect_output(&found.hypotheses[n], json_array_get(outputs, n), number, n);
    pare_translations_free(&found);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
    free(offsets);
    free(tokens);
}

static void check_searches(const char *searches_path, const char *weights)
{
    json_t *root = read_searches(searches_path);
    const json_t *searches = json_object_get(root, "searches");
    assert_true(json_array_size(searches) > 0);
    for (size_t i = 0; i < json_array_size(searches); i++)
        check_search(weights, json_object_get(root, "sources"), json_array_get(searches, i), i);
    json_decref(root);
}

static void searches_equal_those_of_generate(void **state)
{
    (void)state;
    check_searches(PARE_GOLDEN_DIRECTORY "/marian_beam.json",
                   PARE_GOLDEN_DIRECTORY "/marian_beam.safetensors");
}

static void of_a_random_model_too(void **state)
{
    (void)state;
    check_searches(PARE_GOLDEN_DIRECTORY "/marian_random.json",
                   PARE_GOLDEN_DIRECTORY "/marian_random.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches_equal_those_of_generate, start_test, stop_test),
        cmocka_unit_test_setup_teardown(of_a_random_model_too, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
