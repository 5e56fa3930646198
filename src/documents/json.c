/* JSON by jansson, with sentences that name the file and the key. Everything we read is an object,
 * so both loaders insist on one. */
#include "documents/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/utf8.h"

#define LARGEST_FILE ((size_t)1 << 30)

static pare_status parse(const char *data, size_t size, size_t flags, const char *name,
                         json_t **object)
{
    size_t marked = pri_utf8_mark(data, size);
    json_error_t error;
    json_t *value =
        json_loadb(data + marked, size - marked, JSON_REJECT_DUPLICATES | flags, &error);
    if (!value)
        return pri_fail(PARE_ERROR_FORMAT, "%s: not valid JSON (line %d, column %d: %s)", name,
                        error.line, error.column, error.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return pri_fail(PARE_ERROR_FORMAT, "%s: should hold a JSON object, that is {...}", name);
    }
    *object = value;
    return PARE_OK;
}

pare_status pri_json_parse(const char *data, size_t size, const char *name, json_t **object)
{
    *object = NULL;
    return parse(data, size, 0, name, object);
}

static pare_status load(const char *path, size_t flags, json_t **object)
{
    *object = NULL;
    uint8_t *data;
    size_t size;
    PRI_TRY(pri_file_read(path, LARGEST_FILE, &data, &size));
    pare_status status = parse((const char *)data, size, flags, path, object);
    pri_free(data);
    return status;
}

pare_status pri_json_load(const char *path, json_t **object)
{
    return load(path, 0, object);
}

pare_status pri_json_load_real(const char *path, json_t **object)
{
    return load(path, JSON_DECODE_INT_AS_REAL, object);
}

static int write_piece(const char *piece, size_t size, void *writer)
{
    return pri_writer_write(writer, piece, size) == PARE_OK ? 0 : -1;
}

pare_status pri_json_save(const json_t *object, const char *path)
{
    pri_writer *writer;
    PRI_TRY(pri_writer_open(path, &writer));
    /* Replaced by the writer's own message when it is the writer that fails. */
    pri_fail(PARE_ERROR_FILE, "%s: cannot be written as JSON", path);
    if (json_dump_callback(object, write_piece, writer, JSON_INDENT(2)) ||
        write_piece("\n", 1, writer)) {
        pri_writer_abandon(writer);
        return PARE_ERROR_FILE;
    }
    return pri_writer_commit(writer);
}

/* ---- Typed members ---- */

static pare_status fail_member(const char *name, const char *key, const json_t *member,
                               const char *wanted)
{
    return pri_fail(PARE_ERROR_FORMAT,
                    member ? "%s: \"%s\" should be %s" : "%s: \"%s\" (%s) is missing", name, key,
                    wanted);
}

static bool is_absent(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    return !member || json_is_null(member);
}

pare_status pri_json_get_size(const json_t *object, const char *name, const char *key,
                              size_t *value)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return fail_member(name, key, member, "a whole number, 0 or more");
    *value = (size_t)json_integer_value(member);
    return PARE_OK;
}

pare_status pri_json_get_size_or(const json_t *object, const char *name, const char *key,
                                 size_t fallback, size_t *value)
{
    *value = fallback;
    return is_absent(object, key) ? PARE_OK : pri_json_get_size(object, name, key, value);
}

pare_status pri_json_get_number(const json_t *object, const char *name, const char *key,
                                double *value)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_number(member))
        return fail_member(name, key, member, "a number");
    *value = json_number_value(member);
    return PARE_OK;
}

pare_status pri_json_get_number_or(const json_t *object, const char *name, const char *key,
                                   double fallback, double *value)
{
    *value = fallback;
    return is_absent(object, key) ? PARE_OK : pri_json_get_number(object, name, key, value);
}

pare_status pri_json_get_bool_or(const json_t *object, const char *name, const char *key,
                                 bool fallback, bool *value)
{
    *value = fallback;
    if (is_absent(object, key))
        return PARE_OK;
    const json_t *member = json_object_get(object, key);
    if (!json_is_boolean(member))
        return fail_member(name, key, member, "true or false");
    *value = json_is_true(member);
    return PARE_OK;
}

pare_status pri_json_get_string(const json_t *object, const char *name, const char *key,
                                char *value, size_t capacity)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_string(member))
        return fail_member(name, key, member, "a string");
    size_t length = json_string_length(member);
    if (length >= capacity)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: \"%s\" has %zu bytes, more than the %zu allowed here", name, key,
                        length, capacity - 1);
    memcpy(value, json_string_value(member), length + 1);
    return PARE_OK;
}

pare_status pri_json_get_string_or(const json_t *object, const char *name, const char *key,
                                   const char *fallback, char *value, size_t capacity)
{
    if (!is_absent(object, key))
        return pri_json_get_string(object, name, key, value, capacity);
    size_t length = strlen(fallback);
    if (length >= capacity)
        return pri_fail(PARE_ERROR_ARGUMENT, "%s: the default of \"%s\" does not fit its buffer",
                        name, key);
    memcpy(value, fallback, length + 1);
    return PARE_OK;
}
