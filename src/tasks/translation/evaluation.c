/* Measuring a translation model: loss and BLEU of a split, and its average attention. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/translation/translation.h"

/* Of a batch whose losses or attention are measured, both sides together. */
#define PASS_TOKENS 4096
/* Sentences that are translated between two reports of progress. */
#define TRANSLATED_AT_ONCE ((size_t)256)

/* ---- A pass over all pairs ---- */

typedef pare_status (*batch_step)(void *user, const pare_translation_batch *batch);

typedef struct pair_pass {
    const pri_parallel_text *text;
    const char *label;
    const pare_progress *progress;
} pair_pass;

static void report_progress(const pair_pass *pass, uint64_t done, double begin)
{
    if (!pass->progress || !pass->progress->report)
        return;
    pare_progress_event event = {.label = pass->label,
                                 .unit = "pairs",
                                 .done = done,
                                 .total = pass->text->sources.count,
                                 .seconds = pri_clock_seconds() - begin};
    pass->progress->report(pass->progress->user, &event);
}

static pare_status check_interruption(const char *label)
{
    return pare_interrupted() ? pri_fail(PARE_ERROR_INTERRUPTED, "%s: interrupted", label)
                              : PARE_OK;
}

static pare_status run_batches(const pair_pass *pass, const pri_deal *deal,
                               pri_batch_builder builders[2], batch_step step, void *user)
{
    double begin = pri_clock_seconds();
    for (size_t i = 0; i < deal->batches; i++) {
        PRI_TRY(check_interruption(pass->label));
        pare_translation_batch batch;
        PRI_TRY(pri_translation_gather(pass->text, deal->indices + deal->begins[i],
                                       deal->begins[i + 1] - deal->begins[i], &builders[0],
                                       &builders[1], &batch));
        PRI_TRY(step(user, &batch));
        report_progress(pass, deal->begins[i + 1], begin);
    }
    return PARE_OK;
}

static pare_status run_pass(const pair_pass *pass, batch_step step, void *user)
{
    const pri_dealing dealing = {.tokens = PASS_TOKENS};
    size_t *lengths = pri_sequences_lengths(&pass->text->targets);
    if (!lengths)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < pass->text->sources.count; i++)
        lengths[i] += pri_sequences_at(&pass->text->sources, i).count;
    pri_deal deal;
    pri_batch_builder builders[2] = {{.capacity = 0}, {.capacity = 0}};
    pare_status status = pri_deal_by_length(&dealing, lengths, pass->text->sources.count, &deal);
    pri_free(lengths);
    if (status == PARE_OK)
        status = run_batches(pass, &deal, builders, step, user);
    pri_batch_builder_free(&builders[0]);
    pri_batch_builder_free(&builders[1]);
    pri_deal_free(&deal);
    return status;
}

/* ---- Loss ---- */

typedef struct loss_measurement {
    pare_model *model;
    pare_tape *tape;
    double sum;
    uint64_t tokens;
} loss_measurement;

static pare_status add_losses(void *user, const pare_translation_batch *batch)
{
    loss_measurement *measured = user;
    size_t tokens = batch->target_offsets[batch->pairs];
    pare_tape_begin(measured->tape, false, 0);
    float *losses = pri_tape_allocate(measured->tape, tokens, sizeof *losses);
    if (losses)
        pare_translation_loss(measured->model, measured->tape, batch, 0, losses);
    PRI_TRY(pare_tape_status(measured->tape));
    for (size_t i = 0; i < tokens; i++)
        measured->sum += (double)losses[i];
    measured->tokens += tokens;
    return PARE_OK;
}

static pare_status measure_loss(const pair_pass *pass, pare_model *model, pare_tape *tape,
                                pare_evaluation *evaluation)
{
    loss_measurement measured = {.model = model, .tape = tape};
    double before = pare_tape_attention_seconds(tape);
    PRI_TRY(run_pass(pass, add_losses, &measured));
    evaluation->attention_seconds = pare_tape_attention_seconds(tape) - before;
    evaluation->tokens = measured.tokens;
    evaluation->loss = measured.sum / (double)measured.tokens;
    return pri_check_loss(pass->label, evaluation->loss);
}

/* ---- BLEU ---- */

typedef struct bleu_measurement {
    const pri_translation *translation;
    const pri_parallel_text *text;
    pare_translator *translator;
    pare_scorer *scorer;
} bleu_measurement;

static pare_status score_sentence(const bleu_measurement *measured, size_t index,
                                  const pare_hypothesis *hypothesis)
{
    char *text;
    size_t length;
    PRI_TRY(pare_bpe_decode(measured->translation->tokenizers.target, hypothesis->tokens,
                            hypothesis->length, &text));
    const char *reference = pri_parallel_reference(measured->text, index, &length);
    pare_status status = pare_scorer_add(measured->scorer, text, strlen(text), reference, length);
    free(text);
    return status;
}

/* Sentences begin .. begin + count - 1. */
static pare_status translate_some(const bleu_measurement *measured, size_t begin, size_t count,
                                  pri_batch_builder *builder)
{
    size_t indices[TRANSLATED_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        indices[i] = begin + i;
    PRI_TRY(pri_batch_gather(builder, &measured->text->sources, indices, count));
    pare_ragged sources = {builder->offsets, count};
    pare_translations translations = {0};
    pare_status status = pare_translate(measured->translator, &sources, builder->tokens,
                                        &measured->translation->decoding, &translations);
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status =
            score_sentence(measured, begin + i, &translations.hypotheses[i * translations.n_best]);
    pare_translations_free(&translations);
    return status;
}

static pare_status translate_all(const bleu_measurement *measured, const pair_pass *pass)
{
    double began = pri_clock_seconds();
    pri_batch_builder builder = {0};
    pare_status status = PARE_OK;
    size_t sentences = measured->text->sources.count;
    for (size_t done = 0, count; done < sentences && status == PARE_OK; done += count) {
        count = pri_smaller(sentences - done, TRANSLATED_AT_ONCE);
        status = translate_some(measured, done, count, &builder);
        if (status == PARE_OK)
            report_progress(pass, done + count, began);
    }
    pri_batch_builder_free(&builder);
    return status;
}

static void note_score(const bleu_measurement *measured, pare_evaluation *evaluation)
{
    pare_translation_score score;
    pare_scorer_score(measured->scorer, &score);
    bool tokenised = measured->translation->tokenised;
    evaluation->metric = tokenised ? score.tokenised_bleu : score.bleu;
    evaluation->more[0] = (pare_measure){tokenised ? "BLEU" : "tokenised BLEU",
                                         tokenised ? score.bleu : score.tokenised_bleu};
    evaluation->more[1] = (pare_measure){"chrF", score.chrf};
    evaluation->more[2] = (pare_measure){"perplexity", exp(evaluation->loss)};
    evaluation->more_count = 3;
}

static pare_status measure_bleu(bleu_measurement *measured, const pair_pass *pass,
                                pare_model *model, pare_tape *tape, pare_evaluation *evaluation)
{
    pare_precision precision = pare_context_precision(pare_tape_context(tape));
    pare_scorer_options options = {.lower_case =
                                       pare_bpe_lowers(measured->translation->tokenizers.target)};
    pare_status status = pare_translator_create(model, precision, &measured->translator);
    if (status == PARE_OK)
        status = pare_scorer_create(&options, &measured->scorer);
    if (status == PARE_OK)
        status = translate_all(measured, pass);
    if (status == PARE_OK) {
        note_score(measured, evaluation);
        evaluation->attention_seconds += pare_translator_attention_seconds(measured->translator);
    }
    pare_scorer_destroy(measured->scorer);
    pare_translator_destroy(measured->translator);
    return status;
}

pare_status pri_translation_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                     pare_split split, const pare_progress *progress,
                                     pare_evaluation *evaluation)
{
    const pri_translation *translation = pri_translation_of(task);
    PRI_TRY(pri_translation_check_model(&translation->tokenizers, model));
    if (split == PARE_SPLIT_TRAIN)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "of training pairs the references are not kept, so translations of them "
                        "have no score; evaluate valid or test, or give the training files as "
                        "data.test.source and data.test.target");
    char label[32];
    double begin = pri_clock_seconds();
    const pri_parallel_text *text = &translation->splits[split];
    pair_pass pass = {.text = text, .label = label, .progress = progress};
    bleu_measurement measured = {.translation = translation, .text = text};
    snprintf(label, sizeof label, "evaluate %s", pri_split_name(split));
    PRI_TRY(measure_loss(&pass, model, tape, evaluation));
    snprintf(label, sizeof label, "translate %s", pri_split_name(split));
    PRI_TRY(measure_bleu(&measured, &pass, model, tape, evaluation));
    evaluation->seconds = pri_clock_seconds() - begin;
    return PARE_OK;
}

/* ---- Observation ---- */

typedef struct observation {
    pare_model *model;
    pare_tape *tape;
    pare_average **averages;
} observation;

static pare_status observe_batch(void *user, const pare_translation_batch *batch)
{
    observation *observed = user;
    pare_tape_begin(observed->tape, false, 0);
    pare_translation_hidden(observed->model, observed->tape, batch);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_average_add_examples(observed->averages[kind], batch->pairs);
    return pare_tape_status(observed->tape);
}

/* Sentences of any split fit into averages and masks; what training never showed is unknown. The
 * ratio is that of the training text, which masks are made for. */
static pare_geometry geometry_of(const pri_translation *translation, const pare_model *model,
                                 pare_attention_kind kind, bool ends_first)
{
    const pri_parallel_text *training = &translation->splits[PARE_SPLIT_TRAIN];
    pare_geometry geometry = pare_model_attention_geometry(
        model, kind,
        kind == PARE_ATTENTION_SELF ? translation->longest_source : translation->longest_target);
    geometry.ends_first = ends_first && kind != PARE_ATTENTION_DECODER;
    if (kind == PARE_ATTENTION_CROSS) {
        geometry.keys = translation->longest_source;
        geometry.ratio =
            (double)training->sources.token_count / (double)training->targets.token_count;
    }
    return geometry;
}

static pare_status begin_observation(const pri_translation *translation, pare_split split,
                                     bool ends_first, const observation *observed)
{
    for (size_t i = 0; i < PARE_ATTENTION_KINDS; i++) {
        pare_attention_kind kind = (pare_attention_kind)i;
        pare_geometry geometry = geometry_of(translation, observed->model, kind, ends_first);
        PRI_TRY(pare_average_create(&geometry, &observed->averages[i]));
        pare_average_set_corpus(observed->averages[i], translation->names[split],
                                pri_parallel_hash(&translation->splits[split]));
        pare_model_observe(observed->model, kind, observed->averages[i]);
    }
    return PARE_OK;
}

static void end_observation(const observation *observed, bool failed)
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        pare_model_observe(observed->model, (pare_attention_kind)kind, NULL);
        if (!failed)
            continue;
        pare_average_destroy(observed->averages[kind]);
        observed->averages[kind] = NULL;
    }
}

static pare_status observe_dense(const pri_translation *translation, pare_split split,
                                 bool ends_first, const pare_progress *progress,
                                 observation *observed)
{
    char label[32];
    snprintf(label, sizeof label, "average %s", pri_split_name(split));
    pair_pass pass = {.text = &translation->splits[split], .label = label, .progress = progress};
    pare_status status = begin_observation(translation, split, ends_first, observed);
    if (status == PARE_OK)
        status = run_pass(&pass, observe_batch, observed);
    end_observation(observed, status != PARE_OK);
    return status;
}

static pare_status set_masks(pare_model *model, const pare_mask *const masks[PARE_ATTENTION_KINDS])
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        PRI_TRY(pare_model_set_mask(model, (pare_attention_kind)kind, masks[kind]));
    return PARE_OK;
}

pare_status pri_translation_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                    pare_split split, bool ends_first,
                                    const pare_progress *progress,
                                    pare_average *averages[PARE_ATTENTION_KINDS])
{
    const pri_translation *translation = pri_translation_of(task);
    PRI_TRY(pri_translation_check_model(&translation->tokenizers, model));
    const pare_mask *masks[PARE_ATTENTION_KINDS], *const dense[PARE_ATTENTION_KINDS] = {NULL};
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        masks[kind] = pare_model_mask(model, (pare_attention_kind)kind);
    observation observed = {.model = model, .tape = tape, .averages = averages};
    PRI_TRY(set_masks(model, dense));
    pare_status status = observe_dense(translation, split, ends_first, progress, &observed);
    pare_status restored = set_masks(model, masks);
    return status == PARE_OK ? restored : status;
}
