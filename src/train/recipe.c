/* From the values of a recipe document to a pare_recipe: training and sweep here, data and model in
 * files of their own. */
#include "train/recipe.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/recipe_builder.h"

#define FILE_LIMIT ((size_t)1 << 20)

const char *const pare_task_names[] = {"language-modelling", "classification",
                                       "question-answering", "masked-language-modelling",
                                       "translation",        NULL};

/* Steps or epochs: an override of one takes the place of the other in the file. */
static void choose_length(pri_recipe_builder *build, const pri_training_section *training,
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

static void take_averaged(pri_recipe_builder *build, const pri_training_section *training,
                          pare_training_options *options)
{
    bool average = options->keep == PARE_KEEP_AVERAGE;
    options->averaged = PRI_INTEGER(training, averaged, average ? 5 : 0, 1, PRI_COUNT_LIMIT);
    if (build->status == PARE_OK && training->averaged && !average)
        build->status = pri_recipe_fail(build->document, "training.averaged",
                                        "training.averaged is for training.keep average");
}

static void build_training(pri_recipe_builder *build, const pri_training_section *training)
{
    pare_training_options *options = &build->recipe->training;
    *options = pare_training_options_default();
    if (training->optimizer)
        options->optimizer = (pare_optimizer_kind)*training->optimizer;
    if (training->schedule)
        options->schedule = (pare_schedule_kind)*training->schedule;
    if (training->precision)
        options->precision = (pare_precision)*training->precision;
    options->rate = PRI_NUMBER(training, rate, options->rate, 0, PRI_RATE_LIMIT);
    options->minimum_rate = PRI_NUMBER(training, minimum_rate, 0, 0, options->rate);
    options->beta1 = pri_take_share(build, "training.beta1", training->beta1, options->beta1);
    options->beta2 = pri_take_share(build, "training.beta2", training->beta2, options->beta2);
    options->epsilon = PRI_NUMBER(training, epsilon, options->epsilon, 0, 1);
    options->weight_decay =
        PRI_NUMBER(training, weight_decay, options->weight_decay, 0, PRI_RATE_LIMIT);
    options->clip = PRI_NUMBER(training, clip, options->clip, 0, PRI_RATE_LIMIT);
    options->steps = PRI_INTEGER(training, steps, options->steps, 0, PRI_STEP_LIMIT);
    options->epochs = PRI_NUMBER(training, epochs, options->epochs, 1e-6, 1e6);
    choose_length(build, training, options);
    options->warmup = PRI_INTEGER(training, warmup, options->warmup, 0,
                                  options->steps ? (int64_t)options->steps : PRI_STEP_LIMIT);
    options->accumulation =
        PRI_INTEGER(training, accumulation, options->accumulation, 1, PRI_COUNT_LIMIT);
    options->evaluate_every = PRI_INTEGER(training, evaluate_every, 0, 0, PRI_STEP_LIMIT);
    options->patience = PRI_INTEGER(training, patience, options->patience, 0, PRI_STEP_LIMIT);
    options->checkpoint_every = PRI_INTEGER(training, checkpoint_every, 0, 0, PRI_STEP_LIMIT);
    options->checkpoint_seconds =
        PRI_NUMBER(training, checkpoint_seconds, options->checkpoint_seconds, 0, 1e9);
    options->log_every = PRI_INTEGER(training, log_every, options->log_every, 1, PRI_STEP_LIMIT);
    if (training->keep)
        options->keep = (pare_keep)*training->keep;
    take_averaged(build, training, options);
    pri_recipe_set_seed(build->recipe, PRI_INTEGER(training, seed, options->seed, 0, INT64_MAX));
}

/* With several training seeds, each has its own dense run, and its random masks take its seed. */
static void build_seeds(pri_recipe_builder *build, const pri_sweep_section *sweep)
{
    pare_recipe *recipe = build->recipe;
    recipe->seeds = pri_take_seeds(build, "sweep.seeds", sweep->seeds, sweep->seeds_count);
    recipe->seed_count = sweep->seeds_count;
    recipe->random_seeds =
        pri_take_seeds(build, "sweep.random_seeds", sweep->random_seeds, sweep->random_seeds_count);
    recipe->random_seed_count = sweep->random_seeds_count;
    if (build->status != PARE_OK)
        return;
    if (sweep->seeds_count && sweep->random_seeds_count)
        build->status = pri_recipe_fail(build->document, "sweep.random_seeds",
                                        "with sweep.seeds every random mask takes the seed of its "
                                        "training; leave sweep.random_seeds out");
    else if (sweep->seeds_count && sweep->dense)
        build->status = pri_recipe_fail(build->document, "sweep.dense",
                                        "with sweep.seeds every seed has a dense run of its own; "
                                        "leave sweep.dense or sweep.seeds out");
    else if (sweep->random_percents_count && !sweep->random_seeds_count && !sweep->seeds_count)
        build->status = pri_recipe_fail(build->document, "sweep.random_percents",
                                        "sweep.random_percents needs sweep.random_seeds, as in "
                                        "[1, 2, 3]");
}

/* Only models with several kinds of attention can be asked which to prune; all, unless they are. */
static void build_attention(pri_recipe_builder *build, const pri_sweep_section *sweep)
{
    pare_recipe *recipe = build->recipe;
    bool translation = recipe->task == PARE_TASK_TRANSLATION;
    size_t count = sweep->attention_count ? sweep->attention_count : 1;
    if (build->status != PARE_OK)
        return;
    if (sweep->attention_count && !translation) {
        build->status = pri_recipe_fail(build->document, "sweep.attention",
                                        "sweep.attention is for translation; a %s model has one "
                                        "kind of attention",
                                        pare_task_names[recipe->task]);
        return;
    }
    recipe->attention = pri_recipe_own(build, pri_allocate(count, sizeof *recipe->attention));
    if (!recipe->attention)
        return;
    recipe->attention_count = count;
    recipe->attention[0] =
        translation ? (1U << PARE_ATTENTION_KINDS) - 1 : 1U << PARE_ATTENTION_SELF;
    for (size_t i = 0; i < sweep->attention_count; i++)
        recipe->attention[i] = (unsigned)sweep->attention[i];
}

static void check_coordinates(pri_recipe_builder *build, const pri_sweep_section *sweep)
{
    const pare_recipe *recipe = build->recipe;
    bool text = recipe->task == PARE_TASK_LANGUAGE_MODELLING;
    pare_geometry_kind kind = recipe->prune.geometry;
    if (build->status != PARE_OK)
        return;
    if (kind != PARE_GEOMETRY_CELL && recipe->prune.scope == PARE_SCOPE_ROW)
        build->status = pri_recipe_fail(build->document, "sweep.scope",
                                        "scope row needs geometry cell: a %s mask has no rows",
                                        pare_geometry_names[kind]);
    else if (text && (kind == PARE_GEOMETRY_RELATIVE || recipe->ends_first))
        build->status = pri_recipe_fail(build->document,
                                        recipe->ends_first ? "sweep.ends_first" : "sweep.geometry",
                                        "geometry relative and ends_first are for encoders; "
                                        "language models have geometry cell or distance");
    else if (!text && kind == PARE_GEOMETRY_DISTANCE)
        build->status = pri_recipe_fail(build->document, "sweep.geometry",
                                        "geometry distance is for language models; encoders have "
                                        "geometry cell or relative");
    else if (kind == PARE_GEOMETRY_RELATIVE && sweep->ends_first && !*sweep->ends_first)
        build->status = pri_recipe_fail(build->document, "sweep.ends_first",
                                        "geometry relative always has ends_first");
    else if (kind != PARE_GEOMETRY_CELL && recipe->prune.block > 1)
        build->status =
            pri_recipe_fail(build->document, "sweep.block", "blocks need geometry cell");
}

static void check_ascending(pri_recipe_builder *build, const char *path, const double *percents,
                            size_t count)
{
    for (size_t i = 1; i < count && build->status == PARE_OK; i++)
        if (percents[i] < percents[i - 1])
            build->status =
                pri_recipe_fail(build->document, path,
                                "with sweep.start stepwise %s must ascend, and %g comes "
                                "after %g",
                                path, percents[i], percents[i - 1]);
}

/* How pruned runs come by their weights. */
static void build_start(pri_recipe_builder *build, const pri_sweep_section *sweep)
{
    pare_recipe *recipe = build->recipe;
    if (sweep->start)
        recipe->start = (pare_start)*sweep->start;
    if (recipe->start == PARE_START_STEPWISE) {
        check_ascending(build, "sweep.percents", recipe->percents, recipe->percent_count);
        check_ascending(build, "sweep.random_percents", recipe->random_percents,
                        recipe->random_percent_count);
    }
    recipe->distillation = PRI_NUMBER(sweep, distillation, 0, 0, 1);
    if (build->status != PARE_OK || recipe->distillation == 0)
        return;
    if (recipe->start == PARE_START_ZERO_SHOT)
        build->status = pri_recipe_fail(build->document, "sweep.distillation",
                                        "sweep.distillation is for runs that are trained; with "
                                        "sweep.start zero-shot none is");
    else if (recipe->task == PARE_TASK_LANGUAGE_MODELLING || recipe->task == PARE_TASK_TRANSLATION)
        build->status = pri_recipe_fail(build->document, "sweep.distillation",
                                        "sweep.distillation is for encoders, not for %s",
                                        pare_task_names[recipe->task]);
}

static void build_sweep(pri_recipe_builder *build, const pri_sweep_section *sweep)
{
    pare_recipe *recipe = build->recipe;
    recipe->percents =
        pri_take_percents(build, "sweep.percents", sweep->percents, sweep->percents_count);
    recipe->percent_count = sweep->percents_count;
    recipe->random_percents = pri_take_percents(
        build, "sweep.random_percents", sweep->random_percents, sweep->random_percents_count);
    recipe->random_percent_count = sweep->random_percents_count;
    build_seeds(build, sweep);
    build_attention(build, sweep);
    recipe->effective = sweep->percents_of && *sweep->percents_of;
    build_start(build, sweep);
    if (sweep->geometry)
        recipe->prune.geometry = (pare_geometry_kind)*sweep->geometry;
    if (sweep->average)
        recipe->prune.average = (pare_average_kind)*sweep->average;
    if (sweep->scope)
        recipe->prune.scope = (pare_scope)*sweep->scope;
    if (sweep->empty_row)
        recipe->prune.empty_row = (pare_empty_row)*sweep->empty_row;
    recipe->prune.block = PRI_INTEGER(sweep, block, 0, 0, 128);
    recipe->ends_first = recipe->prune.geometry == PARE_GEOMETRY_RELATIVE ||
                         (sweep->ends_first && *sweep->ends_first);
    recipe->dense = pri_take_path(build, "sweep.dense", sweep->dense);
    check_coordinates(build, sweep);
}

static const char *first_tokenizer_key(const pri_data_section *data)
{
    return data->merges                  ? "data.merges"
           : data->separate_vocabularies ? "data.separate_vocabularies"
           : data->maximum_vocabulary    ? "data.maximum_vocabulary"
           : data->lower_case            ? "data.lower_case"
                                         : NULL;
}

static void check_tokenizer_keys(pri_recipe_builder *build, const pri_recipe_values *values)
{
    const pri_data_section *data = values->data;
    if (build->status != PARE_OK || !data)
        return;
    const char *key = first_tokenizer_key(data);
    if (key && values->model && values->model->checkpoint)
        build->status =
            pri_recipe_fail(build->document, key,
                            "%s says how a tokenizer is made, but that of model.checkpoint is "
                            "taken; leave it out",
                            key);
    else if (data->merges && data->tokenised && !*data->tokenised)
        build->status = pri_recipe_fail(build->document, "data.tokenised",
                                        "data.merges are of tokenised text; leave "
                                        "data.tokenised out, or make it true");
    else if (data->merges && data->lower_case && *data->lower_case)
        build->status = pri_recipe_fail(build->document, "data.lower_case",
                                        "data.merges are of text as it stands; lower the text, "
                                        "or leave data.lower_case out");
}

static pare_status build_recipe(const pri_recipe_document *document, const char *data_directory,
                                pare_recipe *recipe)
{
    static const pri_data_section no_data;
    static const pri_model_section no_model;
    static const pri_training_section no_training;
    static const pri_evaluation_section no_evaluation;
    static const pri_sweep_section no_sweep;
    pri_recipe_builder build = {document, data_directory, recipe, PARE_OK};
    const pri_recipe_values *values = document->values;
    const pri_training_section *training = values->training ? values->training : &no_training;
    recipe->name = pri_take_text(&build, values->name);
    recipe->description = pri_take_text(&build, values->description);
    if (values->task)
        recipe->task = (pare_task_kind)*values->task;
    pri_recipe_build_data(&build, values->data ? values->data : &no_data, training,
                          values->evaluation ? values->evaluation : &no_evaluation);
    pri_recipe_build_model(&build, values->model ? values->model : &no_model);
    check_tokenizer_keys(&build, values);
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
