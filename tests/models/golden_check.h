/* What the tests against golden files share: a directory written from a file, with the names and
 * the configuration that the library itself chose, and comparisons. */
#ifndef PARE_TESTS_GOLDEN_CHECK_H
#define PARE_TESTS_GOLDEN_CHECK_H

#include "models/model_check.h"

#include "base/safetensors.h"
#include "nn/optimizer.h"

/* Of the largest magnitude of the compared tensor. */
#define TOLERANCE 2e-5
/* Where the gradient is zero (biases of keys, and of answers' logits), Adam moves weights by
 * rounding alone, differently with every order of sums. */
#define TRAINED_TOLERANCE 1e-4

static inline const pri_stored_tensor *stored_tensor(const pri_safetensors *file, const char *name)
{
    const pri_stored_tensor *stored = pri_safetensors_find(file, name);
    if (!stored)
        fail_msg("golden file lacks %s", name);
    return stored;
}

static inline double largest_magnitude(const pri_stored_tensor *stored)
{
    const float *value = stored->data;
    double largest = 0.0;
    for (size_t i = 0; i < stored->elements; i++)
        largest = fmax(largest, fabs((double)value[i]));
    return largest;
}

static inline void expect_close_of(const char *what, const float *got,
                                   const pri_stored_tensor *expected, double scale)
{
    double difference = largest_difference(got, expected->data, expected->elements);
    if (!(difference <= TOLERANCE * scale))
        fail_msg("%s: %s differs by %g of %g (%g relative)", what, expected->name, difference,
                 scale, difference / scale);
}

static inline void expect_close(const char *what, const float *got,
                                const pri_stored_tensor *expected)
{
    expect_close_of(what, got, expected, largest_magnitude(expected));
}

static inline void write_directory(const pri_safetensors *file, const char *directory)
{
    char path[256];
    check_ok(pri_make_directories(directory));
    const char *config = pri_safetensors_metadata(file, "config");
    snprintf(path, sizeof path, "%s/config.json", directory);
    check_ok(pri_file_replace(path, config, strlen(config)));
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = 0; i < pri_safetensors_count(file); i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(file, i);
        if (!strncmp(stored->name, "weight/", 7))
            pri_safetensors_writer_add(writer, stored->name + 7, stored->type, stored->dimensions,
                                       stored->shape, stored->data);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    check_ok(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
}

static inline uint32_t *read_tokens(const pri_safetensors *file, const char *name)
{
    const pri_stored_tensor *stored = stored_tensor(file, name);
    uint32_t *tokens = malloc(stored->bytes);
    assert_non_null(tokens);
    memcpy(tokens, stored->data, stored->bytes);
    return tokens;
}

/* Some gradients are zero but for rounding (those of key biases, which shift all scores of a row),
 * so the largest of all sets a scale too. */
static inline void expect_gradients(const pri_safetensors *file, pare_model *model)
{
    size_t count;
    const pare_parameter *parameters = pare_model_parameters(model, &count);
    double largest = 0.0;
    for (size_t i = 0; i < pri_safetensors_count(file); i++)
        if (!strncmp(pri_safetensors_at(file, i)->name, "gradient/", 9))
            largest = fmax(largest, largest_magnitude(pri_safetensors_at(file, i)));
    for (size_t i = 0; i < count; i++) {
        char name[160];
        snprintf(name, sizeof name, "gradient/%s", parameters[i].name);
        const pri_stored_tensor *expected = stored_tensor(file, name);
        expect_close_of("backward", parameters[i].tensor.gradient, expected,
                        fmax(largest_magnitude(expected), 1e-2 * largest));
    }
}

static inline void expect_trained_weights(const pri_safetensors *file, pare_model *model)
{
    size_t count;
    const pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++) {
        char name[160];
        snprintf(name, sizeof name, "trained/%s", parameters[i].name);
        const float *expected = stored_tensor(file, name)->data;
        const pare_tensor *tensor = &parameters[i].tensor;
        double sum = 0.0, squares = 0.0;
        for (size_t j = 0; j < tensor->rows * tensor->columns; j++) {
            sum += (double)tensor->value[j];
            squares += (double)tensor->value[j] * (double)tensor->value[j];
        }
        double norm = sqrt((double)expected[1] * (double)(tensor->rows * tensor->columns));
        if (fabs(squares - (double)expected[1]) > TRAINED_TOLERANCE * (double)expected[1] ||
            fabs(sum - (double)expected[0]) > TRAINED_TOLERANCE * norm)
            fail_msg("%s: sum %.9g, squares %.9g; expected %.9g, %.9g", name, sum, squares,
                     (double)expected[0], (double)expected[1]);
    }
}

/* One update as in the scripts; gradients that are zero up to rounding are why epsilon is larger
 * than usual. */
static inline void update_weights(pare_model *model, int step, float *m, float *v)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0, at = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        pri_adam adam = {.rate = 2e-3f,
                         .beta1 = 0.9f,
                         .beta2 = 0.999f,
                         .epsilon = 1e-5f,
                         .weight_decay = parameters[i].decay ? 0.1f : 0.0f,
                         .correction1 = (float)(1.0 - pow(0.9, step)),
                         .correction2 = (float)(1.0 - pow(0.999, step)),
                         .gradient_scale = 1.0f,
                         .decoupled = true};
        size_t size = tensor->rows * tensor->columns;
        pri_adam_update(context, &adam, size, tensor->value, tensor->gradient, m + at, v + at);
        at += size;
    }
}

/* Ten steps of AdamW on the loss that `run_loss` computes on the tape. */
static inline void expect_training(const pri_safetensors *file, pare_model *model,
                                   pare_tensor *(*run_loss)(const void *golden), const void *golden)
{
    size_t floats = pare_model_parameter_floats(model);
    float *m = calloc(floats, sizeof *m), *v = calloc(floats, sizeof *v), losses[10];
    assert_true(m && v);
    for (int step = 1; step <= 10; step++) {
        pare_model_zero_gradients(model);
        pare_tape_begin(tape, true, 0);
        pare_tensor *loss = run_loss(golden);
        check_ok(pare_tape_status(tape));
        losses[step - 1] = loss->value[0];
        check_ok(pare_tape_backward(tape, loss, 1.0f));
        update_weights(model, step, m, v);
    }
    expect_close("training", losses, stored_tensor(file, "training_losses"));
    expect_trained_weights(file, model);
    free(m);
    free(v);
}

#endif
