/* The public functions of tasks: each hands over to the task's own. */
#include "tasks/task.h"

#include <math.h>

#include "base/status.h"

const char *pri_split_name(pare_split split)
{
    static const char *const names[PARE_SPLIT_COUNT] = {"train", "valid", "test"};
    return names[split];
}

pare_status pri_check_loss(const char *label, double loss)
{
    if (isfinite(loss))
        return PARE_OK;
    return pri_fail(PARE_ERROR_NUMERIC,
                    "%s: the loss is not a finite number; the weights are damaged or training "
                    "diverged",
                    label);
}

#define PADDING_UNIT 8    /* the smallest multiple that embeddings are padded to */
#define PADDING_LIMIT 128 /* the largest one */

pare_status pri_check_pieces(const char *pieces, size_t of_model, size_t of_tokenizer)
{
    bool padded = of_model % PADDING_UNIT == 0 && of_model > of_tokenizer &&
                  of_model - of_tokenizer < PADDING_LIMIT;
    if (of_model == of_tokenizer || padded)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model knows %zu %s and the tokenizer has %zu; use the tokenizer the model "
                    "was trained with",
                    of_model, pieces, of_tokenizer);
}

void pare_task_destroy(pare_task *task)
{
    if (task)
        task->functions->destroy(task);
}

const char *pare_task_metric(const pare_task *task)
{
    return task->functions->metric(task);
}

bool pare_task_higher_is_better(const pare_task *task)
{
    return task->functions->higher_is_better;
}

uint64_t pare_task_examples(const pare_task *task, pare_split split)
{
    return task->functions->examples(task, split);
}

uint64_t pare_task_hash(const pare_task *task, pare_split split)
{
    return task->functions->hash(task, split);
}

size_t pare_task_length(const pare_task *task)
{
    return task->functions->length(task);
}

const char *pare_task_remark(const pare_task *task)
{
    return task->functions->remark ? task->functions->remark(task) : "";
}

pare_status pare_task_check_model(const pare_task *task, const pare_model *model)
{
    return task->functions->check_model ? task->functions->check_model(task, model) : PARE_OK;
}

pare_status pare_task_save_files(const pare_task *task, const char *directory)
{
    return task->functions->save_files(task, directory);
}

uint64_t pare_task_batches_per_epoch(const pare_task *task)
{
    return task->functions->batches_per_epoch(task);
}

uint64_t pare_task_training_tokens(const pare_task *task, uint64_t batches)
{
    return task->functions->training_tokens(task, batches);
}

pare_tensor *pare_task_training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    return task->functions->training_loss(task, model, tape);
}

void pare_task_rewind(pare_task *task)
{
    task->functions->rewind(task);
}

pare_status pare_task_save_state(const pare_task *task, const char *path)
{
    return task->functions->save_state(task, path);
}

pare_status pare_task_load_state(pare_task *task, const char *path)
{
    return task->functions->load_state(task, path);
}

static pare_status check_split(pare_split split)
{
    if ((unsigned)split < PARE_SPLIT_COUNT)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "no split has number %d; use train, valid or test",
                    (int)split);
}

pare_status pare_task_evaluate(pare_task *task, pare_model *model, pare_tape *tape,
                               pare_split split, const pare_progress *progress,
                               pare_evaluation *evaluation)
{
    *evaluation = (pare_evaluation){0};
    PRI_TRY(check_split(split));
    return task->functions->evaluate(task, model, tape, split, progress, evaluation);
}

pare_status pare_task_observe(pare_task *task, pare_model *model, pare_tape *tape, pare_split split,
                              bool ends_first, const pare_progress *progress,
                              pare_average *averages[PARE_ATTENTION_KINDS])
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        averages[kind] = NULL;
    PRI_TRY(check_split(split));
    return task->functions->observe(task, model, tape, split, ends_first, progress, averages);
}
