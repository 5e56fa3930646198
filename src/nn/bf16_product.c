/* Matrix products in bf16: both operands are rounded and packed into words of two numbers that are
 * neighbours in k, a block at a time, then tiles of the output are computed, each by one thread.
 * Sums over k run within a tile from block to block, so their order does not depend on threads.
 *
 * Written here rather than asked of oneDNN: its matmul primitive compiles code for each shape, and
 * the rows of a cluster of the adaptive softmax differ from step to step. */
#include "nn/bf16_product.h"

#include "base/arithmetic.h"
#include "base/context.h"
#include "base/memory.h"
#include "base/status.h"

/* Rows, columns and k of a block: packed operands of 2 MB each stay in caches. */
#define BLOCK ((size_t)1024)
/* What a thread takes at a time: rows of the output, pairs of rows to pack. */
#define TASK_ROWS (2 * PRI_BF16_ROWS)
#define PACKED_PAIRS ((size_t)8)

#ifdef PARE_WITH_x86_64_v4
extern const pri_bf16_kernels pri_bf16_kernels_x86_64_v4;
#endif

const pri_bf16_kernels *pri_bf16_kernels_for(const pare_context *context)
{
#ifdef PARE_WITH_x86_64_v4
    if (context->has_bf16)
        return &pri_bf16_kernels_x86_64_v4;
#else
    (void)context;
#endif
    return NULL;
}

pare_status pare_context_check_precision(const pare_context *context, pare_precision precision)
{
    if (precision == PARE_PRECISION_FP32 || pri_bf16_kernels_for(context))
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "precision bf16 needs a CPU with AVX512-BF16 and the instruction-set level "
                    "x86-64-v4 (here: %s); use precision fp32",
                    pare_level_name(context->level));
}

pare_status pare_context_set_precision(pare_context *context, pare_precision precision)
{
    PRI_TRY(pare_context_check_precision(context, precision));
    context->bf16 = precision == PARE_PRECISION_BF16 ? pri_bf16_kernels_for(context) : NULL;
    return PARE_OK;
}

pare_precision pare_context_precision(const pare_context *context)
{
    return context->bf16 ? PARE_PRECISION_BF16 : PARE_PRECISION_FP32;
}

/* What all threads of a product share. */
typedef struct product_blocks {
    const pri_product *product;
    const pri_bf16_kernels *kernels;
    uint32_t *a, *b;            /* packed */
    size_t row, column, k;      /* where the blocks begin */
    size_t rows, columns, size; /* and how large they are */
} product_blocks;

static size_t pairs_of(const product_blocks *blocks)
{
    return (blocks->size + 1) / 2;
}

static size_t panel_columns(const product_blocks *blocks, size_t panel)
{
    return pri_smaller(blocks->columns - panel * PRI_BF16_COLUMNS, PRI_BF16_COLUMNS);
}

/* Words of `count` columns of a matrix with k down its rows. Whole rows are read, since their
 * pieces for one panel are too short for memory to stream. */
static void pack_across(const product_blocks *blocks, size_t begin, const float *x, size_t stride,
                        size_t count, uint32_t *words, size_t pair_stride, size_t run_stride)
{
    size_t end = begin + pri_smaller(pairs_of(blocks) - begin, PACKED_PAIRS);
    for (size_t pair = begin; pair < end; pair++) {
        const float *first = x + (blocks->k + 2 * pair) * stride;
        const float *second = 2 * pair + 1 < blocks->size ? first + stride : NULL;
        blocks->kernels->pack_across(count, first, second, words + pair * pair_stride, run_stride);
    }
}

static size_t pieces_of(const product_blocks *blocks, bool across, size_t count)
{
    return across ? pri_divide_up(pairs_of(blocks), PACKED_PAIRS)
                  : pri_divide_up(count, PRI_BF16_COLUMNS);
}

static void pack_b(const product_blocks *blocks, size_t piece)
{
    const pri_product *p = blocks->product;
    size_t panel_words = PRI_BF16_COLUMNS * pairs_of(blocks);
    if (!p->transpose_b) {
        pack_across(blocks, piece * PACKED_PAIRS, p->b + blocks->column, p->ldb, blocks->columns,
                    blocks->b, PRI_BF16_COLUMNS, panel_words);
        return;
    }
    size_t column = blocks->column + piece * PRI_BF16_COLUMNS;
    blocks->kernels->pack_panel_transposed(panel_columns(blocks, piece), blocks->size,
                                           p->b + column * p->ldb + blocks->k, p->ldb,
                                           blocks->b + piece * panel_words);
}

/* a's words are (rows, pairs), or (pairs, BLOCK) when it is transposed. */
static void pack_a(const product_blocks *blocks, size_t piece)
{
    const pri_product *p = blocks->product;
    if (p->transpose_a) {
        pack_across(blocks, piece * PACKED_PAIRS, p->a + blocks->row, p->lda, blocks->rows,
                    blocks->a, BLOCK, PRI_BF16_COLUMNS);
        return;
    }
    size_t begin = piece * PRI_BF16_COLUMNS;
    size_t end = begin + pri_smaller(blocks->rows - begin, PRI_BF16_COLUMNS);
    for (size_t row = begin; row < end; row++)
        blocks->kernels->pack_along(blocks->size, p->a + (blocks->row + row) * p->lda + blocks->k,
                                    blocks->a + row * pairs_of(blocks));
}

static void multiply(const product_blocks *blocks, size_t panel, size_t begin)
{
    const pri_product *p = blocks->product;
    size_t end = begin + pri_smaller(blocks->rows - begin, TASK_ROWS), pairs = pairs_of(blocks);
    pri_bf16_tile tile = {
        .columns = panel_columns(blocks, panel),
        .pairs = pairs,
        .row_stride = p->transpose_a ? 1 : pairs,
        .pair_stride = p->transpose_a ? BLOCK : 1,
        .panel = blocks->b + panel * PRI_BF16_COLUMNS * pairs,
        .alpha = p->alpha,
        .beta = blocks->k ? 1.0f : p->beta,
        .output_stride = p->ldo,
    };
    for (size_t row = begin; row < end; row += PRI_BF16_ROWS) {
        tile.rows = pri_smaller(end - row, PRI_BF16_ROWS);
        tile.a = blocks->a + row * tile.row_stride;
        tile.output =
            p->output + (blocks->row + row) * p->ldo + blocks->column + panel * PRI_BF16_COLUMNS;
        blocks->kernels->multiply(&tile);
    }
}

/* Every thread runs this with blocks of its own that say the same. */
static void run(product_blocks blocks)
{
    const pri_product *p = blocks.product;
    for (blocks.column = 0; blocks.column < p->n; blocks.column += BLOCK)
        for (blocks.k = 0; blocks.k < p->k; blocks.k += BLOCK) {
            blocks.columns = pri_smaller(p->n - blocks.column, BLOCK);
            blocks.size = pri_smaller(p->k - blocks.k, BLOCK);
            size_t panels = pri_divide_up(blocks.columns, PRI_BF16_COLUMNS);
            size_t pieces = pieces_of(&blocks, !p->transpose_b, blocks.columns);
#pragma omp for schedule(static) nowait
            for (size_t piece = 0; piece < pieces; piece++)
                pack_b(&blocks, piece);
            for (blocks.row = 0; blocks.row < p->m; blocks.row += BLOCK) {
                blocks.rows = pri_smaller(p->m - blocks.row, BLOCK);
                pieces = pieces_of(&blocks, p->transpose_a, blocks.rows);
#pragma omp for schedule(static)
                for (size_t piece = 0; piece < pieces; piece++)
                    pack_a(&blocks, piece);
                size_t groups = pri_divide_up(blocks.rows, TASK_ROWS);
#pragma omp for schedule(static)
                for (size_t task = 0; task < panels * groups; task++)
                    multiply(&blocks, task / groups, task % groups * TASK_ROWS);
            }
        }
}

/* Room for the packed operands, kept in the context. */
static uint32_t *scratch(pare_context *context, size_t words)
{
    if (words > context->product_words) {
        pri_free(context->product_scratch);
        context->product_scratch = pri_allocate(words, sizeof *context->product_scratch);
        context->product_words = context->product_scratch ? words : 0;
    }
    return context->product_scratch;
}

pare_status pri_bf16_product(pare_context *context, const pri_product *product)
{
    size_t pairs = pri_divide_up(pri_smaller(product->k, BLOCK), 2);
    size_t rows = product->transpose_a ? BLOCK : pri_smaller(product->m, BLOCK);
    size_t columns =
        pri_divide_up(pri_smaller(product->n, BLOCK), PRI_BF16_COLUMNS) * PRI_BF16_COLUMNS;
    uint32_t *words = scratch(context, (rows + columns) * pairs);
    if (!words)
        return PARE_ERROR_MEMORY;
    product_blocks blocks = {
        .product = product, .kernels = context->bf16, .a = words + columns * pairs, .b = words};
#pragma omp parallel num_threads(pri_product_is_small(product) ? 1 : context->threads)
    run(blocks);
    return PARE_OK;
}
