/* Training batches: the stream is cut into equal lanes that run side by side, its tail dropped;
 * each batch is the next segment of every lane, the last of an epoch may be short; memory is empty
 * only at the start of an epoch. */
#include "base/memory.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/language_modelling/language_modelling.h"

/* A lane's last token is a target only. */
static size_t lane_predictions(const pri_language_modelling *modelling)
{
    return modelling->lane_length - 1;
}

uint64_t pri_training_batches(const pare_task *task)
{
    const pri_language_modelling *modelling = (const pri_language_modelling *)task;
    return pri_divide_up(lane_predictions(modelling), modelling->length);
}

uint64_t pri_training_tokens(const pare_task *task, uint64_t batches)
{
    const pri_language_modelling *modelling = (const pri_language_modelling *)task;
    uint64_t epochs = batches / pri_training_batches(task);
    uint64_t begun = batches % pri_training_batches(task) * modelling->length;
    return modelling->lanes * (epochs * lane_predictions(modelling) + begun);
}

void pri_training_rewind(pare_task *task)
{
    pri_language_modelling *modelling = pri_language_modelling_of(task);
    modelling->epoch = modelling->batch = 0;
    pare_memory_destroy(modelling->memory);
    modelling->memory = NULL;
    pri_free(modelling->saved.data);
    modelling->saved = (pri_saved_memory){0};
}

static pare_status make_memory(pri_language_modelling *modelling, const pare_model *model)
{
    PRI_TRY(pri_check_vocabulary(model, modelling->corpus.vocabulary));
    pare_memory *memory;
    PRI_TRY(pare_memory_create(model, modelling->lanes,
                               pri_training_memory(model, modelling->length), &memory));
    pare_status status = pri_training_restore_memory(modelling, memory);
    if (status != PARE_OK) {
        pare_memory_destroy(memory);
        return status;
    }
    modelling->memory = memory;
    return PARE_OK;
}

static pare_segment gather_segment(const pri_language_modelling *modelling)
{
    const uint32_t *ids = modelling->corpus.splits[PARE_SPLIT_TRAIN].ids;
    size_t begin = (size_t)modelling->batch * modelling->length;
    size_t length = pri_smaller(modelling->length, lane_predictions(modelling) - begin);
    for (size_t lane = 0; lane < modelling->lanes; lane++) {
        const uint32_t *first = ids + lane * modelling->lane_length + begin;
        for (size_t i = 0; i < length; i++) {
            modelling->inputs[lane * length + i] = first[i];
            modelling->targets[lane * length + i] = first[i + 1];
        }
    }
    return (pare_segment){.lanes = modelling->lanes,
                          .length = length,
                          .inputs = modelling->inputs,
                          .targets = modelling->targets};
}

pare_tensor *pri_training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    pri_language_modelling *modelling = pri_language_modelling_of(task);
    if (!modelling->memory) {
        pare_status status = make_memory(modelling, model);
        if (status != PARE_OK)
            return pri_tape_fail(tape, status);
    }
    if (modelling->batch == 0)
        pare_memory_clear(modelling->memory);
    pare_segment segment = gather_segment(modelling);
    if (++modelling->batch == pri_training_batches(task)) {
        modelling->batch = 0;
        modelling->epoch++;
    }
    return pare_language_model_loss(model, tape, modelling->memory, &segment, NULL);
}
