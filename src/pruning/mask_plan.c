/* From a mask to a plan: hand the kept cells of one layer to the attention room, row by row. */
#include "pruning/mask.h"

#include <string.h>

typedef struct plan_source {
    const pare_mask *mask;
    size_t layer;
    pare_geometry geometry; /* of the plan: the mask's own, or any for classes */
} plan_source;

void pri_mask_fill_row(const pare_mask *mask, const pare_geometry *shape, size_t layer, size_t head,
                       size_t row, uint8_t *fill)
{
    pri_columns columns = pri_geometry_columns(shape, row);
    size_t newest = row + pri_geometry_memory(shape), kept = 0;
    memset(fill, 0, shape->keys);
    for (size_t column = columns.begin; column < columns.end; column++) {
        fill[column] = shape->kind == PARE_GEOMETRY_DISTANCE
                           ? pare_mask_kept_at_distance(mask, layer, head, newest - column)
                           : pare_mask_kept(mask, layer, head, row, column);
        kept += fill[column];
    }
    if (!kept && mask->report.options.empty_row == PARE_EMPTY_ROW_UNIFORM)
        memset(fill + columns.begin, 2, columns.end - columns.begin);
}

/* pare_plan_row: see pare/attention.h. */
static void fill_row(void *user, size_t head, size_t row, uint8_t *fill)
{
    const plan_source *source = user;
    pri_mask_fill_row(source->mask, &source->geometry, source->layer, head, row, fill);
}

static bool serves(const pare_geometry *g, size_t queries, size_t keys)
{
    if (!queries || !keys || (g->causal && keys < queries))
        return false;
    if (g->kind == PARE_GEOMETRY_DISTANCE)
        return true;
    if (g->kind == PARE_GEOMETRY_RELATIVE)
        return pri_geometry_is_cross(g) || queries == keys;
    return queries <= g->queries &&
           (g->causal ? keys - queries <= pri_geometry_memory(g) : keys <= g->keys);
}

static pare_status fail_shape(const pare_geometry *g, size_t queries, size_t keys)
{
    if (g->kind != PARE_GEOMETRY_CELL && pri_geometry_is_cross(g))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a mask serves calls of at least one query and one key, not %zu and %zu",
                        queries, keys);
    if (g->kind != PARE_GEOMETRY_CELL)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a %s mask serves calls with %s as queries, which are at least one, not "
                        "%zu queries and %zu keys",
                        pare_geometry_names[g->kind],
                        g->causal ? "as many keys or more" : "as many keys", queries, keys);
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask was observed with %zu queries and %zu keys and cannot serve %zu "
                    "queries and %zu keys; observe at that length, or prune with %s geometry",
                    g->queries, g->keys, queries, keys, g->causal ? "distance" : "relative");
}

pare_status pare_mask_plan(const pare_mask *mask, size_t layer, size_t queries, size_t keys,
                           pare_plan **plan)
{
    *plan = NULL;
    const pare_geometry *g = &mask->geometry;
    if (layer >= g->layers)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask was made for a model of %zu layers and has no layer %zu",
                        g->layers, layer + 1);
    if (!serves(g, queries, keys))
        return fail_shape(g, queries, keys);
    plan_source source = {mask, layer, *g};
    if (g->kind != PARE_GEOMETRY_CELL) {
        source.geometry.queries = queries;
        source.geometry.keys = keys;
    }
    pare_plan_geometry geometry = {.heads = g->heads,
                                   .queries = source.geometry.queries,
                                   .keys = source.geometry.keys,
                                   .causal = g->causal};
    return pare_plan_create(&geometry, fill_row, &source, plan);
}
