/* Which cells are computed densely. In each group of rows and each tile of columns the best range
 * of columns is the one that saves most: a column of it saves its listed cells and costs a dense
 * cell per row, so the range is a maximal sum of consecutive numbers, which one pass finds
 * (Kadane's algorithm; Bentley, Programming Pearls, 1984). */
#include "attention/plan.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"

/* Rows first .. first + count - 1 of one group. */
typedef struct span_search {
    const pare_plan *plan;
    const pri_plan_costs *costs;
    const uint64_t *bits; /* of the group's first row */
    size_t count;
} span_search;

/* kept[c] = the rows of the group that keep column c of the tile. */
static void count_kept(const span_search *search, size_t tile, uint8_t kept[PRI_TILE_COLUMNS])
{
    memset(kept, 0, PRI_TILE_COLUMNS);
    for (size_t r = 0; r < search->count; r++) {
        const uint64_t *bits = search->bits + r * search->plan->words_per_row + tile * 2;
        for (size_t word = 0; word < 2; word++)
            for (uint64_t left = bits[word]; left; left &= left - 1)
                kept[word * 64 + (size_t)__builtin_ctzll(left)]++;
    }
}

static pri_span best_span(const span_search *search, const uint8_t kept[PRI_TILE_COLUMNS])
{
    double best = 0, sum = -search->costs->span;
    size_t begin = 0, best_begin = 0, best_end = 0, cells = 0;
    for (size_t column = 0; column < PRI_TILE_COLUMNS; column++) {
        if (sum < -search->costs->span) {
            sum = -search->costs->span;
            begin = column;
        }
        sum += search->costs->listed_cell * kept[column] - (double)search->count;
        if (sum > best) {
            best = sum;
            best_begin = begin;
            best_end = column + 1;
        }
    }
    for (size_t column = best_begin; column < best_end; column++)
        cells += kept[column];
    return (pri_span){(uint8_t)best_begin, (uint8_t)best_end,
                      cells == search->count * (best_end - best_begin)};
}

/* Clears the bits of a span's columns in one row of listed cells. */
static void clear_span(uint64_t *bits, size_t tile, pri_span span)
{
    for (size_t word = 0; word < 2; word++) {
        size_t first = word * 64;
        size_t begin = pri_larger(span.begin, first), end = pri_smaller(span.end, first + 64);
        if (begin < end) {
            uint64_t ones = end - begin == 64 ? ~UINT64_C(0) : (UINT64_C(1) << (end - begin)) - 1;
            bits[tile * 2 + word] &= ~(ones << (begin - first));
        }
    }
}

pare_status pri_plan_choose_spans(const pare_plan *plan, const pri_plan_costs *costs,
                                  pri_head_plan *head, uint64_t *listed)
{
    size_t queries = plan->geometry.queries, words = plan->words_per_row;
    memcpy(listed, head->bits, queries * words * sizeof *listed);
    head->spans =
        pri_allocate_zero(plan->row_blocks * PRI_BLOCK_GROUPS * plan->tiles, sizeof *head->spans);
    if (!head->spans)
        return PARE_ERROR_MEMORY;
    bool any = false;
    for (size_t group = 0; group < plan->row_blocks * PRI_BLOCK_GROUPS; group++) {
        size_t in_block = group % PRI_BLOCK_GROUPS * PRI_GROUP_ROWS;
        size_t row = group / PRI_BLOCK_GROUPS * PRI_BLOCK_ROWS + in_block;
        if (row >= queries)
            break;
        size_t rows = pri_smaller(PRI_GROUP_ROWS, PRI_BLOCK_ROWS - in_block);
        span_search search = {plan, costs, head->bits + row * words,
                              pri_smaller(rows, queries - row)};
        for (size_t tile = 0; tile < plan->tiles; tile++) {
            uint8_t kept[PRI_TILE_COLUMNS];
            count_kept(&search, tile, kept);
            pri_span span = best_span(&search, kept);
            if (span.begin == span.end)
                continue;
            any = true;
            head->spans[group * plan->tiles + tile] = span;
            for (size_t r = 0; r < search.count; r++)
                clear_span(listed + (row + r) * words, tile, span);
        }
    }
    if (!any) {
        pri_free(head->spans);
        head->spans = NULL;
    }
    return PARE_OK;
}
