/* Distillation: a model learns also from the outputs of another, its teacher, on the batches of its
 * training. A pruned model's is the dense one. */
#ifndef PARE_SRC_TASKS_DISTILLATION_H
#define PARE_SRC_TASKS_DISTILLATION_H

#include "tasks/task.h"

/* What a training step computed: `outputs` of the model's head for a batch. */
typedef struct pri_student {
    const pare_encoder_batch *batch;
    const uint32_t *rows; /* of masked words: the tokens that outputs are for, one a row */
    pare_tensor *outputs;
} pri_student;

/* `loss` of a task without a teacher, otherwise the two shares together. */
pare_tensor *pri_distil(const pare_task *task, pare_tape *tape, const pri_student *student,
                        pare_tensor *loss);

#endif
