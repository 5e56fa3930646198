/* What the tests of models share: a context and a tape, small configurations, and running a stream
 * of tokens through a model segment by segment. */
#ifndef PARE_TESTS_MODEL_CHECK_H
#define PARE_TESTS_MODEL_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "pare/model.h"
#include "status_check.h"

static pare_context *context;
static pare_tape *tape;

static inline void start_with_threads(int threads)
{
    pare_context_options options = {.threads = threads};
    check_ok(pare_context_create(&options, &context));
    check_ok(pare_tape_create(context, &tape));
}

static inline void stop(void)
{
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

static inline int start_test(void **state)
{
    (void)state;
    start_with_threads(2);
    return 0;
}

static inline int stop_test(void **state)
{
    (void)state;
    stop();
    return 0;
}

/* Small, but with weights large enough for attention to be far from uniform. */
static inline pare_transformer_xl_config small_config(void)
{
    pare_transformer_xl_config config = pare_transformer_xl_config_default();
    config.vocabulary = 31;
    config.layers = 2;
    config.heads = 3;
    config.head_size = 9;
    config.size = 14;
    config.feed_forward = 22;
    config.memory = 8;
    config.dropout = 0.0f;
    config.initial_deviation = 0.3f;
    config.initial_projection_deviation = 0.3f;
    return config;
}

static inline pare_model *create_model(const pare_transformer_xl_config *config)
{
    pare_model *model;
    check_ok(pare_transformer_xl_create(context, config, 7, &model));
    return model;
}

static inline uint32_t *random_tokens(size_t count, size_t vocabulary)
{
    uint32_t *tokens = malloc(count * sizeof *tokens);
    assert_non_null(tokens);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)pri_random_below(pri_random_key(3, "test tokens", 0), i, vocabulary);
    return tokens;
}

/* Columns begin .. begin + length - 1 of (lanes, total) tokens. */
static inline uint32_t *cut_segment(const uint32_t *tokens, size_t lanes, size_t total,
                                    size_t begin, size_t length)
{
    uint32_t *segment = malloc(lanes * length * sizeof *segment);
    assert_non_null(segment);
    for (size_t lane = 0; lane < lanes; lane++)
        memcpy(segment + lane * length, tokens + lane * total + begin, length * sizeof *segment);
    return segment;
}

/* Losses of every token of (lanes, total), in segments of `length` tokens, the last may be short.
 * Every loss depends on all that its token may see, so equal losses mean equal models. */
static inline float *stream_losses(pare_model *model, size_t memory_length, const uint32_t *inputs,
                                   const uint32_t *targets, size_t lanes, size_t total,
                                   size_t length)
{
    float *all = malloc(lanes * total * sizeof *all),
          *losses = malloc(lanes * length * sizeof *all);
    assert_true(all && losses);
    pare_memory *memory;
    check_ok(pare_memory_create(model, lanes, memory_length, &memory));
    for (size_t begin = 0; begin < total; begin += length) {
        size_t count = total - begin < length ? total - begin : length;
        uint32_t *in = cut_segment(inputs, lanes, total, begin, count);
        uint32_t *out = cut_segment(targets, lanes, total, begin, count);
        pare_segment segment = {.lanes = lanes, .length = count, .inputs = in, .targets = out};
        pare_tape_begin(tape, false, 0);
        pare_language_model_loss(model, tape, memory, &segment, losses);
        check_ok(pare_tape_status(tape));
        for (size_t lane = 0; lane < lanes; lane++)
            memcpy(all + lane * total + begin, losses + lane * count, count * sizeof *all);
        free(in);
        free(out);
    }
    pare_memory_destroy(memory);
    free(losses);
    return all;
}

static inline double largest_difference(const float *a, const float *b, size_t count)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        largest = difference > largest || isnan(difference) ? difference : largest;
    }
    return largest;
}

#endif
