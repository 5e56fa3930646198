/* Packing weights into panels, and walking over panels and rows. A panel meets all rows of a block
 * before the next one comes: it stays in the first-level cache or streams from the second, the rows
 * stay in the second. k is never cut, which weights of encoders (k up to some thousands) do not
 * need and which keeps a tile's sums in registers. */
#include "nn/packed_product.h"

#include "base/levels.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/bf16_product.h"

#define DECLARE_LEVEL(name, level) extern const pri_packed_kernels pri_packed_kernels_##name;
PRI_EACH_LEVEL(DECLARE_LEVEL)

#define KERNELS_OF_LEVEL(name, level) [level] = &pri_packed_kernels_##name,
static const pri_packed_kernels *const level_kernels[PARE_LEVEL_COUNT] = {
    PRI_EACH_LEVEL(KERNELS_OF_LEVEL)};

struct pri_packed_weight {
    size_t rows, columns, panel_columns;
    const pri_packed_kernels *kernels;
    float *panels; /* (panels, columns, panel_columns) */
    const pri_bf16_kernels *bf16;
    uint32_t *words; /* bf16: (panels, pairs, panel_columns), in place of `panels` */
};

static size_t pairs_of(const pri_packed_weight *packed)
{
    return pri_divide_up(packed->columns, 2);
}

static size_t panels_of(const pri_packed_weight *packed)
{
    return pri_divide_up(packed->rows, packed->panel_columns);
}

static size_t columns_of_panel(const pri_packed_weight *packed, size_t panel)
{
    return pri_smaller(packed->rows - panel * packed->panel_columns, packed->panel_columns);
}

/* ---- Packing ---- */

/* Row `index` of the weights, one below the other. */
static const float *row_of(const pare_tensor *const *weights, size_t index)
{
    while (index >= (*weights)->rows)
        index -= (*weights++)->rows;
    return (*weights)->value + index * (*weights)->columns;
}

static pare_status pack_fp32(const pri_packed_weight *packed, const pare_tensor *const *weights)
{
    size_t width = packed->panel_columns;
    for (size_t row = 0; row < packed->rows; row++) {
        const float *from = row_of(weights, row);
        float *to = packed->panels + row / width * width * packed->columns + row % width;
        for (size_t k = 0; k < packed->columns; k++)
            to[k * width] = from[k];
    }
    return PARE_OK;
}

static pare_status pack_bf16(const pri_packed_weight *packed, const pare_tensor *const *weights)
{
    size_t width = packed->panel_columns, pairs = pairs_of(packed);
    uint32_t *words = pri_allocate(pairs, sizeof *words);
    if (!words)
        return PARE_ERROR_MEMORY;
    for (size_t row = 0; row < packed->rows; row++) {
        packed->bf16->pack_along(packed->columns, row_of(weights, row), words);
        uint32_t *to = packed->words + row / width * width * pairs + row % width;
        for (size_t pair = 0; pair < pairs; pair++)
            to[pair * width] = words[pair];
    }
    pri_free(words);
    return PARE_OK;
}

static pare_status check(const pare_tensor *const *weights, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (weights[i]->columns != weights[0]->columns)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "packed product: weights of %zu and %zu columns cannot be one",
                            weights[0]->columns, weights[i]->columns);
    return PARE_OK;
}

static void lay_out(pri_packed_weight *packed, const pare_context *context,
                    pare_precision precision, const pare_tensor *const *weights, size_t count)
{
    packed->columns = weights[0]->columns;
    for (size_t i = 0; i < count; i++)
        packed->rows += weights[i]->rows;
    packed->kernels = level_kernels[pare_context_level(context)];
    packed->panel_columns = packed->kernels->columns;
    if (precision == PARE_PRECISION_FP32)
        return;
    packed->bf16 = pri_bf16_kernels_for(context);
    packed->panel_columns = PRI_BF16_COLUMNS;
}

static pare_status pack(pri_packed_weight *packed, const pare_tensor *const *weights)
{
    size_t rows = panels_of(packed) * packed->panel_columns;
    if (packed->bf16) {
        packed->words = pri_allocate_zero(rows * pairs_of(packed), sizeof *packed->words);
        return packed->words ? pack_bf16(packed, weights) : PARE_ERROR_MEMORY;
    }
    packed->panels = pri_allocate_zero(rows * packed->columns, sizeof *packed->panels);
    return packed->panels ? pack_fp32(packed, weights) : PARE_ERROR_MEMORY;
}

pare_status pri_packed_create(const pare_context *context, pare_precision precision,
                              const pare_tensor *const *weights, size_t count,
                              pri_packed_weight **packed)
{
    *packed = NULL;
    PRI_TRY(check(weights, count));
    PRI_TRY(pare_context_check_precision(context, precision));
    pri_packed_weight *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    lay_out(created, context, precision, weights, count);
    pare_status status = pack(created, weights);
    if (status == PARE_OK)
        *packed = created;
    else
        pri_packed_destroy(created);
    return status;
}

void pri_packed_destroy(pri_packed_weight *packed)
{
    if (!packed)
        return;
    pri_free(packed->panels);
    pri_free(packed->words);
    pri_free(packed);
}

size_t pri_packed_rows(const pri_packed_weight *packed)
{
    return packed->rows;
}

size_t pri_packed_bytes(const pri_packed_weight *packed)
{
    size_t values = packed->words ? pairs_of(packed) : packed->columns;
    return panels_of(packed) * packed->panel_columns * values * sizeof(float);
}

/* ---- Multiplying ---- */

/* Panels `panel` .. `panel_end` - 1 and where their products go. */
typedef struct product_part {
    size_t panel, panel_end, rows;
    const float *input;
    float *output;
    size_t stride;
} product_part;

static void multiply_fp32(const pri_packed_weight *packed, const product_part *part)
{
    const pri_packed_kernels *kernels = packed->kernels;
    pri_packed_tile tile = {
        .size = packed->columns, .input_stride = packed->columns, .output_stride = part->stride};
    float *output = part->output;
    for (size_t panel = part->panel; panel < part->panel_end; panel++) {
        tile.columns = columns_of_panel(packed, panel);
        tile.panel = packed->panels + panel * packed->panel_columns * packed->columns;
        for (size_t row = 0; row < part->rows; row += kernels->rows) {
            tile.rows = pri_smaller(part->rows - row, kernels->rows);
            tile.input = part->input + row * packed->columns;
            tile.output = output + row * part->stride;
            kernels->multiply(&tile);
        }
        output += packed->panel_columns;
    }
}

static void multiply_bf16(const pri_packed_weight *packed, const product_part *part,
                          uint32_t *scratch)
{
    size_t pairs = pairs_of(packed);
    for (size_t row = 0; row < part->rows; row++)
        packed->bf16->pack_along(packed->columns, part->input + row * packed->columns,
                                 scratch + row * pairs);
    pri_bf16_tile tile = {.pairs = pairs,
                          .row_stride = pairs,
                          .pair_stride = 1,
                          .alpha = 1.0f,
                          .output_stride = part->stride};
    float *output = part->output;
    for (size_t panel = part->panel; panel < part->panel_end; panel++) {
        tile.columns = columns_of_panel(packed, panel);
        tile.panel = packed->words + panel * packed->panel_columns * pairs;
        for (size_t row = 0; row < part->rows; row += PRI_BF16_ROWS) {
            tile.rows = pri_smaller(part->rows - row, PRI_BF16_ROWS);
            tile.a = scratch + row * pairs;
            tile.output = output + row * part->stride;
            packed->bf16->multiply(&tile);
        }
        output += packed->panel_columns;
    }
}

size_t pri_packed_scratch(const pri_packed_weight *packed, size_t rows)
{
    return packed->words ? rows * pairs_of(packed) : 0;
}

size_t pri_packed_unit(const pri_packed_weight *packed)
{
    return packed->panel_columns;
}

void pri_packed_multiply_part(const pri_packed_weight *packed, size_t begin, size_t end,
                              size_t rows, const float *input, float *output, size_t stride,
                              uint32_t *scratch)
{
    product_part part = {.panel = begin / packed->panel_columns,
                         .panel_end = pri_divide_up(end, packed->panel_columns),
                         .rows = rows,
                         .input = input,
                         .output = output,
                         .stride = stride};
    if (packed->words)
        multiply_bf16(packed, &part, scratch);
    else
        multiply_fp32(packed, &part);
}

void pri_packed_multiply(const pri_packed_weight *packed, size_t rows, const float *input,
                         float *output, uint32_t *scratch)
{
    pri_packed_multiply_part(packed, 0, packed->rows, rows, input, output, packed->rows, scratch);
}
