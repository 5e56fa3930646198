/* From the values of a recipe document to a pare_recipe: defaults for what is absent, ranges and
 * combinations checked, paths expanded. Errors are sticky, so that the list of settings below can
 * be read as one. */
#include "train/recipe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "train/recipe_document.h"

#define FILE_LIMIT ((size_t)1 << 20)

/* Limits that keep every product of sizes far from overflow; what fits into memory is found out
 * when the model is made. */
#define COUNT_LIMIT INT64_C(1000000)
#define STEP_LIMIT INT64_C(1000000000000)
#define RATE_LIMIT 1e6

/* ---- What a recipe owns ---- */

typedef struct owned_block {
    struct owned_block *next;
    void *data;
} owned_block;

typedef struct builder {
    const pri_recipe_document *document;
    const char *data_directory;
    pare_recipe *recipe;
    pare_status status;
} builder;

/* Hands `data` to the recipe; NULL (no memory) becomes the builder's status. */
static void *own(builder *build, void *data)
{
    owned_block *block = data ? pri_allocate(1, sizeof *block) : NULL;
    if (!block) {
        pri_free(data);
        build->status = PARE_ERROR_MEMORY;
        return NULL;
    }
    *block = (owned_block){build->recipe->owner, data};
    build->recipe->owner = block;
    return data;
}

void pare_recipe_free(pare_recipe *recipe)
{
    for (owned_block *block = recipe->owner, *next; block; block = next) {
        next = block->next;
        pri_free(block->data);
        pri_free(block);
    }
    *recipe = (pare_recipe){.owner = NULL};
}

/* ---- Values with range and default ---- */

static uint64_t take_integer(builder *build, const char *path, const int64_t *given,
                             uint64_t fallback, int64_t minimum, int64_t maximum)
{
    if (!given || build->status != PARE_OK)
        return fallback;
    if (*given < minimum || *given > maximum)
        build->status =
            pri_recipe_fail(build->document, path, "%s must be %lld to %lld, not %lld", path,
                            (long long)minimum, (long long)maximum, (long long)*given);
    return (uint64_t)*given;
}

static double take_number(builder *build, const char *path, const double *given, double fallback,
                          double minimum, double maximum)
{
    if (!given || build->status != PARE_OK)
        return fallback;
    if (!(*given >= minimum && *given <= maximum))
        build->status = pri_recipe_fail(build->document, path, "%s must be %g to %g, not %g", path,
                                        minimum, maximum, *given);
    return *given;
}

/* A probability or a decay: 0 is allowed, 1 is not. */
static double take_share(builder *build, const char *path, const double *given, double fallback)
{
    if (given && build->status == PARE_OK && !(*given >= 0 && (float)*given < 1))
        build->status = pri_recipe_fail(
            build->document, path, "%s must be 0 or more and less than 1, not %g", path, *given);
    return given ? *given : fallback;
}

static void require(builder *build, const char *path, const void *given)
{
    if (given || build->status != PARE_OK)
        return;
    const char *key = strchr(path, '.') + 1;
    build->status = pri_recipe_fail(build->document, path, "%s is missing; add '%s:' under '%.*s:'",
                                    path, key, (int)(key - 1 - path), path);
}

static char *take_text(builder *build, const char *given)
{
    return given && build->status == PARE_OK ? own(build, pri_string_copy(given)) : NULL;
}

/* Replaces ${PARE_DATA}. */
static char *take_path(builder *build, const char *path, const char *given)
{
    static const char variable[] = "${PARE_DATA}";
    if (!given || build->status != PARE_OK)
        return NULL;
    pri_text text = {.data = NULL};
    for (const char *found; (found = strstr(given, variable)); given = found + strlen(variable)) {
        if (!build->data_directory || !*build->data_directory) {
            pri_text_free(&text);
            build->status = pri_recipe_fail(
                build->document, path,
                "%s uses ${PARE_DATA}; set that variable to the directory of the data sets, or "
                "name your own file with %s=FILE",
                path, path);
            return NULL;
        }
        pri_text_append_bytes(&text, given, (size_t)(found - given));
        pri_text_append(&text, "%s", build->data_directory);
    }
    pri_text_append(&text, "%s", given);
    char *expanded = text.failed ? NULL : own(build, pri_string_copy(text.data));
    if (!expanded)
        build->status = pri_fail(PARE_ERROR_MEMORY, "out of memory reading a recipe");
    pri_text_free(&text);
    return expanded;
}

static double *take_percents(builder *build, const char *path, const double *given, size_t count)
{
    if (!count || build->status != PARE_OK)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (given[i] >= 0 && given[i] <= 100)
            continue;
        build->status =
            pri_recipe_fail(build->document, path, "%s must be 0 to 100, not %g", path, given[i]);
        return NULL;
    }
    double *percents = own(build, pri_allocate(count, sizeof *percents));
    if (percents)
        memcpy(percents, given, count * sizeof *percents);
    return percents;
}

static uint64_t *take_seeds(builder *build, const int64_t *given, size_t count)
{
    if (!count || build->status != PARE_OK)
        return NULL;
    uint64_t *seeds = own(build, pri_allocate(count, sizeof *seeds));
    for (size_t i = 0; seeds && i < count; i++)
        seeds[i] = take_integer(build, "sweep.random_seeds", &given[i], 0, 0, INT64_MAX);
    return seeds;
}

/* ---- Sections ---- */

#define INTEGER(section, key, fallback, minimum, maximum)                                          \
    take_integer(build, #section "." #key, section->key, fallback, minimum, maximum)
#define NUMBER(section, key, fallback, minimum, maximum)                                           \
    take_number(build, #section "." #key, section->key, fallback, minimum, maximum)
#define REQUIRE(section, key) require(build, #section "." #key, section->key)

/* data.train=my.txt on the command line means another text altogether: the recipe's validation and
 * test files do not belong to it. */
static bool replaces_all_data(const pri_recipe_document *document)
{
    return pri_recipe_overridden(document, "data.train") &&
           !pri_recipe_overridden(document, "data.valid") &&
           !pri_recipe_overridden(document, "data.test");
}

static void build_data(builder *build, const pri_data_section *data,
                       const pri_training_section *training,
                       const pri_evaluation_section *evaluation)
{
    pare_language_modelling_options *options = &build->recipe->data;
    REQUIRE(data, train);
    REQUIRE(training, batch);
    REQUIRE(training, length);
    options->train = take_path(build, "data.train", data->train);
    const char *valid = data->valid, *test = data->test;
    if (replaces_all_data(build->document))
        valid = test = NULL;
    options->valid = take_path(build, "data.valid", valid);
    options->test = take_path(build, "data.test", test);
    if (data->level)
        options->vocabulary.level = (pare_text_level)*data->level;
    options->vocabulary.minimum_count = INTEGER(data, minimum_count, 0, 0, STEP_LIMIT);
    options->vocabulary.maximum_size = INTEGER(data, maximum_vocabulary, 0, 3, UINT32_MAX - 1);
    options->lanes = INTEGER(training, batch, 0, 1, COUNT_LIMIT);
    options->length = INTEGER(training, length, 0, 1, COUNT_LIMIT);
    options->evaluation_lanes = INTEGER(evaluation, batch, 10, 1, COUNT_LIMIT);
    options->evaluation_length = INTEGER(evaluation, length, 0, 1, COUNT_LIMIT);
    options->evaluation_memory = INTEGER(evaluation, memory, 0, 0, COUNT_LIMIT);
    if (build->status == PARE_OK && !valid != !test)
        build->status = pri_recipe_fail(
            build->document, valid ? "data.valid" : "data.test",
            "give both data.valid and data.test, or neither to have data.train split 90 : 5 : 5");
    bool bytes = options->vocabulary.level == PARE_TEXT_BYTE;
    if (build->status == PARE_OK && bytes && (data->minimum_count || data->maximum_vocabulary))
        build->status = pri_recipe_fail(
            build->document, data->minimum_count ? "data.minimum_count" : "data.maximum_vocabulary",
            "minimum_count and maximum_vocabulary are for words; level byte always has 256 tokens");
}

static void build_head_size(builder *build, const pri_model_section *model,
                            pare_transformer_xl_config *config)
{
    if (model->head_size || build->status != PARE_OK)
        return;
    if (config->size % config->heads)
        build->status = pri_recipe_fail(
            build->document, "model.heads",
            "model.size %zu is no multiple of model.heads %zu; change one, or give head_size",
            config->size, config->heads);
    config->head_size = config->size / config->heads;
}

static void check_head_size(builder *build, const pare_transformer_xl_config *config)
{
    if (build->status == PARE_OK && (!config->head_size || config->head_size > 256))
        build->status =
            pri_recipe_fail(build->document, "model.heads",
                            "%zu features over %zu heads give head size %zu; it must be 1 to 256",
                            config->size, config->heads, config->head_size);
}

static void build_cutoffs(builder *build, const pri_model_section *model,
                          pare_transformer_xl_config *config)
{
    if (build->status != PARE_OK)
        return;
    if (model->cutoffs_count >= PARE_CLUSTERS_MAX) {
        build->status =
            pri_recipe_fail(build->document, "model.cutoffs", "at most %d cutoffs, not %zu",
                            PARE_CLUSTERS_MAX - 1, model->cutoffs_count);
        return;
    }
    config->cluster_count = model->cutoffs_count;
    for (size_t i = 0; i < model->cutoffs_count && build->status == PARE_OK; i++) {
        int64_t least = i ? model->cutoffs[i - 1] + 1 : 1;
        if (model->cutoffs[i] < least || model->cutoffs[i] >= UINT32_MAX)
            build->status = pri_recipe_fail(
                build->document, "model.cutoffs",
                "cutoffs must be positive and rise, as in [2000, 10000]; %lld does not fit",
                (long long)model->cutoffs[i]);
        config->cutoffs[i] = (size_t)model->cutoffs[i];
    }
}

/* The smallest cluster has embedding_size / division^clusters features. */
static void check_division(builder *build, const pare_transformer_xl_config *config)
{
    if (build->status != PARE_OK)
        return;
    size_t size = config->embedding_size ? config->embedding_size : config->size;
    for (size_t i = 0; i < config->cluster_count; i++)
        size /= config->division;
    if (!size)
        build->status = pri_recipe_fail(build->document, "model.division",
                                        "model.division %zu leaves no feature for the last of %zu "
                                        "clusters; use fewer cutoffs or a smaller division",
                                        config->division, config->cluster_count + 1);
}

static void build_model(builder *build, const pri_model_section *model)
{
    pare_transformer_xl_config *config = &build->recipe->model;
    *config = pare_transformer_xl_config_default();
    REQUIRE(model, layers);
    REQUIRE(model, heads);
    REQUIRE(model, size);
    REQUIRE(model, feed_forward);
    config->layers = INTEGER(model, layers, 0, 1, 1000);
    config->heads = INTEGER(model, heads, 1, 1, 1000);
    config->size = INTEGER(model, size, 0, 1, COUNT_LIMIT);
    if (build->status == PARE_OK && config->size % 2)
        build->status = pri_recipe_fail(build->document, "model.size",
                                        "model.size must be even (half of a position's features "
                                        "are sines, half cosines), not %zu",
                                        config->size);
    config->head_size = INTEGER(model, head_size, 0, 1, 256);
    build_head_size(build, model, config);
    check_head_size(build, config);
    config->embedding_size = INTEGER(model, embedding_size, 0, 1, COUNT_LIMIT);
    config->feed_forward = INTEGER(model, feed_forward, 0, 1, COUNT_LIMIT);
    config->memory = INTEGER(model, memory, build->recipe->data.length, 0, COUNT_LIMIT);
    config->clamp_length = INTEGER(model, clamp_length, 0, 0, COUNT_LIMIT);
    config->same_length = model->same_length && *model->same_length;
    config->pre_norm = model->pre_norm && *model->pre_norm;
    config->untie_biases = model->untie_biases && *model->untie_biases;
    build_cutoffs(build, model, config);
    config->division = INTEGER(model, division, 1, 1, 1000);
    check_division(build, config);
    config->dropout = (float)take_share(build, "model.dropout", model->dropout, config->dropout);
    config->attention_dropout = (float)take_share(
        build, "model.attention_dropout", model->attention_dropout, config->attention_dropout);
    if (build->status == PARE_OK && config->same_length && !config->memory)
        build->status = pri_recipe_fail(build->document, "model.same_length",
                                        "same_length lets every row see model.memory keys, which "
                                        "is 0; set model.memory");
}

/* Steps or epochs: an override of one takes the place of the other in the file. */
static void choose_length(builder *build, const pri_training_section *training,
                          pare_training_options *options)
{
    if (build->status != PARE_OK || !options->steps || !training->epochs)
        return;
    bool steps_overridden = pri_recipe_overridden(build->document, "training.steps");
    bool epochs_overridden = pri_recipe_overridden(build->document, "training.epochs");
    if (steps_overridden == epochs_overridden)
        build->status =
            pri_recipe_fail(build->document, "training.epochs",
                            "training.steps and training.epochs exclude each other; leave one out");
    else if (epochs_overridden)
        options->steps = 0;
}

static void build_training(builder *build, const pri_training_section *training)
{
    pare_training_options *options = &build->recipe->training;
    *options = pare_training_options_default();
    if (training->optimizer)
        options->optimizer = (pare_optimizer_kind)*training->optimizer;
    if (training->schedule)
        options->schedule = (pare_schedule_kind)*training->schedule;
    if (training->precision)
        options->precision = (pare_precision)*training->precision;
    options->rate = NUMBER(training, rate, options->rate, 0, RATE_LIMIT);
    options->minimum_rate = NUMBER(training, minimum_rate, 0, 0, options->rate);
    options->beta1 = take_share(build, "training.beta1", training->beta1, options->beta1);
    options->beta2 = take_share(build, "training.beta2", training->beta2, options->beta2);
    options->epsilon = NUMBER(training, epsilon, options->epsilon, 0, 1);
    options->weight_decay = NUMBER(training, weight_decay, options->weight_decay, 0, RATE_LIMIT);
    options->clip = NUMBER(training, clip, options->clip, 0, RATE_LIMIT);
    options->steps = INTEGER(training, steps, options->steps, 0, STEP_LIMIT);
    options->epochs = NUMBER(training, epochs, options->epochs, 1e-6, 1e6);
    choose_length(build, training, options);
    options->warmup = INTEGER(training, warmup, options->warmup, 0,
                              options->steps ? (int64_t)options->steps : STEP_LIMIT);
    options->accumulation = INTEGER(training, accumulation, options->accumulation, 1, COUNT_LIMIT);
    options->evaluate_every = INTEGER(training, evaluate_every, 0, 0, STEP_LIMIT);
    options->patience = INTEGER(training, patience, options->patience, 0, STEP_LIMIT);
    options->checkpoint_every = INTEGER(training, checkpoint_every, 0, 0, STEP_LIMIT);
    options->checkpoint_seconds =
        NUMBER(training, checkpoint_seconds, options->checkpoint_seconds, 0, 1e9);
    options->log_every = INTEGER(training, log_every, options->log_every, 1, STEP_LIMIT);
    options->seed = INTEGER(training, seed, options->seed, 0, INT64_MAX);
}

static void build_sweep(builder *build, const pri_sweep_section *sweep)
{
    pare_recipe *recipe = build->recipe;
    recipe->percents =
        take_percents(build, "sweep.percents", sweep->percents, sweep->percents_count);
    recipe->percent_count = sweep->percents_count;
    recipe->random_percents = take_percents(build, "sweep.random_percents", sweep->random_percents,
                                            sweep->random_percents_count);
    recipe->random_percent_count = sweep->random_percents_count;
    recipe->random_seeds = take_seeds(build, sweep->random_seeds, sweep->random_seeds_count);
    recipe->random_seed_count = sweep->random_seeds_count;
    if (build->status == PARE_OK && sweep->random_percents_count && !sweep->random_seeds_count)
        build->status = pri_recipe_fail(build->document, "sweep.random_percents",
                                        "sweep.random_percents needs sweep.random_seeds, as in "
                                        "[1, 2, 3]");
    if (sweep->start)
        recipe->start = (pare_start)*sweep->start;
    if (sweep->geometry)
        recipe->prune.geometry = (pare_geometry_kind)*sweep->geometry;
    if (sweep->average)
        recipe->prune.average = (pare_average_kind)*sweep->average;
    if (sweep->scope)
        recipe->prune.scope = (pare_scope)*sweep->scope;
    if (sweep->empty_row)
        recipe->prune.empty_row = (pare_empty_row)*sweep->empty_row;
    recipe->dense = take_path(build, "sweep.dense", sweep->dense);
    bool distance_rows =
        recipe->prune.geometry == PARE_GEOMETRY_DISTANCE && recipe->prune.scope == PARE_SCOPE_ROW;
    if (build->status == PARE_OK && distance_rows)
        build->status = pri_recipe_fail(build->document, "sweep.scope",
                                        "scope row needs geometry cell: a distance mask has no "
                                        "rows");
}

static pare_status build_recipe(const pri_recipe_document *document, const char *data_directory,
                                pare_recipe *recipe)
{
    static const pri_data_section no_data;
    static const pri_model_section no_model;
    static const pri_training_section no_training;
    static const pri_evaluation_section no_evaluation;
    static const pri_sweep_section no_sweep;
    builder build = {document, data_directory, recipe, PARE_OK};
    const pri_recipe_values *values = document->values;
    const pri_training_section *training = values->training ? values->training : &no_training;
    recipe->name = take_text(&build, values->name);
    recipe->description = take_text(&build, values->description);
    build_data(&build, values->data ? values->data : &no_data, training,
               values->evaluation ? values->evaluation : &no_evaluation);
    build_model(&build, values->model ? values->model : &no_model);
    build_training(&build, training);
    build_sweep(&build, values->sweep ? values->sweep : &no_sweep);
    return build.status;
}

pare_status pri_recipe_parse(const char *data, size_t size, const char *name,
                             const char *data_directory, const char *const *overrides,
                             size_t override_count, pare_recipe *recipe)
{
    *recipe = (pare_recipe){.owner = NULL};
    pri_recipe_document document;
    pare_status status =
        pri_recipe_document_parse(data, size, name, overrides, override_count, &document);
    if (status == PARE_OK)
        status = build_recipe(&document, data_directory, recipe);
    pri_recipe_document_free(&document);
    if (status != PARE_OK)
        pare_recipe_free(recipe);
    return status;
}

pare_status pare_recipe_load(const char *path, const char *data_directory,
                             const char *const *overrides, size_t override_count,
                             pare_recipe *recipe)
{
    *recipe = (pare_recipe){.owner = NULL};
    uint8_t *data;
    size_t size;
    PRI_TRY(pri_file_read(path, FILE_LIMIT, &data, &size));
    pare_status status = pri_recipe_parse((const char *)data, size, path, data_directory, overrides,
                                          override_count, recipe);
    pri_free(data);
    return status;
}
