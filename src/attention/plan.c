/* Compiles a mask into a plan: bits first, then what runs densely and what is listed, once for all
 * heads that keep the same cells. Everything the kernels would have to decide per call is decided
 * here, once. */
#include "attention/plan.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/memory.h"
#include "base/status.h"

/* Measured by `pare bench calibrate` (docs/kernels.md). */
static const pare_plan_costs default_costs[PARE_LEVEL_COUNT] = {
    [PARE_LEVEL_PORTABLE] = {.entry = 1, .run = 3.2, .span = 70, .key = 12},
    [PARE_LEVEL_NEON] = {.entry = 1, .run = 3.2, .span = 70, .key = 12},
    [PARE_LEVEL_X86_64_V2] = {.entry = 1, .run = 3.2, .span = 70, .key = 12},
    [PARE_LEVEL_X86_64_V3] = {.entry = 1.4, .run = 5.6, .span = 190, .key = 6},
    [PARE_LEVEL_X86_64_V4] = {.entry = 1.6, .run = 9, .span = 230, .key = 10},
};

/* Runs of fewer cells cost more than the near cache saves (docs/kernels.md). */
#define RUN_CELLS_LEAST 8
/* No plan is made for sequences shorter than this; what they cost is calls, not cells. */
#define LENGTH_LEAST 8

static pare_status geometry_is_possible(const pare_plan_geometry *geometry)
{
    const size_t limit = UINT16_MAX + 1u;
    if (!geometry->heads || !geometry->queries || !geometry->keys)
        return pri_fail(PARE_ERROR_ARGUMENT, "a plan needs at least one head, query and key");
    if (geometry->causal && geometry->keys < geometry->queries)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a causal plan needs at least as many keys as queries, not %zu and %zu",
                        geometry->keys, geometry->queries);
    if (geometry->queries > limit || geometry->keys > limit)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "plans hold up to %zu queries and keys, not %zu and %zu", limit,
                        geometry->queries, geometry->keys);
    return PARE_OK;
}

static size_t admissible_columns(const pare_plan_geometry *geometry, size_t row)
{
    return geometry->causal ? row + geometry->keys - geometry->queries + 1 : geometry->keys;
}

/* Adds a row whose bits are known to what is known of the head. */
static void count_row(const pare_plan *plan, size_t row, pri_head_plan *head)
{
    const uint64_t *bits = head->bits + row * plan->words_per_row;
    head->has_uniform |= head->uniform[row];
    for (size_t word = 0; word < plan->words_per_row; word++)
        head->kept += (uint64_t)__builtin_popcountll(bits[word]);
}

static void read_row(const pare_plan *plan, size_t row, const uint8_t *fill, pri_head_plan *head)
{
    uint64_t *bits = head->bits + row * plan->words_per_row;
    size_t reach = admissible_columns(&plan->geometry, row);
    for (size_t column = 0; column < reach; column++) {
        bits[column / 64] |= (uint64_t)(fill[column] != 0) << column % 64;
        head->uniform[row] |= fill[column] == 2;
    }
    count_row(plan, row, head);
}

static void release_head(pri_head_plan *head)
{
    void *pieces[] = {head->block_tiles,  head->bits,       head->uniform,       head->windows,
                      head->window_first, head->row_places, head->row_runs,      head->columns,
                      head->row_first,    head->is_cell,    head->column_places, head->column_runs,
                      head->rows,         head->weights};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        pri_free(pieces[i]);
}

/* The compiled head that keeps the same cells in the same way, or NULL. */
static const pri_head_plan *find_equal(const pare_plan *plan, const pri_head_plan *head)
{
    size_t queries = plan->geometry.queries, bytes = queries * plan->words_per_row * 8;
    for (size_t i = 0; i < plan->compiled_count; i++) {
        const pri_head_plan *other = &plan->compiled[i];
        if (other->kept == head->kept && !memcmp(other->uniform, head->uniform, queries) &&
            !memcmp(other->bits, head->bits, bytes))
            return other;
    }
    return NULL;
}

static void find_block_tiles(const pare_plan *plan, pri_head_plan *head)
{
    size_t words = plan->words_per_row;
    for (size_t row = 0; row < plan->geometry.queries; row++) {
        pri_range *tiles = &head->block_tiles[row / PRI_BLOCK_ROWS];
        for (size_t tile = 0; tile < plan->tiles; tile++) {
            const uint64_t *bits = head->bits + row * words + tile * 2;
            if (!(bits[0] | bits[1]))
                continue;
            bool first = tiles->begin == tiles->end;
            tiles->begin = first ? tile : pri_smaller(tiles->begin, tile);
            tiles->end = pri_larger(tiles->end, tile + 1);
        }
    }
}

static pare_status compile_head(pare_plan *plan, const pare_plan_costs *costs, pri_head_plan *head)
{
    uint64_t *listed;
    head->block_tiles = pri_allocate_zero(plan->row_blocks, sizeof *head->block_tiles);
    if (!head->block_tiles)
        return PARE_ERROR_MEMORY;
    find_block_tiles(plan, head);
    pare_status status = pri_plan_choose_windows(plan, costs, head, &listed);
    if (status == PARE_OK)
        status = pri_plan_make_lists(plan, listed, head);
    pri_free(listed);
    PRI_TRY(status);
    plan->has_windows |= head->windows != NULL;
    plan->has_lists |= head->listed > 0;
    for (size_t block = 0; block < plan->list_blocks; block++) {
        size_t first = block * plan->list_size;
        size_t last = pri_smaller(first + plan->list_size, plan->geometry.queries);
        size_t entries = head->row_first[last] - head->row_first[first];
        plan->longest_block = pri_larger(plan->longest_block, entries);
    }
    for (size_t i = 0; i < plan->list_blocks * plan->list_tiles; i++)
        plan->longest_tile = pri_larger(plan->longest_tile,
                                        head->row_places[i + 1].entry - head->row_places[i].entry);
    return PARE_OK;
}

static pare_status allocate_bits(const pare_plan *plan, pri_head_plan *head)
{
    size_t queries = plan->geometry.queries;
    head->bits = pri_allocate_zero(queries * plan->words_per_row, sizeof *head->bits);
    head->uniform = pri_allocate_zero(queries, sizeof *head->uniform);
    return head->bits && head->uniform ? PARE_OK : PARE_ERROR_MEMORY;
}

/* Reads the bits of one head, unless one before it has the same. */
static pare_status read_head(pare_plan *plan, size_t index, pare_plan_row kept, void *user,
                             uint8_t *fill)
{
    pri_head_plan *head = &plan->compiled[plan->compiled_count];
    pare_status status = allocate_bits(plan, head);
    for (size_t row = 0; row < plan->geometry.queries && status == PARE_OK; row++) {
        kept(user, index, row, fill);
        read_row(plan, row, fill, head);
    }
    const pri_head_plan *equal = status == PARE_OK ? find_equal(plan, head) : NULL;
    if (status != PARE_OK || equal) {
        release_head(head);
        memset(head, 0, sizeof *head);
    } else {
        plan->compiled_count++;
    }
    plan->heads[index] = equal ? equal : head;
    return status;
}

static void set_list_size(pare_plan *plan, size_t size)
{
    plan->list_size = size;
    plan->list_blocks = pri_divide_up(plan->geometry.queries, size);
    plan->list_tiles = pri_divide_up(plan->geometry.keys, size);
}

/* Whether the kept cells of a row lie so far apart that runs would be short; and whether places
 * within a tile stay below 2^16 when it is twice as large. */
static bool runs_are_short(const pare_plan *plan)
{
    size_t cells = 0, runs = 0, fullest = 0;
    for (size_t i = 0; i < plan->compiled_count; i++)
        for (size_t row = 0; row < plan->geometry.queries; row++) {
            const uint64_t *bits = plan->compiled[i].bits + row * plan->words_per_row;
            for (size_t tile = 0; tile < plan->list_tiles; tile++) {
                size_t here = pri_cells_in(pri_plan_tile_words(plan, bits, tile));
                cells += here;
                runs += here > 0;
                fullest = pri_larger(fullest, here);
            }
        }
    bool fits = 4 * plan->list_size * pri_round_up(fullest, PRI_QUAD) < UINT16_MAX;
    return fits && cells < RUN_CELLS_LEAST * runs;
}

static void choose_list_size(pare_plan *plan)
{
    size_t longest = pri_larger(plan->geometry.queries, plan->geometry.keys);
    set_list_size(plan, PRI_LIST_SIZE_LEAST);
    while (plan->list_size < pri_smaller(longest, PRI_LIST_SIZE_MOST) && runs_are_short(plan))
        set_list_size(plan, 2 * plan->list_size);
}

/* Sets sizes and allocates heads; what they keep comes later. */
static pare_status begin_plan(pare_plan *plan)
{
    const pare_plan_geometry *geometry = &plan->geometry;
    size_t words;
    plan->row_blocks = pri_divide_up(geometry->queries, PRI_BLOCK_ROWS);
    plan->tiles = pri_divide_up(geometry->keys, PRI_TILE_COLUMNS);
    /* Windows and vectors may reach beyond the last column. */
    plan->words_per_row = plan->tiles * 2 + PRI_WINDOW_COLUMNS / 64 + 1;
    if (pri_multiply_overflows(geometry->heads * geometry->queries, plan->words_per_row, &words))
        return pri_fail(PARE_ERROR_ARGUMENT, "a plan of %zu heads is too large", geometry->heads);
    plan->compiled = pri_allocate_zero(geometry->heads, sizeof *plan->compiled);
    plan->heads = pri_allocate_zero(geometry->heads, sizeof *plan->heads);
    return plan->compiled && plan->heads ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status compile_heads(pare_plan *plan, const pare_plan_costs *costs)
{
    for (size_t i = 0; i < plan->compiled_count; i++)
        PRI_TRY(compile_head(plan, costs, &plan->compiled[i]));
    return PARE_OK;
}

/* ---- Shorter sequences ---- */

/* Rows and columns of the longest sequence, apart from memory. */
static size_t length_of(const pare_plan_geometry *geometry)
{
    return geometry->causal ? geometry->queries : pri_larger(geometry->queries, geometry->keys);
}

/* Half the length, and no more than half a square of the lists: of the others, a longer sequence
 * meets those it needs. A causal half has all of the memory, so its columns keep their numbers. */
static pare_plan_geometry half_of(const pare_plan *plan)
{
    pare_plan_geometry half = plan->geometry;
    size_t most = plan->list_size / 2, queries = half.queries;
    half.queries = pri_smaller(pri_divide_up(queries, 2), most);
    half.keys = half.causal ? half.keys - (queries - half.queries)
                            : pri_smaller(pri_divide_up(half.keys, 2), most);
    return half;
}

/* The first rows and columns of `from`. */
static pare_status shorten_head(const pare_plan *plan, const pri_head_plan *from, size_t from_words,
                                pri_head_plan *head)
{
    PRI_TRY(allocate_bits(plan, head));
    for (size_t row = 0; row < plan->geometry.queries; row++) {
        for (size_t first = 0; first < plan->geometry.keys; first += 64) {
            size_t beyond = 64 - pri_smaller(64, plan->geometry.keys - first);
            head->bits[row * plan->words_per_row + first / 64] =
                from->bits[row * from_words + first / 64] & UINT64_MAX >> beyond;
        }
        head->uniform[row] = from->uniform[row];
        count_row(plan, row, head);
    }
    return PARE_OK;
}

static pare_status add_shorter(pare_plan *plan, const pare_plan_costs *costs)
{
    pare_plan *shorter = plan->shorter = pri_allocate_zero(1, sizeof *shorter);
    if (!shorter)
        return PARE_ERROR_MEMORY;
    shorter->geometry = half_of(plan);
    PRI_TRY(begin_plan(shorter));
    shorter->compiled_count = plan->compiled_count;
    for (size_t i = 0; i < plan->compiled_count; i++)
        PRI_TRY(
            shorten_head(shorter, &plan->compiled[i], plan->words_per_row, &shorter->compiled[i]));
    for (size_t head = 0; head < plan->geometry.heads; head++)
        shorter->heads[head] = shorter->compiled + (plan->heads[head] - plan->compiled);
    set_list_size(shorter, plan->list_size);
    return compile_heads(shorter, costs);
}

static pare_status compile(pare_plan *plan, const pare_plan_costs *costs, pare_plan_row kept,
                           void *user)
{
    uint8_t *fill = pri_allocate_zero(plan->geometry.keys, sizeof *fill);
    pare_status status = fill ? begin_plan(plan) : PARE_ERROR_MEMORY;
    for (size_t head = 0; head < plan->geometry.heads && status == PARE_OK; head++)
        status = read_head(plan, head, kept, user, fill);
    pri_free(fill);
    PRI_TRY(status);
    choose_list_size(plan);
    PRI_TRY(compile_heads(plan, costs));
    for (; length_of(&plan->geometry) >= 2 * LENGTH_LEAST; plan = plan->shorter)
        PRI_TRY(add_shorter(plan, costs));
    return PARE_OK;
}

const pare_plan_costs *pare_plan_default_costs(pare_level level)
{
    return &default_costs[level];
}

pare_status pare_plan_create(const pare_plan_geometry *geometry, pare_plan_row kept, void *user,
                             pare_plan **plan)
{
    return pare_plan_create_for(&default_costs[pri_best_level()], geometry, kept, user, plan);
}

pare_status pare_plan_create_for(const pare_plan_costs *costs, const pare_plan_geometry *geometry,
                                 pare_plan_row kept, void *user, pare_plan **plan)
{
    *plan = NULL;
    PRI_TRY(geometry_is_possible(geometry));
    if (!(costs->entry >= 0 && costs->run >= 0 && costs->span >= 0 && costs->key >= 0))
        return pri_fail(PARE_ERROR_ARGUMENT, "the costs of a plan must not be negative");
    pare_plan *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->geometry = *geometry;
    double start = pri_clock_seconds();
    pare_status status = compile(created, costs, kept, user);
    created->build_seconds = pri_clock_seconds() - start;
    if (status != PARE_OK) {
        pare_plan_destroy(created);
        return status;
    }
    *plan = created;
    return PARE_OK;
}

void pare_plan_destroy(pare_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->compiled_count; i++)
        release_head(&plan->compiled[i]);
    pare_plan_destroy(plan->shorter);
    pri_free(plan->compiled);
    pri_free(plan->heads);
    pri_free(plan);
}

uint64_t pare_plan_kept(const pare_plan *plan)
{
    uint64_t kept = 0;
    for (size_t head = 0; head < plan->geometry.heads; head++)
        kept += plan->heads[head]->kept;
    return kept;
}

static size_t head_bytes(const pare_plan *plan, const pri_head_plan *head)
{
    size_t queries = plan->geometry.queries, places = plan->list_blocks * plan->list_tiles;
    pri_list_place row_end = head->row_places[places], column_end = head->column_places[places];
    size_t strips = plan->row_blocks * PRI_BLOCK_STRIPS;
    size_t windows = head->windows ? head->window_first[strips] : 0;
    return queries * (plan->words_per_row * sizeof *head->bits + sizeof *head->uniform) +
           windows * sizeof *head->windows + (strips + 1) * sizeof *head->window_first +
           plan->row_blocks * sizeof *head->block_tiles +
           2 * (places + 1) * sizeof *head->row_places +
           (row_end.run + (size_t)column_end.run) * sizeof(pri_run) +
           (queries + 1) * sizeof *head->row_first + row_end.entry * sizeof *head->columns +
           row_end.entry / 8 + column_end.entry * (sizeof *head->rows + sizeof *head->weights);
}

size_t pare_plan_bytes(const pare_plan *plan)
{
    size_t bytes = sizeof *plan + plan->geometry.heads * sizeof *plan->heads;
    for (size_t i = 0; i < plan->compiled_count; i++)
        bytes += sizeof *plan->compiled + head_bytes(plan, &plan->compiled[i]);
    return plan->shorter ? bytes + pare_plan_bytes(plan->shorter) : bytes;
}

/* Adds the cells of all spans, kept or not, and how many spans there are. */
static void count_spans(const pare_plan *plan, const pri_head_plan *head,
                        pare_plan_summary *summary)
{
    for (size_t row = 0; head->windows && row < plan->geometry.queries; row++) {
        size_t strip = pri_strip_of(row), in_strip = row % PRI_BLOCK_ROWS % PRI_STRIP_ROWS;
        for (size_t w = head->window_first[strip]; w < head->window_first[strip + 1]; w++) {
            pri_span span = head->windows[w].spans[in_strip / PRI_GROUP_ROWS];
            summary->dense += (uint64_t)(span.end - span.begin);
            summary->spans += in_strip % PRI_GROUP_ROWS == 0 && span.begin < span.end;
        }
    }
}

pare_plan_summary pare_plan_summarise(const pare_plan *plan)
{
    pare_plan_summary summary = {.seconds = plan->build_seconds,
                                 .bytes = pare_plan_bytes(plan),
                                 .kept = pare_plan_kept(plan),
                                 .masks = plan->compiled_count};
    for (size_t h = 0; h < plan->geometry.heads; h++) {
        const pri_head_plan *head = plan->heads[h];
        pri_list_place lists = head->row_places[plan->list_blocks * plan->list_tiles];
        size_t packings = (size_t)(head->windows != NULL) + (head->listed > 0);
        summary.listed += head->listed;
        summary.empty_heads += head->kept == 0;
        summary.entries += lists.entry;
        summary.runs += lists.run;
        summary.keys += packings * plan->geometry.keys;
        count_spans(plan, head, &summary);
    }
    return summary;
}

pare_status pri_plan_geometry_check(const pare_plan_geometry *geometry, const pare_attention *call,
                                    const char *what)
{
    if (geometry->heads != call->heads || geometry->causal != call->causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the %s is for %zu heads, %scausal, but the attention has %zu heads and is "
                        "%scausal",
                        what, geometry->heads, geometry->causal ? "" : "not ", call->heads,
                        call->causal ? "" : "not ");
    for (size_t n = 0; n < call->queries.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        if (!pri_plan_holds(geometry, &sequence))
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "sequence %zu has %zu queries and %zu keys; the %s was made for %zu "
                            "queries and %zu keys and cannot serve it",
                            n, sequence.queries, sequence.keys, what, geometry->queries,
                            geometry->keys);
    }
    return PARE_OK;
}
