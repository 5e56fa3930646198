/* Writing safetensors. The header is put together as tensors and metadata are declared, so that
 * the same calls give the same bytes; it is padded so that the data begin at a multiple of 8. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors_header.h"
#include "base/text_buffer.h"
#include "base/utf8.h"

#define LENGTH_BYTES ((size_t)8)

typedef struct span {
    char *name; /* of a tensor, or the key of a metadata field, which has no data */
    bool is_field;
    const void *data;
    size_t bytes;
} span;

struct pri_safetensors_writer {
    pri_text tensors, metadata; /* members of the two JSON objects, without their braces */
    span *spans;
    size_t count, capacity, bytes;
    pare_status status; /* the first failure, with its message */
    char *message;
};

pri_safetensors_writer *pri_safetensors_writer_create(void)
{
    return pri_allocate_zero(1, sizeof(pri_safetensors_writer));
}

void pri_safetensors_writer_destroy(pri_safetensors_writer *writer)
{
    if (!writer)
        return;
    for (size_t i = 0; i < writer->count; i++)
        pri_free(writer->spans[i].name);
    pri_free(writer->spans);
    pri_text_free(&writer->tensors);
    pri_text_free(&writer->metadata);
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

/* Refuses names that are taken; a tensor and a field may share one. */
static pare_status add_span(pri_safetensors_writer *writer, span added)
{
    for (size_t i = 0; i < writer->count; i++)
        if (writer->spans[i].is_field == added.is_field &&
            !strcmp(writer->spans[i].name, added.name))
            return pri_fail(PARE_ERROR_ARGUMENT, "the name \"%s\" is taken", added.name);
    if (writer->count == writer->capacity) {
        size_t capacity = writer->capacity ? 2 * writer->capacity : 64;
        span *larger =
            pri_reallocate(writer->spans, writer->capacity, capacity, sizeof *writer->spans);
        if (!larger)
            return PARE_ERROR_MEMORY;
        writer->spans = larger;
        writer->capacity = capacity;
    }
    added.name = pri_string_copy(added.name);
    if (!added.name)
        return PARE_ERROR_MEMORY;
    writer->spans[writer->count++] = added;
    writer->bytes += added.bytes;
    return PARE_OK;
}

static void append_string(pri_text *text, const char *string)
{
    static const char specials[] = "\"\\\b\f\n\r\t", codes[] = "\"\\bfnrt";
    pri_text_append_bytes(text, "\"", 1);
    for (; *string; string++) {
        const char *special = strchr(specials, *string);
        if (special)
            pri_text_append(text, "\\%c", codes[special - specials]);
        else if ((unsigned char)*string < ' ')
            pri_text_append(text, "\\u%04X", (unsigned)*string);
        else
            pri_text_append_bytes(text, string, 1);
    }
    pri_text_append_bytes(text, "\"", 1);
}

static void append_tensor(pri_text *text, const char *name, pri_data_type type, size_t dimensions,
                          const size_t *shape, size_t begin, size_t end)
{
    if (text->length)
        pri_text_append(text, ",");
    append_string(text, name);
    pri_text_append(text, ":{\"dtype\":\"%s\",\"shape\":[", pri_data_type_name(type));
    for (size_t d = 0; d < dimensions; d++)
        pri_text_append(text, d ? ",%zu" : "%zu", shape[d]);
    pri_text_append(text, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

static pare_status add_tensor(pri_safetensors_writer *writer, const char *name, pri_data_type type,
                              size_t dimensions, const size_t *shape, const void *data)
{
    if (!pri_utf8_valid(name))
        return pri_fail(PARE_ERROR_ARGUMENT, "tensor name \"%s\" is not valid UTF-8", name);
    if (!strcmp(name, PRI_METADATA_KEY))
        return pri_fail(PARE_ERROR_ARGUMENT, "the name \"%s\" is taken", name);
    if (dimensions > PRI_DIMENSIONS_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "tensor \"%s\" has more than 8 dimensions", name);
    size_t bytes = pri_data_type_size(type);
    for (size_t d = 0; d < dimensions; d++)
        if (pri_multiply_overflows(bytes, shape[d], &bytes) || bytes > INT64_MAX / 2)
            return pri_fail(PARE_ERROR_ARGUMENT, "tensor \"%s\" is larger than any memory", name);
    size_t begin = writer->bytes;
    PRI_TRY(add_span(writer, (span){.name = (char *)name, .data = data, .bytes = bytes}));
    append_tensor(&writer->tensors, name, type, dimensions, shape, begin, writer->bytes);
    return PARE_OK;
}

void pri_safetensors_writer_add(pri_safetensors_writer *writer, const char *name,
                                pri_data_type type, size_t dimensions, const size_t *shape,
                                const void *data)
{
    remember_failure(writer, add_tensor(writer, name, type, dimensions, shape, data));
}

static pare_status add_field(pri_safetensors_writer *writer, const char *key, const char *value)
{
    if (!pri_utf8_valid(key) || !pri_utf8_valid(value))
        return pri_fail(PARE_ERROR_ARGUMENT, "metadata \"%s\" is not valid UTF-8 text", key);
    PRI_TRY(add_span(writer, (span){.name = (char *)key, .is_field = true}));
    if (writer->metadata.length)
        pri_text_append(&writer->metadata, ",");
    append_string(&writer->metadata, key);
    pri_text_append(&writer->metadata, ":");
    append_string(&writer->metadata, value);
    return PARE_OK;
}

void pri_safetensors_writer_metadata(pri_safetensors_writer *writer, const char *key,
                                     const char *value)
{
    remember_failure(writer, add_field(writer, key, value));
}

/* Spaces up to a multiple of 8. */
static pare_status build_header(const pri_safetensors_writer *writer, pri_text *header)
{
    pri_text_append(header, "{");
    if (writer->metadata.length) {
        pri_text_append(header, "\"" PRI_METADATA_KEY "\":{");
        pri_text_append_bytes(header, writer->metadata.data, writer->metadata.length);
        pri_text_append(header, writer->tensors.length ? "}," : "}");
    }
    pri_text_append_bytes(header, writer->tensors.data, writer->tensors.length);
    pri_text_append(header, "}");
    pri_text_append(header, "%*s", (int)((8 - header->length % 8) % 8), "");
    if (writer->tensors.failed || writer->metadata.failed || header->failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing a safetensors header");
    if (header->length > PRI_LARGEST_HEADER)
        return pri_fail(PARE_ERROR_ARGUMENT, "too many tensors for one safetensors file");
    return PARE_OK;
}

static pare_status write_header(const pri_text *header, pri_writer *output)
{
    uint8_t length[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        length[i] = (uint8_t)((uint64_t)header->length >> 8 * i);
    PRI_TRY(pri_writer_write(output, length, sizeof length));
    return pri_writer_write(output, header->data, header->length);
}

static pare_status write_file(const pri_safetensors_writer *writer, pri_writer *output)
{
    pri_text header = {0};
    pare_status status = build_header(writer, &header);
    if (status == PARE_OK)
        status = write_header(&header, output);
    pri_text_free(&header);
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
