/* What classification and regression are measured by, as shares and correlations (not percent). */
#ifndef PARE_SRC_TASKS_METRICS_H
#define PARE_SRC_TASKS_METRICS_H

#include "base/status.h"

/* Of `count` examples, 1 or more; predictions and labels are class numbers. */
double pri_accuracy(const uint32_t *predictions, const uint32_t *labels, size_t count);
/* Of class 1: 2 TP / (2 TP + FP + FN); 0 when undefined. Every other class counts as negative. */
double pri_f1(const uint32_t *predictions, const uint32_t *labels, size_t count);
/* (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)) of class 1 against all others; 0
 * when a factor is 0. */
double pri_matthews(const uint32_t *predictions, const uint32_t *labels, size_t count);
/* 0 when either side is constant. */
double pri_pearson(const float *predictions, const float *targets, size_t count);
/* Pearson of ranks; equal values share the average of their ranks. */
pare_status pri_spearman(const float *predictions, const float *targets, size_t count,
                         double *correlation);

#endif
