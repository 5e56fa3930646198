/* Masks: creation from an average, and the questions that other rooms ask. */
#include "pruning/mask.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define BLOCK_LIMIT 128

static size_t row_bits(const pare_geometry *geometry)
{
    return geometry->kind == PARE_GEOMETRY_CELL ? geometry->keys : pri_geometry_classes(geometry);
}

size_t pri_mask_row_bytes(const pare_geometry *geometry)
{
    size_t bits = row_bits(geometry);
    return bits / 8 + (bits % 8 != 0);
}

pri_columns pri_mask_columns(const pare_mask *mask, size_t row)
{
    const pare_geometry *g = &mask->geometry;
    if (g->kind == PARE_GEOMETRY_CELL)
        return pri_geometry_columns(g, row);
    bool limited = g->window && g->window < mask->row_bits;
    return (pri_columns){0, limited ? g->window : mask->row_bits};
}

size_t pri_mask_count_kept(const uint8_t *row, pri_columns columns)
{
    size_t kept = 0, column = columns.begin;
    while (column < columns.end && column % 8)
        kept += pri_bit(row, column++);
    for (; columns.end - column >= 8; column += 8)
        kept += (size_t)__builtin_popcount(row[column / 8]);
    while (column < columns.end)
        kept += pri_bit(row, column++);
    return kept;
}

#define SHORTEST_GUARDED ((size_t)3) /* tokens, in relative geometry */
#define SHORTEST_SOURCE ((size_t)2)  /* of cross attention */

size_t pri_mask_guarded_rows(const pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    if (g->kind == PARE_GEOMETRY_CELL)
        return g->queries;
    if (pri_geometry_is_cross(g))
        return 1;
    size_t rows = g->kind == PARE_GEOMETRY_DISTANCE ? 1 : SHORTEST_GUARDED;
    return rows < g->queries ? rows : g->queries;
}

pri_columns pri_mask_promised_columns(const pare_mask *mask, size_t row)
{
    pri_columns columns = pri_geometry_columns(&mask->geometry, row);
    const pare_geometry *g = &mask->geometry;
    size_t shortest = pri_geometry_is_cross(g) ? SHORTEST_SOURCE : SHORTEST_GUARDED;
    if (g->kind == PARE_GEOMETRY_RELATIVE && columns.end > shortest)
        columns.end = shortest;
    return columns;
}

/* The columns that were there whenever column 0 was: all examples have that one. */
static size_t count_common_columns(const pare_average *average, size_t row)
{
    size_t keys = average->geometry.keys, common = 1;
    const uint64_t *counts = average->counts + row * keys;
    while (common < keys && counts[common] == counts[0])
        common++;
    return common;
}

pri_columns pri_mask_guarded_columns(const pare_mask *mask, const pare_average *average, size_t row)
{
    pri_columns columns = pri_mask_promised_columns(mask, row);
    const pare_geometry *g = &mask->geometry;
    if (g->kind != PARE_GEOMETRY_CELL || g->causal)
        return columns;
    if (pri_geometry_is_cross(g))
        columns.end = count_common_columns(average, row);
    else if (g->queries == g->keys)
        columns.end = row + 1;
    return columns;
}

static void keep_everything(pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    for (size_t row = 0; row < mask->rows; row++) {
        pri_columns columns = pri_mask_columns(mask, row);
        uint8_t *bits = mask->bits + pri_mask_row(mask, 0, 0, row);
        for (size_t column = columns.begin; column < columns.end; column++)
            pri_bit_set(bits, column);
    }
    size_t head_bytes = mask->rows * mask->row_bytes;
    for (size_t head = 1; head < g->layers * g->heads; head++)
        memcpy(mask->bits + head * head_bytes, mask->bits, head_bytes);
}

pare_status pri_mask_allocate(const pare_geometry *geometry, const pare_prune_options *options,
                              pare_mask **mask)
{
    *mask = NULL;
    pare_mask *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->geometry = *geometry;
    created->rows = geometry->kind == PARE_GEOMETRY_CELL ? geometry->queries : 1;
    created->row_bits = row_bits(geometry);
    created->row_bytes = pri_mask_row_bytes(geometry);
    created->bits =
        pri_allocate_zero(geometry->layers * geometry->heads, created->rows * created->row_bytes);
    created->layers = pri_allocate_zero(geometry->layers, 1);
    if (!created->bits || !created->layers) {
        pare_mask_destroy(created);
        return PARE_ERROR_MEMORY;
    }
    for (size_t layer = 0; layer < geometry->layers; layer++)
        created->layers[layer] = !options->layers_to_prune || options->layers_to_prune[layer];
    created->report.method = options->method;
    created->report.options = *options;
    created->report.options.layers_to_prune = NULL;
    created->report.options.block = options->block > 1 ? options->block : 0;
    created->report.p_requested = options->percent;
    keep_everything(created);
    *mask = created;
    return PARE_OK;
}

void pare_mask_destroy(pare_mask *mask)
{
    if (!mask)
        return;
    pri_free(mask->bits);
    pri_free(mask->layers);
    pri_free(mask);
}

static pare_status check_block(const pare_prune_options *options)
{
    size_t block = options->block;
    if (block <= 1)
        return PARE_OK;
    if (block > BLOCK_LIMIT || (block & (block - 1)))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "blocks of %zu: give a power of two from 2 to %d, or 1 for single cells",
                        block, BLOCK_LIMIT);
    if (options->geometry != PARE_GEOMETRY_CELL || options->method == PARE_METHOD_COMPAT)
        return pri_fail(PARE_ERROR_ARGUMENT, "blocks are for cell geometry, and not for compat, "
                                             "which is the reference's rule for single cells");
    return PARE_OK;
}

static bool is_below(int value, int count)
{
    return value >= 0 && value < count;
}

pare_status pri_prune_options_check(const pare_prune_options *options,
                                    const pare_geometry *geometry)
{
    /* Written so that a NaN fails too. */
    if (!(options->percent >= 0 && options->percent <= 100))
        return pri_fail(PARE_ERROR_ARGUMENT, "percent is %g; give a number from 0 to 100",
                        options->percent);
    if (!is_below((int)options->method, PARE_METHOD_COMPAT + 1) ||
        !is_below((int)options->geometry, PARE_GEOMETRY_RELATIVE + 1) ||
        !is_below((int)options->average, PARE_AVERAGE_MASS + 1) ||
        !is_below((int)options->scope, PARE_SCOPE_MODEL + 1) ||
        !is_below((int)options->empty_row, PARE_EMPTY_ROW_UNIFORM + 1))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "method, geometry, average, scope or empty row policy is out of range");
    if (options->geometry == PARE_GEOMETRY_DISTANCE && !geometry->causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "distance geometry needs causal attention; use cell or relative geometry");
    if (options->geometry == PARE_GEOMETRY_RELATIVE && geometry->causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "in causal attention a cell's class is its distance; use distance "
                        "geometry, or cell geometry");
    if (options->geometry == PARE_GEOMETRY_RELATIVE && !geometry->ends_first)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "relative geometry needs an average in which the ends of a sequence come "
                        "first; observe so (pare observe --ends-first), or use cell geometry");
    if (options->geometry != PARE_GEOMETRY_CELL && options->scope == PARE_SCOPE_ROW)
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "scope row is for cell geometry: all rows of a head share one set of classes");
    PRI_TRY(check_block(options));
    if (options->method == PARE_METHOD_COMPAT &&
        (options->geometry != PARE_GEOMETRY_CELL || options->scope != PARE_SCOPE_LAYER))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "compat is the reference's rule: cell geometry and scope layer only");
    return PARE_OK;
}

static bool has_observations(const pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    for (size_t i = 0; i < g->queries * g->keys; i++)
        if (average->counts[i])
            return average->examples > 0;
    return false;
}

pare_status pare_mask_create(const pare_average *average, const pare_prune_options *options,
                             pare_mask **mask)
{
    *mask = NULL;
    PRI_TRY(pri_prune_options_check(options, &average->geometry));
    if (!has_observations(average))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the average holds no examples; observe some data before pruning");
    pare_geometry geometry = average->geometry;
    geometry.kind = options->geometry;
    pare_mask *created;
    PRI_TRY(pri_mask_allocate(&geometry, options, &created));
    bool single = geometry.kind == PARE_GEOMETRY_CELL && !created->report.options.block;
    pare_status status =
        single ? pri_mask_prune_cells(created, average) : pri_mask_prune_classes(created, average);
    if (status != PARE_OK) {
        pare_mask_destroy(created);
        return status;
    }
    pri_mask_count(created);
    pri_mask_weigh(created, average);
    *mask = created;
    return PARE_OK;
}

const pare_geometry *pare_mask_geometry(const pare_mask *mask)
{
    return &mask->geometry;
}

bool pare_mask_kept_at_distance(const pare_mask *mask, size_t layer, size_t head, size_t distance)
{
    const pare_geometry *g = &mask->geometry;
    if (g->kind != PARE_GEOMETRY_DISTANCE || layer >= g->layers || head >= g->heads ||
        !pri_geometry_distance_admissible(g, distance))
        return false;
    return distance >= g->keys ||
           pri_bit(mask->bits + pri_mask_row(mask, layer, head, 0), distance);
}

bool pare_mask_kept(const pare_mask *mask, size_t layer, size_t head, size_t row, size_t column)
{
    const pare_geometry *g = &mask->geometry;
    if (layer >= g->layers || head >= g->heads)
        return false;
    if (g->kind == PARE_GEOMETRY_CELL)
        return row < g->queries && column < g->keys &&
               pri_bit(mask->bits + pri_mask_row(mask, layer, head, row), column);
    if (g->kind == PARE_GEOMETRY_RELATIVE) {
        size_t class_index = pri_geometry_class(g, row, column);
        return class_index >= mask->row_bits ||
               pri_bit(mask->bits + pri_mask_row(mask, layer, head, 0), class_index);
    }
    size_t newest = row + pri_geometry_memory(g);
    return column <= newest && pare_mask_kept_at_distance(mask, layer, head, newest - column);
}

uint64_t pare_mask_digest(const pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    const uint64_t numbers[] = {
        (uint64_t)g->kind, g->layers, g->heads,  g->queries,
        g->keys,           g->causal, g->window, (uint64_t)mask->report.options.empty_row};
    uint64_t hash = pri_hash(PRI_HASH_START, numbers, sizeof numbers);
    /* Checkpoints know masks without the field by their digest: it stays what it was. */
    if (g->ends_first)
        hash = pri_hash(hash, "ends first", strlen("ends first"));
    if (pri_geometry_is_cross(g)) {
        hash = pri_hash(hash, "cross", strlen("cross"));
        hash = pri_hash(hash, &g->ratio, sizeof g->ratio);
    }
    return pri_hash(hash, mask->bits, g->layers * g->heads * mask->rows * mask->row_bytes);
}

pare_mask_report pare_mask_describe(const pare_mask *mask)
{
    return mask->report;
}
