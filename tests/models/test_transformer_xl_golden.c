/* Transformer-XL against Hugging Face's TransfoXLLMHeadModel, computed in double precision by
 * tools/golden/transformer_xl.py. The weights come through the loader, from a directory written
 * here with the names and the configuration that the library itself chose. */
#include "models/golden_check.h"

#include "nn/optimizer.h"

typedef struct golden_case {
    pri_safetensors *file;
    pare_model *model;
    uint32_t *inputs, *targets; /* (lanes, total) */
    size_t lanes, total, segments, lengths[8];
} golden_case;

/* ---- Reading a golden file ---- */

static golden_case open_golden(const char *name)
{
    golden_case golden = {0};
    char path[512], directory[64];
    snprintf(path, sizeof path, "%s/transformer_xl_%s.safetensors", PARE_GOLDEN_DIRECTORY, name);
    check_ok(pri_safetensors_open(path, &golden.file));
    snprintf(directory, sizeof directory, "golden_%s_%ld", name, (long)getpid());
    write_directory(golden.file, directory);
    check_ok(pare_model_load(context, directory, &golden.model));
    check_ok(pri_remove_tree(directory));
    const pri_stored_tensor *inputs = stored_tensor(golden.file, "inputs");
    golden.lanes = inputs->shape[0];
    golden.total = inputs->shape[1];
    golden.inputs = read_tokens(golden.file, "inputs");
    golden.targets = read_tokens(golden.file, "targets");
    uint32_t *lengths = read_tokens(golden.file, "lengths");
    golden.segments = stored_tensor(golden.file, "lengths")->elements;
    for (size_t i = 0; i < golden.segments; i++)
        golden.lengths[i] = lengths[i];
    free(lengths);
    return golden;
}

static void close_golden(golden_case *golden)
{
    pare_model_destroy(golden->model);
    pri_safetensors_close(golden->file);
    free(golden->inputs);
    free(golden->targets);
}

/* ---- Comparisons ---- */

/* Forward and backward of one segment; its losses go to their columns of `losses`. */
static float train_segment(const golden_case *golden, pare_memory *memory, size_t begin,
                           size_t length, float *losses)
{
    uint32_t *in = cut_segment(golden->inputs, golden->lanes, golden->total, begin, length);
    uint32_t *out = cut_segment(golden->targets, golden->lanes, golden->total, begin, length);
    float *segment_losses = malloc(golden->lanes * length * sizeof(float));
    assert_non_null(segment_losses);
    pare_segment segment = {.lanes = golden->lanes, .length = length, .inputs = in, .targets = out};
    pare_model_zero_gradients(golden->model);
    pare_tape_begin(tape, true, 0);
    pare_tensor *loss =
        pare_language_model_loss(golden->model, tape, memory, &segment, segment_losses);
    check_ok(pare_tape_status(tape));
    float value = loss->value[0];
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    for (size_t lane = 0; losses && lane < golden->lanes; lane++)
        memcpy(losses + lane * golden->total + begin, segment_losses + lane * length,
               length * sizeof(float));
    free(segment_losses);
    free(in);
    free(out);
    return value;
}

static void expect_states(const golden_case *golden, const pare_memory *memory)
{
    const pri_stored_tensor *stored = stored_tensor(golden->file, "memory");
    assert_int_equal(pare_memory_states(memory), stored->shape[0]);
    assert_int_equal(pare_memory_filled(memory), stored->shape[2]);
    expect_close("memory", pare_memory_state(memory, 0), stored);
}

static void check_segments(const golden_case *golden)
{
    pare_memory *memory;
    size_t length = pare_transformer_xl_config_of(golden->model)->memory, begin = 0;
    check_ok(pare_memory_create(golden->model, golden->lanes, length, &memory));
    float *losses = malloc(golden->lanes * golden->total * sizeof *losses);
    assert_non_null(losses);
    for (size_t i = 0; i < golden->segments; begin += golden->lengths[i], i++)
        train_segment(golden, memory, begin, golden->lengths[i], losses);
    expect_close("segments", losses, stored_tensor(golden->file, "losses"));
    expect_states(golden, memory);
    expect_gradients(golden->file, golden->model);
    free(losses);
    pare_memory_destroy(memory);
}

/* The library's log-probabilities of every position: prefixes of the segments, each run from the
 * memory that the segments before it left. */
static void check_next_tokens(const golden_case *golden)
{
    const pri_stored_tensor *scores = stored_tensor(golden->file, "scores");
    size_t vocabulary = scores->shape[2], lanes = golden->lanes, begin = 0;
    float *all = malloc(scores->bytes), *next = malloc(lanes * vocabulary * sizeof *next);
    assert_true(all && next);
    size_t memory_length = pare_transformer_xl_config_of(golden->model)->memory;
    for (size_t i = 0; i < golden->segments; begin += golden->lengths[i], i++)
        for (size_t prefix = 1; prefix <= golden->lengths[i]; prefix++) {
            pare_memory *memory;
            check_ok(pare_memory_create(golden->model, lanes, memory_length, &memory));
            size_t at = 0;
            for (size_t j = 0; j <= i; at += golden->lengths[j], j++) {
                size_t length = j == i ? prefix : golden->lengths[j];
                uint32_t *in = cut_segment(golden->inputs, lanes, golden->total, at, length);
                pare_segment segment = {.lanes = lanes, .length = length, .inputs = in};
                pare_tape_begin(tape, false, 0);
                check_ok(pare_language_model_next(golden->model, tape, memory, &segment, next));
                free(in);
            }
            for (size_t lane = 0; lane < lanes; lane++)
                memcpy(all + (lane * golden->total + begin + prefix - 1) * vocabulary,
                       next + lane * vocabulary, vocabulary * sizeof *next);
            pare_memory_destroy(memory);
        }
    expect_close("next tokens", all, scores);
    free(all);
    free(next);
}

static void adam_step(pare_model *model, float *m, float *v, int step)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    /* As in the script; with Adam's usual epsilon, gradients that are zero up to rounding would
     * move weights by a whole learning rate in a random direction. */
    pri_adam adam = {.rate = 2e-3f,
                     .beta1 = 0.9f,
                     .beta2 = 0.999f,
                     .epsilon = 1e-5f,
                     .correction1 = (float)(1.0 - pow(0.9, step)),
                     .correction2 = (float)(1.0 - pow(0.999, step)),
                     .gradient_scale = 1.0f};
    pri_adam_update(context, &adam, pare_model_parameter_floats(model), parameters[0].tensor.value,
                    parameters[0].tensor.gradient, m, v);
}

/* Ten steps of Adam over the segments, starting again with an empty memory when they end. */
static void check_training(const golden_case *golden)
{
    size_t floats = pare_model_parameter_floats(golden->model);
    float *m = calloc(floats, sizeof *m), *v = calloc(floats, sizeof *v), losses[10];
    assert_true(m && v);
    pare_memory *memory;
    size_t length = pare_transformer_xl_config_of(golden->model)->memory, begin = 0;
    check_ok(pare_memory_create(golden->model, golden->lanes, length, &memory));
    for (size_t step = 0; step < 10; step++) {
        size_t segment = step % golden->segments;
        if (segment == 0) {
            pare_memory_clear(memory);
            begin = 0;
        }
        losses[step] = train_segment(golden, memory, begin, golden->lengths[segment], NULL);
        begin += golden->lengths[segment];
        adam_step(golden->model, m, v, (int)step + 1);
    }
    expect_close("training", losses, stored_tensor(golden->file, "training_losses"));
    expect_trained_weights(golden->file, golden->model);
    pare_memory_destroy(memory);
    free(m);
    free(v);
}

static void check_golden(const char *name)
{
    golden_case golden = open_golden(name);
    check_segments(&golden);
    check_next_tokens(&golden);
    check_training(&golden);
    close_golden(&golden);
}

static void test_head_size_41_and_odd_lengths(void **state)
{
    (void)state;
    check_golden("a");
}

static void test_same_length_clamp_and_division(void **state)
{
    (void)state;
    check_golden("b");
}

static void test_many_segments(void **state)
{
    (void)state;
    check_golden("c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_head_size_41_and_odd_lengths, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_same_length_clamp_and_division, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_many_segments, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
