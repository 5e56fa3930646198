/* Language models: the memory of earlier segments, and what turns hidden states into losses and
 * predictions; the hidden states themselves are the family's business. */
#include <string.h>

#include "base/memory.h"
#include "models/model.h"
#include "nn/tape.h"

/* ---- Memory ----
 * Two buffers: a segment reads one and writes the other, and its backward pass may still read the
 * first. Each holds (states, lanes, filled, size) without gaps. */

pare_status pare_memory_create(const pare_model *model, size_t lanes, size_t length,
                               pare_memory **memory)
{
    *memory = NULL;
    if (!model->family->hidden)
        return pri_fail(PARE_ERROR_UNSUPPORTED, "a %s model has no memory; it is no language model",
                        model->family->name);
    size_t floats;
    if (lanes == 0 || pri_multiply_overflows(lanes, model->layers * model->size, &floats) ||
        pri_multiply_overflows(floats, length, &floats))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a memory of %zu lanes of %zu tokens is not possible; use 1 lane or more "
                        "and a smaller length",
                        lanes, length);
    pare_memory *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    *created = (pare_memory){.states = model->layers,
                             .size = model->size,
                             .lanes = lanes,
                             .capacity = length,
                             .front = pri_allocate(floats, sizeof(float)),
                             .back = pri_allocate(floats, sizeof(float))};
    if (!created->front || !created->back) {
        pare_memory_destroy(created);
        return PARE_ERROR_MEMORY;
    }
    *memory = created;
    return PARE_OK;
}

void pare_memory_destroy(pare_memory *memory)
{
    if (!memory)
        return;
    pri_free(memory->front);
    pri_free(memory->back);
    pri_free(memory);
}

void pare_memory_clear(pare_memory *memory)
{
    memory->filled = 0;
}

size_t pare_memory_filled(const pare_memory *memory)
{
    return memory->filled;
}

size_t pare_memory_states(const pare_memory *memory)
{
    return memory->states;
}

size_t pare_memory_size(const pare_memory *memory)
{
    return memory->size;
}

const float *pare_memory_state(const pare_memory *memory, size_t state)
{
    return memory->front + state * memory->lanes * memory->filled * memory->size;
}

pare_status pare_memory_restore(pare_memory *memory, size_t filled, const float *const *states)
{
    if (filled > memory->capacity)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%zu tokens per lane do not fit into a memory of %zu; use the memory "
                        "length that they were saved with",
                        filled, memory->capacity);
    size_t floats = memory->lanes * filled * memory->size;
    for (size_t state = 0; state < memory->states; state++)
        memcpy(memory->front + state * floats, states[state], floats * sizeof(float));
    memory->filled = filled;
    return PARE_OK;
}

pare_tensor *pri_memory_past(const pare_memory *memory, pare_tape *tape, size_t state)
{
    if (!memory || !memory->filled)
        return NULL;
    return pare_tape_constant(tape, pare_memory_state(memory, state),
                              memory->lanes * memory->filled, memory->size);
}

static size_t filled_after(const pare_memory *memory, size_t length)
{
    size_t all = memory->filled + length;
    return all < memory->capacity ? all : memory->capacity;
}

void pri_memory_append(pare_memory *memory, const pare_tape *tape, size_t state,
                       const pare_tensor *hidden, size_t length)
{
    if (!memory || !hidden)
        return;
    size_t filled = filled_after(memory, length), size = memory->size;
    size_t fresh = length < filled ? length : filled, kept = filled - fresh;
    size_t skipped_past = memory->filled - kept, skipped = length - fresh;
    float *back = memory->back + state * memory->lanes * filled * size;
    const float *past = pare_memory_state(memory, state);
#pragma omp parallel for num_threads(pri_threads(tape->context, memory->lanes)) schedule(static)
    for (size_t lane = 0; lane < memory->lanes; lane++) {
        float *to = back + lane * filled * size;
        memcpy(to, past + (lane * memory->filled + skipped_past) * size,
               kept * size * sizeof(float));
        memcpy(to + kept * size, hidden->value + (lane * length + skipped) * size,
               fresh * size * sizeof(float));
    }
}

void pri_memory_advance(pare_memory *memory, size_t length)
{
    if (!memory)
        return;
    memory->filled = filled_after(memory, length);
    float *front = memory->front;
    memory->front = memory->back;
    memory->back = front;
}

/* ---- Loss and prediction ---- */

size_t pare_language_model_vocabulary(const pare_model *model)
{
    return model->vocabulary;
}

static pare_status check_segment(const pare_model *model, const pare_memory *memory,
                                 const pare_segment *segment)
{
    if (!model->family->hidden)
        return pri_fail(PARE_ERROR_UNSUPPORTED, "a %s model is no language model",
                        model->family->name);
    if (segment->lanes == 0 || segment->length == 0)
        return pri_fail(PARE_ERROR_ARGUMENT, "a segment needs at least one lane and one token");
    if (!memory)
        return PARE_OK;
    if (memory->lanes != segment->lanes)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the memory has %zu lanes but the segment has %zu; create a memory for "
                        "each number of lanes",
                        memory->lanes, segment->lanes);
    if (memory->states != model->layers || memory->size != model->size)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the memory holds %zu states of size %zu but the model has %zu layers of "
                        "size %zu; it was created for another model",
                        memory->states, memory->size, model->layers, model->size);
    return PARE_OK;
}

pare_tensor *pare_language_model_loss(pare_model *model, pare_tape *tape, pare_memory *memory,
                                      const pare_segment *segment, float *losses)
{
    if (pare_tape_status(tape) != PARE_OK)
        return NULL;
    pare_status status = check_segment(model, memory, segment);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *hidden = model->family->hidden(model, tape, memory, segment);
    return pare_adaptive_softmax_loss(tape, hidden, model->family->output(model), segment->targets,
                                      losses);
}

/* The hidden state of each lane's last token, (lanes, size). */
static pare_tensor *last_tokens(pare_tape *tape, const pare_tensor *hidden,
                                const pare_segment *segment)
{
    pare_tensor *last = hidden ? pare_tape_tensor(tape, segment->lanes, hidden->columns) : NULL;
    if (!last)
        return NULL;
    last->gradient = NULL;
    for (size_t lane = 0; lane < segment->lanes; lane++)
        memcpy(last->value + lane * last->columns,
               hidden->value + ((lane + 1) * segment->length - 1) * last->columns,
               last->columns * sizeof(float));
    return last;
}

pare_status pare_language_model_next(pare_model *model, pare_tape *tape, pare_memory *memory,
                                     const pare_segment *segment, float *log_probabilities)
{
    PRI_TRY(pare_tape_status(tape));
    PRI_TRY(check_segment(model, memory, segment));
    pare_tensor *hidden = model->family->hidden(model, tape, memory, segment);
    pare_tensor *last = last_tokens(tape, hidden, segment);
    PRI_TRY(pare_tape_status(tape));
    return pare_adaptive_softmax_log_probabilities(tape, last, model->family->output(model),
                                                   log_probabilities);
}
