/* Cross-entropy of given logits, with label smoothing. The softmax itself is never stored: backward
 * takes it from the logits and the log-sum-exp of each row. */
#include <string.h>

#include "nn/tape.h"

typedef struct cross_entropy_record {
    pri_record base;
    pare_tensor *logits;
    uint32_t *targets;
    float *log_sums; /* (rows) */
    float smoothing;
    size_t counted; /* rows with a target */
} cross_entropy_record;

static pare_status cross_entropy_backward(pare_tape *tape, pri_record *base)
{
    cross_entropy_record *record = (cross_entropy_record *)base;
    pare_tensor *logits = record->logits;
    size_t rows = logits->rows, columns = logits->columns;
    float factor = base->output->gradient[0] / (float)record->counted;
    float share = record->smoothing / (float)columns;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, logits, &beta));
#pragma omp parallel for num_threads(pri_threads(tape->context, rows)) schedule(static)
    for (size_t i = 0; i < rows; i++) {
        uint32_t target = record->targets[i];
        float *gradient = logits->gradient + i * columns;
        bool ignored = target == PARE_IGNORE;
        if (ignored && beta == 0.0f)
            memset(gradient, 0, columns * sizeof(float));
        if (ignored)
            continue;
        tape->kernels->softmax_gradient(columns, logits->value + i * columns, record->log_sums[i],
                                        factor, share, beta, gradient);
        gradient[target] -= factor * (1.0f - record->smoothing);
    }
    return PARE_OK;
}

static pare_status check(const pare_tensor *logits, const uint32_t *targets, float smoothing)
{
    if (!(smoothing >= 0.0f && smoothing <= 1.0f))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "cross entropy: smoothing must lie between 0 and 1, not %g",
                        (double)smoothing);
    for (size_t i = 0; i < logits->rows; i++)
        if (targets[i] != PARE_IGNORE && targets[i] >= logits->columns)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "cross entropy: target %zu is %lu but there are %zu classes", i,
                            (unsigned long)targets[i], logits->columns);
    return PARE_OK;
}

/* The loss of each row, zero where ignored. */
static void compute_rows(const pare_tape *tape, const cross_entropy_record *record, float *losses)
{
    const pare_tensor *logits = record->logits;
    size_t rows = logits->rows, columns = logits->columns;
    float smoothing = record->smoothing;
#pragma omp parallel for num_threads(pri_threads(tape->context, rows)) schedule(static)
    for (size_t i = 0; i < rows; i++) {
        losses[i] = 0.0f;
        if (record->targets[i] == PARE_IGNORE)
            continue;
        float *row = logits->value + i * columns;
        float log_sum = tape->kernels->log_sum_exp(columns, NULL, row);
        record->log_sums[i] = log_sum;
        losses[i] = log_sum - (1.0f - smoothing) * row[record->targets[i]];
        if (smoothing > 0.0f)
            losses[i] -= smoothing * (float)(tape->kernels->sum(columns, row) / (double)columns);
    }
}

pare_tensor *pare_cross_entropy(pare_tape *tape, pare_tensor *logits, const uint32_t *targets,
                                float smoothing, float *losses)
{
    if (!pri_tape_ready(tape, logits))
        return NULL;
    pare_status status = check(logits, targets, smoothing);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    size_t rows = logits->rows;
    pare_tensor *loss = pri_tape_result(tape, 1, 1, pri_wants_gradient(logits));
    cross_entropy_record *record =
        pri_tape_record(tape, cross_entropy_backward, loss, sizeof *record);
    uint32_t *copy = pri_tape_allocate(tape, rows, sizeof *copy);
    float *log_sums = pri_tape_allocate(tape, rows, sizeof *log_sums);
    float *row_losses = losses ? losses : pri_tape_allocate(tape, rows, sizeof *row_losses);
    if (!record || !copy || !log_sums || !row_losses)
        return NULL;
    if (rows)
        memcpy(copy, targets, rows * sizeof *copy);
    record->logits = logits;
    record->targets = copy;
    record->log_sums = log_sums;
    record->smoothing = smoothing;
    compute_rows(tape, record, row_losses);
    double sum = 0.0;
    for (size_t i = 0; i < rows; i++) {
        record->counted += targets[i] != PARE_IGNORE;
        sum += (double)row_losses[i];
    }
    loss->value[0] = record->counted ? (float)(sum / (double)record->counted) : 0.0f;
    if (!record->counted)
        record->counted = 1;
    return loss;
}
