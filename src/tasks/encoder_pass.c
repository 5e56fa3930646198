/* Passes of an encoder. Batches are of neighbouring lengths, so that all threads have equal work;
 * results belong to sequences and so do not depend on the order. */
#include "tasks/encoder_pass.h"

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "models/model.h"
#include "tasks/batches.h"
#include "tasks/task.h"

/* 32 sequences of 128 tokens. */
#define DEFAULT_TOKENS 4096

static void report_progress(const pri_encoder_pass *pass, uint64_t done, double begin)
{
    if (!pass->progress || !pass->progress->report)
        return;
    pare_progress_event event = {.label = pass->label,
                                 .unit = "sequences",
                                 .done = done,
                                 .total = pass->sequences->count,
                                 .seconds = pri_clock_seconds() - begin};
    pass->progress->report(pass->progress->user, &event);
}

static pare_status run_batches(const pri_encoder_pass *pass, const pri_deal *deal,
                               pri_batch_builder *builder, pri_encoder_step step, void *user)
{
    double begin = pri_clock_seconds();
    for (size_t i = 0; i < deal->batches; i++) {
        if (pare_interrupted())
            return pri_fail(PARE_ERROR_INTERRUPTED, "%s: interrupted", pass->label);
        const size_t *indices = deal->indices + deal->begins[i];
        size_t count = deal->begins[i + 1] - deal->begins[i];
        PRI_TRY(pri_batch_gather(builder, pass->sequences, indices, count));
        PRI_TRY(step(user, &builder->batch, indices));
        report_progress(pass, deal->begins[i + 1], begin);
    }
    return PARE_OK;
}

pare_status pri_encoder_pass_run(const pri_encoder_pass *pass, pri_encoder_step step, void *user)
{
    const pri_dealing dealing = {.tokens = pass->tokens ? pass->tokens : DEFAULT_TOKENS};
    size_t *lengths = pri_sequences_lengths(pass->sequences);
    if (!lengths)
        return PARE_ERROR_MEMORY;
    pri_deal deal;
    pri_batch_builder builder = {0};
    pare_status status = pri_deal_by_length(&dealing, lengths, pass->sequences->count, &deal);
    pri_free(lengths);
    if (status == PARE_OK)
        status = run_batches(pass, &deal, &builder, step, user);
    pri_batch_builder_free(&builder);
    pri_deal_free(&deal);
    return status;
}

/* ---- Observation ---- */

typedef struct observation {
    pare_model *model;
    pare_tape *tape;
    pare_average *average;
} observation;

static pare_status observe_batch(void *user, const pare_encoder_batch *batch, const size_t *indices)
{
    (void)indices;
    observation *observed = user;
    pare_tape_begin(observed->tape, false, 0);
    pare_encoder_hidden(observed->model, observed->tape, batch);
    pare_average_add_examples(observed->average, batch->sequences);
    return pare_tape_status(observed->tape);
}

static pare_status observe_corpus(const pri_encoder_pass *pass, const pri_encoder_corpus *corpus,
                                  observation *observed)
{
    pare_geometry geometry =
        pare_model_attention_geometry(observed->model, PARE_ATTENTION_SELF, corpus->length);
    geometry.ends_first = corpus->ends_first;
    PRI_TRY(pare_average_create(&geometry, &observed->average));
    pare_average_set_corpus(observed->average, corpus->name, corpus->hash);
    pare_model_observe(observed->model, PARE_ATTENTION_SELF, observed->average);
    pare_status status = pri_encoder_pass_run(pass, observe_batch, observed);
    pare_model_observe(observed->model, PARE_ATTENTION_SELF, NULL);
    return status;
}

pare_status pri_encoder_observe_as_is(const pri_encoder_pass *pass,
                                      const pri_encoder_corpus *corpus, pare_model *model,
                                      pare_tape *tape, pare_average **average)
{
    observation observed = {.model = model, .tape = tape};
    pare_status status = observe_corpus(pass, corpus, &observed);
    if (status != PARE_OK) {
        pare_average_destroy(observed.average);
        return status;
    }
    *average = observed.average;
    return PARE_OK;
}

pare_status pri_encoder_observe(const pri_encoder_pass *pass, const pri_encoder_corpus *corpus,
                                pare_model *model, pare_tape *tape, pare_average **average)
{
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_SELF);
    PRI_TRY(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
    pare_status status = pri_encoder_observe_as_is(pass, corpus, model, tape, average);
    pare_status restored = pare_model_set_mask(model, PARE_ATTENTION_SELF, mask);
    if (status == PARE_OK && restored != PARE_OK) {
        pare_average_destroy(*average);
        *average = NULL;
    }
    return status == PARE_OK ? restored : status;
}

/* ---- What a model can read ---- */

size_t pri_encoder_longest(const pare_model *model)
{
    size_t positions = pare_encoder_positions(model);
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_SELF);
    const pare_geometry *geometry = mask ? pare_mask_geometry(mask) : NULL;
    return geometry && geometry->kind == PARE_GEOMETRY_CELL
               ? pri_smaller(positions, geometry->queries)
               : positions;
}

pare_status pri_encoder_check_room(const pare_task *task, const pare_model *model)
{
    size_t longest = pare_task_length(task);
    return pri_model_check_shape(model, PARE_ATTENTION_SELF,
                                 (pri_call_shape){longest, longest, longest});
}

pare_status pri_check_encoder(const pare_model *model, const pare_wordpiece *tokenizer,
                              size_t length)
{
    const pare_bert_config *config = pare_bert_config_of(model);
    if (!config)
        return pri_fail(PARE_ERROR_ARGUMENT, "a model of family %s is no encoder; name a BERT",
                        pare_model_family(model));
    PRI_TRY(pri_check_pieces("word pieces", config->vocabulary, pare_wordpiece_size(tokenizer)));
    if (config->positions < length)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "sequences of %zu tokens, but the model has %zu positions; set a smaller "
                        "length",
                        length, config->positions);
    return PARE_OK;
}
