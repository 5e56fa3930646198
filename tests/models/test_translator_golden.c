/* Beam search against transformers' generate (tools/golden/marian.py): the same tokens and scores
 * for 50 sentences under every setting of beam, length penalty and early stopping, one by one and
 * all together, with threads. */
#include <jansson.h>

#include "golden_check.h"

static const char directory[] = "translator_golden.tmp";

static json_t *read_searches(void)
{
    json_error_t error;
    json_t *root = json_load_file(PARE_GOLDEN_DIRECTORY "/marian_beam.json", 0, &error);
    if (!root)
        fail_msg("marian_beam.json: %s", error.text);
    return root;
}

static pare_model *read_model(void)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/marian_beam.safetensors", &file));
    write_directory(file, directory);
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
    options.limit = json_is_null(json_object_get(search, "forced_eos_token_id"))
                        ? PARE_LIMIT_CUT
                        : PARE_LIMIT_FREE_END;
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

static void check_search(pare_translator *translator, const json_t *sources, const json_t *search,
                         size_t number)
{
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
    free(offsets);
    free(tokens);
}

static void searches_equal_those_of_generate(void **state)
{
    (void)state;
    json_t *root = read_searches();
    const json_t *searches = json_object_get(root, "searches");
    pare_model *model = read_model();
    pare_translator *translator;
    check_ok(pare_translator_create(model, PARE_PRECISION_FP32, &translator));
    assert_true(json_array_size(searches) > 0);
    for (size_t i = 0; i < json_array_size(searches); i++)
        check_search(translator, json_object_get(root, "sources"), json_array_get(searches, i), i);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches_equal_those_of_generate, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
