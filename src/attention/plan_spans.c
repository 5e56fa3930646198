/* Which cells are computed densely. The columns that a strip of rows keeps are covered with
 * windows; in each, the best span of a group of rows is the one that saves most: a column of it
 * saves its listed cells and costs a dense cell per row, so the span is a maximal sum of
 * consecutive numbers, which one pass finds (Kadane's algorithm; Bentley, Programming Pearls,
 * 1984). A head with both spans and lists packs its keys twice, so that division is compared with
 * lists alone and with spans around everything. */
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
    pri_window *windows;
    uint32_t *window_first;
    uint64_t *listed; /* bits that no span covers */
    size_t window_count, capacity, dense_cells, span_count;
} division;

/* Rows first .. first + count - 1. */
typedef struct strip_rows {
    size_t first, count;
} strip_rows;

static const uint64_t *bits_of(const span_search *search, size_t row)
{
    return search->head->bits + row * search->plan->words_per_row;
}

/* Bits column .. column + 63 of a row. */
static uint64_t bits_from(const uint64_t *bits, size_t column)
{
    size_t word = column / 64, bit = column % 64;
    return bits[word] >> bit | bits[word + 1] << 1 << (63 - bit);
}

/* ---- Spans of one window ---- */

/* kept[c] = the rows that keep column c of the window. */
static void count_kept(const span_search *search, strip_rows rows, size_t first_column,
                       uint8_t kept[PRI_WINDOW_COLUMNS])
{
    memset(kept, 0, PRI_WINDOW_COLUMNS);
    for (size_t r = 0; r < rows.count; r++)
        for (size_t c = 0; c < PRI_WINDOW_COLUMNS; c += 64)
            for (uint64_t left = bits_from(bits_of(search, rows.first + r), first_column + c); left;
                 left &= left - 1)
                kept[c + (size_t)__builtin_ctzll(left)]++;
}

/* `kept` counts in `rows` rows, over `width` columns. */
typedef pri_span span_rule(const span_search *search, size_t rows, size_t width,
                           const uint8_t *kept);

static pri_span dearest_span(const span_search *search, size_t rows, size_t width,
                             const uint8_t *kept)
{
    const double floor = -search->costs->span;
    double best = 0, sum = floor;
    size_t begin = 0, best_begin = 0, best_end = 0;
    for (size_t column = 0; column < width; column++) {
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

static pri_span whole_span(const span_search *search, size_t rows, size_t width,
                           const uint8_t *kept)
{
    (void)search, (void)rows;
    size_t begin = 0, end = width;
    while (begin < end && !kept[begin])
        begin++;
    while (end > begin && !kept[end - 1])
        end--;
    return (pri_span){(uint8_t)begin, (uint8_t)end, false};
}

static void clear_columns(uint64_t *bits, size_t begin, size_t end)
{
    for (size_t column = begin; column < end;) {
        size_t bit = column % 64, count = pri_smaller(64 - bit, end - column);
        uint64_t ones = count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
        bits[column / 64] &= ~(ones << bit);
        column += count;
    }
}

/* The span of one group of rows; its cells are no longer listed. */
static pri_span make_span(const span_search *search, span_rule *rule, strip_rows group,
                          size_t first_column, size_t width, division *into)
{
    uint8_t kept[PRI_WINDOW_COLUMNS];
    count_kept(search, group, first_column, kept);
    pri_span span = rule(search, group.count, width, kept);
    size_t cells = 0, size = group.count * (size_t)(span.end - span.begin);
    if (span.begin == span.end)
        return (pri_span){0};
    for (size_t column = span.begin; column < span.end; column++)
        cells += kept[column];
    span.complete = cells == size;
    into->dense_cells += size;
    into->span_count++;
    for (size_t r = 0; r < group.count; r++)
        clear_columns(into->listed + (group.first + r) * search->plan->words_per_row,
                      first_column + span.begin, first_column + span.end);
    return span;
}

/* ---- Windows of one strip ---- */

/* Appends the window of `width` columns from `first` on, unless it has no span. */
static pare_status make_window(const span_search *search, span_rule *rule, strip_rows strip,
                               size_t first, size_t width, division *into)
{
    pri_window window = {.first = (uint32_t)first};
    bool any = false;
    for (size_t g = 0; g * PRI_GROUP_ROWS < strip.count; g++) {
        size_t place = g * PRI_GROUP_ROWS;
        strip_rows group = {strip.first + place, pri_smaller(PRI_GROUP_ROWS, strip.count - place)};
        window.spans[g] = make_span(search, rule, group, first, width, into);
        any |= window.spans[g].end > 0;
    }
    if (!any)
        return PARE_OK;
    if (into->window_count == into->capacity) {
        size_t grown = 2 * into->capacity + 64;
        pri_window *windows = pri_reallocate(into->windows, into->capacity, grown, sizeof *windows);
        if (!windows)
            return PARE_ERROR_MEMORY;
        into->windows = windows;
        into->capacity = grown;
    }
    into->windows[into->window_count++] = window;
    return PARE_OK;
}

/* The first column from `column` on that the strip keeps, or `end`. */
static size_t next_kept(const uint64_t *any, size_t column, size_t end)
{
    while (column < end) {
        uint64_t bits = bits_from(any, column);
        if (bits)
            return pri_smaller(column + (size_t)__builtin_ctzll(bits), end);
        column += 64;
    }
    return end;
}

/* Behind the last column of the stretch of kept columns that begins at `first`: gaps in it are
 * narrower than a vector; or `limit`, when it does not end before. */
static size_t stretch_end(const uint64_t *any, size_t first, size_t limit)
{
    size_t last = first;
    for (size_t next; (next = next_kept(any, last + 1, limit)) < limit; last = next)
        if (next - last > PRI_WINDOW_ALIGNMENT)
            break;
    return last + 1;
}

/* Covers what the strip keeps: a stretch that fits one window gets one of its own, a longer one
 * windows of whole tiles. */
static pare_status cover_strip(const span_search *search, span_rule *rule, strip_rows strip,
                               uint64_t *any, division *into)
{
    size_t words = search->plan->words_per_row, columns = search->plan->geometry.keys;
    memset(any, 0, words * sizeof *any);
    for (size_t r = 0; r < strip.count; r++)
        for (size_t word = 0; word < words; word++)
            any[word] |= bits_of(search, strip.first + r)[word];
    size_t column = next_kept(any, 0, columns);
    while (column < columns) {
        size_t first = column / PRI_WINDOW_ALIGNMENT * PRI_WINDOW_ALIGNMENT;
        size_t limit = pri_smaller(first + PRI_WINDOW_COLUMNS + 1, columns);
        size_t end = stretch_end(any, column, limit);
        if (end - first > PRI_WINDOW_COLUMNS)
            end = first + PRI_TILE_COLUMNS;
        PRI_TRY(make_window(search, rule, strip, first, end - first, into));
        column = next_kept(any, end, columns);
    }
    return PARE_OK;
}

/* Divides with one rule for spans; NULL: no spans. */
static pare_status divide(const span_search *search, span_rule *rule, division *into)
{
    const pare_plan *plan = search->plan;
    size_t queries = plan->geometry.queries, words = queries * plan->words_per_row;
    size_t strips = plan->row_blocks * PRI_BLOCK_STRIPS;
    into->window_first = pri_allocate_zero(strips + 1, sizeof *into->window_first);
    into->listed = pri_allocate(words, sizeof *into->listed);
    uint64_t *any = pri_allocate(plan->words_per_row, sizeof *any);
    pare_status status = into->window_first && into->listed && any ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        memcpy(into->listed, search->head->bits, words * sizeof *into->listed);
    for (size_t s = 0; rule && s < strips && status == PARE_OK; s++) {
        size_t place = s % PRI_BLOCK_STRIPS * PRI_STRIP_ROWS;
        strip_rows strip = {s / PRI_BLOCK_STRIPS * PRI_BLOCK_ROWS + place,
                            pri_smaller(PRI_STRIP_ROWS, PRI_BLOCK_ROWS - place)};
        if (strip.first < queries) {
            strip.count = pri_smaller(strip.count, queries - strip.first);
            status = cover_strip(search, rule, strip, any, into);
        }
        into->window_first[s + 1] = (uint32_t)into->window_count;
    }
    pri_free(any);
    return status;
}

/* ---- Which division ---- */

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
    pri_free(d->windows);
    pri_free(d->window_first);
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

pare_status pri_plan_choose_windows(const pare_plan *plan, const pare_plan_costs *costs,
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
    head->windows = best.windows;
    head->window_first = best.window_first;
    *listed = best.listed;
    return status;
}
