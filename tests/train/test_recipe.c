/* Recipes: what good ones mean, and the sentence for each way of being bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "train/recipe.h"

#define BASE                                                                                       \
    "name: base\n"                                                                                 \
    "data:\n"                                                                                      \
    "  train: train.txt\n"                                                                         \
    "model:\n"                                                                                     \
    "  layers: 2\n"                                                                                \
    "  heads: 4\n"                                                                                 \
    "  size: 32\n"                                                                                 \
    "  feed_forward: 64\n"                                                                         \
    "training:\n"                                                                                  \
    "  batch: 8\n"                                                                                 \
    "  length: 16\n"
#define BASE_LINES 11

static pare_status parse_with(const char *text, const char *const *overrides, size_t count,
                              pare_recipe *recipe)
{
    return pri_recipe_parse(text, strlen(text), "r.yaml", "/data", overrides, count, recipe);
}

static pare_recipe parse_good(const char *text)
{
    pare_recipe recipe;
    if (parse_with(text, NULL, 0, &recipe) != PARE_OK)
        fail_msg("refused: %s", pare_error_message());
    return recipe;
}

static void expect_refusal(const char *text, const char *const *overrides, size_t count,
                           pare_status expected, const char *message)
{
    pare_recipe recipe;
    pare_status status = parse_with(text, overrides, count, &recipe);
    if (status == PARE_OK)
        pare_recipe_free(&recipe);
    assert_int_equal(status, expected);
    assert_string_equal(pare_error_message(), message);
    assert_null(recipe.owner);
}

/* ---- Good recipes ---- */

static void defaults_fill_a_short_recipe(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(BASE);
    assert_string_equal(recipe.name, "base");
    assert_null(recipe.description);
    assert_string_equal(recipe.data.language_modelling.train, "train.txt");
    assert_null(recipe.data.language_modelling.valid);
    assert_int_equal(recipe.data.language_modelling.vocabulary.level, PARE_TEXT_WORD);
    assert_int_equal(recipe.data.language_modelling.lanes, 8);
    assert_int_equal(recipe.data.language_modelling.length, 16);
    assert_int_equal(recipe.data.language_modelling.evaluation_lanes, 10);
    assert_int_equal(recipe.data.language_modelling.evaluation_length, 0);
    assert_int_equal(recipe.model.transformer_xl.vocabulary, 0);
    assert_int_equal(recipe.model.transformer_xl.head_size, 8);
    assert_int_equal(recipe.model.transformer_xl.memory, 16);
    assert_int_equal(recipe.model.transformer_xl.division, 1);
    assert_true(recipe.model.transformer_xl.dropout == .1f);
    pare_training_options options = pare_training_options_default();
    assert_memory_equal(&recipe.training, &options, sizeof options);
    assert_int_equal(recipe.percent_count, 0);
    assert_int_equal(recipe.start, PARE_START_RESTART);
    assert_null(recipe.dense);
    pare_recipe_free(&recipe);
}

static void every_key_arrives(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(
        "name: all\ndescription: \"every key\"\n"
        "data: {train: '${PARE_DATA}/a', valid: 'b/${PARE_DATA}', test: c, level: word,\n"
        "       minimum_count: 3, maximum_vocabulary: 1000}\n"
        "model: {family: transformer-xl, layers: 3, heads: 5, head_size: 7, size: 40,\n"
        "        embedding_size: 20, feed_forward: 50, memory: 9, clamp_length: 11,\n"
        "        same_length: true, pre_norm: yes, untie_biases: true, cutoffs: [100, 500],\n"
        "        division: 2, dropout: 0.25, attention_dropout: 0.125}\n"
        "training: {optimizer: adamw, schedule: inverse-square-root, rate: 0.5,\n"
        "           minimum_rate: 1e-3, beta1: 0.8, beta2: 0.9, epsilon: 1e-6,\n"
        "           weight_decay: 0.01, clip: 2, precision: bf16, warmup: 10, steps: 100, "
        "accumulation: 2,\n"
        "           batch: 6, length: 12, evaluate_every: 20, patience: 4,\n"
        "           checkpoint_every: 30, checkpoint_seconds: 60, log_every: 5, seed: 77}\n"
        "evaluation: {batch: 3, length: 8, memory: 24}\n"
        "sweep: {percents: [20, 87.5], random_percents: [50], random_seeds: [1, 2, 3],\n"
        "        start: zero-shot, geometry: cell, average: mass, scope: row,\n"
        "        empty_row: compat-uniform, dense: '${PARE_DATA}'}\n");
    assert_string_equal(recipe.description, "every key");
    assert_string_equal(recipe.data.language_modelling.train, "/data/a");
    assert_string_equal(recipe.data.language_modelling.valid, "b//data");
    assert_string_equal(recipe.data.language_modelling.test, "c");
    assert_int_equal(recipe.data.language_modelling.vocabulary.minimum_count, 3);
    assert_int_equal(recipe.data.language_modelling.vocabulary.maximum_size, 1000);
    assert_int_equal(recipe.data.language_modelling.lanes, 6);
    assert_int_equal(recipe.data.language_modelling.length, 12);
    assert_int_equal(recipe.data.language_modelling.evaluation_lanes, 3);
    assert_int_equal(recipe.data.language_modelling.evaluation_length, 8);
    assert_int_equal(recipe.data.language_modelling.evaluation_memory, 24);
    const pare_transformer_xl_config *model = &recipe.model.transformer_xl;
    assert_int_equal(model->layers, 3);
    assert_int_equal(model->heads, 5);
    assert_int_equal(model->head_size, 7);
    assert_int_equal(model->size, 40);
    assert_int_equal(model->embedding_size, 20);
    assert_int_equal(model->feed_forward, 50);
    assert_int_equal(model->memory, 9);
    assert_int_equal(model->clamp_length, 11);
    assert_true(model->same_length && model->pre_norm && model->untie_biases);
    assert_int_equal(model->cluster_count, 2);
    assert_int_equal(model->cutoffs[0], 100);
    assert_int_equal(model->cutoffs[1], 500);
    assert_int_equal(model->division, 2);
    assert_true(model->dropout == .25f && model->attention_dropout == .125f);
    const pare_training_options *training = &recipe.training;
    assert_int_equal(training->optimizer, PARE_OPTIMIZER_ADAMW);
    assert_int_equal(training->schedule, PARE_SCHEDULE_INVERSE_SQUARE_ROOT);
    assert_int_equal(training->precision, PARE_PRECISION_BF16);
    assert_true(training->rate == .5 && training->minimum_rate == 1e-3);
    assert_true(training->beta1 == .8 && training->beta2 == .9 && training->epsilon == 1e-6);
    assert_true(training->weight_decay == .01 && training->clip == 2);
    assert_int_equal(training->warmup, 10);
    assert_int_equal(training->steps, 100);
    assert_int_equal(training->accumulation, 2);
    assert_int_equal(training->evaluate_every, 20);
    assert_int_equal(training->patience, 4);
    assert_int_equal(training->checkpoint_every, 30);
    assert_true(training->checkpoint_seconds == 60);
    assert_int_equal(training->log_every, 5);
    assert_int_equal(training->seed, 77);
    assert_int_equal(recipe.percent_count, 2);
    assert_true(recipe.percents[0] == 20 && recipe.percents[1] == 87.5);
    assert_int_equal(recipe.random_percent_count, 1);
    assert_true(recipe.random_percents[0] == 50);
    assert_int_equal(recipe.random_seed_count, 3);
    assert_int_equal(recipe.random_seeds[2], 3);
    assert_int_equal(recipe.start, PARE_START_ZERO_SHOT);
    assert_int_equal(recipe.prune.geometry, PARE_GEOMETRY_CELL);
    assert_int_equal(recipe.prune.average, PARE_AVERAGE_MASS);
    assert_int_equal(recipe.prune.scope, PARE_SCOPE_ROW);
    assert_int_equal(recipe.prune.empty_row, PARE_EMPTY_ROW_UNIFORM);
    assert_string_equal(recipe.dense, "/data");
    pare_recipe_free(&recipe);
}

static void overrides_replace_and_add(void **state)
{
    (void)state;
    const char *const overrides[] = {
        "data.train=it's #1: my file.txt",
        "model.layers=5",
        "model.layers=6",
        "evaluation.batch=2",
        "sweep.percents=[10, 20,30]",
        "sweep.random_percents=90",
        "sweep.random_seeds=4,5",
        "training.rate=1e-3",
        "model.pre_norm=true",
        "name=other",
    };
    pare_recipe recipe;
    assert_int_equal(parse_with(BASE "sweep:\n  percents: [50]\n", overrides,
                                sizeof overrides / sizeof *overrides, &recipe),
                     PARE_OK);
    assert_string_equal(recipe.data.language_modelling.train, "it's #1: my file.txt");
    assert_int_equal(recipe.model.transformer_xl.layers, 6);
    assert_int_equal(recipe.data.language_modelling.evaluation_lanes, 2);
    assert_int_equal(recipe.percent_count, 3);
    assert_true(recipe.percents[2] == 30);
    assert_int_equal(recipe.random_percent_count, 1);
    assert_int_equal(recipe.random_seed_count, 2);
    assert_int_equal(recipe.random_seeds[1], 5);
    assert_true(recipe.training.rate == 1e-3);
    assert_true(recipe.model.transformer_xl.pre_norm);
    assert_string_equal(recipe.name, "other");
    pare_recipe_free(&recipe);
}

static void an_empty_list_overrides_too(void **state)
{
    (void)state;
    const char *const overrides[] = {"sweep.percents=[]"};
    pare_recipe recipe;
    assert_int_equal(parse_with(BASE "sweep:\n  percents: [50, 90]\n", overrides, 1, &recipe),
                     PARE_OK);
    assert_int_equal(recipe.percent_count, 0);
    assert_null(recipe.percents);
    pare_recipe_free(&recipe);
}

static void another_text_brings_its_own_validation(void **state)
{
    (void)state;
    const char text[] = "data: {train: '${PARE_DATA}/a', valid: '${PARE_DATA}/b', test: c}\n"
                        "training: {batch: 1, length: 2}\n"
                        "model: {layers: 1, heads: 1, size: 8, feed_forward: 8}\n";
    const char *const overrides[] = {"data.train=my.txt", "data.valid=v.txt", "data.test=t.txt"};
    pare_recipe recipe;
    assert_int_equal(pri_recipe_parse(text, sizeof text - 1, "r", NULL, overrides, 1, &recipe),
                     PARE_OK);
    assert_string_equal(recipe.data.language_modelling.train, "my.txt");
    assert_null(recipe.data.language_modelling.valid);
    assert_null(recipe.data.language_modelling.test);
    pare_recipe_free(&recipe);
    assert_int_equal(pri_recipe_parse(text, sizeof text - 1, "r", NULL, overrides, 3, &recipe),
                     PARE_OK);
    assert_string_equal(recipe.data.language_modelling.valid, "v.txt");
    assert_string_equal(recipe.data.language_modelling.test, "t.txt");
    pare_recipe_free(&recipe);
}

static void steps_and_epochs_take_each_others_place(void **state)
{
    (void)state;
    const char *const steps[] = {"training.steps=7"}, *const epochs[] = {"training.epochs=3"};
    pare_recipe recipe;
    assert_int_equal(parse_with(BASE "  epochs: 2\n", steps, 1, &recipe), PARE_OK);
    assert_int_equal(recipe.training.steps, 7);
    pare_recipe_free(&recipe);
    assert_int_equal(parse_with(BASE "  steps: 9\n", epochs, 1, &recipe), PARE_OK);
    assert_int_equal(recipe.training.steps, 0);
    assert_true(recipe.training.epochs == 3);
    pare_recipe_free(&recipe);
}

/* ---- Bad recipes ---- */

typedef struct bad_case {
    const char *text, *message;
} bad_case;

static void bad_recipes_are_refused_with_place_and_reason(void **state)
{
    (void)state;
    const bad_case cases[] = {
        {"", "r.yaml: holds no recipe; see recipes/README.md for the keys"},
        {"# only a comment\n", "r.yaml: holds no recipe; see recipes/README.md for the keys"},
        {"[1, 2]\n", "r.yaml:1: a recipe must hold lines of the form 'key: value'"},
        {BASE "  stepz: 4\n",
         "r.yaml:12: unknown key 'training.stepz'; did you mean 'training.steps'?"},
        {"nome: x\n", "r.yaml:1: unknown key 'nome'; did you mean 'name'?"},
        {"colour: red\n",
         "r.yaml:1: unknown key 'colour'; known here: name, description, task, data, "
         "model, training, evaluation, sweep"},
        {BASE "evaluation:\n  lanes: 4\n",
         "r.yaml:13: unknown key 'evaluation.lanes'; known here: batch, length, memory, "
         "beam, length_penalty, length_factor, length_extra"},
        {BASE "  batch: 9\n",
         "r.yaml:12: training.batch is given a second time (first on line 10); remove one"},
        {BASE "model: {layers: 1}\n",
         "r.yaml:12: model is given a second time (first on line 4); remove one"},
        {BASE "  steps: many\n", "r.yaml:12: training.steps must be a whole number, not 'many'"},
        {BASE "  steps: 3x\n", "r.yaml:12: training.steps must be a whole number, not '3x'"},
        {BASE "  steps: 010\n", "r.yaml:12: training.steps must be a whole number, not '010'"},
        {BASE "  steps: 1.5\n", "r.yaml:12: training.steps must be a whole number, not '1.5'"},
        {BASE "  steps: 99999999999999999999\n",
         "r.yaml:12: training.steps must be a whole number, not '99999999999999999999'"},
        {BASE "  steps: -1\n", "r.yaml:12: training.steps must be 0 to 1000000000000, not -1"},
        {BASE "  steps:\n",
         "r.yaml:12: training.steps is empty; it must be a whole number (or leave the key out)"},
        {BASE "  steps: [4]\n", "r.yaml:12: training.steps must be a single value, not a list"},
        {BASE "  rate: fast\n", "r.yaml:12: training.rate must be a number, not 'fast'"},
        {BASE "  rate: nan\n", "r.yaml:12: training.rate must be a number, not 'nan'"},
        {BASE "  rate: 1e999\n", "r.yaml:12: training.rate must be a number, not '1e999'"},
        {BASE "  rate: -1\n", "r.yaml:12: training.rate must be 0 to 1e+06, not -1"},
        {BASE "  beta1: 1\n", "r.yaml:12: training.beta1 must be 0 or more and less than 1, not 1"},
        {BASE "  minimum_rate: 1\n",
         "r.yaml:12: training.minimum_rate must be 0 to 0.00025, not 1"},
        {BASE "  steps: 5\n  warmup: 6\n", "r.yaml:13: training.warmup must be 0 to 5, not 6"},
        {BASE "  steps: 5\n  epochs: 2\n", "r.yaml:13: training.steps and training.epochs exclude "
                                           "each other; leave one out"},
        {BASE "  schedule: cosinus\n", "r.yaml:12: training.schedule must be one of constant, "
                                       "cosine, inverse-square-root, linear, not 'cosinus'"},
        {BASE "  precision: half\n",
         "r.yaml:12: training.precision must be one of fp32, bf16, not 'half'"},
        {BASE "sweep: {percents: [50, 101]}\n",
         "r.yaml:12: sweep.percents must be 0 to 100, not 101"},
        {BASE "sweep: {percents: [50, -0.5]}\n",
         "r.yaml:12: sweep.percents must be 0 to 100, not -0.5"},
        {BASE "sweep: {percents: [50, 90, 50.0]}\n",
         "r.yaml:12: sweep.percents has 50 twice; leave one out"},
        {BASE "sweep: {random_percents: [0.5, 0.5], random_seeds: [1]}\n",
         "r.yaml:12: sweep.random_percents has 0.5 twice; leave one out"},
        {BASE "sweep: {random_percents: [50], random_seeds: [1, 2, 1]}\n",
         "r.yaml:12: sweep.random_seeds has 1 twice; leave one out"},
        {BASE "sweep: {seeds: [7, 7]}\n", "r.yaml:12: sweep.seeds has 7 twice; leave one out"},
        {BASE "sweep: {percents: [50, half]}\n",
         "r.yaml:12: sweep.percents must be a number, not 'half'"},
        {BASE "sweep: {percents: 50}\n", "r.yaml:12: sweep.percents must be a list, as in [1, 2]"},
        {BASE "sweep: {percents: [[50]]}\n",
         "r.yaml:12: sweep.percents must be a single value, not a list"},
        {BASE "sweep: {random_percents: [50]}\n",
         "r.yaml:12: sweep.random_percents needs sweep.random_seeds, as in [1, 2, 3]"},
        {BASE "sweep: {geometry: distance, scope: row}\n",
         "r.yaml:12: scope row needs geometry cell: a distance mask has no rows"},
        {BASE "sweep: off\n", "r.yaml:12: sweep must hold lines of the form 'key: value'"},
        {BASE "sweep:\n", "r.yaml:12: sweep must hold lines of the form 'key: value'"},
        {"name: x\n", "r.yaml: data.train is missing; add 'train:' under 'data:'"},
        {"data: {train: x}\nmodel: {}\ntraining: {batch: 1, length: 2}\n",
         "r.yaml:2: model.layers is missing; add 'layers:' under 'model:'"},
        {"data: {train: x, valid: y}\ntraining: {batch: 1, length: 2}\n",
         "r.yaml:1: give both data.valid and data.test, or neither to have data.train split "
         "90 : 5 : 5"},
        {"data: {train: x, level: byte, minimum_count: 2}\ntraining: {batch: 1, length: 2}\n",
         "r.yaml:1: minimum_count and maximum_vocabulary are for words; level byte always has 256 "
         "tokens"},
        {"data: {train: x}\ntraining: {batch: 0, length: 2}\n",
         "r.yaml:2: training.batch must be 1 to 1000000, not 0"},
        {BASE "data2: &x 1\n", "r.yaml:12: unknown key 'data2'; did you mean 'data'?"},
        {"name: \"a\\0b\"\n", "r.yaml:1: name contains a NUL character"},
        {"? [1]\n: 2\n", "r.yaml:1: a key must be a name"},
        {BASE "---\nname: second\n",
         "r.yaml:13: a second YAML document begins here; a recipe is a single one"},
        {"name: [1\n", "r.yaml:2: not valid YAML: did not find expected ',' or ']'"},
        {"name:\tx\n\ty: 1\n",
         "r.yaml:2: not valid YAML: found a tab character that violates indentation"},
        {"\x01\x02\x03", "r.yaml: not a text file in UTF-8 (control characters are not allowed at "
                         "byte 0)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(cases[i].text, NULL, 0, PARE_ERROR_FORMAT, cases[i].message);
}

#define MODEL(keys)                                                                                \
    "data: {train: x}\ntraining: {batch: 1, length: 2}\nmodel: {layers: 1, feed_forward: 8, " keys \
    "}\n"

static void bad_models_are_refused(void **state)
{
    (void)state;
    const bad_case cases[] = {
        {MODEL("size: 30, heads: 4"), "r.yaml:3: model.size 30 is no multiple of model.heads 4; "
                                      "change one, or give head_size"},
        {MODEL("size: 2, heads: 2, head_size: 300"),
         "r.yaml:3: model.head_size must be 1 to 256, not 300"},
        {MODEL("size: 9, heads: 3"), "r.yaml:3: model.size must be even (half of a position's "
                                     "features are sines, half cosines), not 9"},
        {MODEL("size: 8, heads: 2, division: 0"),
         "r.yaml:3: model.division must be 1 to 1000, not 0"},
        {MODEL("size: 1024, heads: 2"),
         "r.yaml:3: 1024 features over 2 heads give head size 512; it must be 1 to 256"},
        {MODEL("size: 8, heads: 2, cutoffs: [5, 5]"),
         "r.yaml:3: cutoffs must be positive and rise, as in [2000, 10000]; 5 does not fit"},
        {MODEL("size: 8, heads: 2, cutoffs: [0]"),
         "r.yaml:3: cutoffs must be positive and rise, as in [2000, 10000]; 0 does not fit"},
        {MODEL("size: 8, heads: 2, cutoffs: [1, 2, 3, 4, 5, 6, 7, 8]"),
         "r.yaml:3: at most 7 cutoffs, not 8"},
        {MODEL("size: 8, heads: 2, cutoffs: [5, 9], division: 4"),
         "r.yaml:3: model.division 4 leaves no feature for the last of 3 clusters; use fewer "
         "cutoffs or a smaller division"},
        {MODEL("size: 8, heads: 2, dropout: 1"),
         "r.yaml:3: model.dropout must be 0 or more and less than 1, not 1"},
        {MODEL("size: 8, heads: 2, memory: 0, same_length: true"),
         "r.yaml:3: same_length lets every row see model.memory keys, which is 0; set "
         "model.memory"},
        {MODEL("size: 8, heads: 2, pre_norm: flase"),
         "r.yaml:3: model.pre_norm must be true or false, not 'flase'"},
        {MODEL("size: 8, heads: 2, family: bert"),
         "r.yaml:3: model.family bert does not fit task language-modelling"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(cases[i].text, NULL, 0, PARE_ERROR_FORMAT, cases[i].message);
}

static void bad_overrides_are_refused_by_name(void **state)
{
    (void)state;
    const bad_case cases[] = {
        {"model.layers", "override 'model.layers': must have the form section.key=value"},
        {"model.layer=3",
         "override 'model.layer=3': unknown key 'model.layer'; did you mean 'model.layers'?"},
        {"modle.layers=3", "override 'modle.layers=3': unknown section 'modle'"},
        {"name.first=3", "override 'name.first=3': unknown section 'name'"},
        {"model=3",
         "override 'model=3': 'model' is a section; set one of its keys, as in model.family=..."},
        {"model.layers=three",
         "override 'model.layers=three': model.layers must be a whole number, not 'three'"},
        {"model.layers=", "override 'model.layers=': model.layers is empty; it must be a whole "
                          "number (or leave the key out)"},
        {"model.layers=0", "override 'model.layers=0': model.layers must be 1 to 1000, not 0"},
        {"sweep.percents=[50, 200]",
         "override 'sweep.percents=[50, 200]': sweep.percents must be 0 to 100, not 200"},
        {"sweep.percents=[50], start: continue",
         "override 'sweep.percents=[50], start: continue': sweep.percents must be a number, not "
         "'[50]'"},
        {"name=a\nb", "override 'name=a?b': contains a control character"},
        {"=", "override '=': unknown key ''; known here: name, description, task, data, model, "
              "training, evaluation, sweep"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(BASE, &cases[i].text, 1, PARE_ERROR_ARGUMENT, cases[i].message);
}

static void pruned_runs_start_and_learn_in_ways_that_make_sense(void **state)
{
    (void)state;
    expect_refusal(BASE "sweep: {start: stepwise, percents: [20, 50, 40]}\n", NULL, 0,
                   PARE_ERROR_FORMAT,
                   "r.yaml:12: with sweep.start stepwise sweep.percents must ascend, and 40 comes "
                   "after 50");
    expect_refusal(BASE "sweep: {start: stepwise, random_percents: [50, 40], random_seeds: [1]}\n",
                   NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: with sweep.start stepwise sweep.random_percents must ascend, and 40 "
                   "comes after 50");
    expect_refusal(BASE "sweep: {distillation: 0.5}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: sweep.distillation is for encoders, not for language-modelling");
    expect_refusal(BASE "sweep: {distillation: 1.5}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: sweep.distillation must be 0 to 1, not 1.5");
    expect_refusal(BASE "sweep: {distillation: 0.5, start: zero-shot}\n", NULL, 0,
                   PARE_ERROR_FORMAT,
                   "r.yaml:12: sweep.distillation is for runs that are trained; with sweep.start "
                   "zero-shot none is");
}

static void aliases_are_refused(void **state)
{
    (void)state;
    pare_recipe recipe;
    assert_int_equal(parse_with(BASE "  steps: &n 3\n  warmup: *n\n", NULL, 0, &recipe),
                     PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "r.yaml:13: "));
    assert_non_null(strstr(pare_error_message(), "alias"));
}

static void a_missing_data_directory_is_named(void **state)
{
    (void)state;
    const char text[] = "data: {train: '${PARE_DATA}/x'}\ntraining: {batch: 1, length: 2}\n";
    pare_recipe recipe;
    assert_int_equal(pri_recipe_parse(text, sizeof text - 1, "r.yaml", NULL, NULL, 0, &recipe),
                     PARE_ERROR_FORMAT);
    assert_string_equal(pare_error_message(),
                        "r.yaml:1: data.train uses ${PARE_DATA}; set that variable to the "
                        "directory of the data sets, or name your own file with data.train=FILE");
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    pare_recipe recipe;
    assert_int_equal(pare_recipe_load("no/such/recipe.yaml", NULL, NULL, 0, &recipe),
                     PARE_ERROR_FILE);
    assert_string_equal(pare_error_message(),
                        "no/such/recipe.yaml: cannot open: No such file or directory");
}

static void the_recipes_of_the_distribution_load(void **state)
{
    (void)state;
    const char *const names[] = {"demo",
                                 "lm-wikitext2-tiny",
                                 "lm-wikitext2-small",
                                 "lm-wikitext103-paper",
                                 "mlm-wikitext103-paper",
                                 "multi30k-en-de-small",
                                 "multi30k-de-en-small",
                                 "multi30k-en-de-kinds-small",
                                 "iwslt14-de-en-sample-small",
                                 "iwslt14-de-en-paper",
                                 "wmt17-en-de-paper",
                                 "translation-tiny"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/../recipes/%s.yaml", PARE_TEST_DIRECTORY, names[i]);
        pare_recipe recipe;
        if (pare_recipe_load(path, "/data", NULL, 0, &recipe) != PARE_OK)
            fail_msg("%s", pare_error_message());
        assert_string_equal(recipe.name, names[i]);
        assert_true(recipe.percent_count > 0);
        pare_recipe_free(&recipe);
    }
}

/* ---- Encoders ---- */

#define CLASSES                                                                                    \
    "task: classification\n"                                                                       \
    "data: {glue: cola, train: t.tsv, valid: v.tsv}\n"                                             \
    "model: {checkpoint: base}\n"                                                                  \
    "training: {batch: 32, length: 128, seed: 5}\n"

static void a_classification_recipe(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(CLASSES);
    const pare_classification_options *data = &recipe.data.classification;
    assert_int_equal(recipe.task, PARE_TASK_CLASSIFICATION);
    assert_int_equal(recipe.length, 128);
    assert_string_equal(recipe.model.checkpoint, "base");
    assert_string_equal(data->task, "cola");
    assert_string_equal(data->train, "t.tsv");
    assert_string_equal(data->valid, "v.tsv");
    assert_null(data->test);
    assert_int_equal(data->batch, 32);
    assert_int_equal(data->tokens, 0);
    assert_int_equal(data->length, 128);
    assert_int_equal(data->seed, 5);
    assert_int_equal(recipe.training.keep, PARE_KEEP_BEST);
    pare_recipe_free(&recipe);
}

static void a_table_of_ones_own(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(
        "task: classification\n"
        "data: {train: t.tsv, valid: v.tsv, test: w.tsv, text_column: '3', header: false,\n"
        "       second_text_column: '4', label_column: '1', regression: true}\n"
        "model: {checkpoint: '${PARE_DATA}/m', family: bert}\n"
        "training: {tokens: 4096, length: 64, keep: last}\n"
        "sweep: {geometry: relative, percents: [90], random_percents: [90], seeds: [3, 4]}\n");
    const pare_classification_options *data = &recipe.data.classification;
    assert_null(data->task);
    assert_string_equal(data->text_columns[0], "3");
    assert_string_equal(data->text_columns[1], "4");
    assert_string_equal(data->label_column, "1");
    assert_string_equal(data->test, "w.tsv");
    assert_true(data->regression && !data->header);
    assert_int_equal(data->tokens, 4096);
    assert_string_equal(recipe.model.checkpoint, "/data/m");
    assert_int_equal(recipe.training.keep, PARE_KEEP_LAST);
    assert_true(recipe.ends_first);
    assert_int_equal(recipe.seed_count, 2);
    assert_int_equal(recipe.seeds[1], 4);
    pri_recipe_set_seed(&recipe, 9);
    assert_int_equal(recipe.training.seed, 9);
    assert_int_equal(data->seed, 9);
    pare_recipe_free(&recipe);
}

static void a_question_answering_recipe(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good("task: question-answering\n"
                                    "data: {train: t.json, valid: v.json, answer_length: 20}\n"
                                    "model: {checkpoint: base}\n"
                                    "training: {batch: 12, length: 384}\n"
                                    "sweep: {block: 32, ends_first: false}\n");
    const pare_question_answering_options *data = &recipe.data.question_answering;
    assert_int_equal(data->length, 384);
    assert_int_equal(data->stride, 128);
    assert_int_equal(data->question_length, 64);
    assert_int_equal(data->answer_length, 20);
    assert_int_equal(recipe.prune.block, 32);
    assert_false(recipe.ends_first);
    pare_recipe_free(&recipe);
}

static void an_encoder_from_scratch(void **state)
{
    (void)state;
    pare_recipe recipe =
        parse_good("task: masked-language-modelling\n"
                   "data: {train: t.txt, masked_share: 0.2, maximum_vocabulary: 500,\n"
                   "       lower_case: false}\n"
                   "model: {layers: 2, heads: 4, size: 64, feed_forward: 128, dropout: 0}\n"
                   "training: {tokens: 2048, length: 64}\n");
    const pare_masked_language_modelling_options *data = &recipe.data.masked_language_modelling;
    assert_null(data->valid);
    assert_true(data->share == .2);
    assert_int_equal(data->length, 64);
    assert_int_equal(data->tokenizer.size, 500);
    assert_false(data->tokenizer.lower_case);
    assert_int_equal(recipe.model.bert.layers, 2);
    assert_int_equal(recipe.model.bert.positions, 64);
    assert_int_equal(recipe.model.bert.head, PARE_HEAD_MASKED_WORDS);
    assert_true(recipe.model.bert.dropout == 0);
    pare_recipe_free(&recipe);
}

static void encoders_refuse_what_is_not_theirs(void **state)
{
    (void)state;
    static const struct {
        const char *override, *message;
    } cases[] = {
        {"data.level=byte", "override 'data.level=byte': data.level has no meaning for "
                            "classification; remove it"},
        {"model.layers=2", "override 'model.layers=2': model.layers has no meaning for a model "
                           "that comes from model.checkpoint; remove it"},
        {"evaluation.length=2", "override 'evaluation.length=2': evaluation.length has no meaning "
                                "for classification; remove it"},
        {"model.family=transformer-xl",
         "override 'model.family=transformer-xl': model.family transformer-xl does not fit task "
         "classification"},
        {"data.text_column=2", "override 'data.text_column=2': data.text_column is for tables of "
                               "your own; data.glue already says what is in the file"},
        {"sweep.geometry=distance",
         "override 'sweep.geometry=distance': geometry distance is for language models; encoders "
         "have geometry cell or relative"},
        {"training.seed=-1",
         "override 'training.seed=-1': training.seed must be 0 to 9223372036854775807, not -1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(CLASSES, &cases[i].override, 1, PARE_ERROR_ARGUMENT, cases[i].message);
}

static void encoders_say_what_is_missing(void **state)
{
    (void)state;
    expect_refusal("task: classification\ndata: {glue: rte, train: t, valid: v}\n"
                   "training: {batch: 1, length: 8}\n",
                   NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml: model.checkpoint is missing; name the directory of a BERT encoder "
                   "(tools/fetch-minilm.sh brings one), or train one with task "
                   "masked-language-modelling");
    expect_refusal("task: classification\ndata: {train: t, valid: v}\n"
                   "model: {checkpoint: m}\ntraining: {batch: 1, length: 8}\n",
                   NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:2: name a GLUE task (data.glue: cola), or the columns of a table of "
                   "your own with data.text_column and data.label_column");
    expect_refusal("task: question-answering\ndata: {train: t, valid: v}\n"
                   "model: {checkpoint: m}\ntraining: {length: 8}\n",
                   NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:4: training.batch (examples) or training.tokens (pieces per batch) is "
                   "missing; add one under 'training:'");
    expect_refusal("task: masked-language-modelling\ndata: {train: t}\n"
                   "model: {layers: 1, heads: 2, size: 8, feed_forward: 8, positions: 4}\n"
                   "training: {length: 8, batch: 2}\n",
                   NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:3: model.positions 4 is less than training.length 8");
    expect_refusal(CLASSES "sweep: {seeds: [1], random_seeds: [2]}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:5: with sweep.seeds every random mask takes the seed of its training; "
                   "leave sweep.random_seeds out");
    expect_refusal(CLASSES "sweep: {geometry: relative, scope: row}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:5: scope row needs geometry cell: a relative mask has no rows");
    expect_refusal(CLASSES "sweep: {geometry: relative, block: 16}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:5: blocks need geometry cell");
    expect_refusal(BASE "sweep: {ends_first: true}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: geometry relative and ends_first are for encoders; language models "
                   "have geometry cell or distance");
}

/* ---- Translation ---- */

#define PAIRS                                                                                      \
    "task: translation\n"                                                                          \
    "data: {train.source: a.so, train.target: a.ta, valid.source: b.so, valid.target: b.ta}\n"     \
    "model: {layers: 2, heads: 4, size: 32, feed_forward: 64}\n"                                   \
    "training: {tokens: 4096, length: 64, seed: 5}\n"

static void a_short_translation_recipe(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(PAIRS);
    const pare_translation_options *data = &recipe.data.translation;
    const pare_marian_config *model = &recipe.model.marian;
    const pare_translate_options decoding = pare_translate_options_default();
    assert_int_equal(recipe.task, PARE_TASK_TRANSLATION);
    assert_string_equal(data->train.source, "a.so");
    assert_string_equal(data->train.target, "a.ta");
    assert_string_equal(data->valid.source, "b.so");
    assert_string_equal(data->valid.target, "b.ta");
    assert_null(data->test.source);
    assert_null(data->test.target);
    assert_null(data->merges);
    assert_int_equal(data->tokenizer.form, PARE_BPE_METASPACE);
    assert_int_equal(data->tokenizer.size, 8000);
    assert_false(data->tokenizer.lower_case);
    assert_false(data->separate_vocabularies);
    assert_true(data->length_ratio == 0 && data->smoothing == 0.1);
    assert_int_equal(data->length, 64);
    assert_int_equal(data->tokens, 4096);
    assert_int_equal(data->batch, 0);
    assert_int_equal(data->seed, 5);
    assert_memory_equal(&data->decoding, &decoding, sizeof decoding);
    assert_int_equal(model->encoder_layers, 2);
    assert_int_equal(model->decoder_layers, 2);
    assert_int_equal(model->decoder_feed_forward, 64);
    assert_int_equal(model->positions, 128);
    assert_int_equal(model->sharing, PARE_SHARE_ALL);
    assert_int_equal(model->sinusoids, PARE_SINUSOIDS_MARIAN);
    assert_int_equal(model->activation, PARE_ACTIVATION_RELU);
    assert_false(model->pre_norm);
    /* All kinds are pruned together, unless the recipe says otherwise. */
    assert_int_equal(recipe.attention_count, 1);
    assert_int_equal(recipe.attention[0], 7);
    pare_recipe_free(&recipe);
}

static void every_key_of_translation_arrives(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good(
        "task: translation\n"
        "data: {train.source: '${PARE_DATA}/a', train.target: 'b${PARE_DATA}', valid: c.tsv,\n"
        "       test.source: d, test.target: e, tokenised: true, merges: '${PARE_DATA}/codes',\n"
        "       separate_vocabularies: true, length_ratio: 1.5, maximum_vocabulary: 700,\n"
        "       lower_case: false}\n"
        "model: {family: marian, layers: 3, decoder_layers: 1, heads: 2, size: 16,\n"
        "        feed_forward: 24, positions: 77, share: target, sinusoids: fairseq,\n"
        "        activation: gelu, pre_norm: true, dropout: 0.25, attention_dropout: 0.125,\n"
        "        inner_dropout: 0.5}\n"
        "training: {batch: 16, length: 60, label_smoothing: 0.2}\n"
        "evaluation: {beam: 4, length_penalty: 0.6, length_factor: 1.5, length_extra: 7}\n"
        "sweep: {attention: [encoder, decoder, cross, selves, all], percents: [50],\n"
        "        geometry: relative}\n");
    const pare_translation_options *data = &recipe.data.translation;
    const pare_marian_config *model = &recipe.model.marian;
    assert_string_equal(data->train.source, "/data/a");
    assert_string_equal(data->train.target, "b/data");
    assert_string_equal(data->valid.source, "c.tsv");
    assert_null(data->valid.target);
    assert_string_equal(data->test.source, "d");
    assert_string_equal(data->test.target, "e");
    assert_string_equal(data->merges, "/data/codes");
    assert_int_equal(data->tokenizer.form, PARE_BPE_WORDS);
    assert_int_equal(data->tokenizer.size, 700);
    assert_true(!data->tokenizer.lower_case && data->separate_vocabularies);
    assert_true(data->length_ratio == 1.5 && data->smoothing == 0.2);
    assert_int_equal(data->batch, 16);
    assert_int_equal(data->decoding.beam, 4);
    assert_true(data->decoding.length_penalty == 0.6 && data->decoding.length_factor == 1.5 &&
                data->decoding.length_extra == 7);
    assert_int_equal(model->encoder_layers, 3);
    assert_int_equal(model->decoder_layers, 1);
    assert_int_equal(model->positions, 77);
    assert_int_equal(model->sharing, PARE_SHARE_TARGET);
    assert_int_equal(model->sinusoids, PARE_SINUSOIDS_FAIRSEQ);
    assert_int_equal(model->activation, PARE_ACTIVATION_GELU);
    assert_true(model->pre_norm && model->dropout == .25f && model->attention_dropout == .125f &&
                model->inner_dropout == .5f);
    const unsigned kinds[] = {1, 2, 4, 3, 7};
    assert_int_equal(recipe.attention_count, 5);
    assert_memory_equal(recipe.attention, kinds, sizeof kinds);
    assert_true(recipe.ends_first);
    pri_recipe_set_seed(&recipe, 9);
    assert_int_equal(data->seed, 9);
    pare_recipe_free(&recipe);
}

static void a_translation_checkpoint(void **state)
{
    (void)state;
    pare_recipe recipe = parse_good("task: translation\n"
                                    "data: {train: a.tsv, valid: b.tsv}\n"
                                    "model: {checkpoint: base, inner_dropout: 0.5}\n"
                                    "training: {batch: 16, length: 60}\n");
    assert_string_equal(recipe.model.checkpoint, "base");
    assert_true(recipe.model.marian.dropout < 0 && recipe.model.marian.attention_dropout < 0);
    assert_true(recipe.model.marian.inner_dropout == .5f);
    pare_recipe_free(&recipe);
}

static void keys_of_a_tokenizer_that_is_not_made_are_refused(void **state)
{
    (void)state;
    const char *const pairs = "task: translation\n"
                              "data: {train: a.tsv, valid: b.tsv}\n"
                              "model: {checkpoint: base}\n"
                              "training: {batch: 16, length: 60}\n";
    const char *const keys[] = {"data.merges=codes", "data.separate_vocabularies=true",
                                "data.maximum_vocabulary=500", "data.lower_case=true"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char message[256];
        snprintf(
            message, sizeof message,
            "override '%s': %.*s says how a tokenizer is made, but that of model.checkpoint is "
            "taken; leave it out",
            keys[i], (int)strcspn(keys[i], "="), keys[i]);
        expect_refusal(pairs, &keys[i], 1, PARE_ERROR_ARGUMENT, message);
    }
    pare_recipe recipe = parse_good("task: translation\n"
                                    "data: {train: a.tsv, valid: b.tsv, lower_case: true}\n"
                                    "model: {layers: 1, heads: 2, size: 16, feed_forward: 16}\n"
                                    "training: {batch: 16, length: 60}\n");
    assert_true(recipe.data.translation.tokenizer.lower_case);
    pare_recipe_free(&recipe);
    const char *const with_merges = "task: translation\n"
                                    "data: {train: a.tsv, valid: b.tsv, merges: codes}\n"
                                    "model: {layers: 1, heads: 2, size: 16, feed_forward: 16}\n"
                                    "training: {batch: 16, length: 60}\n";
    const char *const lowered = "data.lower_case=true", *const raw = "data.tokenised=false";
    expect_refusal(with_merges, &lowered, 1, PARE_ERROR_ARGUMENT,
                   "override 'data.lower_case=true': data.merges are of text as it stands; lower "
                   "the text, or leave data.lower_case out");
    expect_refusal(with_merges, &raw, 1, PARE_ERROR_ARGUMENT,
                   "override 'data.tokenised=false': data.merges are of tokenised text; leave "
                   "data.tokenised out, or make it true");
}

static void translation_says_what_is_missing_or_too_much(void **state)
{
    (void)state;
#define REST                                                                                       \
    "model: {layers: 2, heads: 4, size: 32, feed_forward: 64}\n"                                   \
    "training: {tokens: 4096, length: 64}\n"
    const bad_case cases[] = {
        {"task: translation\n" REST,
         "r.yaml: data.train.source and data.train.target are missing; add them under 'data:', or "
         "data.train for a table of both languages"},
        {"task: translation\ndata: {train: a}\n" REST,
         "r.yaml:2: data.valid.source and data.valid.target are missing; add them under 'data:', "
         "or data.valid for a table of both languages"},
        {"task: translation\ndata: {train: a, valid.source: b}\n" REST,
         "r.yaml:2: data.valid.source needs data.valid.target beside it"},
        {"task: translation\ndata: {train: a, valid: b, test.target: c}\n" REST,
         "r.yaml:2: data.test.target needs data.test.source beside it"},
        {"task: translation\ndata: {train: a, train.source: x, train.target: y, valid: b}\n" REST,
         "r.yaml:2: give data.train, a table of both languages, or data.train.source and "
         "data.train.target"},
        {"task: translation\n"
         "data: {train.source: a, train.target: b, valid: c, separate_vocabularies: true}\n" REST,
         "r.yaml:2: separate vocabularies cannot share one embedding; set model.share to target "
         "or none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(cases[i].text, NULL, 0, PARE_ERROR_FORMAT, cases[i].message);
#undef REST
}

static void translation_refuses_what_is_not_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *override, *message;
    } cases[] = {
        {"data.level=byte", "override 'data.level=byte': data.level has no meaning for "
                            "translation; remove it"},
        {"model.memory=2",
         "override 'model.memory=2': model.memory has no meaning for a translation model; remove "
         "it"},
        {"model.family=bert",
         "override 'model.family=bert': model.family bert does not fit task translation"},
        {"evaluation.memory=2", "override 'evaluation.memory=2': evaluation.memory has no meaning "
                                "for translation; remove it"},
        {"evaluation.beam=0", "override 'evaluation.beam=0': evaluation.beam must be 1 to 1000, "
                              "not 0"},
        {"training.label_smoothing=1",
         "override 'training.label_smoothing=1': training.label_smoothing must be 0 or more and "
         "less than 1, not 1"},
        {"model.share=some",
         "override 'model.share=some': model.share must be one of all, target, none, not 'some'"},
        {"model.heads=7",
         "override 'model.heads=7': model.size 32 is no multiple of model.heads 7"},
        {"model.positions=8",
         "override 'model.positions=8': model.positions 8 is less than training.length 64"},
        {"sweep.attention=[self]",
         "override 'sweep.attention=[self]': sweep.attention must be one of encoder, decoder, "
         "cross, selves, all, not 'self'"},
        {"sweep.geometry=distance",
         "override 'sweep.geometry=distance': geometry distance is for language models; encoders "
         "have geometry cell or relative"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refusal(PAIRS, &cases[i].override, 1, PARE_ERROR_ARGUMENT, cases[i].message);
    expect_refusal(BASE "evaluation: {beam: 2}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: evaluation.beam has no meaning for language-modelling; remove it");
    expect_refusal(BASE "sweep: {attention: [cross]}\n", NULL, 0, PARE_ERROR_FORMAT,
                   "r.yaml:12: sweep.attention is for translation; a language-modelling model has "
                   "one kind of attention");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_a_short_recipe),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(overrides_replace_and_add),
        cmocka_unit_test(an_empty_list_overrides_too),
        cmocka_unit_test(another_text_brings_its_own_validation),
        cmocka_unit_test(steps_and_epochs_take_each_others_place),
        cmocka_unit_test(bad_recipes_are_refused_with_place_and_reason),
        cmocka_unit_test(bad_models_are_refused),
        cmocka_unit_test(bad_overrides_are_refused_by_name),
        cmocka_unit_test(pruned_runs_start_and_learn_in_ways_that_make_sense),
        cmocka_unit_test(aliases_are_refused),
        cmocka_unit_test(a_missing_data_directory_is_named),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(the_recipes_of_the_distribution_load),
        cmocka_unit_test(a_classification_recipe),
        cmocka_unit_test(a_table_of_ones_own),
        cmocka_unit_test(a_question_answering_recipe),
        cmocka_unit_test(an_encoder_from_scratch),
        cmocka_unit_test(encoders_refuse_what_is_not_theirs),
        cmocka_unit_test(encoders_say_what_is_missing),
        cmocka_unit_test(a_short_translation_recipe),
        cmocka_unit_test(every_key_of_translation_arrives),
        cmocka_unit_test(a_translation_checkpoint),
        cmocka_unit_test(keys_of_a_tokenizer_that_is_not_made_are_refused),
        cmocka_unit_test(translation_says_what_is_missing_or_too_much),
        cmocka_unit_test(translation_refuses_what_is_not_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
