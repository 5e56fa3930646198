/* How evenly the tasks of a call load many threads, without having them: the driver itself cuts
 * calls of realistic shapes, kernels that only count the cells of their task stand in for the real
 * ones, and what a dynamic schedule does with the tasks is computed. Prints the table of
 * docs/kernels.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* For the static functions that cut a call. */
#include "attention/attention.c"
#include "base/random.h"
#include "pare/pruning.h"

#define SEQUENCES_MOST 16
#define TASKS_MOST 1024

/* ---- Kernels that count ---- */

static size_t task_count;
static double task_cells[TASKS_MOST];
static const pare_plan *kept_cells; /* of the case's mask, whether or not the call has a plan */

static double cells_of_row(size_t head, size_t row, size_t keys)
{
    const uint64_t *bits = pri_plan_row_bits(kept_cells, head, row);
    int cells = 0;
    for (size_t column = 0; column < keys; column += 64) {
        uint64_t word = bits[column / 64];
        cells += __builtin_popcountll(keys - column < 64 ? word & ((1ull << (keys - column)) - 1)
                                                         : word);
    }
    return cells;
}

static size_t no_scratch(const pri_shape *shape)
{
    (void)shape;
    return 0;
}

static void count_cells_of_task(const pri_task *task, pri_thread *thread)
{
    (void)thread;
    size_t keys = pri_sequence_at(task->call, task->sequence).keys;
    for (size_t row = task->first_row; row < task->end_row; row++)
        task_cells[task_count - 1] += cells_of_row(task->head, row, keys);
}

static void count_task(const pri_task *task, pri_thread *thread)
{
    assert_in_range(task_count, 0, TASKS_MOST - 1);
    task_cells[task_count++] = 0;
    count_cells_of_task(task, thread);
}

#define COUNTING_KERNELS                                                                           \
    {                                                                                              \
        .scratch_floats = no_scratch, .forward = count_task, .backward = count_cells_of_task       \
    }
#ifdef PARE_WITH_portable
const pri_attention_kernels pri_attention_kernels_portable = COUNTING_KERNELS;
#endif
#ifdef PARE_WITH_neon
const pri_attention_kernels pri_attention_kernels_neon = COUNTING_KERNELS;
#endif
#ifdef PARE_WITH_x86_64_v2
const pri_attention_kernels pri_attention_kernels_x86_64_v2 = COUNTING_KERNELS;
#endif
#ifdef PARE_WITH_x86_64_v3
const pri_attention_kernels pri_attention_kernels_x86_64_v3 = COUNTING_KERNELS;
#endif
#ifdef PARE_WITH_x86_64_v4
const pri_attention_kernels pri_attention_kernels_x86_64_v4 = COUNTING_KERNELS;
#endif

/* ---- Calls ---- */

typedef enum mask_kind { MASK_DENSE, MASK_RANDOM, MASK_BAND, MASK_LEARNED } mask_kind;
static const char *const mask_names[] = {"dense", "random 10%", "band 10%", "learned"};

typedef struct balance_case {
    const char *name;
    size_t heads, queries, memory, sequences; /* the longest sequence; not causal: no memory */
    bool causal, relative, ragged;            /* ragged: down to an eighth of it */
    mask_kind mask;
} balance_case;

typedef struct mask_rows {
    const balance_case *of;
    pare_mask *learned;
} mask_rows;

static bool keeps(const mask_rows *rows, size_t head, size_t row, size_t column)
{
    size_t keys = rows->of->queries + rows->of->memory, newest = row + rows->of->memory;
    size_t distance = newest > column ? newest - column : column - newest;
    if (rows->of->causal && column > newest)
        return false;
    switch (rows->of->mask) {
    case MASK_RANDOM: /* the same in all heads, which then share a compiled mask */
        return pri_random_uniform(1, row * keys + column) < .1;
    case MASK_BAND:
        return distance < keys / (rows->of->causal ? 10 : 20);
    case MASK_LEARNED: {
        size_t heads = pare_mask_geometry(rows->learned)->heads;
        return pare_mask_kept(rows->learned, head / heads, head % heads, row, column);
    }
    default:
        return true;
    }
}

static void fill_row(void *user, size_t head, size_t row, uint8_t *fill)
{
    const mask_rows *rows = user;
    for (size_t column = 0; column < rows->of->queries + rows->of->memory; column++)
        fill[column] = keeps(rows, head, row, column);
}

/* ---- The schedule ---- */

/* Of one sequence and head; a forward pass hands several to one thread. */
static size_t parts_together;

/* Mean load / largest load when the tasks in turn go to the thread that is free first. */
static double efficiency(size_t threads)
{
    double loads[128] = {0}, total = 0, largest = 0;
    size_t next = 0, at_once = (size_t)tasks_at_once(task_count, parts_together, (int)threads);
    for (size_t i = 0; i < task_count; i++) {
        for (size_t t = 0; i % at_once == 0 && t < threads; t++)
            if (loads[t] < loads[next])
                next = t;
        loads[next] += task_cells[i];
        total += task_cells[i];
        largest = loads[next] > largest ? loads[next] : largest;
    }
    return total / (double)threads / largest;
}

static void print_pass(const balance_case *c, const char *pass)
{
    static const size_t threads[] = {2, 8, 32, 128};
    printf("| %s | %s | %s | %zu |", c->name, mask_names[c->mask], pass, task_count);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        printf(" %.0f%% |", 100 * efficiency(threads[i]));
    printf("\n");
}

/* Every row is done once; and two threads are always loaded well. */
static void check_tasks(const pare_attention *call)
{
    double cells = 0, expected = 0;
    for (size_t i = 0; i < task_count; i++)
        cells += task_cells[i];
    for (size_t head = 0; head < call->heads; head++)
        for (size_t n = 0; n < call->queries.count; n++) {
            pri_sequence sequence = pri_sequence_at(call, n);
            for (size_t row = 0; row < sequence.queries; row++)
                expected += cells_of_row(head, row, sequence.keys);
        }
    assert_true(cells == expected);
    assert_true(efficiency(1) == 1 && efficiency(2) > .9);
}

static void forward_tasks(pare_context *context, pare_attention *call)
{
    pri_shape shape = shape_of(call, false);
    parts_together = cut_rows(call, &shape, TASKS_WANTED).parts;
    task_count = 0;
    assert_int_equal(pare_attention_forward(context, call, NULL), PARE_OK);
}

static void backward_tasks(pare_context *context, pare_attention *call)
{
    pare_attention_gradient gradient = {0};
    pri_shape shape = shape_of(call, true);
    backward_run run = {.context = context,
                        .call = call,
                        .gradient = &gradient,
                        .shape = &shape,
                        .layout = lay_out(context, call, &shape),
                        .cut = cut_backward(call, &shape)};
    parts_together = 1;
    run.scratch = calloc(run.layout.total, sizeof(float));
    assert_non_null(run.scratch);
    run.sums = run.scratch + run.layout.threads;
    run.relative = run.sums + run.layout.sums;
    pri_thread thread = {0};
    size_t tasks = call->heads * run.cut.groups * run.cut.parts;
    assert_in_range(tasks, 1, TASKS_MOST);
    for (task_count = 0; task_count < tasks;) {
        task_cells[task_count++] = 0;
        run_backward_task(&run, task_count - 1, 0, &thread);
    }
    free(run.scratch);
}

static void measure(const balance_case *c)
{
    pare_plan_geometry geometry = {c->heads, c->queries, c->queries + c->memory, c->causal};
    mask_rows rows = {.of = c};
    size_t queries[SEQUENCES_MOST + 1] = {0}, keys[SEQUENCES_MOST + 1] = {0};
    pare_plan *plan;
    pare_context *context;
    static const float nothing;
    static float written;
    pare_relative relative = {&nothing, &nothing, {&nothing, 0, 0}, geometry.keys};
    if (c->mask == MASK_LEARNED)
        assert_int_equal(pare_mask_load(PARE_TEST_DIRECTORY
                                        "/../bench/masks/lm-wikitext2-small-p90.safetensors",
                                        &rows.learned),
                         PARE_OK);
    assert_int_equal(pare_plan_create(&geometry, fill_row, &rows, &plan), PARE_OK);
    assert_int_equal(pare_context_create(&(pare_context_options){.threads = 1}, &context), PARE_OK);
    for (size_t n = 0; n < c->sequences; n++) {
        size_t length = c->ragged ? c->queries * (8 - n % 8) / 8 : c->queries;
        queries[n + 1] = queries[n] + length;
        keys[n + 1] = keys[n] + length + c->memory;
    }
    pare_attention call = {.heads = c->heads,
                           .head_size = 64,
                           .scale = 1,
                           .query = {&nothing, 0, 0},
                           .key = {&nothing, 0, 0},
                           .value = {&nothing, 0, 0},
                           .output = {&written, 0, 0},
                           .logsumexp = &written,
                           .queries = {queries, c->sequences},
                           .keys = {keys, c->sequences},
                           .causal = c->causal,
                           .relative = c->relative ? &relative : NULL,
                           .plan = c->mask == MASK_DENSE ? NULL : plan};
    kept_cells = plan;
    forward_tasks(context, &call);
    check_tasks(&call);
    print_pass(c, "forward");
    backward_tasks(context, &call);
    check_tasks(&call);
    print_pass(c, "backward");
    pare_context_destroy(context);
    pare_plan_destroy(plan);
    pare_mask_destroy(rows.learned);
}

static void test_balance(void **state)
{
    (void)state;
    const balance_case shapes[] = {
        {"12 heads, 8 x 512", 12, 512, 0, 8, false, false, false, MASK_DENSE},
        {"12 heads, 8 x 64 .. 512", 12, 512, 0, 8, false, false, true, MASK_DENSE},
        {"16 heads, 16 x 128 + 128", 16, 128, 128, 16, true, true, false, MASK_DENSE},
        {"8 heads, 1 x 4096", 8, 4096, 0, 1, false, false, false, MASK_DENSE},
        {"8 heads, 1 x 4096 causal", 8, 4096, 0, 1, true, false, false, MASK_DENSE},
    };
    printf("| call | mask | pass | tasks | 2 | 8 | 32 | 128 |\n");
    printf("|---|---|---|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int mask = MASK_DENSE; mask <= MASK_LEARNED; mask++) {
            balance_case c = shapes[i];
            c.mask = (mask_kind)mask;
            if (mask != MASK_LEARNED || c.relative) /* the shape of the learned mask */
                measure(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_balance)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
