/* Directories of models, for families that read them in ways of their own. */
#ifndef PARE_SRC_MODELS_CHECKPOINT_H
#define PARE_SRC_MODELS_CHECKPOINT_H

#include "models/model.h"

/* config.json of a directory, its path for messages, and its family. Release both. */
pare_status pri_read_config(const char *directory, json_t **config, char **path,
                            const pri_family **family);
/* Gives a declared model its storage and the weights of the directory. With `fresh_head`, what
 * belongs to the head and is not there in the right shape is drawn from `seed`. */
pare_status pri_read_weights(pare_model *model, const char *directory, bool fresh_head,
                             uint64_t seed);

#endif
