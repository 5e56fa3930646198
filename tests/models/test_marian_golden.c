/* Encoder-decoder models against Hugging Face's MarianMTModel, computed in double precision by
 * tools/golden/marian.py. The weights come through the loader, from a directory written here with
 * the names and the configuration that the library itself chose. */
#include "models/golden_check.h"

#include "documents/json.h"

#define SMOOTHING 0.1f

typedef struct golden_case {
    pri_safetensors *file;
    pare_model *model;
    size_t source_offsets[9], target_offsets[9];
    pare_translation_batch batch;
} golden_case;

static const char *golden_directory(void)
{
    static char name[64];
    snprintf(name, sizeof name, "golden_marian_%ld", (long)getpid());
    return name;
}

static void read_offsets(const golden_case *golden, const char *name, size_t *offsets)
{
    const uint32_t *lengths = stored_tensor(golden->file, name)->data;
    for (size_t n = 0; n < stored_tensor(golden->file, name)->elements; n++)
        offsets[n + 1] = offsets[n] + lengths[n];
}

static void read_batch(golden_case *golden)
{
    read_offsets(golden, "source_lengths", golden->source_offsets);
    read_offsets(golden, "target_lengths", golden->target_offsets);
    golden->batch =
        (pare_translation_batch){.pairs = stored_tensor(golden->file, "source_lengths")->elements,
                                 .source_offsets = golden->source_offsets,
                                 .source = read_tokens(golden->file, "source_tokens"),
                                 .target_offsets = golden->target_offsets,
                                 .target = read_tokens(golden->file, "target_tokens")};
}

static void open_golden(const char *name, golden_case *golden)
{
    char path[512];
    *golden = (golden_case){.file = NULL};
    snprintf(path, sizeof path, "%s/marian_%s.safetensors", PARE_GOLDEN_DIRECTORY, name);
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
    free((void *)golden->batch.source);
    free((void *)golden->batch.target);
}

/* ---- Layers: those of a model that ends there ---- */

/* config.json says so many layers, and the weights of later ones are gone. */
static void cut_layers(const golden_case *golden, const char *key, const char *prefix,
                       size_t layers)
{
    char path[128];
    json_t *config;
    snprintf(path, sizeof path, "%s/config.json", golden_directory());
    check_ok(pri_json_load(path, &config));
    json_object_set_new(config, key, json_integer((json_int_t)layers));
    check_ok(pri_json_save(config, path));
    json_decref(config);
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = 0; i < pri_safetensors_count(golden->file); i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(golden->file, i);
        const char *layer = strstr(stored->name, prefix);
        bool weight = !strncmp(stored->name, "weight/", 7);
        if (weight && (!layer || strtoul(layer + strlen(prefix), NULL, 10) < layers))
            pri_safetensors_writer_add(writer, stored->name + 7, stored->type, stored->dimensions,
                                       stored->shape, stored->data);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", golden_directory());
    check_ok(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
}

typedef pare_tensor *(*stack_output)(pare_model *model, pare_tape *tape,
                                     const pare_translation_batch *batch);

static void check_stack(const golden_case *golden, const char *stored, const char *key,
                        const char *prefix, stack_output run)
{
    const pri_stored_tensor *hidden = stored_tensor(golden->file, stored);
    size_t states = hidden->shape[0], floats = hidden->elements / states;
    for (size_t layers = 1; layers < states; layers++) {
        write_directory(golden->file, golden_directory());
        cut_layers(golden, key, prefix, layers);
        pare_model *model;
        check_ok(pare_model_load(context, golden_directory(), &model));
        pare_tape_begin(tape, false, 0);
        pare_tensor *h = run(model, tape, &golden->batch);
        check_ok(pare_tape_status(tape));
        pri_stored_tensor state = *hidden;
        state.data = (const float *)hidden->data + layers * floats;
        state.elements = floats;
        expect_close("layers", h->value, &state);
        pare_model_destroy(model);
    }
    check_ok(pri_remove_tree(golden_directory()));
}

/* ---- One step, ten steps ---- */

static pare_tensor *run_loss(const void *opened)
{
    const golden_case *golden = opened;
    return pare_translation_loss(golden->model, tape, &golden->batch, SMOOTHING, NULL);
}

static void check_step(const golden_case *golden)
{
    pare_tape_begin(tape, false, 0);
    pare_tensor *logits = pare_translation_logits(golden->model, tape, &golden->batch);
    check_ok(pare_tape_status(tape));
    expect_close("forward", logits->value, stored_tensor(golden->file, "logits"));
    pare_model_zero_gradients(golden->model);
    pare_tape_begin(tape, true, 0);
    pare_tensor *loss = run_loss(golden);
    check_ok(pare_tape_status(tape));
    expect_close("forward", loss->value, stored_tensor(golden->file, "loss"));
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    expect_gradients(golden->file, golden->model);
}

/* What was loaded is saved under the same names, with the same configuration. */
static void check_files(const golden_case *golden)
{
    pare_model *again;
    check_ok(pare_model_save(golden->model, golden_directory()));
    check_ok(pare_model_load(context, golden_directory(), &again));
    check_ok(pri_remove_tree(golden_directory()));
    const pare_marian_config *one = pare_marian_config_of(golden->model);
    const pare_marian_config *other = pare_marian_config_of(again);
    assert_int_equal(one->sharing, other->sharing);
    assert_int_equal(one->activation, other->activation);
    assert_int_equal(one->scale_embedding, other->scale_embedding);
    assert_int_equal(one->decoder_layers, other->decoder_layers);
    pare_tape_begin(tape, false, 0);
    pare_tensor *logits = pare_translation_logits(again, tape, &golden->batch);
    check_ok(pare_tape_status(tape));
    expect_close("saved", logits->value, stored_tensor(golden->file, "logits"));
    pare_model_destroy(again);
}

static void check_golden(const char *name)
{
    golden_case golden;
    open_golden(name, &golden);
    check_stack(&golden, "encoder_hidden", "encoder_layers", "encoder.layers.",
                pare_translation_source);
    check_stack(&golden, "decoder_hidden", "decoder_layers", "decoder.layers.",
                pare_translation_hidden);
    check_step(&golden);
    check_files(&golden);
    expect_training(golden.file, golden.model, run_loss, &golden);
    close_golden(&golden);
}

static void test_all_embeddings_shared(void **state)
{
    (void)state;
    check_golden("tied");
}

static void test_target_embeddings_shared(void **state)
{
    (void)state;
    check_golden("target_tied");
}

static void test_no_embeddings_shared(void **state)
{
    (void)state;
    check_golden("untied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_embeddings_shared, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_target_embeddings_shared, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_no_embeddings_shared, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
