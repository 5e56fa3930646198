/* The training position as a file: which batch comes next, on which data, and the memory of every
 * lane. Memory cannot be built without the model, so a loaded one waits for the first batch. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "tasks/language_modelling/language_modelling.h"

enum { POSITION_EPOCH, POSITION_BATCH, POSITION_SIZE };
enum { DATA_HASH, DATA_TOKENS, DATA_LANES, DATA_LENGTH, DATA_SIZE };

static void describe_data(const pri_language_modelling *modelling, uint64_t data[DATA_SIZE])
{
    const pare_tokens *tokens = &modelling->corpus.splits[PARE_SPLIT_TRAIN];
    data[DATA_HASH] = tokens->hash;
    data[DATA_TOKENS] = tokens->count;
    data[DATA_LANES] = modelling->lanes;
    data[DATA_LENGTH] = modelling->length;
}

/* ---- Saving ---- */

typedef struct memory_view {
    size_t states, filled, size;
    const pare_memory *memory; /* or else the saved one */
    const pri_saved_memory *saved;
} memory_view;

static memory_view view_memory(const pri_language_modelling *modelling)
{
    if (modelling->batch == 0) /* the next batch clears it */
        return (memory_view){0};
    const pare_memory *memory = modelling->memory;
    if (memory)
        return (memory_view){.states = pare_memory_states(memory),
                             .filled = pare_memory_filled(memory),
                             .size = pare_memory_size(memory),
                             .memory = memory};
    return (memory_view){.states = modelling->saved.states,
                         .filled = modelling->saved.filled,
                         .size = modelling->saved.size,
                         .saved = &modelling->saved};
}

static void state_name(size_t state, char name[32])
{
    snprintf(name, 32, "memory.%zu", state);
}

static void add_memory(pri_safetensors_writer *writer, const memory_view *view, size_t lanes)
{
    for (size_t state = 0; view->filled && state < view->states; state++) {
        char name[32];
        state_name(state, name);
        const float *data = view->memory
                                ? pare_memory_state(view->memory, state)
                                : view->saved->data + state * lanes * view->filled * view->size;
        pri_safetensors_writer_add(writer, name, PRI_DATA_F32, 3,
                                   (size_t[]){lanes, view->filled, view->size}, data);
    }
}

pare_status pri_training_save(const pare_task *task, const char *path)
{
    const pri_language_modelling *modelling = (const pri_language_modelling *)task;
    uint64_t data[DATA_SIZE];
    describe_data(modelling, data);
    const uint64_t position[POSITION_SIZE] = {modelling->epoch, modelling->batch};
    memory_view view = view_memory(modelling);
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    pri_safetensors_writer_add(writer, "data", PRI_DATA_U64, 1, (size_t[]){DATA_SIZE}, data);
    pri_safetensors_writer_add(writer, "position", PRI_DATA_U64, 1, (size_t[]){POSITION_SIZE},
                               position);
    add_memory(writer, &view, modelling->lanes);
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

/* ---- Loading ---- */

static pare_status read_position(const pri_safetensors *file,
                                 const pri_language_modelling *modelling,
                                 uint64_t position[POSITION_SIZE])
{
    const pri_stored_tensor *tensor;
    PRI_TRY(pri_safetensors_get(file, "data", PRI_DATA_U64, 1, (size_t[]){DATA_SIZE}, &tensor));
    uint64_t data[DATA_SIZE];
    describe_data(modelling, data);
    if (memcmp(data, tensor->data, sizeof data))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%s: saved while training on other data, lanes or segment length; use the "
                        "options of that run, or another directory",
                        pri_safetensors_name(file));
    PRI_TRY(
        pri_safetensors_get(file, "position", PRI_DATA_U64, 1, (size_t[]){POSITION_SIZE}, &tensor));
    memcpy(position, tensor->data, POSITION_SIZE * sizeof *position);
    uint64_t batches = pri_training_batches(&modelling->task);
    if (position[POSITION_BATCH] >= batches)
        return pri_fail(PARE_ERROR_FORMAT, "%s: batch %llu of an epoch of %llu",
                        pri_safetensors_name(file), (unsigned long long)position[POSITION_BATCH],
                        (unsigned long long)batches);
    return PARE_OK;
}

/* All states have the shape of the first, (lanes, filled, size). */
static pare_status read_memory(const pri_safetensors *file, size_t lanes, pri_saved_memory *saved)
{
    const pri_stored_tensor *first = pri_safetensors_find(file, "memory.0");
    if (!first)
        return PARE_OK;
    if (first->type != PRI_DATA_F32 || first->dimensions != 3 || first->shape[0] != lanes)
        return pri_fail(PARE_ERROR_FORMAT, "%s: memory.0 is not F32 of %zu lanes",
                        pri_safetensors_name(file), lanes);
    saved->states = pri_safetensors_count(file) - 2;
    saved->filled = first->shape[1];
    saved->size = first->shape[2];
    size_t floats;
    if (pri_multiply_overflows(saved->states, first->elements, &floats))
        return pri_fail(PARE_ERROR_FORMAT, "%s: its memory is too large",
                        pri_safetensors_name(file));
    saved->data = pri_allocate(floats, sizeof(float));
    if (!saved->data)
        return PARE_ERROR_MEMORY;
    for (size_t state = 0; state < saved->states; state++) {
        char name[32];
        state_name(state, name);
        const pri_stored_tensor *tensor;
        PRI_TRY(pri_safetensors_get(file, name, PRI_DATA_F32, 3, first->shape, &tensor));
        memcpy(saved->data + state * first->elements, tensor->data, tensor->bytes);
    }
    return PARE_OK;
}

pare_status pri_training_load(pare_task *task, const char *path)
{
    pri_language_modelling *modelling = pri_language_modelling_of(task);
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    uint64_t position[POSITION_SIZE];
    pri_saved_memory saved = {0};
    pare_status status = read_position(file, modelling, position);
    if (status == PARE_OK)
        status = read_memory(file, modelling->lanes, &saved);
    pri_safetensors_close(file);
    if (status != PARE_OK) {
        pri_free(saved.data);
        return status;
    }
    pri_training_rewind(task);
    modelling->epoch = position[POSITION_EPOCH];
    modelling->batch = position[POSITION_BATCH];
    modelling->saved = saved;
    return PARE_OK;
}

pare_status pri_training_restore_memory(pri_language_modelling *modelling, pare_memory *memory)
{
    pri_saved_memory *saved = &modelling->saved;
    if (!saved->data)
        return PARE_OK;
    if (saved->states != pare_memory_states(memory) || saved->size != pare_memory_size(memory))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the training state holds %zu memory states of size %zu, the model has %zu "
                        "of size %zu; resume with the model that was trained",
                        saved->states, saved->size, pare_memory_states(memory),
                        pare_memory_size(memory));
    const float **states = pri_allocate(saved->states, sizeof *states);
    if (!states)
        return PARE_ERROR_MEMORY;
    for (size_t state = 0; state < saved->states; state++)
        states[state] = saved->data + state * modelling->lanes * saved->filled * saved->size;
    pare_status status = pare_memory_restore(memory, saved->filled, states);
    pri_free(states);
    PRI_TRY(status);
    pri_free(saved->data);
    *saved = (pri_saved_memory){0};
    return PARE_OK;
}
