/* Which cells are computed densely. In each group of rows and each tile of columns the best range
 * of columns is the one that saves most: a column of it saves its listed cells and costs a dense
 * cell per row, so the range is a maximal sum of consecutive numbers, which one pass finds
 * (Kadane's algorithm; Bentley, Programming Pearls, 1984). A head with both spans and lists packs
 * its keys twice, so that division is compared with lists alone and with spans around everything.
 */
#include "attention/plan.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"

typedef struct span_search {
    const pare_plan *plan;
    const pare_plan_costs *costs;
    const pri_head_plan *head;
    double listed_cell; /* what a cell of this head costs in a list, runs included */
} span_search;

/* One division of the head's cells, and its price. */
typedef struct division {
    pri_span *spans;
    uint64_t *listed; /* bits that no span covers */
    size_t dense_cells, span_count;
} division;

/* kept[c] = the rows of the group that keep column c of the tile. */
static void count_kept(const span_search *search, size_t row, size_t rows, size_t tile,
                       uint8_t kept[PRI_TILE_COLUMNS])
{
    size_t words = search->plan->words_per_row;
    memset(kept, 0, PRI_TILE_COLUMNS);
    for (size_t r = 0; r < rows; r++) {
        const uint64_t *bits = search->head->bits + (row + r) * words + tile * 2;
        for (size_t word = 0; word < 2; word++)
            for (uint64_t left = bits[word]; left; left &= left - 1)
                kept[word * 64 + (size_t)__builtin_ctzll(left)]++;
    }
}

typedef pri_span span_rule(const span_search *search, size_t rows,
                           const uint8_t kept[PRI_TILE_COLUMNS]);

static pri_span dearest_span(const span_search *search, size_t rows,
                             const uint8_t kept[PRI_TILE_COLUMNS])
{
    const double floor = -search->costs->span;
    double best = 0, sum = floor;
    size_t begin = 0, best_begin = 0, best_end = 0;
    for (size_t column = 0; column < PRI_TILE_COLUMNS; column++) {
        if (sum < floor) {
            sum = floor;
            begin = column;
        }
        sum += search->listed_cell * kept[column] - (double)rows;
        if (sum > best) {
            best = sum;
            best_begin = begin;
            best_end = column + 1;
        }
    }
    return (pri_span){(uint8_t)best_begin, (uint8_t)best_end, false};
}

static pri_span whole_span(const span_search *search, size_t rows,
                           const uint8_t kept[PRI_TILE_COLUMNS])
{
    (void)search, (void)rows;
    size_t begin = 0, end = PRI_TILE_COLUMNS;
    while (begin < end && !kept[begin])
        begin++;
    while (end > begin && !kept[end - 1])
        end--;
    return (pri_span){(uint8_t)begin, (uint8_t)end, false};
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

/* Spans of one group of rows. */
static void divide_group(const span_search *search, span_rule *rule, size_t row, size_t rows,
                         pri_span *spans, division *into)
{
    for (size_t tile = 0; tile < search->plan->tiles; tile++) {
        uint8_t kept[PRI_TILE_COLUMNS];
        count_kept(search, row, rows, tile, kept);
        pri_span span = rule(search, rows, kept);
        if (span.begin >= span.end)
            continue;
        size_t cells = 0, size = rows * (size_t)(span.end - span.begin);
        for (size_t column = span.begin; column < span.end; column++)
            cells += kept[column];
        span.complete = cells == size;
        spans[tile] = span;
        into->dense_cells += size;
        into->span_count++;
        for (size_t r = 0; r < rows; r++)
            clear_span(into->listed + (row + r) * search->plan->words_per_row, tile, span);
    }
}

static size_t span_places(const pare_plan *plan)
{
    return plan->row_blocks * PRI_BLOCK_GROUPS * plan->tiles;
}

static pare_status divide(const span_search *search, span_rule *rule, division *into)
{
    const pare_plan *plan = search->plan;
    size_t queries = plan->geometry.queries, words = queries * plan->words_per_row;
    into->spans = pri_allocate_zero(span_places(plan), sizeof *into->spans);
    into->listed = pri_allocate(words, sizeof *into->listed);
    if (!into->spans || !into->listed)
        return PARE_ERROR_MEMORY;
    memcpy(into->listed, search->head->bits, words * sizeof *into->listed);
    for (size_t group = 0; rule && group < plan->row_blocks * PRI_BLOCK_GROUPS; group++) {
        size_t in_block = group % PRI_BLOCK_GROUPS * PRI_GROUP_ROWS;
        size_t row = group / PRI_BLOCK_GROUPS * PRI_BLOCK_ROWS + in_block;
        if (row >= queries)
            break;
        size_t rows = pri_smaller(PRI_GROUP_ROWS, PRI_BLOCK_ROWS - in_block);
        divide_group(search, rule, row, pri_smaller(rows, queries - row),
                     into->spans + group * plan->tiles, into);
    }
    return PARE_OK;
}

static double cost_of_lists(const span_search *search, const uint64_t *listed)
{
    const pare_plan *plan = search->plan;
    size_t entries = 0, runs = 0;
    for (size_t row = 0; row < plan->geometry.queries; row++)
        for (size_t tile = 0; tile < plan->list_tiles; tile++) {
            const uint64_t *bits = listed + row * plan->words_per_row;
            size_t cells = pri_cells_in(pri_plan_tile_words(plan, bits, tile));
            entries += pri_round_up(cells, PRI_QUAD);
            runs += cells > 0;
        }
    double keys = entries ? (double)plan->geometry.keys : 0;
    return search->costs->entry * (double)entries + search->costs->run * (double)runs +
           search->costs->key * keys;
}

static double cost_of(const span_search *search, const division *d)
{
    double keys = d->span_count ? (double)search->plan->geometry.keys : 0;
    return (double)d->dense_cells + search->costs->span * (double)d->span_count +
           search->costs->key * keys + cost_of_lists(search, d->listed);
}

static void release(division *d)
{
    pri_free(d->spans);
    pri_free(d->listed);
}

/* Keeps the cheaper one of two in `best`. */
static void keep_cheaper(const span_search *search, division *best, division *other)
{
    if (cost_of(search, other) < cost_of(search, best)) {
        division swapped = *best;
        *best = *other;
        *other = swapped;
    }
    release(other);
}

pare_status pri_plan_choose_spans(const pare_plan *plan, const pare_plan_costs *costs,
                                  pri_head_plan *head, uint64_t **listed)
{
    span_search search = {plan, costs, head, 0};
    search.listed_cell = cost_of_lists(&search, head->bits) / (double)pri_larger(head->kept, 1);
    span_rule *const rules[] = {NULL, dearest_span, whole_span};
    division best = {0};
    pare_status status = divide(&search, rules[0], &best);
    for (size_t i = 1; i < sizeof rules / sizeof *rules && status == PARE_OK; i++) {
        division other = {0};
        status = divide(&search, rules[i], &other);
        if (status == PARE_OK)
            keep_cheaper(&search, &best, &other);
        else
            release(&other);
    }
    if (status != PARE_OK) {
        release(&best);
        return status;
    }
    if (best.span_count == 0) {
        pri_free(best.spans);
        best.spans = NULL;
    }
    head->spans = best.spans;
    *listed = best.listed;
    return PARE_OK;
}
