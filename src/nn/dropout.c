/* Dropout without a stored mask: whether an element stays is a pure function of the step's key, the
 * number of the operator in the step, row and column, so backward draws it again and threads do not
 * matter. */
#include "base/random.h"
#include "nn/tape.h"

pare_status pri_dropping_check(float probability)
{
    if (probability >= 0.0f && probability < 1.0f)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "dropout: the probability must be at least 0 and less than 1, not %g",
                    (double)probability);
}

pri_dropping pri_dropping_begin(pare_tape *tape, float probability)
{
    if (!tape->training || probability == 0.0f)
        return (pri_dropping){0.0f, 0};
    return (pri_dropping){probability, pri_tape_draw_key(tape)};
}

void pri_drop_rows(const pare_tape *tape, pri_dropping dropping, size_t begin, size_t rows,
                   size_t columns, const float *x, const float *added, float *y)
{
    for (size_t row = 0; row < rows; row++) {
        size_t offset = row * columns;
        tape->kernels->dropout(columns, pri_random_bits(dropping.key, begin + row),
                               dropping.probability, x + offset, added ? added + offset : NULL,
                               y + offset);
    }
}

typedef struct dropout_record {
    pri_record base;
    pare_tensor *input, *residual; /* residual NULL: none */
    pri_dropping dropping;
} dropout_record;

static void draw(const pare_tape *tape, const dropout_record *record, const float *x,
                 const float *added, float *y)
{
    size_t all_rows = record->input->rows, columns = record->input->columns;
    size_t rows = pri_block_rows(columns), blocks = pri_divide_up(all_rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows, offset = begin * columns;
        pri_drop_rows(tape, record->dropping, begin, pri_smaller(all_rows - begin, rows), columns,
                      x + offset, added ? added + offset : NULL, y + offset);
    }
}

static pare_status dropout_backward(pare_tape *tape, pri_record *base)
{
    dropout_record *record = (dropout_record *)base;
    pare_tensor *input = record->input;
    if (pri_wants_gradient(input)) {
        float beta;
        PRI_TRY(pri_gradient_begin(tape, input, &beta));
        draw(tape, record, base->output->gradient, beta == 0.0f ? NULL : input->gradient,
             input->gradient);
    }
    if (record->residual)
        pri_gradient_hand_over(tape, base->output, record->residual);
    return PARE_OK;
}

static pare_tensor *drop(pare_tape *tape, pare_tensor *residual, pare_tensor *input,
                         float probability)
{
    bool wants_gradient = pri_wants_gradient(input) || pri_wants_gradient(residual);
    pare_tensor *output = pri_tape_result(tape, input->rows, input->columns, wants_gradient);
    dropout_record *record = pri_tape_record(tape, dropout_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->input = input;
    record->residual = residual;
    record->dropping = pri_dropping_begin(tape, probability);
    draw(tape, record, input->value, residual ? residual->value : NULL, output->value);
    return output;
}

pare_tensor *pare_dropout(pare_tape *tape, pare_tensor *input, float probability)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    pare_status status = pri_dropping_check(probability);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    return tape->training && probability > 0.0f ? drop(tape, NULL, input, probability) : input;
}

pare_tensor *pare_add_dropped(pare_tape *tape, pare_tensor *residual, pare_tensor *input,
                              float probability)
{
    if (!pri_tape_ready(tape, residual && input))
        return NULL;
    pare_status status = pri_dropping_check(probability);
    if (status == PARE_OK)
        status = pri_check_same_shape(residual, input);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    return tape->training && probability > 0.0f ? drop(tape, residual, input, probability)
                                                : pare_add(tape, residual, input);
}
