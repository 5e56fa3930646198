/* The classification task's own structure, shared by its files. */
#ifndef PARE_SRC_TASKS_CLASSIFICATION_H
#define PARE_SRC_TASKS_CLASSIFICATION_H

#include "tasks/batches.h"
#include "tasks/classification/examples.h"
#include "tasks/task.h"

typedef struct pri_classification {
    pare_task task;
    const pare_wordpiece *tokenizer;
    pri_layout layout;
    pri_labels labels; /* as the files write them */
    pri_examples splits[PARE_SPLIT_COUNT];
    bool tests_valid; /* the test split is that of validation */
    size_t limit;     /* tokens of a sequence, at most */
    size_t length;    /* of the longest sequence */
    size_t tokens;    /* of a batch, at most; 0: no limit */
    char *remark;
    pri_dealer *dealer;
    /* The newest training batch. */
    pri_batch_builder builder;
    uint32_t *classes;
    float *targets;
    size_t capacity; /* of classes and targets */
} pri_classification;

static inline pri_classification *pri_classification_of(pare_task *task)
{
    return (pri_classification *)task;
}

const pri_examples *pri_classification_split(const pri_classification *classification,
                                             pare_split split);
/* Whether the model can read the task's sequences and has a head with its labels. */
pare_status pri_check_classifier(const pri_classification *classification, const pare_model *model);
/* The mean loss of logits, or of predictions; `losses`, of each sequence, or NULL. */
pare_tensor *pri_classification_loss(const pri_classification *classification, pare_tape *tape,
                                     pare_tensor *outputs, const uint32_t *classes,
                                     const float *targets, float *losses);
/* evaluation.c */
pare_status pri_classification_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                        pare_split split, const pare_progress *progress,
                                        pare_evaluation *evaluation);
pare_status pri_classification_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                       pare_split split, bool ends_first,
                                       const pare_progress *progress, pare_average **average);

#endif
