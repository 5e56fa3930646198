/* Reading the header of a safetensors file: one JSON object of tensors and, under one reserved
 * name, of metadata. Its form is fixed, so it is read as it comes; names that occur twice are found
 * by sorting, because a header may hold very many. */
#include "base/safetensors_header.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_reader.h"
#include "base/memory.h"

static pare_status fail_tensor(const pri_json_reader *reader, const char *tensor,
                               const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged safetensors file: tensor \"%s\" %s",
                    reader->name, tensor, reason);
}

/* Makes room for one more element; the array stays valid when there is no memory. */
static void *grow(void *elements, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return elements;
    size_t larger_capacity = *capacity ? 2 * *capacity : 16;
    void *larger = pri_reallocate(elements, *capacity, larger_capacity, size);
    if (larger)
        *capacity = larger_capacity;
    return larger;
}

void pri_header_release(pri_header *header)
{
    for (size_t i = 0; i < header->tensor_count; i++)
        pri_free(header->tensors[i].name);
    for (size_t i = 0; i < header->field_count; i++) {
        pri_free(header->fields[i].key);
        pri_free(header->fields[i].value);
    }
    pri_free(header->tensors);
    pri_free(header->fields);
    *header = (pri_header){0};
}

/* ---- Tensors ---- */

static pare_status parse_type(pri_json_reader *reader, pri_stored_tensor *tensor)
{
    char *name;
    PRI_TRY(pri_json_reader_string(reader, &name));
    int type = 0;
    while (type < PRI_DATA_TYPE_COUNT && strcmp(name, pri_data_type_name((pri_data_type)type)))
        type++;
    pare_status status = PARE_OK;
    if (type == PRI_DATA_TYPE_COUNT)
        status = pri_fail(PARE_ERROR_FORMAT,
                          "%s: tensor \"%s\" has the unknown type \"%s\"; convert it to F32",
                          reader->name, tensor->name, name);
    else
        tensor->type = (pri_data_type)type;
    pri_free(name);
    return status;
}

/* An array of whole numbers; *count exceeds `capacity` when there are more than that. */
static pare_status parse_numbers(pri_json_reader *reader, size_t capacity, uint64_t *numbers,
                                 size_t *count)
{
    bool more = true;
    PRI_TRY(pri_json_reader_open(reader, '['));
    for (*count = 0; *count <= capacity; ++*count) {
        uint64_t number;
        PRI_TRY(pri_json_reader_next(reader, ']', &more));
        if (!more)
            break;
        PRI_TRY(pri_json_reader_whole_number(reader, &number));
        if (*count < capacity)
            numbers[*count] = number;
    }
    return PARE_OK;
}

static pare_status parse_shape(pri_json_reader *reader, pri_stored_tensor *tensor)
{
    uint64_t extents[PRI_DIMENSIONS_MAX];
    PRI_TRY(parse_numbers(reader, PRI_DIMENSIONS_MAX, extents, &tensor->dimensions));
    if (tensor->dimensions > PRI_DIMENSIONS_MAX)
        return fail_tensor(reader, tensor->name, "has more than 8 dimensions");
    tensor->elements = 1;
    for (size_t d = 0; d < tensor->dimensions; d++) {
        tensor->shape[d] = (size_t)extents[d];
        if (tensor->shape[d] != extents[d] ||
            pri_multiply_overflows(tensor->elements, tensor->shape[d], &tensor->elements))
            return fail_tensor(reader, tensor->name, "is larger than any memory");
    }
    return PARE_OK;
}

static pare_status parse_offsets(pri_json_reader *reader, const char *tensor, uint64_t offsets[2])
{
    size_t count;
    PRI_TRY(parse_numbers(reader, 2, offsets, &count));
    if (count != 2 || offsets[1] < offsets[0])
        return fail_tensor(reader, tensor,
                           "needs \"data_offsets\": [begin, end] with begin <= end");
    return PARE_OK;
}

enum { SEEN_TYPE = 1, SEEN_SHAPE = 2, SEEN_OFFSETS = 4, SEEN_ALL = 7 };

static pare_status parse_member(pri_json_reader *reader, const char *key, pri_header_tensor *entry,
                                uint64_t offsets[2], int *seen)
{
    int before = *seen;
    if (!strcmp(key, "dtype"))
        *seen |= SEEN_TYPE;
    else if (!strcmp(key, "shape"))
        *seen |= SEEN_SHAPE;
    else if (!strcmp(key, "data_offsets"))
        *seen |= SEEN_OFFSETS;
    switch (*seen - before) {
    case SEEN_TYPE:
        return parse_type(reader, &entry->tensor);
    case SEEN_SHAPE:
        return parse_shape(reader, &entry->tensor);
    case SEEN_OFFSETS:
        return parse_offsets(reader, entry->name, offsets);
    default:
        return fail_tensor(reader, entry->name,
                           "should have \"dtype\", \"shape\" and \"data_offsets\" only, each once");
    }
}

static pare_status check_extent(const pri_json_reader *reader, const uint64_t offsets[2],
                                size_t buffer_size, pri_header_tensor *entry)
{
    pri_stored_tensor *tensor = &entry->tensor;
    if (pri_multiply_overflows(tensor->elements, pri_data_type_size(tensor->type), &tensor->bytes))
        return fail_tensor(reader, entry->name, "is larger than any memory");
    if (offsets[1] > buffer_size)
        return fail_tensor(reader, entry->name, "reaches beyond the end of the file");
    if (offsets[1] - offsets[0] != tensor->bytes)
        return fail_tensor(reader, entry->name,
                           "spans another number of bytes than its type and shape need");
    entry->begin = (size_t)offsets[0];
    return PARE_OK;
}

static pare_status parse_description(pri_json_reader *reader, size_t buffer_size,
                                     pri_header_tensor *entry)
{
    uint64_t offsets[2] = {0, 0};
    int seen = 0;
    bool more;
    PRI_TRY(pri_json_reader_open(reader, '{'));
    for (;;) {
        PRI_TRY(pri_json_reader_next(reader, '}', &more));
        if (!more)
            break;
        char *key;
        PRI_TRY(pri_json_reader_key(reader, &key));
        pare_status status = parse_member(reader, key, entry, offsets, &seen);
        pri_free(key);
        PRI_TRY(status);
    }
    if (seen != SEEN_ALL)
        return fail_tensor(reader, entry->name,
                           "should have \"dtype\", \"shape\" and \"data_offsets\"");
    return check_extent(reader, offsets, buffer_size, entry);
}

/* Takes `name` over. */
static pare_status parse_tensor(pri_header *header, pri_json_reader *reader, char *name,
                                size_t buffer_size)
{
    pri_header_tensor *tensors = grow(header->tensors, header->tensor_count,
                                      &header->tensor_capacity, sizeof *header->tensors);
    if (!tensors) {
        pri_free(name);
        return PARE_ERROR_MEMORY;
    }
    header->tensors = tensors;
    pri_header_tensor *entry = &tensors[header->tensor_count++];
    *entry = (pri_header_tensor){.tensor.name = name, .name = name};
    return parse_description(reader, buffer_size, entry);
}

/* ---- Metadata ---- */

static pare_status parse_field(pri_header *header, pri_json_reader *reader)
{
    pri_header_field *fields =
        grow(header->fields, header->field_count, &header->field_capacity, sizeof *header->fields);
    if (!fields)
        return PARE_ERROR_MEMORY;
    header->fields = fields;
    pri_header_field *field = &fields[header->field_count++];
    *field = (pri_header_field){NULL, NULL};
    PRI_TRY(pri_json_reader_key(reader, &field->key));
    return pri_json_reader_string(reader, &field->value);
}

static pare_status parse_metadata(pri_header *header, pri_json_reader *reader)
{
    if (header->has_metadata)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: damaged safetensors file: \"" PRI_METADATA_KEY "\" occurs twice",
                        reader->name);
    header->has_metadata = true;
    bool more;
    PRI_TRY(pri_json_reader_open(reader, '{'));
    for (;;) {
        PRI_TRY(pri_json_reader_next(reader, '}', &more));
        if (!more)
            return PARE_OK;
        PRI_TRY(parse_field(header, reader));
    }
}

/* ---- The whole ---- */

static pare_status parse_members(pri_header *header, pri_json_reader *reader, size_t buffer_size)
{
    bool more;
    PRI_TRY(pri_json_reader_open(reader, '{'));
    for (;;) {
        PRI_TRY(pri_json_reader_next(reader, '}', &more));
        if (!more)
            return pri_json_reader_end(reader);
        char *name;
        PRI_TRY(pri_json_reader_key(reader, &name));
        if (strcmp(name, PRI_METADATA_KEY)) {
            PRI_TRY(parse_tensor(header, reader, name, buffer_size));
        } else {
            pri_free(name);
            PRI_TRY(parse_metadata(header, reader));
        }
    }
}

static int compare_tensors(const void *left, const void *right)
{
    const pri_header_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static int compare_fields(const void *left, const void *right)
{
    const pri_header_field *a = left, *b = right;
    return strcmp(a->key, b->key);
}

static pare_status refuse_repeated_names(pri_header *header, const char *file)
{
    if (header->tensor_count)
        qsort(header->tensors, header->tensor_count, sizeof *header->tensors, compare_tensors);
    if (header->field_count)
        qsort(header->fields, header->field_count, sizeof *header->fields, compare_fields);
    const char *repeated = NULL;
    for (size_t i = 1; i < header->tensor_count; i++)
        if (!compare_tensors(&header->tensors[i - 1], &header->tensors[i]))
            repeated = header->tensors[i].name;
    for (size_t i = 1; i < header->field_count; i++)
        if (!compare_fields(&header->fields[i - 1], &header->fields[i]))
            repeated = header->fields[i].key;
    if (!repeated)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged safetensors file: the name \"%s\" occurs twice",
                    file, repeated);
}

pare_status pri_header_parse(pri_header *header, const char *text, size_t size, size_t buffer_size,
                             const char *file)
{
    pri_json_reader reader = {.name = file, .text = text, .size = size};
    PRI_TRY(parse_members(header, &reader, buffer_size));
    return refuse_repeated_names(header, file);
}
