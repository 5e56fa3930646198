/* The teacher's outputs as targets: distillation.h. */
#include "tasks/distillation.h"

#include "nn/tape.h"

/* Softens probabilities that are nearly 0 or 1, which a fine-tuned teacher gives for most of its
 * training examples (arXiv 1503.02531). */
#define TEMPERATURE 2.0f

pare_status pare_task_set_teacher(pare_task *task, pare_inference *teacher, double share)
{
    if (!(share >= 0 && share <= 1))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a teacher's share of the loss must lie between 0 and 1, not %g", share);
    if (teacher && !task->functions->takes_teacher)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "a teacher's outputs are for tasks of encoders; this task has none");
    if (teacher)
        PRI_TRY(pare_task_check_model(task, pare_inference_model(teacher)));
    task->teacher = teacher;
    task->teacher_share = (float)share;
    return PARE_OK;
}

static pare_head head_of(const pare_inference *inference)
{
    return pare_bert_config_of(pare_inference_model(inference))->head;
}

static pare_status ask_teacher(pare_inference *teacher, const pri_student *student, float *outputs)
{
    pare_inference_output wanted = {.rows = student->rows, .row_count = student->outputs->rows};
    switch (head_of(teacher)) {
    case PARE_HEAD_CLASSIFICATION:
        wanted.labels = outputs;
        break;
    case PARE_HEAD_QUESTION_ANSWERING:
        wanted.spans = outputs;
        break;
    case PARE_HEAD_MASKED_WORDS:
        wanted.words = outputs;
        break;
    case PARE_HEAD_NONE:
        break;
    }
    return pare_inference_run(teacher, student->batch, &wanted);
}

static pare_tensor *distance(const pare_task *task, pare_tape *tape, const pri_student *student,
                             const float *targets)
{
    const pare_encoder_batch *batch = student->batch;
    const pare_ragged sequences = {batch->offsets, batch->sequences};
    bool spans = head_of(task->teacher) == PARE_HEAD_QUESTION_ANSWERING;
    if (student->outputs->columns == 1)
        return pare_mean_squared_error(tape, student->outputs, targets, NULL);
    return pare_divergence(tape, student->outputs, targets, spans ? &sequences : NULL, TEMPERATURE);
}

pare_tensor *pri_distil(const pare_task *task, pare_tape *tape, const pri_student *student,
                        pare_tensor *loss)
{
    pare_tensor *outputs = student->outputs;
    if (!task->teacher || !outputs || !loss)
        return loss;
    float *targets = pri_tape_allocate(tape, outputs->rows * outputs->columns, sizeof *targets);
    if (!targets)
        return NULL;
    pare_status status = ask_teacher(task->teacher, student, targets);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *distilled = distance(task, tape, student, targets);
    return pare_add(tape, pare_scale(tape, loss, 1 - task->teacher_share),
                    pare_scale(tape, distilled, task->teacher_share));
}
