/* Distillation of a task: what its training loss is with a teacher. */
#ifndef PARE_TESTS_TEACHER_CHECK_H
#define PARE_TESTS_TEACHER_CHECK_H

#include <math.h>

#include "pare/task.h"

static inline double loss_of_first_batch(pare_task *task, pare_model *model, pare_tape *tape)
{
    pare_task_rewind(task);
    pare_tape_begin(tape, true, 1);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    return (double)loss->value[0];
}

static inline void scale_parameters(pare_model *model, float factor)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parameters[i].tensor.rows * parameters[i].tensor.columns; j++)
            parameters[i].tensor.value[j] *= factor;
}

static inline void check_share(pare_task *task, pare_model *student, pare_tape *tape,
                               pare_inference *teacher, double share, double expected)
{
    check_ok(pare_task_set_teacher(task, teacher, share));
    double loss = loss_of_first_batch(task, student, tape);
    if (!(fabs(loss - expected) < 1e-5 * fmax(1, expected)))
        fail_msg("share %g: loss %.9g, expected %.9g", share, loss, expected);
}

/* Two models of the same weights, without dropout, that fit the task; the second becomes the
 * teacher, first as it is, then with other weights. */
static inline void check_teacher(pare_tape *tape, pare_task *task, pare_model *student,
                                 pare_model *model)
{
    pare_inference *teacher;
    const double own = loss_of_first_batch(task, student, tape);
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &teacher));
    check_share(task, student, tape, teacher, 1, 0);
    check_share(task, student, tape, teacher, 0.75, own / 4);
    pare_inference_destroy(teacher);

    scale_parameters(model, 1.5f);
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &teacher));
    check_ok(pare_task_set_teacher(task, teacher, 1));
    double distance = loss_of_first_batch(task, student, tape);
    assert_true(distance > 1e-3);
    check_share(task, student, tape, teacher, 0.25, 0.75 * own + 0.25 * distance);
    assert_fails(pare_task_set_teacher(task, teacher, 1.5), PARE_ERROR_ARGUMENT,
                 "between 0 and 1, not 1.5");
    check_share(task, student, tape, NULL, 0, own);
    pare_inference_destroy(teacher);
}

#endif
