/* Training: optimisers, schedules, the loop, checkpoints, and recipes that describe a whole sweep.
 */
#ifndef PARE_TRAIN_H
#define PARE_TRAIN_H

#include "pare/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pare_optimizer_kind { PARE_OPTIMIZER_ADAM, PARE_OPTIMIZER_ADAMW } pare_optimizer_kind;
typedef enum pare_schedule_kind {
    PARE_SCHEDULE_CONSTANT,
    PARE_SCHEDULE_COSINE,              /* to minimum_rate at the last step */
    PARE_SCHEDULE_INVERSE_SQUARE_ROOT, /* rate * sqrt(warmup / step) */
    PARE_SCHEDULE_LINEAR /* to minimum_rate one step after the last, as transformers does */
} pare_schedule_kind;

typedef enum pare_keep {
    PARE_KEEP_BEST,   /* the weights that were best on validation */
    PARE_KEEP_LAST,   /* those after the last step; validation chooses nothing */
    PARE_KEEP_AVERAGE /* the mean of those at the last `averaged` evaluations, whether or not
                         validation is looked at there */
} pare_keep;

typedef struct pare_training_options {
    pare_optimizer_kind optimizer;
    pare_schedule_kind schedule;
    double rate, minimum_rate; /* learning rate */
    double beta1, beta2, epsilon, weight_decay;
    double clip;              /* largest gradient norm; 0: no clipping */
    pare_precision precision; /* of matrix products in training; evaluation keeps the context's */
    uint64_t warmup;          /* steps of linear warm-up */
    uint64_t steps;           /* 0: epochs * batches per epoch / accumulation */
    double epochs;
    uint64_t accumulation;     /* batches per step */
    pare_keep keep;            /* what the run's result is */
    uint64_t averaged;         /* with PARE_KEEP_AVERAGE only */
    uint64_t evaluate_every;   /* steps between evaluations on validation; 0: every epoch, or
                                  unless PARE_KEEP_BEST never */
    uint64_t patience;         /* evaluations without improvement before stopping; 0: never;
                                  PARE_KEEP_BEST only */
    uint64_t checkpoint_every; /* steps; 0: at every evaluation */
    double checkpoint_seconds; /* and at least this often; 0: no such limit */
    uint64_t log_every;        /* steps */
    uint64_t seed;
} pare_training_options;
PARE_API pare_training_options pare_training_options_default(void);

/* The learning rate of step `step` (1-based) of `steps`. */
PARE_API double pare_schedule_rate(const pare_training_options *options, uint64_t step,
                                   uint64_t steps);

typedef struct pare_training_result {
    uint64_t steps, tokens;
    double best_loss, best_metric; /* on validation; infinite when that was never looked at */
    uint64_t best_step;
    double seconds, attention_seconds, tokens_per_second; /* inside training steps, without
                                                             evaluation and checkpoints, over all
                                                             processes that took part */
    size_t peak_bytes;                                    /* resident memory high-water mark */
    bool stopped_early;
} pare_training_result;

/* Trains `model` on `task` in `directory`, which becomes a model directory: config.json and
 * model.safetensors are the weights that options->keep asks for; last/ holds the newest checkpoint,
 * trainer.json names it and log.jsonl has one line per event. When the directory already holds a
 * checkpoint of the same options, training resumes and ends with the same bits as if it had never
 * stopped; a finished run returns at once. On return `model` holds the kept weights. A loss that is
 * not finite stops with PARE_ERROR_NUMERIC, naming step and layer; the last checkpoint stays. */
PARE_API PARE_MUST_CHECK pare_status pare_train(pare_model *model, pare_task *task, pare_tape *tape,
                                                const pare_training_options *options,
                                                const char *directory,
                                                const pare_progress *progress,
                                                pare_training_result *result);

/* ---- Measuring --------------------------------------------------------------------------------
 * Training steps as pare_train does them: forward, backward, gradient norm and Adam; on the first
 * batches of a task, or of a language model on random tokens that are as frequent as words of text
 * are. */
typedef struct pare_step_options {
    pare_task *task;              /* NULL: random tokens, in the shape of the next three */
    size_t lanes, length, memory; /* of the segments; memory is full in every measured step */
    uint64_t steps;               /* measured; 0: 5 */
    pare_precision precision;     /* of matrix products */
} pare_step_options;

/* The step of median time, and where its time went. */
typedef struct pare_step_measurement {
    double seconds, attention_seconds, matrix_product_seconds;
    double tokens_per_second; /* with a task, over all measured steps: batches differ in size */
    double loss;              /* of the last step */
    size_t peak_bytes;        /* resident memory, high-water mark of the process */
} pare_step_measurement;
PARE_API PARE_MUST_CHECK pare_status pare_measure_step(pare_model *model, pare_tape *tape,
                                                       const pare_step_options *options,
                                                       pare_step_measurement *measurement);

/* ---- Recipes ----------------------------------------------------------------------------------
 * A YAML file that describes task, data, model, training and sweep. Keys that are unknown, or have
 * no meaning for the task, are refused by name and line. Strings belong to the recipe. */
typedef enum pare_start {
    PARE_START_RESTART,  /* the same initial weights as the dense run (default) */
    PARE_START_CONTINUE, /* from the dense run's best weights */
    PARE_START_STEPWISE, /* from those of the run with the next smaller percent; the first as above
                          */
    PARE_START_ZERO_SHOT /* dense weights, no training under the mask */
} pare_start;

typedef enum pare_task_kind {
    PARE_TASK_LANGUAGE_MODELLING,
    PARE_TASK_CLASSIFICATION,
    PARE_TASK_QUESTION_ANSWERING,
    PARE_TASK_MASKED_LANGUAGE_MODELLING,
    PARE_TASK_TRANSLATION
} pare_task_kind;
PARE_API extern const char *const pare_task_names[]; /* by pare_task_kind; NULL at the end */

typedef struct pare_recipe {
    char *name, *description;
    pare_task_kind task;
    size_t length; /* of training sequences, tokens */
    struct {       /* the member of the task; strings are owned by the recipe */
        pare_language_modelling_options language_modelling;
        pare_classification_options classification;
        pare_question_answering_options question_answering;
        pare_masked_language_modelling_options masked_language_modelling;
        pare_translation_options translation;
    } data;
    struct {              /* vocabularies are 0: known once the data are read */
        char *checkpoint; /* directory of a model to start from; NULL: fresh weights */
        pare_transformer_xl_config transformer_xl; /* language modelling */
        pare_bert_config bert; /* masked language modelling without a checkpoint; with one, and for
                                  other tasks, only the dropouts, negative: the checkpoint's */
        pare_marian_config marian; /* translation; with a checkpoint only the dropouts, as above */
    } model;
    pare_training_options training;
    /* sweep */
    uint64_t *seeds; /* of training: the whole sweep for each; none: training.seed alone */
    size_t seed_count;
    double *percents; /* of attention pruning, admissible percent */
    size_t percent_count;
    double *random_percents;
    size_t random_percent_count;
    uint64_t *random_seeds; /* of masks; none with `seeds`, which are then those of masks too */
    size_t random_seed_count;
    unsigned *attention; /* of translation: the kinds to prune together, as bits 1 <<
                            pare_attention_kind; every percent is run for each of these */
    size_t attention_count;
    pare_start start;
    double distillation; /* share of a pruned run's loss that follows the dense run's outputs; 0:
                            none. Encoders (pare_task_set_teacher) */
    bool effective;      /* percents are of the corpus's cells (p_eff), not of admissible ones */
    bool ends_first;     /* coordinates of averages (pare/pruning.h) */
    pare_prune_options prune; /* geometry, block, average, scope, empty_row; the rest is unused.
                                 Geometry relative of a decoder's self attention is distance */
    char *dense;              /* directory of a dense run to share, or NULL: <output>/dense */
    void *owner;              /* private */
} pare_recipe;

/* `overrides`: "data.train=my.txt", "training.rate=0.001", "sweep.percents=[50, 90]"; applied in
 * order. data.train alone replaces the recipe's valid and test files too (the text is split);
 * training.steps and training.epochs replace each other. `${PARE_DATA}` in paths is replaced by
 * `data_directory` (NULL: an error that says what to set). */
PARE_API PARE_MUST_CHECK pare_status pare_recipe_load(const char *path, const char *data_directory,
                                                      const char *const *overrides,
                                                      size_t override_count, pare_recipe *recipe);
PARE_API void pare_recipe_free(pare_recipe *recipe);

/* What a recipe's data become. */
typedef struct pare_recipe_data {
    pare_task *task;
    pare_vocabulary *vocabulary; /* of a model directory; NULL: the task has its own, or pieces */
    pare_wordpiece *tokenizer;   /* of a checkpoint or model directory; NULL: the task built one */
    pare_translation_tokenizers tokenizers; /* the same, of translation */
} pare_recipe_data;

/* Reads the data of `recipe`: as the model in `model_directory` reads text, or when that is NULL
 * with the tokenizer of model.checkpoint, or one built from the training text. Refuses a directory
 * whose model is of another type than the task's. Close also after a failure. */
PARE_API PARE_MUST_CHECK pare_status pare_recipe_open(const pare_recipe *recipe,
                                                      const char *model_directory,
                                                      pare_recipe_data *data);
PARE_API void pare_recipe_close(pare_recipe_data *data);
/* A model for these data as it is before training, from training.seed. */
PARE_API PARE_MUST_CHECK pare_status pare_recipe_create_model(const pare_recipe *recipe,
                                                              const pare_recipe_data *data,
                                                              pare_context *context,
                                                              pare_model **model);

#ifdef __cplusplus
}
#endif
#endif
