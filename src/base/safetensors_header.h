/* The JSON header of a safetensors file. */
#ifndef PARE_SRC_BASE_SAFETENSORS_HEADER_H
#define PARE_SRC_BASE_SAFETENSORS_HEADER_H

#include "base/safetensors.h"

#define PRI_METADATA_KEY "__metadata__"
#define PRI_LARGEST_HEADER ((size_t)100 * 1000 * 1000) /* as in the reference implementation */

typedef struct pri_header_tensor {
    pri_stored_tensor tensor; /* without data */
    char *name;               /* the tensor's, owned here */
    size_t begin;             /* in the buffer after the header */
} pri_header_tensor;

typedef struct pri_header_field {
    char *key, *value;
} pri_header_field;

typedef struct pri_header {
    pri_header_tensor *tensors; /* in the order of their names */
    pri_header_field *fields;   /* of the metadata, in the order of their keys */
    size_t tensor_count, tensor_capacity, field_count, field_capacity;
    bool has_metadata;
} pri_header;

/* Reads and checks all of a header but how its tensors lie in the buffer of `buffer_size` bytes:
 * each lies inside and is as long as its type and shape say. `file` stands for the file in
 * messages. Release the header, which begins as zeros, after failures too. */
pare_status pri_header_parse(pri_header *header, const char *text, size_t size, size_t buffer_size,
                             const char *file);
void pri_header_release(pri_header *header);

#endif
