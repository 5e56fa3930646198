/* The section `data` of a recipe, with what training and evaluation say about batches: every task
 * has options of its own. */
#include "train/recipe_builder.h"

/* The tasks as bits, for keys that only some of them know. */
enum {
    TEXT = 1 << PARE_TASK_LANGUAGE_MODELLING,
    CLASSES = 1 << PARE_TASK_CLASSIFICATION,
    ANSWERS = 1 << PARE_TASK_QUESTION_ANSWERING,
    MASKED = 1 << PARE_TASK_MASKED_LANGUAGE_MODELLING,
    PAIRS = 1 << PARE_TASK_TRANSLATION,
    ENCODERS = CLASSES | ANSWERS | MASKED
};

static void refuse_foreign(pri_recipe_builder *build, const pri_data_section *data,
                           const pri_training_section *training,
                           const pri_evaluation_section *evaluation)
{
    const pri_recipe_key keys[] = {
        {"data.level", data->level, TEXT},
        {"data.minimum_count", data->minimum_count, TEXT},
        {"data.maximum_vocabulary", data->maximum_vocabulary, TEXT | MASKED | PAIRS},
        {"data.lower_case", data->lower_case, MASKED | PAIRS},
        {"data.train.source", data->train_source, PAIRS},
        {"data.train.target", data->train_target, PAIRS},
        {"data.valid.source", data->valid_source, PAIRS},
        {"data.valid.target", data->valid_target, PAIRS},
        {"data.test.source", data->test_source, PAIRS},
        {"data.test.target", data->test_target, PAIRS},
        {"data.tokenised", data->tokenised, PAIRS},
        {"data.merges", data->merges, PAIRS},
        {"data.separate_vocabularies", data->separate_vocabularies, PAIRS},
        {"data.length_ratio", data->length_ratio, PAIRS},
        {"data.masked_share", data->masked_share, MASKED},
        {"data.glue", data->glue, CLASSES},
        {"data.text_column", data->text_column, CLASSES},
        {"data.second_text_column", data->second_text_column, CLASSES},
        {"data.label_column", data->label_column, CLASSES},
        {"data.header", data->header, CLASSES},
        {"data.regression", data->regression, CLASSES},
        {"data.stride", data->stride, ANSWERS},
        {"data.question_length", data->question_length, ANSWERS},
        {"data.answer_length", data->answer_length, ANSWERS},
        {"training.tokens", training->tokens, ENCODERS | PAIRS},
        {"training.label_smoothing", training->label_smoothing, PAIRS},
        {"evaluation.batch", evaluation->batch, TEXT},
        {"evaluation.length", evaluation->length, TEXT},
        {"evaluation.memory", evaluation->memory, TEXT},
        {"evaluation.beam", evaluation->beam, PAIRS},
        {"evaluation.length_penalty", evaluation->length_penalty, PAIRS},
        {"evaluation.length_factor", evaluation->length_factor, PAIRS},
        {"evaluation.length_extra", evaluation->length_extra, PAIRS},
    };
    pri_recipe_refuse_foreign(build, keys, sizeof keys / sizeof *keys, 1U << build->recipe->task,
                              pare_task_names[build->recipe->task]);
}

/* ---- Running text ---- */

/* data.train=my.txt on the command line means another text altogether: the recipe's validation and
 * test files do not belong to it. */
static bool replaces_all_data(const pri_recipe_document *document)
{
    return pri_recipe_overridden(document, "data.train") &&
           !pri_recipe_overridden(document, "data.valid") &&
           !pri_recipe_overridden(document, "data.test");
}

typedef struct text_files {
    const char *train, *valid, *test;
} text_files;

/* Three texts, or one to be split. */
static text_files take_texts(pri_recipe_builder *build, const pri_data_section *data)
{
    bool split = replaces_all_data(build->document);
    const char *valid = split ? NULL : data->valid, *test = split ? NULL : data->test;
    if (build->status == PARE_OK && !valid != !test)
        build->status = pri_recipe_fail(
            build->document, valid ? "data.valid" : "data.test",
            "give both data.valid and data.test, or neither to have data.train split 90 : 5 : 5");
    return (text_files){pri_take_path(build, "data.train", data->train),
                        pri_take_path(build, "data.valid", valid),
                        pri_take_path(build, "data.test", test)};
}

static void build_language_modelling(pri_recipe_builder *build, const pri_data_section *data,
                                     const pri_training_section *training,
                                     const pri_evaluation_section *evaluation)
{
    pare_language_modelling_options *options = &build->recipe->data.language_modelling;
    PRI_REQUIRE(training, batch);
    text_files files = take_texts(build, data);
    options->train = files.train;
    options->valid = files.valid;
    options->test = files.test;
    if (data->level)
        options->vocabulary.level = (pare_text_level)*data->level;
    options->vocabulary.minimum_count = PRI_INTEGER(data, minimum_count, 0, 0, PRI_STEP_LIMIT);
    options->vocabulary.maximum_size = PRI_INTEGER(data, maximum_vocabulary, 0, 3, UINT32_MAX - 1);
    options->lanes = PRI_INTEGER(training, batch, 0, 1, PRI_COUNT_LIMIT);
    options->length = build->recipe->length;
    options->evaluation_lanes = PRI_INTEGER(evaluation, batch, 10, 1, PRI_COUNT_LIMIT);
    options->evaluation_length = PRI_INTEGER(evaluation, length, 0, 1, PRI_COUNT_LIMIT);
    options->evaluation_memory = PRI_INTEGER(evaluation, memory, 0, 0, PRI_COUNT_LIMIT);
    bool bytes = options->vocabulary.level == PARE_TEXT_BYTE;
    if (build->status == PARE_OK && bytes && (data->minimum_count || data->maximum_vocabulary))
        build->status = pri_recipe_fail(
            build->document, data->minimum_count ? "data.minimum_count" : "data.maximum_vocabulary",
            "minimum_count and maximum_vocabulary are for words; level byte always has 256 tokens");
}

/* ---- Encoders ---- */

/* Examples per batch, pieces per batch, or both. */
static void take_batch(pri_recipe_builder *build, const pri_training_section *training,
                       size_t *batch, size_t *tokens)
{
    if (build->status == PARE_OK && !training->batch && !training->tokens)
        build->status = pri_recipe_fail(build->document, "training.batch",
                                        "training.batch (examples) or training.tokens (pieces per "
                                        "batch) is missing; add one under 'training:'");
    *batch = PRI_INTEGER(training, batch, 0, 1, PRI_COUNT_LIMIT);
    *tokens = PRI_INTEGER(training, tokens, 0, 1, PRI_COUNT_LIMIT);
}

static void build_masked_language_modelling(pri_recipe_builder *build, const pri_data_section *data,
                                            const pri_training_section *training)
{
    pare_masked_language_modelling_options *options =
        &build->recipe->data.masked_language_modelling;
    text_files files = take_texts(build, data);
    options->train = files.train;
    options->valid = files.valid;
    options->test = files.test;
    options->length = build->recipe->length;
    options->share = PRI_NUMBER(data, masked_share, .15, .001, .999);
    take_batch(build, training, &options->batch, &options->tokens);
    options->tokenizer.size = PRI_INTEGER(data, maximum_vocabulary, 8000, 10, PRI_COUNT_LIMIT);
    options->tokenizer.lower_case = !data->lower_case || *data->lower_case;
}

static void take_examples(pri_recipe_builder *build, const pri_data_section *data,
                          const char **train, const char **valid, const char **test)
{
    PRI_REQUIRE(data, valid);
    *train = pri_take_path(build, "data.train", data->train);
    *valid = pri_take_path(build, "data.valid", data->valid);
    *test = pri_take_path(build, "data.test", data->test);
}

static void check_columns(pri_recipe_builder *build, const pri_data_section *data)
{
    if (build->status != PARE_OK)
        return;
    const char *own = data->text_column          ? "data.text_column"
                      : data->second_text_column ? "data.second_text_column"
                      : data->label_column       ? "data.label_column"
                      : data->header             ? "data.header"
                      : data->regression         ? "data.regression"
                                                 : NULL;
    if (data->glue && own)
        build->status =
            pri_recipe_fail(build->document, own,
                            "%s is for tables of your own; data.glue already says what is in the "
                            "file",
                            own);
    if (!data->glue && (!data->text_column || !data->label_column))
        build->status = pri_recipe_fail(
            build->document, "data.glue",
            "name a GLUE task (data.glue: cola), or the columns of a table of your own with "
            "data.text_column and data.label_column");
}

static void build_classification(pri_recipe_builder *build, const pri_data_section *data,
                                 const pri_training_section *training)
{
    pare_classification_options *options = &build->recipe->data.classification;
    take_examples(build, data, &options->train, &options->valid, &options->test);
    check_columns(build, data);
    options->task = pri_take_text(build, data->glue);
    options->text_columns[0] = pri_take_text(build, data->text_column);
    options->text_columns[1] = pri_take_text(build, data->second_text_column);
    options->label_column = pri_take_text(build, data->label_column);
    options->header = !data->header || *data->header;
    options->regression = data->regression && *data->regression;
    options->length = build->recipe->length;
    take_batch(build, training, &options->batch, &options->tokens);
}

static void build_question_answering(pri_recipe_builder *build, const pri_data_section *data,
                                     const pri_training_section *training)
{
    pare_question_answering_options *options = &build->recipe->data.question_answering;
    take_examples(build, data, &options->train, &options->valid, &options->test);
    options->length = build->recipe->length;
    options->stride = PRI_INTEGER(data, stride, 128, 1, PRI_COUNT_LIMIT);
    options->question_length = PRI_INTEGER(data, question_length, 64, 1, PRI_COUNT_LIMIT);
    options->answer_length = PRI_INTEGER(data, answer_length, 30, 1, PRI_COUNT_LIMIT);
    take_batch(build, training, &options->batch, &options->tokens);
}

/* ---- Pairs ---- */

/* The keys of one split, and where its files go. */
typedef struct pair_keys {
    const char *table_path, *source_path, *target_path;
    const char *table, *source, *target; /* as given */
    bool required;
    pare_parallel_files *files;
} pair_keys;

static pare_status check_pair_keys(pri_recipe_builder *build, const pair_keys *keys)
{
    if (keys->table && (keys->source || keys->target))
        return pri_recipe_fail(build->document, keys->table_path,
                               "give %s, a table of both languages, or %s and %s", keys->table_path,
                               keys->source_path, keys->target_path);
    if (!keys->table && !keys->source != !keys->target)
        return pri_recipe_fail(
            build->document, keys->source ? keys->source_path : keys->target_path,
            "%s needs %s beside it", keys->source ? keys->source_path : keys->target_path,
            keys->source ? keys->target_path : keys->source_path);
    if (!keys->table && !keys->source && keys->required)
        return pri_recipe_fail(build->document, keys->source_path,
                               "%s and %s are missing; add them under 'data:', or %s for a table "
                               "of both languages",
                               keys->source_path, keys->target_path, keys->table_path);
    return PARE_OK;
}

static void take_pair(pri_recipe_builder *build, const pair_keys *keys)
{
    if (build->status == PARE_OK)
        build->status = check_pair_keys(build, keys);
    bool table = keys->table != NULL;
    keys->files->source = pri_take_path(build, table ? keys->table_path : keys->source_path,
                                        table ? keys->table : keys->source);
    keys->files->target = pri_take_path(build, keys->target_path, keys->target);
}

static void take_pairs(pri_recipe_builder *build, const pri_data_section *data,
                       pare_translation_options *options)
{
    const pair_keys splits[] = {
        {"data.train", "data.train.source", "data.train.target", data->train, data->train_source,
         data->train_target, true, &options->train},
        {"data.valid", "data.valid.source", "data.valid.target", data->valid, data->valid_source,
         data->valid_target, true, &options->valid},
        {"data.test", "data.test.source", "data.test.target", data->test, data->test_source,
         data->test_target, false, &options->test}};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        take_pair(build, &splits[i]);
}

static void take_decoding(pri_recipe_builder *build, const pri_evaluation_section *evaluation,
                          pare_translate_options *decoding)
{
    *decoding = pare_translate_options_default();
    decoding->beam = PRI_INTEGER(evaluation, beam, decoding->beam, 1, PARE_BEAM_MAX);
    decoding->length_penalty =
        PRI_NUMBER(evaluation, length_penalty, decoding->length_penalty, 0, 100);
    decoding->length_factor =
        PRI_NUMBER(evaluation, length_factor, decoding->length_factor, 0, 1000);
    decoding->length_extra =
        PRI_NUMBER(evaluation, length_extra, decoding->length_extra, 0, PRI_COUNT_LIMIT);
}

static void build_translation(pri_recipe_builder *build, const pri_data_section *data,
                              const pri_training_section *training,
                              const pri_evaluation_section *evaluation)
{
    pare_translation_options *options = &build->recipe->data.translation;
    take_pairs(build, data, options);
    options->merges = pri_take_path(build, "data.merges", data->merges);
    options->separate_vocabularies = data->separate_vocabularies && *data->separate_vocabularies;
    options->length = build->recipe->length;
    options->length_ratio = PRI_NUMBER(data, length_ratio, 0, 0, 1000);
    take_batch(build, training, &options->batch, &options->tokens);
    options->smoothing =
        pri_take_share(build, "training.label_smoothing", training->label_smoothing, 0.1);
    take_decoding(build, evaluation, &options->decoding);
    bool tokenised = data->tokenised && *data->tokenised;
    options->tokenizer.form = tokenised ? PARE_BPE_WORDS : PARE_BPE_METASPACE;
    options->tokenizer.size = PRI_INTEGER(data, maximum_vocabulary, 8000, 10, PRI_COUNT_LIMIT);
    options->tokenizer.lower_case = data->lower_case && *data->lower_case;
}

/* The order of examples and the masked pieces follow the seed of training. */
void pri_recipe_set_seed(pare_recipe *recipe, uint64_t seed)
{
    recipe->training.seed = seed;
    recipe->data.classification.seed = seed;
    recipe->data.question_answering.seed = seed;
    recipe->data.masked_language_modelling.seed = seed;
    recipe->data.translation.seed = seed;
}

void pri_recipe_build_data(pri_recipe_builder *build, const pri_data_section *data,
                           const pri_training_section *training,
                           const pri_evaluation_section *evaluation)
{
    pare_recipe *recipe = build->recipe;
    if (recipe->task != PARE_TASK_TRANSLATION)
        PRI_REQUIRE(data, train);
    PRI_REQUIRE(training, length);
    refuse_foreign(build, data, training, evaluation);
    recipe->length = PRI_INTEGER(training, length, 0, 1, PRI_COUNT_LIMIT);
    switch (recipe->task) {
    case PARE_TASK_LANGUAGE_MODELLING:
        build_language_modelling(build, data, training, evaluation);
        break;
    case PARE_TASK_CLASSIFICATION:
        build_classification(build, data, training);
        break;
    case PARE_TASK_QUESTION_ANSWERING:
        build_question_answering(build, data, training);
        break;
    case PARE_TASK_MASKED_LANGUAGE_MODELLING:
        build_masked_language_modelling(build, data, training);
        break;
    case PARE_TASK_TRANSLATION:
        build_translation(build, data, training, evaluation);
        break;
    }
}
