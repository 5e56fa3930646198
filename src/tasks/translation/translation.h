/* Inside of translation as a task. */
#ifndef PARE_SRC_TASKS_TRANSLATION_TRANSLATION_H
#define PARE_SRC_TASKS_TRANSLATION_TRANSLATION_H

#include "tasks/batches.h"
#include "tasks/task.h"
#include "tasks/translation/parallel_text.h"

typedef struct pri_translation {
    pare_task task;
    pare_translation_tokenizers tokenizers, owned; /* `owned`: made here */
    pri_parallel_text splits[PARE_SPLIT_COUNT];
    char names[PARE_SPLIT_COUNT][64];
    size_t length, longest_source, longest_target; /* tokens; the longest over all splits */
    float smoothing;
    pare_translate_options decoding;
    char *remark;
    bool tokenised; /* scores of the tokens as they are, rather than 13a's */
    pri_dealer *dealer;
    pri_batch_builder sources, targets; /* of the training batch */
} pri_translation;

static inline pri_translation *pri_translation_of(pare_task *task)
{
    return (pri_translation *)task;
}

/* Whether the model translates, and knows the tokenizers' pieces. */
pare_status pri_translation_check_model(const pare_translation_tokenizers *tokenizers,
                                        const pare_model *model);
/* The pairs with these indices; the builders own what the batch points to. */
pare_status pri_translation_gather(const pri_parallel_text *text, const size_t *indices,
                                   size_t count, pri_batch_builder *sources,
                                   pri_batch_builder *targets, pare_translation_batch *batch);

/* As the task's functions (evaluation.c). */
pare_status pri_translation_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                     pare_split split, const pare_progress *progress,
                                     pare_evaluation *evaluation);
pare_status pri_translation_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                    pare_split split, bool ends_first,
                                    const pare_progress *progress,
                                    pare_average *averages[PARE_ATTENTION_KINDS]);

#endif
