/* Mean squared error of one column, the loss of regression. */
#include <string.h>

#include "nn/tape.h"

typedef struct squared_error_record {
    pri_record base;
    pare_tensor *predictions;
    float *targets;
} squared_error_record;

static pare_status squared_error_backward(pare_tape *tape, pri_record *base)
{
    squared_error_record *record = (squared_error_record *)base;
    pare_tensor *predictions = record->predictions;
    float factor = 2.0f * base->output->gradient[0] / (float)predictions->rows;
    PRI_TRY(pri_gradient_begin_zero(tape, predictions));
    for (size_t i = 0; i < predictions->rows; i++)
        predictions->gradient[i] += factor * (predictions->value[i] - record->targets[i]);
    return PARE_OK;
}

pare_tensor *pare_mean_squared_error(pare_tape *tape, pare_tensor *predictions,
                                     const float *targets, float *losses)
{
    if (!pri_tape_ready(tape, predictions))
        return NULL;
    size_t rows = predictions->rows;
    if (predictions->columns != 1 || rows == 0)
        return pri_tape_fail(tape, pri_fail(PARE_ERROR_ARGUMENT,
                                            "mean squared error: the predictions are %zu x %zu; "
                                            "there must be at least one, in one column",
                                            rows, predictions->columns));
    pare_tensor *loss = pri_tape_result(tape, 1, 1, pri_wants_gradient(predictions));
    squared_error_record *record =
        pri_tape_record(tape, squared_error_backward, loss, sizeof *record);
    float *copy = pri_tape_allocate(tape, rows, sizeof *copy);
    if (!record || !copy)
        return NULL;
    memcpy(copy, targets, rows * sizeof *copy);
    record->predictions = predictions;
    record->targets = copy;
    double sum = 0.0;
    for (size_t i = 0; i < rows; i++) {
        double error = (double)predictions->value[i] - (double)targets[i];
        sum += error * error;
        if (losses)
            losses[i] = (float)(error * error);
    }
    loss->value[0] = (float)(sum / (double)rows);
    return loss;
}
