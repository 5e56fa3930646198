/* The question-answering task's own structure, shared by its files. */
#ifndef PARE_SRC_TASKS_QUESTION_ANSWERING_H
#define PARE_SRC_TASKS_QUESTION_ANSWERING_H

#include "tasks/batches.h"
#include "tasks/encoder_pass.h"
#include "tasks/question_answering/decoding.h"
#include "tasks/task.h"

typedef struct pri_question_split {
    pri_squad file;
    pri_features features;
    uint64_t hash;
    char name[64]; /* of the file, without folders */
} pri_question_split;

/* Options with their defaults filled in. */
typedef struct pri_answering_settings {
    pri_window_shape shape;
    size_t answer_length, evaluation_tokens;
} pri_answering_settings;

/* What the newest evaluation answered. */
typedef struct pri_predictions {
    const pri_question_split *split; /* NULL: there was none */
    pri_found_answer *answers;       /* (questions); begin = end: nothing found */
} pri_predictions;

/* Where the answers of a batch begin and end, as places in their sequences; PARE_IGNORE where a
 * question has no answer in its context. */
typedef struct pri_span_targets {
    uint32_t *firsts, *lasts; /* (capacity) */
    size_t capacity;
} pri_span_targets;

typedef struct pri_question_answering {
    pare_task task;
    const pare_wordpiece *tokenizer;
    pri_answering_settings settings;
    size_t length;                                /* tokens of the longest window */
    pri_question_split *splits[PARE_SPLIT_COUNT]; /* NULL: no file; two may be the same */
    pri_dealer *dealer;                           /* of training windows; NULL without a file */
    pri_batch_builder builder;
    pri_span_targets targets;
    pri_predictions predictions;
    char *remark;
} pri_question_answering;

static inline pri_question_answering *pri_question_answering_of(pare_task *task)
{
    return (pri_question_answering *)task;
}

/* A task of another kind is refused. */
pare_status pri_check_question_answering(const pare_task *task);
/* `longest`: what a length of 0 means. */
pri_answering_settings pri_answering_settings_of(const pare_question_answering_options *options,
                                                 size_t longest);
/* The split's data, or a failure that names the split. */
pare_status pri_question_split_of(const pri_question_answering *answering, pare_split split,
                                  const pri_question_split **found);
/* Whether the model can answer questions in sequences of `length` tokens. */
pare_status pri_check_answering(const pare_model *model, const pare_wordpiece *tokenizer,
                                size_t length);

/* training.c */
pare_tensor *pri_question_training_loss(pare_task *task, pare_model *model, pare_tape *tape);
pare_status pri_question_training_save(const pare_task *task, const char *path);
pare_status pri_question_training_load(pare_task *task, const char *path);
/* Those of some windows. */
pare_status pri_span_targets_fill(pri_span_targets *targets, const pri_features *features,
                                  const size_t *windows, size_t count);
void pri_span_targets_free(pri_span_targets *targets);
/* Mean of the cross-entropies of first and last token; `first_losses` and `last_losses`
 * (sequences) or NULL. */
pare_tensor *pri_span_loss(pare_tape *tape, pare_tensor *logits, const pare_encoder_batch *batch,
                           const pri_span_targets *targets, float *first_losses,
                           float *last_losses);
/* evaluation.c */
pare_status pri_question_answering_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                                            pare_split split, const pare_progress *progress,
                                            pare_evaluation *evaluation);
pare_status pri_question_answering_observe(pare_task *task, pare_model *model, pare_tape *tape,
                                           pare_split split, bool ends_first,
                                           const pare_progress *progress, pare_average **average);

#endif
