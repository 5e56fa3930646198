/* BERT and DistilBERT against the classes of Hugging Face's library, computed in double precision
 * by tools/golden/bert.py. The weights come through the loader, from a directory written here with
 * the names and the configuration that the library itself chose. */
#include "models/golden_check.h"

#include "documents/json.h"

typedef struct golden_case {
    pri_safetensors *file;
    pare_model *model;
    size_t sequences, offsets[9];
    uint32_t *tokens, *segments;
    pare_encoder_batch batch;
} golden_case;

static const char *golden_directory(void)
{
    static char name[64];
    snprintf(name, sizeof name, "golden_bert_%ld", (long)getpid());
    return name;
}

static void read_batch(golden_case *golden)
{
    uint32_t *lengths = read_tokens(golden->file, "lengths");
    golden->sequences = stored_tensor(golden->file, "lengths")->elements;
    for (size_t n = 0; n < golden->sequences; n++)
        golden->offsets[n + 1] = golden->offsets[n] + lengths[n];
    free(lengths);
    golden->tokens = read_tokens(golden->file, "tokens");
    golden->segments = read_tokens(golden->file, "segments");
    golden->batch = (pare_encoder_batch){.sequences = golden->sequences,
                                         .offsets = golden->offsets,
                                         .tokens = golden->tokens,
                                         .segments = golden->segments};
}

static void open_golden(const char *name, golden_case *golden)
{
    char path[512];
    *golden = (golden_case){.file = NULL};
    snprintf(path, sizeof path, "%s/bert_%s.safetensors", PARE_GOLDEN_DIRECTORY, name);
    check_ok(pri_safetensors_open(path, &golden->file));
    write_directory(golden->file, golden_directory());
    check_ok(pare_model_load(context, golden_directory(), &golden->model));
    check_ok(pri_remove_tree(golden_directory()));
    read_batch(golden);
}

static void close_golden(golden_case *golden)
{
    pare_model_destroy(golden->model);
    pri_safetensors_close(golden->file);
    free(golden->tokens);
    free(golden->segments);
}

/* ---- Losses of the heads, as the script defines them ---- */

static pare_ragged sequences_of(const golden_case *golden)
{
    return (pare_ragged){.offsets = golden->batch.offsets, .count = golden->sequences};
}

static const void *target(const golden_case *golden, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "target/%s", name);
    return stored_tensor(golden->file, key)->data;
}

static pare_tensor *halved(pare_tensor *a, pare_tensor *b)
{
    static float half = 0.5f;
    pare_tensor *weight = pare_tape_constant(tape, &half, 1, 1);
    return pare_linear(tape, pare_add(tape, a, b), weight, NULL, PARE_ACTIVATION_NONE);
}

static pare_tensor *answering_loss(const golden_case *golden, pare_tensor *spans)
{
    const uint32_t *targets = target(golden, "spans");
    uint32_t sides[2][8];
    for (size_t n = 0; n < golden->sequences; n++)
        for (int side = 0; side < 2; side++)
            sides[side][n] = targets[2 * n + (size_t)side];
    pare_ragged sequences = sequences_of(golden);
    return halved(pare_sequence_cross_entropy(tape, spans, 0, &sequences, sides[0], NULL),
                  pare_sequence_cross_entropy(tape, spans, 1, &sequences, sides[1], NULL));
}

/* Mean over tokens of (weights . h)^2. */
static pare_tensor *hidden_loss(const golden_case *golden, pare_tensor *hidden)
{
    static const float zeros[64];
    pare_tensor *weights = pare_tape_constant(tape, target(golden, "weights"), 1, hidden->columns);
    return pare_mean_squared_error(
        tape, pare_linear(tape, hidden, weights, NULL, PARE_ACTIVATION_NONE), zeros, NULL);
}

static pare_tensor *words_output(const golden_case *golden)
{
    return pare_encoder_words(golden->model, tape, &golden->batch, target(golden, "rows"),
                              stored_tensor(golden->file, "target/rows")->elements);
}

/* The head's output and, through `loss`, its loss. */
static pare_tensor *run_head(const golden_case *golden, pare_tensor **loss)
{
    const pare_bert_config *config = pare_bert_config_of(golden->model);
    pare_tensor *output = NULL;
    switch (config->head) {
    case PARE_HEAD_NONE:
        output = pare_encoder_hidden(golden->model, tape, &golden->batch);
        *loss = hidden_loss(golden, output);
        break;
    case PARE_HEAD_CLASSIFICATION:
        output = pare_encoder_classify(golden->model, tape, &golden->batch);
        *loss = config->labels == 1
                    ? pare_mean_squared_error(tape, output, target(golden, "values"), NULL)
                    : pare_cross_entropy(tape, output, target(golden, "labels"), 0.0f, NULL);
        break;
    case PARE_HEAD_QUESTION_ANSWERING:
        output = pare_encoder_spans(golden->model, tape, &golden->batch);
        *loss = answering_loss(golden, output);
        break;
    case PARE_HEAD_MASKED_WORDS:
        output = words_output(golden);
        *loss = pare_cross_entropy(tape, output, target(golden, "words"), 0.0f, NULL);
        break;
    }
    check_ok(pare_tape_status(tape));
    return output;
}

/* ---- Comparisons ---- */

/* config.json says `layers`, and the weights of later layers are gone. */
static void cut_layers(const golden_case *golden, size_t layers)
{
    char path[128];
    json_t *config;
    snprintf(path, sizeof path, "%s/config.json", golden_directory());
    check_ok(pri_json_load(path, &config));
    bool distilled = pare_bert_config_of(golden->model)->distilled;
    json_object_set_new(config, distilled ? "n_layers" : "num_hidden_layers",
                        json_integer((json_int_t)layers));
    check_ok(pri_json_save(config, path));
    json_decref(config);
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = 0; i < pri_safetensors_count(golden->file); i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(golden->file, i);
        const char *layer = strstr(stored->name, "r.layer.");
        bool weight = !strncmp(stored->name, "weight/", 7);
        if (weight && (!layer || strtoul(layer + 8, NULL, 10) < layers))
            pri_safetensors_writer_add(writer, stored->name + 7, stored->type, stored->dimensions,
                                       stored->shape, stored->data);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", golden_directory());
    check_ok(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
}

/* Layer l's hidden states are those of a model that ends there. */
static void check_layers(const golden_case *golden)
{
    const pri_stored_tensor *hidden = stored_tensor(golden->file, "hidden");
    size_t states = hidden->shape[0], floats = hidden->elements / states;
    write_directory(golden->file, golden_directory());
    for (size_t layers = 1; layers < states; layers++) {
        cut_layers(golden, layers);
        pare_model *model;
        check_ok(pare_model_load(context, golden_directory(), &model));
        pare_tape_begin(tape, false, 0);
        pare_tensor *h = pare_encoder_hidden(model, tape, &golden->batch);
        check_ok(pare_tape_status(tape));
        pri_stored_tensor state = *hidden;
        state.data = (const float *)hidden->data + layers * floats;
        state.elements = floats;
        expect_close("layers", h->value, &state);
        pare_model_destroy(model);
    }
    check_ok(pri_remove_tree(golden_directory()));
}

static void check_step(const golden_case *golden)
{
    pare_tensor *loss;
    pare_model_zero_gradients(golden->model);
    pare_tape_begin(tape, true, 0);
    pare_tensor *output = run_head(golden, &loss);
    expect_close("forward", output->value, stored_tensor(golden->file, "outputs"));
    expect_close("forward", loss->value, stored_tensor(golden->file, "loss"));
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    expect_gradients(golden->file, golden->model);
}

static pare_tensor *run_loss(const void *golden)
{
    pare_tensor *loss;
    run_head(golden, &loss);
    return loss;
}

static void check_golden(const char *name)
{
    golden_case golden;
    open_golden(name, &golden);
    check_layers(&golden);
    check_step(&golden);
    if (pare_bert_config_of(golden.model)->head != PARE_HEAD_NONE)
        expect_training(golden.file, golden.model, run_loss, &golden);
    close_golden(&golden);
}

static void test_model(void **state)
{
    (void)state;
    check_golden("model");
}

static void test_classification(void **state)
{
    (void)state;
    check_golden("classification");
}

static void test_regression(void **state)
{
    (void)state;
    check_golden("regression");
}

static void test_question_answering(void **state)
{
    (void)state;
    check_golden("answering");
}

static void test_masked_words(void **state)
{
    (void)state;
    check_golden("words");
}

/* Segments are in the batch, and are not read. */
static void test_distilled(void **state)
{
    (void)state;
    check_golden("distilled_model");
    check_golden("distilled_classification");
    check_golden("distilled_answering");
    check_golden("distilled_words");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_model, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_classification, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_regression, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_question_answering, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_masked_words, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_distilled, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
