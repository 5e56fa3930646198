/* The kernels of every level against the fp64 reference, and the promises of pare/attention.h:
 * empty rows, no leaks, alignment of plans, the same bits for any number of threads. */
#include "attention_case.h"

#include <stdio.h>

#include "base/context.h"

static const char *const level_names[] = {"portable", "neon", "x86-64-v2", "x86-64-v3",
                                          "x86-64-v4"};

static bool level_is_supported(size_t level)
{
    return pare_level_supported((pare_level)level);
}

static const char *describe(const case_options *o, const char *level)
{
    static char text[300];
    snprintf(text, sizeof text,
             "%s: heads %zu size %zu sequences %zu (%zu x %zu ...) %s%s%s window %zu distances %zu "
             "density %g uniform %g dropout %g%s",
             level, o->heads, o->head_size, o->sequences, o->queries[0], o->keys[0],
             o->causal ? "causal " : "", o->relative ? "relative " : "",
             o->strided ? "strided " : "", o->window, o->distances, o->density, o->uniform,
             (double)o->dropout, o->precision == PARE_PRECISION_BF16 ? " bf16" : "");
    return text;
}

/* Error at most 2 (forward) or 3 (backward) times that of the plain fp32 code, plus a floor of a
 * few roundings of the largest value. With dropout the plain code has no draws: floor alone. */
static void check_run(attention_case *c, pare_context *context, const results *want,
                      const results *plain)
{
    const case_options *o = &c->options;
    memset(c->content_gradient, 0, want->counts[5] * sizeof(float));
    memset(c->position_gradient, 0, want->counts[6] * sizeof(float));
    memset(c->table_gradient, 0, want->counts[7] * sizeof(float));
    case_run(c, context);
    results got = results_of_kernels(c);
    for (int i = 0; i < 8; i++) {
        double error = largest_error(got.data[i], want->data[i], want->counts[i]);
        double allowed = largest_value(want->data[i], want->counts[i]) * 1e-6 + 1e-6;
        if (o->dropout > 0)
            allowed *= 10;
        else
            allowed +=
                (i < 2 ? 2 : 3) * largest_error(plain->data[i], want->data[i], want->counts[i]);
        if (!(error <= allowed))
            fail_msg("%s: error of %s is %g, allowed %g",
                     describe(o, pare_level_name(pare_context_level(context))), result_names[i],
                     error, allowed);
    }
    results_destroy(&got);
}

/* In bf16 the reference gets rounded inputs, and kernels are tested with the instructions for it
 * and without. */
static void check_in_precision(case_options options)
{
    attention_case *c = case_create(options), *exact = case_create(options);
    if (options.precision == PARE_PRECISION_BF16)
        case_round(exact);
    results want = results_of_reference(exact), plain = results_of_plain(exact);
    for (size_t level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!level_is_supported(level))
            continue;
        pare_context *context = context_for(level_names[level], 2);
        check_run(c, context, &want, &plain);
        if (options.precision == PARE_PRECISION_BF16 && context->has_bf16) {
            context->has_bf16 = false;
            check_run(c, context, &want, &plain);
        }
        pare_context_destroy(context);
    }
    results_destroy(&want);
    results_destroy(&plain);
    case_destroy(exact);
    case_destroy(c);
}

static void check_against_reference(case_options options)
{
    check_in_precision(options);
    options.precision = PARE_PRECISION_BF16;
    check_in_precision(options);
}

/* Of plans: none, empty, run as lists, and run as dense spans with bits. */
static const double densities[] = {-1, 0, .1, .3, .9, 1};
#define DENSITIES (sizeof densities / sizeof *densities)

static void test_head_sizes(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 3, 8, 16, 32, 41, 64, 96, 128, 256};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t d = 0; d < DENSITIES; d++) {
            case_options options = {.heads = 2,
                                    .head_size = sizes[s],
                                    .sequences = 2,
                                    .queries = {37, 19},
                                    .keys = {53, 19},
                                    .density = densities[d],
                                    .seed = s * 10 + d};
            check_against_reference(options);
            options.causal = options.relative = true;
            check_against_reference(options);
        }
}

static void test_kinds(void **state)
{
    (void)state;
    const case_options kinds[] = {
        {.queries = {33, 1, 90}, .keys = {33, 1, 90}},
        {.queries = {33, 1, 90}, .keys = {33, 1, 90}, .causal = true},
        {.queries = {33, 7, 70}, .keys = {133, 7, 201}, .causal = true},
        {.queries = {33, 7, 70}, .keys = {133, 7, 201}, .causal = true, .window = 17},
        {.queries = {33, 7, 70}, .keys = {133, 7, 201}, .causal = true, .window = 140},
        {.queries = {60, 5, 1}, .keys = {3, 150, 260}},
        {.queries = {33, 7, 70}, .keys = {133, 7, 201}, .causal = true, .relative = true},
        {.queries = {33, 7, 70},
         .keys = {133, 7, 201},
         .causal = true,
         .relative = true,
         .distances = 13},
        {.queries = {33, 7, 70},
         .keys = {133, 7, 201},
         .causal = true,
         .relative = true,
         .distances = 300,
         .window = 29},
        {.queries = {31, 0, 29}, .keys = {31, 5, 0}},
        {.queries = {0, 25, 26}, .keys = {3, 25, 160}, .causal = true, .relative = true},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t d = 0; d < DENSITIES; d++)
            for (int strided = 0; strided < 2; strided++) {
                case_options options = kinds[k];
                options.heads = 3;
                options.head_size = strided ? 41 : 32;
                options.sequences = 3;
                options.strided = strided;
                options.density = densities[d];
                options.seed = 1000 + k * 10 + d;
                check_against_reference(options);
            }
}

/* Many heads and sequences (grouped tasks), and one long sequence (rows cut into parts). */
static void test_partitions(void **state)
{
    (void)state;
    for (size_t d = 0; d < DENSITIES; d++) {
        case_options many = {.heads = 12,
                             .head_size = 16,
                             .sequences = 4,
                             .queries = {20, 31, 8, 27},
                             .keys = {40, 51, 8, 57},
                             .causal = true,
                             .relative = true,
                             .density = densities[d],
                             .seed = 50 + d};
        check_against_reference(many);
        case_options one = {.heads = 1,
                            .head_size = 24,
                            .sequences = 1,
                            .queries = {311},
                            .keys = {333},
                            .causal = true,
                            .relative = true,
                            .density = densities[d],
                            .seed = 60 + d};
        check_against_reference(one);
        one.window = 100;
        check_against_reference(one);
    }
}

/* Several row blocks and tiles with bands and scattered cells side by side, in calls that are as
 * large as the plan, shorter, and cut by a window. */
static void test_mixed_plans(void **state)
{
    (void)state;
    const case_options kinds[] = {
        {.queries = {261, 130}, .keys = {261, 300}},
        {.queries = {261, 130}, .keys = {389, 200}, .causal = true},
        {.queries = {140, 3}, .keys = {290, 7}, .causal = true, .relative = true},
        {.queries = {140, 129}, .keys = {290, 257}, .causal = true, .relative = true, .window = 90},
        {.queries = {140, 129}, .keys = {140, 129}, .plan_queries = 300, .plan_keys = 310},
        {.queries = {140, 129},
         .keys = {190, 139},
         .causal = true,
         .relative = true,
         .plan_queries = 300,
         .plan_keys = 470},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t band = 0; band <= 60; band += 30) {
            case_options options = kinds[k];
            options.heads = 2;
            options.head_size = band ? 64 : 20;
            options.sequences = 2;
            options.density = .08;
            options.band = band;
            options.uniform = .05;
            options.empty = .05;
            options.seed = 2000 + k * 10 + band;
            options.dropout = band == 60 ? .2f : 0;
            check_against_reference(options);
        }
}

/* Sequences of all lengths in one call under the plan of the longest, whose shorter plans hold
 * them: as the costs have it, as lists and as spans. */
static void test_short_sequences(void **state)
{
    (void)state;
    const pare_plan_costs lists = {.span = 1e9}, spans = {.entry = 1e9};
    const pare_plan_costs *const formats[] = {NULL, &lists, &spans};
    const case_options kinds[] = {
        {.queries = {1, 9, 17, 66}, .keys = {1, 9, 17, 66}, .plan_queries = 66, .plan_keys = 66},
        {.queries = {5, 33, 34, 8}, .keys = {5, 33, 34, 8}, .plan_queries = 66, .plan_keys = 66},
        {.queries = {11, 3, 20, 0}, .keys = {4, 30, 12, 7}, .plan_queries = 50, .plan_keys = 80},
        {.queries = {2, 64, 65, 13},
         .keys = {2, 64, 65, 13},
         .plan_queries = 700,
         .plan_keys = 700},
        {.queries = {7, 16, 1, 12},
         .keys = {7, 16, 1, 12},
         .causal = true,
         .plan_queries = 66,
         .plan_keys = 66},
        {.queries = {6, 16, 37, 40},
         .keys = {6, 116, 137, 50},
         .causal = true,
         .relative = true,
         .plan_queries = 150,
         .plan_keys = 300},
        {.queries = {170, 33, 7, 5},
         .keys = {201, 133, 7, 5},
         .causal = true,
         .relative = true,
         .plan_queries = 170,
         .plan_keys = 270},
        {.queries = {6, 15, 37, 70},
         .keys = {30, 115, 37, 200},
         .causal = true,
         .relative = true,
         .window = 29,
         .plan_queries = 150,
         .plan_keys = 300},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t f = 0; f < 3; f++)
            for (size_t d = 0; d < 3; d++) {
                case_options options = kinds[k];
                options.heads = 2;
                options.head_size = (size_t[]){32, 41, 64}[d];
                options.sequences = 4;
                options.density = (double[]){.1, .4, .8}[d];
                options.uniform = options.empty = .05;
                options.dropout = (k + f + d) % 2 ? .2f : 0;
                options.costs = formats[f];
                options.seed = 3000 + k * 10 + d;
                check_against_reference(options);
            }
}

/* Rows that attend uniformly or not at all, in both formats. */
static void test_special_rows(void **state)
{
    (void)state;
    const double shares[] = {.3, .9};
    for (size_t k = 0; k < 4; k++) {
        case_options options = {.heads = 3,
                                .head_size = 20,
                                .sequences = 2,
                                .queries = {40, 150},
                                .keys = {60, 170},
                                .causal = true,
                                .relative = true,
                                .window = k < 2 ? 0 : 25,
                                .density = shares[k % 2],
                                .uniform = .2,
                                .empty = .2,
                                .seed = 3 + k};
        check_against_reference(options);
    }
}

/* Row i keeps key (7 i) mod 64 and no other: with a score of 0 its output is that value, rounded.
 */
static void one_key_a_row(void *user, size_t head, size_t row, uint8_t *fill)
{
    (void)user;
    (void)head;
    memset(fill, 0, 64);
    fill[7 * row % 64] = 1;
}

/* In every level, to the bit: ties, the largest numbers, and in lists, which skip what is pruned,
 * infinity and NaN. */
static void test_bf16_rounding(void **state)
{
    (void)state;
    const uint32_t special[][2] = {
        {0x3f808000, 0x3f800000}, {0x3f818000, 0x3f820000}, {0x3f808001, 0x3f810000},
        {0xbf80ffff, 0xbf810000}, {0x3f807fff, 0x3f800000}, {0x7f7f7fff, 0x7f7f0000},
        {0x00800000, 0x00800000}, {0x40490fdb, 0x40490000}, {0, 0},
        {0x7f7f8000, 0x7f800000}, {0x7f800000, 0x7f800000}, {0xff800000, 0xff800000},
    };
    const size_t all = sizeof special / sizeof *special, finite = all - 3;
    const pare_plan_costs formats[] = {{.span = 1e9}, {.entry = 1e9}};
    case_options options = {.heads = 1,
                            .head_size = 1,
                            .sequences = 1,
                            .queries = {64},
                            .keys = {64},
                            .density = -1,
                            .precision = PARE_PRECISION_BF16,
                            .seed = 9};
    attention_case *c = case_create(options);
    memset(c->query, 0, 64 * sizeof(float));
    pare_plan_geometry geometry = {1, 64, 64, false};
    for (size_t run = 0; run < 4 * PARE_LEVEL_COUNT; run++) {
        size_t level = run / 4, kinds = run % 2 ? finite : all;
        if (!level_is_supported(level))
            continue;
        for (size_t j = 0; j < 64; j++)
            memcpy(&c->value[j], &special[j % kinds][0], sizeof(float));
        if (run % 2 == 0)
            c->value[63] = NAN;
        pare_plan *plan;
        assert_ok(pare_plan_create_for(&formats[run % 2], &geometry, one_key_a_row, NULL, &plan));
        assert_int_equal(pare_plan_summarise(plan).listed, run % 2 ? 0 : 64);
        pare_context *context = context_for(level_names[level], 1);
        context->has_bf16 = context->has_bf16 && run % 4 < 2;
        c->call.plan = plan;
        void *workspace = workspace_for(context, &c->call);
        assert_ok(pare_attention_forward(context, &c->call, workspace));
        for (size_t i = 0; i < 64; i++) {
            size_t j = 7 * i % 64;
            assert_true(isnan(c->value[j])
                            ? isnan(c->output[i])
                            : !memcmp(&c->output[i], &special[j % kinds][1], sizeof(float)));
        }
        free(workspace);
        pare_context_destroy(context);
        pare_plan_destroy(plan);
    }
    c->call.plan = NULL;
    case_destroy(c);
}

static void test_dropout(void **state)
{
    (void)state;
    for (size_t d = 0; d < DENSITIES; d++)
        for (int relative = 0; relative < 2; relative++) {
            case_options options = {.heads = 3,
                                    .head_size = 24,
                                    .sequences = 2,
                                    .queries = {40, 150},
                                    .keys = {60, 150},
                                    .causal = true,
                                    .relative = relative,
                                    .density = densities[d],
                                    .dropout = .3f,
                                    .seed = 70 + d};
            check_against_reference(options);
        }
}

/* The share of dropped cells is right, and another key drops other cells. */
static void test_dropout_draws(void **state)
{
    (void)state;
    case_options options = {.heads = 4,
                            .head_size = 8,
                            .sequences = 1,
                            .queries = {100},
                            .keys = {200},
                            .density = -1,
                            .dropout = .25f,
                            .seed = 5};
    attention_case *c = case_create(options);
    /* Equal scores and values of 1: an output is the share of its row that was kept / .75. */
    memset(c->query, 0, c->query_tokens * c->token_stride * sizeof(float));
    for (size_t i = 0; i < c->key_tokens * c->token_stride; i++)
        c->value[i] = 1;
    pare_context *context = context_for(NULL, 2);
    void *workspace = workspace_for(context, &c->call);
    double mean = 0, squares = 0;
    float first[100];
    for (int round = 0; round < 2; round++) {
        c->call.dropout_key = (uint64_t)round;
        assert_ok(pare_attention_forward(context, &c->call, workspace));
        for (size_t i = 0; i < 400; i++) {
            double share = (double)c->output[i * 8] * .75;
            mean += share / 800;
            squares += (share - .75) * (share - .75) / 800;
            if (round == 0 && i % 4 == 0)
                first[i / 4] = c->output[i * 8];
        }
    }
    size_t equal = 0;
    for (size_t i = 0; i < 100; i++)
        equal += first[i] == c->output[i * 4 * 8];
    assert_true(equal < 30);
    assert_true(fabs(mean - .75) < 5 * sqrt(.75 * .25 / 160000));
    assert_true(fabs(squares / (.75 * .25 / 200) - 1) < .25);
    free(workspace);
    pare_context_destroy(context);
    case_destroy(c);
}

static void check_empty_rows(double density)
{
    case_options options = {.heads = 2,
                            .head_size = 41,
                            .sequences = 2,
                            .queries = {30, 12},
                            .keys = {40, 30},
                            .causal = true,
                            .relative = true,
                            .density = density,
                            .empty = .2,
                            .seed = 11};
    attention_case *c = case_create(options);
    pare_context *context = context_for(NULL, 2);
    case_run(c, context);
    size_t empty = 0;
    for (size_t n = 0; n < 2; n++)
        for (size_t h = 0; h < 2; h++)
            for (size_t i = 0; i < options.queries[n]; i++) {
                bool has_cells = false;
                for (size_t j = 0; j < options.keys[n]; j++)
                    has_cells |= case_keeps(c, n, h, i, j);
                if (has_cells)
                    continue;
                empty++;
                size_t token = c->query_offsets[n] + i;
                assert_true(c->logsumexp[token * 2 + h] == -INFINITY);
                for (size_t d = 0; d < 41; d++) {
                    size_t place = token * c->token_stride + h * 41 + d;
                    assert_true(c->output[place] == 0 && c->query_gradient[place] == 0);
                }
            }
    assert_true(empty > 5);
    pare_context_destroy(context);
    case_destroy(c);
}

static void test_empty_rows_are_zero(void **state)
{
    (void)state;
    check_empty_rows(.1);
    check_empty_rows(.9);
}

/* The bits of everything that a call returns. */
static uint64_t fingerprint(const attention_case *c)
{
    results r = results_of_kernels(c);
    uint64_t hash = PRI_HASH_START;
    for (int i = 0; i < 8; i++)
        hash = pri_hash(hash, r.data[i], r.counts[i] * sizeof(double));
    results_destroy(&r);
    return hash;
}

static void test_threads_change_nothing(void **state)
{
    (void)state;
    const case_options kinds[] = {
        {.heads = 3, .sequences = 3, .queries = {33, 7, 170}, .keys = {133, 7, 201}},
        {.heads = 1, .sequences = 1, .queries = {400}, .keys = {450}},
        {.heads = 20, .sequences = 4, .queries = {9, 30, 5, 30}, .keys = {9, 33, 6, 38}},
    };
    const double formats[] = {-1, .2, .8};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t f = 0; f < 6; f++) {
            case_options options = kinds[k];
            options.head_size = 24;
            options.causal = options.relative = true;
            options.density = formats[f % 3];
            options.precision = f < 3 ? PARE_PRECISION_FP32 : PARE_PRECISION_BF16;
            options.dropout = .1f;
            options.seed = 80 + k;
            uint64_t hashes[4];
            for (int threads = 1; threads <= 4; threads++) {
                attention_case *c = case_create(options);
                pare_context *context = context_for(NULL, threads);
                case_run(c, context);
                hashes[threads - 1] = fingerprint(c);
                pare_context_destroy(context);
                case_destroy(c);
            }
            for (int t = 1; t < 4; t++)
                assert_true(hashes[t] == hashes[0]);
        }
}

/* Nothing that a row may not see changes a bit of its output: pruned keys, the future, other
 * sequences (oracle 5). Values that blow up when touched by anything but a skip. */
static void test_no_leak(void **state)
{
    (void)state;
    const double formats[] = {-1, .05, .7};
    for (size_t f = 0; f < 3; f++)
        for (size_t level = 0; level < PARE_LEVEL_COUNT; level++) {
            if (!level_is_supported(level))
                continue;
            case_options options = {.heads = 2,
                                    .head_size = 33,
                                    .sequences = 2,
                                    .queries = {40, 20},
                                    .keys = {70, 20},
                                    .causal = true,
                                    .relative = true,
                                    .window = 35,
                                    .density = formats[f],
                                    .seed = 21};
            attention_case *c = case_create(options);
            pare_context *context = context_for(level_names[level], 2);
            void *workspace = workspace_for(context, &c->call);
            size_t row = 17, bytes = c->query_tokens * c->token_stride * sizeof(float);
            float *before = malloc(bytes);
            assert_non_null(before);
            assert_ok(pare_attention_forward(context, &c->call, workspace));
            memcpy(before, c->output, bytes);
            for (size_t h = 0; h < 2; h++) {
                for (size_t j = 0; j < c->key_tokens; j++)
                    if (j >= 70 || !case_keeps(c, 0, h, row, j))
                        for (size_t d = 0; d < 33; d++) {
                            size_t place = j * c->token_stride + h * 33 + d;
                            c->key[place] = 1e3f * (float)(d + 1);
                            c->value[place] = -1e20f;
                        }
                assert_ok(pare_attention_forward(context, &c->call, workspace));
                size_t place = row * c->token_stride + h * 33;
                assert_memory_equal(before + place, c->output + place, 33 * sizeof(float));
            }
            free(before);
            free(workspace);
            pare_context_destroy(context);
            case_destroy(c);
        }
}

/* A plan that keeps everything equals no plan, to rounding (oracle 1). */
static void test_full_plan_equals_dense(void **state)
{
    (void)state;
    case_options options = {.heads = 2,
                            .head_size = 64,
                            .sequences = 2,
                            .queries = {130, 64},
                            .keys = {190, 100},
                            .causal = true,
                            .relative = true,
                            .density = 1,
                            .seed = 31};
    attention_case *sparse = case_create(options);
    options.density = -1;
    attention_case *dense = case_create(options);
    pare_context *context = context_for(NULL, 2);
    case_run(sparse, context);
    case_run(dense, context);
    results a = results_of_kernels(sparse), b = results_of_kernels(dense);
    for (int i = 0; i < 8; i++)
        assert_true(largest_error(a.data[i], b.data[i], a.counts[i]) <
                    3e-6 * (1 + largest_value(b.data[i], b.counts[i])));
    results_destroy(&a);
    results_destroy(&b);
    pare_context_destroy(context);
    case_destroy(sparse);
    case_destroy(dense);
}

/* A longer plan serves shorter sequences with true distances, whatever the memory holds: the plain
 * code indexes the mask on its own. */
static void test_plan_truncation(void **state)
{
    (void)state;
    const size_t lengths[][2] = {{40, 100}, {40, 40}, {17, 50}, {1, 61}, {40, 63}};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int relative = 0; relative < 2; relative++)
            for (int causal = relative; causal < 2; causal++) {
                case_options options = {.heads = 2,
                                        .head_size = 32,
                                        .sequences = 1,
                                        .queries = {lengths[l][0]},
                                        .keys = {lengths[l][1]},
                                        .causal = causal,
                                        .relative = relative,
                                        .density = .3,
                                        .plan_queries = 40,
                                        .plan_keys = 100,
                                        .seed = 40 + l};
                check_against_reference(options);
            }
}

/* Rows of one sequence computed one by one against growing keys equal the whole (oracle 6). */
static void test_incremental_rows(void **state)
{
    (void)state;
    case_options options = {.heads = 2,
                            .head_size = 16,
                            .sequences = 1,
                            .queries = {30},
                            .keys = {30},
                            .causal = true,
                            .relative = true,
                            .density = -1,
                            .seed = 90};
    attention_case *c = case_create(options);
    pare_context *context = context_for(NULL, 1);
    void *workspace = workspace_for(context, &c->call);
    assert_ok(pare_attention_forward(context, &c->call, workspace));
    float *whole = malloc(30 * c->token_stride * sizeof(float));
    assert_non_null(whole);
    memcpy(whole, c->output, 30 * c->token_stride * sizeof(float));
    for (size_t row = 0; row < 30; row++) {
        size_t queries[] = {row, row + 1}, keys[] = {0, row + 1};
        c->call.queries.offsets = queries;
        c->call.keys.offsets = keys;
        assert_ok(pare_attention_forward(context, &c->call, workspace));
    }
    for (size_t i = 0; i < 30 * c->token_stride; i++)
        assert_true(fabsf(whole[i] - c->output[i]) < 2e-6f);
    free(whole);
    free(workspace);
    pare_context_destroy(context);
    case_destroy(c);
}

/* Sums and counts of the observer against the reference's probabilities, sequence by sequence, with
 * and without plan, window and memory; calling twice doubles everything (oracle 4). */
static void check_observer(case_options options)
{
    attention_case *c = case_create(options);
    pare_plan_geometry g = {options.heads, 45, options.causal ? 105 : 120, options.causal};
    size_t cells = g.heads * g.queries * g.keys;
    double *sums = calloc(cells, sizeof *sums), *want = calloc(cells, sizeof *want);
    uint64_t *counts = calloc(g.queries * g.keys, sizeof *counts);
    uint64_t *want_counts = calloc(g.queries * g.keys, sizeof *want_counts);
    double *probabilities = calloc(g.heads * 45 * 120, sizeof *probabilities);
    attention_case *exact = case_create(options);
    if (options.precision == PARE_PRECISION_BF16)
        case_round(exact);
    double *output =
        calloc(c->query_tokens * options.heads * options.head_size + 1, sizeof *output);
    assert_true(sums && want && counts && want_counts && probabilities && output);
    for (size_t n = 0; n < options.sequences; n++) {
        size_t queries = options.queries[n], keys = options.keys[n];
        size_t shift = options.causal ? (g.keys - g.queries) - (keys - queries) : 0;
        pare_attention one = exact->call;
        one.queries = (pare_ragged){c->query_offsets + n, 1};
        one.keys = (pare_ragged){c->key_offsets + n, 1};
        one.dropout = 0;
        assert_ok(pare_attention_reference(&one, output, NULL, probabilities));
        uint8_t *mask = c->mask;
        c->mask = NULL; /* counts are of admissible cells, kept or not */
        for (size_t h = 0; h < options.heads; h++)
            for (size_t i = 0; i < queries; i++)
                for (size_t j = 0; j < keys; j++) {
                    want[(h * g.queries + i) * g.keys + shift + j] +=
                        probabilities[(h * queries + i) * keys + j];
                    if (h == 0)
                        want_counts[i * g.keys + shift + j] += case_keeps(c, n, h, i, j);
                }
        c->mask = mask;
    }
    pare_observer observer = {g, sums, counts};
    c->call.observer = &observer;
    c->call.logsumexp = NULL;
    pare_context *context = context_for(NULL, 2);
    void *workspace = workspace_for(context, &c->call);
    for (int round = 1; round <= 2; round++) {
        assert_ok(pare_attention_forward(context, &c->call, workspace));
        for (size_t i = 0; i < cells; i++)
            assert_true(fabs(sums[i] - round * want[i]) < 2e-6);
        for (size_t i = 0; i < g.queries * g.keys; i++)
            assert_true(counts[i] == (uint64_t)round * want_counts[i]);
    }
    free(sums);
    free(want);
    free(counts);
    free(want_counts);
    free(probabilities);
    free(output);
    free(workspace);
    pare_context_destroy(context);
    case_destroy(exact);
    case_destroy(c);
}

static void test_observer(void **state)
{
    (void)state;
    const double formats[] = {-1, .3, .8};
    for (size_t f = 0; f < 3; f++)
        for (int kind = 0; kind < 4; kind++) {
            case_options options = {.heads = 3,
                                    .head_size = 20,
                                    .sequences = 3,
                                    .queries = {45, 20, 1},
                                    .keys = {60, 80, 1},
                                    .causal = kind > 0,
                                    .relative = kind == 2,
                                    .window = kind == 3 ? 30 : 0,
                                    .density = formats[f],
                                    .dropout = kind == 1 ? .2f : 0,
                                    .seed = 61};
            check_observer(options);
            options.precision = PARE_PRECISION_BF16;
            check_observer(options);
        }
}

/* Swapping heads swaps results and changes nothing else. */
static void test_heads_commute(void **state)
{
    (void)state;
    case_options options = {.heads = 2,
                            .head_size = 32,
                            .sequences = 1,
                            .queries = {50},
                            .keys = {77},
                            .causal = true,
                            .density = -1,
                            .seed = 77};
    attention_case *c = case_create(options), *swapped = case_create(options);
    float *arrays[][2] = {{c->query, swapped->query},
                          {c->key, swapped->key},
                          {c->value, swapped->value},
                          {c->output_gradient, swapped->output_gradient}};
    for (size_t a = 0; a < 4; a++)
        for (size_t t = 0; t < (a == 1 || a == 2 ? 77 : 50); t++)
            for (size_t d = 0; d < 64; d++)
                arrays[a][1][t * 64 + d] = arrays[a][0][t * 64 + (d + 32) % 64];
    pare_context *context = context_for(NULL, 2);
    case_run(c, context);
    case_run(swapped, context);
    for (size_t t = 0; t < 77; t++)
        for (size_t d = 0; d < 64; d++) {
            size_t here = t * 64 + d, there = t * 64 + (d + 32) % 64;
            assert_true(c->key_gradient[here] == swapped->key_gradient[there]);
            if (t < 50)
                assert_true(c->output[here] == swapped->output[there]);
        }
    pare_context_destroy(context);
    case_destroy(c);
    case_destroy(swapped);
}

/* Gradients that are not wanted are not written, and relative ones are added to. */
static void test_optional_gradients(void **state)
{
    (void)state;
    for (int sparse = 0; sparse < 2; sparse++) {
        case_options options = {.heads = 2,
                                .head_size = 16,
                                .sequences = 1,
                                .queries = {30},
                                .keys = {50},
                                .causal = true,
                                .relative = true,
                                .density = sparse ? .3 : -1,
                                .seed = 13};
        attention_case *c = case_create(options);
        pare_context *context = context_for(NULL, 1);
        case_run(c, context);
        results once = results_of_kernels(c);
        case_run(c, context);
        results twice = results_of_kernels(c);
        for (int i = 0; i < 8; i++)
            for (size_t k = 0; k < once.counts[i]; k++)
                assert_true(fabs(twice.data[i][k] - (i < 5 ? 1 : 2) * once.data[i][k]) <= 1e-5);
        c->gradient.query.data = c->gradient.key.data = c->gradient.value.data = NULL;
        c->gradient.table.data = c->gradient.content_bias = c->gradient.position_bias = NULL;
        case_run(c, context);
        results_destroy(&once);
        results_destroy(&twice);
        pare_context_destroy(context);
        case_destroy(c);
    }
}

static void expect_refusal(const pare_attention *call, const char *part)
{
    pare_context *context = context_for(NULL, 1);
    pare_status status = pare_attention_forward(context, call, NULL);
    if (status == PARE_OK || !strstr(pare_error_message(), part))
        fail_msg("expected a message about '%s', got %d: %s", part, (int)status,
                 pare_error_message());
    pare_context_destroy(context);
}

static void test_refusals(void **state)
{
    (void)state;
    case_options options = {.heads = 2,
                            .head_size = 8,
                            .sequences = 1,
                            .queries = {10},
                            .keys = {12},
                            .causal = true,
                            .relative = true,
                            .density = .5,
                            .seed = 1};
    attention_case *c = case_create(options);
    pare_attention good = c->call, bad = good;
    bad.head_size = 257;
    expect_refusal(&bad, "head size");
    bad = good;
    bad.heads = 0;
    expect_refusal(&bad, "head");
    bad = good;
    bad.causal = false;
    expect_refusal(&bad, "causal");
    bad = good;
    bad.relative = NULL, bad.causal = false, bad.window = 4;
    expect_refusal(&bad, "window");
    bad = good;
    bad.dropout = 1;
    expect_refusal(&bad, "dropout");
    bad = good;
    bad.precision = (pare_precision)2;
    expect_refusal(&bad, "precision");
    bad = good;
    bad.scale = NAN;
    expect_refusal(&bad, "scale");
    bad = good;
    bad.keys.count = 0;
    expect_refusal(&bad, "sequences");
    bad = good;
    size_t few_keys[] = {0, 9}, many_queries[] = {0, 11}, many_keys[] = {0, 13};
    size_t falling[] = {5, 0};
    bad.keys.offsets = few_keys;
    expect_refusal(&bad, "at least as many keys");
    bad = good;
    bad.queries.offsets = falling;
    expect_refusal(&bad, "decrease");
    bad = good;
    bad.queries.offsets = many_queries;
    expect_refusal(&bad, "plan");
    bad = good;
    bad.keys.offsets = many_keys;
    expect_refusal(&bad, "plan");
    bad = good;
    bad.heads = 1;
    expect_refusal(&bad, "plan");
    pare_observer observer = {.geometry = {2, 10, 11, true}};
    bad = good;
    bad.observer = &observer;
    expect_refusal(&bad, "observer");
    pare_relative empty = c->relative;
    empty.distances = 0;
    bad = good;
    bad.relative = &empty;
    expect_refusal(&bad, "distances");
    pare_context *context = context_for(NULL, 1);
    bad = good;
    bad.logsumexp = NULL;
    assert_int_equal(pare_attention_backward(context, &bad, &c->gradient, NULL),
                     PARE_ERROR_ARGUMENT);
    pare_context_destroy(context);
    case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_sizes),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_mixed_plans),
        cmocka_unit_test(test_short_sequences),
        cmocka_unit_test(test_special_rows),
        cmocka_unit_test(test_bf16_rounding),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_dropout_draws),
        cmocka_unit_test(test_empty_rows_are_zero),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_no_leak),
        cmocka_unit_test(test_full_plan_equals_dense),
        cmocka_unit_test(test_plan_truncation),
        cmocka_unit_test(test_incremental_rows),
        cmocka_unit_test(test_observer),
        cmocka_unit_test(test_heads_commute),
        cmocka_unit_test(test_optional_gradients),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
