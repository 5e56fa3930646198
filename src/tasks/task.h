/* What a task is to the rest of Pare: a table of functions. A task's own structure begins with a
 * pare_task; see language_modelling/ for an example. */
#ifndef PARE_SRC_TASKS_TASK_H
#define PARE_SRC_TASKS_TASK_H

#include "pare/task.h"

/* Each as the public function of the same name in pare/task.h. */
typedef struct pri_task_functions {
    void (*destroy)(pare_task *task);
    const char *(*metric)(const pare_task *task);
    bool higher_is_better;
    uint64_t (*examples)(const pare_task *task, pare_split split);
    uint64_t (*hash)(const pare_task *task, pare_split split);
    size_t (*length)(const pare_task *task);
    const char *(*remark)(const pare_task *task); /* NULL: nothing to remark */
    pare_status (*check_model)(const pare_task *task, const pare_model *model); /* NULL: any fits */
    pare_status (*save_files)(const pare_task *task, const char *directory);
    uint64_t (*batches_per_epoch)(const pare_task *task);
    uint64_t (*training_tokens)(const pare_task *task, uint64_t batches);
    pare_tensor *(*training_loss)(pare_task *task, pare_model *model, pare_tape *tape);
    bool takes_teacher; /* whether training_loss asks one (distillation.h) */
    void (*rewind)(pare_task *task);
    pare_status (*save_state)(const pare_task *task, const char *path);
    pare_status (*load_state)(pare_task *task, const char *path);
    pare_status (*evaluate)(pare_task *task, pare_model *model, pare_tape *tape, pare_split split,
                            const pare_progress *progress, pare_evaluation *evaluation);
    pare_status (*observe)(pare_task *task, pare_model *model, pare_tape *tape, pare_split split,
                           bool ends_first, const pare_progress *progress, pare_average **average);
} pri_task_functions;

struct pare_task {
    const pri_task_functions *functions;
    pare_inference *teacher; /* pare_task_set_teacher; NULL: none */
    float teacher_share;     /* of the loss */
};

const char *pri_split_name(pare_split split); /* "valid" */
/* Refuses a loss that is no number; `label` says of what: "evaluate valid". */
pare_status pri_check_loss(const char *label, double loss);
/* Whether the tokenizer has the `pieces` ("word pieces") that the model knows. It may have fewer
 * where the model's embedding is padded to a multiple of 8 or more; one that lacks others has lost
 * a part, and the words of that part would silently be unknown. */
pare_status pri_check_pieces(const char *pieces, size_t of_model, size_t of_tokenizer);

#endif
