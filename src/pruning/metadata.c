/* Metadata fields. Integers are decimal, hashes 16 hexadecimal digits, numbers have the 17 digits
 * that fp64 needs; nothing else is accepted back, not even leading spaces. */
#include "pruning/metadata.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

pare_status pri_metadata_text(const pri_safetensors *file, const char *key, const char **value)
{
    *value = pri_safetensors_metadata(file, key);
    if (!*value)
        return pri_fail(PARE_ERROR_FORMAT, "%s: the field \"%s\" is missing",
                        pri_safetensors_name(file), key);
    return PARE_OK;
}

static pare_status fail_field(const pri_safetensors *file, const char *key, const char *wanted)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: the field \"%s\" is \"%.40s\", not %s",
                    pri_safetensors_name(file), key, pri_safetensors_metadata(file, key), wanted);
}

pare_status pri_metadata_check_format(const pri_safetensors *file, const char *format,
                                      unsigned *version)
{
    const char *found = pri_safetensors_metadata(file, "format");
    if (!found || strcmp(found, format))
        return pri_fail(PARE_ERROR_FORMAT, "%s: not a %s file (its format is \"%.40s\")",
                        pri_safetensors_name(file), format, found ? found : "not stated");
    const char *text;
    PRI_TRY(pri_metadata_text(file, "version", &text));
    *version = text[0] >= '1' && text[0] <= '9' && !text[1] ? (unsigned)(text[0] - '0') : 0;
    if (*version < 1 || *version > PRI_METADATA_VERSION)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "%s: %s version %.20s, but this program reads versions 1 to %d; update it",
                        pri_safetensors_name(file), format, text, PRI_METADATA_VERSION);
    return PARE_OK;
}

pare_status pri_metadata_integer(const pri_safetensors *file, const char *key, uint64_t limit,
                                 uint64_t *value)
{
    const char *text;
    PRI_TRY(pri_metadata_text(file, key, &text));
    size_t digits = strspn(text, "0123456789");
    if (!digits || text[digits] || (text[0] == '0' && digits > 1))
        return fail_field(file, key, "a whole number");
    uint64_t number = 0;
    for (; *text; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return fail_field(file, key, "a number of this size");
        number = 10 * number + digit;
    }
    if (number > limit)
        return fail_field(file, key, "in its range");
    *value = number;
    return PARE_OK;
}

pare_status pri_metadata_hash(const pri_safetensors *file, const char *key, uint64_t *value)
{
    const char *text;
    PRI_TRY(pri_metadata_text(file, key, &text));
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return fail_field(file, key, "16 hexadecimal digits");
    *value = strtoull(text, NULL, 16);
    return PARE_OK;
}

pare_status pri_metadata_number(const pri_safetensors *file, const char *key, double low,
                                double high, double *value)
{
    const char *text;
    PRI_TRY(pri_metadata_text(file, key, &text));
    double number;
    if (!pri_number_parse(text, &number))
        return fail_field(file, key, "a number");
    /* Written so that a NaN fails too. */
    if (!(number >= low && number <= high))
        return fail_field(file, key, "in its range");
    *value = number;
    return PARE_OK;
}

pare_status pri_metadata_choice(const pri_safetensors *file, const char *key,
                                const char *const *names, size_t count, unsigned *value)
{
    const char *text;
    PRI_TRY(pri_metadata_text(file, key, &text));
    for (size_t i = 0; i < count; i++)
        if (!strcmp(text, names[i])) {
            *value = (unsigned)i;
            return PARE_OK;
        }
    return fail_field(file, key, "one of the names this version knows");
}

pare_status pri_metadata_copy(const pri_safetensors *file, const char *key, char *value,
                              size_t capacity)
{
    const char *text;
    PRI_TRY(pri_metadata_text(file, key, &text));
    if (strlen(text) >= capacity)
        return fail_field(file, key, "as short as it should be");
    memcpy(value, text, strlen(text) + 1);
    return PARE_OK;
}

static pare_status read_size(const pri_safetensors *file, const char *key, size_t *value)
{
    uint64_t number = 0;
    PRI_TRY(pri_metadata_integer(file, key, SIZE_MAX, &number));
    *value = (size_t)number;
    return PARE_OK;
}

unsigned pri_metadata_geometry_version(const pare_geometry *geometry)
{
    if (pri_geometry_is_cross(geometry))
        return 3;
    return geometry->ends_first ? 2 : 1;
}

pare_status pri_metadata_geometry(const pri_safetensors *file, unsigned version,
                                  pare_geometry *geometry)
{
    unsigned kind = 0;
    uint64_t causal = 0, ends_first = 0;
    PRI_TRY(pri_metadata_choice(file, "geometry", pare_geometry_names, 3, &kind));
    geometry->kind = (pare_geometry_kind)kind;
    PRI_TRY(read_size(file, "layers", &geometry->layers));
    PRI_TRY(read_size(file, "heads", &geometry->heads));
    PRI_TRY(read_size(file, "queries", &geometry->queries));
    PRI_TRY(read_size(file, "keys", &geometry->keys));
    PRI_TRY(read_size(file, "window", &geometry->window));
    PRI_TRY(pri_metadata_integer(file, "causal", 1, &causal));
    if (version >= 2)
        PRI_TRY(pri_metadata_integer(file, "ends_first", 1, &ends_first));
    geometry->ratio = 0;
    if (version >= 3)
        PRI_TRY(
            pri_metadata_number(file, "ratio", PRI_RATIO_LEAST, PRI_RATIO_MOST, &geometry->ratio));
    geometry->causal = causal != 0;
    geometry->ends_first = ends_first != 0;
    if (pri_average_geometry_check(geometry) != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", pri_safetensors_name(file));
    return PARE_OK;
}

void pri_metadata_set_format(pri_safetensors_writer *writer, const char *format, unsigned version)
{
    pri_safetensors_writer_metadata(writer, "format", format);
    pri_metadata_set_integer(writer, "version", version);
}

void pri_metadata_set_integer(pri_safetensors_writer *writer, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    pri_safetensors_writer_metadata(writer, key, text);
}

void pri_metadata_set_hash(pri_safetensors_writer *writer, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    pri_safetensors_writer_metadata(writer, key, text);
}

void pri_metadata_set_number(pri_safetensors_writer *writer, const char *key, double value)
{
    char text[PRI_NUMBER_CAPACITY];
    pri_number_format(value, text);
    pri_safetensors_writer_metadata(writer, key, text);
}

void pri_metadata_set_geometry(pri_safetensors_writer *writer, unsigned version,
                               const pare_geometry *geometry)
{
    pri_safetensors_writer_metadata(writer, "geometry", pare_geometry_names[geometry->kind]);
    pri_metadata_set_integer(writer, "layers", geometry->layers);
    pri_metadata_set_integer(writer, "heads", geometry->heads);
    pri_metadata_set_integer(writer, "queries", geometry->queries);
    pri_metadata_set_integer(writer, "keys", geometry->keys);
    pri_metadata_set_integer(writer, "causal", geometry->causal);
    pri_metadata_set_integer(writer, "window", geometry->window);
    if (version >= 2)
        pri_metadata_set_integer(writer, "ends_first", geometry->ends_first);
    if (version >= 3)
        pri_metadata_set_number(writer, "ratio", geometry->ratio);
}
