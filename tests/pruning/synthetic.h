/* Averages of made-up attention, collected as pare/attention.h says an attention call does. */
#ifndef PARE_TESTS_PRUNING_SYNTHETIC_H
#define PARE_TESTS_PRUNING_SYNTHETIC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "pare/pruning.h"

#define ASSERT_OK(CALL)                                                                            \
    do {                                                                                           \
        if ((CALL) != PARE_OK)                                                                     \
            fail_msg("%s: %s", #CALL, pare_error_message());                                       \
    } while (0)

static inline void expect_message(const char *part)
{
    if (!strstr(pare_error_message(), part))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), part);
}

/* A file name of this process, in the working directory. */
static inline const char *temporary_path(const char *suffix)
{
    static char path[128];
    snprintf(path, sizeof path, "test_pruning_%ld%s", (long)getpid(), suffix);
    return path;
}

/* Adds one sequence of `queries` rows after `memory` keys to every layer and head: a softmax of
 * random scores in a random temperature per head, aligned to the newest key. Keys at or beyond
 * `keys` of a sequence that is not causal do not exist. */
static inline void observe_sequence(pare_average *average, uint64_t seed, size_t queries,
                                    size_t keys)
{
    const pare_geometry *g = pare_average_geometry(average);
    size_t shift = g->causal ? (g->keys - g->queries) - (keys - queries) : 0;
    double *row_values = calloc(g->keys, sizeof *row_values);
    assert_non_null(row_values);
    for (size_t layer = 0; layer < g->layers; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        for (size_t head = 0; head < g->heads; head++)
            for (size_t row = 0; row < queries; row++) {
                size_t end = g->causal ? row + (keys - queries) + 1 : keys;
                size_t begin = g->causal && g->window && end > g->window ? end - g->window : 0;
                double sum = 0;
                for (size_t key = begin; key < end; key++) {
                    uint64_t draw = (((uint64_t)layer * 64 + head) * 4096 + row) * 4096 + key;
                    double u = pri_random_uniform(seed, draw);
                    row_values[key] = 1e-3 + u * u * (double)(head + 1);
                    sum += row_values[key];
                }
                for (size_t key = begin; key < end; key++) {
                    size_t column = key + shift;
                    observer.sums[(head * g->queries + row) * g->keys + column] +=
                        row_values[key] / sum;
                    if (observer.counts && head == 0)
                        observer.counts[row * g->keys + column]++;
                }
            }
    }
    free(row_values);
    pare_average_add_examples(average, 1);
}

/* `sequences` full ones, then some shorter ones when `ragged`. */
static inline pare_average *make_average(pare_geometry geometry, uint64_t seed, size_t sequences,
                                         bool ragged)
{
    pare_average *average;
    ASSERT_OK(pare_average_create(&geometry, &average));
    for (size_t i = 0; i < sequences; i++)
        observe_sequence(average, seed + i, geometry.queries, geometry.keys);
    for (size_t i = 0; ragged && i < sequences; i++) {
        size_t queries = 1 + pri_random_below(seed, i, geometry.queries);
        size_t memory = geometry.causal ? geometry.keys - geometry.queries : 0;
        size_t keys = queries + pri_random_below(seed, 1000 + i, memory + 1);
        if (!geometry.causal && geometry.queries != geometry.keys)
            keys = 1 + pri_random_below(seed, 1000 + i, geometry.keys);
        observe_sequence(average, seed + 7777 + i, queries, keys);
    }
    pare_average_set_corpus(average, "synthetic", 0x1234);
    return average;
}

static inline pare_mask *make_mask(const pare_average *average, pare_prune_options options)
{
    pare_mask *mask;
    ASSERT_OK(pare_mask_create(average, &options, &mask));
    return mask;
}

static inline bool is_admissible(const pare_geometry *g, size_t row, size_t column)
{
    if (!g->causal)
        return true;
    size_t newest = row + g->keys - g->queries;
    return column <= newest && (!g->window || newest - column < g->window);
}

/* Calls `body` with size_t l, h, i, j for every cell of geometry g. */
#define FOR_CELLS(g)                                                                               \
    for (size_t l = 0; l < (g)->layers; l++)                                                       \
        for (size_t h = 0; h < (g)->heads; h++)                                                    \
            for (size_t i = 0; i < (g)->queries; i++)                                              \
                for (size_t j = 0; j < (g)->keys; j++)

#endif
