/* Rows of a tensor by number, any of them any number of times. */
#include <string.h>

#include "nn/tape.h"

typedef struct select_record {
    pri_record base;
    pare_tensor *input;
    uint32_t *rows;
} select_record;

static pare_status select_backward(pare_tape *tape, pri_record *base)
{
    select_record *record = (select_record *)base;
    PRI_TRY(pri_gradient_begin_zero(tape, record->input));
    return pri_scatter_add(tape, record->rows, base->output->rows, base->output->columns, 1.0f,
                           base->output->gradient, record->input->gradient);
}

static pare_status check(const pare_tensor *input, const uint32_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i] >= input->rows)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "select rows: number %zu asks for row %lu of %zu rows", i,
                            (unsigned long)rows[i], input->rows);
    return PARE_OK;
}

pare_tensor *pare_select_rows(pare_tape *tape, pare_tensor *input, const uint32_t *rows,
                              size_t count)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    pare_status status = check(input, rows, count);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    size_t columns = input->columns;
    pare_tensor *output = pri_tape_result(tape, count, columns, pri_wants_gradient(input));
    select_record *record = pri_tape_record(tape, select_backward, output, sizeof *record);
    uint32_t *copy = pri_tape_allocate(tape, count, sizeof *copy);
    if (!record || !copy)
        return NULL;
    if (count)
        memcpy(copy, rows, count * sizeof *copy);
    record->input = input;
    record->rows = copy;
    size_t block = pri_block_rows(columns), blocks = pri_divide_up(count, block);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t end = b * block + pri_smaller(count - b * block, block);
        for (size_t i = b * block; i < end; i++)
            memcpy(output->value + i * columns, input->value + copy[i] * columns,
                   columns * sizeof(float));
    }
    return output;
}
