/* Measuring on masked words. Which words of a sequence are hidden here is a function of the
 * sequence alone: perplexities of different runs, batches and machines are of the same words.
 * Observation sees the same hidden words, since that is what the model is made to read. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/encoder_pass.h"
#include "tasks/masked_language_modelling/masked_language_modelling.h"

/* A split with words hidden. */
typedef struct masked_split {
    pri_sequences sequences; /* the split's, but for the tokens */
    pri_chosen_words chosen; /* rows count from the beginning of the word's sequence */
    size_t *ends;            /* one past the last chosen word of each sequence */
} masked_split;

static pare_status hide_words(const pri_word_masking *masking, masked_split *split)
{
    for (size_t i = 0; i < split->sequences.count; i++) {
        pri_token_span span = pri_sequences_at(&split->sequences, i);
        uint64_t sequence = pri_hash(PRI_HASH_START, span.ids, span.count * sizeof *span.ids);
        uint32_t *tokens = split->sequences.tokens + (span.ids - split->sequences.tokens);
        PRI_TRY(pri_mask_words(masking, pri_random_key(sequence, "evaluated words", 0), 0, tokens,
                               span.count, &split->chosen));
        split->ends[i] = split->chosen.count;
    }
    return PARE_OK;
}

static pare_status mask_split(const pri_masked_language_modelling *modelling, pare_split number,
                              masked_split *split)
{
    const pri_sequences *sequences = &modelling->splits[number];
    *split = (masked_split){.sequences = *sequences};
    split->sequences.tokens = pri_allocate(sequences->token_count, sizeof(uint32_t));
    split->ends = pri_allocate(sequences->count, sizeof *split->ends);
    if (!split->sequences.tokens || !split->ends)
        return PARE_ERROR_MEMORY;
    memcpy(split->sequences.tokens, sequences->tokens,
           sequences->token_count * sizeof *sequences->tokens);
    return hide_words(&modelling->masking, split);
}

static void free_split(masked_split *split)
{
    pri_free(split->sequences.tokens);
    pri_free(split->ends);
    pri_chosen_words_free(&split->chosen);
}

/* ---- Evaluation ---- */

typedef struct measurement {
    pare_inference *inference;
    size_t vocabulary; /* of the model */
    pare_tape *tape;
    const masked_split *split;
    float *losses;    /* of all chosen words, in the order of the split */
    uint64_t guessed; /* how many of them the model thinks likeliest */
    /* Of a batch: */
    pri_chosen_words chosen;
    float *batch_losses; /* room for all chosen words */
} measurement;

static size_t first_chosen(const masked_split *split, size_t sequence)
{
    return sequence ? split->ends[sequence - 1] : 0;
}

static pare_status gather_chosen(measurement *measured, const pare_encoder_batch *batch,
                                 const size_t *indices)
{
    const masked_split *split = measured->split;
    measured->chosen.count = 0;
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t begin = first_chosen(split, indices[i]), end = split->ends[indices[i]];
        PRI_TRY(pri_chosen_words_reserve(&measured->chosen, end - begin));
        for (size_t j = begin; j < end; j++)
            pri_chosen_words_add(&measured->chosen, batch->offsets[i] + split->chosen.rows[j],
                                 split->chosen.words[j]);
    }
    return PARE_OK;
}

/* The first of equals. */
static bool is_likeliest(const pare_tensor *logits, size_t row, uint32_t word)
{
    const float *values = logits->value + row * logits->columns;
    for (size_t i = 0; i < logits->columns; i++)
        if (i < word ? values[i] >= values[word] : values[i] > values[word])
            return false;
    return true;
}

/* The order of summation is to be that of the split, not of the batches. */
static void hand_out_losses(measurement *measured, const pare_encoder_batch *batch,
                            const size_t *indices)
{
    const masked_split *split = measured->split;
    const float *losses = measured->batch_losses;
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t begin = first_chosen(split, indices[i]), count = split->ends[indices[i]] - begin;
        memcpy(measured->losses + begin, losses, count * sizeof *losses);
        losses += count;
    }
}

static pare_status evaluate_batch(void *user, const pare_encoder_batch *batch,
                                  const size_t *indices)
{
    measurement *measured = user;
    PRI_TRY(gather_chosen(measured, batch, indices));
    const pri_chosen_words *chosen = &measured->chosen;
    pare_tape_begin(measured->tape, false, 0);
    pare_tensor *logits = pare_tape_tensor(measured->tape, chosen->count, measured->vocabulary);
    PRI_TRY(pare_tape_status(measured->tape));
    const pare_inference_output wanted = {
        .words = logits->value, .rows = chosen->rows, .row_count = chosen->count};
    PRI_TRY(pare_inference_run(measured->inference, batch, &wanted));
    pare_cross_entropy(measured->tape, logits, chosen->words, 0, measured->batch_losses);
    PRI_TRY(pare_tape_status(measured->tape));
    hand_out_losses(measured, batch, indices);
    for (size_t i = 0; i < chosen->count; i++)
        measured->guessed += is_likeliest(logits, i, chosen->words[i]);
    return PARE_OK;
}

static pare_status finish_evaluation(const measurement *measured, const char *label,
                                     pare_evaluation *evaluation)
{
    const size_t words = measured->split->chosen.count;
    double sum = 0;
    for (size_t i = 0; i < words; i++)
        sum += (double)measured->losses[i];
    evaluation->tokens = words;
    evaluation->loss = sum / (double)words;
    PRI_TRY(pri_check_loss(label, evaluation->loss));
    evaluation->metric = exp(evaluation->loss);
    evaluation->more[0] =
        (pare_measure){"accuracy", 100 * (double)measured->guessed / (double)words};
    evaluation->more_count = 1;
    return PARE_OK;
}

static pare_status measure_split(measurement *measured, const pri_encoder_pass *pass,
                                 pare_evaluation *evaluation)
{
    const size_t words = measured->split->chosen.count;
    double begin = pri_clock_seconds();
    measured->losses = pri_allocate(words, sizeof(float));
    measured->batch_losses = pri_allocate(words, sizeof(float));
    if (!measured->losses || !measured->batch_losses)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_encoder_pass_run(pass, evaluate_batch, measured));
    evaluation->seconds = pri_clock_seconds() - begin;
    evaluation->attention_seconds = pare_inference_attention_seconds(measured->inference);
    return finish_evaluation(measured, pass->label, evaluation);
}

static void free_measurement(measurement *measured)
{
    pare_inference_destroy(measured->inference);
    pri_free(measured->losses);
    pri_free(measured->batch_losses);
    pri_chosen_words_free(&measured->chosen);
}

pare_status pri_masked_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                pare_split split, const pare_progress *progress,
                                pare_evaluation *evaluation)
{
    const pri_masked_language_modelling *modelling = pri_masked_language_modelling_of(task);
    PRI_TRY(pri_check_masked_model(modelling, model));
    char label[32];
    snprintf(label, sizeof label, "evaluate %s", pri_split_name(split));
    masked_split masked;
    measurement measured = {
        .vocabulary = pare_bert_config_of(model)->vocabulary, .tape = tape, .split = &masked};
    pare_status status = mask_split(modelling, split, &masked);
    if (status == PARE_OK)
        status = pare_inference_create(model, pare_context_precision(pare_tape_context(tape)),
                                       &measured.inference);
    const pri_encoder_pass pass = {
        .sequences = &masked.sequences, .label = label, .progress = progress};
    if (status == PARE_OK)
        status = measure_split(&measured, &pass, evaluation);
    free_measurement(&measured);
    free_split(&masked);
    return status;
}

/* ---- Observation ---- */

pare_status pri_masked_observe(pare_task *task, pare_model *model, pare_tape *tape,
                               pare_split split, bool ends_first, const pare_progress *progress,
                               pare_average **average)
{
    const pri_masked_language_modelling *modelling = pri_masked_language_modelling_of(task);
    PRI_TRY(pri_check_masked_model(modelling, model));
    char label[32];
    snprintf(label, sizeof label, "average %s", pri_split_name(split));
    masked_split masked;
    pare_status status = mask_split(modelling, split, &masked);
    const pri_encoder_pass pass = {
        .sequences = &masked.sequences, .label = label, .progress = progress};
    const pri_encoder_corpus corpus = {.name = modelling->names[split],
                                       .hash = pare_task_hash(task, split),
                                       .length = modelling->length,
                                       .ends_first = ends_first};
    if (status == PARE_OK)
        status = pri_encoder_observe(&pass, &corpus, model, tape, average);
    free_split(&masked);
    return status;
}
