/* A training run small enough to be repeated a hundred times: a Transformer-XL of some thousand
 * parameters on a text of some thousand bytes, with dropout, accumulation and memory. */
#ifndef PARE_TESTS_TRAIN_TRAINING_FIXTURE_H
#define PARE_TESTS_TRAIN_TRAINING_FIXTURE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "pare/train.h"

typedef struct training_fixture {
    pare_context *context;
    pare_tape *tape;
    pare_task *task;
    pare_model *model;
} training_fixture;

static inline void demand(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fixture: %s: %s\n", what, pare_error_message());
    abort();
}

/* In memory where there is such a place: these tests flush hundreds of small files. */
static inline char *make_directory(void)
{
    char in_memory[] = "/dev/shm/pare-train-XXXXXX", on_disk[] = "/tmp/pare-train-XXXXXX";
    if (mkdtemp(in_memory))
        return pri_string_copy(in_memory);
    demand(mkdtemp(on_disk) != NULL, "temporary directory");
    return pri_string_copy(on_disk);
}

static inline void write_text(const char *path, uint64_t seed, size_t bytes)
{
    char *text = pri_allocate(bytes, 1);
    for (size_t i = 0; i < bytes; i++)
        text[i] = "aabcdef ghab \n"[pri_random_below(seed, i, 14)];
    demand(pri_file_replace(path, text, bytes) == PARE_OK, "text");
    pri_free(text);
}

/* train.txt and valid.txt; runs of one test read the same ones. */
static inline void write_corpus(const char *directory)
{
    char *train = pri_path_join(directory, "train.txt");
    char *valid = pri_path_join(directory, "valid.txt");
    write_text(train, 1, 1200);
    write_text(valid, 2, 300);
    pri_free(train);
    pri_free(valid);
}

static inline training_fixture open_fixture(const char *corpus, int threads)
{
    training_fixture fixture;
    const pare_context_options context_options = {.threads = threads};
    demand(pare_context_create(&context_options, &fixture.context) == PARE_OK, "context");
    demand(pare_tape_create(fixture.context, &fixture.tape) == PARE_OK, "tape");
    char *train = pri_path_join(corpus, "train.txt"), *valid = pri_path_join(corpus, "valid.txt");
    const pare_language_modelling_options options = {
        .train = train,
        .valid = valid,
        .test = valid,
        .vocabulary = {.level = PARE_TEXT_BYTE},
        .lanes = 4,
        .length = 8,
        .evaluation_lanes = 4,
    };
    demand(pare_language_modelling_create(&options, NULL, &fixture.task) == PARE_OK, "task");
    pri_free(train);
    pri_free(valid);
    pare_transformer_xl_config config = pare_transformer_xl_config_default();
    config.vocabulary = 256;
    config.layers = 2;
    config.heads = 2;
    config.head_size = 4;
    config.size = 8;
    config.embedding_size = 8;
    config.feed_forward = 12;
    config.memory = 8;
    config.dropout = .1f;
    config.attention_dropout = .1f;
    demand(pare_transformer_xl_create(fixture.context, &config, 5, &fixture.model) == PARE_OK,
           "model");
    return fixture;
}

static inline void close_fixture(training_fixture *fixture)
{
    pare_model_destroy(fixture->model);
    pare_task_destroy(fixture->task);
    pare_tape_destroy(fixture->tape);
    pare_context_destroy(fixture->context);
}

static inline pare_training_options small_options(void)
{
    pare_training_options options = pare_training_options_default();
    options.rate = .01;
    options.steps = 12;
    options.accumulation = 2;
    options.evaluate_every = 4;
    options.checkpoint_every = 3;
    options.log_every = 5;
    options.warmup = 2;
    return options;
}

/* ---- Comparing two run directories ---- */

static inline uint8_t *read_whole(const char *directory, const char *name, size_t *size)
{
    char *path = pri_path_join(directory, name);
    uint8_t *data;
    demand(pri_file_read(path, 0, &data, size) == PARE_OK, path);
    pri_free(path);
    return data;
}

static inline bool same_file(const char *a, const char *b, const char *name)
{
    size_t size_a, size_b;
    uint8_t *data_a = read_whole(a, name, &size_a), *data_b = read_whole(b, name, &size_b);
    bool same = size_a == size_b && !memcmp(data_a, data_b, size_a);
    if (!same)
        fprintf(stderr, "%s differs between %s and %s\n", name, a, b);
    pri_free(data_a);
    pri_free(data_b);
    return same;
}

/* What two runs of the same bits may differ in; log_bytes counts digits of seconds. */
static inline void drop_times(json_t *object)
{
    static const char *const times[] = {"seconds", "attention_seconds", "peak_bytes", "log_bytes"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        json_object_del(object, times[i]);
}

/* The objects of a file of JSON lines, or the one object of trainer.json, without times. */
static inline json_t *read_objects(const char *directory, const char *name)
{
    size_t size;
    uint8_t *data = read_whole(directory, name, &size);
    json_t *objects = json_array();
    for (size_t used = 0; used < size;) {
        json_error_t error;
        json_t *object =
            json_loadb((const char *)data + used, size - used, JSON_DISABLE_EOF_CHECK, &error);
        demand(object != NULL, error.text);
        drop_times(object);
        if (json_object_get(object, "state"))
            drop_times(json_object_get(object, "state"));
        json_array_append_new(objects, object);
        used += (size_t)error.position;
        while (used < size && (data[used] == '\n' || data[used] == ' '))
            used++;
    }
    pri_free(data);
    return objects;
}

static inline bool same_objects(const char *a, const char *b, const char *name)
{
    json_t *objects_a = read_objects(a, name), *objects_b = read_objects(b, name);
    bool same = json_equal(objects_a, objects_b);
    if (!same)
        fprintf(stderr, "%s differs between %s and %s\n", name, a, b);
    json_decref(objects_a);
    json_decref(objects_b);
    return same;
}

/* Weights, best weights, moments, data position, state and log: all the same? */
static inline bool same_runs(const char *a, const char *b, const char *checkpoint)
{
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors",
                                        "task.safetensors"};
    bool same = same_file(a, b, "model.safetensors") && same_file(a, b, "config.json");
    for (size_t i = 0; i < 3; i++) {
        char name[128];
        snprintf(name, sizeof name, "last/%s/%s", checkpoint, files[i]);
        same = same && same_file(a, b, name);
    }
    return same && same_objects(a, b, "trainer.json") && same_objects(a, b, "log.jsonl");
}

#endif
