/* Layer normalisation over columns. The statistics of each row are kept; gain and bias gradients
 * are summed per block of rows and then block by block. */
#include <string.h>

#include "nn/tape.h"

typedef struct layer_norm_record {
    pri_record base;
    pare_tensor *input, *gain, *bias;
    float *mean, *inverse_deviation; /* (rows) */
} layer_norm_record;

static pare_status add_block_sums(pare_tape *tape, pare_tensor *parameter, const float *sums,
                                  size_t blocks)
{
    if (!pri_wants_gradient(parameter))
        return PARE_OK;
    PRI_TRY(pri_gradient_begin_zero(tape, parameter));
    pri_add_column_sums(tape, blocks, parameter->columns, sums, 2 * parameter->columns,
                        parameter->gradient);
    return PARE_OK;
}

static pare_status layer_norm_backward(pare_tape *tape, pri_record *base)
{
    layer_norm_record *record = (layer_norm_record *)base;
    pare_tensor *input = record->input;
    const float *dy = base->output->gradient;
    size_t columns = input->columns, rows = pri_block_rows(columns);
    size_t blocks = pri_divide_up(input->rows, rows);
    /* (blocks, 2, columns): gain sums, bias sums */
    float *sums = pri_tape_scratch(tape, blocks * 2 * columns * sizeof(float));
    if (!sums)
        return tape->status;
    float beta = 0.0f;
    if (pri_wants_gradient(input))
        PRI_TRY(pri_gradient_begin(tape, input, &beta));
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows, offset = begin * columns;
        float *block_sums = sums + i * 2 * columns;
        memset(block_sums, 0, 2 * columns * sizeof(float));
        tape->kernels->layer_norm_gradient(
            pri_smaller(input->rows - begin, rows), columns, input->value + offset,
            record->gain->value, record->mean + begin, record->inverse_deviation + begin,
            dy + offset, beta, input->gradient ? input->gradient + offset : NULL, block_sums,
            block_sums + columns);
    }
    PRI_TRY(add_block_sums(tape, record->gain, sums, blocks));
    return add_block_sums(tape, record->bias, sums + columns, blocks);
}

static bool is_row(const pare_tensor *tensor, size_t columns)
{
    return tensor->rows == 1 && tensor->columns == columns;
}

pare_tensor *pare_layer_norm(pare_tape *tape, pare_tensor *input, pare_tensor *gain,
                             pare_tensor *bias, float epsilon)
{
    if (!pri_tape_ready(tape, input && gain && bias))
        return NULL;
    size_t columns = input->columns;
    if (!is_row(gain, columns) || !is_row(bias, columns))
        return pri_tape_fail(
            tape, pri_fail(PARE_ERROR_ARGUMENT,
                           "layer norm: gain (%zu x %zu) and bias (%zu x %zu) must "
                           "be 1 x %zu, the input's columns",
                           gain->rows, gain->columns, bias->rows, bias->columns, columns));
    bool wants_gradient =
        pri_wants_gradient(input) || pri_wants_gradient(gain) || pri_wants_gradient(bias);
    pare_tensor *output = pri_tape_result(tape, input->rows, columns, wants_gradient);
    layer_norm_record *record = pri_tape_record(tape, layer_norm_backward, output, sizeof *record);
    float *mean = pri_tape_allocate(tape, input->rows, sizeof *mean);
    float *inverse_deviation = pri_tape_allocate(tape, input->rows, sizeof *inverse_deviation);
    if (!record || !mean || !inverse_deviation)
        return NULL;
    record->input = input;
    record->gain = gain;
    record->bias = bias;
    record->mean = mean;
    record->inverse_deviation = inverse_deviation;
    size_t rows = pri_block_rows(columns), blocks = pri_divide_up(input->rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows, offset = begin * columns;
        tape->kernels->layer_norm(pri_smaller(input->rows - begin, rows), columns,
                                  input->value + offset, gain->value, bias->value, epsilon,
                                  output->value + offset, mean + begin, inverse_deviation + begin);
    }
    return output;
}
