/* Plans: what is kept, what is refused, and that the row and column lists hold the same cells. */
#include "attention_case.h"

#include "attention/plan.h"

static void make_case_plan(attention_case *c, size_t heads, size_t queries, size_t keys,
                           bool causal, double density)
{
    *c = (attention_case){.options = {.heads = heads,
                                      .causal = causal,
                                      .density = density,
                                      .plan_queries = queries,
                                      .plan_keys = keys,
                                      .seed = 9}};
    case_make_plan(c);
}

static void free_case_plan(attention_case *c)
{
    pare_plan_destroy(c->plan);
    free(c->mask);
}

static void test_lists_hold_the_mask(void **state)
{
    (void)state;
    const double densities[] = {0, .05, .5, 1};
    for (size_t d = 0; d < 4; d++)
        for (int causal = 0; causal < 2; causal++) {
            attention_case c;
            make_case_plan(&c, 3, 20, 150, causal, densities[d]);
            const pare_plan *plan = c.plan;
            uint64_t kept = 0;
            size_t longest = 0;
            for (size_t h = 0; h < 3; h++)
                for (size_t row = 0; row < 20; row++) {
                    size_t at = plan->row_begin[h * 20 + row], begin = at;
                    for (size_t column = 0; column < 150; column++)
                        if (c.mask[(h * 20 + row) * 150 + column] &&
                            (!causal || column <= row + 130))
                            assert_int_equal(plan->columns[at++], column);
                    assert_int_equal(at, plan->row_begin[h * 20 + row + 1]);
                    kept += at - begin;
                    longest = at - begin > longest ? at - begin : longest;
                    for (size_t m = 0; m * PRI_MARK_COLUMNS <= 192; m++) {
                        pri_plan_cells all = {begin, at - begin, false};
                        pri_plan_cells below =
                            pri_plan_cells_between(plan, h, row, all, 0, m * PRI_MARK_COLUMNS);
                        for (size_t i = 0; i < all.count; i++)
                            assert_true((plan->columns[begin + i] < m * PRI_MARK_COLUMNS) ==
                                        (i < below.count));
                    }
                }
            assert_true(pare_plan_kept(plan) == kept);
            assert_int_equal(plan->longest_row, longest);
            for (size_t h = 0; h < 3; h++) {
                size_t first = plan->row_begin[h * 20];
                for (size_t column = 0; column < 150; column++) {
                    size_t begin = plan->column_begin[h * 150 + column];
                    size_t end = plan->column_begin[h * 150 + column + 1];
                    for (size_t i = begin; i < end; i++) {
                        size_t cell = first + plan->cells[i], row = plan->rows[i];
                        assert_int_equal(plan->columns[cell], column);
                        assert_true(cell >= plan->row_begin[h * 20 + row] &&
                                    cell < plan->row_begin[h * 20 + row + 1]);
                        assert_true(i == begin || plan->rows[i - 1] < row);
                    }
                }
            }
            assert_true(plan->column_begin[3 * 150] == kept);
            assert_true(pare_plan_bytes(plan) >= kept * 8);
            free_case_plan(&c);
        }
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
        cmocka_unit_test(test_lists_hold_the_mask),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("attention plan", tests, NULL, NULL);
}
