/* Measuring: answers to all questions of a split against those that are right, the loss on the way,
 * and the average attention. A question without an answer in its context has no loss; one without
 * any answer is answered, but neither is right nor wrong. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "documents/json.h"
#include "tasks/question_answering/answer_score.h"
#include "tasks/question_answering/question_answering.h"

typedef struct measurement {
    pare_inference *inference;
    pare_tape *tape; /* for the loss */
    pri_decoder decoder;
    const pri_question_split *split;
    pri_span_targets targets;
    float *logits;                     /* (tokens, 2) of a batch at most */
    float *first_losses, *last_losses; /* (windows) of a batch at most */
    double loss;                       /* summed over windows that have one */
    uint64_t losses;
    pri_found_answer *answers; /* (questions) */
} measurement;

/* ---- Windows ---- */

static void add_losses(measurement *measured, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (measured->targets.firsts[i] == PARE_IGNORE)
            continue;
        measured->loss += 0.5 * ((double)measured->first_losses[i] + measured->last_losses[i]);
        measured->losses++;
    }
}

static void decode_batch(measurement *measured, const pare_encoder_batch *batch,
                         const size_t *windows, const float *logits)
{
    const pri_question_split *split = measured->split;
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t question = split->features.windows[windows[i]].question;
        pri_found_answer *best = &measured->answers[question];
        pri_found_answers answers = {.best = best, .wanted = 1, .count = best->end > best->begin};
        pri_decode_window(&measured->decoder, windows[i], logits + 2 * batch->offsets[i],
                          split->file.contexts[split->file.questions[question].context], &answers);
    }
}

static pare_status measure_losses(measurement *measured, const pare_encoder_batch *batch,
                                  const size_t *windows)
{
    PRI_TRY(pri_span_targets_fill(&measured->targets, &measured->split->features, windows,
                                  batch->sequences));
    pare_tape_begin(measured->tape, false, 0);
    pare_tensor *logits =
        pare_tape_constant(measured->tape, measured->logits, batch->offsets[batch->sequences], 2);
    pri_span_loss(measured->tape, logits, batch, &measured->targets, measured->first_losses,
                  measured->last_losses);
    PRI_TRY(pare_tape_status(measured->tape));
    add_losses(measured, batch->sequences);
    return PARE_OK;
}

static pare_status evaluate_batch(void *user, const pare_encoder_batch *batch,
                                  const size_t *windows)
{
    measurement *measured = user;
    const pare_inference_output wanted = {.spans = measured->logits};
    PRI_TRY(pare_inference_run(measured->inference, batch, &wanted));
    PRI_TRY(measure_losses(measured, batch, windows));
    decode_batch(measured, batch, windows, measured->logits);
    return PARE_OK;
}

/* ---- Scores ---- */

typedef struct score_sums {
    double exact_match, f1;
    uint64_t questions;
} score_sums;

static pare_status score_question(const pri_squad *file, const pri_question *question,
                                  const pri_found_answer *answer, pri_answer_score *best)
{
    *best = (pri_answer_score){0};
    const char *text = file->contexts[question->context] + answer->begin;
    for (size_t i = 0; i < question->answer_count; i++) {
        pri_answer_score score;
        PRI_TRY(pri_score_answer(text, answer->end - answer->begin,
                                 file->answers[question->first_answer + i].text, &score));
        pri_score_raise(best, &score);
    }
    return PARE_OK;
}

static pare_status score_all(const measurement *measured, score_sums *sums)
{
    const pri_squad *file = &measured->split->file;
    for (size_t i = 0; i < file->question_count; i++) {
        pri_answer_score best;
        PRI_TRY(score_question(file, &file->questions[i], &measured->answers[i], &best));
        sums->exact_match += best.exact_match;
        sums->f1 += best.f1;
        sums->questions += file->questions[i].answer_count > 0;
    }
    return PARE_OK;
}

static pare_status summarise(const measurement *measured, const char *label,
                             pare_evaluation *evaluation)
{
    score_sums sums = {0};
    PRI_TRY(score_all(measured, &sums));
    evaluation->tokens = sums.questions;
    evaluation->loss = measured->losses ? measured->loss / (double)measured->losses : 0;
    evaluation->metric = 100 * sums.f1 / (double)sums.questions;
    evaluation->more[0] =
        (pare_measure){"exact match", 100 * sums.exact_match / (double)sums.questions};
    evaluation->more_count = 1;
    return pri_check_loss(label, evaluation->loss);
}

/* ---- Evaluation ---- */

static pare_status allocate_buffers(measurement *measured, size_t tokens)
{
    const pri_features *features = &measured->split->features;
    measured->answers =
        pri_allocate_zero(measured->split->file.question_count, sizeof *measured->answers);
    measured->logits = pri_allocate(pri_larger(tokens, pri_sequences_longest(&features->sequences)),
                                    2 * sizeof(float));
    measured->first_losses = pri_allocate(features->window_count, sizeof(float));
    measured->last_losses = pri_allocate(features->window_count, sizeof(float));
    bool all =
        measured->answers && measured->logits && measured->first_losses && measured->last_losses;
    return all ? PARE_OK : PARE_ERROR_MEMORY;
}

static void free_buffers(measurement *measured)
{
    pri_span_targets_free(&measured->targets);
    pri_free(measured->logits);
    pri_free(measured->first_losses);
    pri_free(measured->last_losses);
    pri_free(measured->answers);
}

static pare_status run_evaluation(const pri_question_answering *answering, measurement *measured,
                                  pare_model *model, const char *label,
                                  const pare_progress *progress)
{
    const pri_encoder_pass pass = {.sequences = &measured->split->features.sequences,
                                   .tokens = answering->settings.evaluation_tokens,
                                   .label = label,
                                   .progress = progress};
    PRI_TRY(allocate_buffers(measured, pass.tokens));
    PRI_TRY(pare_inference_create(model, pare_context_precision(pare_tape_context(measured->tape)),
                                  &measured->inference));
    return pri_encoder_pass_run(&pass, evaluate_batch, measured);
}

static void keep_predictions(pri_question_answering *answering, measurement *measured)
{
    pri_free(answering->predictions.answers);
    answering->predictions =
        (pri_predictions){.split = measured->split, .answers = measured->answers};
    measured->answers = NULL;
}

pare_status pri_question_answering_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                            pare_split split, const pare_progress *progress,
                                            pare_evaluation *evaluation)
{
    pri_question_answering *answering = pri_question_answering_of(task);
    measurement measured = {.tape = tape};
    PRI_TRY(pri_check_answering(model, answering->tokenizer, answering->length));
    PRI_TRY(pri_question_split_of(answering, split, &measured.split));
    measured.decoder = (pri_decoder){.features = &measured.split->features,
                                     .tokenizer = answering->tokenizer,
                                     .answer_length = answering->settings.answer_length};
    char label[32];
    snprintf(label, sizeof label, "evaluate %s", pri_split_name(split));
    double begin = pri_clock_seconds();
    pare_status status = run_evaluation(answering, &measured, model, label, progress);
    if (status == PARE_OK) {
        evaluation->seconds = pri_clock_seconds() - begin;
        evaluation->attention_seconds = pare_inference_attention_seconds(measured.inference);
        status = summarise(&measured, label, evaluation);
    }
    if (status == PARE_OK)
        keep_predictions(answering, &measured);
    pare_inference_destroy(measured.inference);
    free_buffers(&measured);
    return status;
}

/* ---- Predictions ---- */

static pare_status collect_predictions(const pri_predictions *predictions, json_t *object)
{
    const pri_squad *file = &predictions->split->file;
    for (size_t i = 0; i < file->question_count; i++) {
        const pri_question *question = &file->questions[i];
        const pri_found_answer *answer = &predictions->answers[i];
        json_t *text = json_stringn(file->contexts[question->context] + answer->begin,
                                    answer->end - answer->begin);
        if (json_object_set_new(object, question->id, text))
            return pri_fail(PARE_ERROR_MEMORY, "out of memory for predictions");
    }
    return PARE_OK;
}

pare_status pare_question_answering_save_predictions(const pare_task *task, const char *path)
{
    PRI_TRY(pri_check_question_answering(task));
    const pri_question_answering *answering = (const pri_question_answering *)task;
    if (!answering->predictions.split)
        return pri_fail(PARE_ERROR_ARGUMENT, "nothing was evaluated yet, so there are no answers");
    json_t *object = json_object();
    if (!object)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory for predictions");
    pare_status status = collect_predictions(&answering->predictions, object);
    if (status == PARE_OK)
        status = pri_json_save(object, path);
    json_decref(object);
    return status;
}

/* ---- Observation ---- */

pare_status pri_question_answering_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                           pare_split split, bool ends_first,
                                           const pare_progress *progress, pare_average **average)
{
    const pri_question_answering *answering = pri_question_answering_of(task);
    const pri_question_split *data;
    PRI_TRY(pri_check_answering(model, answering->tokenizer, answering->length));
    PRI_TRY(pri_question_split_of(answering, split, &data));
    char label[32];
    snprintf(label, sizeof label, "average %s", pri_split_name(split));
    const pri_encoder_pass pass = {.sequences = &data->features.sequences,
                                   .tokens = answering->settings.evaluation_tokens,
                                   .label = label,
                                   .progress = progress};
    const pri_encoder_corpus corpus = {.name = data->name,
                                       .hash = data->hash,
                                       .length = answering->length,
                                       .ends_first = ends_first};
    return pri_encoder_observe(&pass, &corpus, model, tape, average);
}
