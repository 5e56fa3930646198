/* Reading safetensors.
 *
 * A file is trusted only after every rule of the format has been checked: the header lies inside
 * the file, is one JSON object without duplicate names, and its tensors, put in order, cover the
 * buffer after it exactly, each as long as its type and shape say. What `open` returns can then be
 * used without further thought. Files are mapped, so weights cost memory once and only when read;
 * tensors that a foreign writer left unaligned are copied. */
#include "base/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/safetensors_header.h"
#include "base/text_buffer.h"

#define LENGTH_BYTES ((size_t)8)

static const struct {
    const char *name;
    size_t size;
} data_types[PRI_DATA_TYPE_COUNT] = {
    [PRI_DATA_F32] = {"F32", 4},   [PRI_DATA_F64] = {"F64", 8}, [PRI_DATA_BF16] = {"BF16", 2},
    [PRI_DATA_F16] = {"F16", 2},   [PRI_DATA_U8] = {"U8", 1},   [PRI_DATA_I64] = {"I64", 8},
    [PRI_DATA_U64] = {"U64", 8},   [PRI_DATA_I32] = {"I32", 4}, [PRI_DATA_U32] = {"U32", 4},
    [PRI_DATA_BOOL] = {"BOOL", 1},
};

size_t pri_data_type_size(pri_data_type type)
{
    return data_types[type].size;
}

const char *pri_data_type_name(pri_data_type type)
{
    return data_types[type].name;
}

struct pri_safetensors {
    char *name;
    pri_header header; /* its tensors in the order of the buffer */
    void **copies;     /* of each tensor's unaligned data; else NULL */
    void *mapping;
    size_t mapping_size;
};

void pri_safetensors_close(pri_safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; file->copies && i < file->header.tensor_count; i++)
        pri_free(file->copies[i]);
    pri_free(file->copies);
    pri_header_release(&file->header);
    if (file->mapping)
        munmap(file->mapping, file->mapping_size);
    pri_free(file->name);
    pri_free(file);
}

/* Empty tensors come before the tensor that begins where they lie. */
static int compare_places(const void *left, const void *right)
{
    const pri_header_tensor *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->tensor.bytes > b->tensor.bytes) - (a->tensor.bytes < b->tensor.bytes);
}

static pare_status check_coverage(const pri_safetensors *file, size_t buffer_size)
{
    size_t position = 0;
    for (size_t i = 0; i < file->header.tensor_count; i++) {
        const pri_header_tensor *entry = &file->header.tensors[i];
        if (entry->begin != position)
            return pri_fail(PARE_ERROR_FORMAT, "%s: damaged safetensors file: tensor \"%s\" %s",
                            file->name, entry->name,
                            entry->begin < position ? "overlaps another one"
                                                    : "leaves a hole before it");
        position += entry->tensor.bytes;
    }
    if (position != buffer_size)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: damaged safetensors file: %zu bytes after the last tensor", file->name,
                        buffer_size - position);
    return PARE_OK;
}

static pare_status attach_data(pri_safetensors *file, size_t index, const uint8_t *buffer)
{
    pri_stored_tensor *tensor = &file->header.tensors[index].tensor;
    tensor->data = buffer + file->header.tensors[index].begin;
    if ((uintptr_t)tensor->data % pri_data_type_size(tensor->type) == 0)
        return PARE_OK;
    void *copy = pri_allocate(tensor->bytes, 1);
    if (!copy)
        return PARE_ERROR_MEMORY;
    memcpy(copy, tensor->data, tensor->bytes);
    tensor->data = file->copies[index] = copy;
    return PARE_OK;
}

static pare_status read_header(pri_safetensors *file, const char *text, size_t size,
                               size_t buffer_size)
{
    PRI_TRY(pri_header_parse(&file->header, text, size, buffer_size, file->name));
    size_t count = file->header.tensor_count;
    if (count)
        qsort(file->header.tensors, count, sizeof *file->header.tensors, compare_places);
    PRI_TRY(check_coverage(file, buffer_size));
    file->copies = pri_allocate_zero(count, sizeof *file->copies);
    if (!file->copies)
        return PARE_ERROR_MEMORY;
    const uint8_t *buffer = (const uint8_t *)text + size;
    for (size_t i = 0; i < count; i++)
        PRI_TRY(attach_data(file, i, buffer));
    return PARE_OK;
}

static uint64_t read_little_endian(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (size_t i = LENGTH_BYTES; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static pare_status parse(pri_safetensors *file, const uint8_t *data, size_t size)
{
    if (size < LENGTH_BYTES + 2)
        return pri_fail(PARE_ERROR_FORMAT, "%s: %zu bytes are too few for a safetensors file",
                        file->name, size);
    uint64_t length = read_little_endian(data);
    if (length > PRI_LARGEST_HEADER || length > size - LENGTH_BYTES)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: not a safetensors file, or truncated: its header would have %llu "
                        "bytes, the file has %zu",
                        file->name, (unsigned long long)length, size);
    const char *header = (const char *)data + LENGTH_BYTES;
    size_t header_size = (size_t)length;
    if (!header_size || header[0] != '{')
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: not a safetensors file: its header does not begin with '{'",
                        file->name);
    return read_header(file, header, header_size, size - LENGTH_BYTES - header_size);
}

pare_status pri_safetensors_parse(const uint8_t *data, size_t size, const char *name,
                                  pri_safetensors **file)
{
    *file = NULL;
    pri_safetensors *opened = pri_allocate_zero(1, sizeof *opened);
    if (!opened)
        return PARE_ERROR_MEMORY;
    opened->name = pri_string_copy(name);
    pare_status status = opened->name ? parse(opened, data, size) : PARE_ERROR_MEMORY;
    if (status != PARE_OK) {
        pri_safetensors_close(opened);
        return status;
    }
    *file = opened;
    return PARE_OK;
}

static pare_status map_file(const char *path, void **mapping, size_t *size)
{
    *mapping = NULL;
    *size = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return pri_fail(PARE_ERROR_FILE, "%s: cannot open: %s", path, strerror(errno));
    struct stat status;
    pare_status result = PARE_OK;
    if (fstat(descriptor, &status) || !S_ISREG(status.st_mode))
        result = pri_fail(PARE_ERROR_FILE, "%s: not a regular file", path);
    else if (status.st_size == 0)
        result = pri_fail(PARE_ERROR_FORMAT, "%s: the file is empty", path);
    if (result == PARE_OK) {
        *size = (size_t)status.st_size;
        *mapping = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (*mapping == MAP_FAILED) {
            *mapping = NULL;
            result = pri_fail(PARE_ERROR_FILE, "%s: cannot map: %s", path, strerror(errno));
        }
    }
    close(descriptor);
    return result;
}

pare_status pri_safetensors_open(const char *path, pri_safetensors **file)
{
    *file = NULL;
    void *mapping;
    size_t size;
    PRI_TRY(map_file(path, &mapping, &size));
    pare_status status = pri_safetensors_parse(mapping, size, path, file);
    if (status != PARE_OK) {
        munmap(mapping, size);
        return status;
    }
    (*file)->mapping = mapping;
    (*file)->mapping_size = size;
    return PARE_OK;
}

size_t pri_safetensors_count(const pri_safetensors *file)
{
    return file->header.tensor_count;
}

const pri_stored_tensor *pri_safetensors_at(const pri_safetensors *file, size_t index)
{
    return &file->header.tensors[index].tensor;
}

const pri_stored_tensor *pri_safetensors_find(const pri_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->header.tensor_count; i++)
        if (!strcmp(file->header.tensors[i].name, name))
            return &file->header.tensors[i].tensor;
    return NULL;
}

const char *pri_safetensors_metadata(const pri_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->header.field_count; i++)
        if (!strcmp(file->header.fields[i].key, key))
            return file->header.fields[i].value;
    return NULL;
}

const char *pri_safetensors_name(const pri_safetensors *file)
{
    return file->name;
}

static void append_shape(pri_text *text, pri_data_type type, size_t dimensions, const size_t *shape)
{
    pri_text_append(text, "%s [", pri_data_type_name(type));
    for (size_t d = 0; d < dimensions; d++)
        pri_text_append(text, d ? ", %zu" : "%zu", shape[d]);
    pri_text_append(text, "]");
}

static pare_status fail_shape(const pri_safetensors *file, const pri_stored_tensor *found,
                              pri_data_type type, size_t dimensions, const size_t *shape)
{
    pri_text has = {0}, needs = {0};
    append_shape(&has, found->type, found->dimensions, found->shape);
    append_shape(&needs, type, dimensions, shape);
    bool complete = !has.failed && !needs.failed;
    pare_status status = pri_fail(PARE_ERROR_FORMAT, "%s: tensor \"%s\" is %s, but %s is needed",
                                  file->name, found->name, complete ? has.data : "of another shape",
                                  complete ? needs.data : "the declared one");
    pri_text_free(&has);
    pri_text_free(&needs);
    return status;
}

pare_status pri_safetensors_get(const pri_safetensors *file, const char *name, pri_data_type type,
                                size_t dimensions, const size_t *shape,
                                const pri_stored_tensor **tensor)
{
    const pri_stored_tensor *found = pri_safetensors_find(file, name);
    *tensor = found;
    if (!found)
        return pri_fail(PARE_ERROR_FORMAT, "%s: tensor \"%s\" is missing", file->name, name);
    bool same = found->type == type && found->dimensions == dimensions;
    for (size_t d = 0; same && d < dimensions; d++)
        same = found->shape[d] == shape[d];
    return same ? PARE_OK : fail_shape(file, found, type, dimensions, shape);
}
