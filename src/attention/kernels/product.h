/* C (+)= A B on small dense pieces, the engine of the dense kernels. One register tile holds
 * TILE_ROWS x TILE_VECTORS vectors of C; elements of A are broadcast, rows of B are streamed. A has
 * two strides, so a transposed A costs nothing. B and C are padded to whole vectors. */
#ifndef PARE_SRC_ATTENTION_KERNELS_PRODUCT_H
#define PARE_SRC_ATTENTION_KERNELS_PRODUCT_H

#include "base/vector.h"

#define TILE_ROWS 6
/* 6 x 4 accumulators + 4 of B + 1 of A fit 32 registers; 6 x 2 + 2 + 1 fit 16. */
#if V_REGISTERS >= 32
#define TILE_VECTORS 4
#else
#define TILE_VECTORS 2
#endif

typedef struct product {
    const float *a;
    size_t a_row, a_depth; /* strides */
    const float *b;
    size_t b_depth;
    float *c;
    size_t c_row;
    size_t depth;
    bool accumulate; /* else C is overwritten */
} product;

V_INLINE void product_tile(const product *p, size_t row, size_t column, const size_t rows,
                           const size_t vectors)
{
    v_float sum[TILE_ROWS][TILE_VECTORS];
    float *c = p->c + row * p->c_row + column;
    const float *a = p->a + row * p->a_row, *b = p->b + column;
    V_UNROLL for (size_t r = 0; r < rows; r++) V_UNROLL for (size_t v = 0; v < vectors; v++)
        sum[r][v] = p->accumulate ? v_load(c + r * p->c_row + v * V_WIDTH) : v_zero();
    for (size_t k = 0; k < p->depth; k++) {
        v_float line[TILE_VECTORS];
        V_UNROLL for (size_t v = 0; v < vectors; v++) line[v] = v_load(b + v * V_WIDTH);
        V_UNROLL for (size_t r = 0; r < rows; r++)
        {
            v_float factor = v_set(a[r * p->a_row]);
            V_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] =
                v_fma(factor, line[v], sum[r][v]);
        }
        a += p->a_depth;
        b += p->b_depth;
    }
    V_UNROLL for (size_t r = 0; r < rows; r++) V_UNROLL for (size_t v = 0; v < vectors; v++)
        v_store(c + r * p->c_row + v * V_WIDTH, sum[r][v]);
}

/* A panel of `vectors` columns, all rows: tiles of 6 rows, and 4, 2 and 1 for what is left. */
V_INLINE void product_panel(const product *p, size_t rows, size_t column, const size_t vectors)
{
    size_t row = 0;
    for (; row + 6 <= rows; row += 6)
        product_tile(p, row, column, 6, vectors);
    if (rows - row >= 4) {
        product_tile(p, row, column, 4, vectors);
        row += 4;
    }
    if (rows - row >= 2) {
        product_tile(p, row, column, 2, vectors);
        row += 2;
    }
    if (rows - row)
        product_tile(p, row, column, 1, vectors);
}

/* C has `rows` rows of `vectors` vectors. */
static void product_run(const product *p, size_t rows, size_t vectors)
{
    size_t column = 0;
    for (; vectors >= TILE_VECTORS; vectors -= TILE_VECTORS, column += TILE_VECTORS * V_WIDTH)
        product_panel(p, rows, column, TILE_VECTORS);
#if TILE_VECTORS == 4
    if (vectors == 3)
        product_panel(p, rows, column, 3);
    else if (vectors == 2)
        product_panel(p, rows, column, 2);
#endif
    if (vectors == 1)
        product_panel(p, rows, column, 1);
}

#endif
