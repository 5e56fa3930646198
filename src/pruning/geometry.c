/* Admissible cells: counting and checking. A causal row i with memory M sees the columns up to
 * i + M, at distances i + M - column that stay below the window when there is one. */
#include "pruning/geometry.h"

#include "base/memory.h"

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
    if (g->ends_first && (g->causal || g->queries != g->keys))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "ends_first needs an encoder's attention, not causal and with as many "
                        "queries as keys, not %s%zu queries of %zu keys",
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

bool pri_geometry_same(const pare_geometry *a, const pare_geometry *b)
{
    return a->kind == b->kind && a->layers == b->layers && a->heads == b->heads &&
           a->queries == b->queries && a->keys == b->keys && a->causal == b->causal &&
           a->window == b->window && a->ends_first == b->ends_first;
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
    size_t inner = inner_tokens(geometry);
    return SPECIAL_CLASSES + (inner ? 2 * inner - 1 : 0);
}

size_t pri_geometry_class(const pare_geometry *geometry, size_t row, size_t column)
{
    if (geometry->kind == PARE_GEOMETRY_DISTANCE)
        return row + pri_geometry_memory(geometry) - column;
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
    size_t inner = inner_tokens(geometry);
    if (class_index < 2)
        return class_index < geometry->keys ? geometry->queries : 0;
    if (class_index < SPECIAL_CLASSES)
        return inner;
    return inner - (class_index - SPECIAL_CLASSES + 1) / 2;
}
