/* Averages, masks and plans of encoders: not causal, lengths mixed in ragged batches, with real
 * attention calls against the formulas over pare_mask_kept. Oracles are those of pruning; names
 * with B are traps of the reference implementation for BERT: B1 the average was that of the last
 * batch, B2 padded rows and columns counted, B3 the last row and column of a full average were cut
 * off, B4 fully pruned rows attended to all real keys. */
#include "pruning/synthetic.h"

#include <math.h>

#include "base/memory.h"

enum { HEADS = 2, HEAD_SIZE = 9, WIDTH = HEADS * HEAD_SIZE, LONGEST = 384 };
static const float scale = 0.6f;

/* A ragged batch of random queries, keys and values with its results. */
typedef struct batch {
    size_t sequences, offsets[33];
    float *query, *key, *value, *output, *logsumexp;
} batch;

static float *random_floats(size_t count, uint64_t seed)
{
    float *numbers = calloc(count, sizeof *numbers);
    assert_non_null(numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (float)pri_random_normal(seed, i);
    return numbers;
}

static batch make_batch(const size_t *lengths, size_t sequences, uint64_t seed)
{
    batch b = {.sequences = sequences};
    assert_in_range(sequences, 1, 32);
    for (size_t n = 0; n < sequences; n++)
        b.offsets[n + 1] = b.offsets[n] + lengths[n];
    size_t tokens = b.offsets[sequences];
    b.query = random_floats(tokens * WIDTH, seed + 100);
    b.key = random_floats(tokens * WIDTH, seed + 200);
    b.value = random_floats(tokens * WIDTH, seed + 300);
    b.output = random_floats(tokens * WIDTH, seed + 400);
    b.logsumexp = random_floats(tokens * HEADS, seed + 500);
    return b;
}

static void free_batch(batch *b)
{
    free(b->query);
    free(b->key);
    free(b->value);
    free(b->output);
    free(b->logsumexp);
}

static pare_attention make_call(const batch *b)
{
    return (pare_attention){.heads = HEADS,
                            .head_size = HEAD_SIZE,
                            .scale = scale,
                            .query = {b->query, WIDTH, HEAD_SIZE},
                            .key = {b->key, WIDTH, HEAD_SIZE},
                            .value = {b->value, WIDTH, HEAD_SIZE},
                            .output = {b->output, WIDTH, HEAD_SIZE},
                            .queries = {b->offsets, b->sequences},
                            .keys = {b->offsets, b->sequences},
                            .logsumexp = b->logsumexp};
}

static void run(const batch *b, const pare_plan *plan, pare_observer *observer,
                const pare_attention_gradient *gradient)
{
    pare_attention call = make_call(b);
    call.plan = plan;
    call.observer = observer;
    pare_context *context;
    ASSERT_OK(pare_context_create(NULL, &context));
    void *workspace = pri_allocate(pare_attention_workspace(context, &call), 1);
    ASSERT_OK(pare_attention_forward(context, &call, workspace));
    if (gradient)
        ASSERT_OK(pare_attention_backward(context, &call, gradient, workspace));
    pri_free(workspace);
    pare_context_destroy(context);
}

/* ---- The formulas, over the cells that the mask keeps; NULL: all ---- */

static bool keeps(const pare_mask *mask, size_t head, size_t row, size_t column)
{
    return !mask || pare_mask_kept(mask, 0, head, row, column);
}

/* Probabilities of one row of sequence n; returns whether there are any. */
static bool attend(const batch *b, const pare_mask *mask, size_t n, size_t head, size_t row,
                   double *probabilities)
{
    size_t first = b->offsets[n], length = b->offsets[n + 1] - first;
    double largest = -INFINITY, sum = 0;
    for (size_t j = 0; j < length; j++) {
        double score = 0;
        for (size_t d = head * HEAD_SIZE; d < (head + 1) * HEAD_SIZE; d++)
            score += (double)b->query[(first + row) * WIDTH + d] * b->key[(first + j) * WIDTH + d];
        probabilities[j] = (double)scale * score;
        if (keeps(mask, head, row, j) && probabilities[j] > largest)
            largest = probabilities[j];
    }
    for (size_t j = 0; j < length; j++) {
        probabilities[j] = keeps(mask, head, row, j) ? exp(probabilities[j] - largest) : 0;
        sum += probabilities[j];
    }
    for (size_t j = 0; sum > 0 && j < length; j++)
        probabilities[j] /= sum;
    return sum > 0;
}

/* Rows without a key must be exactly 0; returns how many there were. */
static size_t assert_output_follows(const batch *b, const pare_mask *mask)
{
    static double probabilities[LONGEST];
    size_t empty = 0;
    for (size_t n = 0; n < b->sequences; n++)
        for (size_t row = 0; row < b->offsets[n + 1] - b->offsets[n]; row++)
            for (size_t head = 0; head < HEADS; head++) {
                bool any = attend(b, mask, n, head, row, probabilities);
                empty += !any;
                for (size_t d = head * HEAD_SIZE; d < (head + 1) * HEAD_SIZE; d++) {
                    double expected = 0;
                    for (size_t j = 0; any && j < b->offsets[n + 1] - b->offsets[n]; j++)
                        expected += probabilities[j] * b->value[(b->offsets[n] + j) * WIDTH + d];
                    double seen = b->output[(b->offsets[n] + row) * WIDTH + d];
                    assert_true(any ? fabs(seen - expected) < 5e-6 : seen == 0);
                }
            }
    return empty;
}

/* ---- The kinds of mask that an encoder may have ---- */

static const pare_prune_options kinds[] = {
    {.average = PARE_AVERAGE_VALID},
    {.average = PARE_AVERAGE_MASS, .scope = PARE_SCOPE_ROW},
    {.method = PARE_METHOD_RANDOM, .seed = 3},
    {.block = 4},
    {.geometry = PARE_GEOMETRY_RELATIVE},
    {.geometry = PARE_GEOMETRY_RELATIVE, .method = PARE_METHOD_RANDOM, .seed = 3},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static pare_geometry encoder(size_t length, bool ends_first)
{
    return (pare_geometry){
        .layers = 1, .heads = HEADS, .queries = length, .keys = length, .ends_first = ends_first};
}

static pare_mask *prune(const pare_average *average, size_t kind, double percent,
                        pare_empty_row policy)
{
    pare_prune_options options = kinds[kind];
    options.percent = percent;
    options.empty_row = policy;
    return make_mask(average, options);
}

static pare_plan *compile(const pare_mask *mask, size_t length)
{
    pare_plan *plan;
    ASSERT_OK(pare_mask_plan(mask, 0, length, length, &plan));
    return plan;
}

static const size_t mixed[] = {3, 1, 20, 7, 2, 20, 12, 5, 4, 19};
#define MIXED (sizeof mixed / sizeof *mixed)

/* Oracle 1. */
static void test_zero_percent_equals_dense(void **state)
{
    (void)state;
    pare_average *average = make_average(encoder(20, true), 1, 3, true);
    batch b = make_batch(mixed, MIXED, 1);
    for (size_t kind = 0; kind < KINDS; kind++) {
        pare_mask *mask = prune(average, kind, 0, PARE_EMPTY_ROW_KEEP_ONE);
        pare_plan *plan = compile(mask, 20);
        run(&b, plan, NULL, NULL);
        assert_int_equal(assert_output_follows(&b, NULL), 0);
        pare_plan_destroy(plan);
        pare_mask_destroy(mask);
    }
    free_batch(&b);
    pare_average_destroy(average);
}

/* Oracle 8, and the meaning of every other mask: the kernels compute the formulas over the cells
 * that pare_mask_kept names, in sequences of all lengths under one plan. */
static void test_outputs_follow_the_mask(void **state)
{
    (void)state;
    size_t empty = 0;
    for (size_t ends_first = 0; ends_first < 2; ends_first++) {
        pare_average *average = make_average(encoder(20, ends_first), 2, 3, true);
        batch b = make_batch(mixed, MIXED, 2);
        for (size_t kind = 0; kind < (ends_first ? KINDS : 4); kind++)
            for (int percent = 30; percent <= 90; percent += 20) {
                pare_mask *mask = prune(average, kind, percent, PARE_EMPTY_ROW_ZERO);
                pare_plan *plan = compile(mask, 20);
                run(&b, plan, NULL, NULL);
                empty += assert_output_follows(&b, mask);
                pare_plan_destroy(plan);
                pare_mask_destroy(mask);
            }
        free_batch(&b);
        pare_average_destroy(average);
    }
    assert_true(empty > 0);
}

/* One plan for 384 tokens serves every shorter sequence, by truncation: ends first, what the mask
 * says of a token does not depend on the length. */
static void test_one_relative_plan_serves_all_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 3, 4, 5, 384, 17, 64, 383, 129, 2, 1};
    const size_t count = sizeof lengths / sizeof *lengths;
    pare_average *average = make_average(encoder(LONGEST, true), 3, 1, false);
    pare_mask *mask = prune(average, 4, 85, PARE_EMPTY_ROW_KEEP_ONE);
    pare_plan *longest = compile(mask, LONGEST);
    batch b = make_batch(lengths, count, 4);
    run(&b, longest, NULL, NULL);
    assert_output_follows(&b, mask);
    /* And it is the plan of that very length, up to the order of sums. */
    for (size_t n = 0; n < count; n++) {
        batch alone = make_batch(&lengths[n], 1, 5);
        pare_plan *exact = compile(mask, lengths[n]);
        run(&alone, exact, NULL, NULL);
        assert_output_follows(&alone, mask);
        run(&alone, longest, NULL, NULL);
        assert_output_follows(&alone, mask);
        pare_plan_destroy(exact);
        free_batch(&alone);
    }
    free_batch(&b);
    pare_plan_destroy(longest);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Oracle 5 and the absence of padding: what a row may not see, batch-mates included, changes no bit
 * of its output. */
static void test_nothing_leaks(void **state)
{
    (void)state;
    const size_t lengths[] = {6, 11, 3};
    pare_average *average = make_average(encoder(11, true), 6, 3, true);
    for (size_t kind = 0; kind < KINDS; kind++)
        for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_ZERO; policy++) {
            pare_mask *mask = prune(average, kind, 95, (pare_empty_row)policy);
            pare_plan *plan = compile(mask, 11);
            batch before = make_batch(lengths, 3, 7);
            run(&before, plan, NULL, NULL);
            for (size_t changed = 0; changed < 20; changed++) {
                batch after = make_batch(lengths, 3, 7);
                for (size_t d = 0; d < WIDTH; d++) {
                    after.key[changed * WIDTH + d] = 1e3f;
                    after.value[changed * WIDTH + d] = -1e3f;
                }
                run(&after, plan, NULL, NULL);
                for (size_t n = 0; n < 3; n++)
                    for (size_t row = 0; row < lengths[n]; row++)
                        for (size_t head = 0; head < HEADS; head++) {
                            size_t token = (before.offsets[n] + row) * WIDTH + head * HEAD_SIZE;
                            bool mine = changed >= before.offsets[n] &&
                                        changed < before.offsets[n + 1] &&
                                        keeps(mask, head, row, changed - before.offsets[n]);
                            int differs = memcmp(before.output + token, after.output + token,
                                                 HEAD_SIZE * sizeof(float));
                            assert_int_equal(differs != 0, mine);
                        }
                free_batch(&after);
            }
            free_batch(&before);
            pare_plan_destroy(plan);
            pare_mask_destroy(mask);
        }
    pare_average_destroy(average);
}

/* Oracle 10, the part that is this room's: gradients of what is pruned are exactly 0. */
static void test_gradients_of_pruned_cells_are_zero(void **state)
{
    (void)state;
    pare_average *average = make_average(encoder(20, true), 8, 3, true);
    batch b = make_batch(mixed, MIXED, 9);
    size_t tokens = b.offsets[MIXED], zero_queries = 0, zero_keys = 0;
    float *upstream = random_floats(tokens * WIDTH, 10);
    float *query = random_floats(tokens * WIDTH, 11), *key = random_floats(tokens * WIDTH, 12);
    float *value = random_floats(tokens * WIDTH, 13);
    pare_attention_gradient gradient = {.output_gradient = {upstream, WIDTH, HEAD_SIZE},
                                        .query = {query, WIDTH, HEAD_SIZE},
                                        .key = {key, WIDTH, HEAD_SIZE},
                                        .value = {value, WIDTH, HEAD_SIZE}};
    for (size_t kind = 0; kind < KINDS; kind++) {
        pare_mask *mask = prune(average, kind, 90, PARE_EMPTY_ROW_ZERO);
        pare_plan *plan = compile(mask, 20);
        run(&b, plan, NULL, &gradient);
        for (size_t n = 0; n < MIXED; n++)
            for (size_t token = 0; token < mixed[n]; token++)
                for (size_t head = 0; head < HEADS; head++) {
                    bool row_empty = true, column_empty = true;
                    for (size_t other = 0; other < mixed[n]; other++) {
                        row_empty = row_empty && !keeps(mask, head, token, other);
                        column_empty = column_empty && !keeps(mask, head, other, token);
                    }
                    zero_queries += row_empty;
                    zero_keys += column_empty;
                    size_t first = (b.offsets[n] + token) * WIDTH + head * HEAD_SIZE;
                    for (size_t i = first; i < first + HEAD_SIZE; i++) {
                        assert_true(!row_empty || query[i] == 0);
                        assert_int_equal(column_empty, key[i] == 0 && value[i] == 0);
                    }
                }
        pare_plan_destroy(plan);
        pare_mask_destroy(mask);
    }
    assert_true(zero_queries > 0 && zero_keys > 0);
    free(upstream);
    free(query);
    free(key);
    free(value);
    free_batch(&b);
    pare_average_destroy(average);
}

/* ---- Averages ---- */

/* Oracle 4 and B1: sums over all batches, whatever their size and order; not the last one. */
static void test_b1_all_batches_count(void **state)
{
    (void)state;
    const pare_geometry g = encoder(20, false);
    pare_average *expected = make_average(g, 0, 0, false);
    pare_average *at_once = make_average(g, 0, 0, false),
                 *one_by_one = make_average(g, 0, 0, false);
    pare_average *shards[2] = {make_average(g, 0, 0, false), make_average(g, 0, 0, false)};
    batch b = make_batch(mixed, MIXED, 14);
    static double probabilities[LONGEST];
    pare_observer sums = pare_average_observer(expected, 0);
    for (size_t n = 0; n < MIXED; n++)
        for (size_t row = 0; row < mixed[n]; row++)
            for (size_t head = 0; head < HEADS; head++) {
                attend(&b, NULL, n, head, row, probabilities);
                for (size_t j = 0; j < mixed[n]; j++) {
                    sums.sums[(head * 20 + row) * 20 + j] += probabilities[j];
                    sums.counts[row * 20 + j] += head == 0;
                }
            }
    pare_average_add_examples(expected, MIXED);
    pare_observer observer = pare_average_observer(at_once, 0);
    run(&b, NULL, &observer, NULL);
    pare_average_add_examples(at_once, MIXED);
    for (size_t n = MIXED; n-- > 0;) { /* in the other order, too */
        batch alone = make_batch(&mixed[n], 1, 0);
        memcpy(alone.query, b.query + b.offsets[n] * WIDTH, mixed[n] * WIDTH * sizeof(float));
        memcpy(alone.key, b.key + b.offsets[n] * WIDTH, mixed[n] * WIDTH * sizeof(float));
        observer = pare_average_observer(one_by_one, 0);
        run(&alone, NULL, &observer, NULL);
        pare_average_add_examples(one_by_one, 1);
        observer = pare_average_observer(shards[n % 2], 0);
        run(&alone, NULL, &observer, NULL);
        pare_average_add_examples(shards[n % 2], 1);
        free_batch(&alone);
    }
    ASSERT_OK(pare_average_merge(shards[0], shards[1]));
    pare_average *const others[] = {at_once, one_by_one, shards[0]};
    for (size_t other = 0; other < 3; other++) {
        assert_int_equal(pare_average_examples(others[other]), MIXED);
        FOR_CELLS(&g)
        {
            double x = pare_average_value(expected, PARE_AVERAGE_MASS, l, h, i, j);
            double y = pare_average_value(others[other], PARE_AVERAGE_MASS, l, h, i, j);
            assert_int_equal(pare_average_count(expected, i, j),
                             pare_average_count(others[other], i, j));
            assert_true(fabs(x - y) < 1e-6);
        }
    }
    free_batch(&b);
    pare_average_destroy(expected);
    pare_average_destroy(at_once);
    pare_average_destroy(one_by_one);
    pare_average_destroy(shards[0]);
    pare_average_destroy(shards[1]);
}

/* B2: a short sequence adds to the cells of its own square only, and to those with its own keys. */
static void test_b2_padding_does_not_count(void **state)
{
    (void)state;
    const pare_geometry g = encoder(6, false);
    pare_average *average = make_average(g, 1, 0, false);
    observe_sequence(average, 1, 6, 6);
    double before[6][6];
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++)
            before[i][j] = pare_average_value(average, PARE_AVERAGE_VALID, 0, 1, i, j);
    observe_sequence(average, 2, 4, 4);
    for (size_t i = 0; i < 6; i++) {
        double row_sum = 0;
        for (size_t j = 0; j < 6; j++) {
            bool reached = i < 4 && j < 4;
            double valid = pare_average_value(average, PARE_AVERAGE_VALID, 0, 1, i, j);
            double mass = pare_average_value(average, PARE_AVERAGE_MASS, 0, 1, i, j);
            assert_int_equal(pare_average_count(average, i, j), reached ? 2 : 1);
            if (!reached)
                assert_true(valid == before[i][j] && mass == before[i][j] / 2);
            row_sum += mass;
        }
        /* Rows of the mass average: the share of sequences that have the row. */
        assert_true(fabs(row_sum - (i < 4 ? 1 : 0.5)) < 1e-12);
    }
    pare_average_destroy(average);
}

/* Cells that only long sequences reach: as strong as others when they exist, weak in the corpus. */
static void test_valid_and_mass_order_rare_positions_differently(void **state)
{
    (void)state;
    pare_geometry g = encoder(4, true);
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t n = 0; n < 10; n++) {
        size_t length = n == 0 ? 4 : 2;
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < length; i++)
                for (size_t j = 0; j < length; j++) {
                    bool rare = i > 1 || j > 1;
                    observer.sums[(h * 4 + i) * 4 + j] += rare ? 0.4 : 0.1;
                    observer.counts[i * 4 + j] += h == 0;
                }
        pare_average_add_examples(average, 1);
    }
    /* 4 of 16 cells are common, 12 rare: the valid average prunes the common, mass the rare ones.
     */
    for (int kind = PARE_AVERAGE_VALID; kind <= PARE_AVERAGE_MASS; kind++) {
        pare_mask *mask = make_mask(
            average, (pare_prune_options){.average = (pare_average_kind)kind,
                                          .empty_row = PARE_EMPTY_ROW_ZERO,
                                          .percent = kind == PARE_AVERAGE_VALID ? 25 : 75});
        FOR_CELLS(&g)
        assert_int_equal(pare_mask_kept(mask, l, h, i, j),
                         (i > 1 || j > 1) == (kind == PARE_AVERAGE_VALID));
        pare_mask_report report = pare_mask_describe(mask);
        assert_true(report.p_admissible == (kind == PARE_AVERAGE_VALID ? 25 : 75));
        /* Of the corpus: 40 common and 12 rare cells per head. */
        double pruned = kind == PARE_AVERAGE_VALID ? 40 : 12;
        assert_true(fabs(report.p_effective - 100 * pruned / 52) < 1e-10);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* ---- Masks ---- */

/* p_eff is the share of the cells that the sequences really have; never seen positions stay. */
static void test_effective_percent_counts_real_lengths(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        const pare_geometry g = encoder(24, true); /* the longest sequence has 20 */
        pare_average *average = make_average(g, 0, 0, false);
        for (size_t n = 0; n < MIXED; n++)
            observe_sequence(average, n, mixed[n], mixed[n]);
        pare_mask *mask = prune(average, kind, 80, PARE_EMPTY_ROW_KEEP_ONE);
        double pruned = 0, all = 0;
        for (size_t n = 0; n < MIXED; n++)
            for (size_t h = 0; h < HEADS; h++)
                for (size_t i = 0; i < mixed[n]; i++)
                    for (size_t j = 0; j < mixed[n]; j++) {
                        all++;
                        pruned += !pare_mask_kept(mask, 0, h, i, j);
                    }
        pare_mask_report report = pare_mask_describe(mask);
        assert_true(fabs(report.p_effective - 100 * pruned / all) < 1e-10);
        assert_true(report.p_admissible > 10 && report.p_admissible < 80);
        FOR_CELLS(&g)
        if (kinds[kind].geometry == PARE_GEOMETRY_CELL && (i >= 20 || j >= 20))
            assert_true(pare_mask_kept(mask, l, h, i, j));
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

/* B3: 8 tokens are 8 rows and 8 columns. */
/* Keep-one at work: no row of any observed length is empty, though positions were never seen. */
static void test_no_row_of_any_sequence_is_empty(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++)
        for (int percent = 80; percent <= 100; percent += 10) {
            const pare_geometry g = encoder(24, true);
            pare_average *average = make_average(g, 0, 0, false);
            for (size_t n = 0; n < MIXED; n++)
                observe_sequence(average, n, mixed[n], mixed[n]);
            pare_mask *mask = prune(average, kind, percent, PARE_EMPTY_ROW_KEEP_ONE);
            for (size_t length = kinds[kind].geometry == PARE_GEOMETRY_CELL ? 1 : 3; length <= 20;
                 length++)
                for (size_t h = 0; h < HEADS; h++)
                    for (size_t i = 0; i < length; i++) {
                        size_t kept = 0;
                        for (size_t j = 0; j < length; j++)
                            kept += pare_mask_kept(mask, 0, h, i, j);
                        assert_true(kept > 0);
                    }
            assert_true(percent < 100 || pare_mask_describe(mask).rescued_rows > 0);
            pare_mask_destroy(mask);
            pare_average_destroy(average);
        }
}

static void test_b3_the_last_row_and_column_are_pruned_too(void **state)
{
    (void)state;
    const pare_geometry g = encoder(8, false);
    pare_average *average = make_average(g, 1, 2, false);
    pare_mask *mask =
        make_mask(average, (pare_prune_options){.percent = 100, .empty_row = PARE_EMPTY_ROW_ZERO});
    FOR_CELLS(&g)
    assert_false(pare_mask_kept(mask, l, h, i, j));
    assert_int_equal(pare_mask_describe(mask).pruned_cells, HEADS * 8 * 8);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* B4: rows that lost every key give 0, or their strongest key's value alone, or the mean over the
 * keys of their own sequence when that is asked for. */
static void test_b4_fully_pruned_rows_follow_their_policy(void **state)
{
    (void)state;
    const size_t lengths[] = {5, 8};
    pare_average *average = make_average(encoder(8, false), 1, 2, false);
    batch b = make_batch(lengths, 2, 15);
    for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_UNIFORM; policy++) {
        pare_mask *mask = prune(average, 0, 100, (pare_empty_row)policy);
        pare_plan *plan = compile(mask, 8);
        run(&b, plan, NULL, NULL);
        for (size_t row = 0; row < 8; row++)
            for (size_t d = 0; d < WIDTH; d++) {
                float seen = b.output[(5 + row) * WIDTH + d];
                double mean = 0, strongest = 0;
                for (size_t j = 0; j < 8; j++) {
                    double value = b.value[(5 + j) * WIDTH + d];
                    mean += value / 8;
                    strongest += keeps(mask, d / HEAD_SIZE, row, j) ? value : 0;
                }
                if (policy == PARE_EMPTY_ROW_KEEP_ONE)
                    assert_true(fabs(seen - strongest) < 1e-6);
                else if (policy == PARE_EMPTY_ROW_ZERO)
                    assert_true(seen == 0);
                else
                    assert_true(fabs(seen - mean) < 1e-6);
            }
        /* In the shorter sequence, too, the row has a key. */
        for (size_t row = 0; policy == PARE_EMPTY_ROW_KEEP_ONE && row < 5; row++)
            for (size_t d = 0; d < WIDTH; d++) {
                double strongest = 0;
                for (size_t j = 0; j < 5; j++)
                    strongest +=
                        keeps(mask, d / HEAD_SIZE, row, j) ? (double)b.value[j * WIDTH + d] : 0;
                assert_true(strongest != 0);
                assert_true(fabs(b.output[row * WIDTH + d] - strongest) < 1e-6);
            }
        pare_plan_destroy(plan);
        pare_mask_destroy(mask);
    }
    free_batch(&b);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_percent_equals_dense),
        cmocka_unit_test(test_outputs_follow_the_mask),
        cmocka_unit_test(test_one_relative_plan_serves_all_lengths),
        cmocka_unit_test(test_nothing_leaks),
        cmocka_unit_test(test_gradients_of_pruned_cells_are_zero),
        cmocka_unit_test(test_b1_all_batches_count),
        cmocka_unit_test(test_b2_padding_does_not_count),
        cmocka_unit_test(test_valid_and_mass_order_rare_positions_differently),
        cmocka_unit_test(test_effective_percent_counts_real_lengths),
        cmocka_unit_test(test_no_row_of_any_sequence_is_empty),
        cmocka_unit_test(test_b3_the_last_row_and_column_are_pruned_too),
        cmocka_unit_test(test_b4_fully_pruned_rows_follow_their_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
