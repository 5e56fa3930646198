/* Masks for decoding: the kept columns of a row, as lists. A row is compiled when a hypothesis
 * first is that long, and kept as long as the mask is set. The shape is that of plans (masks.c), so
 * rows have the cells that training had. */
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "models/model.h"
#include "pruning/mask.h"

static pare_geometry shape_of(const pare_model *model, const pare_mask *mask)
{
    pare_geometry shape = *pare_mask_geometry(mask);
    if (shape.kind != PARE_GEOMETRY_CELL)
        shape.queries = shape.keys = model->positions;
    return shape;
}

/* What compiling a row works in. */
typedef struct row_scratch {
    uint8_t *fill;     /* (keys) */
    uint32_t *columns; /* (layers, heads, keys): those of all heads, end to end */
    pri_kept_row *heads;
    size_t kept;
} row_scratch;

static void list_head(row_scratch *scratch, size_t keys, size_t head)
{
    pri_kept_row *row = &scratch->heads[head];
    *row = (pri_kept_row){.columns = scratch->columns + scratch->kept};
    for (size_t column = 0; column < keys; column++) {
        if (!scratch->fill[column])
            continue;
        row->uniform = scratch->fill[column] == 2;
        scratch->columns[scratch->kept++] = (uint32_t)column;
        row->count++;
    }
}

/* In one allocation, the table of heads first. */
static pri_kept_row *join(const row_scratch *scratch, size_t heads)
{
    size_t table = pri_divide_up(heads * sizeof(pri_kept_row), sizeof(uint32_t));
    uint32_t *memory = pri_allocate(table + scratch->kept, sizeof *memory);
    if (!memory)
        return NULL;
    pri_kept_row *rows = (pri_kept_row *)(void *)memory;
    memcpy(memory + table, scratch->columns, scratch->kept * sizeof *memory);
    for (size_t head = 0; head < heads; head++) {
        rows[head] = scratch->heads[head];
        rows[head].columns = memory + table + (scratch->heads[head].columns - scratch->columns);
    }
    return rows;
}

static pri_kept_row *compile(const pare_mask *mask, const pare_geometry *shape, size_t row)
{
    size_t heads = shape->layers * shape->heads;
    row_scratch scratch = {.fill = pri_allocate(shape->keys, 1),
                           .columns = pri_allocate(heads * shape->keys, sizeof(uint32_t)),
                           .heads = pri_allocate(heads, sizeof(pri_kept_row))};
    pri_kept_row *compiled = NULL;
    if (scratch.fill && scratch.columns && scratch.heads) {
        for (size_t head = 0; head < heads; head++) {
            pri_mask_fill_row(mask, shape, head / shape->heads, head % shape->heads, row,
                              scratch.fill);
            list_head(&scratch, shape->keys, head);
        }
        compiled = join(&scratch, heads);
    }
    pri_free(scratch.fill);
    pri_free(scratch.columns);
    pri_free(scratch.heads);
    return compiled;
}

static pare_status extend_table(pri_attention_state *state, size_t rows)
{
    size_t count = state->kept_row_count;
    if (rows <= count)
        return PARE_OK;
    pri_kept_row **grown = pri_reallocate(state->kept_rows, count, rows, sizeof *grown);
    if (!grown)
        return PARE_ERROR_MEMORY;
    for (; count < rows; count++)
        grown[count] = NULL;
    state->kept_rows = grown;
    state->kept_row_count = rows;
    return PARE_OK;
}

pare_status pri_model_compile_row(pare_model *model, pare_attention_kind kind, size_t row)
{
    pri_attention_state *state = &model->attention[kind];
    if (!state->mask)
        return PARE_OK;
    PRI_TRY(extend_table(state, row + 1));
    if (state->kept_rows[row])
        return PARE_OK;
    pare_geometry shape = shape_of(model, state->mask);
    state->kept_rows[row] = compile(state->mask, &shape, row);
    return state->kept_rows[row] ? PARE_OK : PARE_ERROR_MEMORY;
}

const pri_kept_row *pri_model_kept_rows(const pare_model *model, pare_attention_kind kind,
                                        size_t layer, size_t row)
{
    const pri_attention_state *state = &model->attention[kind];
    if (!state->mask)
        return NULL;
    return state->kept_rows[row] + layer * pare_mask_geometry(state->mask)->heads;
}

void pri_model_drop_rows(pri_attention_state *state)
{
    for (size_t row = 0; row < state->kept_row_count; row++)
        pri_free(state->kept_rows[row]);
    pri_free(state->kept_rows);
    state->kept_rows = NULL;
    state->kept_row_count = 0;
}
