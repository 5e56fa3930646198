/* Where a verb gets its data from: a recipe with overrides, or a bare text file. */
#ifndef PARE_CLI_SOURCE_H
#define PARE_CLI_SOURCE_H

#include "command.h"

/* For verbs that read a recipe, beside their option --set: columns of a table of one's own. */
extern const char *const text_column_keys[], *const label_column_keys[];
#define COLUMN_OPTIONS(overrides)                                                                  \
    {"text-columns",                                                                               \
     "NAMES",                                                                                      \
     OPTION_KEYS,                                                                                  \
     overrides,                                                                                    \
     "of a table of your own: one column with text, or two (a,b)",                                 \
     text_column_keys},                                                                            \
    {                                                                                              \
        "label-column", "NAME", OPTION_KEYS, overrides, "of such a table: the column with labels", \
            label_column_keys                                                                      \
    }

/* Loads a recipe; ${PARE_DATA} in it is the environment variable. */
pare_status load_recipe(const char *path, const string_list *overrides, pare_recipe *recipe);

/* A model with what is needed to run it. */
typedef struct cli_session {
    pare_context *context;
    pare_tape *tape;
    pare_model *model;
    pare_mask *masks[PARE_ATTENTION_KINDS]; /* given on the command line; the model's own are inside
                                               the model */
    pare_recipe recipe;
    pare_recipe_data data;
    pare_inference *inference;   /* of encoders at work */
    pare_translator *translator; /* of translation models */
} cli_session;

typedef struct source_options {
    const char *recipe, *text; /* one of the two */
    string_list set;
    uint64_t lanes, length, memory; /* 0: the recipe's, or defaults */
    uint64_t threads;
    bool evaluation_only; /* a text too short for the lanes of training will do */
    bool any_head;        /* an encoder of any head will do for a recipe of encoders */
} source_options;

/* Prints what is wrong with `options` and returns an exit code, 0 when they fit together. */
int check_source(const char *verb, const source_options *options);

/* The same for the two options that say which mask a model has. */
int check_masks(const char *verb, const string_list *masks, bool dense);

pare_status open_context(uint64_t threads, pare_context **context);

/* Opens the model in `directory`. `masks`: use these instead of the model's own, each for its kind
 * of attention; NULL or none: its own; `dense`: use none. */
pare_status open_session(cli_session *session, const char *directory, const string_list *masks,
                         bool dense, uint64_t threads);
/* What a model is there for. */
typedef enum model_use {
    MODEL_LANGUAGE,
    MODEL_CLASSIFIER,
    MODEL_ANSWERER,
    MODEL_MASKED_WORDS,
    MODEL_TRANSLATOR,
    MODEL_HEADLESS /* an encoder that is there for nothing yet */
} model_use;

/* open_session for a verb that is for models of one use. Prints what is wrong, a model of another
 * use too; returns an exit code. */
int open_session_for(model_use wanted, const char *verb, cli_session *session,
                     const char *directory, const string_list *masks, bool dense, uint64_t threads);
/* Adds the recipe and task that `options` name or describe, read as the model in `directory` reads
 * text. Prints what is wrong, and what does not fit the model; returns an exit code. */
int open_task(const char *verb, cli_session *session, const char *directory,
              const source_options *options);
/* Adds the vocabulary of a language model alone. */
pare_status open_vocabulary(cli_session *session, const char *directory);
/* Adds an encoder's tokenizer, in session->data, and its inference. */
pare_status open_encoder(cli_session *session, const char *directory, pare_precision precision);
/* Adds a translation model's tokenizers and its translator. */
pare_status open_translator(cli_session *session, const char *directory, pare_precision precision);
void close_session(cli_session *session);

#endif
