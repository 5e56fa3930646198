/* Admissible cells: counting and checking. A causal row i with memory M sees the columns up to
 * i + M, at distances i + M - column that stay below the window when there is one. */
#include "pruning/geometry.h"

#include <math.h>

#include "base/memory.h"

#define CROSS_LONGEST ((size_t)65536) /* the most that a plan takes */

static pare_status check_cross(const pare_geometry *g)
{
    /* Written so that a NaN fails too. */
    if (!(g->ratio >= PRI_RATIO_LEAST && g->ratio <= PRI_RATIO_MOST))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the ratio of cross attention, source tokens per target token, is %g; give "
                        "a number from %g to %g, or 0 for self attention",
                        g->ratio, PRI_RATIO_LEAST, PRI_RATIO_MOST);
    if (g->causal)
        return pri_fail(PARE_ERROR_ARGUMENT, "a ratio is that of cross attention, which is not "
                                             "causal; give 0 for self attention");
    if (g->queries > CROSS_LONGEST || g->keys > CROSS_LONGEST)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "cross attention has at most %zu queries and keys, not %zu and %zu",
                        CROSS_LONGEST, g->queries, g->keys);
    return PARE_OK;
}

pare_status pri_average_geometry_check(const pare_geometry *geometry)
{
    const pare_geometry *g = geometry;
    if (!g->layers || !g->heads || !g->queries || !g->keys)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a geometry needs at least one layer, head, query and key (it has %zu, "
                        "%zu, %zu and %zu)",
                        g->layers, g->heads, g->queries, g->keys);
    if (g->causal && g->keys < g->queries)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "causal attention of %zu queries needs as many keys or more, not %zu",
                        g->queries, g->keys);
    if (!g->causal && (g->window || g->kind == PARE_GEOMETRY_DISTANCE))
        return pri_fail(PARE_ERROR_ARGUMENT, "a window, or distance geometry, needs causal "
                                             "attention; use cell geometry without a window");
    if (g->ratio != 0)
        PRI_TRY(check_cross(g));
    if (g->ends_first && !pri_geometry_is_cross(g) && (g->causal || g->queries != g->keys))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "ends_first needs an encoder's attention, not causal and with as many "
                        "queries as keys, or cross attention with a ratio, not %s%zu queries of "
                        "%zu keys",
                        g->causal ? "causal " : "", g->queries, g->keys);
    if (g->kind == PARE_GEOMETRY_RELATIVE && !g->ends_first)
        return pri_fail(PARE_ERROR_ARGUMENT, "relative geometry needs ends_first, which an encoder "
                                             "is observed with; use cell geometry");
    size_t size = sizeof(double);
    if (pri_multiply_overflows(size, g->layers, &size) ||
        pri_multiply_overflows(size, g->heads, &size) ||
        pri_multiply_overflows(size, g->queries, &size) ||
        pri_multiply_overflows(size, g->keys, &size))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%zu layers x %zu heads x %zu queries x %zu keys is larger than any memory",
                        g->layers, g->heads, g->queries, g->keys);
    return PARE_OK;
}

pare_attention_kind pare_geometry_attention(const pare_geometry *geometry, size_t kinds)
{
    if (kinds == 1)
        return PARE_ATTENTION_SELF;
    return geometry->causal                  ? PARE_ATTENTION_DECODER
           : pri_geometry_is_cross(geometry) ? PARE_ATTENTION_CROSS
                                             : PARE_ATTENTION_SELF;
}

bool pri_geometry_same(const pare_geometry *a, const pare_geometry *b)
{
    return a->kind == b->kind && a->layers == b->layers && a->heads == b->heads &&
           a->queries == b->queries && a->keys == b->keys && a->causal == b->causal &&
           a->window == b->window && a->ends_first == b->ends_first && a->ratio == b->ratio;
}

uint64_t pri_geometry_rectangle(const pare_geometry *geometry)
{
    return (uint64_t)geometry->layers * geometry->heads * geometry->queries * geometry->keys;
}

uint64_t pri_geometry_admissible_per_head(const pare_geometry *geometry)
{
    uint64_t cells = 0;
    for (size_t row = 0; row < geometry->queries; row++) {
        pri_columns columns = pri_geometry_columns(geometry, row);
        cells += columns.end - columns.begin;
    }
    return cells;
}

uint64_t pri_geometry_rows_at_distance(const pare_geometry *geometry, size_t distance)
{
    if (distance >= geometry->keys || !pri_geometry_distance_admissible(geometry, distance))
        return 0;
    size_t memory = pri_geometry_memory(geometry);
    return distance <= memory ? geometry->queries : geometry->queries - (distance - memory);
}

/* ---- Classes of cross attention ---- */

#define END_CLASSES ((size_t)2)
#define SINGLE_OFFSETS ((size_t)8) /* offsets up to here have a bucket each */

/* The largest offset of a bucket: 0, 1, .. 8, then 11, 16, 22, 32, 44, .. */
static double bucket_end(size_t bucket)
{
    if (bucket <= SINGLE_OFFSETS)
        return (double)bucket;
    return ldexp(bucket % 2 ? 11 : 16, (int)((bucket - SINGLE_OFFSETS - 1) / 2));
}

static size_t bucket_of(double offset)
{
    if (offset <= (double)SINGLE_OFFSETS)
        return (size_t)offset;
    size_t bucket = SINGLE_OFFSETS + 1;
    while (offset > bucket_end(bucket))
        bucket++;
    return bucket;
}

/* The source token on the diagonal. */
static double diagonal(const pare_geometry *geometry, size_t row)
{
    /* A statement of its own, lest a compiler fuse product and sum and round otherwise. */
    double token = (double)row * geometry->ratio;
    return floor(token + 0.5);
}

static size_t cross_class(const pare_geometry *geometry, size_t row, size_t column)
{
    if (column < END_CLASSES)
        return column;
    double offset = (double)(column - 1) - diagonal(geometry, row);
    return END_CLASSES + 2 * bucket_of(fabs(offset)) - (offset < 0);
}

/* The offsets that lie farthest are those of the last key in the first row and of the second token
 * in the last. */
static size_t cross_classes(const pare_geometry *geometry)
{
    if (geometry->keys <= END_CLASSES)
        return END_CLASSES;
    size_t after = cross_class(geometry, 0, geometry->keys - 1);
    size_t before = cross_class(geometry, geometry->queries - 1, END_CLASSES);
    return 1 + (before > after ? before : after);
}

/* The tokens of an offset class that a row reaches, among 1 .. tokens. */
static uint64_t cross_row_cells(double centre, size_t bucket, bool before, double tokens)
{
    double nearest = bucket ? bucket_end(bucket - 1) + 1 : 0, farthest = bucket_end(bucket);
    double first = before ? centre - farthest : centre + nearest;
    double last = before ? centre - nearest : centre + farthest;
    first = first > 1 ? first : 1;
    last = last < tokens ? last : tokens;
    return first <= last ? (uint64_t)(last - first) + 1 : 0;
}

static uint64_t cross_class_cells(const pare_geometry *geometry, size_t class_index)
{
    if (class_index < END_CLASSES)
        return class_index < geometry->keys ? geometry->queries : 0;
    if (geometry->keys <= END_CLASSES)
        return 0;
    size_t bucket = (class_index - END_CLASSES + 1) / 2;
    bool before = (class_index - END_CLASSES) % 2;
    uint64_t cells = 0;
    for (size_t row = 0; row < geometry->queries; row++)
        cells += cross_row_cells(diagonal(geometry, row), bucket, before,
                                 (double)(geometry->keys - END_CLASSES));
    return cells;
}

/* ---- Classes ---- */

#define SPECIAL_CLASSES ((size_t)4)

/* Tokens of the observed shape that are neither first nor last. */
static size_t inner_tokens(const pare_geometry *geometry)
{
    return geometry->keys > 2 ? geometry->keys - 2 : 0;
}

size_t pri_geometry_classes(const pare_geometry *geometry)
{
    if (geometry->kind == PARE_GEOMETRY_DISTANCE)
        return geometry->keys;
    if (pri_geometry_is_cross(geometry))
        return cross_classes(geometry);
    size_t inner = inner_tokens(geometry);
    return SPECIAL_CLASSES + (inner ? 2 * inner - 1 : 0);
}

size_t pri_geometry_class(const pare_geometry *geometry, size_t row, size_t column)
{
    if (geometry->kind == PARE_GEOMETRY_DISTANCE)
        return row + pri_geometry_memory(geometry) - column;
    if (pri_geometry_is_cross(geometry))
        return cross_class(geometry, row, column);
    if (column < 2)
        return column;
    if (row < 2)
        return 2 + row;
    size_t distance = column < row ? row - column : column - row;
    if (distance >= geometry->keys)
        return SIZE_MAX;
    return SPECIAL_CLASSES + 2 * distance - (column < row);
}

uint64_t pri_geometry_class_cells(const pare_geometry *geometry, size_t class_index)
{
    if (geometry->kind == PARE_GEOMETRY_DISTANCE)
        return pri_geometry_rows_at_distance(geometry, class_index);
    if (pri_geometry_is_cross(geometry))
        return cross_class_cells(geometry, class_index);
    size_t inner = inner_tokens(geometry);
    if (class_index < 2)
        return class_index < geometry->keys ? geometry->queries : 0;
    if (class_index < SPECIAL_CLASSES)
        return inner;
    return inner - (class_index - SPECIAL_CLASSES + 1) / 2;
}
