/* Training on windows: batches, loss, and where training is. */
#include "base/memory.h"
#include "nn/tape.h"
#include "tasks/distillation.h"
#include "tasks/question_answering/question_answering.h"

/* ---- Loss ---- */

static pare_status reserve_targets(pri_span_targets *targets, size_t count)
{
    if (count <= targets->capacity)
        return PARE_OK;
    pri_span_targets_free(targets);
    targets->firsts = pri_allocate(count, sizeof *targets->firsts);
    targets->lasts = pri_allocate(count, sizeof *targets->lasts);
    if (!targets->firsts || !targets->lasts)
        return PARE_ERROR_MEMORY;
    targets->capacity = count;
    return PARE_OK;
}

pare_status pri_span_targets_fill(pri_span_targets *targets, const pri_features *features,
                                  const size_t *windows, size_t count)
{
    PRI_TRY(reserve_targets(targets, count));
    for (size_t i = 0; i < count; i++) {
        const pri_asked *asked = &features->questions[features->windows[windows[i]].question];
        pri_piece_span target = pri_window_target(features, windows[i]);
        bool known = pri_is_span(asked->answer);
        targets->firsts[i] = known ? (uint32_t)target.first : PARE_IGNORE;
        targets->lasts[i] = known ? (uint32_t)target.last : PARE_IGNORE;
    }
    return PARE_OK;
}

void pri_span_targets_free(pri_span_targets *targets)
{
    pri_free(targets->firsts);
    pri_free(targets->lasts);
    *targets = (pri_span_targets){0};
}

pare_tensor *pri_span_loss(pare_tape *tape, pare_tensor *logits, const pare_encoder_batch *batch,
                           const pri_span_targets *targets, float *first_losses, float *last_losses)
{
    const pare_ragged sequences = {batch->offsets, batch->sequences};
    pare_tensor *first =
        pare_sequence_cross_entropy(tape, logits, 0, &sequences, targets->firsts, first_losses);
    pare_tensor *last =
        pare_sequence_cross_entropy(tape, logits, 1, &sequences, targets->lasts, last_losses);
    return pare_scale(tape, pare_add(tape, first, last), 0.5f);
}

static pare_status next_batch(pri_question_answering *answering, const pare_model *model)
{
    PRI_TRY(pri_check_answering(model, answering->tokenizer, answering->length));
    const pri_question_split *split;
    PRI_TRY(pri_question_split_of(answering, PARE_SPLIT_TRAIN, &split));
    const size_t *windows;
    size_t count;
    pri_dealer_next(answering->dealer, &windows, &count);
    PRI_TRY(pri_batch_gather(&answering->builder, &split->features.sequences, windows, count));
    return pri_span_targets_fill(&answering->targets, &split->features, windows, count);
}

pare_tensor *pri_question_training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    pri_question_answering *answering = pri_question_answering_of(task);
    pare_status status = next_batch(answering, model);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    const pare_encoder_batch *batch = &answering->builder.batch;
    pare_tensor *logits = pare_encoder_spans(model, tape, batch);
    pare_tensor *loss = pri_span_loss(tape, logits, batch, &answering->targets, NULL, NULL);
    const pri_student student = {.batch = batch, .outputs = logits};
    return pri_distil(task, tape, &student, loss);
}

/* ---- The position as a file ---- */

static pare_status fail_without_training(void)
{
    return pri_fail(PARE_ERROR_ARGUMENT, "there is no training file, so nothing to resume");
}

pare_status pri_question_training_save(const pare_task *task, const char *path)
{
    const pri_question_answering *answering = (const pri_question_answering *)task;
    return answering->dealer
               ? pri_dealer_save(answering->dealer, pare_task_hash(task, PARE_SPLIT_TRAIN), path)
               : fail_without_training();
}

pare_status pri_question_training_load(pare_task *task, const char *path)
{
    const pri_question_answering *answering = pri_question_answering_of(task);
    return answering->dealer
               ? pri_dealer_load(answering->dealer, pare_task_hash(task, PARE_SPLIT_TRAIN), path)
               : fail_without_training();
}
