/* Measuring a language model: its loss on a split, and its average attention over one. Both are
 * passes that take every token once (stream_pass.c). Evaluation runs the model as it is, mask
 * included; observation runs it dense. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/language_modelling/language_modelling.h"
#include "tasks/language_modelling/stream_pass.h"

typedef struct measurement {
    pare_model *model;
    pare_tape *tape;
    float *losses;            /* of a batch */
    float *log_probabilities; /* (lanes, vocabulary) */
    pare_average *average;    /* of observation */
    double loss;              /* summed over tokens */
    uint64_t tokens;
} measurement;

/* Runs a segment for its memory and attention only. The softmax over the vocabulary, most of the
 * work of a small model, is done for the last token of each lane and not for all. */
static pare_status run_without_loss(measurement *measured, pare_memory *memory,
                                    const pare_segment *segment)
{
    pare_tape_begin(measured->tape, false, 0);
    return pare_language_model_next(measured->model, measured->tape, memory, segment,
                                    measured->log_probabilities);
}

static pare_status allocate_buffers(measurement *measured, const pri_stream_pass *pass)
{
    size_t lanes = pri_stream_pass_lanes(pass, measured->model);
    size_t length = pri_smaller(pass->length, pass->tokens->count);
    size_t vocabulary = pare_language_model_vocabulary(measured->model);
    measured->losses = pri_allocate(lanes * length, sizeof(float));
    measured->log_probabilities = pri_allocate(lanes, vocabulary * sizeof(float));
    return measured->losses && measured->log_probabilities ? PARE_OK : PARE_ERROR_MEMORY;
}

static void free_buffers(measurement *measured)
{
    pri_free(measured->losses);
    pri_free(measured->log_probabilities);
}

/* ---- Evaluation ---- */

static pare_status evaluate_segment(void *user, pare_memory *memory, const pare_segment *segment,
                                    bool counted)
{
    measurement *measured = user;
    if (!counted)
        return run_without_loss(measured, memory, segment);
    pare_tape_begin(measured->tape, false, 0);
    pare_language_model_loss(measured->model, measured->tape, memory, segment, measured->losses);
    PRI_TRY(pare_tape_status(measured->tape));
    size_t tokens = segment->lanes * segment->length;
    for (size_t i = 0; i < tokens; i++)
        measured->loss += measured->losses[i];
    measured->tokens += tokens;
    return PARE_OK;
}

/* By default a token sees as much as in training, whatever the segment length. */
static size_t evaluation_memory(const pri_language_modelling *modelling, const pare_model *model)
{
    if (modelling->evaluation_memory)
        return modelling->evaluation_memory;
    size_t context = pri_training_memory(model, modelling->length) + modelling->length;
    size_t length = modelling->evaluation_length;
    return context > length ? context - length : 0;
}

static pare_status finish_evaluation(const pri_language_modelling *modelling,
                                     const measurement *measured, const char *label,
                                     pare_evaluation *evaluation)
{
    evaluation->tokens = measured->tokens;
    evaluation->loss = measured->loss / (double)measured->tokens;
    PRI_TRY(pri_check_loss(label, evaluation->loss));
    bool bytes = pare_vocabulary_level(modelling->corpus.vocabulary) == PARE_TEXT_BYTE;
    evaluation->metric = bytes ? evaluation->loss / log(2.0) : exp(evaluation->loss);
    return PARE_OK;
}

pare_status pri_language_modelling_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                            pare_split split, const pare_progress *progress,
                                            pare_evaluation *evaluation)
{
    const pri_language_modelling *modelling = pri_language_modelling_of(task);
    PRI_TRY(pri_check_vocabulary(model, modelling->corpus.vocabulary));
    char label[32];
    snprintf(label, sizeof label, "evaluate %s", pri_split_name(split));
    measurement measured = {.model = model, .tape = tape};
    pri_stream_pass pass = {.tokens = &modelling->corpus.splits[split],
                            .lanes = modelling->evaluation_lanes,
                            .length = modelling->evaluation_length,
                            .memory = evaluation_memory(modelling, model),
                            .label = label,
                            .progress = progress,
                            .step = evaluate_segment,
                            .user = &measured};
    double begin = pri_clock_seconds(), attention = pare_tape_attention_seconds(tape);
    pare_status status = allocate_buffers(&measured, &pass);
    if (status == PARE_OK)
        status = pri_stream_pass_run(&pass, model);
    free_buffers(&measured);
    PRI_TRY(status);
    evaluation->seconds = pri_clock_seconds() - begin;
    evaluation->attention_seconds = pare_tape_attention_seconds(tape) - attention;
    return finish_evaluation(modelling, &measured, label, evaluation);
}

/* ---- Observation ---- */

static pare_status observe_segment(void *user, pare_memory *memory, const pare_segment *segment,
                                   bool counted)
{
    measurement *measured = user;
    pare_model_observe(measured->model, PARE_ATTENTION_SELF, counted ? measured->average : NULL);
    if (counted)
        pare_average_add_examples(measured->average, segment->lanes);
    return run_without_loss(measured, memory, segment);
}

static pare_status observe_dense(const pri_language_modelling *modelling, measurement *measured,
                                 pare_split split, const pare_progress *progress)
{
    char label[32];
    snprintf(label, sizeof label, "average %s", pri_split_name(split));
    pri_stream_pass pass = {.tokens = &modelling->corpus.splits[split],
                            .lanes = modelling->lanes,
                            .length = modelling->length,
                            .memory = pri_training_memory(measured->model, modelling->length),
                            .label = label,
                            .progress = progress,
                            .step = observe_segment,
                            .user = measured};
    pare_geometry geometry =
        pare_model_attention_geometry(measured->model, PARE_ATTENTION_SELF, modelling->length);
    PRI_TRY(pare_average_create(&geometry, &measured->average));
    pare_average_set_corpus(measured->average, modelling->corpus.names[split], pass.tokens->hash);
    PRI_TRY(allocate_buffers(measured, &pass));
    pare_status status = pri_stream_pass_run(&pass, measured->model);
    pare_model_observe(measured->model, PARE_ATTENTION_SELF, NULL);
    return status;
}

pare_status pri_language_modelling_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                           pare_split split, bool ends_first,
                                           const pare_progress *progress, pare_average **average)
{
    if (ends_first)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "the relative geometry and ends_first are for encoders: a segment of "
                        "running text has no ends; use geometry cell or distance");
    const pri_language_modelling *modelling = pri_language_modelling_of(task);
    PRI_TRY(pri_check_vocabulary(model, modelling->corpus.vocabulary));
    measurement measured = {.model = model, .tape = tape};
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_SELF);
    PRI_TRY(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
    pare_status status = observe_dense(modelling, &measured, split, progress);
    free_buffers(&measured);
    pare_status restored = pare_model_set_mask(model, PARE_ATTENTION_SELF, mask);
    if (status == PARE_OK)
        status = restored;
    if (status != PARE_OK) {
        pare_average_destroy(measured.average);
        return status;
    }
    *average = measured.average;
    return PARE_OK;
}
