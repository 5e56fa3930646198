/* Language modelling as a task: what it is made of. Batches of training are in training_batch.c,
 * measuring in evaluation.c. */
#include "tasks/language_modelling/language_modelling.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"

size_t pri_training_memory(const pare_model *model, size_t length)
{
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, length);
    return geometry.keys - geometry.queries;
}

pare_status pri_check_vocabulary(const pare_model *model, const pare_vocabulary *vocabulary)
{
    size_t of_model = pare_language_model_vocabulary(model);
    if (!of_model)
        return pri_fail(PARE_ERROR_ARGUMENT, "a model of family %s is no language model",
                        pare_model_family(model));
    if (of_model == pare_vocabulary_size(vocabulary))
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the model knows %zu tokens and the vocabulary has %zu; use the vocabulary "
                    "the model was trained with",
                    of_model, pare_vocabulary_size(vocabulary));
}

static void destroy(pare_task *task)
{
    pri_language_modelling *modelling = pri_language_modelling_of(task);
    pri_training_rewind(task);
    pri_corpus_free(&modelling->corpus);
    pri_free(modelling->inputs);
    pri_free(modelling->targets);
    pri_free(modelling);
}

static const char *metric(const pare_task *task)
{
    const pri_language_modelling *modelling = (const pri_language_modelling *)task;
    bool bytes = pare_vocabulary_level(modelling->corpus.vocabulary) == PARE_TEXT_BYTE;
    return bytes ? "bits per byte" : "perplexity";
}

static uint64_t examples(const pare_task *task, pare_split split)
{
    return ((const pri_language_modelling *)task)->corpus.splits[split].count;
}

static uint64_t hash(const pare_task *task, pare_split split)
{
    return ((const pri_language_modelling *)task)->corpus.splits[split].hash;
}

static size_t length(const pare_task *task)
{
    return ((const pri_language_modelling *)task)->length;
}

static pare_status save_files(const pare_task *task, const char *directory)
{
    char *path = pri_path_join(directory, "vocab.json");
    pare_status status = path ? pare_vocabulary_save(pare_language_modelling_vocabulary(task), path)
                              : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static const pri_task_functions functions = {
    .destroy = destroy,
    .metric = metric,
    .higher_is_better = false,
    .examples = examples,
    .hash = hash,
    .length = length,
    .save_files = save_files,
    .batches_per_epoch = pri_training_batches,
    .training_tokens = pri_training_tokens,
    .training_loss = pri_training_loss,
    .rewind = pri_training_rewind,
    .save_state = pri_training_save,
    .load_state = pri_training_load,
    .evaluate = pri_language_modelling_evaluate,
    .observe = pri_language_modelling_observe,
};

static pare_status fill_task(pri_language_modelling *modelling,
                             const pare_language_modelling_options *options,
                             const pare_vocabulary *vocabulary)
{
    PRI_TRY(pri_corpus_read(&modelling->corpus, options, vocabulary));
    size_t count = modelling->corpus.splits[PARE_SPLIT_TRAIN].count;
    modelling->lane_length = count / modelling->lanes;
    if (modelling->lane_length < 2)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%s: %zu training tokens are too few for %zu lanes; use fewer lanes or "
                        "more text",
                        options->train, count, modelling->lanes);
    size_t batch = (size_t)pri_training_tokens(&modelling->task, 1);
    modelling->inputs = pri_allocate(batch, sizeof(uint32_t));
    modelling->targets = pri_allocate(batch, sizeof(uint32_t));
    return modelling->inputs && modelling->targets ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pare_language_modelling_create(const pare_language_modelling_options *options,
                                           const pare_vocabulary *vocabulary, pare_task **task)
{
    *task = NULL;
    if (!options->lanes || !options->length)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%zu lanes of segments of %zu tokens; both must be 1 or more",
                        options->lanes, options->length);
    pri_language_modelling *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->task.functions = &functions;
    created->lanes = options->lanes;
    created->length = options->length;
    created->evaluation_lanes = options->evaluation_lanes ? options->evaluation_lanes : 10;
    created->evaluation_length =
        options->evaluation_length ? options->evaluation_length : options->length;
    created->evaluation_memory = options->evaluation_memory;
    pare_status status = fill_task(created, options, vocabulary);
    if (status != PARE_OK) {
        destroy(&created->task);
        return status;
    }
    *task = &created->task;
    return PARE_OK;
}

const pare_vocabulary *pare_language_modelling_vocabulary(const pare_task *task)
{
    return ((const pri_language_modelling *)task)->corpus.vocabulary;
}
