/* Matrix products in fp32: the one file that knows oneDNN.
 *
 * dnnl_sgemm picks its own partition of the work from the number of threads and may split the inner
 * dimension, so its bits change with that number. Here the output is cut into tiles whose size
 * follows from the shape alone; each tile is one call on one thread, and tiles are handed to
 * threads in any order. oneDNN chooses its instruction set for the CPU, once in a process: a
 * context's level does not reach it, the variable PARE_ISA does.
 *
 * The tile sizes are measured (2 cores with AVX-512, oneDNN 2.6; GFLOP/s of this scheme against the
 * threaded dnnl_sgemm, for op(a) op(b) = N N / T N / N T):
 *     4096x1024x256  tile 512x512   416/462/474 against 457/486/496
 *     256x1024x2048  tile 128x128   413/388/382 against 389/387/311
 *     1024x256x2048  tile 128x128   369/356/351 against 297/212/372
 *     2048x128x512   tile 128x128   482/421/408 against 488/427/396
 *     128x512x4096   tile  64x128   468/478/307 against 464/474/227
 * Tiles below 64x128 lose up to half their speed to packing.
 *
 * Tried: oneDNN's matmul primitive, which can keep its second operand packed. On one thread, for
 * products of a layer (1024x160x160 N T) 250 GFLOP/s, 257 packed, against 231; but the same for
 * N N and 5% less for T N, so 2% of a training step, for a primitive per shape. */
#include <dnnl.h>
#include <omp.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/status.h"
#include "nn/bf16_product.h"

#define TILE_LARGEST ((size_t)512)
#define TILE_ROWS_SMALLEST ((size_t)64)
#define TILE_COLUMNS_SMALLEST ((size_t)128)
#define TILES_WANTED ((size_t)16)

typedef struct tiling {
    size_t rows, columns; /* of a tile */
    size_t across, count; /* tiles in a row of tiles, tiles in all */
} tiling;

/* Halves the longer side until there are enough tiles, in whole multiples of the smallest tile. */
static tiling choose_tiling(size_t m, size_t n)
{
    size_t rows = TILE_LARGEST, columns = TILE_LARGEST;
    while (rows / 2 >= m && rows > TILE_ROWS_SMALLEST)
        rows /= 2;
    while (columns / 2 >= n && columns > TILE_COLUMNS_SMALLEST)
        columns /= 2;
    while (pri_divide_up(m, rows) * pri_divide_up(n, columns) < TILES_WANTED) {
        bool rows_can = rows > TILE_ROWS_SMALLEST, columns_can = columns > TILE_COLUMNS_SMALLEST;
        if (rows_can && (rows >= columns || !columns_can))
            rows /= 2;
        else if (columns_can)
            columns /= 2;
        else
            break;
    }
    size_t across = pri_divide_up(n, columns);
    return (tiling){rows, columns, across, pri_divide_up(m, rows) * across};
}

static dnnl_status_t compute_tile(const pri_product *p, const tiling *tiles, size_t index)
{
    size_t row = index / tiles->across * tiles->rows;
    size_t column = index % tiles->across * tiles->columns;
    size_t rows = pri_smaller(p->m - row, tiles->rows);
    size_t columns = pri_smaller(p->n - column, tiles->columns);
    const float *a = p->a + (p->transpose_a ? row : row * p->lda);
    const float *b = p->b + (p->transpose_b ? column * p->ldb : column);
    return dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', (dnnl_dim_t)rows,
                      (dnnl_dim_t)columns, (dnnl_dim_t)p->k, p->alpha, a, (dnnl_dim_t)p->lda, b,
                      (dnnl_dim_t)p->ldb, p->beta, p->output + row * p->ldo + column,
                      (dnnl_dim_t)p->ldo);
}

/* An empty sum: dnnl_sgemm has no leading dimension to accept here. */
static void scale_output(const pri_product *p)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            float *cell = p->output + i * p->ldo + j;
            *cell = p->beta == 0.0f ? 0.0f : p->beta * *cell;
        }
}

static pare_status check(const pri_product *p)
{
    size_t columns_a = p->transpose_a ? p->m : p->k;
    size_t columns_b = p->transpose_b ? p->k : p->n;
    if (p->lda < columns_a || p->ldb < columns_b || p->ldo < p->n)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "matrix product %zu x %zu x %zu: leading dimensions %zu, %zu, %zu are "
                        "shorter than the rows; pass the distance between rows in floats",
                        p->m, p->n, p->k, p->lda, p->ldb, p->ldo);
    return PARE_OK;
}

/* Works before anything else in the process has used oneDNN, and changes nothing later. */
static void limit_instructions(pare_level level)
{
    switch (level) {
    case PARE_LEVEL_X86_64_V2:
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);
        break;
    case PARE_LEVEL_X86_64_V3:
        dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
        break;
    default:
        break;
    }
}

static pare_status fp32_product(pare_context *context, const pri_product *p)
{
    if (context->level_from_variable)
        limit_instructions(context->level);
    context->level_from_variable = false;
    tiling tiles = choose_tiling(p->m, p->n);
    bool serial = tiles.count == 1 || pri_product_is_small(p);
    int threads = serial ? 1 : context->threads;
    bool failed = false;
#pragma omp parallel num_threads(threads) reduction(|| : failed)
    {
        /* oneDNN runs on one thread inside an active parallel region; a region of one thread does
         * not count as active, so say it. The setting ends with the region. */
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < tiles.count; i++)
            failed = compute_tile(p, &tiles, i) != dnnl_success || failed;
    }
    if (failed)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "oneDNN refused a matrix product of %zu x %zu x %zu; the shapes may be too "
                        "large for it",
                        p->m, p->n, p->k);
    return PARE_OK;
}

pare_status pare_matrix_product(pare_context *context, bool transpose_a, bool transpose_b, size_t m,
                                size_t n, size_t k, float alpha, const float *a, size_t lda,
                                const float *b, size_t ldb, float beta, float *output, size_t ldo)
{
    pri_product p = {transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, output, ldo};
    PRI_TRY(check(&p));
    if (m == 0 || n == 0)
        return PARE_OK;
    if (k == 0) {
        scale_output(&p);
        return PARE_OK;
    }
    double begin = pri_clock_seconds();
    pare_status status = context->bf16 ? pri_bf16_product(context, &p) : fp32_product(context, &p);
    context->matrix_product_seconds += pri_clock_seconds() - begin;
    return status;
}

double pare_matrix_product_seconds(const pare_context *context)
{
    return context->matrix_product_seconds;
}
