/* Which points `pare bench attention` measures. */
#include <stdlib.h>
#include <string.h>

#include "bench_attention.h"

/* In the full grid: plans that would take gigabytes tell nothing that smaller ones do not. */
#define FULL_KEPT_CELLS_MOST ((double)(1 << 26))

#define LIST(...)                                                                                  \
    (number_list)                                                                                  \
    {                                                                                              \
        sizeof((double[]){__VA_ARGS__}) / sizeof(double),                                          \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static bool add_point(bench_grid *grid, const bench_point *point)
{
    if (grid->count == grid->capacity) {
        size_t capacity = grid->capacity ? 2 * grid->capacity : 64;
        bench_point *points = realloc(grid->points, capacity * sizeof *points);
        if (!points)
            return false;
        grid->points = points;
        grid->capacity = capacity;
    }
    grid->points[grid->count++] = *point;
    return true;
}

void grid_free(bench_grid *grid)
{
    free(grid->points);
}

static bool contains(const number_list *list, double value)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->values[i] == value)
            return true;
    return false;
}

/* ---- Products of axes ---- */

static bool add_learned(bench_grid *grid, const bench_axes *axes, const learned_set *learned,
                        bench_point point)
{
    for (size_t i = 0; i < learned->count; i++) {
        const pare_geometry *geometry = pare_mask_geometry(learned->masks[i].mask);
        pare_mask_report report = pare_mask_describe(learned->masks[i].mask);
        if (!axes->any_learned && !contains(&axes->lengths, (double)geometry->keys))
            continue;
        point.learned = &learned->masks[i];
        point.density = 1 - report.p_admissible / 100;
        point.shape = (bench_shape){
            .heads = geometry->layers * geometry->heads,
            .head_size = point.shape.head_size,
            .queries = geometry->queries,
            .keys = geometry->keys,
            .window = geometry->window,
            .causal = geometry->causal,
            .relative = axes->relative && geometry->causal,
        };
        if (!add_point(grid, &point))
            return false;
    }
    return true;
}

static bool add_family(bench_grid *grid, const bench_axes *axes, bench_point point)
{
    for (size_t i = 0; i < axes->lengths.count; i++) {
        size_t keys = (size_t)axes->lengths.values[i];
        point.shape.heads = axes->heads;
        point.shape.keys = keys;
        point.shape.queries = axes->relative ? (keys + 1) / 2 : keys;
        point.shape.causal = axes->causal || axes->relative;
        point.shape.relative = axes->relative;
        for (size_t j = 0; j < axes->densities.count; j++) {
            point.density = axes->densities.values[j] / 100;
            if (!add_point(grid, &point))
                return false;
        }
    }
    return true;
}

static bool add_families(bench_grid *grid, const bench_axes *axes, const learned_set *learned,
                         bench_point point)
{
    for (size_t i = 0; i < axes->families.count; i++) {
        point.family = (mask_family)axes->families.values[i];
        bool added = point.family == FAMILY_LEARNED ? add_learned(grid, axes, learned, point)
                                                    : add_family(grid, axes, point);
        if (!added)
            return false;
    }
    return true;
}

bool grid_add(bench_grid *grid, const bench_axes *axes, const learned_set *learned)
{
    for (size_t i = 0; i < axes->levels.count; i++)
        for (size_t j = 0; j < axes->threads.count; j++)
            for (size_t k = 0; k < axes->head_sizes.count; k++) {
                bench_point point = {.level = (int)axes->levels.values[i],
                                     .threads = (int)axes->threads.values[j],
                                     .shape.head_size = (size_t)axes->head_sizes.values[k]};
                if (!add_families(grid, axes, learned, point))
                    return false;
            }
    return true;
}

/* ---- The two grids ---- */

bool grid_add_default(bench_grid *grid, size_t heads, const learned_set *learned)
{
    bench_axes axes = {
        .families = LIST(FAMILY_RANDOM),
        .densities = LIST(2, 5, 10, 20, 50),
        .lengths = LIST(256, 512, 1024),
        .head_sizes = LIST(64),
        .threads = LIST(0),
        .levels = LIST(DEFAULT_LEVEL),
        .heads = heads,
        .any_learned = true,
    };
    bool added = grid_add(grid, &axes, learned);
    axes.lengths = LIST(2048);
    axes.densities = LIST(10);
    added = added && grid_add(grid, &axes, learned);
    axes.lengths = LIST(1024);
    axes.head_sizes = LIST(32, 128);
    added = added && grid_add(grid, &axes, learned);
    axes.head_sizes = LIST(64);
    axes.densities = LIST(2, 10);
    axes.families = LIST(FAMILY_BAND, FAMILY_STRIPES, FAMILY_BLOCK, FAMILY_LEARNED);
    return added && grid_add(grid, &axes, learned);
}

static bool keeps_too_much(const bench_point *point)
{
    return point->density * admissible_cells(&point->shape) > FULL_KEPT_CELLS_MOST;
}

/* Everything that this machine has besides its default: one thread and the lower levels. */
static number_list other_levels(void)
{
    number_list levels = supported_levels();
    levels.count -= levels.count > 0;
    return levels;
}

bool grid_add_full(bench_grid *grid, size_t heads, const learned_set *learned)
{
    bench_axes axes = {
        .families = LIST(FAMILY_RANDOM, FAMILY_BAND, FAMILY_STRIPES, FAMILY_BLOCK, FAMILY_LEARNED),
        .densities = LIST(1, 2, 5, 10, 20, 30, 50),
        .lengths = LIST(128, 256, 512, 1024, 2048, 4096, 8192, 16384),
        .head_sizes = LIST(64),
        .threads = LIST(0),
        .levels = LIST(DEFAULT_LEVEL),
        .heads = heads,
        .any_learned = true,
    };
    bool added = grid_add(grid, &axes, learned);
    axes.lengths = LIST(256, 1024, 4096);
    axes.densities = LIST(10);
    bench_axes sizes = axes, threads = axes, levels = axes;
    sizes.head_sizes = LIST(32, 128);
    threads.threads = LIST(1);
    levels.levels = other_levels();
    added = added && grid_add(grid, &sizes, learned) && grid_add(grid, &threads, learned) &&
            grid_add(grid, &levels, learned);
    size_t kept = 0;
    for (size_t i = 0; i < grid->count; i++)
        if (!keeps_too_much(&grid->points[i]))
            grid->points[kept++] = grid->points[i];
    grid->count = kept;
    return added;
}

/* ---- Order ---- */

bool same_context(const bench_point *a, const bench_point *b)
{
    return a->threads == b->threads && a->level == b->level;
}

bool same_shape(const bench_shape *a, const bench_shape *b)
{
    return a->heads == b->heads && a->head_size == b->head_size && a->queries == b->queries &&
           a->keys == b->keys && a->window == b->window && a->causal == b->causal &&
           a->relative == b->relative && a->precision == b->precision;
}

/* Stable, and linear in the number of groups: the first point of a group gathers the others. */
void grid_sort(bench_grid *grid)
{
    for (size_t first = 0; first < grid->count;) {
        size_t end = first + 1;
        for (size_t i = end; i < grid->count; i++) {
            bench_point point = grid->points[i];
            if (!same_context(&point, &grid->points[first]) ||
                !same_shape(&point.shape, &grid->points[first].shape))
                continue;
            memmove(&grid->points[end + 1], &grid->points[end], (i - end) * sizeof point);
            grid->points[end++] = point;
        }
        first = end;
    }
}
