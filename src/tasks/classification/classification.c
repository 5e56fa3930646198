/* Classification as a task: what it is made of, and its training batches. Reading files is in
 * examples.c, measuring in evaluation.c. */
#include "tasks/classification/classification.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/distillation.h"
#include "tasks/encoder_pass.h"
#include "tasks/remark.h"

#define DEFAULT_LENGTH 128
#define LENGTH_MIN 8 /* what special tokens leave is then still some text of a pair */

const pri_examples *pri_classification_split(const pri_classification *classification,
                                             pare_split split)
{
    bool shared = split == PARE_SPLIT_TEST && classification->tests_valid;
    return &classification->splits[shared ? PARE_SPLIT_VALID : split];
}

size_t pare_classification_labels(const pare_task *task)
{
    const pri_classification *classification = (const pri_classification *)task;
    return classification->layout.regression ? 1 : classification->labels.count;
}

const char *pare_classification_label(const pare_task *task, size_t label)
{
    const pri_classification *classification = (const pri_classification *)task;
    if (classification->layout.regression)
        return NULL;
    const char *name =
        label < classification->layout.classes ? classification->layout.names[label] : NULL;
    return name ? name : classification->labels.values[label];
}

/* The same labels in another order, or under other names, would count as wrong what is right.
 * Models that were never told what their labels mean are taken at their word. */
static pare_status check_label_names(const pri_classification *classification,
                                     const pare_model *model)
{
    for (size_t label = 0; label < pare_classification_labels(&classification->task); label++) {
        char unnamed[32];
        snprintf(unnamed, sizeof unnamed, "LABEL_%zu", label);
        const char *of_task = pare_classification_label(&classification->task, label);
        const char *of_model = pare_bert_label(model, label);
        if (of_task && strcmp(of_model, of_task) && strcmp(of_model, unnamed))
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "label %zu is '%s' in the model and '%s' in the data; use the model "
                            "that was trained on this task, or put the names of id2label in its "
                            "config.json in the order of the data",
                            label, of_model, of_task);
    }
    return PARE_OK;
}

pare_status pri_check_classifier(const pri_classification *classification, const pare_model *model)
{
    PRI_TRY(pri_check_encoder(model, classification->tokenizer, classification->length));
    const pare_bert_config *config = pare_bert_config_of(model);
    size_t labels = pare_classification_labels(&classification->task);
    if (config->head != PARE_HEAD_CLASSIFICATION)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the model has no classification head; train it on this task first");
    if (config->labels != labels)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the model has %zu outputs and the task needs %zu; use the model that was "
                        "trained on this task",
                        config->labels, labels);
    return check_label_names(classification, model);
}

static pare_status check_model(const pare_task *task, const pare_model *model)
{
    PRI_TRY(pri_check_classifier((const pri_classification *)task, model));
    return pri_encoder_check_room(task, model);
}

/* ---- Training ---- */

pare_tensor *pri_classification_loss(const pri_classification *classification, pare_tape *tape,
                                     pare_tensor *outputs, const uint32_t *classes,
                                     const float *targets, float *losses)
{
    return classification->layout.regression
               ? pare_mean_squared_error(tape, outputs, targets, losses)
               : pare_cross_entropy(tape, outputs, classes, 0, losses);
}

static pare_status reserve_labels(pri_classification *classification, size_t count)
{
    if (count <= classification->capacity)
        return PARE_OK;
    pri_free(classification->classes);
    pri_free(classification->targets);
    classification->capacity = 0;
    classification->classes = pri_allocate(count, sizeof *classification->classes);
    classification->targets = pri_allocate(count, sizeof *classification->targets);
    if (!classification->classes || !classification->targets)
        return PARE_ERROR_MEMORY;
    classification->capacity = count;
    return PARE_OK;
}

static pare_status gather_batch(pri_classification *classification)
{
    const pri_examples *examples = &classification->splits[PARE_SPLIT_TRAIN];
    const size_t *indices;
    size_t count;
    pri_dealer_next(classification->dealer, &indices, &count);
    PRI_TRY(reserve_labels(classification, count));
    for (size_t i = 0; i < count; i++) {
        classification->classes[i] = examples->classes[indices[i]];
        classification->targets[i] = examples->targets[indices[i]];
    }
    return pri_batch_gather(&classification->builder, &examples->sequences, indices, count);
}

static pare_tensor *training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    pri_classification *classification = pri_classification_of(task);
    pare_status status = pri_check_classifier(classification, model);
    if (status == PARE_OK)
        status = gather_batch(classification);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *outputs = pare_encoder_classify(model, tape, &classification->builder.batch);
    pare_tensor *loss = pri_classification_loss(
        classification, tape, outputs, classification->classes, classification->targets, NULL);
    const pri_student student = {.batch = &classification->builder.batch, .outputs = outputs};
    return pri_distil(task, tape, &student, loss);
}

static uint64_t batches_per_epoch(const pare_task *task)
{
    return pri_dealer_batches(((const pri_classification *)task)->dealer);
}

static uint64_t training_tokens(const pare_task *task, uint64_t batches)
{
    return pri_dealer_tokens(((const pri_classification *)task)->dealer, batches);
}

static void rewind_training(pare_task *task)
{
    pri_dealer_rewind(pri_classification_of(task)->dealer);
}

static pare_status save_state(const pare_task *task, const char *path)
{
    const pri_classification *classification = (const pri_classification *)task;
    return pri_dealer_save(classification->dealer, classification->splits[PARE_SPLIT_TRAIN].hash,
                           path);
}

static pare_status load_state(pare_task *task, const char *path)
{
    pri_classification *classification = pri_classification_of(task);
    return pri_dealer_load(classification->dealer, classification->splits[PARE_SPLIT_TRAIN].hash,
                           path);
}

/* ---- The task ---- */

static void destroy(pare_task *task)
{
    pri_classification *classification = pri_classification_of(task);
    for (int split = 0; split < PARE_SPLIT_COUNT; split++)
        pri_examples_free(&classification->splits[split]);
    pri_labels_free(&classification->labels);
    pri_dealer_destroy(classification->dealer);
    pri_batch_builder_free(&classification->builder);
    pri_free(classification->classes);
    pri_free(classification->targets);
    free(classification->remark);
    pri_free(classification);
}

static const char *metric(const pare_task *task)
{
    return pri_measure_name(((const pri_classification *)task)->layout.measures[0]);
}

static uint64_t examples(const pare_task *task, pare_split split)
{
    return pri_classification_split((const pri_classification *)task, split)->sequences.count;
}

static uint64_t hash(const pare_task *task, pare_split split)
{
    return pri_classification_split((const pri_classification *)task, split)->hash;
}

static size_t length(const pare_task *task)
{
    return ((const pri_classification *)task)->length;
}

static const char *remark(const pare_task *task)
{
    return ((const pri_classification *)task)->remark;
}

static pare_status save_files(const pare_task *task, const char *directory)
{
    return pare_wordpiece_save(((const pri_classification *)task)->tokenizer, directory);
}

static const pri_task_functions functions = {
    .destroy = destroy,
    .metric = metric,
    .higher_is_better = true,
    .examples = examples,
    .hash = hash,
    .length = length,
    .remark = remark,
    .check_model = check_model,
    .save_files = save_files,
    .batches_per_epoch = batches_per_epoch,
    .training_tokens = training_tokens,
    .training_loss = training_loss,
    .takes_teacher = true,
    .rewind = rewind_training,
    .save_state = save_state,
    .load_state = load_state,
    .evaluate = pri_classification_evaluate,
    .observe = pri_classification_observe,
};

static pare_status check_options(const pare_classification_options *options)
{
    if (!options->train || !options->valid)
        return pri_fail(PARE_ERROR_ARGUMENT, "no %s file; name one (data.%s)",
                        options->train ? "validation" : "training",
                        options->train ? "valid" : "train");
    if (options->length && options->length < LENGTH_MIN)
        return pri_fail(PARE_ERROR_ARGUMENT, "a length of %zu tokens; %d is the least",
                        options->length, LENGTH_MIN);
    return PARE_OK;
}

static pare_status add_known_labels(pri_classification *classification)
{
    for (size_t i = 0; i < classification->layout.classes; i++)
        PRI_TRY(pri_labels_add(&classification->labels, classification->layout.values[i]));
    return PARE_OK;
}

static pare_status read_split(pri_classification *classification, pare_split split,
                              const char *path)
{
    const pri_layout *layout = &classification->layout;
    pri_examples *examples = &classification->splits[split];
    const pri_examples_source source = {.path = path,
                                        .layout = layout,
                                        .tokenizer = classification->tokenizer,
                                        .length = classification->limit,
                                        .labels = &classification->labels,
                                        .collects = split == PARE_SPLIT_TRAIN &&
                                                    !layout->regression && !layout->classes};
    PRI_TRY(pri_examples_read(&source, examples));
    classification->length =
        pri_larger(classification->length, pri_sequences_longest(&examples->sequences));
    if (source.collects && classification->labels.count < 2)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: every label is '%.40s'; there is nothing to tell apart", path,
                        classification->labels.values[0]);
    return PARE_OK;
}

static pare_status read_splits(pri_classification *classification,
                               const pare_classification_options *options)
{
    PRI_TRY(add_known_labels(classification));
    PRI_TRY(read_split(classification, PARE_SPLIT_TRAIN, options->train));
    PRI_TRY(read_split(classification, PARE_SPLIT_VALID, options->valid));
    classification->tests_valid = !options->test;
    return options->test ? read_split(classification, PARE_SPLIT_TEST, options->test) : PARE_OK;
}

static pare_status write_remark(pri_classification *classification)
{
    const size_t files = classification->tests_valid ? PARE_SPLIT_TEST : PARE_SPLIT_COUNT;
    pri_cut_share shares[PARE_SPLIT_COUNT] = {{.file = NULL}};
    for (size_t i = 0; i < files; i++) {
        const pri_examples *examples = &classification->splits[i];
        shares[i] =
            (pri_cut_share){examples->name, examples->sequences.cut, examples->sequences.count};
    }
    pri_text remarks = {0};
    pri_remark_cut(&remarks, "texts", "training.length", classification->limit, shares, files);
    return pri_text_take(&remarks, &classification->remark);
}

static pare_status create_dealer(pri_classification *classification,
                                 const pare_classification_options *options)
{
    const pri_dealing dealing = {
        .examples = options->batch, .tokens = options->tokens, .seed = options->seed};
    return pri_sequences_deal(&classification->splits[PARE_SPLIT_TRAIN].sequences, &dealing,
                              &classification->dealer);
}

static pare_status fill_task(pri_classification *classification,
                             const pare_classification_options *options)
{
    PRI_TRY(pri_layout_of(options, &classification->layout));
    PRI_TRY(read_splits(classification, options));
    if (!options->task)
        pri_layout_choose_measures(&classification->layout, classification->labels.count);
    PRI_TRY(write_remark(classification));
    return create_dealer(classification, options);
}

pare_status pare_classification_create(const pare_classification_options *options,
                                       const pare_wordpiece *tokenizer, pare_task **task)
{
    *task = NULL;
    PRI_TRY(check_options(options));
    pri_classification *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->task.functions = &functions;
    created->tokenizer = tokenizer;
    created->limit = options->length ? options->length : DEFAULT_LENGTH;
    created->tokens = options->tokens;
    pare_status status = fill_task(created, options);
    if (status != PARE_OK) {
        destroy(&created->task);
        return status;
    }
    *task = &created->task;
    return PARE_OK;
}
