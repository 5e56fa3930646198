/* Measuring a classifier on a split, and averaging its attention over one. Predictions are kept in
 * the order of the file, so that no result depends on how sequences were batched. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "tasks/classification/classification.h"
#include "tasks/classification/metrics.h"
#include "tasks/encoder_pass.h"

typedef struct measurement {
    const pri_classification *classification;
    const pri_examples *examples;
    size_t labels;
    pare_inference *inference;
    pare_tape *tape;     /* for the loss */
    uint32_t *predicted; /* class of each example */
    float *predictions;  /* number of each example */
    float *losses;
    /* Of a batch. */
    uint32_t *classes;
    float *targets, *batch_losses;
} measurement;

static pare_status allocate_buffers(measurement *measured)
{
    size_t count = measured->examples->sequences.count;
    measured->predicted = pri_allocate(count, sizeof *measured->predicted);
    measured->predictions = pri_allocate(count, sizeof *measured->predictions);
    measured->losses = pri_allocate(count, sizeof *measured->losses);
    measured->classes = pri_allocate(count, sizeof *measured->classes);
    measured->targets = pri_allocate(count, sizeof *measured->targets);
    measured->batch_losses = pri_allocate(count, sizeof *measured->batch_losses);
    bool all = measured->predicted && measured->predictions && measured->losses &&
               measured->classes && measured->targets && measured->batch_losses;
    return all ? PARE_OK : PARE_ERROR_MEMORY;
}

static void free_buffers(measurement *measured)
{
    pri_free(measured->predicted);
    pri_free(measured->predictions);
    pri_free(measured->losses);
    pri_free(measured->classes);
    pri_free(measured->targets);
    pri_free(measured->batch_losses);
}

static uint32_t largest_of(const float *logits, size_t count)
{
    uint32_t largest = 0;
    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[largest])
            largest = i;
    return largest;
}

static pare_status evaluate_batch(void *user, const pare_encoder_batch *batch,
                                  const size_t *indices)
{
    measurement *measured = user;
    const pri_examples *examples = measured->examples;
    for (size_t i = 0; i < batch->sequences; i++) {
        measured->classes[i] = examples->classes[indices[i]];
        measured->targets[i] = examples->targets[indices[i]];
    }
    pare_tape_begin(measured->tape, false, 0);
    pare_tensor *outputs = pare_tape_tensor(measured->tape, batch->sequences, measured->labels);
    if (outputs)
        PRI_TRY(pare_inference_run(measured->inference, batch,
                                   &(pare_inference_output){.labels = outputs->value}));
    pri_classification_loss(measured->classification, measured->tape, outputs, measured->classes,
                            measured->targets, measured->batch_losses);
    PRI_TRY(pare_tape_status(measured->tape));
    for (size_t i = 0; i < batch->sequences; i++) {
        const float *row = outputs->value + i * outputs->columns;
        measured->predicted[indices[i]] = largest_of(row, outputs->columns);
        measured->predictions[indices[i]] = row[0];
        measured->losses[indices[i]] = measured->batch_losses[i];
    }
    return PARE_OK;
}

static pare_status measure(const measurement *measured, pri_measure measure, double *value)
{
    const pri_examples *examples = measured->examples;
    size_t count = examples->sequences.count;
    pare_status status = PARE_OK;
    *value = 0;
    switch (measure) {
    case PRI_MEASURE_NONE:
        break;
    case PRI_MEASURE_ACCURACY:
        *value = pri_accuracy(measured->predicted, examples->classes, count);
        break;
    case PRI_MEASURE_F1:
        *value = pri_f1(measured->predicted, examples->classes, count);
        break;
    case PRI_MEASURE_MATTHEWS:
        *value = pri_matthews(measured->predicted, examples->classes, count);
        break;
    case PRI_MEASURE_PEARSON:
        *value = pri_pearson(measured->predictions, examples->targets, count);
        break;
    case PRI_MEASURE_SPEARMAN:
        status = pri_spearman(measured->predictions, examples->targets, count, value);
        break;
    }
    *value *= 100;
    return status;
}

static pare_status finish_evaluation(const measurement *measured, const char *label,
                                     pare_evaluation *evaluation)
{
    size_t count = measured->examples->sequences.count;
    const pri_measure *measures = measured->classification->layout.measures;
    double loss = 0;
    for (size_t i = 0; i < count; i++)
        loss += measured->losses[i];
    evaluation->tokens = count;
    evaluation->loss = loss / (double)count;
    PRI_TRY(pri_check_loss(label, evaluation->loss));
    PRI_TRY(measure(measured, measures[0], &evaluation->metric));
    for (size_t i = 1; i < PRI_MEASURES_MAX && measures[i]; i++) {
        pare_measure *more = &evaluation->more[evaluation->more_count++];
        more->name = pri_measure_name(measures[i]);
        PRI_TRY(measure(measured, measures[i], &more->value));
    }
    return PARE_OK;
}

pare_status pri_classification_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                        pare_split split, const pare_progress *progress,
                                        pare_evaluation *evaluation)
{
    const pri_classification *classification = pri_classification_of(task);
    PRI_TRY(pri_check_classifier(classification, model));
    char label[32];
    snprintf(label, sizeof label, "evaluate %s", pri_split_name(split));
    measurement measured = {.classification = classification,
                            .examples = pri_classification_split(classification, split),
                            .labels = pare_bert_config_of(model)->labels,
                            .tape = tape};
    const pri_encoder_pass pass = {.sequences = &measured.examples->sequences,
                                   .tokens = classification->tokens,
                                   .label = label,
                                   .progress = progress};
    double begin = pri_clock_seconds();
    pare_status status = pare_inference_create(
        model, pare_context_precision(pare_tape_context(tape)), &measured.inference);
    if (status == PARE_OK)
        status = allocate_buffers(&measured);
    if (status == PARE_OK)
        status = pri_encoder_pass_run(&pass, evaluate_batch, &measured);
    evaluation->seconds = pri_clock_seconds() - begin;
    if (status == PARE_OK) {
        evaluation->attention_seconds = pare_inference_attention_seconds(measured.inference);
        status = finish_evaluation(&measured, label, evaluation);
    }
    pare_inference_destroy(measured.inference);
    free_buffers(&measured);
    return status;
}

pare_status pri_classification_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                       pare_split split, bool ends_first,
                                       const pare_progress *progress, pare_average **average)
{
    const pri_classification *classification = pri_classification_of(task);
    PRI_TRY(pri_check_encoder(model, classification->tokenizer, classification->length));
    const pri_examples *examples = pri_classification_split(classification, split);
    char label[32];
    snprintf(label, sizeof label, "average %s", pri_split_name(split));
    const pri_encoder_pass pass = {.sequences = &examples->sequences,
                                   .tokens = classification->tokens,
                                   .label = label,
                                   .progress = progress};
    const pri_encoder_corpus corpus = {.name = examples->name,
                                       .hash = examples->hash,
                                       .length = classification->length,
                                       .ends_first = ends_first};
    return pri_encoder_observe(&pass, &corpus, model, tape, average);
}
