/* MiniLM's real weights on real sentences, all in one batch, against what Hugging Face's library
 * computes in double precision (tools/golden/minilm.py). Skipped where the weights are absent:
 * tools/fetch-minilm.sh brings them. */
#include "models/golden_check.h"

#include "temporary_files.h"

#define LARGEST_DIFFERENCE 1e-4

static const char *weights_directory(void)
{
    static char path[512];
    const char *named = getenv("PARE_MINILM");
    snprintf(path, sizeof path, "%s", named ? named : PARE_TEST_DIRECTORY "/../models/minilm-l6");
    if (!pri_path_is_directory(path)) {
        print_message("skipped: %s does not exist; run tools/fetch-minilm.sh, or name MiniLM's "
                      "directory in PARE_MINILM\n",
                      path);
        skip();
    }
    return path;
}

static void expect_hidden(pare_model *model, const pri_safetensors *file)
{
    size_t sequences = stored_tensor(file, "lengths")->elements, *offsets;
    uint32_t *lengths = read_tokens(file, "lengths"), *tokens = read_tokens(file, "tokens");
    uint32_t *segments = read_tokens(file, "segments");
    offsets = calloc(sequences + 1, sizeof *offsets);
    assert_non_null(offsets);
    for (size_t n = 0; n < sequences; n++)
        offsets[n + 1] = offsets[n] + lengths[n];
    pare_encoder_batch batch = {
        .sequences = sequences, .offsets = offsets, .tokens = tokens, .segments = segments};
    pare_tape_begin(tape, false, 0);
    pare_tensor *hidden = pare_encoder_hidden(model, tape, &batch);
    check_ok(pare_tape_status(tape));
    const pri_stored_tensor *expected = stored_tensor(file, "hidden");
    double difference = largest_difference(hidden->value, expected->data, expected->elements);
    print_message("largest difference of hidden states: %.2g\n", difference);
    assert_true(difference <= LARGEST_DIFFERENCE);
    free(lengths);
    free(tokens);
    free(segments);
    free(offsets);
}

static void test_hidden_states(void **state)
{
    (void)state;
    pri_safetensors *file;
    pare_model *model;
    check_ok(pare_model_load(context, weights_directory(), &model));
    check_ok(pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/minilm.safetensors", &file));
    expect_hidden(model, file);
    check_ok(pare_model_save(model, directory));
    pare_model_destroy(model);
    check_ok(pare_model_load(context, directory, &model));
    expect_hidden(model, file);
    pri_safetensors_close(file);
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hidden_states, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
