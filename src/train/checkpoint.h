/* Checkpoints: last/step-N/ with weights, their average where one is kept, optimiser and task
 * state, and trainer.json, which names the one that counts. */
#ifndef PARE_SRC_TRAIN_CHECKPOINT_H
#define PARE_SRC_TRAIN_CHECKPOINT_H

#include <jansson.h>

#include "pare/train.h"
#include "train/optimizer.h"
#include "train/weight_average.h"

/* Where a run stands; everything a resumed process must know beside weights, moments and data. */
typedef struct pri_training_state {
    uint64_t step, tokens;         /* done */
    uint64_t evaluated_step;       /* last step whose evaluation is done */
    uint64_t best_step;            /* 0: none yet */
    uint64_t without_improvement;  /* evaluations since best_step */
    double best_loss, best_metric; /* infinite when best_step is 0 */
    double loss_sum;               /* over the loss_count steps since the last log line */
    uint64_t loss_count;
    double seconds, attention_seconds; /* inside training steps */
    uint64_t peak_bytes, log_bytes;
    bool finished, stopped_early;
} pri_training_state;

typedef struct pri_checkpoint {
    char *directory, *last, *trainer_path;
    json_t *identity; /* settings that must not change in a run */
    char current[32]; /* "step-120", or "" */
    double time;      /* when it was written or read */
} pri_checkpoint;

/* `identity` is taken over. Free also after a failure. */
pare_status pri_checkpoint_open(const char *directory, json_t *identity,
                                pri_checkpoint *checkpoint);
void pri_checkpoint_close(pri_checkpoint *checkpoint);

/* Reads trainer.json. Without one, `state` is that of a fresh run. Either way everything is removed
 * that a killed process left half done. */
pare_status pri_checkpoint_find(pri_checkpoint *checkpoint, pri_training_state *state);
pare_status pri_checkpoint_load(const pri_checkpoint *checkpoint, const pri_training_state *state,
                                pare_model *model, pare_task *task, pri_optimizer *optimizer,
                                pri_weight_average *average);
pare_status pri_checkpoint_write(pri_checkpoint *checkpoint, const pri_training_state *state,
                                 const pare_model *model, const pare_task *task,
                                 const pri_optimizer *optimizer, const pri_weight_average *average);

#endif
