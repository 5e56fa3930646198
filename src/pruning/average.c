/* The average attention of a data set: one fp64 sum per cell and one count per position.
 *
 * Sums and counts, not running means, so that shards merge by addition and a cell that short
 * sequences do not reach is not diluted by them. A cell is "unknown" as long as its count is 0. */
#include "pruning/average.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"

pare_status pare_average_create(const pare_geometry *geometry, pare_average **average)
{
    *average = NULL;
    PRI_TRY(pri_average_geometry_check(geometry));
    if (geometry->kind != PARE_GEOMETRY_CELL)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "averages are kept per cell; ask for distances when pruning");
    pare_average *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->geometry = *geometry;
    created->sums = pri_allocate_zero((size_t)pri_geometry_rectangle(geometry), sizeof(double));
    created->counts = pri_allocate_zero(geometry->queries * geometry->keys, sizeof(uint64_t));
    if (!created->sums || !created->counts) {
        pare_average_destroy(created);
        return PARE_ERROR_MEMORY;
    }
    *average = created;
    return PARE_OK;
}

void pare_average_destroy(pare_average *average)
{
    if (!average)
        return;
    pri_free(average->sums);
    pri_free(average->counts);
    pri_free(average);
}

const pare_geometry *pare_average_geometry(const pare_average *average)
{
    return &average->geometry;
}

pare_observer pare_average_observer(pare_average *average, size_t layer)
{
    const pare_geometry *g = &average->geometry;
    return (pare_observer){.geometry = {.heads = g->heads,
                                        .queries = g->queries,
                                        .keys = g->keys,
                                        .causal = g->causal},
                           .sums = average->sums + pri_average_index(average, layer, 0, 0),
                           .counts = layer == 0 ? average->counts : NULL};
}

void pare_average_add_examples(pare_average *average, uint64_t examples)
{
    average->examples += examples;
}

uint64_t pare_average_examples(const pare_average *average)
{
    return average->examples;
}

uint64_t pare_average_corpus_hash(const pare_average *average)
{
    return average->corpus_hash;
}

/* File names may be any bytes, but the name has to fit a JSON string of the file. */
void pare_average_set_corpus(pare_average *average, const char *name, uint64_t hash)
{
    average->corpus_hash = hash;
    size_t length = strnlen(name, PRI_CORPUS_CAPACITY - 1);
    memcpy(average->corpus, name, length);
    average->corpus[length] = 0;
    /* A cut through a multi-byte character leaves at most three bytes of it. */
    for (int removed = 0; removed < 3 && name[length] && !pri_utf8_valid(average->corpus);
         removed++)
        average->corpus[--length] = 0;
    if (pri_utf8_valid(average->corpus))
        return;
    for (char *c = average->corpus; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}

static void merge_corpus(pare_average *into, const pare_average *from)
{
    if (!from->corpus[0])
        return;
    if (!into->corpus[0])
        pare_average_set_corpus(into, from->corpus, from->corpus_hash);
    else if (into->corpus_hash != from->corpus_hash || strcmp(into->corpus, from->corpus))
        pare_average_set_corpus(into, "several corpora", into->corpus_hash + from->corpus_hash);
}

#define SHAPE_CAPACITY 160

static void describe_shape(const pare_geometry *g, char text[SHAPE_CAPACITY])
{
    int length =
        snprintf(text, SHAPE_CAPACITY, "%zu x %zu x %zu x %zu%s%s", g->layers, g->heads, g->queries,
                 g->keys, g->causal ? " causal" : "", g->ends_first ? " ends first" : "");
    if (g->window)
        snprintf(text + length, SHAPE_CAPACITY - (size_t)length, " with window %zu", g->window);
    if (pri_geometry_is_cross(g))
        snprintf(text + length, SHAPE_CAPACITY - (size_t)length, " cross with ratio %.17g",
                 g->ratio);
}

/* Source tokens per target token of the examples that were counted: all of them have a first row
 * and a first column. */
static double counted_ratio(const pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    double sources = 0, targets = 0;
    for (size_t column = 0; column < g->keys; column++)
        sources += (double)average->counts[column];
    for (size_t row = 0; row < g->queries; row++)
        targets += (double)average->counts[row * g->keys];
    return targets > 0 ? fmin(fmax(sources / targets, PRI_RATIO_LEAST), PRI_RATIO_MOST) : g->ratio;
}

static bool same_but_for_the_ratio(const pare_geometry *a, pare_geometry b)
{
    if (pri_geometry_is_cross(a) && pri_geometry_is_cross(&b))
        b.ratio = a->ratio;
    return pri_geometry_same(a, &b);
}

pare_status pare_average_merge(pare_average *into, const pare_average *from)
{
    const pare_geometry *a = &into->geometry, *b = &from->geometry;
    if (!same_but_for_the_ratio(a, *b)) {
        char wanted[SHAPE_CAPACITY], found[SHAPE_CAPACITY];
        describe_shape(a, wanted);
        describe_shape(b, found);
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "averages of different geometry cannot be merged: %s and %s; observe both "
                        "with the same model and length",
                        wanted, found);
    }
    if (from->examples > PRI_EXAMPLES_LIMIT - into->examples)
        return pri_fail(PARE_ERROR_ARGUMENT, "the merged average would have more than 2^53 "
                                             "examples; check what is merged");
    size_t cells = (size_t)pri_geometry_rectangle(a);
    for (size_t i = 0; i < cells; i++)
        into->sums[i] += from->sums[i];
    for (size_t i = 0; i < a->queries * a->keys; i++)
        into->counts[i] += from->counts[i];
    if (a->ratio != b->ratio)
        into->geometry.ratio = counted_ratio(into);
    into->examples += from->examples;
    merge_corpus(into, from);
    return PARE_OK;
}

uint64_t pare_average_count(const pare_average *average, size_t row, size_t column)
{
    const pare_geometry *g = &average->geometry;
    return row < g->queries && column < g->keys ? average->counts[row * g->keys + column] : 0;
}

double pare_average_value(const pare_average *average, pare_average_kind kind, size_t layer,
                          size_t head, size_t row, size_t column)
{
    const pare_geometry *g = &average->geometry;
    if (layer >= g->layers || head >= g->heads || row >= g->queries)
        return NAN;
    pri_columns columns = pri_geometry_columns(g, row);
    uint64_t count = pare_average_count(average, row, column);
    if (column < columns.begin || column >= columns.end || !count)
        return NAN;
    double sum = average->sums[pri_average_index(average, layer, head, row) + column];
    return pri_average_ratio(average, kind, sum, count);
}

/* `valid` pools all occurrences of the distance; `mass` is the mean over its observed cells, so
 * that far distances, which few rows reach, are compared by what one cell carries. */
double pare_average_at_distance(const pare_average *average, pare_average_kind kind, size_t layer,
                                size_t head, size_t distance)
{
    const pare_geometry *g = &average->geometry;
    size_t rows = (size_t)pri_geometry_rows_at_distance(g, distance);
    if (layer >= g->layers || head >= g->heads || !rows)
        return NAN;
    double sum = 0;
    uint64_t count = 0, cells = 0;
    for (size_t row = g->queries - rows; row < g->queries; row++) {
        size_t column = row + pri_geometry_memory(g) - distance;
        uint64_t here = average->counts[row * g->keys + column];
        if (!here)
            continue;
        sum += average->sums[pri_average_index(average, layer, head, row) + column];
        count += here;
        cells++;
    }
    if (!cells)
        return NAN;
    return kind == PARE_AVERAGE_VALID ? sum / (double)count
                                      : sum / (double)cells / (double)average->examples;
}

double pri_average_total(const pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    double total = 0;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < g->heads; head++)
            for (size_t row = 0; row < g->queries; row++) {
                const double *sums = average->sums + pri_average_index(average, layer, head, row);
                pri_columns columns = pri_geometry_columns(g, row);
                for (size_t column = columns.begin; column < columns.end; column++)
                    total += sums[column];
            }
    return total;
}
