/* The text fields of our safetensors files: numbers and names written so that they come back
 * unchanged, and checked when they do. */
#ifndef PARE_SRC_PRUNING_METADATA_H
#define PARE_SRC_PRUNING_METADATA_H

#include "base/safetensors.h"
#include "pruning/geometry.h"

/* Checks "format" and "version"; version 1 is the only one so far. */
pare_status pri_metadata_check_format(const pri_safetensors *file, const char *format);
pare_status pri_metadata_text(const pri_safetensors *file, const char *key, const char **value);
pare_status pri_metadata_integer(const pri_safetensors *file, const char *key, uint64_t limit,
                                 uint64_t *value);
pare_status pri_metadata_hash(const pri_safetensors *file, const char *key, uint64_t *value);
/* A finite number in low .. high. */
pare_status pri_metadata_number(const pri_safetensors *file, const char *key, double low,
                                double high, double *value);
/* Index of the value among `count` names. */
pare_status pri_metadata_choice(const pri_safetensors *file, const char *key,
                                const char *const *names, size_t count, unsigned *value);
/* All fields of a geometry, checked together. */
pare_status pri_metadata_geometry(const pri_safetensors *file, pare_geometry *geometry);
/* At most capacity - 1 bytes. */
pare_status pri_metadata_copy(const pri_safetensors *file, const char *key, char *value,
                              size_t capacity);

void pri_metadata_set_format(pri_safetensors_writer *writer, const char *format);
void pri_metadata_set_integer(pri_safetensors_writer *writer, const char *key, uint64_t value);
void pri_metadata_set_hash(pri_safetensors_writer *writer, const char *key, uint64_t value);
void pri_metadata_set_number(pri_safetensors_writer *writer, const char *key, double value);
void pri_metadata_set_geometry(pri_safetensors_writer *writer, const pare_geometry *geometry);

#endif
