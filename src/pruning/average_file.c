/* Averages on disk: a safetensors file with "sums" (F64, layers x heads x queries x keys) and
 * "counts" (U64, queries x keys). Reading checks every cell, since a mask made from a damaged
 * average would look like any other. */
#include "pruning/average.h"

#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "pruning/metadata.h"

#define FORMAT "pare-average"

pare_status pare_average_save(const pare_average *average, const char *path)
{
    const pare_geometry *g = &average->geometry;
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    unsigned version = pri_metadata_geometry_version(g);
    pri_metadata_set_format(writer, FORMAT, version);
    pri_metadata_set_geometry(writer, version, g);
    pri_metadata_set_integer(writer, "examples", average->examples);
    pri_safetensors_writer_metadata(writer, "corpus", average->corpus);
    pri_metadata_set_hash(writer, "corpus_hash", average->corpus_hash);
    pri_safetensors_writer_add(writer, "sums", PRI_DATA_F64, 4,
                               (size_t[]){g->layers, g->heads, g->queries, g->keys}, average->sums);
    pri_safetensors_writer_add(writer, "counts", PRI_DATA_U64, 2, (size_t[]){g->queries, g->keys},
                               average->counts);
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

static pare_status fail_cell(const char *name, size_t row, size_t column, const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged average: the cell of row %zu, column %zu %s",
                    name, row, column, reason);
}

static pare_status check_counts(const pare_average *average, const char *name)
{
    const pare_geometry *g = &average->geometry;
    for (size_t row = 0; row < g->queries; row++) {
        pri_columns columns = pri_geometry_columns(g, row);
        for (size_t column = 0; column < g->keys; column++) {
            uint64_t count = average->counts[row * g->keys + column];
            bool admissible = column >= columns.begin && column < columns.end;
            if (count && !admissible)
                return fail_cell(name, row, column, "is not admissible but was counted");
            if (count > average->examples)
                return fail_cell(name, row, column,
                                 "was counted more often than there are examples");
        }
    }
    return PARE_OK;
}

static pare_status check_sums(const pare_average *average, const char *name)
{
    const pare_geometry *g = &average->geometry;
    size_t plane = g->queries * g->keys;
    for (size_t head = 0; head < g->layers * g->heads; head++)
        for (size_t i = 0; i < plane; i++) {
            double sum = average->sums[head * plane + i];
            double limit = (double)average->counts[i] * (1 + PRI_PROBABILITY_SLACK);
            /* Written so that a NaN fails too. */
            if (!(sum >= 0 && sum <= limit))
                return fail_cell(name, i / g->keys, i % g->keys,
                                 "holds a sum that is no sum of as many probabilities");
        }
    return PARE_OK;
}

static pare_status read_tensors(const pri_safetensors *file, pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    const pri_stored_tensor *sums, *counts;
    PRI_TRY(pri_safetensors_get(file, "sums", PRI_DATA_F64, 4,
                                (size_t[]){g->layers, g->heads, g->queries, g->keys}, &sums));
    PRI_TRY(pri_safetensors_get(file, "counts", PRI_DATA_U64, 2, (size_t[]){g->queries, g->keys},
                                &counts));
    memcpy(average->sums, sums->data, sums->bytes);
    memcpy(average->counts, counts->data, counts->bytes);
    PRI_TRY(check_counts(average, pri_safetensors_name(file)));
    return check_sums(average, pri_safetensors_name(file));
}

/* A shape that no tensor of the file backs must not cost memory. */
static pare_status check_extent(const pri_safetensors *file, const pare_geometry *g)
{
    const pri_stored_tensor *tensor;
    return pri_safetensors_get(file, "sums", PRI_DATA_F64, 4,
                               (size_t[]){g->layers, g->heads, g->queries, g->keys}, &tensor);
}

static pare_status read_average(const pri_safetensors *file, pare_average **average)
{
    pare_geometry geometry;
    unsigned version = 0;
    PRI_TRY(pri_metadata_check_format(file, FORMAT, &version));
    PRI_TRY(pri_metadata_geometry(file, version, &geometry));
    PRI_TRY(check_extent(file, &geometry));
    PRI_TRY(pare_average_create(&geometry, average));
    PRI_TRY(pri_metadata_integer(file, "examples", PRI_EXAMPLES_LIMIT, &(*average)->examples));
    PRI_TRY(pri_metadata_copy(file, "corpus", (*average)->corpus, PRI_CORPUS_CAPACITY));
    PRI_TRY(pri_metadata_hash(file, "corpus_hash", &(*average)->corpus_hash));
    return read_tensors(file, *average);
}

static pare_status finish(pri_safetensors *file, pare_average **average)
{
    pare_status status = read_average(file, average);
    pri_safetensors_close(file);
    if (status != PARE_OK) {
        pare_average_destroy(*average);
        *average = NULL;
    }
    return status;
}

pare_status pri_average_parse(const uint8_t *data, size_t size, const char *name,
                              pare_average **average)
{
    *average = NULL;
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_parse(data, size, name, &file));
    return finish(file, average);
}

pare_status pare_average_load(const char *path, pare_average **average)
{
    *average = NULL;
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    return finish(file, average);
}
