/* The main job: dense training, average attention, masks at every p, training under each, the
 * random control, evaluation, one table and one report. */
#ifndef PARE_SWEEP_H
#define PARE_SWEEP_H

#include "pare/report.h"
#include "pare/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pare_sweep_options {
    const char *output;  /* directory; created */
    const char *command; /* what the user typed, for the report; NULL: not shown */
    pare_progress progress;
    /* Called for every row as soon as it is known; `fresh` is false for rows of an earlier process.
     */
    void (*row_done)(void *user, const pare_result_row *row, bool fresh);
    void *user;
} pare_sweep_options;

/* Runs everything that is not done yet and writes results.json and report.html into the output.
 *
 *     output/dense/                 the dense run (or the directory that the recipe names)
 *     output/dense/average.safetensors   (average-ends-first.safetensors in those coordinates)
 *     output/attention-pruning-90/  one directory per p, a complete model directory with its mask
 *     output/dense/average-cross.safetensors, output/attention-pruning-cross-90/
 *                                   translation: of each kind of attention, or set of kinds
 *     output/random-90-seed-1/
 *     output/seed-2/dense/ ...           the same for each of several training seeds
 *
 * Killed at any moment, the next call goes on with the same result. A directory that holds a run of
 * other settings is refused with the first difference; nothing is overwritten. */
PARE_API PARE_MUST_CHECK pare_status pare_sweep(pare_context *context, const pare_recipe *recipe,
                                                const pare_sweep_options *options,
                                                pare_results *results);

/* One run of a recipe without the rest of the sweep: dense, or under the masks
 * in these files: one, or of translation one for each kind of attention. The result has one row;
 * free it with pare_results_free. */
PARE_API PARE_MUST_CHECK pare_status
pare_sweep_train(pare_context *context, const pare_recipe *recipe, const char *const *mask_paths,
                 size_t mask_count, const pare_sweep_options *options, pare_results *result);

/* What a sweep would cost: measured on a few dense training steps; for language models of random
 * tokens in the recipe's shapes, for others of the recipe's data. Pruned runs are counted like
 * dense ones, so the total is an upper bound. */
typedef struct pare_sweep_estimate {
    uint64_t runs, steps, tokens; /* steps and tokens of one run */
    uint64_t vocabulary, parameters;
    double seconds_per_step, seconds_per_run, seconds; /* training only */
    uint64_t resident_bytes;
} pare_sweep_estimate;
/* `vocabulary` and `tokens` 0: read from the recipe's data; of language models only. */
PARE_API PARE_MUST_CHECK pare_status pare_sweep_dry_run(pare_context *context,
                                                        const pare_recipe *recipe,
                                                        uint64_t vocabulary, uint64_t tokens,
                                                        pare_sweep_estimate *estimate);

#ifdef __cplusplus
}
#endif
#endif
