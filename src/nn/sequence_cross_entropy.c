/* Cross-entropy over the tokens of each sequence: which token of its sequence is meant, where an
 * answer begins for instance. The classes of a sequence are its own tokens, so sequences of any
 * length go together without padding. A step has few numbers here; they are computed in double. */
#include <math.h>
#include <string.h>

#include "nn/tape.h"

typedef struct sequence_record {
    pri_record base;
    pare_tensor *logits;
    size_t column;
    pare_ragged sequences;
    uint32_t *targets;
    double *log_sums; /* (sequences) */
    size_t counted;   /* sequences with a target */
} sequence_record;

static pare_status sequence_backward(pare_tape *tape, pri_record *base)
{
    sequence_record *record = (sequence_record *)base;
    pare_tensor *logits = record->logits;
    size_t columns = logits->columns;
    double factor = (double)base->output->gradient[0] / (double)record->counted;
    /* The other columns belong to other losses. */
    PRI_TRY(pri_gradient_begin_zero(tape, logits));
    for (size_t n = 0; n < record->sequences.count; n++) {
        if (record->targets[n] == PARE_IGNORE)
            continue;
        size_t begin = record->sequences.offsets[n], end = record->sequences.offsets[n + 1];
        for (size_t token = begin; token < end; token++) {
            size_t at = token * columns + record->column;
            double share = exp((double)logits->value[at] - record->log_sums[n]);
            if (token - begin == record->targets[n])
                share -= 1.0;
            logits->gradient[at] += (float)(factor * share);
        }
    }
    return PARE_OK;
}

static pare_status check(const pare_tensor *logits, size_t column, const pare_ragged *sequences,
                         const uint32_t *targets)
{
    if (column >= logits->columns || sequences->offsets[sequences->count] != logits->rows)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "sequence cross entropy: column %zu of logits %zu x %zu for sequences of "
                        "%zu tokens",
                        column, logits->rows, logits->columns,
                        sequences->offsets[sequences->count]);
    for (size_t n = 0; n < sequences->count; n++) {
        size_t length = sequences->offsets[n + 1] - sequences->offsets[n];
        if (targets[n] != PARE_IGNORE && targets[n] >= length)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "sequence cross entropy: target %zu is token %lu of a sequence of %zu",
                            n, (unsigned long)targets[n], length);
    }
    return PARE_OK;
}

static double log_sum(const pare_tensor *logits, size_t column, size_t begin, size_t end)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t token = begin; token < end; token++)
        largest = fmax(largest, (double)logits->value[token * logits->columns + column]);
    for (size_t token = begin; token < end; token++)
        sum += exp((double)logits->value[token * logits->columns + column] - largest);
    return largest + log(sum);
}

/* Returns the sum of the losses. */
static double compute_sequences(sequence_record *record, float *losses)
{
    const pare_tensor *logits = record->logits;
    double total = 0.0;
    for (size_t n = 0; n < record->sequences.count; n++) {
        size_t begin = record->sequences.offsets[n], end = record->sequences.offsets[n + 1];
        uint32_t target = record->targets[n];
        double loss = 0.0;
        if (target != PARE_IGNORE) {
            record->log_sums[n] = log_sum(logits, record->column, begin, end);
            loss = record->log_sums[n] -
                   (double)logits->value[(begin + target) * logits->columns + record->column];
            record->counted++;
        }
        if (losses)
            losses[n] = (float)loss;
        total += loss;
    }
    return total;
}

pare_tensor *pare_sequence_cross_entropy(pare_tape *tape, pare_tensor *logits, size_t column,
                                         const pare_ragged *sequences, const uint32_t *targets,
                                         float *losses)
{
    if (!pri_tape_ready(tape, logits))
        return NULL;
    pare_status status = check(logits, column, sequences, targets);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    size_t count = sequences->count;
    pare_tensor *loss = pri_tape_result(tape, 1, 1, pri_wants_gradient(logits));
    sequence_record *record = pri_tape_record(tape, sequence_backward, loss, sizeof *record);
    uint32_t *copy = pri_tape_allocate(tape, count, sizeof *copy);
    double *log_sums = pri_tape_allocate(tape, count, sizeof *log_sums);
    if (!record || !copy || !log_sums)
        return NULL;
    if (count)
        memcpy(copy, targets, count * sizeof *copy);
    record->logits = logits;
    record->column = column;
    record->sequences = *sequences;
    record->targets = copy;
    record->log_sums = log_sums;
    double sum = compute_sequences(record, losses);
    if (!record->counted)
        record->counted = 1;
    loss->value[0] = (float)(sum / (double)record->counted);
    return loss;
}
