/* What the tests of BERT share: a small configuration and a batch of sequences of mixed lengths. */
#ifndef PARE_TESTS_BERT_CHECK_H
#define PARE_TESTS_BERT_CHECK_H

#include "models/model_check.h"

/* Small, but with weights large enough for attention to be far from uniform. */
static inline pare_bert_config small_bert_config(pare_head head)
{
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = 29;
    config.layers = 2;
    config.heads = 2;
    config.size = 14;
    config.feed_forward = 22;
    config.positions = 12;
    config.head = head;
    config.labels = 3;
    config.initial_deviation = 0.5f;
    return config;
}

static inline pare_model *create_bert(pare_head head)
{
    pare_bert_config config = small_bert_config(head);
    pare_model *model;
    check_ok(pare_bert_create(context, &config, 7, &model));
    return model;
}

/* Lengths 5, 1, 12, 2, 9; the second half of each sequence is segment 1. */
enum { SEQUENCES = 5, TOKENS = 29 };
static const size_t batch_offsets[SEQUENCES + 1] = {0, 5, 6, 18, 20, 29};

typedef struct small_batch {
    uint32_t tokens[TOKENS], segments[TOKENS];
    pare_encoder_batch batch;
} small_batch;

static inline void fill_batch(small_batch *small)
{
    uint64_t key = pri_random_key(3, "test tokens", 0);
    for (size_t n = 0; n < SEQUENCES; n++)
        for (size_t i = batch_offsets[n]; i < batch_offsets[n + 1]; i++) {
            small->tokens[i] = (uint32_t)pri_random_below(key, i, 29);
            small->segments[i] = 2 * i >= batch_offsets[n] + batch_offsets[n + 1];
        }
    small->batch = (pare_encoder_batch){.sequences = SEQUENCES,
                                        .offsets = batch_offsets,
                                        .tokens = small->tokens,
                                        .segments = small->segments};
}

static inline pare_tensor *hidden_of(pare_model *model, const pare_encoder_batch *batch)
{
    pare_tape_begin(tape, false, 0);
    pare_tensor *hidden = pare_encoder_hidden(model, tape, batch);
    check_ok(pare_tape_status(tape));
    return hidden;
}

static inline const pare_tensor *bert_tensor(pare_model *model, const char *name)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parameters[i].name, name))
            return &parameters[i].tensor;
    fail_msg("no parameter %s", name);
    return NULL;
}

#endif
