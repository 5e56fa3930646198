/* What an optimiser does to every number, in parallel; the schedule is the business of train/. */
#ifndef PARE_SRC_NN_OPTIMIZER_H
#define PARE_SRC_NN_OPTIMIZER_H

#include "pare/base.h"

/* Adam (arXiv 1412.6980) and, decoupled, AdamW (arXiv 1711.05101), as PyTorch computes them:
 *     g = gradient_scale * gradient;   decoupled: p *= 1 - rate * weight_decay;
 *     not decoupled: g += weight_decay * p
 *     m = beta1 m + (1 - beta1) g      v = beta2 v + (1 - beta2) g^2
 *     p -= rate * (m / correction1) / (sqrt(v / correction2) + epsilon) */
typedef struct pri_adam {
    float rate, beta1, beta2, epsilon, weight_decay;
    float correction1, correction2; /* 1 - beta1^t, 1 - beta2^t, t from 1 */
    float gradient_scale;           /* 1, or what clipping and accumulation ask for */
    bool decoupled;
} pri_adam;

void pri_adam_update(pare_context *context, const pri_adam *adam, size_t count, float *parameter,
                     const float *gradient, float *m, float *v);

/* In fp64, the same bits for any number of threads. */
double pri_sum_of_squares(pare_context *context, size_t count, const float *x);

#endif
