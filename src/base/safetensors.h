/* The safetensors container: 8 bytes of header length, a JSON header, one buffer without holes. */
#ifndef PARE_SRC_BASE_SAFETENSORS_H
#define PARE_SRC_BASE_SAFETENSORS_H

#include "base/status.h"

typedef enum pri_data_type {
    PRI_DATA_F32,
    PRI_DATA_F64,
    PRI_DATA_BF16,
    PRI_DATA_F16,
    PRI_DATA_U8,
    PRI_DATA_I64,
    PRI_DATA_U64,
    PRI_DATA_I32,
    PRI_DATA_U32,
    PRI_DATA_BOOL,
    PRI_DATA_TYPE_COUNT
} pri_data_type;
size_t pri_data_type_size(pri_data_type type);
const char *pri_data_type_name(pri_data_type type); /* "F32" */

#define PRI_DIMENSIONS_MAX 8
typedef struct pri_stored_tensor {
    const char *name;
    pri_data_type type;
    size_t dimensions, shape[PRI_DIMENSIONS_MAX];
    size_t elements, bytes;
    const void *data; /* in the mapped file; aligned to the element size only */
} pri_stored_tensor;

/* ---- Reading: the whole file is validated before open returns (header size, JSON, duplicate
 * names, types, shapes, overflow, offsets that overlap, leave holes or leave the file). ---- */
typedef struct pri_safetensors pri_safetensors;
pare_status pri_safetensors_open(const char *path, pri_safetensors **file);
/* The same over memory, which must outlive the result. */
pare_status pri_safetensors_parse(const uint8_t *data, size_t size, const char *name,
                                  pri_safetensors **file);
void pri_safetensors_close(pri_safetensors *file);
size_t pri_safetensors_count(const pri_safetensors *file);
const pri_stored_tensor *pri_safetensors_at(const pri_safetensors *file, size_t index);
const pri_stored_tensor *pri_safetensors_find(const pri_safetensors *file, const char *name);
/* Finds a tensor and checks type and shape; the error names the file, the tensor and both shapes.
 */
pare_status pri_safetensors_get(const pri_safetensors *file, const char *name, pri_data_type type,
                                size_t dimensions, const size_t *shape,
                                const pri_stored_tensor **tensor);
const char *pri_safetensors_metadata(const pri_safetensors *file, const char *key); /* or NULL */
const char *pri_safetensors_name(const pri_safetensors *file); /* path, for messages */

/* ---- Writing: declare everything, then save atomically. Data pointers are borrowed until then.
 * ---- */
typedef struct pri_safetensors_writer pri_safetensors_writer;
pri_safetensors_writer *pri_safetensors_writer_create(void);
/* Failures of add and metadata are reported by save. */
void pri_safetensors_writer_add(pri_safetensors_writer *writer, const char *name,
                                pri_data_type type, size_t dimensions, const size_t *shape,
                                const void *data);
void pri_safetensors_writer_metadata(pri_safetensors_writer *writer, const char *key,
                                     const char *value);
pare_status pri_safetensors_writer_save(pri_safetensors_writer *writer, const char *path);
void pri_safetensors_writer_destroy(pri_safetensors_writer *writer);

#endif
