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

/* All sentences in one ragged batch, and what they give. */
typedef struct sentences {
    pri_safetensors *file;
    uint32_t *lengths, *tokens, *segments;
    size_t *offsets;
    pare_encoder_batch batch;
} sentences;

static void open_sentences(sentences *s)
{
    check_ok(pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/minilm.safetensors", &s->file));
    size_t count = stored_tensor(s->file, "lengths")->elements;
    s->lengths = read_tokens(s->file, "lengths");
    s->tokens = read_tokens(s->file, "tokens");
    s->segments = read_tokens(s->file, "segments");
    s->offsets = calloc(count + 1, sizeof *s->offsets);
    assert_non_null(s->offsets);
    for (size_t n = 0; n < count; n++)
        s->offsets[n + 1] = s->offsets[n] + s->lengths[n];
    s->batch = (pare_encoder_batch){
        .sequences = count, .offsets = s->offsets, .tokens = s->tokens, .segments = s->segments};
}

static void close_sentences(sentences *s)
{
    pri_safetensors_close(s->file);
    free(s->lengths);
    free(s->tokens);
    free(s->segments);
    free(s->offsets);
}

/* Expected are every `stride`-th of the features, of all tokens. */
static void expect_states(const char *what, size_t layer, const float *got, const float *expected,
                          size_t count, size_t stride)
{
    double difference = 0.0;
    for (size_t i = 0; i < count; i++)
        difference = fmax(difference, fabs((double)got[i * stride] - (double)expected[i]));
    print_message("layer %zu, %s: largest difference of hidden states %.2g\n", layer, what,
                  difference);
    assert_true(difference <= LARGEST_DIFFERENCE);
}

/* The states that training sees and those of inference. */
static void expect_both(pare_model *model, const sentences *s, const float *expected, size_t count,
                        size_t stride)
{
    size_t layer = pare_bert_config_of(model)->layers;
    pare_tape_begin(tape, false, 0);
    pare_tensor *hidden = pare_encoder_hidden(model, tape, &s->batch);
    check_ok(pare_tape_status(tape));
    assert_int_equal(hidden->rows * hidden->columns, count * stride);
    expect_states("tape", layer, hidden->value, expected, count, stride);

    pare_inference *inference;
    float *states = calloc(count * stride, sizeof *states);
    assert_non_null(states);
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &inference));
    check_ok(pare_inference_run(inference, &s->batch, &(pare_inference_output){.hidden = states}));
    expect_states("inference", layer, states, expected, count, stride);
    pare_inference_destroy(inference);
    free(states);
}

static void expect_last_layer(pare_model *model, const sentences *s)
{
    const pri_stored_tensor *hidden = stored_tensor(s->file, "hidden");
    expect_both(model, s, hidden->data, hidden->elements, 1);
}

static void test_last_hidden_states(void **state)
{
    (void)state;
    sentences s;
    pare_model *model;
    check_ok(pare_model_load(context, weights_directory(), &model));
    open_sentences(&s);
    expect_last_layer(model, &s);
    check_ok(pare_model_save(model, directory));
    pare_model_destroy(model);
    check_ok(pare_model_load(context, directory, &model));
    expect_last_layer(model, &s);
    pare_model_destroy(model);
    close_sentences(&s);
}

/* A model that ends after that many layers. */
static pare_model *first_layers(pare_model *whole, size_t layers)
{
    pare_bert_config config = *pare_bert_config_of(whole);
    pare_model *model;
    size_t count, whole_count;
    config.layers = layers;
    check_ok(pare_bert_create(context, &config, 1, &model));
    pare_parameter *to = pare_model_parameters(model, &count);
    const pare_parameter *from = pare_model_parameters(whole, &whole_count),
                         *end = from + whole_count;
    for (size_t i = 0; i < count; i++) {
        while (from < end && strcmp(from->name, to[i].name)) /* in the same order */
            from++;
        assert_ptr_not_equal(from, end);
        memcpy(to[i].tensor.value, from->tensor.value,
               to[i].tensor.rows * to[i].tensor.columns * sizeof(float));
    }
    return model;
}

static void test_hidden_states_of_every_layer(void **state)
{
    (void)state;
    sentences s;
    pare_model *whole;
    check_ok(pare_model_load(context, weights_directory(), &whole));
    open_sentences(&s);
    const pri_stored_tensor *layers = stored_tensor(s.file, "layers");
    size_t count = layers->shape[1] * layers->shape[2];
    assert_int_equal(layers->shape[0] + 1, pare_bert_config_of(whole)->layers);
    for (size_t layer = 0; layer < layers->shape[0]; layer++) {
        pare_model *model = first_layers(whole, layer + 1);
        expect_both(model, &s, (const float *)layers->data + layer * count, count,
                    pare_bert_config_of(whole)->size / layers->shape[2]);
        pare_model_destroy(model);
    }
    pare_model_destroy(whole);
    close_sentences(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_last_hidden_states, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_hidden_states_of_every_layer, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
