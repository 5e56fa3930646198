/* Translation as a task: data, tokenizers, training batches and their position. Measuring is in
 * evaluation.c. */
#include "tasks/translation/translation.h"

#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "models/model.h"
#include "nn/tape.h"
#include "tasks/corpus_files.h"
#include "tasks/remark.h"

#define DEFAULT_LENGTH 128
#define DEFAULT_TOKENS 4096

/* ---- Tokenizers ---- */

static const char joint_file[] = "tokenizer.json", source_file[] = "source_tokenizer.json",
                  target_file[] = "target_tokenizer.json", sentencepiece_file[] = "source.spm";

static pare_status load_tokenizer(const char *directory, const char *file, pare_bpe **tokenizer)
{
    char *path = pri_path_join(directory, file);
    pare_status status = path ? pare_bpe_load(path, tokenizer) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status has_file(const char *directory, const char *file, bool *found)
{
    char *path = pri_path_join(directory, file);
    *found = path && pri_path_exists(path);
    pri_free(path);
    return path ? PARE_OK : PARE_ERROR_MEMORY;
}

/* Published Marian models come with SentencePiece's. */
static pare_status check_directory(const char *directory, bool separate)
{
    bool joint, sentencepiece;
    PRI_TRY(has_file(directory, joint_file, &joint));
    PRI_TRY(has_file(directory, sentencepiece_file, &sentencepiece));
    if (joint || separate || !sentencepiece)
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: its tokenizer is SentencePiece's (%s), which is not read; only a %s of "
                    "byte-pair encoding is",
                    directory, sentencepiece_file, joint_file);
}

pare_status pare_translation_tokenizers_load(const char *directory,
                                             pare_translation_tokenizers *tokenizers)
{
    *tokenizers = (pare_translation_tokenizers){.source = NULL};
    bool separate;
    PRI_TRY(has_file(directory, source_file, &separate));
    PRI_TRY(check_directory(directory, separate));
    pare_status status =
        load_tokenizer(directory, separate ? source_file : joint_file, &tokenizers->source);
    if (status == PARE_OK && separate)
        status = load_tokenizer(directory, target_file, &tokenizers->target);
    if (status == PARE_OK && !separate)
        tokenizers->target = tokenizers->source;
    if (status != PARE_OK)
        pare_translation_tokenizers_free(tokenizers);
    return status;
}

void pare_translation_tokenizers_free(pare_translation_tokenizers *tokenizers)
{
    if (tokenizers->target != tokenizers->source)
        pare_bpe_destroy(tokenizers->target);
    pare_bpe_destroy(tokenizers->source);
    *tokenizers = (pare_translation_tokenizers){.source = NULL};
}

static pare_status save_tokenizer(const pare_bpe *tokenizer, const char *directory,
                                  const char *file)
{
    char *path = pri_path_join(directory, file);
    pare_status status = path ? pare_bpe_save(tokenizer, path) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status save_files(const pare_task *task, const char *directory)
{
    const pare_translation_tokenizers *tokenizers = pare_translation_tokenizers_of(task);
    PRI_TRY(pri_make_directories(directory));
    if (tokenizers->source == tokenizers->target)
        return save_tokenizer(tokenizers->source, directory, joint_file);
    PRI_TRY(save_tokenizer(tokenizers->source, directory, source_file));
    return save_tokenizer(tokenizers->target, directory, target_file);
}

/* ---- What the task says of itself ---- */

static void destroy(pare_task *task)
{
    pri_translation *translation = pri_translation_of(task);
    for (int split = 0; split < PARE_SPLIT_COUNT; split++)
        pri_parallel_free(&translation->splits[split]);
    pri_dealer_destroy(translation->dealer);
    pri_batch_builder_free(&translation->sources);
    pri_batch_builder_free(&translation->targets);
    pare_translation_tokenizers_free(&translation->owned);
    free(translation->remark);
    pri_free(translation);
}

static const char *metric(const pare_task *task)
{
    return ((const pri_translation *)task)->tokenised ? "tokenised BLEU" : "BLEU";
}

static uint64_t examples(const pare_task *task, pare_split split)
{
    return ((const pri_translation *)task)->splits[split].sources.count;
}

static uint64_t hash(const pare_task *task, pare_split split)
{
    return pri_parallel_hash(&((const pri_translation *)task)->splits[split]);
}

static size_t length(const pare_task *task)
{
    const pri_translation *translation = (const pri_translation *)task;
    return pri_larger(translation->longest_source, translation->longest_target);
}

static const char *remark(const pare_task *task)
{
    return ((const pri_translation *)task)->remark;
}

const pare_translation_tokenizers *pare_translation_tokenizers_of(const pare_task *task)
{
    return &((const pri_translation *)task)->tokenizers;
}

uint64_t pare_translation_left_out(const pare_task *task)
{
    return ((const pri_translation *)task)->splits[PARE_SPLIT_TRAIN].left_out;
}

/* ---- Models that fit ---- */

pare_status pri_translation_check_model(const pare_translation_tokenizers *tokenizers,
                                        const pare_model *model)
{
    const pare_marian_config *config = pare_marian_config_of(model);
    if (!config)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a model of type \"%s\" does not translate; name one of type \"marian\"",
                        pare_model_family(model));
    PRI_TRY(pri_check_pieces("source pieces", config->source_vocabulary,
                             pare_bpe_size(tokenizers->source)));
    PRI_TRY(pri_check_pieces("target pieces", config->target_vocabulary,
                             pare_bpe_size(tokenizers->target)));
    if (pare_bpe_special_tokens(tokenizers->source).end == config->end &&
        pare_bpe_special_tokens(tokenizers->target).end == config->end)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model ends sentences with word %lu (eos_token_id) but the tokenizer's "
                    "</s> is another one; use the tokenizer the model was trained with",
                    (unsigned long)config->end);
}

static pare_status check_length(const pri_translation *translation, pare_split split,
                                const char *side, const pri_sequences *sentences, size_t positions)
{
    size_t longest = pri_sequences_longest(sentences);
    if (longest <= positions)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "%s: a %s of %zu pieces, but the model has %zu positions; set training.length "
                    "to at most %zu",
                    translation->names[split], side, longest, positions, positions);
}

static pare_status check_masks(const pri_translation *translation, const pare_model *model)
{
    const size_t source = translation->longest_source, target = translation->longest_target;
    PRI_TRY(pri_model_check_shape(model, PARE_ATTENTION_SELF,
                                  (pri_call_shape){source, source, source}));
    PRI_TRY(pri_model_check_shape(model, PARE_ATTENTION_DECODER,
                                  (pri_call_shape){target, target, target}));
    return pri_model_check_shape(model, PARE_ATTENTION_CROSS,
                                 (pri_call_shape){target, source, source});
}

static pare_status check_model(const pare_task *task, const pare_model *model)
{
    const pri_translation *translation = (const pri_translation *)task;
    PRI_TRY(pri_translation_check_model(&translation->tokenizers, model));
    const size_t positions = pare_marian_config_of(model)->positions;
    for (int split = 0; split < PARE_SPLIT_COUNT; split++) {
        const pri_parallel_text *text = &translation->splits[split];
        PRI_TRY(check_length(translation, (pare_split)split, "source", &text->sources, positions));
        PRI_TRY(check_length(translation, (pare_split)split, "target", &text->targets, positions));
    }
    return check_masks(translation, model);
}

/* ---- Batches ---- */

pare_status pri_translation_gather(const pri_parallel_text *text, const size_t *indices,
                                   size_t count, pri_batch_builder *sources,
                                   pri_batch_builder *targets, pare_translation_batch *batch)
{
    PRI_TRY(pri_batch_gather(sources, &text->sources, indices, count));
    PRI_TRY(pri_batch_gather(targets, &text->targets, indices, count));
    *batch = (pare_translation_batch){.pairs = count,
                                      .source_offsets = sources->offsets,
                                      .source = sources->tokens,
                                      .target_offsets = targets->offsets,
                                      .target = targets->tokens};
    return PARE_OK;
}

/* ---- Training ---- */

static uint64_t batches_per_epoch(const pare_task *task)
{
    return pri_dealer_batches(((const pri_translation *)task)->dealer);
}

static uint64_t training_tokens(const pare_task *task, uint64_t batches)
{
    return pri_dealer_tokens(((const pri_translation *)task)->dealer, batches);
}

static pare_status next_batch(pri_translation *translation, const pare_model *model,
                              pare_translation_batch *batch)
{
    PRI_TRY(pri_translation_check_model(&translation->tokenizers, model));
    const size_t *indices;
    size_t count;
    pri_dealer_next(translation->dealer, &indices, &count);
    return pri_translation_gather(&translation->splits[PARE_SPLIT_TRAIN], indices, count,
                                  &translation->sources, &translation->targets, batch);
}

static pare_tensor *training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    pri_translation *translation = pri_translation_of(task);
    pare_translation_batch batch;
    pare_status status = next_batch(translation, model, &batch);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    return pare_translation_loss(model, tape, &batch, translation->smoothing, NULL);
}

static void rewind_training(pare_task *task)
{
    pri_dealer_rewind(pri_translation_of(task)->dealer);
}

static pare_status save_state(const pare_task *task, const char *path)
{
    return pri_dealer_save(((const pri_translation *)task)->dealer, hash(task, PARE_SPLIT_TRAIN),
                           path);
}

static pare_status load_state(pare_task *task, const char *path)
{
    return pri_dealer_load(pri_translation_of(task)->dealer, hash(task, PARE_SPLIT_TRAIN), path);
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
    .rewind = rewind_training,
    .save_state = save_state,
    .load_state = load_state,
    .evaluate = pri_translation_evaluate,
    .observe = pri_translation_observe,
};

/* ---- Creation ---- */

static pare_status make_joint_tokenizer(const pare_translation_options *options,
                                        pare_bpe **tokenizer)
{
    const char *texts[] = {options->train.source, options->train.target};
    size_t count = options->train.target ? 2 : 1;
    return options->merges ? pare_bpe_load_codes(options->merges, texts, count, tokenizer)
                           : pare_bpe_build(texts, count, &options->tokenizer, tokenizer);
}

static pare_status make_tokenizers(const pare_translation_options *options,
                                   pare_translation_tokenizers *made)
{
    if (!options->separate_vocabularies) {
        PRI_TRY(make_joint_tokenizer(options, &made->source));
        made->target = made->source;
        return PARE_OK;
    }
    if (!options->train.target || options->merges)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "separate vocabularies are learned from a file for each language; give "
                        "data.train.source and data.train.target, and no data.merges");
    PRI_TRY(pare_bpe_build(&options->train.source, 1, &options->tokenizer, &made->source));
    return pare_bpe_build(&options->train.target, 1, &options->tokenizer, &made->target);
}

static pare_status read_split(pri_translation *translation, pare_split split,
                              const pare_parallel_files *files, double ratio)
{
    pri_parallel_text *text = &translation->splits[split];
    pri_parallel_reading reading = {.source = translation->tokenizers.source,
                                    .target = translation->tokenizers.target,
                                    .length = translation->length,
                                    .ratio = ratio,
                                    .training = split == PARE_SPLIT_TRAIN};
    pri_corpus_name(files->source, translation->names[split]);
    PRI_TRY(pri_parallel_read(files, &reading, text));
    translation->longest_source =
        pri_larger(translation->longest_source, pri_sequences_longest(&text->sources));
    translation->longest_target =
        pri_larger(translation->longest_target, pri_sequences_longest(&text->targets));
    return PARE_OK;
}

static pare_status read_splits(pri_translation *translation,
                               const pare_translation_options *options)
{
    const pare_parallel_files *test = options->test.source ? &options->test : &options->valid;
    PRI_TRY(read_split(translation, PARE_SPLIT_TRAIN, &options->train, options->length_ratio));
    PRI_TRY(read_split(translation, PARE_SPLIT_VALID, &options->valid, 0));
    return read_split(translation, PARE_SPLIT_TEST, test, 0);
}

static pare_status write_remark(pri_translation *translation)
{
    const pri_parallel_text *splits = translation->splits;
    const uint64_t left_out = splits[PARE_SPLIT_TRAIN].left_out;
    const uint64_t cut = splits[PARE_SPLIT_VALID].cut + splits[PARE_SPLIT_TEST].cut;
    pri_text remarks = {0};
    if (left_out)
        pri_text_append(&remarks,
                        "%llu of %llu training pairs are left out: empty on one side, or beyond "
                        "training.length %zu or data.length_ratio",
                        (unsigned long long)left_out,
                        (unsigned long long)(left_out + splits[PARE_SPLIT_TRAIN].sources.count),
                        translation->length);
    if (cut) {
        pri_remark_begin(&remarks);
        pri_text_append(&remarks,
                        "%llu sentences of validation and test are cut at training.length %zu",
                        (unsigned long long)cut, translation->length);
    }
    return pri_text_take(&remarks, &translation->remark);
}

/* A pair is as long as both its sides. */
static pare_status make_dealer(pri_translation *translation,
                               const pare_translation_options *options)
{
    const pri_parallel_text *text = &translation->splits[PARE_SPLIT_TRAIN];
    const bool unlimited = !options->batch && !options->tokens;
    const pri_dealing dealing = {.examples = options->batch,
                                 .tokens = unlimited ? DEFAULT_TOKENS : options->tokens,
                                 .seed = options->seed};
    size_t count = text->sources.count, *lengths = pri_allocate(count, sizeof *lengths);
    if (!lengths)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        lengths[i] =
            pri_sequences_at(&text->sources, i).count + pri_sequences_at(&text->targets, i).count;
    pare_status status = pri_dealer_create(&dealing, lengths, count, &translation->dealer);
    pri_free(lengths);
    return status;
}

/* What evaluation would find out after training. The shortest source is </s> alone. */
static pare_status check_decoding(const pri_translation *translation)
{
    const pare_translate_options *decoding = &translation->decoding;
    const size_t words = pare_bpe_size(translation->tokenizers.target);
    if (decoding->beam > PARE_BEAM_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "evaluation.beam is %zu; give 1 to %d", decoding->beam,
                        PARE_BEAM_MAX);
    if (decoding->beam > words)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "evaluation.beam is %zu, but the vocabulary has %zu pieces; give a smaller "
                        "one",
                        decoding->beam, words);
    /* Written so that a NaN fails too. */
    if (floor(decoding->length_factor + decoding->length_extra) >= 1)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "translations of at most %g tokens per source token and %g more have no room "
                    "for their end; raise evaluation.length_factor or evaluation.length_extra",
                    decoding->length_factor, decoding->length_extra);
}

static pare_status fill_task(pri_translation *translation, const pare_translation_options *options,
                             const pare_translation_tokenizers *tokenizers)
{
    if (!tokenizers) {
        PRI_TRY(make_tokenizers(options, &translation->owned));
        tokenizers = &translation->owned;
    }
    translation->tokenizers = *tokenizers;
    translation->tokenised = pare_bpe_form_of(tokenizers->target) == PARE_BPE_WORDS;
    PRI_TRY(check_decoding(translation));
    PRI_TRY(read_splits(translation, options));
    PRI_TRY(write_remark(translation));
    return make_dealer(translation, options);
}

static pare_status check_options(const pare_translation_options *options)
{
    if (!options->train.source || !options->valid.source)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training and validation pairs are needed (data.train.source and "
                        "data.train.target, data.valid.source and data.valid.target)");
    if (options->length == 1)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a length of 1 leaves no room for words before </s>; use 2 or more, such "
                        "as 128");
    if (!(options->smoothing >= 0 && options->smoothing < 1))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "label smoothing must be 0 or more and less than 1, "
                        "not %g",
                        options->smoothing);
    return PARE_OK;
}

pare_status pare_translation_create(const pare_translation_options *options,
                                    const pare_translation_tokenizers *tokenizers, pare_task **task)
{
    *task = NULL;
    PRI_TRY(check_options(options));
    pri_translation *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->task.functions = &functions;
    created->length = options->length ? options->length : DEFAULT_LENGTH;
    created->smoothing = (float)options->smoothing;
    created->decoding =
        options->decoding.beam ? options->decoding : pare_translate_options_default();
    pare_status status = fill_task(created, options, tokenizers);
    if (status != PARE_OK) {
        destroy(&created->task);
        return status;
    }
    *task = &created->task;
    return PARE_OK;
}
