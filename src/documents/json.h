/* JSON files through jansson, with errors that name file and key. */
#ifndef PARE_SRC_DOCUMENTS_JSON_H
#define PARE_SRC_DOCUMENTS_JSON_H

#include <jansson.h>

#include "base/status.h"

/* Duplicate keys, trailing text and anything that is not an object are format errors. */
pare_status pri_json_load(const char *path, json_t **object);
/* The same, but whole numbers become real ones, so that they may be of any size. */
pare_status pri_json_load_real(const char *path, json_t **object);
/* The same as pri_json_load from memory; `name` stands for the file in messages. */
pare_status pri_json_parse(const char *data, size_t size, const char *name, json_t **object);
/* Replaces the file atomically; indented, keys in insertion order. */
pare_status pri_json_save(const json_t *object, const char *path);

/* Typed members of `object`, which came from file `name`. The _or forms accept absence (and null).
 */
pare_status pri_json_get_size(const json_t *object, const char *name, const char *key,
                              size_t *value);
pare_status pri_json_get_size_or(const json_t *object, const char *name, const char *key,
                                 size_t fallback, size_t *value);
pare_status pri_json_get_number(const json_t *object, const char *name, const char *key,
                                double *value);
pare_status pri_json_get_number_or(const json_t *object, const char *name, const char *key,
                                   double fallback, double *value);
pare_status pri_json_get_bool_or(const json_t *object, const char *name, const char *key,
                                 bool fallback, bool *value);
/* Copies at most capacity - 1 bytes; longer is a format error. */
pare_status pri_json_get_string(const json_t *object, const char *name, const char *key,
                                char *value, size_t capacity);
pare_status pri_json_get_string_or(const json_t *object, const char *name, const char *key,
                                   const char *fallback, char *value, size_t capacity);

#endif
