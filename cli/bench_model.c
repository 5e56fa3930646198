/* pare bench model: whole training steps of a Transformer-XL on random tokens. The shape is that of
 * options, or of a recipe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "bench_shared.h"
#include "command.h"
#include "source.h"

static const cli_command bench_model_command = {
    .name = "bench model",
    .arguments = "[options]",
    .summary = "measure whole training steps of a Transformer-XL",
    .details =
        "Forward, backward, gradient norm and Adam on random tokens, as frequent as words of text\n"
        "are, with a full memory. The step of median time is shown and where its time went. With "
        "a\n"
        "recipe the defaults are its model and batch; its data are read for the vocabulary's size\n"
        "alone, and not when --vocabulary is given.",
    .example = "  pare bench model --layers 4 --heads 4 --size 128 --percent 90\n"
               "  pare bench model --recipe recipes/lm-wikitext2-small.yaml --vocabulary 33278"};

#define VOCABULARY_DEFAULT 33278

typedef struct bench_settings {
    const char *recipe;
    string_list set;
    uint64_t layers, heads, head_size, size, feed_forward, vocabulary;
    uint64_t lanes, length, memory, steps, threads;
    const char *cutoffs;
    double percent, dropout;
    int precision;
    bool json;
} bench_settings;

/* Takes the shape that the recipe gives, for options to override. */
static pare_status open_recipe(bench_settings *settings, pare_recipe *recipe)
{
    if (settings->vocabulary) /* then no data are opened, wherever the recipe says they are */
        setenv("PARE_DATA", ".", 0);
    pare_status status = load_recipe(settings->recipe, &settings->set, recipe);
    if (status != PARE_OK)
        return status;
    const pare_transformer_xl_config *model = &recipe->model.transformer_xl;
    bool usual = model->heads * model->head_size == model->size;
    settings->layers = model->layers;
    settings->heads = model->heads;
    settings->head_size = usual ? 0 : model->head_size;
    settings->size = model->size;
    settings->feed_forward = model->feed_forward;
    settings->memory = model->memory;
    settings->dropout = (double)model->dropout;
    settings->lanes = recipe->data.language_modelling.lanes;
    settings->length = recipe->length;
    settings->precision = (int)recipe->training.precision;
    return PARE_OK;
}

/* Of the recipe's data, or WikiText-2's. */
static pare_status count_words(bench_settings *settings, const pare_recipe *recipe)
{
    settings->vocabulary = VOCABULARY_DEFAULT;
    if (!settings->recipe)
        return PARE_OK;
    pare_task *task;
    pare_status status =
        pare_language_modelling_create(&recipe->data.language_modelling, NULL, &task);
    if (status != PARE_OK)
        return status;
    settings->vocabulary = pare_vocabulary_size(pare_language_modelling_vocabulary(task));
    pare_task_destroy(task);
    return PARE_OK;
}

/* NULL leaves them alone. */
static bool parse_cutoffs(const char *text, pare_transformer_xl_config *config)
{
    if (text)
        config->cluster_count = 0;
    while (text && *text) {
        char *end;
        if (config->cluster_count == PARE_CLUSTERS_MAX || *text < '0' || *text > '9')
            return false;
        config->cutoffs[config->cluster_count++] = strtoull(text, &end, 10);
        if (*end && *end != ',')
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* `config` is the default, or the recipe's. */
static pare_transformer_xl_config config_of(const bench_settings *settings,
                                            pare_transformer_xl_config config)
{
    config.vocabulary = settings->vocabulary;
    config.layers = settings->layers;
    config.heads = settings->heads;
    config.head_size = settings->head_size ? settings->head_size
                       : settings->heads   ? settings->size / settings->heads
                                           : 0;
    config.size = settings->size;
    config.feed_forward = settings->feed_forward;
    config.memory = settings->memory;
    config.dropout = (float)settings->dropout;
    return config;
}

/* Random cells of the model's own geometry: every admissible cell counts as observed once. */
static pare_status create_random_mask(const pare_model *model, const bench_settings *settings,
                                      pare_mask **mask)
{
    pare_geometry geometry =
        pare_model_attention_geometry(model, PARE_ATTENTION_SELF, settings->length);
    pare_average *average;
    pare_status status = pare_average_create(&geometry, &average);
    if (status != PARE_OK)
        return status;
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t row = 0; row < geometry.queries; row++)
        for (size_t column = 0; column <= row + settings->memory; column++)
            observer.counts[row * geometry.keys + column] = 1;
    pare_average_add_examples(average, 1);
    pare_prune_options options = {
        .method = PARE_METHOD_RANDOM, .percent = settings->percent, .seed = 1};
    status = pare_mask_create(average, &options, mask);
    pare_average_destroy(average);
    return status;
}

static pare_status measure(pare_context *context, const pare_transformer_xl_config *config,
                           const bench_settings *settings, pare_step_measurement *measurement,
                           uint64_t *parameters)
{
    pare_model *model = NULL;
    pare_tape *tape = NULL;
    pare_mask *mask = NULL;
    pare_status status = pare_transformer_xl_create(context, config, 1, &model);
    if (status == PARE_OK)
        status = pare_tape_create(context, &tape);
    if (status == PARE_OK && settings->percent > 0.0)
        status = create_random_mask(model, settings, &mask);
    if (status == PARE_OK)
        status = pare_model_set_mask(model, PARE_ATTENTION_SELF, mask);
    pare_step_options options = {.lanes = settings->lanes,
                                 .length = settings->length,
                                 .memory = settings->memory,
                                 .steps = settings->steps,
                                 .precision = (pare_precision)settings->precision};
    if (status == PARE_OK)
        status = pare_measure_step(model, tape, &options, measurement);
    if (status == PARE_OK)
        *parameters = pare_model_parameter_floats(model);
    pare_tape_destroy(tape);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    return status;
}

static void print_table(const bench_settings *settings, const pare_step_measurement *m,
                        uint64_t parameters)
{
    printf("model             L%" PRIu64 " H%" PRIu64 " d%" PRIu64 ", %s parameters, %g%% pruned\n",
           settings->layers, settings->heads, settings->size, format_count(parameters),
           settings->percent);
    if (settings->precision == PARE_PRECISION_BF16)
        printf("precision         bf16 in matrix products\n");
    printf("batch             %" PRIu64 " lanes of %" PRIu64 " tokens, memory %" PRIu64 "\n",
           settings->lanes, settings->length, settings->memory);
    print_step(m);
}

static json_t *as_json(const pare_context *context, const bench_settings *settings,
                       const pare_step_measurement *m, uint64_t parameters)
{
    json_t *object = step_to_json(context, m);
    json_object_set_new(object, "parameters", json_integer((json_int_t)parameters));
    json_object_set_new(object, "percent", json_real(settings->percent));
    return object;
}

static int run(const bench_settings *settings, const pare_transformer_xl_config *config)
{
    pare_context *context;
    pare_status status = open_context(settings->threads, &context);
    if (status != PARE_OK)
        return fail("bench model", status);
    pare_step_measurement measurement;
    uint64_t parameters = 0;
    int exit_code = 0;
    status = measure(context, config, settings, &measurement, &parameters);
    if (status != PARE_OK)
        exit_code = fail("bench model", status);
    else if (settings->json)
        exit_code = print_json(as_json(context, settings, &measurement, parameters));
    else
        print_table(settings, &measurement, parameters);
    pare_context_destroy(context);
    return exit_code;
}

int bench_model(int argument_count, char **argument_values)
{
    bench_settings s = {.layers = 4,
                        .heads = 4,
                        .size = 128,
                        .feed_forward = 512,
                        .lanes = 16,
                        .length = 128,
                        .memory = 128,
                        .steps = 5,
                        .dropout = 0.1};
    const cli_option options[] = {
        {"recipe", "FILE", OPTION_STRING, &s.recipe, "take defaults from this recipe", NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &s.set, "override a key of the recipe", NULL},
        {"layers", "N", OPTION_COUNT, &s.layers, "default: 4", NULL},
        {"heads", "N", OPTION_COUNT, &s.heads, "default: 4", NULL},
        {"head-size", "N", OPTION_COUNT, &s.head_size, "default: size / heads", NULL},
        {"size", "N", OPTION_COUNT, &s.size, "columns of hidden states; default: 128", NULL},
        {"feed-forward", "N", OPTION_COUNT, &s.feed_forward, "default: 512", NULL},
        {"vocabulary", "N", OPTION_COUNT, &s.vocabulary, "default: 33278, or of the recipe's data",
         NULL},
        {"cutoffs", "N,N,...", OPTION_STRING, &s.cutoffs, "adaptive softmax; default: a plain one",
         NULL},
        {"lanes", "N", OPTION_COUNT, &s.lanes, "default: 16", NULL},
        {"length", "N", OPTION_COUNT, &s.length, "tokens of a segment; default: 128", NULL},
        {"memory", "N", OPTION_COUNT, &s.memory, "default: 128", NULL},
        {"dropout", "P", OPTION_NUMBER, &s.dropout, "default: 0.1", NULL},
        {"precision", "WORD", OPTION_CHOICE, &s.precision,
         "of matrix products: fp32 (default), bf16", precision_words},
        {"percent", "P", OPTION_NUMBER, &s.percent, "random mask; default: 0, dense", NULL},
        {"steps", "N", OPTION_COUNT, &s.steps, "measured; default: 5", NULL},
        {"threads", "N", OPTION_COUNT, &s.threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &s.json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&bench_model_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if (s.set.count && !s.recipe)
        return fail_usage("bench model", "--set overrides a key of a recipe, so it needs --recipe");
    pare_recipe recipe = {.model.transformer_xl = pare_transformer_xl_config_default()};
    pare_status status = s.recipe ? open_recipe(&s, &recipe) : PARE_OK;
    if (status == PARE_OK && recipe.task != PARE_TASK_LANGUAGE_MODELLING) {
        pare_recipe_free(&recipe);
        return fail_usage("bench model",
                          "%s is no recipe of a language model; measure its steps "
                          "with pare bench step",
                          s.recipe);
    }
    if (s.recipe) { /* once more, so that what the user typed overrides the recipe */
        s.set.count = 0;
        parse_arguments(&bench_model_command, options, argument_count, argument_values, &parsed,
                        &exit_code);
    }
    if (status == PARE_OK && !s.vocabulary)
        status = count_words(&s, &recipe);
    pare_transformer_xl_config config = config_of(&s, recipe.model.transformer_xl);
    if (status != PARE_OK)
        exit_code = fail("bench model", status);
    else if (!parse_cutoffs(s.cutoffs, &config))
        exit_code =
            fail_usage("bench model", "--cutoffs needs at most %d whole numbers like 4000,16000",
                       PARE_CLUSTERS_MAX - 1);
    else
        exit_code = run(&s, &config);
    pare_recipe_free(&recipe);
    return exit_code;
}
