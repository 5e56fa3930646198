/* A classifier at work: texts in, probabilities out; and what it looked at. */
#include <math.h>

#include "base/memory.h"
#include "base/status.h"
#include "pare/task.h"
#include "tasks/encoder_pass.h"

typedef struct classification_run {
    pare_inference *inference;
    size_t labels;
    float *scores; /* (texts, labels) */
    float *logits; /* of a batch, which has no more texts */
} classification_run;

static void softmax(const float *logits, size_t count, float *probabilities)
{
    float largest = logits[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        largest = fmaxf(largest, logits[i]);
    for (size_t i = 0; i < count; i++)
        sum += probabilities[i] = expf(logits[i] - largest);
    for (size_t i = 0; i < count; i++)
        probabilities[i] /= sum;
}

static pare_status check_scores(const float *scores, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(scores[i]))
            return pri_fail(PARE_ERROR_NUMERIC,
                            "the model's answer is not a finite number; its weights are damaged");
    return PARE_OK;
}

static pare_status classify_batch(void *user, const pare_encoder_batch *batch,
                                  const size_t *indices)
{
    classification_run *run = user;
    const pare_inference_output output = {.labels = run->logits};
    PRI_TRY(pare_inference_run(run->inference, batch, &output));
    for (size_t i = 0; i < batch->sequences; i++) {
        const float *row = run->logits + i * run->labels;
        float *scores = run->scores + indices[i] * run->labels;
        if (run->labels == 1)
            scores[0] = row[0];
        else
            softmax(row, run->labels, scores);
        PRI_TRY(check_scores(scores, run->labels));
    }
    return PARE_OK;
}

static pare_status append_text(const pare_wordpiece *tokenizer, const pare_text_pair *text,
                               size_t length, pare_pieces pieces[2], pri_sequences *sequences)
{
    const pare_special_tokens special = pare_wordpiece_special_tokens(tokenizer);
    pieces[0].count = pieces[1].count = 0;
    PRI_TRY(pare_wordpiece_encode(tokenizer, text->first, text->first_length, &pieces[0]));
    if (text->second)
        PRI_TRY(pare_wordpiece_encode(tokenizer, text->second, text->second_length, &pieces[1]));
    const pri_token_span first = {pieces[0].ids, pieces[0].count},
                         second = {pieces[1].ids, pieces[1].count};
    return pri_sequences_append(sequences, &special, first, text->second ? &second : NULL, length);
}

/* `cut` (count), or NULL. */
static pare_status append_texts(const pare_wordpiece *tokenizer, const pare_text_pair *texts,
                                size_t count, size_t length, pri_sequences *sequences, bool *cut)
{
    pare_pieces pieces[2] = {{0}};
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++) {
        size_t cut_before = sequences->cut;
        status = append_text(tokenizer, &texts[i], length, pieces, sequences);
        if (cut)
            cut[i] = sequences->cut > cut_before;
    }
    pare_pieces_free(&pieces[0]);
    pare_pieces_free(&pieces[1]);
    return status;
}

static pare_status check_head(const pare_model *model)
{
    if (pare_bert_config_of(model)->head == PARE_HEAD_CLASSIFICATION)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model has no classification head; name one that was trained to classify");
}

static pare_status run_inference(pare_inference *inference, const pri_sequences *sequences,
                                 size_t labels, float *scores)
{
    classification_run run = {.inference = inference, .labels = labels, .scores = scores};
    run.logits = pri_allocate(sequences->count, labels * sizeof *run.logits);
    if (!run.logits)
        return PARE_ERROR_MEMORY;
    const pri_encoder_pass pass = {.sequences = sequences, .label = "classify"};
    pare_status status = pri_encoder_pass_run(&pass, classify_batch, &run);
    pri_free(run.logits);
    return status;
}

pare_status pare_classify(pare_inference *inference, const pare_wordpiece *tokenizer,
                          const pare_text_pair *texts, size_t count, float *scores, bool *cut)
{
    const pare_model *model = pare_inference_model(inference);
    PRI_TRY(pri_check_encoder(model, tokenizer, 0));
    PRI_TRY(check_head(model));
    pri_sequences sequences = {0};
    pare_status status =
        append_texts(tokenizer, texts, count, pri_encoder_longest(model), &sequences, cut);
    if (status == PARE_OK)
        status = run_inference(inference, &sequences, pare_bert_config_of(model)->labels, scores);
    pri_sequences_free(&sequences);
    return status;
}

/* ---- Explanations ---- */

void pare_explanation_free(pare_explanation *explanation)
{
    pri_free(explanation->pieces);
    pare_average_destroy(explanation->average);
    *explanation = (pare_explanation){0};
}

static pare_status name_pieces(const pare_wordpiece *tokenizer, pri_token_span sequence,
                               pare_explanation *explanation)
{
    explanation->pieces = pri_allocate(sequence.count, sizeof *explanation->pieces);
    if (!explanation->pieces)
        return PARE_ERROR_MEMORY;
    explanation->count = sequence.count;
    for (size_t i = 0; i < sequence.count; i++)
        explanation->pieces[i] = pare_wordpiece_token(tokenizer, sequence.ids[i]);
    return PARE_OK;
}

static pare_status explain_sequence(pare_model *model, pare_tape *tape,
                                    const pri_sequences *sequences, pare_explanation *explanation)
{
    const pri_encoder_pass pass = {.sequences = sequences, .label = "explain"};
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_SELF);
    const pri_encoder_corpus corpus = {.name = "one text",
                                       .hash = pri_sequences_hash(sequences),
                                       .length = explanation->count,
                                       .ends_first = mask && pare_mask_geometry(mask)->ends_first};
    return pri_encoder_observe_as_is(&pass, &corpus, model, tape, &explanation->average);
}

pare_status pare_classify_explain(pare_model *model, pare_tape *tape,
                                  const pare_wordpiece *tokenizer, const pare_text_pair *text,
                                  pare_explanation *explanation)
{
    *explanation = (pare_explanation){0};
    PRI_TRY(pri_check_encoder(model, tokenizer, 0));
    pri_sequences sequences = {0};
    pare_status status =
        append_texts(tokenizer, text, 1, pri_encoder_longest(model), &sequences, NULL);
    if (status == PARE_OK)
        status = name_pieces(tokenizer, pri_sequences_at(&sequences, 0), explanation);
    if (status == PARE_OK)
        status = explain_sequence(model, tape, &sequences, explanation);
    pri_sequences_free(&sequences);
    if (status != PARE_OK)
        pare_explanation_free(explanation);
    return status;
}
