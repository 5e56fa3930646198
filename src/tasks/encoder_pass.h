/* A pass of an encoder over a data set in which every sequence is run once: evaluation and
 * observation. */
#ifndef PARE_SRC_TASKS_ENCODER_PASS_H
#define PARE_SRC_TASKS_ENCODER_PASS_H

#include "pare/task.h"
#include "tasks/sequences.h"

typedef struct pri_encoder_pass {
    const pri_sequences *sequences;
    size_t tokens;     /* of a batch, at most; 0: enough to keep the machine busy */
    const char *label; /* of progress: "evaluate valid" */
    const pare_progress *progress;
} pri_encoder_pass;

/* Runs one batch; sequence n of it is number indices[n] of the data set. */
typedef pare_status (*pri_encoder_step)(void *user, const pare_encoder_batch *batch,
                                        const size_t *indices);

pare_status pri_encoder_pass_run(const pri_encoder_pass *pass, pri_encoder_step step, void *user);

/* Averages the attention of all sequences, dropout and mask off; the model's mask is put back. */
typedef struct pri_encoder_corpus {
    const char *name; /* of the file, for provenance */
    uint64_t hash;
    size_t length; /* of the longest sequence an average and its masks are to serve */
    bool ends_first;
} pri_encoder_corpus;
pare_status pri_encoder_observe(const pri_encoder_pass *pass, const pri_encoder_corpus *corpus,
                                pare_model *model, pare_tape *tape, pare_average **average);
/* The same under the model's mask. */
pare_status pri_encoder_observe_as_is(const pri_encoder_pass *pass,
                                      const pri_encoder_corpus *corpus, pare_model *model,
                                      pare_tape *tape, pare_average **average);

/* Tokens of the longest sequence that the model's positions and its mask serve: a cell mask knows
 * one length. 0: no encoder. */
size_t pri_encoder_longest(const pare_model *model);
/* Whether the model's mask has room for the task's longest sequence. */
pare_status pri_encoder_check_room(const pare_task *task, const pare_model *model);
/* Whether the model is an encoder that knows the tokenizer's pieces and reads `length` of them. */
pare_status pri_check_encoder(const pare_model *model, const pare_wordpiece *tokenizer,
                              size_t length);

#endif
