/* Which distances to prune.
 *
 * A class is one head at one distance; it stands for as many cells as observed rows reach it.
 * Within a group of the scope classes go in the order of their average (or of a random number)
 * until the next one would exceed the share of the group's cells, so masks nest as in cell
 * geometry. Among equal averages the first in the order of layer, head and column goes first: the
 * farthest distance. Classes never observed are no candidates and stay. */
#include "pruning/mask.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "pruning/selection.h"

typedef struct distance_class {
    uint64_t key;
    size_t layer, head, distance;
    size_t cells; /* admissible and observed */
} distance_class;

typedef struct class_list {
    distance_class *items;
    size_t count;
} class_list;

static int compare_classes(const void *left, const void *right)
{
    const distance_class *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return (a->distance < b->distance) - (a->distance > b->distance);
}

static size_t observed_cells(const pare_average *average, size_t distance)
{
    const pare_geometry *g = &average->geometry;
    size_t rows = (size_t)pri_geometry_rows_at_distance(g, distance), observed = 0;
    for (size_t row = g->queries - rows; row < g->queries; row++)
        observed += average->counts[row * g->keys + row + pri_geometry_memory(g) - distance] > 0;
    return observed;
}

static uint64_t class_key(const pare_mask *mask, const pare_average *average, size_t layer,
                          size_t head, size_t distance)
{
    const pare_prune_options *options = &mask->report.options;
    if (options->method == PARE_METHOD_RANDOM)
        return pri_random_bits(pri_random_key(options->seed, "random mask", layer),
                               (uint64_t)head * mask->geometry.keys + distance);
    return pri_selection_key(
        pare_average_at_distance(average, options->average, layer, head, distance));
}

/* Appends the classes of one head. */
static void list_head(class_list *list, const pare_mask *mask, const pare_average *average,
                      size_t layer, size_t head)
{
    if (!mask->layers[layer])
        return;
    for (size_t distance = 0; distance < mask->geometry.keys; distance++) {
        size_t cells = observed_cells(average, distance);
        if (cells)
            list->items[list->count++] = (distance_class){
                class_key(mask, average, layer, head, distance), layer, head, distance, cells};
    }
}

/* Prunes the smallest classes of the list and empties it. */
static void prune_list(class_list *list, pare_mask *mask)
{
    size_t candidates = 0, pruned = 0;
    for (size_t i = 0; i < list->count; i++)
        candidates += list->items[i].cells;
    size_t limit = pri_selection_share(mask->report.options.percent, candidates);
    qsort(list->items, list->count, sizeof *list->items, compare_classes);
    for (size_t i = 0; i < list->count; i++) {
        const distance_class *item = &list->items[i];
        if (item->cells > limit - pruned)
            break;
        pruned += item->cells;
        pri_bit_clear(mask->bits + pri_mask_row(mask, item->layer, item->head, 0), item->distance);
    }
    list->count = 0;
}

static void prune_by_scope(class_list *list, pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    pare_scope scope = mask->report.options.scope;
    for (size_t layer = 0; layer < g->layers; layer++) {
        for (size_t head = 0; head < g->heads; head++) {
            list_head(list, mask, average, layer, head);
            if (scope == PARE_SCOPE_HEAD)
                prune_list(list, mask);
        }
        if (scope == PARE_SCOPE_LAYER)
            prune_list(list, mask);
    }
    if (scope == PARE_SCOPE_MODEL)
        prune_list(list, mask);
}

/* Rows of the observed shape that reach no kept distance. */
static size_t empty_rows(const pare_mask *mask, const uint8_t *bits)
{
    size_t limit = pri_mask_columns(mask, 0).end, nearest = 0;
    while (nearest < limit && !pri_bit(bits, nearest))
        nearest++;
    if (nearest == limit)
        return mask->geometry.queries;
    size_t memory = pri_geometry_memory(&mask->geometry);
    return nearest > memory ? nearest - memory : 0;
}

/* When row 0, which reaches the fewest distances, is empty, the strongest of them saves it and all
 * other rows. Among equals the nearest stays. */
static void rescue_head(pare_mask *mask, const pare_average *average, size_t layer, size_t head)
{
    uint8_t *bits = mask->bits + pri_mask_row(mask, layer, head, 0);
    size_t empty = empty_rows(mask, bits);
    if (!empty)
        return;
    size_t strongest = 0;
    uint64_t strongest_key = class_key(mask, average, layer, head, 0);
    for (size_t distance = 1; distance < pri_mask_guarded(mask, 0).end; distance++) {
        uint64_t key = class_key(mask, average, layer, head, distance);
        if (key > strongest_key) {
            strongest = distance;
            strongest_key = key;
        }
    }
    pri_bit_set(bits, strongest);
    mask->report.rescued_rows += empty;
}

pare_status pri_mask_prune_distances(pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    class_list list = {pri_allocate(g->layers * g->heads, g->keys * sizeof *list.items), 0};
    if (!list.items)
        return PARE_ERROR_MEMORY;
    prune_by_scope(&list, mask, average);
    pri_free(list.items);
    if (mask->report.options.empty_row != PARE_EMPTY_ROW_KEEP_ONE)
        return PARE_OK;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < g->heads; head++)
            if (mask->layers[layer])
                rescue_head(mask, average, layer, head);
    return PARE_OK;
}
