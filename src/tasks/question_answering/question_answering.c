/* Question answering as a task: what it is made of. Training is in training.c, measuring in
 * evaluation.c, single questions in answer.c. */
#include "tasks/question_answering/question_answering.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tasks/corpus_files.h"
#include "tasks/encoder_pass.h"
#include "tasks/remark.h"

#define DEFAULT_LENGTH 384
#define DEFAULT_STRIDE 128
#define DEFAULT_QUESTION_LENGTH 64
#define DEFAULT_ANSWER_LENGTH 30
#define DEFAULT_BATCH 12
#define DEFAULT_EVALUATION_TOKENS 4096

static size_t value_or(size_t value, size_t fallback)
{
    return value ? value : fallback;
}

/* The usual numbers are for the usual length; of shorter sequences a question has half, and windows
 * follow on each other where they must. */
static pri_window_shape shape_of(const pare_question_answering_options *given, size_t longest)
{
    pri_window_shape shape = {.length = value_or(given->length, longest),
                              .question_length = given->question_length,
                              .stride = given->stride};
    if (!shape.question_length)
        shape.question_length = pri_smaller(DEFAULT_QUESTION_LENGTH, shape.length / 2);
    size_t taken = shape.question_length + PRI_SPECIAL_TOKENS_PAIR;
    if (!shape.stride && shape.length > taken)
        shape.stride = pri_smaller(DEFAULT_STRIDE, shape.length - taken);
    return shape;
}

pri_answering_settings pri_answering_settings_of(const pare_question_answering_options *options,
                                                 size_t longest)
{
    static const pare_question_answering_options defaults;
    const pare_question_answering_options *given = options ? options : &defaults;
    return (pri_answering_settings){
        .shape = shape_of(given, longest),
        .answer_length = value_or(given->answer_length, DEFAULT_ANSWER_LENGTH),
        .evaluation_tokens = value_or(given->evaluation_tokens, DEFAULT_EVALUATION_TOKENS)};
}

pare_status pri_question_split_of(const pri_question_answering *answering, pare_split split,
                                  const pri_question_split **found)
{
    *found = answering->splits[split];
    if (*found)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "there is no file for the %s split; name one as data.%s",
                    pri_split_name(split), pri_split_name(split));
}

pare_status pri_check_answering(const pare_model *model, const pare_wordpiece *tokenizer,
                                size_t length)
{
    PRI_TRY(pri_check_encoder(model, tokenizer, length));
    if (pare_bert_config_of(model)->head == PARE_HEAD_QUESTION_ANSWERING)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model has no head for question answering; train one on questions first");
}

/* ---- Splits ---- */

static void free_split(pri_question_split *split)
{
    if (!split)
        return;
    pri_squad_free(&split->file);
    pri_features_free(&split->features);
    pri_free(split);
}

/* What models see and what they are measured by. */
static uint64_t hash_split(const pri_question_split *split)
{
    uint64_t hash = pri_sequences_hash(&split->features.sequences);
    for (size_t i = 0; i < split->features.window_count; i++) {
        pri_piece_span target = pri_window_target(&split->features, i);
        hash = pri_hash(hash, &target, sizeof target);
    }
    for (size_t i = 0; i < split->file.answer_count; i++)
        hash = pri_hash(hash, split->file.answers[i].text, strlen(split->file.answers[i].text) + 1);
    return hash;
}

static pare_status fill_split(pri_question_split *split, const pri_question_answering *answering,
                              const char *path, pri_squad_use use)
{
    PRI_TRY(pri_squad_read(&split->file, path, use));
    PRI_TRY(pri_features_make(&split->features, &split->file, &answering->settings.shape,
                              answering->tokenizer));
    if (!split->features.window_count)
        return pri_fail(PARE_ERROR_FORMAT, "%s: no context holds a word piece", path);
    if (!split->file.answer_count)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: no question has an answer, so nothing can be measured", path);
    pri_corpus_name(path, split->name);
    split->hash = hash_split(split);
    return PARE_OK;
}

static pare_status read_split(pri_question_answering *answering, pare_split split, const char *path,
                              pri_squad_use use)
{
    if (!path)
        return PARE_OK;
    answering->splits[split] = pri_allocate_zero(1, sizeof **answering->splits);
    if (!answering->splits[split])
        return PARE_ERROR_MEMORY;
    PRI_TRY(fill_split(answering->splits[split], answering, path, use));
    answering->length = pri_larger(
        answering->length, pri_sequences_longest(&answering->splits[split]->features.sequences));
    return PARE_OK;
}

static pare_status read_splits(pri_question_answering *answering,
                               const pare_question_answering_options *options)
{
    PRI_TRY(read_split(answering, PARE_SPLIT_TRAIN, options->train, PRI_SQUAD_TRAINING));
    PRI_TRY(read_split(answering, PARE_SPLIT_VALID, options->valid, PRI_SQUAD_EVALUATION));
    if (options->test)
        return read_split(answering, PARE_SPLIT_TEST, options->test, PRI_SQUAD_EVALUATION);
    answering->splits[PARE_SPLIT_TEST] = answering->splits[PARE_SPLIT_VALID];
    return PARE_OK;
}

static void remark_cut_questions(const pri_question_answering *answering, pri_text *remarks)
{
    pri_cut_share shares[PARE_SPLIT_COUNT] = {{.file = NULL}};
    for (size_t i = 0; i < PARE_SPLIT_COUNT; i++) {
        const pri_question_split *split = answering->splits[i];
        if (split && !(i && split == answering->splits[i - 1]))
            shares[i] = (pri_cut_share){split->name, split->features.cut_questions,
                                        split->features.question_count};
    }
    pri_remark_cut(remarks, "questions", "data.question_length",
                   answering->settings.shape.question_length, shares, PARE_SPLIT_COUNT);
}

static pare_status write_remark(pri_question_answering *answering)
{
    size_t moved = pare_question_answering_moved(&answering->task);
    pri_text remarks = {0};
    if (moved)
        pri_text_append(&remarks,
                        "%zu training answers do not stand where answer_start says; of each the "
                        "nearest occurrence is taken",
                        moved);
    remark_cut_questions(answering, &remarks);
    return pri_text_take(&remarks, &answering->remark);
}

/* ---- The table ---- */

static const pri_question_answering *constant_of(const pare_task *task)
{
    return (const pri_question_answering *)task;
}

static pare_status check_model(const pare_task *task, const pare_model *model)
{
    const pri_question_answering *answering = constant_of(task);
    PRI_TRY(pri_check_answering(model, answering->tokenizer, answering->length));
    return pri_encoder_check_room(task, model);
}

static const char *remark(const pare_task *task)
{
    return constant_of(task)->remark;
}

static void destroy(pare_task *task)
{
    pri_question_answering *answering = pri_question_answering_of(task);
    if (answering->splits[PARE_SPLIT_TEST] != answering->splits[PARE_SPLIT_VALID])
        free_split(answering->splits[PARE_SPLIT_TEST]);
    free_split(answering->splits[PARE_SPLIT_VALID]);
    free_split(answering->splits[PARE_SPLIT_TRAIN]);
    pri_dealer_destroy(answering->dealer);
    pri_batch_builder_free(&answering->builder);
    pri_span_targets_free(&answering->targets);
    pri_free(answering->predictions.answers);
    free(answering->remark);
    pri_free(answering);
}

static const char *metric(const pare_task *task)
{
    (void)task;
    return "F1";
}

static uint64_t examples(const pare_task *task, pare_split split)
{
    const pri_question_split *data = constant_of(task)->splits[split];
    return data ? data->file.question_count : 0;
}

static uint64_t hash(const pare_task *task, pare_split split)
{
    const pri_question_split *data = constant_of(task)->splits[split];
    return data ? data->hash : 0;
}

static size_t length(const pare_task *task)
{
    return constant_of(task)->length;
}

static pare_status save_files(const pare_task *task, const char *directory)
{
    return pare_wordpiece_save(constant_of(task)->tokenizer, directory);
}

static uint64_t batches_per_epoch(const pare_task *task)
{
    const pri_dealer *dealer = constant_of(task)->dealer;
    return dealer ? pri_dealer_batches(dealer) : 0;
}

static uint64_t training_tokens(const pare_task *task, uint64_t batches)
{
    pri_dealer *dealer = constant_of(task)->dealer;
    return dealer ? pri_dealer_tokens(dealer, batches) : 0;
}

static void rewind_training(pare_task *task)
{
    pri_dealer *dealer = pri_question_answering_of(task)->dealer;
    if (dealer)
        pri_dealer_rewind(dealer);
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
    .training_loss = pri_question_training_loss,
    .takes_teacher = true,
    .rewind = rewind_training,
    .save_state = pri_question_training_save,
    .load_state = pri_question_training_load,
    .evaluate = pri_question_answering_evaluate,
    .observe = pri_question_answering_observe,
};

pare_status pri_check_question_answering(const pare_task *task)
{
    if (task->functions == &functions)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "the task is not question answering, so it has no "
                                         "predictions in the format of SQuAD");
}

/* ---- Creation ---- */

static pare_status deal_windows(pri_question_answering *answering,
                                const pare_question_answering_options *options)
{
    const pri_question_split *split = answering->splits[PARE_SPLIT_TRAIN];
    if (!split)
        return PARE_OK;
    const pri_dealing dealing = {
        .examples = options->tokens ? options->batch : value_or(options->batch, DEFAULT_BATCH),
        .tokens = options->tokens,
        .seed = options->seed};
    return pri_sequences_deal(&split->features.sequences, &dealing, &answering->dealer);
}

static pare_status fill_task(pri_question_answering *answering,
                             const pare_question_answering_options *options)
{
    if (!options->train && !options->valid && !options->test)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "no questions: name a file in SQuAD's format as data.train or data.valid");
    PRI_TRY(read_splits(answering, options));
    PRI_TRY(write_remark(answering));
    return deal_windows(answering, options);
}

pare_status pare_question_answering_create(const pare_question_answering_options *options,
                                           const pare_wordpiece *tokenizer, pare_task **task)
{
    *task = NULL;
    pri_answering_settings settings = pri_answering_settings_of(options, DEFAULT_LENGTH);
    PRI_TRY(pri_window_shape_check(&settings.shape));
    pri_question_answering *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->task.functions = &functions;
    created->tokenizer = tokenizer;
    created->settings = settings;
    pare_status status = fill_task(created, options);
    if (status != PARE_OK) {
        destroy(&created->task);
        return status;
    }
    *task = &created->task;
    return PARE_OK;
}

size_t pare_question_answering_moved(const pare_task *task)
{
    const pri_question_split *split = constant_of(task)->splits[PARE_SPLIT_TRAIN];
    return split ? split->file.moved : 0;
}
