#ifndef PARE_SRC_TRAIN_RECIPE_H
#define PARE_SRC_TRAIN_RECIPE_H

#include "pare/train.h"

/* pare_recipe_load from memory; `name` stands for the file in messages. */
pare_status pri_recipe_parse(const char *data, size_t size, const char *name,
                             const char *data_directory, const char *const *overrides,
                             size_t override_count, pare_recipe *recipe);

/* All that follows the seed of training. */
void pri_recipe_set_seed(pare_recipe *recipe, uint64_t seed);

#endif
