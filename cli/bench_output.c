/* What `pare bench attention` prints, and the rows of its JSON file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_attention.h"
#include "command.h"

/* ---- Table ---- */

void print_context(const pare_context *context, double peak)
{
    int threads = pare_context_threads(context);
    printf("%s, %s, %d thread%s: peak %.0f GFLOP/s (multiply-adds in registers, fp32)\n",
           pare_cpu_name(), pare_level_name(pare_context_level(context)), threads,
           threads == 1 ? "" : "s", peak * 1e-9);
}

void print_group_heading(const bench_shape *shape)
{
    printf("\n%zu queries x %zu keys%s%s, %zu head%s of size %zu\n", shape->queries, shape->keys,
           shape->causal ? ", causal" : "", shape->relative ? ", relative positions" : "",
           shape->heads, shape->heads == 1 ? "" : "s", shape->head_size);
    printf("  mask       kept pass             dense ms pruned ms    (quartiles)      ratio  "
           "GFLOP/s  peak\n");
}

void print_point(const bench_point *point, const bench_result *result, double peak)
{
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        const struct pass_result *r = &result->pass[pass];
        double rate =
            useful_gigaflops(&point->shape, (double)result->plan.kept, pass, r->pruned.middle);
        printf("  %-8s %5.3g%% %-16s%9.3f %9.3f  %8.3f ..%8.3f %6.2f %8.0f %4.0f%%\n",
               family_names[point->family], 100 * point->density, pass_names[pass],
               1e3 * r->dense.middle, 1e3 * r->pruned.middle, 1e3 * r->pruned.low,
               1e3 * r->pruned.high, r->ratio.middle, rate, 1e11 * rate / peak);
    }
    fflush(stdout);
}

/* What the precision brings: pruned calls in fp32 and in it took turns. */
static void print_gains(const bench_group *group)
{
    printf("  fp32 / %s    forward    (quartiles)      both    (quartiles)\n",
           precision_words[group->points[0].shape.precision]);
    for (size_t i = 0; i < group->count; i++) {
        const quartiles *forward = &group->results[i].pass[PASS_FORWARD].gain;
        const quartiles *both = &group->results[i].pass[PASS_BOTH].gain;
        printf("  %-8s %5.3g%% %6.2f %8.2f .. %4.2f %9.2f %8.2f .. %4.2f\n",
               family_names[group->points[i].family], 100 * group->points[i].density,
               forward->middle, forward->low, forward->high, both->middle, both->low, both->high);
    }
}

static const char *describe_paid(double calls, char *text, size_t capacity)
{
    if (isinf(calls))
        snprintf(text, capacity, "never");
    else
        snprintf(text, capacity, "%.0f", calls);
    return text;
}

/* Of the kept cells; the others lie in dense spans. */
static double listed_share(const pare_plan_summary *plan)
{
    return plan->kept ? (double)plan->listed / (double)plan->kept : 0;
}

static void print_plans(const bench_group *group)
{
    printf("  plan of        built ms      size  workspace  listed   paid after calls: forward, "
           "both\n");
    for (size_t i = 0; i < group->count; i++) {
        const bench_result *r = &group->results[i];
        const bench_point *point = &group->points[i];
        char forward[32], both[32];
        printf("  %-8s %5.3g%% %8.2f %9s %10s %6.0f%% %16s %8s%s%s\n", family_names[point->family],
               100 * point->density, 1e3 * r->plan_seconds, format_bytes((double)r->plan.bytes),
               format_bytes((double)r->workspace_bytes), listed_share(&r->plan) * 100,
               describe_paid(calls_until_paid(r, PASS_FORWARD), forward, sizeof forward),
               describe_paid(calls_until_paid(r, PASS_BOTH), both, sizeof both),
               point->learned ? "  " : "", point->learned ? point->learned->name : "");
    }
}

/* Points of one family, in the order of their density. */
static size_t points_of_family(const bench_group *group, mask_family family, size_t *indices)
{
    size_t count = 0;
    for (size_t i = 0; i < group->count && count < LIST_MAX; i++) {
        if (group->points[i].family != family)
            continue;
        size_t place = count++;
        for (; place && group->points[indices[place - 1]].density > group->points[i].density;
             place--)
            indices[place] = indices[place - 1];
        indices[place] = i;
    }
    return count;
}

/* The density at which a pruned call takes as long as a dense one, between the measured ones: time
 * is taken to be linear in the density there. */
static void print_break_even(const bench_group *group, const size_t *indices, size_t count,
                             int pass)
{
    double density = 0, slowdown = 0;
    for (size_t i = 0; i < count; i++) {
        double next = group->points[indices[i]].density;
        double next_slowdown = 1 / group->results[indices[i]].pass[pass].ratio.middle;
        if (next_slowdown >= 1 && i) {
            double share = (1 - slowdown) / (next_slowdown - slowdown);
            printf("%.0f%%", 100 * (density + share * (next - density)));
            return;
        }
        if (next_slowdown >= 1) {
            printf("below %.0f%%", 100 * next);
            return;
        }
        density = next;
        slowdown = next_slowdown;
    }
    printf("above %.0f%%", 100 * density);
}

void print_group_end(const bench_group *group)
{
    print_plans(group);
    if (group->points[0].shape.precision != PARE_PRECISION_FP32)
        print_gains(group);
    for (int family = 0; family < FAMILY_COUNT; family++) {
        size_t indices[LIST_MAX];
        size_t count = points_of_family(group, (mask_family)family, indices);
        if (count < 2)
            continue;
        printf("  break-even density, %s: forward ", family_names[family]);
        print_break_even(group, indices, count, PASS_FORWARD);
        printf(", forward+backward ");
        print_break_even(group, indices, count, PASS_BOTH);
        printf("\n");
    }
    fflush(stdout);
}

/* ---- JSON ---- */

/* What every row has. */
static json_t *create_row(const bench_group *group, const char *family, double density, int pass,
                          const quartiles *seconds, double ratio, pare_precision precision)
{
    const bench_shape *s = &group->points[0].shape;
    return json_pack(
        "{s:s, s:f, s:I, s:I, s:I, s:I, s:b, s:b, s:i, s:s, s:s, s:f, s:f, s:f, s:f, s:s}",
        "family", family, "density", density, "length", (json_int_t)s->keys, "queries",
        (json_int_t)s->queries, "heads", (json_int_t)s->heads, "head_dim", (json_int_t)s->head_size,
        "causal", s->causal, "relative", s->relative, "threads",
        pare_context_threads(group->context), "isa",
        pare_level_name(pare_context_level(group->context)), "pass", pass_names[pass], "seconds",
        seconds->middle, "seconds_low", seconds->low, "seconds_high", seconds->high,
        "ratio_to_dense", ratio, "precision", precision_words[precision]);
}

static void add_rate(json_t *row, const bench_group *group, double cells, int pass, double seconds)
{
    double rate = useful_gigaflops(&group->points[0].shape, cells, pass, seconds);
    json_object_set_new(row, "gflops", json_real(rate));
    json_object_set_new(row, "peak_gflops", json_real(1e-9 * group->peak));
    json_object_set_new(row, "peak_share", json_real(1e9 * rate / group->peak));
}

static json_t *pruned_row(const bench_group *group, size_t index, int pass)
{
    const bench_point *point = &group->points[index];
    const bench_result *r = &group->results[index];
    const struct pass_result *p = &r->pass[pass];
    json_t *row = create_row(group, family_names[point->family], point->density, pass, &p->pruned,
                             p->ratio.middle, point->shape.precision);
    double paid = calls_until_paid(r, pass), kept = (double)r->plan.kept;
    json_t *more = json_pack(
        "{s:f, s:f, s:f, s:I, s:f, s:I, s:I, s:f, s:I, s:I, s:o, s:I}", "ratio_low", p->ratio.low,
        "ratio_high", p->ratio.high, "dense_seconds", p->dense.middle, "kept_cells",
        (json_int_t)r->plan.kept, "kept_share", kept / admissible_cells(&point->shape),
        "listed_cells", (json_int_t)r->plan.listed, "span_cells", (json_int_t)r->plan.dense,
        "plan_seconds", r->plan_seconds, "plan_bytes", (json_int_t)r->plan.bytes, "workspace_bytes",
        (json_int_t)r->workspace_bytes, "plan_paid_after_calls",
        isinf(paid) ? json_null() : json_real(paid), "rounds", (json_int_t)p->rounds);
    json_object_update(row, more);
    json_decref(more);
    if (point->learned)
        json_object_set_new(row, "mask", json_string(point->learned->name));
    if (point->shape.precision != PARE_PRECISION_FP32)
        json_object_set_new(row, "gain_over_fp32", json_real(p->gain.middle));
    add_rate(row, group, kept, pass, p->pruned.middle);
    return row;
}

/* Dense calls were measured with every point; the one of median time stands for all. */
static json_t *dense_row(const bench_group *group, int pass)
{
    const bench_result *results = group->results;
    size_t middle = 0;
    for (size_t i = 0; i < group->count; i++) {
        size_t below = 0;
        for (size_t j = 0; j < group->count; j++)
            below += results[j].pass[pass].dense.middle < results[i].pass[pass].dense.middle;
        if (below == group->count / 2)
            middle = i;
    }
    const quartiles *seconds = &results[middle].pass[pass].dense;
    json_t *row = create_row(group, "dense", 1, pass, seconds, 1, PARE_PRECISION_FP32);
    json_object_set_new(row, "dense_seconds", json_real(seconds->middle));
    json_object_set_new(row, "workspace_bytes",
                        json_integer((json_int_t)results[middle].dense_workspace_bytes));
    add_rate(row, group, admissible_cells(&group->points[0].shape), pass, seconds->middle);
    return row;
}

void append_group(json_t *rows, const bench_group *group)
{
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        json_array_append_new(rows, dense_row(group, pass));
        for (size_t i = 0; i < group->count; i++)
            json_array_append_new(rows, pruned_row(group, i, pass));
    }
}
