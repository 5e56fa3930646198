/* A factor, for sums of losses. */
#include "nn/tape.h"

typedef struct scale_record {
    pri_record base;
    pare_tensor *input;
    float factor;
} scale_record;

static pare_status scale_backward(pare_tape *tape, pri_record *base)
{
    scale_record *record = (scale_record *)base;
    pare_tensor *input = record->input;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, input, &beta));
    pri_add_scaled(tape, input->rows * input->columns, record->factor, base->output->gradient, beta,
                   input->gradient);
    return PARE_OK;
}

pare_tensor *pare_scale(pare_tape *tape, pare_tensor *input, float factor)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    pare_tensor *scaled =
        pri_tape_result(tape, input->rows, input->columns, pri_wants_gradient(input));
    scale_record *record = pri_tape_record(tape, scale_backward, scaled, sizeof *record);
    if (!record)
        return NULL;
    record->input = input;
    record->factor = factor;
    pri_add_scaled(tape, input->rows * input->columns, factor, input->value, 0, scaled->value);
    return scaled;
}
