/* Averages of models with one kind of attention. */
#ifndef PARE_TESTS_OBSERVE_ONE_H
#define PARE_TESTS_OBSERVE_ONE_H

#include "pare/task.h"

static inline pare_status observe_one(pare_task *task, pare_model *model, pare_tape *tape,
                                      pare_split split, bool ends_first, pare_average **average)
{
    pare_average *averages[PARE_ATTENTION_KINDS];
    pare_status status = pare_task_observe(task, model, tape, split, ends_first, NULL, averages);
    *average = averages[PARE_ATTENTION_SELF];
    return status;
}

#endif
