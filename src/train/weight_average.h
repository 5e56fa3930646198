/* The mean of a model's weights at several steps of its training, which is often better than any of
 * them (training.keep average). */
#ifndef PARE_SRC_TRAIN_WEIGHT_AVERAGE_H
#define PARE_SRC_TRAIN_WEIGHT_AVERAGE_H

#include "pare/model.h"

typedef struct pri_weight_average {
    double *sums; /* (floats), parameters end to end; NULL: no average is kept */
    size_t floats;
    uint64_t count; /* of steps added */
} pri_weight_average;

pare_status pri_weight_average_create(const pare_model *model, pri_weight_average *average);
void pri_weight_average_free(pri_weight_average *average);
void pri_weight_average_add(pri_weight_average *average, pare_context *context, pare_model *model);
/* Puts the mean in the place of the weights. */
void pri_weight_average_apply(const pri_weight_average *average, pare_model *model);
pare_status pri_weight_average_save(const pri_weight_average *average, const char *path);
/* Into one of the same model. */
pare_status pri_weight_average_load(pri_weight_average *average, const char *path);

#endif
