/* One question on one context, without a data set: the same windows and decoding. */
#include <math.h>
#include <string.h>

#include "tasks/question_answering/question_answering.h"

#define USUAL_LENGTH 384

typedef struct answering {
    pare_inference *inference;
    float *logits; /* (tokens, 2) of a batch at most */
    const char *context;
    pri_decoder decoder;
    pri_found_answers *found;
} answering;

static pare_status check_finite(const float *logits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(logits[i]))
            return pri_fail(PARE_ERROR_NUMERIC,
                            "the model's logits are not finite numbers; its weights are damaged");
    return PARE_OK;
}

static pare_status answer_batch(void *user, const pare_encoder_batch *batch, const size_t *windows)
{
    answering *asked = user;
    const pare_inference_output wanted = {.spans = asked->logits};
    PRI_TRY(pare_inference_run(asked->inference, batch, &wanted));
    PRI_TRY(check_finite(asked->logits, 2 * batch->offsets[batch->sequences]));
    for (size_t i = 0; i < batch->sequences; i++)
        pri_decode_window(&asked->decoder, windows[i], asked->logits + 2 * batch->offsets[i],
                          asked->context, asked->found);
    return PARE_OK;
}

static pare_status run_windows(answering *asked, const pri_features *features,
                               const pri_answering_settings *settings)
{
    if (!features->window_count)
        return pri_fail(PARE_ERROR_ARGUMENT, "the context is empty, so it answers nothing");
    asked->decoder.features = features;
    asked->logits = pri_allocate(pri_larger(settings->evaluation_tokens, settings->shape.length),
                                 2 * sizeof(float));
    if (!asked->logits)
        return PARE_ERROR_MEMORY;
    const pri_encoder_pass pass = {.sequences = &features->sequences,
                                   .tokens = settings->evaluation_tokens,
                                   .label = "answer"};
    pare_status status = pri_encoder_pass_run(&pass, answer_batch, asked);
    pri_free(asked->logits);
    return status;
}

static pare_status find_answers(answering *asked, const char *question,
                                const pri_answering_settings *settings, bool *cut)
{
    pri_question only = {.text = question};
    const pri_squad file = {
        .contexts = &asked->context, .context_count = 1, .questions = &only, .question_count = 1};
    pri_features features = {0};
    pare_status status =
        pri_features_make(&features, &file, &settings->shape, asked->decoder.tokenizer);
    if (status == PARE_OK)
        status = run_windows(asked, &features, settings);
    if (cut)
        *cut = features.cut_questions;
    pri_features_free(&features);
    return status;
}

pare_status pare_answer_question(pare_inference *inference, const pare_wordpiece *tokenizer,
                                 const char *question, const char *context,
                                 const pare_question_answering_options *options, size_t capacity,
                                 pare_answer *answers, size_t *count, bool *cut)
{
    *count = 0;
    if (cut)
        *cut = false;
    if (capacity > PARE_ANSWERS_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "%zu answers; ask for %d at most", capacity,
                        PARE_ANSWERS_MAX);
    const pare_model *model = pare_inference_model(inference);
    size_t longest = pri_smaller(USUAL_LENGTH, pri_encoder_longest(model));
    pri_answering_settings settings = pri_answering_settings_of(options, longest);
    PRI_TRY(pri_check_answering(model, tokenizer, settings.shape.length));
    if (!capacity)
        return PARE_OK;
    pri_found_answer best[PARE_ANSWERS_MAX];
    pri_found_answers found = {.best = best, .wanted = capacity};
    answering asked = {.inference = inference,
                       .context = context,
                       .decoder = {.tokenizer = tokenizer, .answer_length = settings.answer_length},
                       .found = &found};
    PRI_TRY(find_answers(&asked, question, &settings, cut));
    for (size_t i = 0; i < found.count; i++)
        answers[i] = (pare_answer){best[i].begin, best[i].end, best[i].score};
    *count = found.count;
    return PARE_OK;
}
