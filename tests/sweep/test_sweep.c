/* The main job on a text of a few kilobytes: every directory and row is there, starting again does
 * nothing twice, other settings are refused, and a stopped sweep ends as an unstopped one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "pare/sweep.h"

typedef struct fixture {
    char directory[64], text[128], recipe_path[128];
    pare_context *context;
} fixture;

static const char recipe_text[] =
    "name: test\n"
    "description: a sweep of seconds\n"
    "data: {train: %s, level: word}\n"
    "model: {family: transformer-xl, layers: 2, heads: 2, head_size: 8, size: 16, feed_forward: "
    "32, "
    "memory: 8, dropout: 0.1}\n"
    "training: {optimizer: adam, schedule: cosine, rate: 0.01, steps: 12, batch: 4, length: 8, "
    "evaluate_every: 6, seed: 3}\n"
    "evaluation: {batch: 2}\n"
    "sweep: {percents: [50], random_percents: [50], random_seeds: [1, 2]}\n";

static void save_text(const char *path, pri_text *text)
{
    assert_int_equal(pri_file_replace(path, text->data, text->length), PARE_OK);
    pri_text_free(text);
}

/* A language of a few words in which the next word follows from the one before last. */
static void write_text(const char *path)
{
    pri_text text = {0};
    uint64_t a = 1, b = 2;
    for (uint64_t line = 0; line < 200; line++) {
        for (uint64_t word = 0; word < 12; word++) {
            uint64_t next = pri_random_below(9, line * 12 + word, 10) < 8
                                ? (3 * a + 1) % 17
                                : pri_random_below(10, line * 12 + word, 17);
            pri_text_append(&text, "w%u ", (unsigned)next);
            a = b;
            b = next;
        }
        pri_text_append(&text, "\n");
    }
    save_text(path, &text);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/pare-sweep-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->text, sizeof f->text, "%s/text.txt", f->directory);
    snprintf(f->recipe_path, sizeof f->recipe_path, "%s/recipe.yaml", f->directory);
    write_text(f->text);
    pri_text yaml = {0};
    pri_text_append(&yaml, recipe_text, f->text);
    save_text(f->recipe_path, &yaml);
    pare_context_options options = {.threads = 2};
    assert_int_equal(pare_context_create(&options, &f->context), PARE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    pare_context_destroy(f->context);
    assert_int_equal(pri_remove_tree(f->directory), PARE_OK);
    free(f);
    pare_interrupt_clear();
    return 0;
}

static void load_with(const fixture *f, const char *const *overrides, size_t count,
                      pare_recipe *recipe)
{
    pare_status status = pare_recipe_load(f->recipe_path, NULL, overrides, count, recipe);
    if (status != PARE_OK)
        print_error("%s\n", pare_error_message());
    assert_int_equal(status, PARE_OK);
}

static void load(const fixture *f, const char *override, pare_recipe *recipe)
{
    load_with(f, &override, override ? 1 : 0, recipe);
}

typedef struct row_counts {
    size_t fresh, known;
} row_counts;

static void count_row(void *user, const pare_result_row *row, bool fresh)
{
    (void)row;
    row_counts *counts = user;
    counts->fresh += fresh;
    counts->known += !fresh;
}

static pare_status sweep(const fixture *f, const pare_recipe *recipe, const char *name,
                         row_counts *counts, pare_results *results)
{
    char output[128];
    snprintf(output, sizeof output, "%s/%s", f->directory, name);
    *counts = (row_counts){0};
    pare_sweep_options options = {
        .output = output, .command = "pare sweep test", .row_done = count_row, .user = counts};
    pare_status status = pare_sweep(f->context, recipe, &options, results);
    if (status != PARE_OK && status != PARE_ERROR_INTERRUPTED && status != PARE_ERROR_ARGUMENT)
        print_error("%s\n", pare_error_message());
    return status;
}

static bool exists(const fixture *f, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    return pri_path_exists(path);
}

static void a_sweep_leaves_rows_and_complete_directories(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    assert_int_equal(results.count, 4);
    assert_int_equal(counts.fresh, 4);
    assert_string_equal(results.name, "test");
    assert_string_equal(results.machine, pare_cpu_name());
    assert_string_equal(results.scope, "layer");
    assert_string_equal(results.rows[0].method, "dense");
    assert_string_equal(results.rows[1].method, "attention-pruning");
    assert_string_equal(results.rows[1].directory, "attention-pruning-50");
    assert_string_equal(results.rows[3].method, "random");
    assert_int_equal(results.rows[3].seed, 2);
    assert_string_equal(results.average_path[0], "dense/average.safetensors");
    for (size_t i = 1; i < 4; i++) {
        assert_true(results.rows[i].p_admissible > 45 && results.rows[i].p_admissible <= 50);
        assert_true(results.rows[i].valid > 1 && results.rows[i].valid < 40);
    }
    /* The control prunes as much, and keeps less of the attention. */
    assert_true(results.rows[1].kept_mass > results.rows[2].kept_mass);
    assert_true(exists(f, "out/report.html") && exists(f, "out/results.json"));
    assert_true(exists(f, "out/attention-pruning-50/mask.safetensors"));
    assert_true(exists(f, "out/attention-pruning-50/model.safetensors"));
    assert_true(exists(f, "out/attention-pruning-50/vocab.json"));
    pare_results_free(&results);

    /* The runs themselves say on what they were measured. */
    pare_results single;
    char path[128];
    snprintf(path, sizeof path, "%s/out/random-50-seed-2/result.json", f->directory);
    assert_int_equal(pare_results_load(path, &single), PARE_OK);
    assert_string_equal(single.name, "test");
    assert_string_equal(single.description, "a sweep of seconds");
    assert_string_equal(single.machine, pare_cpu_name());
    assert_string_equal(single.level, pare_level_name(pare_context_level(f->context)));
    assert_string_equal(single.version, PARE_VERSION);
    assert_string_equal(single.command, "pare sweep test");
    assert_int_equal(single.threads, 2);
    pare_results_free(&single);

    /* Again: nothing is computed. Without a name the results have the directory's. */
    recipe.name = NULL;
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    assert_int_equal(counts.known, 4);
    assert_int_equal(counts.fresh, 0);
    assert_string_equal(results.name, "out");
    pare_results_free(&results);
    pare_recipe_free(&recipe);
}

static void other_settings_are_refused(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    pare_results_free(&results);
    pare_recipe_free(&recipe);

    load(f, "model.feed_forward=48", &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "feed_forward"));
    pare_recipe_free(&recipe);

    load(f, "training.rate=0.02", &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "'rate'"));
    pare_recipe_free(&recipe);

    load(f, "evaluation.memory=4", &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "evaluation.memory"));
    pare_recipe_free(&recipe);

    load(f, "sweep.scope=head", &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "another mask"));
    pare_recipe_free(&recipe);
}

static pare_status train_with_patience(const fixture *f, uint64_t patience)
{
    char output[128];
    snprintf(output, sizeof output, "%s/single", f->directory);
    pare_recipe recipe;
    pare_results result;
    load(f, "training.keep=last", &recipe);
    recipe.training.patience = patience;
    pare_sweep_options options = {.output = output};
    pare_status status = pare_sweep_train(f->context, &recipe, NULL, 0, &options, &result);
    pare_results_free(&result);
    pare_recipe_free(&recipe);
    return status;
}

static void impossible_options_claim_no_directory(void **state)
{
    fixture *f = *state;
    assert_int_equal(train_with_patience(f, 1), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "training.patience"));
    assert_false(exists(f, "single/run.json"));
    assert_int_equal(train_with_patience(f, 0), PARE_OK);
    assert_true(exists(f, "single/run.json"));
}

static void interrupt_sometimes(void *user, const pare_progress_event *event)
{
    unsigned *countdown = user;
    (void)event;
    if (--*countdown == 0)
        pare_interrupt();
}

static void a_stopped_sweep_ends_like_an_unstopped_one(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results whole, pieces;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "whole", &counts, &whole), PARE_OK);

    char output[128];
    snprintf(output, sizeof output, "%s/pieces", f->directory);
    unsigned countdown;
    pare_sweep_options options = {.output = output, .progress = {interrupt_sometimes, &countdown}};
    pare_status status;
    unsigned stops = 0;
    do {
        countdown = 9 + 4 * stops; /* an evaluation starts over and must end some time */
        status = pare_sweep(f->context, &recipe, &options, &pieces);
        pare_interrupt_clear();
        stops += status == PARE_ERROR_INTERRUPTED;
    } while (status == PARE_ERROR_INTERRUPTED && stops < 100);
    assert_int_equal(status, PARE_OK);
    assert_true(stops > 3);
    assert_int_equal(pieces.count, whole.count);
    for (size_t i = 0; i < whole.count; i++) {
        assert_true(pieces.rows[i].valid == whole.rows[i].valid);
        assert_true(pieces.rows[i].test == whole.rows[i].test);
    }
    pare_results_free(&whole);
    pare_results_free(&pieces);
    pare_recipe_free(&recipe);
}

static void zero_shot_and_continue_share_a_dense_run(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    double dense = results.rows[0].valid;
    pare_results_free(&results);
    pare_recipe_free(&recipe);

    char shared[160];
    snprintf(shared, sizeof shared, "sweep.dense=%s/out/dense", f->directory);
    const char *overrides[] = {"sweep.start=zero-shot", shared, "sweep.percents=[0]"};
    load_with(f, overrides, 3, &recipe);
    assert_int_equal(sweep(f, &recipe, "zero", &counts, &results), PARE_OK);
    assert_int_equal(counts.known, 1);
    assert_string_equal(results.average_path[0], "../out/dense/average.safetensors");
    /* Pruning nothing from the dense weights gives the dense result. */
    assert_true(results.rows[1].valid > dense * 0.9999 && results.rows[1].valid < dense * 1.0001);
    assert_true(results.rows[1].train_seconds == 0);
    pare_results_free(&results);
    pare_recipe_free(&recipe);
}

/* The second of two percents begins where the first ended. */
static void a_stepwise_run_starts_from_the_one_before(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results, alone;
    row_counts counts;
    const char *stepwise[] = {"sweep.start=stepwise", "sweep.percents=[40, 60]",
                              "sweep.random_percents=[]", "sweep.random_seeds=[]"};
    load_with(f, stepwise, 4, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    assert_int_equal(results.count, 3);
    assert_string_equal(results.rows[2].start, "stepwise");
    assert_string_equal(results.rows[2].directory, "attention-pruning-60-stepwise");
    pare_recipe_free(&recipe);

    char mask[192], before[192], output[128];
    snprintf(mask, sizeof mask, "%s/out/attention-pruning-60-stepwise/mask.safetensors",
             f->directory);
    snprintf(before, sizeof before, "sweep.dense=%s/out/attention-pruning-40-stepwise",
             f->directory);
    snprintf(output, sizeof output, "%s/alone", f->directory);
    const char *masks[] = {mask}, *follow[] = {"sweep.start=continue", before};
    pare_sweep_options options = {.output = output};
    load_with(f, follow, 2, &recipe);
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 1, &options, &alone), PARE_OK);
    assert_true(alone.rows[0].valid == results.rows[2].valid);
    assert_true(alone.rows[0].test == results.rows[2].test);
    pare_results_free(&alone);
    pare_results_free(&results);
    pare_recipe_free(&recipe);

    /* Other steps on the way are another run. */
    stepwise[1] = "sweep.percents=[50, 60]";
    load_with(f, stepwise, 4, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "'stages' differs"));
    /* A single run has none before it. */
    snprintf(output, sizeof output, "%s/single", f->directory);
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 1, &options, &alone),
                     PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "stepwise is for sweeps"));
    pare_recipe_free(&recipe);
}

static const char encoder_recipe[] =
    "name: words\n"
    "task: masked-language-modelling\n"
    "data: {train: %s}\n"
    "model: {layers: 1, heads: 2, size: 16, feed_forward: 32, dropout: 0}\n"
    "training: {rate: 0.01, steps: 8, tokens: 64, length: 16, seed: 3}\n"
    "sweep: {percents: [50]}\n";

static int set_up_encoder(void **state)
{
    set_up(state);
    fixture *f = *state;
    pri_text yaml = {0};
    pri_text_append(&yaml, encoder_recipe, f->text);
    save_text(f->recipe_path, &yaml);
    return 0;
}

static double quality_of_pruned(const fixture *f, const char *const *overrides, size_t count,
                                const char *directory)
{
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load_with(f, overrides, count, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    assert_string_equal(results.rows[1].directory, directory);
    assert_string_equal(results.distillation, count ? "0.5" : "");
    double quality = results.rows[1].valid;
    pare_results_free(&results);
    pare_recipe_free(&recipe);
    return quality;
}

static void a_pruned_run_may_follow_the_dense_one(void **state)
{
    fixture *f = *state;
    const char *half[] = {"sweep.distillation=0.5"};
    double alone = quality_of_pruned(f, NULL, 0, "attention-pruning-50");
    double taught = quality_of_pruned(f, half, 1, "attention-pruning-50-distilled");
    assert_true(taught != alone);

    /* A single run must be told of the dense one. */
    char mask[192], output[128];
    snprintf(mask, sizeof mask, "%s/out/attention-pruning-50/mask.safetensors", f->directory);
    snprintf(output, sizeof output, "%s/single", f->directory);
    const char *masks[] = {mask};
    pare_sweep_options options = {.output = output};
    pare_recipe recipe;
    pare_results single;
    load_with(f, half, 1, &recipe);
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 1, &options, &single),
                     PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "sweep.distillation needs the dense run"));
    pare_recipe_free(&recipe);
    char dense[192];
    snprintf(dense, sizeof dense, "sweep.dense=%s/out/dense", f->directory);
    const char *both[] = {half[0], dense};
    load_with(f, both, 2, &recipe);
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 1, &options, &single), PARE_OK);
    assert_true(single.rows[0].valid == taught);
    pare_results_free(&single);
    pare_recipe_free(&recipe);
}

static void an_estimate_counts_steps_and_runs(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_sweep_estimate estimate;
    load(f, NULL, &recipe);
    assert_int_equal(pare_sweep_dry_run(f->context, &recipe, 100, 5000, &estimate), PARE_OK);
    assert_int_equal(estimate.runs, 4);
    assert_int_equal(estimate.steps, 12);
    assert_int_equal(estimate.tokens, 12 * 4 * 8);
    assert_int_equal(estimate.vocabulary, 100);
    assert_true(estimate.seconds_per_step > 0);
    pare_recipe_free(&recipe);
}

/* ---- Translation ---- */

static const char pairs_recipe[] =
    "name: pairs\n"
    "task: translation\n"
    "data: {train: %s/train.tsv, valid: %s/valid.tsv, test: %s/test.tsv, tokenised: true,\n"
    "       maximum_vocabulary: 80}\n"
    "model: {layers: 1, heads: 2, size: 16, feed_forward: 32, dropout: 0}\n"
    "training: {rate: 0.005, steps: 12, batch: 8, length: 16, evaluate_every: 6, seed: 3}\n"
    "evaluation: {beam: 2, length_extra: 4}\n"
    "sweep: {attention: [cross, selves], percents: [50], random_percents: [50],\n"
    "        random_seeds: [1]}\n";

/* Sentences of 3 to 9 words, each with its words in another spelling. */
static void write_pairs(const fixture *f, const char *name, uint64_t seed, uint64_t lines)
{
    pri_text text = {0};
    for (uint64_t line = 0; line < lines; line++) {
        size_t words = 3 + (size_t)pri_random_below(seed, 100 * line, 7);
        for (int side = 0; side < 2; side++)
            for (size_t word = 0; word < words; word++)
                pri_text_append(&text, "%s%c%u",
                                word   ? " "
                                : side ? "\t"
                                       : "",
                                side ? 't' : 's',
                                (unsigned)pri_random_below(seed, 100 * line + 1 + word, 12));
        pri_text_append(&text, "\n");
    }
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    save_text(path, &text);
}

static int set_up_pairs(void **state)
{
    set_up(state);
    fixture *f = *state;
    write_pairs(f, "train.tsv", 11, 40);
    write_pairs(f, "valid.tsv", 12, 12);
    write_pairs(f, "test.tsv", 13, 9);
    pri_text yaml = {0};
    pri_text_append(&yaml, pairs_recipe, f->directory, f->directory, f->directory);
    save_text(f->recipe_path, &yaml);
    return 0;
}

static void a_sweep_of_translation_prunes_kinds_of_attention(void **state)
{
    static const struct {
        const char *method, *attention, *directory;
        bool masks[PARE_ATTENTION_KINDS];
    } expected[] = {
        {"dense", "", "dense", {false, false, false}},
        {"attention-pruning", "cross", "attention-pruning-cross-50", {false, false, true}},
        {"attention-pruning", "selves", "attention-pruning-selves-50", {true, true, false}},
        {"random", "cross", "random-cross-50-seed-1", {false, false, true}},
        {"random", "selves", "random-selves-50-seed-1", {true, true, false}}};
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results, again;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    assert_int_equal(results.count, 5);
    assert_string_equal(results.metric, "tokenised BLEU");
    assert_true(results.higher_is_better);
    for (size_t i = 0; i < 5; i++) {
        const pare_result_row *row = &results.rows[i];
        char name[128];
        assert_string_equal(row->method, expected[i].method);
        assert_string_equal(row->attention, expected[i].attention);
        assert_string_equal(row->directory, expected[i].directory);
        for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
            snprintf(name, sizeof name, "out/%s/mask-%s.safetensors", expected[i].directory,
                     pare_attention_kind_names[kind]);
            assert_true(exists(f, name) == expected[i].masks[kind]);
        }
        snprintf(name, sizeof name, "out/%s/tokenizer.json", expected[i].directory);
        assert_true(exists(f, name));
        assert_true(row->valid >= 0 && row->valid <= 100);
        assert_int_equal(row->more_count, 3);
        assert_true(!i || (row->p_admissible > 40 && row->p_admissible <= 50));
    }
    assert_true(results.rows[1].kept_mass > results.rows[3].kept_mass);
    assert_true(results.rows[2].kept_mass > results.rows[4].kept_mass);
    assert_string_equal(results.average_path[PARE_ATTENTION_SELF],
                        "dense/average-encoder.safetensors");
    assert_string_equal(results.average_path[PARE_ATTENTION_DECODER],
                        "dense/average-decoder.safetensors");
    assert_string_equal(results.average_path[PARE_ATTENTION_CROSS],
                        "dense/average-cross.safetensors");
    assert_true(exists(f, "out/report.html"));

    assert_int_equal(sweep(f, &recipe, "out", &counts, &again), PARE_OK);
    assert_int_equal(counts.known, 5);
    pare_results_free(&again);

    /* results.json has all of it. */
    char path[160];
    snprintf(path, sizeof path, "%s/out/results.json", f->directory);
    assert_int_equal(pare_results_load(path, &again), PARE_OK);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(again.rows[i].attention, expected[i].attention);
    assert_string_equal(again.average_path[PARE_ATTENTION_CROSS],
                        results.average_path[PARE_ATTENTION_CROSS]);
    pare_results_free(&again);
    pare_results_free(&results);
    pare_recipe_free(&recipe);
}

/* Attention pruning and random masks, of every kind of attention, then save nearly the same. */
static void percents_may_be_shares_of_the_work(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load(f, "sweep.percents_of=effective", &recipe);
    assert_true(recipe.effective);
    assert_int_equal(sweep(f, &recipe, "work", &counts, &results), PARE_OK);
    assert_int_equal(results.count, 5);
    for (size_t i = 1; i < results.count; i++) {
        assert_true(results.rows[i].p_requested == 50);
        assert_true(fabs(results.rows[i].p_effective - 50) < 3);
    }
    assert_true(exists(f, "work/attention-pruning-cross-50-effective/result.json"));
    assert_true(exists(f, "work/random-selves-50-effective-seed-1/result.json"));
    pare_results_free(&results);
    pare_recipe_free(&recipe);
}

/* A run under the masks of two files is that of the sweep that pruned both. */
static void masks_of_files_go_to_their_kinds(void **state)
{
    fixture *f = *state;
    pare_recipe recipe;
    pare_results results;
    row_counts counts;
    load(f, NULL, &recipe);
    assert_int_equal(sweep(f, &recipe, "out", &counts, &results), PARE_OK);
    char decoder[160], encoder[160], output[128];
    snprintf(decoder, sizeof decoder, "%s/out/attention-pruning-selves-50/mask-decoder.safetensors",
             f->directory);
    snprintf(encoder, sizeof encoder, "%s/out/attention-pruning-selves-50/mask-encoder.safetensors",
             f->directory);
    snprintf(output, sizeof output, "%s/single", f->directory);
    const char *masks[] = {decoder, encoder};
    pare_sweep_options options = {.output = output};
    pare_results single;
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 2, &options, &single), PARE_OK);
    assert_int_equal(single.count, 1);
    assert_string_equal(single.metric, "tokenised BLEU");
    assert_string_equal(single.rows->method, "attention-pruning");
    assert_string_equal(single.rows->attention, "selves");
    assert_true(single.rows->valid == results.rows[2].valid &&
                single.rows->steps == results.rows[2].steps);
    assert_true(single.rows->p_admissible == results.rows[2].p_admissible);
    assert_true(exists(f, "single/mask-encoder.safetensors"));
    assert_true(exists(f, "single/mask-decoder.safetensors"));
    assert_false(exists(f, "single/mask-cross.safetensors"));
    pare_results_free(&single);

    /* One file twice is a mistake. */
    masks[1] = decoder;
    snprintf(output, sizeof output, "%s/twice", f->directory);
    assert_int_equal(pare_sweep_train(f->context, &recipe, masks, 2, &options, &single),
                     PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "decoder"));
    pare_results_free(&results);
    pare_recipe_free(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sweep_leaves_rows_and_complete_directories, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_settings_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(impossible_options_claim_no_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stopped_sweep_ends_like_an_unstopped_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(zero_shot_and_continue_share_a_dense_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_stepwise_run_starts_from_the_one_before, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_pruned_run_may_follow_the_dense_one, set_up_encoder,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_estimate_counts_steps_and_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(percents_may_be_shares_of_the_work, set_up_pairs,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_sweep_of_translation_prunes_kinds_of_attention,
                                        set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(masks_of_files_go_to_their_kinds, set_up_pairs, tear_down),
        cmocka_unit_test_setup_teardown(a_stopped_sweep_ends_like_an_unstopped_one, set_up_pairs,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
