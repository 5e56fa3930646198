/* The tape: one arena per step, a list of records in the order operators ran, and backward, which
 * walks the list in reverse.
 *
 * A result's gradient does not exist until backward first writes to it: the first writer
 * overwrites, later ones add, an operator whose result nobody differentiated is skipped. Once its
 * operator has gone back, the memory serves the next gradient, so that a handful of blocks, still
 * in the cache, do for the whole way. */
#include "nn/tape.h"

#include <string.h>

#include "base/random.h"

pare_status pare_tape_create(pare_context *context, pare_tape **tape)
{
    *tape = NULL;
    pare_tape *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->context = context;
    created->kernels = pri_nn_kernels_for(context);
    created->arena = pri_arena_create();
    if (!created->arena) {
        pri_free(created);
        return PARE_ERROR_MEMORY;
    }
    *tape = created;
    return PARE_OK;
}

void pare_tape_destroy(pare_tape *tape)
{
    if (!tape)
        return;
    pri_arena_destroy(tape->arena);
    pri_free(tape->scratch);
    pri_free(tape);
}

void pare_tape_begin(pare_tape *tape, bool training, uint64_t key)
{
    pri_arena_reset(tape->arena);
    tape->last = NULL;
    tape->spares = NULL;
    tape->status = PARE_OK;
    tape->training = training;
    tape->key = key;
    tape->draws = 0;
}

pare_status pare_tape_status(const pare_tape *tape)
{
    return tape->status;
}

bool pare_tape_training(const pare_tape *tape)
{
    return tape->training;
}

pare_context *pare_tape_context(const pare_tape *tape)
{
    return tape->context;
}

size_t pare_tape_bytes(const pare_tape *tape)
{
    return pri_arena_bytes(tape->arena) + tape->scratch_bytes;
}

double pare_tape_attention_seconds(const pare_tape *tape)
{
    return tape->attention_seconds;
}

/* ---- For operators ---- */

void *pri_tape_fail(pare_tape *tape, pare_status status)
{
    if (tape->status == PARE_OK)
        tape->status = status;
    return NULL;
}

bool pri_tape_ready(pare_tape *tape, bool inputs_present)
{
    if (tape->status == PARE_OK && !inputs_present)
        pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                     "an operator was given NULL for a tensor it needs; pass the "
                                     "result of an earlier operator, or a parameter"));
    return tape->status == PARE_OK;
}

void *pri_tape_allocate(pare_tape *tape, size_t count, size_t size)
{
    if (tape->status != PARE_OK)
        return NULL;
    void *block = pri_arena_allocate(tape->arena, count, size);
    return block ? block : pri_tape_fail(tape, PARE_ERROR_MEMORY);
}

void *pri_tape_scratch(pare_tape *tape, size_t bytes)
{
    if (bytes <= tape->scratch_bytes && tape->scratch)
        return tape->scratch;
    pri_free(tape->scratch);
    tape->scratch = pri_allocate(bytes, 1);
    tape->scratch_bytes = tape->scratch ? bytes : 0;
    return tape->scratch ? tape->scratch : pri_tape_fail(tape, PARE_ERROR_MEMORY);
}

static float *allocate_matrix(pare_tape *tape, size_t rows, size_t columns)
{
    size_t count;
    if (pri_multiply_overflows(rows, columns, &count))
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_MEMORY,
                                            "a tensor of %zu x %zu numbers does not fit in memory; "
                                            "use a smaller batch or model",
                                            rows, columns));
    return pri_tape_allocate(tape, count, sizeof(float));
}

pare_tensor *pri_tape_result(pare_tape *tape, size_t rows, size_t columns, bool wants_gradient)
{
    pare_tensor *tensor = pri_tape_allocate(tape, 1, sizeof *tensor);
    float *value = allocate_matrix(tape, rows, columns);
    if (tape->status != PARE_OK)
        return NULL;
    *tensor = (pare_tensor){.rows = rows,
                            .columns = columns,
                            .value = value,
                            .gradient_pending = tape->training && wants_gradient};
    return tensor;
}

void *pri_tape_record(pare_tape *tape, pri_backward backward, pare_tensor *output, size_t size)
{
    pri_record *record = output ? pri_tape_allocate(tape, 1, size) : NULL;
    if (!record)
        return NULL;
    memset(record, 0, size);
    record->backward = backward;
    record->output = output;
    if (tape->training) {
        record->previous = tape->last;
        tape->last = record;
    }
    return record;
}

uint64_t pri_tape_draw_key(pare_tape *tape)
{
    return pri_random_key(tape->key, "operator", tape->draws++);
}

/* ---- Gradients of results ---- */

/* Lies in the memory it describes. */
typedef struct pri_spare {
    struct pri_spare *next;
    size_t count; /* of floats */
} pri_spare;

static size_t count_of(const pare_tensor *tensor)
{
    return tensor->rows * tensor->columns;
}

static void give_back(pare_tape *tape, float *block, size_t count)
{
    pri_spare *spare = (pri_spare *)(void *)block;
    *spare = (pri_spare){tape->spares, count};
    tape->spares = spare;
}

/* The latest spare block of this size, which is the likeliest to be in a cache, or a new one. Every
 * block of the arena is large enough to hold a pri_spare. */
static float *take_block(pare_tape *tape, size_t count)
{
    for (pri_spare **link = &tape->spares; *link; link = &(*link)->next)
        if ((*link)->count == count) {
            pri_spare *found = *link;
            *link = found->next;
            return (float *)(void *)found;
        }
    return pri_tape_allocate(tape, count, sizeof(float));
}

pare_status pri_gradient_begin(pare_tape *tape, pare_tensor *tensor, float *beta)
{
    *beta = 1.0f;
    if (!tensor->gradient_pending)
        return PARE_OK;
    *beta = 0.0f;
    tensor->gradient = take_block(tape, count_of(tensor));
    tensor->gradient_pending = false;
    return tape->status;
}

pare_status pri_gradient_begin_zero(pare_tape *tape, pare_tensor *tensor)
{
    float beta;
    PRI_TRY(pri_gradient_begin(tape, tensor, &beta));
    if (beta == 0.0f)
        memset(tensor->gradient, 0, count_of(tensor) * sizeof(float));
    return PARE_OK;
}

void pri_gradient_hand_over(const pare_tape *tape, pare_tensor *output, pare_tensor *input)
{
    if (input->gradient_pending) {
        input->gradient = output->gradient;
        input->gradient_pending = false;
        output->gradient = NULL;
    } else if (input->gradient) {
        pri_add_scaled(tape, count_of(input), 1.0f, output->gradient, 1.0f, input->gradient);
    }
}

/* ---- Tensors ---- */

pare_tensor *pare_tape_tensor(pare_tape *tape, size_t rows, size_t columns)
{
    pare_tensor *tensor = pri_tape_result(tape, rows, columns, true);
    bool complete =
        tensor && (!tensor->gradient_pending || pri_gradient_begin_zero(tape, tensor) == PARE_OK);
    return complete ? tensor : NULL;
}

/* Writes through a constant cannot happen: operators write to results and gradients only. */
static float *without_const(const float *value)
{
    union {
        const float *constant;
        float *variable;
    } pointer = {.constant = value};
    return pointer.variable;
}

pare_tensor *pare_tape_constant(pare_tape *tape, const float *value, size_t rows, size_t columns)
{
    pare_tensor *tensor = pri_tape_allocate(tape, 1, sizeof *tensor);
    if (tensor)
        *tensor = (pare_tensor){.rows = rows, .columns = columns, .value = without_const(value)};
    return tensor;
}

/* ---- Backward ---- */

/* An operator may pass its result's gradient on to an input; otherwise the block is free now. */
static void go_back(pare_tape *tape, pri_record *record)
{
    pare_tensor *output = record->output;
    pare_status status = record->backward(tape, record);
    if (status != PARE_OK)
        pri_tape_fail(tape, status);
    if (output->gradient)
        give_back(tape, output->gradient, count_of(output));
    output->gradient = NULL;
}

pare_status pare_tape_backward(pare_tape *tape, pare_tensor *loss, float scale)
{
    PRI_TRY(tape->status);
    if (!tape->training)
        return pri_fail(PARE_ERROR_ARGUMENT, "backward needs a step begun with training = true");
    if (!loss || loss->rows != 1 || loss->columns != 1)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "backward needs a loss of one number (a 1 x 1 tensor)");
    if (!pri_wants_gradient(loss))
        return PARE_OK;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, loss, &beta));
    loss->gradient[0] = scale;
    for (pri_record *record = tape->last; record && tape->status == PARE_OK;
         record = record->previous)
        if (record->output->gradient)
            go_back(tape, record);
    tape->last = NULL;
    return tape->status;
}
