/* Which cells to prune.
 *
 * Every candidate (an admissible cell that was observed) has a key: its average for attention
 * pruning and compat, a random number for the control. Within a group of the scope the cells with
 * the smallest keys go; among equal keys the first in the order of layer, head, row and column.
 * Choosing by a threshold over one pass order makes the result independent of everything else, and
 * makes masks nest as the percentage grows. A row left empty gets back the cell that would have
 * gone last, which keeps them nested. */
#include "pruning/mask.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "pruning/selection.h"

typedef struct cell_selection {
    pare_mask *mask;
    const pare_average *average;
    const uint64_t *random_keys; /* (layers) */
    uint64_t *pool;              /* keys of a group's candidates */
    uint64_t *row_keys;          /* (keys) of one row's candidates */
    size_t *row_columns;         /* (keys) and their columns */
} cell_selection;

/* A box of rows over which the smallest share is taken. */
typedef struct cell_group {
    size_t layer_begin, layer_end, head_begin, head_end, row_begin, row_end;
} cell_group;

/* Candidates below `key` go, and the first `ties` of those equal to it. */
typedef struct threshold {
    uint64_t key;
    size_t ties;
} threshold;

static size_t row_candidates(const cell_selection *selection, size_t layer, size_t head, size_t row)
{
    const pare_average *average = selection->average;
    const pare_prune_options *options = &selection->mask->report.options;
    const pare_geometry *g = &average->geometry;
    const uint64_t *counts = average->counts + row * g->keys;
    const double *sums = average->sums + pri_average_index(average, layer, head, row);
    pri_columns columns = pri_geometry_columns(g, row);
    bool random = options->method == PARE_METHOD_RANDOM;
    size_t count = 0;
    for (size_t column = columns.begin; column < columns.end; column++) {
        if (!counts[column])
            continue;
        uint64_t cell = ((uint64_t)head * g->queries + row) * g->keys + column;
        selection->row_keys[count] =
            random ? pri_random_bits(selection->random_keys[layer], cell)
                   : pri_selection_key(pri_average_ratio(average, options->average, sums[column],
                                                         counts[column]));
        selection->row_columns[count++] = column;
    }
    return count;
}

typedef void (*row_visitor)(cell_selection *selection, size_t layer, size_t head, size_t row,
                            void *user);

static void visit_rows(cell_selection *selection, const cell_group *group, row_visitor visit,
                       void *user)
{
    for (size_t layer = group->layer_begin; layer < group->layer_end; layer++)
        for (size_t head = group->head_begin;
             selection->mask->layers[layer] && head < group->head_end; head++)
            for (size_t row = group->row_begin; row < group->row_end; row++)
                visit(selection, layer, head, row, user);
}

static void pool_row(cell_selection *selection, size_t layer, size_t head, size_t row, void *user)
{
    size_t *pooled = user;
    size_t count = row_candidates(selection, layer, head, row);
    memcpy(selection->pool + *pooled, selection->row_keys, count * sizeof *selection->pool);
    *pooled += count;
}

static void prune_row(cell_selection *selection, size_t layer, size_t head, size_t row, void *user)
{
    threshold *limit = user;
    uint8_t *bits = selection->mask->bits + pri_mask_row(selection->mask, layer, head, row);
    size_t count = row_candidates(selection, layer, head, row);
    for (size_t i = 0; i < count; i++) {
        uint64_t key = selection->row_keys[i];
        bool tie = key == limit->key && limit->ties > 0;
        if (tie)
            limit->ties--;
        if (tie || key < limit->key)
            pri_bit_clear(bits, selection->row_columns[i]);
    }
}

static threshold smallest_share(cell_selection *selection, size_t candidates)
{
    size_t pruned = pri_selection_share(selection->mask->report.options.percent, candidates);
    if (!pruned)
        return (threshold){0, 0};
    size_t smaller;
    uint64_t key = pri_selection_at(selection->pool, candidates, pruned - 1, &smaller);
    return (threshold){key, pruned - smaller};
}

/* The reference's percentile over the whole rectangle of a layer, in which everything that is no
 * candidate holds 0. Those zeros need no memory: they come first in the order. */
static threshold reference_percentile(cell_selection *selection, size_t candidates)
{
    const pare_geometry *g = &selection->mask->geometry;
    size_t rectangle = g->heads * g->queries * g->keys, zeros = rectangle - candidates;
    size_t index =
        pri_selection_percentile_index(selection->mask->report.options.percent, rectangle);
    size_t smaller;
    uint64_t key =
        index < zeros ? 0 : pri_selection_at(selection->pool, candidates, index - zeros, &smaller);
    return (threshold){key, SIZE_MAX};
}

static void prune_group(cell_selection *selection, const cell_group *group)
{
    size_t candidates = 0;
    visit_rows(selection, group, pool_row, &candidates);
    threshold limit = selection->mask->report.method == PARE_METHOD_COMPAT
                          ? reference_percentile(selection, candidates)
                          : smallest_share(selection, candidates);
    visit_rows(selection, group, prune_row, &limit);
}

/* When none of the row's guarded candidates is kept, the one that would have gone last comes back.
 */
static void rescue_row(cell_selection *selection, size_t layer, size_t head, size_t row, void *user)
{
    (void)user;
    pare_mask *mask = selection->mask;
    uint8_t *bits = mask->bits + pri_mask_row(mask, layer, head, row);
    pri_columns guarded = pri_mask_guarded_columns(mask, selection->average, row);
    size_t count = row_candidates(selection, layer, head, row), strongest = count;
    for (size_t i = 0; i < count && selection->row_columns[i] < guarded.end; i++) {
        if (pri_bit(bits, selection->row_columns[i]))
            return;
        if (strongest == count || selection->row_keys[i] >= selection->row_keys[strongest])
            strongest = i;
    }
    if (strongest == count)
        return;
    pri_bit_set(bits, selection->row_columns[strongest]);
    mask->report.rescued_rows++;
}

static cell_group whole_model(const pare_geometry *geometry)
{
    return (cell_group){0, geometry->layers, 0, geometry->heads, 0, geometry->queries};
}

static void prune_by_scope(cell_selection *selection)
{
    const pare_geometry *g = &selection->mask->geometry;
    pare_scope scope = selection->mask->report.options.scope;
    cell_group group = whole_model(g);
    if (scope == PARE_SCOPE_MODEL) {
        prune_group(selection, &group);
        return;
    }
    size_t heads = scope == PARE_SCOPE_LAYER ? 1 : g->heads;
    size_t rows = scope == PARE_SCOPE_ROW ? g->queries : 1;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < heads; head++)
            for (size_t row = 0; row < rows; row++) {
                group.layer_begin = layer;
                group.layer_end = layer + 1;
                group.head_begin = head;
                group.head_end = heads > 1 ? head + 1 : g->heads;
                group.row_begin = row;
                group.row_end = rows > 1 ? row + 1 : g->queries;
                prune_group(selection, &group);
            }
}

static size_t largest_group(const pare_geometry *geometry, pare_scope scope)
{
    size_t cells = geometry->keys;
    if (scope != PARE_SCOPE_ROW)
        cells *= geometry->queries;
    if (scope == PARE_SCOPE_LAYER || scope == PARE_SCOPE_MODEL)
        cells *= geometry->heads;
    return scope == PARE_SCOPE_MODEL ? cells * geometry->layers : cells;
}

static void select_cells(cell_selection *selection)
{
    prune_by_scope(selection);
    if (selection->mask->report.options.empty_row != PARE_EMPTY_ROW_KEEP_ONE)
        return;
    cell_group everything = whole_model(&selection->mask->geometry);
    visit_rows(selection, &everything, rescue_row, NULL);
}

pare_status pri_mask_prune_cells(pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    const pare_prune_options *options = &mask->report.options;
    uint64_t *random_keys = pri_allocate(g->layers, sizeof *random_keys);
    cell_selection selection = {
        .mask = mask,
        .average = average,
        .random_keys = random_keys,
        .pool = pri_allocate(largest_group(g, options->scope), sizeof *selection.pool),
        .row_keys = pri_allocate(g->keys, sizeof *selection.row_keys),
        .row_columns = pri_allocate(g->keys, sizeof *selection.row_columns)};
    bool complete = random_keys && selection.pool && selection.row_keys && selection.row_columns;
    for (size_t layer = 0; complete && layer < g->layers; layer++)
        random_keys[layer] = pri_random_key(options->seed, "random mask", layer);
    if (complete)
        select_cells(&selection);
    pri_free(random_keys);
    pri_free(selection.pool);
    pri_free(selection.row_keys);
    pri_free(selection.row_columns);
    return complete ? PARE_OK : PARE_ERROR_MEMORY;
}
