/* Average, mask and plan with real attention calls: the oracles 1, 4, 5 and 7 of pruning. Names
 * with T are traps of docs/reproducing.md. */
#include "pruning/synthetic.h"

#include <math.h>

#include "base/memory.h"

enum { HEADS = 2, HEAD_SIZE = 9, WIDTH = HEADS * HEAD_SIZE, TOKENS = 64 };

/* Causal with memory: five rows, eight columns. */
static const pare_geometry shape = {
    .layers = 1, .heads = HEADS, .queries = 5, .keys = 8, .causal = true};

/* Arrays of one call; queries, keys and values are random. */
typedef struct example {
    float query[TOKENS * WIDTH], key[TOKENS * WIDTH], value[TOKENS * WIDTH], output[TOKENS * WIDTH];
} example;

static void fill(example *e, uint64_t seed)
{
    memset(e->output, 0, sizeof e->output);
    for (uint64_t i = 0; i < TOKENS * WIDTH; i++) {
        e->query[i] = (float)pri_random_normal(seed, 3 * i);
        e->key[i] = (float)pri_random_normal(seed, 3 * i + 1);
        e->value[i] = (float)pri_random_normal(seed, 3 * i + 2);
    }
}

static pare_attention make_call(example *e, const size_t *queries, const size_t *keys, size_t count)
{
    return (pare_attention){.heads = HEADS,
                            .head_size = HEAD_SIZE,
                            .scale = 0.6f,
                            .query = {e->query, WIDTH, HEAD_SIZE},
                            .key = {e->key, WIDTH, HEAD_SIZE},
                            .value = {e->value, WIDTH, HEAD_SIZE},
                            .output = {e->output, WIDTH, HEAD_SIZE},
                            .queries = {queries, count},
                            .keys = {keys, count},
                            .causal = true};
}

static void run(const pare_attention *call)
{
    pare_context *context;
    ASSERT_OK(pare_context_create(NULL, &context));
    void *workspace = pri_allocate(pare_attention_workspace(context, call), 1);
    ASSERT_OK(pare_attention_forward(context, call, workspace));
    pri_free(workspace);
    pare_context_destroy(context);
}

/* One sequence of `queries` rows after `memory` keys; the outputs land in e. */
static void run_one(example *e, size_t queries, size_t memory, const pare_plan *plan)
{
    const size_t query_offsets[] = {0, queries}, key_offsets[] = {0, memory + queries};
    pare_attention call = make_call(e, query_offsets, key_offsets, 1);
    call.plan = plan;
    run(&call);
}

static pare_plan *make_plan(const pare_average *average, pare_prune_options options)
{
    pare_mask *mask = make_mask(average, options);
    pare_plan *plan;
    ASSERT_OK(pare_mask_plan(mask, 0, shape.queries, shape.keys, &plan));
    pare_mask_destroy(mask);
    return plan;
}

/* Oracle 4: a ragged batch gives the averages of its sequences one by one, and both those of the
 * formulas in fp64. */
static void test_observation_is_the_average_of_the_formulas(void **state)
{
    (void)state;
    static example e;
    fill(&e, 1);
    const size_t queries[] = {0, 5, 6, 9, 14}, keys[] = {0, 8, 10, 13, 18};
    pare_average *batch = make_average(shape, 0, 0, false);
    pare_average *single = make_average(shape, 0, 0, false);
    pare_attention call = make_call(&e, queries, keys, 4);
    pare_observer observer = pare_average_observer(batch, 0);
    call.observer = &observer;
    run(&call);
    pare_average_add_examples(batch, 4);
    for (size_t n = 0; n < 4; n++) {
        /* The reference fills probabilities of a single sequence: shift the arrays to it. */
        size_t rows = queries[n + 1] - queries[n], columns = keys[n + 1] - keys[n];
        const size_t query_offsets[] = {0, rows}, key_offsets[] = {0, columns};
        pare_attention one = make_call(&e, query_offsets, key_offsets, 1);
        one.query.data += queries[n] * WIDTH;
        one.key.data += keys[n] * WIDTH;
        one.value.data += keys[n] * WIDTH;
        double output[5 * WIDTH], logsumexp[5 * HEADS], probabilities[HEADS * 5 * 8];
        ASSERT_OK(pare_attention_reference(&one, output, logsumexp, probabilities));
        pare_observer sums = pare_average_observer(single, 0);
        size_t shift = 3 - (columns - rows);
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j <= i + columns - rows; j++) {
                    sums.sums[(h * 5 + i) * 8 + j + shift] +=
                        probabilities[(h * rows + i) * columns + j];
                    sums.counts[i * 8 + j + shift] += h == 0;
                }
        pare_average_add_examples(single, 1);
    }
    FOR_CELLS(&shape)
    {
        double seen = pare_average_value(batch, PARE_AVERAGE_VALID, l, h, i, j);
        double expected = pare_average_value(single, PARE_AVERAGE_VALID, l, h, i, j);
        assert_int_equal(pare_average_count(batch, i, j), pare_average_count(single, i, j));
        assert_int_equal(isnan(seen), isnan(expected));
        assert_true(isnan(seen) || fabs(seen - expected) < 1e-6);
    }
    pare_average_destroy(batch);
    pare_average_destroy(single);
}

/* Oracle 1. */
static void test_zero_percent_equals_dense(void **state)
{
    (void)state;
    static example dense, masked;
    pare_average *average = make_average(shape, 1, 3, false);
    for (int kind = PARE_GEOMETRY_CELL; kind <= PARE_GEOMETRY_DISTANCE; kind++)
        for (size_t queries = 1; queries <= 5; queries++)
            for (size_t memory = 0; memory <= 3; memory++) {
                pare_plan *plan =
                    make_plan(average, (pare_prune_options){.geometry = (pare_geometry_kind)kind});
                fill(&dense, queries);
                fill(&masked, queries);
                run_one(&dense, queries, memory, NULL);
                run_one(&masked, queries, memory, plan);
                for (size_t i = 0; i < queries * WIDTH; i++)
                    assert_true(fabsf(dense.output[i] - masked.output[i]) < 2e-6f);
                pare_plan_destroy(plan);
            }
    pare_average_destroy(average);
}

/* Oracle 5: at 95%, under every policy, a row's output has the same bits whatever happens to keys
 * and values that it may not see: the future, or a column pruned in that row. */
static void test_pruned_and_future_keys_do_not_leak(void **state)
{
    (void)state;
    static example before, after;
    pare_average *average = make_average(shape, 6, 3, false);
    for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_UNIFORM; policy++) {
        pare_prune_options options = {.empty_row = (pare_empty_row)policy, .percent = 95};
        pare_mask *mask = make_mask(average, options);
        pare_plan *plan = make_plan(average, options);
        fill(&before, 5);
        run_one(&before, 5, 3, plan);
        for (size_t changed = 0; changed < 8; changed++) {
            fill(&after, 5);
            for (size_t d = 0; d < WIDTH; d++) {
                after.key[changed * WIDTH + d] = 1e3f;
                after.value[changed * WIDTH + d] = -1e3f;
            }
            run_one(&after, 5, 3, plan);
            for (size_t h = 0; h < HEADS; h++)
                for (size_t i = 0; i < 5; i++) {
                    bool empty = true;
                    for (size_t j = 0; j < 8; j++)
                        empty = empty && !pare_mask_kept(mask, 0, h, i, j);
                    bool uniform = empty && policy == PARE_EMPTY_ROW_UNIFORM;
                    bool sees = uniform ? changed <= i + 3 : pare_mask_kept(mask, 0, h, i, changed);
                    size_t first = i * WIDTH + h * HEAD_SIZE;
                    int difference = memcmp(before.output + first, after.output + first,
                                            HEAD_SIZE * sizeof(float));
                    assert_int_equal(difference != 0, sees);
                    for (size_t d = 0; empty && !uniform && d < HEAD_SIZE; d++)
                        assert_true(before.output[first + d] == 0);
                }
        }
        pare_plan_destroy(plan);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* T6 and oracle 7: a first segment, without memory, is treated like one whose memory is pruned. */
static void test_t6_a_first_segment_uses_the_right_columns(void **state)
{
    (void)state;
    static example first, later;
    pare_average *average;
    ASSERT_OK(pare_average_create(&shape, &average));
    pare_observer observer = pare_average_observer(average, 0);
    size_t memory_cells = 0, cells = 0;
    FOR_CELLS(&shape)
    {
        if (!is_admissible(&shape, i, j))
            continue;
        bool memory = j < 3;
        /* Half of the segment's own cells are weak, all of the memory's are weaker. */
        double strength = memory ? 0.001 : 0.01 + 0.01 * (double)((i * 3 + j + h) % 4);
        observer.sums[(h * 5 + i) * 8 + j] = strength;
        observer.counts[i * 8 + j] = 1;
        cells++;
        memory_cells += memory;
    }
    pare_average_add_examples(average, 1);
    double percent = 100 * (double)(memory_cells + 8) / (double)cells;
    pare_plan *plan = make_plan(
        average, (pare_prune_options){.percent = percent, .empty_row = PARE_EMPTY_ROW_ZERO});
    assert_int_equal(pare_plan_kept(plan), cells - memory_cells - 8);
    fill(&first, 3);
    fill(&later, 3);
    /* The later segment has three more keys before the same five. */
    memmove(later.key + 3 * WIDTH, first.key, 5 * WIDTH * sizeof(float));
    memmove(later.value + 3 * WIDTH, first.value, 5 * WIDTH * sizeof(float));
    run_one(&first, 5, 0, plan);
    run_one(&later, 5, 3, plan);
    assert_memory_equal(first.output, later.output, 5 * WIDTH * sizeof(float));
    pare_plan_destroy(plan);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_observation_is_the_average_of_the_formulas),
        cmocka_unit_test(test_zero_percent_equals_dense),
        cmocka_unit_test(test_pruned_and_future_keys_do_not_leak),
        cmocka_unit_test(test_t6_a_first_segment_uses_the_right_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
