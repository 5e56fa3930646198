/* What a training refuses before it begins. */
#ifndef PARE_SRC_TRAIN_TRAINER_H
#define PARE_SRC_TRAIN_TRAINER_H

#include "pare/train.h"

/* Whether pare_train would take these options for `task`: to be asked before a run's directory is
 * claimed, so that one with impossible options leaves none behind. */
pare_status pri_training_check(const pare_training_options *options, pare_task *task);

#endif
