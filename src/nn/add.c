/* Residual sums. */
#include "nn/tape.h"

typedef struct add_record {
    pri_record base;
    pare_tensor *a, *b;
} add_record;

static pare_status add_backward(pare_tape *tape, pri_record *base)
{
    add_record *record = (add_record *)base;
    pare_tensor *a = record->a;
    if (pri_wants_gradient(a)) {
        float beta;
        PRI_TRY(pri_gradient_begin(tape, a, &beta));
        pri_add_scaled(tape, a->rows * a->columns, 1.0f, base->output->gradient, beta, a->gradient);
    }
    pri_gradient_hand_over(tape, base->output, record->b);
    return PARE_OK;
}

pare_status pri_check_same_shape(const pare_tensor *a, const pare_tensor *b)
{
    if (a->rows == b->rows && a->columns == b->columns)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "add: %zu x %zu and %zu x %zu differ in shape", a->rows,
                    a->columns, b->rows, b->columns);
}

pare_tensor *pare_add(pare_tape *tape, pare_tensor *a, pare_tensor *b)
{
    if (!pri_tape_ready(tape, a && b))
        return NULL;
    pare_status status = pri_check_same_shape(a, b);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
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
