/* Embeddings: rows of a table, and Transformer-XL's adaptive form where each cluster of words has
 * its own width and a projection to the model's. */
#include <string.h>

#include "nn/tape.h"

/* The caller's ids need not outlive the call. */
static uint32_t *copy_ids(pare_tape *tape, const uint32_t *ids, size_t count)
{
    uint32_t *copy = pri_tape_allocate(tape, count, sizeof *copy);
    if (copy && count)
        memcpy(copy, ids, count * sizeof *copy);
    return copy;
}

static pare_status check_ids(const uint32_t *ids, size_t count, size_t vocabulary)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "embedding: token %zu is %lu but the table has %zu rows; the text was "
                            "encoded with another vocabulary",
                            i, (unsigned long)ids[i], vocabulary);
    return PARE_OK;
}

/* output row i = factor * table row ids[i] */
static void gather(const pare_tape *tape, const float *table, const uint32_t *ids, size_t count,
                   size_t columns, float factor, float *output)
{
    size_t rows = pri_block_rows(columns), blocks = pri_divide_up(count, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t block = 0; block < blocks; block++) {
        size_t end = block * rows + pri_smaller(count - block * rows, rows);
        for (size_t i = block * rows; i < end; i++)
            tape->kernels->add_scaled(columns, factor, table + ids[i] * columns, 0.0f,
                                      output + i * columns);
    }
}

/* ---- One table ---- */

typedef struct embedding_record {
    pri_record base;
    pare_tensor *weight;
    uint32_t *ids;
    float scale;
} embedding_record;

static pare_status embedding_backward(pare_tape *tape, pri_record *base)
{
    embedding_record *record = (embedding_record *)base;
    PRI_TRY(pri_gradient_begin_zero(tape, record->weight));
    return pri_scatter_add(tape, record->ids, base->output->rows, base->output->columns,
                           record->scale, base->output->gradient, record->weight->gradient);
}

pare_tensor *pare_embedding(pare_tape *tape, pare_tensor *weight, const uint32_t *ids, size_t count,
                            float scale)
{
    if (!pri_tape_ready(tape, weight))
        return NULL;
    pare_status status = check_ids(ids, count, weight->rows);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *output = pri_tape_result(tape, count, weight->columns, pri_wants_gradient(weight));
    embedding_record *record = pri_tape_record(tape, embedding_backward, output, sizeof *record);
    uint32_t *copy = copy_ids(tape, ids, count);
    if (!record || !copy)
        return NULL;
    record->weight = weight;
    record->ids = copy;
    record->scale = scale;
    gather(tape, weight->value, copy, count, weight->columns, scale, output->value);
    return output;
}

/* ---- Clusters of words ---- */

typedef struct cluster_tokens {
    pare_tensor *weight, *projection;
    uint32_t *ids;       /* within the cluster */
    uint32_t *positions; /* rows of the result */
    size_t count;
    float *vectors; /* (count, size) before the projection */
} cluster_tokens;

typedef struct adaptive_record {
    pri_record base;
    size_t clusters;
    float scale;
    cluster_tokens tokens[PARE_CLUSTERS_MAX];
} adaptive_record;

/* Rows named by positions: rows of `output` = factor * rows of x in order. */
static void spread(const pare_tape *tape, const float *x, const uint32_t *positions, size_t count,
                   size_t columns, float factor, float *output)
{
    size_t rows = pri_block_rows(columns), blocks = pri_divide_up(count, rows);
#pragma omp parallel for num_threads(pri_threads(tape->context, blocks)) schedule(static)
    for (size_t block = 0; block < blocks; block++) {
        size_t end = block * rows + pri_smaller(count - block * rows, rows);
        for (size_t i = block * rows; i < end; i++)
            tape->kernels->add_scaled(columns, factor, x + i * columns, 0.0f,
                                      output + positions[i] * columns);
    }
}

static pare_status cluster_backward(pare_tape *tape, const adaptive_record *record,
                                    const cluster_tokens *tokens)
{
    const pare_tensor *output = record->base.output;
    pare_tensor *weight = tokens->weight, *projection = tokens->projection;
    size_t count = tokens->count, d = output->columns, size = weight->columns;
    float *gradient = pri_tape_allocate(tape, count * d, sizeof *gradient);
    if (!gradient)
        return tape->status;
    gather(tape, output->gradient, tokens->positions, count, d, record->scale, gradient);
    if (pri_wants_gradient(projection)) {
        float beta;
        PRI_TRY(pri_gradient_begin(tape, projection, &beta));
        PRI_TRY(pare_matrix_product(tape->context, true, false, d, size, count, 1.0f, gradient, d,
                                    tokens->vectors, size, beta, projection->gradient, size));
    }
    if (!pri_wants_gradient(weight))
        return PARE_OK;
    if (projection) {
        float *narrow = pri_tape_allocate(tape, count * size, sizeof *narrow);
        if (!narrow)
            return tape->status;
        PRI_TRY(pare_matrix_product(tape->context, false, false, count, size, d, 1.0f, gradient, d,
                                    projection->value, size, 0.0f, narrow, size));
        gradient = narrow;
    }
    PRI_TRY(pri_gradient_begin_zero(tape, weight));
    return pri_scatter_add(tape, tokens->ids, count, size, 1.0f, gradient, weight->gradient);
}

static pare_status adaptive_backward(pare_tape *tape, pri_record *base)
{
    const adaptive_record *record = (adaptive_record *)base;
    for (size_t c = 0; c < record->clusters; c++)
        if (record->tokens[c].count)
            PRI_TRY(cluster_backward(tape, record, &record->tokens[c]));
    return PARE_OK;
}

static pare_status cluster_forward(pare_tape *tape, const adaptive_record *record,
                                   cluster_tokens *tokens)
{
    const pare_tensor *output = record->base.output;
    const pare_tensor *weight = tokens->weight, *projection = tokens->projection;
    size_t count = tokens->count, d = output->columns, size = weight->columns;
    tokens->vectors = pri_tape_allocate(tape, count * size, sizeof(float));
    if (!tokens->vectors)
        return tape->status;
    gather(tape, weight->value, tokens->ids, count, size, 1.0f, tokens->vectors);
    const float *wide = tokens->vectors;
    if (projection) {
        float *projected = pri_tape_allocate(tape, count * d, sizeof *projected);
        if (!projected)
            return tape->status;
        PRI_TRY(pare_matrix_product(tape->context, false, true, count, d, size, 1.0f,
                                    tokens->vectors, size, projection->value, size, 0.0f, projected,
                                    d));
        wide = projected;
    }
    spread(tape, wide, tokens->positions, count, d, record->scale, output->value);
    return PARE_OK;
}

static size_t model_size(const pare_adaptive_words *words)
{
    return words->projection[0] ? words->projection[0]->rows : words->weight[0]->columns;
}

static pare_status check_words(const pare_adaptive_words *words)
{
    size_t begin = 0, d = model_size(words);
    for (size_t c = 0; c < words->clusters; c++) {
        const pare_tensor *weight = words->weight[c], *projection = words->projection[c];
        size_t size = projection ? projection->columns : d;
        if (words->cutoffs[c] <= begin || weight->rows != words->cutoffs[c] - begin ||
            weight->columns != size || (projection && projection->rows != d))
            return pri_fail(
                PARE_ERROR_ARGUMENT,
                "adaptive embedding: cluster %zu ends at word %zu and has a %zu x %zu "
                "weight and a projection of %zu x %zu; words, widths and the model size "
                "%zu do not fit together",
                c, words->cutoffs[c], weight->rows, weight->columns,
                projection ? projection->rows : 0, projection ? projection->columns : 0, d);
        begin = words->cutoffs[c];
    }
    return PARE_OK;
}

static bool words_present(const pare_adaptive_words *words)
{
    bool present = words->clusters >= 1 && words->clusters <= PARE_CLUSTERS_MAX;
    for (size_t c = 0; present && c < words->clusters; c++)
        present = words->weight[c] != NULL;
    return present;
}

/* Which cluster each token belongs to, and the tokens of each in order. */
static void sort_into_clusters(const pare_adaptive_words *words, const uint32_t *ids, size_t count,
                               adaptive_record *record)
{
    for (size_t i = 0; i < count; i++) {
        size_t c = 0;
        while (ids[i] >= words->cutoffs[c])
            c++;
        cluster_tokens *tokens = &record->tokens[c];
        tokens->ids[tokens->count] = ids[i] - (uint32_t)(c ? words->cutoffs[c - 1] : 0);
        tokens->positions[tokens->count++] = (uint32_t)i;
    }
}

pare_tensor *pare_adaptive_embedding(pare_tape *tape, const pare_adaptive_words *words,
                                     const uint32_t *ids, size_t count, float scale)
{
    if (!pri_tape_ready(tape, words_present(words)))
        return NULL;
    pare_status status = check_words(words);
    if (status == PARE_OK)
        status = check_ids(ids, count, words->cutoffs[words->clusters - 1]);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    bool wants_gradient = false;
    for (size_t c = 0; c < words->clusters; c++)
        wants_gradient |=
            pri_wants_gradient(words->weight[c]) || pri_wants_gradient(words->projection[c]);
    pare_tensor *output = pri_tape_result(tape, count, model_size(words), wants_gradient);
    adaptive_record *record = pri_tape_record(tape, adaptive_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->clusters = words->clusters;
    record->scale = scale;
    for (size_t c = 0; c < words->clusters; c++)
        record->tokens[c] =
            (cluster_tokens){.weight = words->weight[c],
                             .projection = words->projection[c],
                             .ids = pri_tape_allocate(tape, count, sizeof(uint32_t)),
                             .positions = pri_tape_allocate(tape, count, sizeof(uint32_t))};
    if (tape->status != PARE_OK)
        return NULL;
    sort_into_clusters(words, ids, count, record);
    for (size_t c = 0; c < words->clusters; c++)
        if (record->tokens[c].count && status == PARE_OK)
            status = cluster_forward(tape, record, &record->tokens[c]);
    return status == PARE_OK ? output : pri_tape_fail(tape, status);
}
