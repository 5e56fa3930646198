/* Averages of the reference implementation: one `.npy` array, layers x heads x queries x keys.
 *
 * The format: "\x93NUMPY", version, header length (2 bytes, from version 2 on 4), a Python
 * dictionary of exactly three keys as text, then the numbers. The array holds averages without
 * counts, so every admissible cell counts as observed once. */
#include "pruning/average.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES ((size_t)6)

/* ---- The header ---- */

typedef struct npy_header {
    size_t element_size; /* 4 or 8 */
    size_t dimensions, shape[4];
    bool column_major;
} npy_header;

/* A reader of the dictionary's text that never passes its end. */
typedef struct npy_text {
    const char *position, *end;
    const char *name; /* of the file */
} npy_text;

static pare_status fail_header(const npy_text *text, const char *wanted)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged .npy header: %s", text->name, wanted);
}

static void skip_space(npy_text *text)
{
    while (text->position < text->end && (*text->position == ' ' || *text->position == '\n'))
        text->position++;
}

static bool accept(npy_text *text, const char *word)
{
    skip_space(text);
    size_t length = strlen(word);
    if ((size_t)(text->end - text->position) < length || memcmp(text->position, word, length))
        return false;
    text->position += length;
    return true;
}

static pare_status read_type(npy_text *text, npy_header *header)
{
    if (accept(text, "'<f4'"))
        header->element_size = 4;
    else if (accept(text, "'<f8'"))
        header->element_size = 8;
    else
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "%s: only little-endian fp32 and fp64 are read; convert it with "
                        ".astype('<f4')",
                        text->name);
    return PARE_OK;
}

static pare_status read_order(npy_text *text, npy_header *header)
{
    header->column_major = accept(text, "True");
    if (!header->column_major && !accept(text, "False"))
        return fail_header(text, "'fortran_order' is neither True nor False");
    return PARE_OK;
}

static pare_status read_extent(npy_text *text, size_t *extent)
{
    skip_space(text);
    const char *begin = text->position;
    *extent = 0;
    for (; text->position < text->end && *text->position >= '0' && *text->position <= '9';
         text->position++) {
        size_t digit = (size_t)(*text->position - '0');
        if (*extent > (SIZE_MAX - digit) / 10)
            return fail_header(text, "a dimension is larger than any memory");
        *extent = 10 * *extent + digit;
    }
    return text->position == begin ? fail_header(text, "'shape' is not a tuple of whole numbers")
                                   : PARE_OK;
}

static pare_status read_shape(npy_text *text, npy_header *header)
{
    if (!accept(text, "("))
        return fail_header(text, "'shape' is not a tuple");
    while (!accept(text, ")")) {
        if (header->dimensions == 4)
            return fail_header(text, "more than four dimensions");
        PRI_TRY(read_extent(text, &header->shape[header->dimensions++]));
        if (!accept(text, ",") && (text->position == text->end || *text->position != ')'))
            return fail_header(text, "'shape' is not a tuple");
    }
    return PARE_OK;
}

static pare_status read_dictionary(npy_text *text, npy_header *header)
{
    static const char *const keys[] = {"'descr'", "'fortran_order'", "'shape'"};
    static pare_status (*const readers[])(npy_text *, npy_header *) = {read_type, read_order,
                                                                       read_shape};
    bool seen[3] = {false};
    if (!accept(text, "{"))
        return fail_header(text, "it is not a dictionary");
    while (!accept(text, "}")) {
        size_t key = 0;
        while (key < 3 && (seen[key] || !accept(text, keys[key])))
            key++;
        if (key == 3 || !accept(text, ":"))
            return fail_header(text, "unknown or repeated keys");
        seen[key] = true;
        PRI_TRY(readers[key](text, header));
        skip_space(text);
        if (!accept(text, ",") && (text->position == text->end || *text->position != '}'))
            return fail_header(text, "a comma is missing");
    }
    skip_space(text);
    if (!seen[0] || !seen[1] || !seen[2])
        return fail_header(text, "'descr', 'fortran_order' or 'shape' is missing");
    return text->position == text->end ? PARE_OK : fail_header(text, "text after the dictionary");
}

/* Sets *numbers to what follows the header. */
static pare_status read_header(const uint8_t *data, size_t size, const char *name,
                               npy_header *header, const uint8_t **numbers)
{
    if (size < MAGIC_BYTES + 2 || memcmp(data, MAGIC, MAGIC_BYTES))
        return pri_fail(PARE_ERROR_FORMAT, "%s: not a .npy file", name);
    unsigned version = data[MAGIC_BYTES];
    if (version < 1 || version > 3 || data[MAGIC_BYTES + 1])
        return pri_fail(PARE_ERROR_UNSUPPORTED, "%s: unknown .npy version %u.%u", name, version,
                        data[MAGIC_BYTES + 1]);
    size_t length_bytes = version == 1 ? 2 : 4, start = MAGIC_BYTES + 2 + length_bytes;
    size_t length = 0;
    for (size_t i = length_bytes; size >= start && i-- > 0;)
        length = length << 8 | data[MAGIC_BYTES + 2 + i];
    if (size < start || length > size - start)
        return pri_fail(PARE_ERROR_FORMAT, "%s: truncated inside its .npy header", name);
    npy_text text = {(const char *)data + start, (const char *)data + start + length, name};
    PRI_TRY(read_dictionary(&text, header));
    *numbers = data + start + length;
    return PARE_OK;
}

/* ---- The numbers ---- */

static pare_status check_extent(const npy_header *header, size_t available, const char *name)
{
    if (header->dimensions != 4)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: an average has four dimensions (layers, heads, queries, keys), this "
                        "array has %zu",
                        name, header->dimensions);
    if (header->column_major)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "%s: stored in Fortran order; save numpy.ascontiguousarray(a) instead",
                        name);
    size_t bytes = header->element_size;
    bool overflow = false;
    for (size_t d = 0; d < 4; d++)
        overflow = overflow || pri_multiply_overflows(bytes, header->shape[d], &bytes);
    if (overflow || bytes != available)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: the file holds %zu bytes of numbers, its shape %zu x %zu x %zu x %zu "
                        "needs another size",
                        name, available, header->shape[0], header->shape[1], header->shape[2],
                        header->shape[3]);
    return PARE_OK;
}

static double read_number(const uint8_t *bytes, size_t size)
{
    uint64_t bits = 0;
    for (size_t i = size; i-- > 0;)
        bits = bits << 8 | bytes[i];
    if (size == 4) {
        uint32_t narrow = (uint32_t)bits;
        float number;
        memcpy(&number, &narrow, sizeof number);
        return (double)number;
    }
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static pare_status fail_number(const char *name, const pare_geometry *g, size_t cell, double number,
                               const char *reason)
{
    size_t column = cell % g->keys, row = cell / g->keys % g->queries;
    size_t head = cell / g->keys / g->queries % g->heads;
    return pri_fail(PARE_ERROR_FORMAT, "%s: layer %zu, head %zu, row %zu, column %zu holds %g, %s",
                    name, cell / g->keys / g->queries / g->heads, head, row, column, number,
                    reason);
}

static pare_status read_numbers(const uint8_t *numbers, size_t element_size, const char *name,
                                pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    size_t cells = (size_t)pri_geometry_rectangle(g);
    for (size_t cell = 0; cell < cells; cell++) {
        double number = read_number(numbers + cell * element_size, element_size);
        size_t row = cell / g->keys % g->queries;
        bool admissible = cell % g->keys < pri_geometry_columns(g, row).end;
        /* Written so that a NaN fails too. */
        if (!(number >= 0 && number <= 1 + PRI_PROBABILITY_SLACK))
            return fail_number(name, g, cell, number, "which is no average of probabilities");
        if (!admissible && number != 0)
            return fail_number(name, g, cell, number,
                               "though it lies in the future; read it as not causal");
        average->sums[cell] = number;
    }
    for (size_t row = 0; row < g->queries; row++)
        for (size_t column = 0; column < pri_geometry_columns(g, row).end; column++)
            average->counts[row * g->keys + column] = 1;
    average->examples = 1;
    return PARE_OK;
}

pare_status pri_average_parse_npy(const uint8_t *data, size_t size, const char *name, bool causal,
                                  pare_average **average)
{
    *average = NULL;
    npy_header header = {0};
    const uint8_t *numbers = data;
    PRI_TRY(read_header(data, size, name, &header, &numbers));
    PRI_TRY(check_extent(&header, size - (size_t)(numbers - data), name));
    pare_geometry geometry = {.kind = PARE_GEOMETRY_CELL,
                              .layers = header.shape[0],
                              .heads = header.shape[1],
                              .queries = header.shape[2],
                              .keys = header.shape[3],
                              .causal = causal};
    pare_status status = pri_average_geometry_check(&geometry);
    if (status != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", name);
    PRI_TRY(pare_average_create(&geometry, average));
    status = read_numbers(numbers, header.element_size, name, *average);
    if (status != PARE_OK) {
        pare_average_destroy(*average);
        *average = NULL;
    }
    return status;
}

pare_status pare_average_import_npy(const char *path, bool causal, pare_average **average)
{
    *average = NULL;
    uint8_t *data;
    size_t size;
    PRI_TRY(pri_file_read(path, 0, &data, &size));
    pare_status status = pri_average_parse_npy(data, size, path, causal, average);
    pri_free(data);
    return status;
}
