/* The lists of a head's scattered cells, by row and by column, in the order in which the kernels
 * walk them (plan.h): row block, tile, length of the run. */
#include "attention/plan.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/status.h"

typedef struct list_maker {
    const pare_plan *plan;
    const uint64_t *listed; /* (queries, words_per_row) */
    pri_head_plan *head;
    size_t row_entries, row_runs, column_runs;
} list_maker;

static size_t quads_for(size_t cells)
{
    return pri_divide_up(cells, PRI_QUAD);
}

static size_t rows_in_block(const pare_plan *plan, size_t block)
{
    return pri_smaller(plan->list_size, plan->geometry.queries - block * plan->list_size);
}

static pri_tile_words words_of(const list_maker *m, size_t row, size_t tile)
{
    return pri_plan_tile_words(m->plan, m->listed + row * m->plan->words_per_row, tile);
}

/* Writes the columns of the set bits; returns how many. */
static size_t columns_in(pri_tile_words bits, uint16_t *columns)
{
    size_t count = 0;
    for (size_t word = 0; word < bits.count; word++)
        for (uint64_t left = bits.words[word]; left; left &= left - 1)
            columns[count++] = (uint16_t)(word * 64 + (size_t)__builtin_ctzll(left));
    return count;
}

/* The cells of each column of one row block and tile. */
static void count_columns(const list_maker *m, size_t block, size_t tile,
                          uint16_t cells[PRI_LIST_SIZE_MOST])
{
    memset(cells, 0, m->plan->list_size * sizeof *cells);
    for (size_t r = 0; r < rows_in_block(m->plan, block); r++) {
        uint16_t columns[PRI_LIST_SIZE_MOST];
        size_t count = columns_in(words_of(m, block * m->plan->list_size + r, tile), columns);
        for (size_t k = 0; k < count; k++)
            cells[columns[k]]++;
    }
}

/* Counts what the lists will hold. */
static pare_status measure(list_maker *m)
{
    const pare_plan *plan = m->plan;
    for (size_t row = 0; row < plan->geometry.queries; row++)
        for (size_t tile = 0; tile < plan->list_tiles; tile++) {
            size_t cells = pri_cells_in(words_of(m, row, tile));
            m->head->listed += cells;
            m->row_entries += quads_for(cells) * (size_t)PRI_QUAD;
            m->row_runs += cells > 0;
        }
    for (size_t block = 0; m->head->listed && block < plan->list_blocks; block++)
        for (size_t tile = 0; tile < plan->list_tiles; tile++) {
            uint16_t cells[PRI_LIST_SIZE_MOST];
            count_columns(m, block, tile, cells);
            for (size_t c = 0; c < m->plan->list_size; c++)
                m->column_runs += cells[c] > 0;
        }
    if (m->row_entries >= UINT32_MAX)
        return pri_fail(PARE_ERROR_UNSUPPORTED, "a plan holds less than 2^32 cells per head");
    return PARE_OK;
}

static pare_status allocate(const list_maker *m)
{
    pri_head_plan *head = m->head;
    size_t places = m->plan->list_blocks * m->plan->list_tiles + 1;
    head->row_places = pri_allocate_zero(places, sizeof *head->row_places);
    head->row_runs = pri_allocate_zero(m->row_runs, sizeof *head->row_runs);
    /* Kernels read whole vectors of columns, up to 15 beyond the last. */
    head->columns = pri_allocate_zero(m->row_entries + 16, sizeof *head->columns);
    head->row_first = pri_allocate_zero(m->plan->geometry.queries + 1, sizeof *head->row_first);
    head->is_cell = pri_allocate_zero(m->row_entries / 64 + 2, sizeof *head->is_cell);
    head->column_places = pri_allocate_zero(places, sizeof *head->column_places);
    head->column_runs = pri_allocate_zero(m->column_runs + 4, sizeof *head->column_runs);
    head->rows = pri_allocate(head->listed, sizeof *head->rows);
    head->weights = pri_allocate(head->listed, sizeof *head->weights);
    return head->row_places && head->row_runs && head->columns && head->row_first &&
                   head->is_cell && head->column_places && head->column_runs && head->rows &&
                   head->weights
               ? PARE_OK
               : PARE_ERROR_MEMORY;
}

/* Where the weights of each row's runs begin in the head, row by row: (rows of a block, tiles). */
static void place_weights(const list_maker *m, size_t block, uint32_t *next, uint32_t *places)
{
    for (size_t r = 0; r < rows_in_block(m->plan, block); r++) {
        size_t row = block * m->plan->list_size + r;
        m->head->row_first[row] = *next;
        for (size_t tile = 0; tile < m->plan->list_tiles; tile++) {
            size_t cells = pri_cells_in(words_of(m, row, tile));
            for (size_t k = 0; k < cells; k++)
                m->head->is_cell[(*next + k) / 64] |= UINT64_C(1) << (*next + k) % 64;
            places[r * m->plan->list_tiles + tile] = *next;
            *next += (uint32_t)(quads_for(cells) * PRI_QUAD);
        }
        m->head->row_first[row + 1] = *next;
    }
}

/* Both lists of one row block and tile. */
typedef struct tile_maker {
    size_t block, tile;
    const uint32_t *places;             /* (rows, tiles): of weights, in the order of rows */
    uint16_t first[PRI_LIST_SIZE_MOST]; /* of each row's entries in the tile */
    pri_list_place row, column;         /* next */
} tile_maker;

/* Writes the numbers of rows (or columns) that have cells, those with fewest first; returns how
 * many. Counting sort: the order of equal ones stays. */
static size_t sort_by_length(const uint16_t *cells, size_t count, uint16_t *order)
{
    uint16_t next[PRI_LIST_SIZE_MOST + 2] = {0};
    size_t sorted = 0;
    for (size_t i = 0; i < count; i++)
        if (cells[i]) {
            next[cells[i] + 1]++;
            sorted++;
        }
    for (size_t length = 1; length < PRI_LIST_SIZE_MOST + 2; length++)
        next[length] = (uint16_t)(next[length] + next[length - 1]);
    for (size_t i = 0; i < count; i++)
        if (cells[i])
            order[next[cells[i]]++] = (uint16_t)i;
    return sorted;
}

static void list_rows(const list_maker *m, tile_maker *t)
{
    pri_head_plan *head = m->head;
    size_t first_row = t->block * m->plan->list_size, rows = rows_in_block(m->plan, t->block);
    uint16_t cells[PRI_LIST_SIZE_MOST], order[PRI_LIST_SIZE_MOST];
    uint32_t tile_first = t->row.entry;
    for (size_t r = 0; r < rows; r++)
        cells[r] = (uint16_t)pri_cells_in(words_of(m, first_row + r, t->tile));
    size_t runs = sort_by_length(cells, rows, order);
    for (size_t i = 0; i < runs; i++) {
        uint16_t r = order[i], *to = head->columns + t->row.entry;
        size_t entries = quads_for(cells[r]) * PRI_QUAD;
        columns_in(words_of(m, first_row + r, t->tile), to);
        for (size_t k = cells[r]; k < entries; k++)
            to[k] = (uint16_t)m->plan->list_size;
        uint32_t place = t->places[r * m->plan->list_tiles + t->tile] - head->row_first[first_row];
        head->row_runs[t->row.run++] = (pri_run){place, r, cells[r]};
        t->first[r] = (uint16_t)(t->row.entry - tile_first);
        t->row.entry += (uint32_t)entries;
    }
}

static void list_by_column(const list_maker *m, tile_maker *t)
{
    pri_head_plan *head = m->head;
    size_t first_row = t->block * m->plan->list_size, rows = rows_in_block(m->plan, t->block);
    uint16_t cells[PRI_LIST_SIZE_MOST], order[PRI_LIST_SIZE_MOST];
    uint32_t next[PRI_LIST_SIZE_MOST];
    count_columns(m, t->block, t->tile, cells);
    size_t runs = sort_by_length(cells, m->plan->list_size, order);
    for (size_t i = 0; i < runs; i++) {
        uint16_t c = order[i];
        head->column_runs[t->column.run++] = (pri_run){0, c, cells[c]};
        next[c] = t->column.entry;
        t->column.entry += cells[c];
    }
    for (size_t r = 0; r < rows; r++) {
        uint16_t columns[PRI_LIST_SIZE_MOST];
        size_t count = columns_in(words_of(m, first_row + r, t->tile), columns);
        for (size_t k = 0; k < count; k++) {
            uint32_t entry = next[columns[k]]++;
            head->rows[entry] = (uint16_t)r;
            head->weights[entry] = (uint16_t)(t->first[r] + k);
        }
    }
}

pare_status pri_plan_make_lists(const pare_plan *plan, const uint64_t *listed, pri_head_plan *head)
{
    list_maker m = {.plan = plan, .listed = listed, .head = head};
    PRI_TRY(measure(&m));
    PRI_TRY(allocate(&m));
    uint32_t *places = pri_allocate(plan->list_size * plan->list_tiles, sizeof *places), next = 0;
    if (!places)
        return PARE_ERROR_MEMORY;
    tile_maker t = {.places = places};
    for (t.block = 0; head->listed && t.block < plan->list_blocks; t.block++) {
        place_weights(&m, t.block, &next, places);
        for (t.tile = 0; t.tile < plan->list_tiles; t.tile++) {
            list_rows(&m, &t);
            list_by_column(&m, &t);
            size_t index = t.block * plan->list_tiles + t.tile + 1;
            head->row_places[index] = t.row;
            head->column_places[index] = t.column;
        }
    }
    pri_free(places);
    return PARE_OK;
}
