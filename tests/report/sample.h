/* A made-up sweep for the report's tests: averages with sharp local, distant and diffuse heads,
 * masks made from them, and rows of plausible numbers. */
#ifndef PARE_TESTS_REPORT_SAMPLE_H
#define PARE_TESTS_REPORT_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "pare/report.h"

/* Stops the program: a sample that cannot be made is no test. */
#define SAMPLE_CHECK(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition,                     \
                    pare_error_message());                                                         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static double sample_score(size_t layer, size_t head, size_t row, size_t column, size_t distance)
{
    double noise = pri_random_normal(17 * layer + head, 4096 * row + column);
    double logarithm = log1p((double)distance);
    switch ((head + layer) % 4) {
    case 0: /* sharp, local */
        return -3.0 * logarithm + 0.3 * noise;
    case 1: /* one distance stands out */
        return -0.8 * logarithm + (distance == 2 + 3 * layer ? 4 : 0) + 0.4 * noise;
    case 2: /* diffuse */
        return -0.15 * logarithm + 0.3 * noise;
    default: /* power law with favourite columns */
        return -1.3 * logarithm + (column % 16 == 5 ? 1.5 : 0) + 0.5 * noise;
    }
}

static void sample_fill_head(const pare_geometry *geometry, pare_observer *observer, size_t layer,
                             size_t head)
{
    size_t memory = geometry->keys - geometry->queries;
    for (size_t row = 0; row < geometry->queries; row++) {
        double *sums = observer->sums + (head * geometry->queries + row) * geometry->keys;
        double total = 0;
        size_t admissible = geometry->causal ? row + memory + 1 : geometry->keys;
        for (size_t column = 0; column < admissible; column++) {
            size_t newest = row + memory;
            size_t distance = newest > column ? newest - column : column - newest;
            sums[column] = exp(sample_score(layer, head, row, column, distance));
            total += sums[column];
        }
        for (size_t column = 0; column < admissible; column++) {
            sums[column] *= 1000 / total;
            if (observer->counts && head == 0)
                observer->counts[row * geometry->keys + column] += 1000;
        }
    }
}

static pare_average *sample_average_of(pare_geometry geometry)
{
    size_t layers = geometry.layers, heads = geometry.heads;
    pare_average *average;
    SAMPLE_CHECK(pare_average_create(&geometry, &average) == PARE_OK);
    for (size_t layer = 0; layer < layers; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        for (size_t head = 0; head < heads; head++)
            sample_fill_head(&geometry, &observer, layer, head);
    }
    pare_average_add_examples(average, 1000);
    pare_average_set_corpus(average, "sample", 1);
    return average;
}

static inline pare_average *sample_average(size_t layers, size_t heads, size_t queries, size_t keys,
                                           bool causal)
{
    return sample_average_of((pare_geometry){.kind = PARE_GEOMETRY_CELL,
                                             .layers = layers,
                                             .heads = heads,
                                             .queries = queries,
                                             .keys = keys,
                                             .causal = causal});
}

static pare_mask *sample_mask_of(const pare_average *average, pare_prune_options options)
{
    pare_mask *mask;
    SAMPLE_CHECK(pare_mask_create(average, &options, &mask) == PARE_OK);
    return mask;
}

static inline pare_mask *sample_mask(const pare_average *average, pare_method method,
                                     double percent, uint64_t seed)
{
    return sample_mask_of(average,
                          (pare_prune_options){.method = method, .percent = percent, .seed = seed});
}

static pare_result_row sample_row(const char *method, double percent, uint64_t seed)
{
    bool dense = !strcmp(method, "dense"), random = !strcmp(method, "random");
    double share = percent / 100;
    double cost = random ? 0.16 * pow(share, 3) + 0.004 * (double)seed : 0.025 * pow(share, 6);
    pare_result_row row = {.seed = seed,
                           .p_nominal = dense ? 0 : 25 + 0.75 * percent,
                           .p_admissible = percent,
                           .p_effective = percent,
                           .kept_mass = random ? 100 - percent : 100 - 30 * pow(share, 4),
                           .valid = 146.1 * (1 + cost),
                           .test = 138.2 * (1 + cost),
                           .train_seconds = 610 - 200 * share,
                           .tokens_per_second = 3100 * (1 + 0.35 * share),
                           .attention_seconds = 240 - 190 * share,
                           .evaluate_seconds = 11,
                           .plan_seconds = dense ? 0 : 0.02,
                           .peak_bytes = (uint64_t)(612e6 - 55e6 * share),
                           .steps = 4000,
                           .parameters = 5160000};
    snprintf(row.method, sizeof row.method, "%s", method);
    snprintf(row.start, sizeof row.start, "%s", dense ? "" : "restart");
    if (dense)
        snprintf(row.directory, sizeof row.directory, "dense");
    else if (random)
        snprintf(row.directory, sizeof row.directory, "random-%g-seed-%d", percent, (int)seed);
    else
        snprintf(row.directory, sizeof row.directory, "attention-pruning-%g", percent);
    return row;
}

/* Rows in `rows`, which has room for 12; dense, five of attention pruning, three seeds at 60 and 90
 * of random. */
static pare_results sample_results(pare_result_row *rows)
{
    static const double percents[] = {20, 40, 60, 80, 90};
    pare_results results = {
        .name = "lm-wikitext2-small",
        .description = "Transformer-XL with 4 layers of 4 heads on WikiText-2, segments of 64 and "
                       "a memory of 64.",
        .metric = "perplexity",
        .machine = "AMD EPYC 9B45, 2 cores",
        .level = "x86-64-v4",
        .version = PARE_VERSION,
        .command = "pare sweep recipes/lm-wikitext2-small.yaml --out runs/small",
        .threads = 2,
        .geometry = "cell",
        .scope = "layer",
        .average = "valid",
        .average_path = {"dense/average.safetensors"},
        .rows = rows};
    rows[results.count++] = sample_row("dense", 0, 0);
    for (size_t i = 0; i < 5; i++)
        rows[results.count++] = sample_row("attention-pruning", percents[i], 0);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        rows[results.count++] = sample_row("random", 60, seed);
        rows[results.count++] = sample_row("random", 90, seed);
    }
    return results;
}

/* `options` but for what the row says. */
static void sample_save_mask_as(const pare_average *average, pare_prune_options options,
                                const pare_result_row *row, const char *directory, const char *name)
{
    bool random = !strcmp(row->method, "random");
    options.method = random ? PARE_METHOD_RANDOM : PARE_METHOD_ATTENTION_PRUNING;
    options.percent = row->p_admissible;
    options.seed = row->seed;
    pare_mask *mask = sample_mask_of(average, options);
    char *run = pri_path_join(directory, row->directory);
    char *path = pri_path_join(run, name);
    SAMPLE_CHECK(pri_make_directories(run) == PARE_OK);
    SAMPLE_CHECK(pare_mask_save(mask, path) == PARE_OK);
    pri_free(path);
    pri_free(run);
    pare_mask_destroy(mask);
}

static void sample_save_mask_of(const pare_average *average, pare_prune_options options,
                                const pare_result_row *row, const char *directory)
{
    sample_save_mask_as(average, options, row, directory, "mask.safetensors");
}

static inline void sample_save_mask(const pare_average *average, const pare_result_row *row,
                                    const char *directory)
{
    sample_save_mask_of(average, (pare_prune_options){0}, row, directory);
}

/* results.json, average and masks as pare_sweep leaves them; the average goes. */
static void sample_sweep_of(const char *directory, pare_average *average,
                            pare_prune_options options)
{
    pare_result_row rows[12];
    pare_results results = sample_results(rows);
    char *dense = pri_path_join(directory, "dense");
    char *path = pri_path_join(dense, "average.safetensors");
    SAMPLE_CHECK(pri_make_directories(dense) == PARE_OK);
    SAMPLE_CHECK(pare_average_save(average, path) == PARE_OK);
    pri_free(path);
    pri_free(dense);
    for (size_t i = 0; i < results.count; i++)
        if (strcmp(rows[i].method, "dense"))
            sample_save_mask_of(average, options, &rows[i], directory);
    pare_average_destroy(average);
    path = pri_path_join(directory, "results.json");
    SAMPLE_CHECK(pare_results_save(&results, path) == PARE_OK);
    pri_free(path);
}

/* ---- Translation ---- */

/* BLEU of 41 that falls with p, more under random masks and where more is pruned. */
static inline pare_result_row sample_translation_row(const char *method, const char *attention,
                                                     double percent)
{
    static const struct {
        const char *name;
        double weight;
    } weights[] = {{"encoder", 1}, {"decoder", 1.5}, {"selves", 2.2}, {"cross", 0.6}, {"all", 3}};
    pare_result_row row = sample_row(method, percent, !strcmp(method, "random"));
    double weight = 0;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (!strcmp(weights[i].name, attention))
            weight = weights[i].weight;
    double lost = weight * pow(percent / 100, 3) * (strcmp(method, "random") ? 1 : 4);
    row.p_requested = percent;
    row.p_effective = 0.9 * percent;
    row.valid = 40 - lost;
    row.test = 41 - lost;
    snprintf(row.attention, sizeof row.attention, "%s", attention);
    if (percent > 0)
        snprintf(row.directory, sizeof row.directory, "%s-%s-%g", method, attention, percent);
    return row;
}

/* Rows in `rows`, which has room for 21: dense; 50% and 90% of whatever can be pruned. */
static inline pare_results sample_translation(pare_result_row *rows)
{
    static const char *const attentions[] = {"encoder", "decoder", "selves", "cross", "all"};
    pare_results results = {
        .name = "multi30k-en-de-small",
        .description = "Multi30k English-German (29,000 pairs), 4 + 4 layers of 4 heads, d 128.",
        .metric = "tokenised BLEU",
        .higher_is_better = true,
        .machine = "AMD EPYC 9B45, 2 cores",
        .level = "x86-64-v4",
        .version = PARE_VERSION,
        .command = "pare sweep recipes/multi30k-en-de-small.yaml --output runs/small",
        .threads = 2,
        .geometry = "cell, ends first",
        .scope = "layer",
        .average = "valid",
        .average_path = {"dense/average-encoder.safetensors", "dense/average-decoder.safetensors",
                         "dense/average-cross.safetensors"},
        .rows = rows};
    rows[results.count++] = sample_translation_row("dense", "", 0);
    for (size_t i = 0; i < sizeof attentions / sizeof *attentions; i++)
        for (double percent = 50; percent <= 90; percent += 40) {
            rows[results.count++] =
                sample_translation_row("attention-pruning", attentions[i], percent);
            rows[results.count++] = sample_translation_row("random", attentions[i], percent);
        }
    return results;
}

static inline pare_average *sample_translation_average(pare_attention_kind kind, size_t layers,
                                                       size_t heads, size_t length)
{
    pare_geometry geometry = {.layers = layers,
                              .heads = heads,
                              .queries = length,
                              .keys = length,
                              .causal = kind == PARE_ATTENTION_DECODER,
                              .ends_first = kind != PARE_ATTENTION_DECODER};
    if (kind == PARE_ATTENTION_CROSS) {
        geometry.keys += length / 4;
        geometry.ratio = 1.25;
    }
    return sample_average_of(geometry);
}

static inline bool sample_prunes(const char *attention, size_t kind)
{
    return !strcmp(attention, "all") || !strcmp(attention, pare_attention_kind_names[kind]) ||
           (!strcmp(attention, "selves") && kind < PARE_ATTENTION_CROSS);
}

/* results.json, averages and masks as pare_sweep leaves those of a translation model. */
static inline void sample_translation_sweep(const char *directory, size_t layers, size_t heads,
                                            size_t length, pare_geometry_kind cross_geometry)
{
    pare_result_row rows[21];
    pare_results results = sample_translation(rows);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        pare_average *average =
            sample_translation_average((pare_attention_kind)kind, layers, heads, length);
        char *path = pri_path_join(directory, results.average_path[kind]);
        char *dense = pri_path_join(directory, "dense");
        SAMPLE_CHECK(pri_make_directories(dense) == PARE_OK);
        SAMPLE_CHECK(pare_average_save(average, path) == PARE_OK);
        pri_free(dense);
        pri_free(path);
        const pare_prune_options options = {
            .geometry = kind == PARE_ATTENTION_CROSS ? cross_geometry : PARE_GEOMETRY_CELL};
        for (size_t i = 0; i < results.count; i++)
            if (sample_prunes(rows[i].attention, kind))
                sample_save_mask_as(
                    average, options, &rows[i], directory,
                    pare_mask_file_name(PARE_ATTENTION_KINDS, (pare_attention_kind)kind));
        pare_average_destroy(average);
    }
    char *path = pri_path_join(directory, "results.json");
    SAMPLE_CHECK(pare_results_save(&results, path) == PARE_OK);
    pri_free(path);
}

static inline void sample_sweep(const char *directory, size_t layers, size_t heads, size_t queries,
                                size_t keys)
{
    sample_sweep_of(directory, sample_average(layers, heads, queries, keys, true),
                    (pare_prune_options){0});
}

#endif
