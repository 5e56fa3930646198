/* The inside of an average, for the files of this room. */
#ifndef PARE_SRC_PRUNING_AVERAGE_H
#define PARE_SRC_PRUNING_AVERAGE_H

#include "pruning/geometry.h"

#define PRI_CORPUS_CAPACITY 64

struct pare_average {
    pare_geometry geometry;
    double *sums;     /* (layers, heads, queries, keys) */
    uint64_t *counts; /* (queries, keys) */
    uint64_t examples;
    char corpus[PRI_CORPUS_CAPACITY];
    uint64_t corpus_hash;
};

/* Counts stay exact as fp64 numbers up to here, and sums of them far from overflow. */
#define PRI_EXAMPLES_LIMIT (UINT64_C(1) << 53)

/* A probability computed in fp32 may exceed 1 by rounding; more than this is no probability. */
#define PRI_PROBABILITY_SLACK 1e-4

static inline size_t pri_average_index(const pare_average *average, size_t layer, size_t head,
                                       size_t row)
{
    const pare_geometry *g = &average->geometry;
    return ((layer * g->heads + head) * g->queries + row) * g->keys;
}

/* Of an admissible observed cell: count > 0. */
static inline double pri_average_ratio(const pare_average *average, pare_average_kind kind,
                                       double sum, uint64_t count)
{
    return sum / (double)(kind == PARE_AVERAGE_VALID ? count : average->examples);
}

/* Over all admissible cells of all layers and heads. */
double pri_average_total(const pare_average *average);

/* Parsers behind pare_average_load and pare_average_import_npy. `name` is for messages. */
pare_status pri_average_parse(const uint8_t *data, size_t size, const char *name,
                              pare_average **average);
pare_status pri_average_parse_npy(const uint8_t *data, size_t size, const char *name, bool causal,
                                  pare_average **average);

#endif
