/* Masked language modelling as a task: data, training batches and their position. Measuring is in
 * evaluation.c. */
#include "tasks/masked_language_modelling/masked_language_modelling.h"

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/distillation.h"
#include "tasks/encoder_pass.h"
#include "tasks/masked_language_modelling/packing.h"
#include "text/wordpiece.h"

#define DEFAULT_LENGTH 128
#define DEFAULT_SHARE 0.15
#define DEFAULT_TOKENS 4096

static void destroy(pare_task *task)
{
    pri_masked_language_modelling *modelling = pri_masked_language_modelling_of(task);
    for (int split = 0; split < PARE_SPLIT_COUNT; split++)
        pri_sequences_free(&modelling->splits[split]);
    pri_word_masking_free(&modelling->masking);
    pri_dealer_destroy(modelling->dealer);
    pri_batch_builder_free(&modelling->builder);
    pri_chosen_words_free(&modelling->chosen);
    pare_wordpiece_destroy(modelling->owned);
    pri_free(modelling);
}

static const char *metric(const pare_task *task)
{
    (void)task;
    return "perplexity";
}

static uint64_t examples(const pare_task *task, pare_split split)
{
    return ((const pri_masked_language_modelling *)task)->splits[split].count;
}

static uint64_t hash(const pare_task *task, pare_split split)
{
    return pri_sequences_hash(&((const pri_masked_language_modelling *)task)->splits[split]);
}

static size_t length(const pare_task *task)
{
    return ((const pri_masked_language_modelling *)task)->length;
}

static pare_status save_files(const pare_task *task, const char *directory)
{
    return pare_wordpiece_save(pare_masked_language_modelling_tokenizer(task), directory);
}

pare_status pri_check_masked_model(const pri_masked_language_modelling *modelling,
                                   const pare_model *model)
{
    PRI_TRY(pri_check_encoder(model, modelling->tokenizer, modelling->length));
    if (pare_bert_config_of(model)->head == PARE_HEAD_MASKED_WORDS)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model has no head for masked words; train one on masked words first");
}

static pare_status check_model(const pare_task *task, const pare_model *model)
{
    PRI_TRY(pri_check_masked_model((const pri_masked_language_modelling *)task, model));
    return pri_encoder_check_room(task, model);
}

/* ---- Training ---- */

static uint64_t batches_per_epoch(const pare_task *task)
{
    return pri_dealer_batches(((const pri_masked_language_modelling *)task)->dealer);
}

static uint64_t training_tokens(const pare_task *task, uint64_t batches)
{
    return pri_dealer_tokens(((const pri_masked_language_modelling *)task)->dealer, batches);
}

/* Other words are hidden in every epoch. */
static pare_status mask_batch(pri_masked_language_modelling *modelling, uint64_t epoch,
                              const size_t *indices)
{
    uint64_t key = pri_random_key(modelling->seed, "masked words", epoch);
    pri_batch_builder *builder = &modelling->builder;
    modelling->chosen.count = 0;
    for (size_t i = 0; i < builder->batch.sequences; i++) {
        size_t begin = builder->offsets[i], end = builder->offsets[i + 1];
        PRI_TRY(pri_mask_words(&modelling->masking, pri_random_key(key, "sequence", indices[i]),
                               begin, builder->tokens + begin, end - begin, &modelling->chosen));
    }
    return PARE_OK;
}

static pare_status next_batch(pri_masked_language_modelling *modelling, const pare_model *model)
{
    PRI_TRY(pri_check_masked_model(modelling, model));
    uint64_t epoch = pri_dealer_tell(modelling->dealer).epoch;
    const size_t *indices;
    size_t count;
    pri_dealer_next(modelling->dealer, &indices, &count);
    PRI_TRY(pri_batch_gather(&modelling->builder, &modelling->splits[PARE_SPLIT_TRAIN], indices,
                             count));
    return mask_batch(modelling, epoch, indices);
}

static pare_tensor *training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    pri_masked_language_modelling *modelling = pri_masked_language_modelling_of(task);
    pare_status status = next_batch(modelling, model);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    const pri_chosen_words *chosen = &modelling->chosen;
    const pare_encoder_batch *batch = &modelling->builder.batch;
    pare_tensor *logits = pare_encoder_words(model, tape, batch, chosen->rows, chosen->count);
    pare_tensor *loss = pare_cross_entropy(tape, logits, chosen->words, 0, NULL);
    const pri_student student = {.batch = batch, .rows = chosen->rows, .outputs = logits};
    return pri_distil(task, tape, &student, loss);
}

static void rewind_training(pare_task *task)
{
    pri_dealer_rewind(pri_masked_language_modelling_of(task)->dealer);
}

/* What resuming must find unchanged beside the limits of batches and the seed. */
static uint64_t training_identity(const pare_task *task)
{
    const double share = ((const pri_masked_language_modelling *)task)->masking.share;
    return pri_hash(hash(task, PARE_SPLIT_TRAIN), &share, sizeof share);
}

static pare_status save_state(const pare_task *task, const char *path)
{
    const pri_masked_language_modelling *modelling = (const pri_masked_language_modelling *)task;
    return pri_dealer_save(modelling->dealer, training_identity(task), path);
}

static pare_status load_state(pare_task *task, const char *path)
{
    pri_masked_language_modelling *modelling = pri_masked_language_modelling_of(task);
    return pri_dealer_load(modelling->dealer, training_identity(task), path);
}

static const pri_task_functions functions = {
    .destroy = destroy,
    .metric = metric,
    .higher_is_better = false,
    .examples = examples,
    .hash = hash,
    .length = length,
    .check_model = check_model,
    .save_files = save_files,
    .batches_per_epoch = batches_per_epoch,
    .training_tokens = training_tokens,
    .training_loss = training_loss,
    .takes_teacher = true,
    .rewind = rewind_training,
    .save_state = save_state,
    .load_state = load_state,
    .evaluate = pri_masked_evaluate,
    .observe = pri_masked_observe,
};

/* ---- Creation ---- */

static pare_status read_texts(pri_masked_language_modelling *modelling,
                              const pare_masked_language_modelling_options *options, size_t limit)
{
    pri_corpus_part parts[PARE_SPLIT_COUNT];
    PRI_TRY(pri_corpus_find(options->train, options->valid, options->test, parts));
    if (!modelling->tokenizer) {
        PRI_TRY(pri_wordpiece_build_lines(parts[PARE_SPLIT_TRAIN].path,
                                          parts[PARE_SPLIT_TRAIN].lines, &options->tokenizer,
                                          &modelling->owned));
        modelling->tokenizer = modelling->owned;
    }
    for (int split = 0; split < PARE_SPLIT_COUNT; split++) {
        pri_corpus_name(parts[split].path, modelling->names[split]);
        PRI_TRY(
            pri_pack_text(modelling->tokenizer, &parts[split], limit, &modelling->splits[split]));
        modelling->length =
            pri_larger(modelling->length, pri_sequences_longest(&modelling->splits[split]));
    }
    return PARE_OK;
}

static pare_status make_dealer(pri_masked_language_modelling *modelling,
                               const pare_masked_language_modelling_options *options)
{
    const bool unlimited = !options->batch && !options->tokens;
    const pri_dealing dealing = {.examples = options->batch,
                                 .tokens = unlimited ? DEFAULT_TOKENS : options->tokens,
                                 .seed = options->seed};
    return pri_sequences_deal(&modelling->splits[PARE_SPLIT_TRAIN], &dealing, &modelling->dealer);
}

static pare_status fill_task(pri_masked_language_modelling *modelling,
                             const pare_masked_language_modelling_options *options, size_t limit)
{
    PRI_TRY(read_texts(modelling, options, limit));
    PRI_TRY(pri_word_masking_create(modelling->tokenizer,
                                    options->share != 0 ? options->share : DEFAULT_SHARE,
                                    &modelling->masking));
    return make_dealer(modelling, options);
}

pare_status
pare_masked_language_modelling_create(const pare_masked_language_modelling_options *options,
                                      const pare_wordpiece *tokenizer, pare_task **task)
{
    *task = NULL;
    size_t limit = options->length ? options->length : DEFAULT_LENGTH;
    if (limit <= PRI_SPECIAL_TOKENS_SINGLE)
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "training.length %zu leaves no room for words between [CLS] and [SEP]; use 3 "
            "or more, such as 128",
            limit);
    pri_masked_language_modelling *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->task.functions = &functions;
    created->tokenizer = tokenizer;
    created->seed = options->seed;
    pare_status status = fill_task(created, options, limit);
    if (status != PARE_OK) {
        destroy(&created->task);
        return status;
    }
    *task = &created->task;
    return PARE_OK;
}

const pare_wordpiece *pare_masked_language_modelling_tokenizer(const pare_task *task)
{
    return ((const pri_masked_language_modelling *)task)->tokenizer;
}
