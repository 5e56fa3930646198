/* Dropout without a stored mask: whether an element stays is a pure function of the step's key, the
 * number of the operator in the step, row and column, so backward draws it again and threads do not
 * matter. */
#include "base/random.h"
#include "nn/tape.h"

typedef struct dropout_record {
    pri_record base;
    pare_tensor *input;
    float probability;
    uint64_t key;
} dropout_record;

/* y = dropped x + beta * y */
static void draw(const pare_tape *tape, const dropout_record *record, const float *x, float beta,
                 float *y)
{
    size_t all_rows = record->input->rows, columns = record->input->columns;
    size_t rows = pri_block_rows(columns), blocks = pri_divide_up(all_rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t end = i * rows + pri_smaller(all_rows - i * rows, rows);
        for (size_t row = i * rows; row < end; row++)
            tape->kernels->dropout(columns, pri_random_bits(record->key, row), record->probability,
                                   x + row * columns, beta, y + row * columns);
    }
}

static pare_status dropout_backward(pare_tape *tape, pri_record *base)
{
    dropout_record *record = (dropout_record *)base;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, record->input, &beta));
    draw(tape, record, base->output->gradient, beta, record->input->gradient);
    return PARE_OK;
}

pare_tensor *pare_dropout(pare_tape *tape, pare_tensor *input, float probability)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    if (!(probability >= 0.0f && probability < 1.0f))
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                            "dropout: the probability must be at least 0 and less "
                                            "than 1, not %g",
                                            (double)probability));
    if (!tape->training || probability == 0.0f)
        return input;
    pare_tensor *output =
        pri_tape_result(tape, input->rows, input->columns, pri_wants_gradient(input));
    dropout_record *record = pri_tape_record(tape, dropout_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->input = input;
    record->probability = probability;
    record->key = pri_tape_draw_key(tape);
    draw(tape, record, input->value, 0.0f, output->value);
    return output;
}
