/* Adam and AdamW over all parameters of a model. */
#ifndef PARE_SRC_TRAIN_OPTIMIZER_H
#define PARE_SRC_TRAIN_OPTIMIZER_H

#include "pare/train.h"

typedef struct pri_optimizer {
    pare_context *context;
    pare_parameter *parameters; /* the model's */
    size_t count;
    float *first, *second; /* moments of all parameters, one after the other */
    size_t floats;
} pri_optimizer;

pare_status pri_optimizer_create(pare_context *context, pare_model *model,
                                 pri_optimizer *optimizer);
void pri_optimizer_destroy(pri_optimizer *optimizer);

/* Square root of the sum over all gradients; not finite exactly when one of them is not. */
double pri_optimizer_gradient_norm(const pri_optimizer *optimizer);
/* Update number `step` (1-based) with every gradient times `gradient_scale`. */
void pri_optimizer_step(pri_optimizer *optimizer, const pare_training_options *options,
                        uint64_t step, double rate, double gradient_scale);

/* The moments after update `step`; a file of another model or step is refused. */
pare_status pri_optimizer_save(const pri_optimizer *optimizer, uint64_t step, const char *path);
pare_status pri_optimizer_load(pri_optimizer *optimizer, uint64_t step, const char *path);

#endif
