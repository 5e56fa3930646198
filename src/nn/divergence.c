/* How far distributions are from given ones, the loss of distillation. What backward needs, the
 * difference of the two distributions, is computed with the loss. */
#include <string.h>

#include "nn/tape.h"

typedef struct divergence_record {
    pri_record base;
    pare_tensor *logits;
    float *differences; /* as logits: softmax(logits / T) - softmax(targets / T) */
    float temperature;
    size_t count; /* of distributions */
} divergence_record;

static pare_status divergence_backward(pare_tape *tape, pri_record *base)
{
    divergence_record *record = (divergence_record *)base;
    pare_tensor *logits = record->logits;
    float factor = record->temperature * base->output->gradient[0] / (float)record->count, beta;
    PRI_TRY(pri_gradient_begin(tape, logits, &beta));
    pri_add_scaled(tape, logits->rows * logits->columns, factor, record->differences, beta,
                   logits->gradient);
    return PARE_OK;
}

/* The Kullback-Leibler divergence of logits / T of both sides; `differs` receives the difference of
 * their distributions. */
static double diverge(const pri_nn_kernels *kernels, size_t classes, float *value, float *target,
                      float *differs)
{
    float value_sum = kernels->log_sum_exp(classes, NULL, value);
    float target_sum = kernels->log_sum_exp(classes, NULL, target);
    double sum = (double)value_sum - (double)target_sum;
    kernels->softmax_gradient(classes, target, target_sum, -1, 0, 0, differs);
    for (size_t i = 0; i < classes; i++)
        sum -= (double)differs[i] * ((double)target[i] - (double)value[i]);
    kernels->softmax_gradient(classes, value, value_sum, 1, 0, 1, differs);
    return sum;
}

/* Distributions of a batch of logits: (rows, columns), or of each column over each sequence. */
typedef struct distributions {
    const pare_tensor *logits;
    const pare_ragged *sequences; /* NULL: rows */
} distributions;

static size_t count_of(const distributions *all)
{
    return all->sequences ? all->sequences->count * all->logits->columns : all->logits->rows;
}

static size_t classes_of(const distributions *all, size_t index)
{
    if (!all->sequences)
        return all->logits->columns;
    const size_t *offsets = all->sequences->offsets + index / all->logits->columns;
    return offsets[1] - offsets[0];
}

/* The index of class `i` of a distribution among the logits. */
static size_t place_of(const distributions *all, size_t index, size_t i)
{
    size_t columns = all->logits->columns;
    if (!all->sequences)
        return index * columns + i;
    return (all->sequences->offsets[index / columns] + i) * columns + index % columns;
}

static size_t most_classes(const distributions *all)
{
    size_t most = 0, count = count_of(all);
    for (size_t index = 0; index < count; index++)
        most = pri_larger(most, classes_of(all, index));
    return most;
}

static double compute(const pare_tape *tape, const distributions *all, const float *targets,
                      float *scratch, size_t most, divergence_record *record)
{
    float *value = scratch, *target = value + most, *differs = target + most;
    float scale = 1.0f / record->temperature;
    double sum = 0.0;
    for (size_t index = 0; index < record->count; index++) {
        size_t classes = classes_of(all, index);
        for (size_t i = 0; i < classes; i++) {
            size_t place = place_of(all, index, i);
            value[i] = all->logits->value[place] * scale;
            target[i] = targets[place] * scale;
        }
        sum += diverge(tape->kernels, classes, value, target, differs);
        for (size_t i = 0; i < classes; i++)
            record->differences[place_of(all, index, i)] = differs[i];
    }
    return sum;
}

static pare_status check(const distributions *all, float temperature)
{
    const pare_tensor *logits = all->logits;
    const pare_ragged *sequences = all->sequences;
    if (!(temperature > 0.0f))
        return pri_fail(PARE_ERROR_ARGUMENT, "divergence: a temperature must be above 0, not %g",
                        (double)temperature);
    if (sequences && sequences->offsets[sequences->count] != logits->rows)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "divergence: logits %zu x %zu for sequences of %zu tokens", logits->rows,
                        logits->columns, sequences->offsets[sequences->count]);
    return PARE_OK;
}

pare_tensor *pare_divergence(pare_tape *tape, pare_tensor *logits, const float *targets,
                             const pare_ragged *sequences, float temperature)
{
    if (!pri_tape_ready(tape, logits))
        return NULL;
    const distributions all = {logits, sequences};
    pare_status status = check(&all, temperature);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    size_t most = most_classes(&all);
    pare_tensor *loss = pri_tape_result(tape, 1, 1, pri_wants_gradient(logits));
    divergence_record *record = pri_tape_record(tape, divergence_backward, loss, sizeof *record);
    float *differences = pri_tape_allocate(tape, logits->rows * logits->columns, sizeof(float));
    float *scratch = pri_tape_allocate(tape, 3 * most, sizeof *scratch);
    if (!record || !differences || !scratch)
        return NULL;
    record->logits = logits;
    record->differences = differences;
    record->temperature = temperature;
    record->count = count_of(&all);
    double sum = compute(tape, &all, targets, scratch, most, record);
    if (!record->count)
        record->count = 1;
    loss->value[0] =
        (float)((double)temperature * (double)temperature * sum / (double)record->count);
    return loss;
}
