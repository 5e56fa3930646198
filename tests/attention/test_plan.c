/* Plans: that spans and both lists hold the cells of the mask once each, in the order that
 * attention/plan.h promises, what is shared and what is refused. */
#include "attention_case.h"

#include "attention/plan.h"

static void make_case_plan(attention_case *c, case_options options)
{
    *c = (attention_case){.options = options};
    case_make_plan(c);
}

static void free_case_plan(attention_case *c)
{
    pare_plan_destroy(c->plan);
    free(c->mask);
}

static bool mask_keeps(const attention_case *c, size_t head, size_t row, size_t column)
{
    const pare_plan_geometry *g = &c->geometry;
    if (g->causal && column > row + g->keys - g->queries)
        return false;
    return c->mask[(head * g->queries + row) * g->keys + column] != 0;
}

/* How often each cell of a head is computed: by spans, by the list by row, by that by column. */
typedef struct cell_counts {
    uint8_t *by_span, *by_row, *by_column;
} cell_counts;

static void count_spans(const pare_plan *plan, size_t h, uint8_t *counts)
{
    const pri_head_plan *head = plan->heads[h];
    const pare_plan_geometry *g = &plan->geometry;
    for (size_t row = 0; head->windows && row < g->queries; row++) {
        size_t group = row % PRI_BLOCK_ROWS % PRI_STRIP_ROWS / PRI_GROUP_ROWS;
        const uint32_t *first = head->window_first + pri_strip_of(row);
        for (size_t w = first[0]; w < first[1]; w++) {
            const pri_window *window = &head->windows[w];
            pri_span span = window->spans[group];
            assert_true(window->first % PRI_WINDOW_ALIGNMENT == 0);
            assert_true(span.begin <= span.end && span.end <= PRI_WINDOW_COLUMNS);
            for (size_t c = span.begin; c < span.end; c++) {
                size_t column = window->first + c;
                bool kept = pri_plan_bits(pri_plan_row_bits(plan, h, row), column) & 1;
                assert_true(kept || !span.complete);
                if (kept)
                    counts[row * g->keys + column]++;
            }
        }
    }
}

/* The lists of one tile; `weights` are names for the places of the row block's weights. */
static void count_tile(const pare_plan *plan, const pri_head_plan *head, size_t block, size_t tile,
                       cell_counts *counts)
{
    const pare_plan_geometry *g = &plan->geometry;
    size_t index = block * plan->list_tiles + tile, previous = 0, at = 0;
    const pri_list_place *place = head->row_places + index;
    const uint16_t *entries = head->columns + place[0].entry;
    size_t entry_count = place[1].entry - place[0].entry;
    for (size_t i = place[0].run; i < place[1].run; i++) {
        pri_run run = head->row_runs[i];
        size_t row = block * plan->list_size + run.index;
        size_t quads = (run.cells + PRI_QUAD - 1u) / PRI_QUAD;
        size_t first_weight = head->row_first[block * plan->list_size] + run.place;
        assert_true(run.cells > 0 && run.cells >= previous && row < g->queries);
        assert_true(first_weight >= head->row_first[row] &&
                    first_weight + quads * PRI_QUAD <= head->row_first[row + 1]);
        previous = run.cells;
        for (size_t k = 0; k < quads * PRI_QUAD; k++) {
            bool is_cell = pri_plan_bits(head->is_cell, first_weight + k) & 1;
            assert_int_equal(is_cell, k < run.cells);
            assert_int_equal(entries[at + k] == plan->list_size, k >= run.cells);
            if (k < run.cells)
                counts->by_row[row * g->keys + tile * plan->list_size + entries[at + k]]++;
        }
        at += quads * PRI_QUAD;
    }
    assert_int_equal(at, entry_count);
    place = head->column_places + index;
    const uint16_t *rows = head->rows + place[0].entry, *weights = head->weights + place[0].entry;
    for (size_t i = place[0].run; i < place[1].run; i++) {
        pri_run run = head->column_runs[i];
        for (size_t k = 0; k < run.cells; k++, rows++, weights++) {
            assert_int_equal(entries[*weights], run.index); /* the same cell by row */
            size_t row = block * plan->list_size + *rows;
            counts->by_column[row * g->keys + tile * plan->list_size + run.index]++;
        }
    }
    assert_ptr_equal(rows, head->rows + place[1].entry);
}

/* `plan` is the case's, or a shorter one of it, which has the first rows and columns. */
static void check_head(const attention_case *c, const pare_plan *plan, size_t h)
{
    const pri_head_plan *head = plan->heads[h];
    size_t columns = plan->geometry.keys, cells = plan->geometry.queries * columns;
    cell_counts counts = {calloc(cells, 1), calloc(cells, 1), calloc(cells, 1)};
    assert_true(counts.by_span && counts.by_row && counts.by_column);
    uint64_t kept = 0, listed = 0;
    count_spans(plan, h, counts.by_span);
    for (size_t block = 0; block < plan->list_blocks; block++)
        for (size_t tile = 0; tile < plan->list_tiles; tile++)
            count_tile(plan, head, block, tile, &counts);
    for (size_t i = 0; i < cells; i++) {
        bool keeps = mask_keeps(c, h, i / columns, i % columns);
        assert_int_equal(counts.by_span[i] + counts.by_row[i], keeps);
        assert_int_equal(counts.by_row[i], counts.by_column[i]);
        kept += keeps;
        listed += counts.by_row[i];
    }
    assert_true(head->kept == kept && head->listed == listed);
    free(counts.by_span);
    free(counts.by_row);
    free(counts.by_column);
}

static void test_every_cell_once(void **state)
{
    (void)state;
    const case_options shapes[] = {
        {.plan_queries = 20, .plan_keys = 150},
        {.plan_queries = 130, .plan_keys = 300, .causal = true},
        {.plan_queries = 257, .plan_keys = 257, .band = 40},
        {.plan_queries = 200, .plan_keys = 391, .causal = true, .band = 9},
        {.plan_queries = 1, .plan_keys = 1},
    };
    const double densities[] = {0, .02, .1, .5, .9, 1};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t d = 0; d < sizeof densities / sizeof *densities; d++) {
            attention_case c;
            case_options options = shapes[s];
            options.heads = 3;
            options.density = densities[d];
            options.seed = 9 + d;
            make_case_plan(&c, options);
            uint64_t kept = 0, listed = 0;
            for (size_t h = 0; h < 3; h++) {
                check_head(&c, c.plan, h);
                kept += c.plan->heads[h]->kept;
                listed += c.plan->heads[h]->listed;
            }
            pare_plan_summary summary = pare_plan_summarise(c.plan);
            assert_true(pare_plan_kept(c.plan) == kept && summary.kept == kept);
            assert_true(summary.listed == listed && summary.dense >= kept - listed);
            assert_true(summary.entries >= listed && summary.entries % PRI_QUAD == 0);
            assert_true(summary.runs <= listed && summary.runs * PRI_QUAD <= summary.entries);
            assert_int_equal(summary.spans > 0, summary.dense > 0);
            assert_true(summary.dense <= summary.spans * PRI_GROUP_ROWS * PRI_WINDOW_COLUMNS);
            assert_true(summary.keys <= 2 * 3 * c.geometry.keys &&
                        (summary.keys > 0) == (kept > 0));
            assert_true(summary.bytes == pare_plan_bytes(c.plan));
            assert_true(summary.bytes >= 6 * listed / (summary.masks == 1 ? 3 : 1));
            assert_true(summary.seconds >= 0);
            free_case_plan(&c);
        }
}

static bool row_is_uniform(const attention_case *c, size_t head, size_t row)
{
    const pare_plan_geometry *g = &c->geometry;
    for (size_t column = 0; column < g->keys; column++)
        if (mask_keeps(c, head, row, column) &&
            c->mask[(head * g->queries + row) * g->keys + column] == 2)
            return true;
    return false;
}

static void check_shorter(const attention_case *c, const pare_plan *plan)
{
    const pare_plan *shorter = plan->shorter;
    const pare_plan_geometry *g = &shorter->geometry;
    assert_true(2 * g->queries <= plan->geometry.queries + 1 && g->keys <= plan->geometry.keys);
    assert_int_equal(g->heads, plan->geometry.heads);
    assert_int_equal(shorter->list_size, plan->list_size);
    for (size_t h = 0; h < g->heads; h++) {
        check_head(c, shorter, h);
        for (size_t row = 0; row < g->queries; row++)
            assert_int_equal(shorter->heads[h]->uniform[row], row_is_uniform(c, h, row));
    }
}

/* What a sequence takes holds it, and the next shorter one does not. */
static void check_choice(const pare_plan *plan, size_t queries, size_t memory)
{
    bool causal = plan->geometry.causal;
    pri_sequence sequence = {
        .queries = queries, .keys = queries + memory, .memory = causal ? memory : 0};
    const pare_plan *taken = pri_plan_for(plan, &sequence);
    assert_true(pri_plan_holds(&taken->geometry, &sequence));
    assert_true(!taken->shorter || !pri_plan_holds(&taken->shorter->geometry, &sequence));
}

static void test_shorter_plans(void **state)
{
    (void)state;
    const struct {
        case_options options;
        size_t shortest, count; /* of rows; of shorter plans */
    } cases[] = {
        {{.plan_queries = 66, .plan_keys = 66}, 9, 3},
        {{.plan_queries = 300, .plan_keys = 300, .band = 20}, 8, 4},
        {{.plan_queries = 30, .plan_keys = 70, .uniform = .3}, 4, 3},
        {{.plan_queries = 150, .plan_keys = 300, .causal = true, .uniform = .3}, 8, 4},
        {{.plan_queries = 12, .plan_keys = 15}, 12, 0},
        {{.plan_queries = 12, .plan_keys = 400, .causal = true}, 12, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c;
        case_options options = cases[i].options;
        options.heads = 2;
        options.density = .4;
        options.seed = 30 + i;
        make_case_plan(&c, options);
        size_t count = 0, memory = options.plan_keys - options.plan_queries;
        const pare_plan *plan = c.plan;
        for (; plan->shorter; plan = plan->shorter, count++)
            check_shorter(&c, plan);
        assert_int_equal(plan->geometry.queries, cases[i].shortest);
        assert_int_equal(count, cases[i].count);
        for (size_t queries = 0; queries <= options.plan_queries; queries++)
            check_choice(c.plan, queries, queries % (memory + 1));
        free_case_plan(&c);
    }
}

/* Spans where cells cluster, lists where they do not. Where exactly the one begins follows the
 * costs, so these are given here: those of a level change whenever it is calibrated. */
static void test_formats_follow_the_pattern(void **state)
{
    (void)state;
    const pare_plan_costs costs = {.entry = 1.3, .run = 6, .span = 40, .key = 11};
    const struct {
        double density;
        size_t band;
        double listed_least, listed_most;
    } cases[] = {
        {1, 0, 0, 0}, {.9, 0, 0, .01}, {.1, 0, .99, 1}, {0, 100, 0, .2}, {.1, 100, .2, .8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attention_case c;
        make_case_plan(&c, (case_options){.heads = 1,
                                          .plan_queries = 512,
                                          .plan_keys = 512,
                                          .density = cases[i].density,
                                          .band = cases[i].band,
                                          .seed = 4});
        pare_plan_destroy(c.plan);
        assert_int_equal(pare_plan_create_for(&costs, &c.geometry, plan_row_from_mask, &c, &c.plan),
                         PARE_OK);
        pare_plan_summary summary = pare_plan_summarise(c.plan);
        double listed = (double)summary.listed / (double)summary.kept;
        assert_true(listed >= cases[i].listed_least && listed <= cases[i].listed_most);
        free_case_plan(&c);
    }
}

/* Row `row` of head `head` keeps what the pattern of the head says: 0 nothing, 1 and 2 the same. */
static void keep_pattern(void *user, size_t head, size_t row, uint8_t *fill)
{
    const pare_plan_geometry *geometry = user;
    for (size_t column = 0; column < geometry->keys; column++)
        fill[column] = head > 0 && (row * 7 + column * (head == 3 ? 5 : 3)) % 11 < 2;
}

static void test_equal_heads_share(void **state)
{
    (void)state;
    pare_plan_geometry geometry = {4, 40, 50, false};
    pare_plan *plan;
    assert_ok(pare_plan_create(&geometry, keep_pattern, &geometry, &plan));
    pare_plan_summary summary = pare_plan_summarise(plan);
    assert_int_equal(summary.empty_heads, 1);
    assert_int_equal(summary.masks, 3);
    assert_ptr_equal(plan->heads[1], plan->heads[2]);
    assert_ptr_not_equal(plan->heads[1], plan->heads[3]);
    assert_true(plan->heads[0]->kept == 0);
    pare_plan_destroy(plan);
}

static void keep_none(void *user, size_t head, size_t row, uint8_t *fill)
{
    (void)head, (void)row;
    memset(fill, 0, ((const pare_plan_geometry *)user)->keys);
}

static void test_refusals(void **state)
{
    (void)state;
    const pare_plan_geometry bad[] = {
        {0, 4, 4, false}, {1, 0, 4, false},     {1, 4, 0, false},
        {1, 5, 4, true},  {1, 4, 65537, false}, {1, 65537, 70000, false},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pare_plan_geometry geometry = bad[i];
        pare_plan *plan = (pare_plan *)&geometry;
        assert_int_not_equal(pare_plan_create(&geometry, keep_none, &geometry, &plan), PARE_OK);
        assert_null(plan);
        assert_true(strlen(pare_error_message()) > 10);
    }
    pare_plan_geometry largest = {1, 1, 65536, false};
    pare_plan *plan;
    assert_ok(pare_plan_create(&largest, keep_none, &largest, &plan));
    assert_int_equal(pare_plan_kept(plan), 0);
    pare_plan_destroy(plan);
    pare_plan_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_once),
        cmocka_unit_test(test_shorter_plans),
        cmocka_unit_test(test_formats_follow_the_pattern),
        cmocka_unit_test(test_equal_heads_share),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("attention plan", tests, NULL, NULL);
}
