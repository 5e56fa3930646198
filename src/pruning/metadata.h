/* The text fields of our safetensors files: numbers and names written so that they come back
 * unchanged, and checked when they do. */
#ifndef PARE_SRC_PRUNING_METADATA_H
#define PARE_SRC_PRUNING_METADATA_H

#include "base/safetensors.h"
#include "pruning/geometry.h"

/* Version 2 has the field "ends_first", and in masks "block"; version 3 has "ratio", too. What
 * needs none of them is written as version 1, which older programs read too, and so on. */
#define PRI_METADATA_VERSION 3

/* The lowest version with all fields that the geometry needs. */
unsigned pri_metadata_geometry_version(const pare_geometry *geometry);

/* Checks "format" and "version". */
pare_status pri_metadata_check_format(const pri_safetensors *file, const char *format,
                                      unsigned *version);
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
pare_status pri_metadata_geometry(const pri_safetensors *file, unsigned version,
                                  pare_geometry *geometry);
/* At most capacity - 1 bytes. */
pare_status pri_metadata_copy(const pri_safetensors *file, const char *key, char *value,
                              size_t capacity);

void pri_metadata_set_format(pri_safetensors_writer *writer, const char *format, unsigned version);
void pri_metadata_set_integer(pri_safetensors_writer *writer, const char *key, uint64_t value);
void pri_metadata_set_hash(pri_safetensors_writer *writer, const char *key, uint64_t value);
void pri_metadata_set_number(pri_safetensors_writer *writer, const char *key, double value);
void pri_metadata_set_geometry(pri_safetensors_writer *writer, unsigned version,
                               const pare_geometry *geometry);

#endif
