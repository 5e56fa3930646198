/* Language modelling against loops written out by hand: batches, resuming, evaluation, observation.
 * The models are tiny Transformer-XLs whose weights are enlarged so that context matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "pare/task.h"
#include "status_check.h"
#include "tasks/observe_one.h"

static char directory[] = "/tmp/pare-test-tasks-XXXXXX";
static pare_context *context;
static pare_tape *tape;

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory) ||
        pare_context_create(&(pare_context_options){.threads = 2}, &context) != PARE_OK)
        return -1;
    return pare_tape_create(context, &tape) == PARE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return pri_remove_tree(directory) == PARE_OK ? 0 : -1;
}

/* The same pointer for the same name, valid to the end. */
static const char *path_of(const char *name)
{
    static char paths[32][256];
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    size_t i = 0;
    while (paths[i][0] && strcmp(paths[i], path))
        assert_true(++i < 32);
    return strcpy(paths[i], path);
}

static const char *write_text(const char *name, const char *text)
{
    const char *path = path_of(name);
    assert_int_equal(pri_file_replace(path, text, strlen(text)), PARE_OK);
    return path;
}

/* `words` words of ten kinds on one line: words + 1 tokens, a vocabulary of 12. */
static const char *write_words(const char *name, size_t words, uint64_t seed)
{
    char *text = malloc(2 * words + 1);
    assert_non_null(text);
    for (size_t i = 0; i < words; i++) {
        /* The first ten make sure that every kind occurs. */
        text[2 * i] = (char)('a' + (i < 10 ? i : pri_random_below(seed, i, 10)));
        text[2 * i + 1] = i + 1 < words ? ' ' : '\n';
    }
    text[2 * words] = 0;
    const char *path = write_text(name, text);
    free(text);
    return path;
}

#define VOCABULARY 12

static pare_task *create_task(pare_language_modelling_options options)
{
    pare_task *task;
    pare_status status = pare_language_modelling_create(&options, NULL, &task);
    if (status != PARE_OK)
        fail_msg("%s", pare_error_message());
    return task;
}

static pare_transformer_xl_config tiny_config(void)
{
    pare_transformer_xl_config config = pare_transformer_xl_config_default();
    config.vocabulary = VOCABULARY;
    config.layers = 2;
    config.heads = 2;
    config.head_size = 8;
    config.size = config.embedding_size = 16;
    config.feed_forward = 24;
    config.memory = 6;
    config.dropout = config.attention_dropout = 0.1f;
    return config;
}

static pare_model *create_model(pare_transformer_xl_config config)
{
    pare_model *model;
    if (pare_transformer_xl_create(context, &config, 7, &model) != PARE_OK)
        fail_msg("%s", pare_error_message());
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0;
             parameters[i].decay && j < parameters[i].tensor.rows * parameters[i].tensor.columns;
             j++)
            parameters[i].tensor.value[j] *= 20;
    return model;
}

static void fill_parameters(pare_model *model, float value)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parameters[i].tensor.rows * parameters[i].tensor.columns; j++)
            parameters[i].tensor.value[j] = value;
}

static void read_ids(const pare_task *task, const char *path, pare_tokens *tokens)
{
    assert_int_equal(pare_tokens_read(pare_language_modelling_vocabulary(task), path, tokens),
                     PARE_OK);
}

static float training_loss(pare_task *task, pare_model *model, uint64_t key)
{
    pare_tape_begin(tape, true, key);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    if (pare_tape_status(tape) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return *loss->value;
}

/* ---- Data ---- */

static void test_single_file_is_split_by_lines(void **state)
{
    (void)state;
    char text[1024] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, i < 36 ? "train a\n" : i < 38 ? "valid\n" : "test b c\n");
    pare_language_modelling_options options = {
        .train = write_text("one", text), .lanes = 2, .length = 4};
    pare_task *task = create_task(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 36 * 3);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_VALID), 2 * 2);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 2 * 4);
    /* Words of the held-out lines are unknown. */
    assert_int_equal(pare_vocabulary_size(pare_language_modelling_vocabulary(task)), 4);
    pare_task_destroy(task);

    options.train = write_text("one", "a b\nc d\ne f");
    options.lanes = 1;
    task = create_task(options);
    for (int split = 0; split < PARE_SPLIT_COUNT; split++)
        assert_int_equal(pare_task_examples(task, (pare_split)split), 3);
    pare_task_destroy(task);
}

static void test_bad_options(void **state)
{
    (void)state;
    const char *words = write_words("train", 20, 1);
    pare_task *task;
    pare_language_modelling_options options = {.lanes = 2, .length = 4};
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_ARGUMENT,
                 "no training text");
    options.train = words;
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_FORMAT,
                 "cannot be split");
    options.valid = words;
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_ARGUMENT,
                 "data.test is missing");
    options.test = write_text("newline", "\n");
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_FORMAT,
                 "single token");
    options.test = path_of("absent");
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_FILE, "absent");
    options.test = words;
    options.lanes = 11; /* 21 tokens */
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_ARGUMENT,
                 "too few for 11 lanes");
    options.lanes = 0;
    assert_fails(pare_language_modelling_create(&options, NULL, &task), PARE_ERROR_ARGUMENT,
                 "1 or more");
    assert_null(task);
}

static void test_wrong_vocabulary(void **state)
{
    (void)state;
    const char *words = write_words("train", 30, 1);
    pare_task *task = create_task((pare_language_modelling_options){
        .train = words, .valid = words, .test = words, .lanes = 2, .length = 4});
    pare_transformer_xl_config config = tiny_config();
    config.vocabulary = 99;
    pare_model *model = create_model(config);
    pare_evaluation evaluation;
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "the model knows 99 tokens and the vocabulary has 12");
    pare_tape_begin(tape, true, 0);
    assert_null(pare_task_training_loss(task, model, tape));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Training batches ---- */

/* 24 tokens in 2 lanes of 11 (12 - 1) predictions: segments of 4, 4 and 3. */
static void test_batches_by_hand(void **state)
{
    (void)state;
    const char *words = write_words("train", 24, 1); /* 25 tokens; the last is dropped */
    pare_task *task = create_task((pare_language_modelling_options){
        .train = words, .valid = words, .test = words, .lanes = 2, .length = 4});
    assert_int_equal(pare_task_batches_per_epoch(task), 3);
    const uint64_t tokens_after[] = {0, 8, 16, 22, 30, 38, 44, 52};
    for (uint64_t batches = 0; batches < 8; batches++)
        assert_int_equal(pare_task_training_tokens(task, batches), tokens_after[batches]);
    assert_string_equal(pare_task_metric(task), "perplexity");
    assert_false(pare_task_higher_is_better(task));

    pare_tokens tokens;
    read_ids(task, words, &tokens);
    pare_model *model = create_model(tiny_config());
    pare_memory *memory;
    assert_int_equal(pare_memory_create(model, 2, 6, &memory), PARE_OK);
    const size_t begins[] = {0, 4, 8}, lengths[] = {4, 4, 3};
    for (size_t batch = 0; batch < 7; batch++) {
        size_t begin = begins[batch % 3], length = lengths[batch % 3];
        uint32_t inputs[8], targets[8];
        for (size_t lane = 0; lane < 2; lane++) {
            memcpy(inputs + lane * length, tokens.ids + 12 * lane + begin, length * sizeof *inputs);
            memcpy(targets + lane * length, tokens.ids + 12 * lane + begin + 1,
                   length * sizeof *targets);
        }
        if (batch % 3 == 0)
            pare_memory_clear(memory);
        pare_tape_begin(tape, true, batch);
        pare_tensor *loss = pare_language_model_loss(
            model, tape, memory, &(pare_segment){2, length, inputs, targets}, NULL);
        assert_non_null(loss);
        float expected = *loss->value;
        assert_true(training_loss(task, model, batch) == expected);
    }
    pare_memory_destroy(memory);
    pare_model_destroy(model);
    pare_tokens_free(&tokens);
    pare_task_destroy(task);
}

#define RESUME_BATCHES 12

/* A run of 12 batches of 5 per epoch, stopped before batch `stop`, equals the uninterrupted one. */
static void test_resuming(void **state)
{
    (void)state;
    const char *words = write_words("train", 60, 1);
    pare_language_modelling_options options = {
        .train = words, .valid = words, .test = words, .lanes = 3, .length = 4};
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(options);
    assert_int_equal(pare_task_batches_per_epoch(task), 5);
    float expected[RESUME_BATCHES];
    for (uint64_t batch = 0; batch < RESUME_BATCHES; batch++)
        expected[batch] = training_loss(task, model, batch);
    assert_true(expected[0] != expected[1] && expected[1] != expected[2]);

    for (uint64_t stop = 0; stop < RESUME_BATCHES; stop++) {
        pare_task_rewind(task);
        for (uint64_t batch = 0; batch < stop; batch++)
            assert_true(training_loss(task, model, batch) == expected[batch]);
        assert_int_equal(pare_task_save_state(task, path_of("state")), PARE_OK);
        pare_task *other = create_task(options);
        assert_int_equal(pare_task_load_state(other, path_of("state")), PARE_OK);
        /* Saved again before the first batch, it is the same state. */
        assert_int_equal(pare_task_save_state(other, path_of("again")), PARE_OK);
        assert_int_equal(pare_task_load_state(other, path_of("again")), PARE_OK);
        for (uint64_t batch = stop; batch < RESUME_BATCHES; batch++)
            assert_true(training_loss(other, model, batch) == expected[batch]);
        pare_task_destroy(other);
    }
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void test_bad_states(void **state)
{
    (void)state;
    const char *words = write_words("train", 60, 1);
    pare_language_modelling_options options = {
        .train = words, .valid = words, .test = words, .lanes = 3, .length = 4};
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(options);
    training_loss(task, model, 0);
    assert_int_equal(pare_task_save_state(task, path_of("state")), PARE_OK);
    float expected = training_loss(task, model, 1);

    options.length = 5;
    pare_task *other = create_task(options);
    assert_fails(pare_task_load_state(other, path_of("state")), PARE_ERROR_ARGUMENT, "other data");
    pare_task_destroy(other);

    /* A state that is refused leaves the task where it was. */
    uint8_t *data;
    size_t size;
    assert_int_equal(pare_task_load_state(task, path_of("state")), PARE_OK);
    assert_int_equal(pri_file_read(path_of("state"), 0, &data, &size), PARE_OK);
    assert_int_equal(pri_file_replace(path_of("cut"), data, size - 4), PARE_OK);
    pri_free(data);
    assert_int_equal(pare_task_load_state(task, path_of("cut")), PARE_ERROR_FORMAT);
    assert_int_equal(pare_task_load_state(task, path_of("absent")), PARE_ERROR_FILE);
    assert_true(training_loss(task, model, 1) == expected);

    /* Memory of a model of another size. */
    assert_int_equal(pare_task_load_state(task, path_of("state")), PARE_OK);
    pare_transformer_xl_config config = tiny_config();
    config.layers = 3;
    pare_model *deeper = create_model(config);
    pare_tape_begin(tape, true, 1);
    assert_null(pare_task_training_loss(task, deeper, tape));
    assert_fails(pare_tape_status(tape), PARE_ERROR_ARGUMENT, "the model that was trained");
    pare_model_destroy(deeper);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Evaluation ---- */

#define STREAM 301 /* tokens of the evaluated split: 300 predictions */

static pare_language_modelling_options evaluation_options(void)
{
    const char *words = write_words("train", 40, 1);
    return (pare_language_modelling_options){.train = words,
                                             .valid = write_words("valid", STREAM - 1, 2),
                                             .test = words,
                                             .lanes = 2,
                                             .length = 4};
}

static pare_evaluation evaluate(pare_model *model, pare_language_modelling_options options)
{
    pare_task *task = create_task(options);
    pare_evaluation evaluation;
    if (pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation) != PARE_OK)
        fail_msg("%s", pare_error_message());
    assert_int_equal(evaluation.tokens, STREAM - 1);
    assert_near(evaluation.metric, exp(evaluation.loss), 1e-12 * evaluation.metric);
    pare_task_destroy(task);
    return evaluation;
}

/* Tokens begin .. end of the stream in one lane, memory empty at first: the summed loss. */
static double loss_of_stream(pare_model *model, const uint32_t *ids, size_t predictions,
                             size_t length, size_t memory_length)
{
    pare_memory *memory;
    assert_int_equal(pare_memory_create(model, 1, memory_length, &memory), PARE_OK);
    double sum = 0;
    for (size_t begin = 0; begin < predictions; begin += length) {
        size_t count = predictions - begin < length ? predictions - begin : length;
        float *losses = malloc(count * sizeof *losses);
        assert_non_null(losses);
        pare_tape_begin(tape, false, 0);
        pare_language_model_loss(model, tape, memory,
                                 &(pare_segment){1, count, ids + begin, ids + begin + 1}, losses);
        assert_int_equal(pare_tape_status(tape), PARE_OK);
        for (size_t i = 0; i < count; i++)
            sum += losses[i];
        free(losses);
    }
    pare_memory_destroy(memory);
    return sum;
}

static void test_evaluation_counts_every_token_once(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_language_modelling_options options = evaluation_options();
    options.evaluation_length = 7; /* 300 = 42 * 7 + 6 */
    options.evaluation_memory = 5;
    pare_task *task = create_task(options);
    pare_tokens tokens;
    read_ids(task, options.valid, &tokens);
    assert_int_equal(tokens.count, STREAM);
    pare_task_destroy(task);
    double expected = loss_of_stream(model, tokens.ids, STREAM - 1, 7, 5) / (STREAM - 1);
    const size_t lanes[] = {1, 2, 3, 7, 10, 1000};
    for (size_t i = 0; i < 6; i++) {
        options.evaluation_lanes = lanes[i];
        assert_near(evaluate(model, options).loss, expected, 1e-6);
    }
    /* Two lanes without warm-up would not pass. */
    double first = loss_of_stream(model, tokens.ids, 147, 7, 5);
    double second = loss_of_stream(model, tokens.ids + 147, 153, 7, 5);
    assert_true(fabs((first + second) / (STREAM - 1) - expected) > 1e-5);
    pare_tokens_free(&tokens);
    pare_model_destroy(model);
}

/* With same_length every token sees the same number of keys, whatever the segment length. */
static void test_evaluation_at_equal_context(void **state)
{
    (void)state;
    pare_transformer_xl_config config = tiny_config();
    config.same_length = true;
    pare_model *model = create_model(config);
    pare_language_modelling_options options = evaluation_options();
    options.evaluation_memory = config.memory;
    options.evaluation_length = 300;
    options.evaluation_lanes = 1;
    double expected = evaluate(model, options).loss;
    for (size_t length = 1; length <= 20; length += length < 8 ? 1 : 4) {
        for (size_t lanes = 1; lanes <= 4; lanes += 3) {
            options.evaluation_length = length;
            options.evaluation_lanes = lanes;
            assert_near(evaluate(model, options).loss, expected, 1e-6);
        }
    }
    pare_model_destroy(model);
}

/* mem_len + training length - evaluation length, as in the reference. */
static void test_default_evaluation_memory(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_language_modelling_options options = evaluation_options();
    options.evaluation_length = 3;
    double by_default = evaluate(model, options).loss;
    options.evaluation_memory = 6 + 4 - 3;
    assert_true(evaluate(model, options).loss == by_default);
    options.evaluation_memory = 6;
    assert_true(evaluate(model, options).loss != by_default);
    pare_model_destroy(model);
}

static void test_bits_per_byte(void **state)
{
    (void)state;
    const char *text = write_text("bytes", "any bytes\n\xff\xfe\n");
    pare_task *task =
        create_task((pare_language_modelling_options){.train = text,
                                                      .valid = text,
                                                      .test = text,
                                                      .vocabulary = {.level = PARE_TEXT_BYTE},
                                                      .lanes = 2,
                                                      .length = 3});
    assert_string_equal(pare_task_metric(task), "bits per byte");
    pare_transformer_xl_config config = tiny_config();
    config.vocabulary = 256;
    pare_model *model = create_model(config);
    fill_parameters(model, 0); /* all bytes equally likely: 8 bits */
    pare_evaluation evaluation;
    assert_int_equal(pare_task_evaluate(task, model, tape, PARE_SPLIT_TEST, NULL, &evaluation),
                     PARE_OK);
    assert_int_equal(evaluation.tokens, 12);
    assert_near(evaluation.metric, 8, 1e-6);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void test_evaluation_leaves_training_alone(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(evaluation_options());
    float expected[3];
    for (uint64_t batch = 0; batch < 3; batch++)
        expected[batch] = training_loss(task, model, batch);
    pare_task_rewind(task);
    for (uint64_t batch = 0; batch < 3; batch++) {
        assert_true(training_loss(task, model, batch) == expected[batch]);
        pare_evaluation evaluation;
        assert_int_equal(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                         PARE_OK);
    }
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void remember_event(void *user, const pare_progress_event *event)
{
    pare_progress_event *last = user;
    assert_true(event->done > last->done || last->done == 0);
    *last = *event;
    last->label = strstr(event->label, "valid") ? "valid" : "?";
}

static void test_progress_and_interruption(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(evaluation_options());
    pare_progress_event last = {0};
    pare_progress progress = {remember_event, &last};
    pare_evaluation evaluation;
    assert_int_equal(
        pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, &progress, &evaluation), PARE_OK);
    assert_int_equal(last.done, STREAM - 1);
    assert_int_equal(last.total, STREAM - 1);
    assert_string_equal(last.label, "valid");
    pare_interrupt();
    pare_average *average;
    assert_int_equal(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                     PARE_ERROR_INTERRUPTED);
    assert_int_equal(observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average),
                     PARE_ERROR_INTERRUPTED);
    assert_null(average);
    pare_interrupt_clear();
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void test_damaged_weights(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    fill_parameters(model, NAN);
    pare_task *task = create_task(evaluation_options());
    pare_evaluation evaluation;
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_NUMERIC, "not a finite number");
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Observation ---- */

static pare_average *observe(pare_model *model, size_t lanes)
{
    pare_language_modelling_options options = evaluation_options();
    options.lanes = lanes;
    pare_task *task = create_task(options);
    pare_average *average;
    if (observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average) != PARE_OK)
        fail_msg("%s", pare_error_message());
    pare_task_destroy(task);
    return average;
}

static double average_value(const pare_average *average, size_t layer, size_t head, size_t row,
                            size_t column)
{
    return pare_average_value(average, PARE_AVERAGE_VALID, layer, head, row, column);
}

/* With all weights zero a row spreads its attention evenly. Segments of 4 with memory 6: the first
 * of the 75 has none before it, the second 4 tokens, the others 6. */
static void test_average_of_even_attention(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    fill_parameters(model, 0);
    for (size_t lanes = 1; lanes <= 3; lanes += 2) {
        pare_average *average = observe(model, lanes);
        assert_int_equal(pare_average_examples(average), 75);
        for (size_t row = 0; row < 4; row++) {
            double first = 1.0 / (double)(row + 1), second = 1.0 / (double)(row + 5);
            double later = 1.0 / (double)(row + 7);
            for (size_t column = 0; column < 10; column++) {
                uint64_t count = column > row + 6 ? 0 : column >= 6 ? 75 : column >= 2 ? 74 : 73;
                assert_int_equal(pare_average_count(average, row, column), count);
                double sum = 73 * later + (column >= 2 ? second : 0) + (column >= 6 ? first : 0);
                double value = average_value(average, 1, 1, row, column);
                if (count)
                    assert_near(value, sum / (double)count, 1e-7);
                else
                    assert_true(isnan(value));
            }
        }
        pare_average_destroy(average);
    }
    pare_model_destroy(model);
}

/* The number of lanes changes nothing, and one lane is the model's own observation of the stream.
 */
static void test_average_is_independent_of_lanes(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_language_modelling_options options = evaluation_options();
    pare_task *task = create_task(options);
    pare_tokens tokens;
    read_ids(task, options.valid, &tokens);
    pare_task_destroy(task);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 4);
    pare_average *expected;
    assert_int_equal(pare_average_create(&geometry, &expected), PARE_OK);
    pare_model_observe(model, PARE_ATTENTION_SELF, expected);
    loss_of_stream(model, tokens.ids, STREAM - 1, 4, 6);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    double spread = 0;
    for (size_t lanes = 1; lanes <= 8; lanes++) {
        pare_average *average = observe(model, lanes);
        assert_int_equal(pare_average_examples(average), 75);
        for (size_t cell = 0; cell < 2 * 2 * 4 * 10; cell++) {
            size_t layer = cell / 80, head = cell / 40 % 2, row = cell / 10 % 4, column = cell % 10;
            assert_int_equal(pare_average_count(average, row, column),
                             pare_average_count(expected, row, column));
            if (column > row + 6)
                continue;
            double value = average_value(expected, layer, head, row, column);
            assert_near(average_value(average, layer, head, row, column), value, 1e-6);
            spread = fmax(spread, fabs(value - 1.0 / (double)(row + 7)));
        }
        pare_average_destroy(average);
    }
    assert_true(spread > 0.01); /* the attention is not even */
    pare_average_destroy(expected);
    pare_tokens_free(&tokens);
    pare_model_destroy(model);
}

/* Observation sees the dense model and leaves the mask as it was. */
static void test_observation_is_dense(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_average *dense = observe(model, 2);
    pare_mask *mask;
    pare_prune_options prune = {.percent = 60};
    assert_int_equal(pare_mask_create(dense, &prune, &mask), PARE_OK);
    pare_language_modelling_options options = evaluation_options();
    double before = evaluate(model, options).loss;
    assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask), PARE_OK);
    double pruned = evaluate(model, options).loss;
    assert_true(pruned != before);
    pare_average *again = observe(model, 2);
    assert_ptr_equal(pare_model_mask(model, PARE_ATTENTION_SELF), mask);
    for (size_t cell = 0; cell < 2 * 2 * 4 * 10; cell++) {
        size_t layer = cell / 80, head = cell / 40 % 2, row = cell / 10 % 4, column = cell % 10;
        if (column <= row + 6)
            assert_true(average_value(again, layer, head, row, column) ==
                        average_value(dense, layer, head, row, column));
    }
    assert_true(evaluate(model, options).loss == pruned);
    pare_mask_report report = pare_mask_describe(mask);
    assert_string_equal(report.corpus, "valid");
    pare_average_destroy(again);
    pare_average_destroy(dense);
    assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL), PARE_OK);
    pare_mask_destroy(mask);
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_file_is_split_by_lines),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_wrong_vocabulary),
        cmocka_unit_test(test_batches_by_hand),
        cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_bad_states),
        cmocka_unit_test(test_evaluation_counts_every_token_once),
        cmocka_unit_test(test_evaluation_at_equal_context),
        cmocka_unit_test(test_default_evaluation_memory),
        cmocka_unit_test(test_bits_per_byte),
        cmocka_unit_test(test_evaluation_leaves_training_alone),
        cmocka_unit_test(test_progress_and_interruption),
        cmocka_unit_test(test_damaged_weights),
        cmocka_unit_test(test_average_of_even_attention),
        cmocka_unit_test(test_average_is_independent_of_lanes),
        cmocka_unit_test(test_observation_is_dense),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
