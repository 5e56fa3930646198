/* The tensors of a model in safetensors files, one or several that share the work. */
#ifndef PARE_SRC_MODELS_WEIGHTS_H
#define PARE_SRC_MODELS_WEIGHTS_H

#include "base/safetensors.h"
#include "models/model.h"

typedef struct pri_weights {
    const char *name; /* borrowed; for messages */
    pri_safetensors **files;
    size_t count;
} pri_weights;

pare_status pri_weights_open_file(const char *path, pri_weights *weights);
/* model.safetensors of a directory, or the files that model.safetensors.index.json names; `name`
 * holds the path for messages, to be freed by the caller after the weights are closed. */
pare_status pri_weights_open_directory(const char *directory, pri_weights *weights, char **name);
void pri_weights_close(pri_weights *weights);

/* Where each parameter is read from. */
typedef struct pri_weight_sources {
    const pri_stored_tensor **parameters; /* NULL: the files do not hold it */
    const pri_stored_tensor **constants;
} pri_weight_sources;
/* Checks names, types, shapes and values of all tensors, before anything is copied. With
 * `fresh_head`, parameters of the head may be missing or of another shape, and then have no source.
 */
pare_status pri_weights_match(const pare_model *model, const pri_weights *weights, bool fresh_head,
                              pri_weight_sources *sources);
void pri_weights_copy(pare_model *model, const pri_weight_sources *sources);
void pri_weight_sources_free(pri_weight_sources *sources);

#endif
