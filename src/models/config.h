/* What the configurations of all families need: checks, and members of config.json. */
#ifndef PARE_SRC_MODELS_CONFIG_H
#define PARE_SRC_MODELS_CONFIG_H

#include <jansson.h>

#include "base/status.h"

/* Larger sizes come from damaged files. */
#define PRI_SIZE_LIMIT ((size_t)1 << 24)

pare_status pri_config_range(const char *key, size_t value, size_t minimum, size_t maximum);
/* At least 0 and less than `limit`. */
pare_status pri_config_number(const char *key, float value, float limit);
pare_status pri_config_float_or(const json_t *object, const char *path, const char *key,
                                float fallback, float *value);
/* Fails: the value of `key` changes the result and is not offered; only `offered` is. */
pare_status pri_config_refuse(const json_t *object, const char *path, const char *key,
                              const char *offered);
/* Shortest decimal that reads back as the same float: .1 and not .10000000149. */
json_t *pri_config_json_float(float value);

#endif
