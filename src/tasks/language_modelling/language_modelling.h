/* The language-modelling task's own structure, shared by its files. */
#ifndef PARE_SRC_TASKS_LANGUAGE_MODELLING_H
#define PARE_SRC_TASKS_LANGUAGE_MODELLING_H

#include "tasks/language_modelling/corpus.h"
#include "tasks/task.h"

/* Memory as it was saved, until the first batch brings the model it belongs to. */
typedef struct pri_saved_memory {
    size_t states, filled, size;
    float *data; /* (states, lanes, filled, size) */
} pri_saved_memory;

typedef struct pri_language_modelling {
    pare_task task;
    pri_corpus corpus;
    size_t lanes, length; /* of training */
    size_t lane_length;   /* tokens of the training stream in each lane */
    size_t evaluation_lanes, evaluation_length, evaluation_memory;
    /* Where training is. */
    uint64_t epoch, batch;      /* the next batch */
    uint32_t *inputs, *targets; /* of the newest batch, (lanes, length) */
    pare_memory *memory;        /* NULL before the first batch */
    pri_saved_memory saved;
} pri_language_modelling;

static inline pri_language_modelling *pri_language_modelling_of(pare_task *task)
{
    return (pri_language_modelling *)task;
}

/* How much memory a model trained on `length` tokens at a time has. */
size_t pri_training_memory(const pare_model *model, size_t length);
/* Whether the model fits the task's vocabulary. */
pare_status pri_check_vocabulary(const pare_model *model, const pare_vocabulary *vocabulary);

/* training_batch.c */
uint64_t pri_training_batches(const pare_task *task);
uint64_t pri_training_tokens(const pare_task *task, uint64_t batches);
pare_tensor *pri_training_loss(pare_task *task, pare_model *model, pare_tape *tape);
void pri_training_rewind(pare_task *task);
/* training_state.c */
pare_status pri_training_save(const pare_task *task, const char *path);
pare_status pri_training_load(pare_task *task, const char *path);
/* Puts saved memory, if any, into `memory`. */
pare_status pri_training_restore_memory(pri_language_modelling *modelling, pare_memory *memory);
/* evaluation.c */
pare_status pri_language_modelling_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                            pare_split split, const pare_progress *progress,
                                            pare_evaluation *evaluation);
pare_status pri_language_modelling_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                           pare_split split, bool ends_first,
                                           const pare_progress *progress, pare_average **average);

#endif
