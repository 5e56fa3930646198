/* Reading and writing safetensors.
 *
 * A file is trusted only after every rule of the format has been checked: the header lies inside
 * the file, is one JSON object without duplicate names, and its tensors, put in order, cover the
 * buffer after it exactly, each as long as its type and shape say. What `open` returns can then be
 * used without further thought. Files are mapped, so weights cost memory once and only when read;
 * tensors that a foreign writer left unaligned are copied. */
#include "base/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text_buffer.h"

#define LENGTH_BYTES ((size_t)8)
#define LARGEST_HEADER ((size_t)100 * 1000 * 1000) /* as in the reference implementation */
#define METADATA_KEY "__metadata__"

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

/* ---- Reading ---- */

typedef struct stored_entry {
    pri_stored_tensor tensor;
    size_t begin; /* in the buffer */
    void *copy;   /* of unaligned data; else NULL */
} stored_entry;

struct pri_safetensors {
    char *name;
    json_t *header;        /* owns the names and the metadata */
    stored_entry *entries; /* in the order of the buffer */
    size_t count;
    void *mapping;
    size_t mapping_size;
};

void pri_safetensors_close(pri_safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->count; i++)
        pri_free(file->entries[i].copy);
    pri_free(file->entries);
    json_decref(file->header);
    if (file->mapping)
        munmap(file->mapping, file->mapping_size);
    pri_free(file->name);
    pri_free(file);
}

static pare_status fail_tensor(const pri_safetensors *file, const char *tensor, const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged safetensors file: tensor \"%s\" %s", file->name,
                    tensor, reason);
}

static pare_status read_type(const pri_safetensors *file, const json_t *description,
                             pri_stored_tensor *tensor)
{
    const char *name = json_string_value(json_object_get(description, "dtype"));
    if (!name)
        return fail_tensor(file, tensor->name, "has no \"dtype\"");
    for (int type = 0; type < PRI_DATA_TYPE_COUNT; type++)
        if (!strcmp(name, data_types[type].name)) {
            tensor->type = (pri_data_type)type;
            return PARE_OK;
        }
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: tensor \"%s\" has the unknown type \"%s\"; convert it to F32", file->name,
                    tensor->name, name);
}

static pare_status read_shape(const pri_safetensors *file, const json_t *description,
                              pri_stored_tensor *tensor)
{
    const json_t *shape = json_object_get(description, "shape");
    if (!json_is_array(shape))
        return fail_tensor(file, tensor->name, "has no \"shape\"");
    tensor->dimensions = json_array_size(shape);
    if (tensor->dimensions > PRI_DIMENSIONS_MAX)
        return fail_tensor(file, tensor->name, "has more than 8 dimensions");
    tensor->elements = 1;
    for (size_t d = 0; d < tensor->dimensions; d++) {
        const json_t *extent = json_array_get(shape, d);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return fail_tensor(file, tensor->name,
                               "has a dimension that is not a whole number, 0 or more");
        tensor->shape[d] = (size_t)json_integer_value(extent);
        if (pri_multiply_overflows(tensor->elements, tensor->shape[d], &tensor->elements))
            return fail_tensor(file, tensor->name, "is larger than any memory");
    }
    if (pri_multiply_overflows(tensor->elements, pri_data_type_size(tensor->type), &tensor->bytes))
        return fail_tensor(file, tensor->name, "is larger than any memory");
    return PARE_OK;
}

static pare_status read_offsets(const pri_safetensors *file, const json_t *description,
                                size_t buffer_size, stored_entry *entry)
{
    const json_t *offsets = json_object_get(description, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return fail_tensor(file, entry->tensor.name,
                           "needs \"data_offsets\": [begin, end] with begin <= end");
    size_t last = (size_t)json_integer_value(end);
    entry->begin = (size_t)json_integer_value(begin);
    if (last > buffer_size)
        return fail_tensor(file, entry->tensor.name, "reaches beyond the end of the file");
    if (last - entry->begin != entry->tensor.bytes)
        return fail_tensor(file, entry->tensor.name,
                           "spans another number of bytes than its type and shape need");
    return PARE_OK;
}

static pare_status read_entry(const pri_safetensors *file, const char *name,
                              const json_t *description, size_t buffer_size, stored_entry *entry)
{
    entry->tensor.name = name;
    if (!json_is_object(description) || json_object_size(description) != 3)
        return fail_tensor(file, name,
                           "should have \"dtype\", \"shape\" and \"data_offsets\" only");
    PRI_TRY(read_type(file, description, &entry->tensor));
    PRI_TRY(read_shape(file, description, &entry->tensor));
    return read_offsets(file, description, buffer_size, entry);
}

static pare_status check_metadata(const pri_safetensors *file, json_t *metadata)
{
    if (!json_is_object(metadata))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: damaged safetensors file: \"" METADATA_KEY "\" is not an object",
                        file->name);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return pri_fail(
        PARE_ERROR_FORMAT, "%s: damaged safetensors file: metadata \"%s\" is not a string",
        file->name, key);
    return PARE_OK;
}

/* Empty tensors come before the tensor that begins where they lie. */
static int compare_entries(const void *left, const void *right)
{
    const stored_entry *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->tensor.bytes > b->tensor.bytes) - (a->tensor.bytes < b->tensor.bytes);
}

static pare_status check_coverage(const pri_safetensors *file, size_t buffer_size)
{
    size_t position = 0;
    for (size_t i = 0; i < file->count; i++) {
        const stored_entry *entry = &file->entries[i];
        if (entry->begin < position)
            return fail_tensor(file, entry->tensor.name, "overlaps another one");
        if (entry->begin > position)
            return fail_tensor(file, entry->tensor.name, "leaves a hole before it");
        position += entry->tensor.bytes;
    }
    if (position != buffer_size)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: damaged safetensors file: %zu bytes after the last tensor", file->name,
                        buffer_size - position);
    return PARE_OK;
}

static pare_status attach_data(stored_entry *entry, const uint8_t *buffer)
{
    pri_stored_tensor *tensor = &entry->tensor;
    tensor->data = buffer + entry->begin;
    if ((uintptr_t)tensor->data % pri_data_type_size(tensor->type) == 0)
        return PARE_OK;
    entry->copy = pri_allocate(tensor->bytes, 1);
    if (!entry->copy)
        return PARE_ERROR_MEMORY;
    memcpy(entry->copy, tensor->data, tensor->bytes);
    tensor->data = entry->copy;
    return PARE_OK;
}

static pare_status read_entries(pri_safetensors *file, const uint8_t *buffer, size_t buffer_size)
{
    file->entries = pri_allocate_zero(json_object_size(file->header), sizeof *file->entries);
    if (!file->entries)
        return PARE_ERROR_MEMORY;
    const char *name;
    json_t *description;
    json_object_foreach(file->header, name, description)
    {
        if (!strcmp(name, METADATA_KEY)) {
            PRI_TRY(check_metadata(file, description));
            continue;
        }
        PRI_TRY(read_entry(file, name, description, buffer_size, &file->entries[file->count]));
        file->count++;
    }
    qsort(file->entries, file->count, sizeof *file->entries, compare_entries);
    PRI_TRY(check_coverage(file, buffer_size));
    for (size_t i = 0; i < file->count; i++)
        PRI_TRY(attach_data(&file->entries[i], buffer));
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
    if (length > LARGEST_HEADER || length > size - LENGTH_BYTES)
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
    PRI_TRY(pri_json_parse(header, header_size, file->name, &file->header));
    return read_entries(file, data + LENGTH_BYTES + header_size, size - LENGTH_BYTES - header_size);
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
    return file->count;
}

const pri_stored_tensor *pri_safetensors_at(const pri_safetensors *file, size_t index)
{
    return &file->entries[index].tensor;
}

const pri_stored_tensor *pri_safetensors_find(const pri_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (!strcmp(file->entries[i].tensor.name, name))
            return &file->entries[i].tensor;
    return NULL;
}

const char *pri_safetensors_metadata(const pri_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, METADATA_KEY), key));
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

/* ---- Writing ---- */

typedef struct span {
    const void *data;
    size_t bytes;
} span;

struct pri_safetensors_writer {
    json_t *header, *metadata; /* metadata joins the header when it is saved */
    span *spans;
    size_t count, capacity, bytes;
    pare_status status; /* the first failure, with its message */
    char *message;
};

pri_safetensors_writer *pri_safetensors_writer_create(void)
{
    pri_safetensors_writer *writer = pri_allocate_zero(1, sizeof *writer);
    if (!writer)
        return NULL;
    writer->header = json_object();
    writer->metadata = json_object();
    if (!writer->header || !writer->metadata) {
        pri_fail(PARE_ERROR_MEMORY, "out of memory preparing a safetensors file");
        pri_safetensors_writer_destroy(writer);
        return NULL;
    }
    return writer;
}

void pri_safetensors_writer_destroy(pri_safetensors_writer *writer)
{
    if (!writer)
        return;
    json_decref(writer->header);
    json_decref(writer->metadata);
    pri_free(writer->spans);
    pri_free(writer->message);
    pri_free(writer);
}

/* Keeps the current message until save reports it. */
static void remember_failure(pri_safetensors_writer *writer, pare_status status)
{
    if (status == PARE_OK || writer->status != PARE_OK)
        return;
    writer->status = status;
    writer->message = pri_string_copy(pare_error_message());
}

static pare_status add_span(pri_safetensors_writer *writer, const void *data, size_t bytes)
{
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity ? 2 * writer->capacity : 64;
        span *larger =
            pri_reallocate(writer->spans, writer->capacity, capacity, sizeof *writer->spans);
        if (!larger)
            return PARE_ERROR_MEMORY;
        writer->spans = larger;
        writer->capacity = capacity;
    }
    writer->spans[writer->count++] = (span){data, bytes};
    writer->bytes += bytes;
    return PARE_OK;
}

static pare_status add_tensor(pri_safetensors_writer *writer, const char *name, pri_data_type type,
                              size_t dimensions, const size_t *shape, const void *data)
{
    if (json_object_get(writer->header, name) || !strcmp(name, METADATA_KEY))
        return pri_fail(PARE_ERROR_ARGUMENT, "tensor name \"%s\" is taken", name);
    if (dimensions > PRI_DIMENSIONS_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "tensor \"%s\" has more than 8 dimensions", name);
    size_t bytes = pri_data_type_size(type);
    json_t *extents = json_array();
    for (size_t d = 0; d < dimensions; d++) {
        if (pri_multiply_overflows(bytes, shape[d], &bytes) || bytes > INT64_MAX / 2) {
            json_decref(extents);
            return pri_fail(PARE_ERROR_ARGUMENT, "tensor \"%s\" is larger than any memory", name);
        }
        json_array_append_new(extents, json_integer((json_int_t)shape[d]));
    }
    size_t begin = writer->bytes;
    pare_status status = add_span(writer, data, bytes);
    if (status != PARE_OK) {
        json_decref(extents);
        return status;
    }
    json_t *description =
        json_pack("{s:s, s:o, s:[I, I]}", "dtype", pri_data_type_name(type), "shape", extents,
                  "data_offsets", (json_int_t)begin, (json_int_t)writer->bytes);
    if (json_object_set_new(writer->header, name, description))
        return pri_fail(PARE_ERROR_ARGUMENT, "tensor name \"%s\" is not valid UTF-8", name);
    return PARE_OK;
}

void pri_safetensors_writer_add(pri_safetensors_writer *writer, const char *name,
                                pri_data_type type, size_t dimensions, const size_t *shape,
                                const void *data)
{
    remember_failure(writer, add_tensor(writer, name, type, dimensions, shape, data));
}

void pri_safetensors_writer_metadata(pri_safetensors_writer *writer, const char *key,
                                     const char *value)
{
    if (json_object_set_new(writer->metadata, key, json_string(value)))
        remember_failure(
            writer, pri_fail(PARE_ERROR_ARGUMENT, "metadata \"%s\" is not valid UTF-8 text", key));
}

/* Length and header, padded with spaces so that the data begin at a multiple of 8. */
static pare_status write_header(pri_writer *output, json_t *header)
{
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing a safetensors header");
    size_t length = strlen(text), padding = (8 - length % 8) % 8;
    uint8_t prefix[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        prefix[i] = (uint8_t)((uint64_t)(length + padding) >> 8 * i);
    pare_status status = PARE_OK;
    if (length + padding > LARGEST_HEADER)
        status = pri_fail(PARE_ERROR_ARGUMENT, "too many tensors for one safetensors file");
    if (status == PARE_OK)
        status = pri_writer_write(output, prefix, sizeof prefix);
    if (status == PARE_OK)
        status = pri_writer_write(output, text, length);
    if (status == PARE_OK)
        status = pri_writer_write(output, "        ", padding);
    free(text);
    return status;
}

static pare_status write_file(const pri_safetensors_writer *writer, pri_writer *output)
{
    json_t *header = json_object();
    if (json_object_size(writer->metadata))
        json_object_set(header, METADATA_KEY, writer->metadata);
    json_object_update(header, writer->header);
    pare_status status = write_header(output, header);
    json_decref(header);
    for (size_t i = 0; status == PARE_OK && i < writer->count; i++)
        status = pri_writer_write(output, writer->spans[i].data, writer->spans[i].bytes);
    return status;
}

pare_status pri_safetensors_writer_save(pri_safetensors_writer *writer, const char *path)
{
    if (writer->status != PARE_OK)
        return pri_fail(writer->status, "%s: %s", path,
                        writer->message ? writer->message : "out of memory");
    pri_writer *output;
    PRI_TRY(pri_writer_open(path, &output));
    pare_status status = write_file(writer, output);
    if (status != PARE_OK) {
        pri_writer_abandon(output);
        return status;
    }
    return pri_writer_commit(output);
}
