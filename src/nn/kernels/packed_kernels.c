/* The kernels of pri_packed_kernels; built once per instruction-set level (PARE_LEVEL). A tile of
 * the output stays in registers while the columns of the weight go by: two vectors of a row, and as
 * many rows as leave three registers free. The input is read as it is, each number spread over a
 * vector, so nothing of it has to be packed. */
#include "base/vector.h"
#include "nn/packed_product.h"

#define TILE_ROWS (V_REGISTERS == 32 ? 12 : 6)
#define TILE_COLUMNS (2 * V_WIDTH)
/* Rows that are addressed from one pointer; processors add an offset times 1 or 2 for nothing. */
#define SHARED_POINTER 3

V_INLINE void store_row(const pri_packed_tile *t, size_t row, v_float low, v_float high)
{
    float *output = t->output + row * t->output_stride;
    if (t->columns == TILE_COLUMNS) {
        v_store(output, low);
        v_store(output + V_WIDTH, high);
    } else if (t->columns > V_WIDTH) {
        v_store(output, low);
        v_store_partial(output + V_WIDTH, high, t->columns - V_WIDTH);
    } else {
        v_store_partial(output, low, t->columns);
    }
}

/* What of the panel will be needed soon; it may be beyond its end, where the next one begins. Below
 * so many rows nothing was gained by it. */
#define PREFETCHED_FROM_ROWS 6
#define PREFETCH_DISTANCE 16

V_INLINE void prefetch(const float *panel)
{
    const float *ahead = panel + PREFETCH_DISTANCE * TILE_COLUMNS;
    for (size_t i = 0; i < TILE_COLUMNS; i += 16)
        __builtin_prefetch(ahead + i);
}

/* `rows` is a constant where this is used. */
V_INLINE void multiply_rows(const pri_packed_tile *t, const size_t rows)
{
    v_float sums[TILE_ROWS][2];
    const float *input[(TILE_ROWS + SHARED_POINTER - 1) / SHARED_POINTER], *panel = t->panel;
    size_t stride = t->input_stride;
    V_UNROLL for (size_t i = 0; i < rows; i++)
    {
        sums[i][0] = sums[i][1] = v_zero();
        if (i % SHARED_POINTER == 0)
            input[i / SHARED_POINTER] = t->input + i * stride;
    }
    for (size_t k = 0; k < t->size; k++) {
        if (rows >= PREFETCHED_FROM_ROWS)
            prefetch(panel);
        v_float low = v_load(panel), high = v_load(panel + V_WIDTH);
        V_UNROLL for (size_t i = 0; i < rows; i++)
        {
            v_float x = v_set(input[i / SHARED_POINTER][i % SHARED_POINTER * stride + k]);
            sums[i][0] = v_fma(x, low, sums[i][0]);
            sums[i][1] = v_fma(x, high, sums[i][1]);
        }
        panel += TILE_COLUMNS;
    }
    V_UNROLL for (size_t i = 0; i < rows; i++) store_row(t, i, sums[i][0], sums[i][1]);
}

#define ROWS_CASE(rows)                                                                            \
    case rows:                                                                                     \
        multiply_rows(t, rows);                                                                    \
        break

static void multiply(const pri_packed_tile *t)
{
    switch (t->rows) {
        ROWS_CASE(1);
        ROWS_CASE(2);
        ROWS_CASE(3);
        ROWS_CASE(4);
        ROWS_CASE(5);
        ROWS_CASE(6);
#if TILE_ROWS > 6
        ROWS_CASE(7);
        ROWS_CASE(8);
        ROWS_CASE(9);
        ROWS_CASE(10);
        ROWS_CASE(11);
        ROWS_CASE(12);
#endif
    }
}

#define JOIN(a, b) a##b
#define TABLE_NAME(level) JOIN(pri_packed_kernels_, level)

extern const pri_packed_kernels TABLE_NAME(PARE_LEVEL);
const pri_packed_kernels TABLE_NAME(PARE_LEVEL) = {
    .rows = TILE_ROWS,
    .columns = TILE_COLUMNS,
    .multiply = multiply,
};
