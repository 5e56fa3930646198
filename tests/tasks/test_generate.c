/* Generation: what is emitted, and how often. A model whose weights are all zero gives every
 * position the distribution of its output bias, which makes the frequencies known. */
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
#include "base/text_buffer.h"
#include "pare/task.h"
#include "status_check.h"

static char directory[] = "/tmp/pare-test-generate-XXXXXX";
static pare_context *context;
static pare_tape *tape;
static pare_vocabulary *vocabulary; /* a b c d <eos> <unk>, ids in this order */

static int set_up(void **state)
{
    (void)state;
    char path[64];
    const char text[] = "a a a a a b b b b c c c d d\n";
    if (!mkdtemp(directory) || pare_context_create(NULL, &context) != PARE_OK ||
        pare_tape_create(context, &tape) != PARE_OK)
        return -1;
    snprintf(path, sizeof path, "%s/text", directory);
    pare_vocabulary_options options = {.level = PARE_TEXT_WORD};
    if (pri_file_replace(path, text, sizeof text - 1) != PARE_OK)
        return -1;
    return pare_vocabulary_build(path, &options, &vocabulary) == PARE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    pare_vocabulary_destroy(vocabulary);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return pri_remove_tree(directory) == PARE_OK ? 0 : -1;
}

static pare_transformer_xl_config tiny_config(void)
{
    pare_transformer_xl_config config = pare_transformer_xl_config_default();
    config.vocabulary = 6;
    config.layers = 2;
    config.heads = 2;
    config.head_size = 4;
    config.size = config.embedding_size = 8;
    config.feed_forward = 16;
    config.memory = 5;
    return config;
}

/* Scales all weights that decay; 0: every parameter becomes 0. */
static pare_model *create_model(pare_transformer_xl_config config, float scale)
{
    pare_model *model;
    if (pare_transformer_xl_create(context, &config, 3, &model) != PARE_OK)
        fail_msg("%s", pare_error_message());
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parameters[i].tensor.rows * parameters[i].tensor.columns; j++)
            if (parameters[i].decay || scale == 0)
                parameters[i].tensor.value[j] *= scale;
    return model;
}

static pare_model *create_biased_model(const double probabilities[6])
{
    pare_model *model = create_model(tiny_config(), 0);
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parameters[i].name, "crit.out_layers.0.bias"))
            for (size_t id = 0; id < 6; id++)
                parameters[i].tensor.value[id] = (float)log(probabilities[id]);
    return model;
}

static void append(void *user, const char *bytes, size_t length)
{
    pri_text_append_bytes(user, bytes, length);
}

static void generate(pare_model *model, const char *prompt, pare_generate_options options,
                     pri_text *text)
{
    pri_text_free(text);
    options.emit = append;
    options.user = text;
    if (pare_generate(model, tape, vocabulary, prompt, &options) != PARE_OK)
        fail_msg("%s", pare_error_message());
    assert_non_null(text->data);
}

static void test_words_and_lines(void **state)
{
    (void)state;
    pri_text text = {0};
    pare_generate_options options = {.tokens = 3, .temperature = 0, .top_p = 1};
    pare_model *model = create_biased_model((const double[]){.1, .5, .1, .1, .1, .1});
    generate(model, "a", options, &text);
    assert_string_equal(text.data, " b b b");
    generate(model, "a\n", options, &text);
    assert_string_equal(text.data, "b b b");
    generate(model, "", options, &text);
    assert_string_equal(text.data, "b b b");
    pare_model_destroy(model);
    model = create_biased_model((const double[]){.1, .1, .1, .1, .5, .1});
    generate(model, "a", options, &text);
    assert_string_equal(text.data, "\n\n\n");
    pare_model_destroy(model);
    pri_text_free(&text);
}

/* Counts the emitted tokens by their first letters: "<unk>" is known by its bracket. */
static void count_tokens(const pri_text *text, size_t counts[6])
{
    memset(counts, 0, 6 * sizeof *counts);
    for (size_t i = 0; i < text->length; i++) {
        char c = text->data[i];
        if (c >= 'a' && c <= 'd')
            counts[c - 'a']++;
        counts[4] += c == '\n';
        counts[5] += c == '<';
    }
}

static void assert_frequencies(pare_model *model, pare_generate_options options,
                               const double expected[6])
{
    pri_text text = {0};
    size_t counts[6];
    options.tokens = 3000;
    options.seed = 11;
    generate(model, "a b c", options, &text);
    count_tokens(&text, counts);
    for (size_t id = 0; id < 6; id++) {
        /* Four standard deviations of a binomial count. */
        double tolerance = 4 * sqrt(expected[id] * (1 - expected[id]) / 3000);
        assert_near((double)counts[id] / 3000, expected[id], tolerance + 1e-12);
    }
    pri_text_free(&text);
}

static void test_frequencies(void **state)
{
    (void)state;
    pare_model *model = create_biased_model((const double[]){.1, .4, .2, .05, .15, .1});
    assert_frequencies(model, (pare_generate_options){.temperature = 1, .top_p = 1},
                       (const double[]){.1, .4, .2, .05, .15, .1});
    assert_frequencies(model, (pare_generate_options){.temperature = 1, .top_p = 1, .top_k = 2},
                       (const double[]){0, 2. / 3, 1. / 3, 0, 0, 0});
    /* .4 + .2 < .7 <= .4 + .2 + .15 */
    assert_frequencies(model, (pare_generate_options){.temperature = 1, .top_p = .7},
                       (const double[]){0, .4 / .75, .2 / .75, 0, .15 / .75, 0});
    /* Temperature 1/2 squares: .01 .16 .04 .0025 .0225 .01, sum .245 */
    assert_frequencies(model, (pare_generate_options){.temperature = .5, .top_p = 1},
                       (const double[]){.01 / .245, .16 / .245, .04 / .245, .0025 / .245,
                                        .0225 / .245, .01 / .245});
    assert_frequencies(model, (pare_generate_options){.temperature = 0, .top_p = 1},
                       (const double[]){0, 1, 0, 0, 0, 0});
    pare_model_destroy(model);
}

static void test_seeds(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config(), 20);
    pri_text first = {0}, same = {0}, other = {0};
    pare_generate_options options = {.tokens = 60, .temperature = 1, .top_p = 1, .seed = 5};
    generate(model, "a b", options, &first);
    generate(model, "a b", options, &same);
    options.seed = 6;
    generate(model, "a b", options, &other);
    assert_string_equal(first.data, same.data);
    assert_string_not_equal(first.data, other.data);
    options.top_k = 1;
    generate(model, "a b", options, &first);
    options.temperature = 0;
    generate(model, "a b", options, &same);
    assert_string_equal(first.data, same.data);
    pri_text_free(&first);
    pri_text_free(&same);
    pri_text_free(&other);
    pare_model_destroy(model);
}

static uint32_t next_by_hand(pare_model *model, pare_memory *memory, const uint32_t *ids,
                             size_t count)
{
    float log_probabilities[6];
    pare_segment segment = {1, count, ids, ids};
    pare_tape_begin(tape, false, 0);
    assert_int_equal(pare_language_model_next(model, tape, memory, &segment, log_probabilities),
                     PARE_OK);
    uint32_t best = 0;
    for (uint32_t id = 1; id < 6; id++)
        if (log_probabilities[id] > log_probabilities[best])
            best = id;
    return best;
}

/* The most likely continuation, token by token with memory, written out by hand; the prompt is
 * longer than the memory and so comes in two segments. */
static void test_greedy_by_hand(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config(), 20);
    const uint32_t prompt[] = {0, 1, 2, 3, 0, 2, 4, 3, 1};
    static const char *const words[] = {" a", " b", " c", " d", "\n", " <unk>"};
    pare_memory *memory;
    assert_int_equal(pare_memory_create(model, 1, 5, &memory), PARE_OK);
    pri_text expected = {0}, text = {0};
    next_by_hand(model, memory, prompt, 5);
    uint32_t token = next_by_hand(model, memory, prompt + 5, 4), previous = prompt[8];
    for (size_t i = 0; i < 5; i++) {
        bool line_begins = previous == 4 && token != 4;
        pri_text_append(&expected, "%s", words[token] + line_begins);
        previous = token;
        token = next_by_hand(model, memory, &previous, 1);
    }
    generate(model, "a b c d a c\nd b",
             (pare_generate_options){.tokens = 5, .temperature = 0, .top_p = 1}, &text);
    assert_string_equal(text.data, expected.data);
    pri_text_free(&expected);
    pri_text_free(&text);
    pare_memory_destroy(memory);
    pare_model_destroy(model);
}

static void test_refusals(void **state)
{
    (void)state;
    pri_text text = {0};
    pare_model *model = create_model(tiny_config(), 1);
    pare_generate_options options = {
        .tokens = 1, .temperature = -1, .top_p = 1, .emit = append, .user = &text};
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_ARGUMENT);
    options.temperature = NAN;
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_ARGUMENT);
    options.temperature = 1;
    options.top_p = 0;
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_ARGUMENT);
    options.top_p = 1;
    options.emit = NULL;
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_ARGUMENT);
    options.emit = append;
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        parameters[i].tensor.value[0] = NAN;
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_NUMERIC);
    pare_model_destroy(model);
    pare_transformer_xl_config config = tiny_config();
    config.memory = 0;
    model = create_model(config, 1);
    assert_int_equal(pare_generate(model, tape, vocabulary, "a", &options), PARE_ERROR_UNSUPPORTED);
    pare_model_destroy(model);
    pri_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_lines), cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_seeds),           cmocka_unit_test(test_greedy_by_hand),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
