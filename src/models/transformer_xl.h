/* The configuration of a Transformer-XL: what fits together, and its config.json. */
#ifndef PARE_SRC_MODELS_TRANSFORMER_XL_H
#define PARE_SRC_MODELS_TRANSFORMER_XL_H

#include "models/model.h"

/* Sizes that fit together; embedding_size 0 becomes size. */
pare_status pri_transformer_xl_check_config(pare_transformer_xl_config *config);
/* From and to the keys of Hugging Face's TransfoXLConfig; `path` is for messages. */
pare_status pri_transformer_xl_read_config(const json_t *object, const char *path,
                                           pare_transformer_xl_config *config);
json_t *pri_transformer_xl_write_config(const pare_transformer_xl_config *config);

#endif
