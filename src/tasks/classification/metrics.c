/* Accuracy, F1, Matthews, Pearson and Spearman, in fp64. */
#include "tasks/classification/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

double pri_accuracy(const uint32_t *predictions, const uint32_t *labels, size_t count)
{
    size_t right = 0;
    for (size_t i = 0; i < count; i++)
        right += predictions[i] == labels[i];
    return (double)right / (double)count;
}

typedef struct confusion {
    double true_positives, false_positives, false_negatives, true_negatives;
} confusion;

static confusion count_confusion(const uint32_t *predictions, const uint32_t *labels, size_t count)
{
    confusion counts = {0};
    for (size_t i = 0; i < count; i++) {
        bool predicted = predictions[i] == 1, is = labels[i] == 1;
        counts.true_positives += predicted && is;
        counts.false_positives += predicted && !is;
        counts.false_negatives += !predicted && is;
        counts.true_negatives += !predicted && !is;
    }
    return counts;
}

double pri_f1(const uint32_t *predictions, const uint32_t *labels, size_t count)
{
    confusion of = count_confusion(predictions, labels, count);
    double denominator = 2 * of.true_positives + of.false_positives + of.false_negatives;
    return denominator > 0 ? 2 * of.true_positives / denominator : 0;
}

double pri_matthews(const uint32_t *predictions, const uint32_t *labels, size_t count)
{
    confusion of = count_confusion(predictions, labels, count);
    double product =
        (of.true_positives + of.false_positives) * (of.true_positives + of.false_negatives) *
        (of.true_negatives + of.false_positives) * (of.true_negatives + of.false_negatives);
    return product > 0
               ? (of.true_positives * of.true_negatives - of.false_positives * of.false_negatives) /
                     sqrt(product)
               : 0;
}

static double mean_of(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

double pri_pearson(const float *predictions, const float *targets, size_t count)
{
    double mean_x = mean_of(predictions, count), mean_y = mean_of(targets, count);
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < count; i++) {
        double x = predictions[i] - mean_x, y = targets[i] - mean_y;
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* ---- Ranks ---- */

typedef struct ranked {
    float value;
    size_t index;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *left = a, *right = b;
    return (left->value > right->value) - (left->value < right->value);
}

/* fp32 holds the halves of whole numbers below 2^23 exactly. */
static void fill_ranks(const float *values, size_t count, ranked *order, float *ranks)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (ranked){values[i], i};
    qsort(order, count, sizeof *order, compare_ranked);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && order[end].value == order[begin].value;)
            end++;
        for (size_t i = begin; i < end; i++)
            ranks[order[i].index] = (float)(begin + end - 1) / 2;
    }
}

pare_status pri_spearman(const float *predictions, const float *targets, size_t count,
                         double *correlation)
{
    ranked *order = pri_allocate(count, sizeof *order);
    float *x = pri_allocate(count, sizeof *x), *y = pri_allocate(count, sizeof *y);
    bool allocated = order && x && y;
    if (allocated) {
        fill_ranks(predictions, count, order, x);
        fill_ranks(targets, count, order, y);
        *correlation = pri_pearson(x, y, count);
    }
    pri_free(order);
    pri_free(x);
    pri_free(y);
    return allocated ? PARE_OK : PARE_ERROR_MEMORY;
}
