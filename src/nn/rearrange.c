/* Operators that only move rows. */
#include <string.h>

#include "nn/tape.h"

/* ---- Rows of a tensor, shared ---- */

pare_tensor *pare_rows(pare_tape *tape, pare_tensor *input, size_t begin, size_t count)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    if (begin > input->rows || count > input->rows - begin)
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                            "rows: %zu rows from row %zu reach past the tensor's "
                                            "%zu rows",
                                            count, begin, input->rows));
    pare_tensor *view = pri_tape_allocate(tape, 1, sizeof *view);
    if (!view)
        return NULL;
    /* Views add to parts of the gradient, so all of it must be there. */
    if (input->gradient_pending && pri_gradient_begin_zero(tape, input) != PARE_OK)
        return NULL;
    size_t offset = begin * input->columns;
    *view = (pare_tensor){.rows = count,
                          .columns = input->columns,
                          .value = input->value + offset,
                          .gradient = input->gradient ? input->gradient + offset : NULL};
    return view;
}

/* ---- Concatenation within groups ---- */

typedef struct concatenate_record {
    pri_record base;
    pare_tensor *inputs[2];
    size_t groups;
} concatenate_record;

/* Adds to the gradient of an input that begins `offset` floats into each group of the result. */
static pare_status split_gradient(pare_tape *tape, const concatenate_record *record,
                                  pare_tensor *input, size_t offset)
{
    if (!pri_wants_gradient(input))
        return PARE_OK;
    const pare_tensor *output = record->base.output;
    size_t groups = record->groups, stride = output->rows / groups * output->columns;
    size_t count = input->rows / groups * input->columns;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, input, &beta));
#pragma omp parallel for num_threads(pri_threads(tape->context, groups)) schedule(static)
    for (size_t group = 0; group < groups; group++)
        tape->kernels->add_scaled(count, 1.0f, output->gradient + group * stride + offset, beta,
                                  input->gradient + group * count);
    return PARE_OK;
}

static pare_status concatenate_backward(pare_tape *tape, pri_record *base)
{
    concatenate_record *record = (concatenate_record *)base;
    pare_tensor *a = record->inputs[0], *b = record->inputs[1];
    PRI_TRY(split_gradient(tape, record, a, 0));
    return split_gradient(tape, record, b, a->rows / record->groups * a->columns);
}

pare_tensor *pare_concatenate_groups(pare_tape *tape, pare_tensor *a, pare_tensor *b, size_t groups)
{
    if (!pri_tape_ready(tape, a && b))
        return NULL;
    if (a->columns != b->columns || groups == 0 || a->rows % groups || b->rows % groups)
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                            "concatenate: %zu x %zu and %zu x %zu do not share "
                                            "columns or do not split into %zu groups of rows",
                                            a->rows, a->columns, b->rows, b->columns, groups));
    pare_tensor *output = pri_tape_result(tape, a->rows + b->rows, a->columns,
                                          pri_wants_gradient(a) || pri_wants_gradient(b));
    concatenate_record *record =
        pri_tape_record(tape, concatenate_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->inputs[0] = a;
    record->inputs[1] = b;
    record->groups = groups;
    size_t count_a = a->rows / groups * a->columns, count_b = b->rows / groups * b->columns;
#pragma omp parallel for num_threads(pri_threads(tape->context, groups)) schedule(static)
    for (size_t group = 0; group < groups; group++) {
        float *to = output->value + group * (count_a + count_b);
        memcpy(to, a->value + group * count_a, count_a * sizeof(float));
        memcpy(to + count_a, b->value + group * count_b, count_b * sizeof(float));
    }
    return output;
}
