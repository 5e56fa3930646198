/* Residual sums. */
#include "nn/tape.h"

typedef struct add_record {
    pri_record base;
    pare_tensor *a, *b;
} add_record;

static pare_status pass_on(pare_tape *tape, const pare_tensor *output, pare_tensor *input)
{
    if (!pri_wants_gradient(input))
        return PARE_OK;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, input, &beta));
    pri_add_scaled(tape, output->rows * output->columns, 1.0f, output->gradient, beta,
                   input->gradient);
    return PARE_OK;
}

static pare_status add_backward(pare_tape *tape, pri_record *base)
{
    add_record *record = (add_record *)base;
    PRI_TRY(pass_on(tape, base->output, record->a));
    if (record->b->gradient_pending) {
        /* Nobody reads the result's gradient any more: b takes it over. */
        record->b->gradient = base->output->gradient;
        record->b->gradient_pending = false;
        base->output->gradient = NULL;
        return PARE_OK;
    }
    return pass_on(tape, base->output, record->b);
}

pare_tensor *pare_add(pare_tape *tape, pare_tensor *a, pare_tensor *b)
{
    if (!pri_tape_ready(tape, a && b))
        return NULL;
    if (a->rows != b->rows || a->columns != b->columns)
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                            "add: %zu x %zu and %zu x %zu differ in shape", a->rows,
                                            a->columns, b->rows, b->columns));
    bool wants_gradient = pri_wants_gradient(a) || pri_wants_gradient(b);
    pare_tensor *sum = pri_tape_result(tape, a->rows, a->columns, wants_gradient);
    add_record *record = pri_tape_record(tape, add_backward, sum, sizeof *record);
    if (!record)
        return NULL;
    record->a = a;
    record->b = b;
    size_t columns = sum->columns, rows = pri_block_rows(columns);
    size_t blocks = pri_divide_up(sum->rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows * columns;
        tape->kernels->add(pri_smaller(sum->rows - i * rows, rows) * columns, a->value + begin,
                           b->value + begin, sum->value + begin);
    }
    return sum;
}
