/* Linear layers: one matrix product, then bias, activation and dropout in one pass over the result.
 */
#include "nn/tape.h"

typedef struct linear_record {
    pri_record base;
    pare_tensor *input, *weight, *bias;
    pare_activation activation;
    float *before; /* input of GELU and SWISH, in training */
    pri_dropping dropping;
} linear_record;

static void finish_output(const pare_tape *tape, const linear_record *record)
{
    const pare_tensor *output = record->base.output;
    const float *bias = record->bias ? record->bias->value : NULL;
    bool dropped = record->dropping.probability > 0.0f;
    if (!bias && record->activation == PARE_ACTIVATION_NONE && !dropped)
        return;
    size_t columns = output->columns, rows = pri_block_rows(columns);
    size_t blocks = pri_divide_up(output->rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows, count = pri_smaller(output->rows - begin, rows);
        float *value = output->value + begin * columns;
        tape->kernels->bias_activation(count, columns, bias, record->activation, value,
                                       record->before ? record->before + begin * columns : NULL);
        if (dropped)
            pri_drop_rows(tape, record->dropping, begin, count, columns, value, NULL, value);
    }
}

/* The result's gradient is turned into that of the product in place: nobody reads it afterwards.
 * RELU's derivative may be taken from the dropped output, which is 0 where dropout makes the
 * gradient 0 anyway. */
static void differentiate_output(const pare_tape *tape, const linear_record *record)
{
    bool dropped = record->dropping.probability > 0.0f;
    if (record->activation == PARE_ACTIVATION_NONE && !dropped)
        return;
    const pare_tensor *output = record->base.output;
    const float *saved = record->before ? record->before : output->value;
    size_t columns = output->columns, rows = pri_block_rows(columns);
    size_t blocks = pri_divide_up(output->rows, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t i = 0; i < blocks; i++) {
        size_t begin = i * rows, count = pri_smaller(output->rows - begin, rows);
        float *gradient = output->gradient + begin * columns;
        if (dropped)
            pri_drop_rows(tape, record->dropping, begin, count, columns, gradient, NULL, gradient);
        tape->kernels->activation_gradient(count * columns, record->activation,
                                           saved + begin * columns, gradient);
    }
}

static pare_status linear_backward(pare_tape *tape, pri_record *base)
{
    linear_record *record = (linear_record *)base;
    pare_tensor *input = record->input, *weight = record->weight, *bias = record->bias;
    size_t rows = input->rows, in = input->columns, out = weight->rows;
    differentiate_output(tape, record);
    const float *gradient = base->output->gradient;
    float beta;
    if (pri_wants_gradient(bias)) {
        PRI_TRY(pri_gradient_begin_zero(tape, bias));
        pri_add_column_sums(tape, rows, out, gradient, out, bias->gradient);
    }
    if (pri_wants_gradient(weight)) {
        PRI_TRY(pri_gradient_begin(tape, weight, &beta));
        PRI_TRY(pare_matrix_product(tape->context, true, false, out, in, rows, 1.0f, gradient, out,
                                    input->value, in, beta, weight->gradient, in));
    }
    if (pri_wants_gradient(input)) {
        PRI_TRY(pri_gradient_begin(tape, input, &beta));
        PRI_TRY(pare_matrix_product(tape->context, false, false, rows, in, out, 1.0f, gradient, out,
                                    weight->value, in, beta, input->gradient, in));
    }
    return PARE_OK;
}

static pare_status check(const pare_tensor *input, const pare_tensor *weight,
                         const pare_tensor *bias)
{
    if (input->columns != weight->columns)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "linear: the input has %zu columns but the weight is %zu x %zu; they must "
                        "agree in columns",
                        input->columns, weight->rows, weight->columns);
    if (bias && (bias->rows != 1 || bias->columns != weight->rows))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "linear: the bias is %zu x %zu; the weight's %zu rows ask for 1 x %zu",
                        bias->rows, bias->columns, weight->rows, weight->rows);
    return PARE_OK;
}

pare_tensor *pare_linear(pare_tape *tape, pare_tensor *input, pare_tensor *weight,
                         pare_tensor *bias, pare_activation activation)
{
    return pare_linear_dropped(tape, input, weight, bias, activation, 0.0f);
}

pare_tensor *pare_linear_dropped(pare_tape *tape, pare_tensor *input, pare_tensor *weight,
                                 pare_tensor *bias, pare_activation activation, float probability)
{
    if (!pri_tape_ready(tape, input && weight))
        return NULL;
    /* The derivative of TANH needs the output as it was before. */
    if (activation == PARE_ACTIVATION_TANH && probability != 0.0f)
        return pare_dropout(tape, pare_linear(tape, input, weight, bias, activation), probability);
    pare_status status = check(input, weight, bias);
    if (status == PARE_OK)
        status = pri_dropping_check(probability);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    bool wants_gradient =
        pri_wants_gradient(input) || pri_wants_gradient(weight) || pri_wants_gradient(bias);
    size_t rows = input->rows, in = input->columns, out = weight->rows;
    pare_tensor *output = pri_tape_result(tape, rows, out, wants_gradient);
    linear_record *record = pri_tape_record(tape, linear_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->input = input;
    record->weight = weight;
    record->bias = bias;
    record->activation = activation;
    bool needs_input = activation == PARE_ACTIVATION_GELU || activation == PARE_ACTIVATION_SWISH;
    if (needs_input && pri_wants_gradient(output))
        record->before = pri_tape_allocate(tape, rows * out, sizeof(float));
    if (tape->status != PARE_OK)
        return NULL;
    status = pare_matrix_product(tape->context, false, true, rows, out, in, 1.0f, input->value, in,
                                 weight->value, in, 0.0f, output->value, out);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    record->dropping = pri_dropping_begin(tape, probability);
    finish_output(tape, record);
    return output;
}
