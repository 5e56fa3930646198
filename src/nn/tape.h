/* Inside of the tape, for operators. An operator computes its result at once and leaves a record
 * that knows the way back; see add.c for the shortest example. */
#ifndef PARE_SRC_NN_TAPE_H
#define PARE_SRC_NN_TAPE_H

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/kernels.h"
#include "pare/nn.h"

/* First member of every operator's own record. */
typedef struct pri_record pri_record;
typedef pare_status (*pri_backward)(pare_tape *tape, pri_record *record);
struct pri_record {
    pri_record *previous;
    pri_backward backward;
    pare_tensor *output; /* backward is skipped when nothing was written to its gradient */
};

struct pare_tape {
    pare_context *context;
    const pri_nn_kernels *kernels;
    pri_arena *arena;
    pri_record *last;
    struct pri_spare *spares; /* gradients that backward is through with */
    pare_status status;
    bool training;
    uint64_t key, draws; /* of dropout in this step, and how many operators drew */
    double attention_seconds;
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* True when an operator may go on: no earlier error. A NULL input without one is an error too. */
bool pri_tape_ready(pare_tape *tape, bool inputs_present);
/* Makes `status` the tape's and returns NULL, for `return pri_tape_fail(tape, pri_fail(...))`. */
void *pri_tape_fail(pare_tape *tape, pare_status status);
/* From the arena: lives until the next pare_tape_begin. NULL: the tape has failed. */
void *pri_tape_allocate(pare_tape *tape, size_t count, size_t size);
/* One buffer per tape for work inside a call: 64-byte aligned, valid until the next call of this.
 */
void *pri_tape_scratch(pare_tape *tape, size_t bytes);
/* A result of an operator; in training and when wanted with a gradient, which is pending. */
pare_tensor *pri_tape_result(pare_tape *tape, size_t rows, size_t columns, bool wants_gradient);
/* A zeroed record of `size` bytes for `output`; backward is called in training only. NULL when
 * `output` is NULL or memory is out, and then the tape has failed. */
void *pri_tape_record(pare_tape *tape, pri_backward backward, pare_tensor *output, size_t size);
/* A fresh key for an operator that draws random numbers. */
uint64_t pri_tape_draw_key(pare_tape *tape);

/* NULL wants none. */
static inline bool pri_wants_gradient(const pare_tensor *tensor)
{
    return tensor && (tensor->gradient || tensor->gradient_pending);
}

/* Before writing to the gradient of a tensor that wants one: makes it exist. `beta` is what to
 * multiply it by before adding: 0 for the first writer, 1 afterwards. */
pare_status pri_gradient_begin(pare_tape *tape, pare_tensor *tensor, float *beta);
/* For writers that only know how to add. */
pare_status pri_gradient_begin_zero(pare_tape *tape, pare_tensor *tensor);
/* For operators of sums: adds the gradient of `output` to that of an input of the same shape, which
 * may take it over. Nobody reads the output's afterwards. */
void pri_gradient_hand_over(const pare_tape *tape, pare_tensor *output, pare_tensor *input);
pare_status pri_check_same_shape(const pare_tensor *a, const pare_tensor *b);

/* Which elements an operator drops, and the check of the probability (dropout.c). */
typedef struct pri_dropping {
    float probability; /* 0: none are dropped */
    uint64_t key;
} pri_dropping;
pare_status pri_dropping_check(float probability);
/* In training and with a probability above 0, of a new key; otherwise nothing is dropped. */
pri_dropping pri_dropping_begin(pare_tape *tape, float probability);
/* y = dropped x + added, which may be y, or NULL for none; `begin` is the number of the first row.
 */
void pri_drop_rows(const pare_tape *tape, pri_dropping dropping, size_t begin, size_t rows,
                   size_t columns, const float *x, const float *added, float *y);

/* ---- Sharing work: partitions depend on shapes only ---- */

/* Rows that make a piece of work worth handing out. */
static inline size_t pri_block_rows(size_t columns)
{
    const size_t floats = 8192;
    return columns && columns < floats ? floats / columns : 1;
}

/* Threads for `pieces` pieces of work. */
static inline int pri_threads(const pare_context *context, size_t pieces)
{
    size_t threads = (size_t)pare_context_threads(context);
    return (int)(pieces && pieces < threads ? pieces : threads);
}

/* y = factor * x + beta * y over `count` floats, beta 0 or 1. */
void pri_add_scaled(const pare_tape *tape, size_t count, float factor, const float *x, float beta,
                    float *y);
/* out[columns] += the sums over rows, in row order; `stride` floats between rows. */
void pri_add_column_sums(const pare_tape *tape, size_t rows, size_t columns, const float *x,
                         size_t stride, float *out);
/* table row ids[i] += factor * x row i, where several i may share a row. */
pare_status pri_scatter_add(pare_tape *tape, const uint32_t *ids, size_t count, size_t columns,
                            float factor, const float *x, float *table);

#endif
