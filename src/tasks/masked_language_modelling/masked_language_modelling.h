/* The structure of masked language modelling, shared by its files. */
#ifndef PARE_SRC_TASKS_MASKED_LANGUAGE_MODELLING_H
#define PARE_SRC_TASKS_MASKED_LANGUAGE_MODELLING_H

#include "tasks/batches.h"
#include "tasks/masked_language_modelling/word_masking.h"
#include "tasks/task.h"

typedef struct pri_masked_language_modelling {
    pare_task task;
    const pare_wordpiece *tokenizer;
    pare_wordpiece *owned; /* the same, when it was built here */
    size_t length;         /* of the longest sequence */
    uint64_t seed;
    pri_word_masking masking;
    pri_sequences splits[PARE_SPLIT_COUNT];
    char names[PARE_SPLIT_COUNT][64]; /* of their files, without folders */
    /* Training: where it is, and the newest batch. */
    pri_dealer *dealer;
    pri_batch_builder builder;
    pri_chosen_words chosen;
} pri_masked_language_modelling;

static inline pri_masked_language_modelling *pri_masked_language_modelling_of(pare_task *task)
{
    return (pri_masked_language_modelling *)task;
}

/* Whether the model can be trained and measured on this. */
pare_status pri_check_masked_model(const pri_masked_language_modelling *modelling,
                                   const pare_model *model);

/* evaluation.c */
pare_status pri_masked_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                pare_split split, const pare_progress *progress,
                                pare_evaluation *evaluation);
pare_status pri_masked_observe(pare_task *task, pare_model *model, pare_tape *tape,
                               pare_split split, bool ends_first, const pare_progress *progress,
                               pare_average **average);

#endif
