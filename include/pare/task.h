/* Tasks: how data become batches and what is measured. The trainer knows tasks only through
 * pare_task; language modelling is the first. */
#ifndef PARE_TASK_H
#define PARE_TASK_H

#include "pare/model.h"
#include "pare/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pare_split {
    PARE_SPLIT_TRAIN,
    PARE_SPLIT_VALID,
    PARE_SPLIT_TEST,
    PARE_SPLIT_COUNT
} pare_split;

typedef struct pare_measure {
    const char *name; /* "F1" */
    double value;
} pare_measure;

#define PARE_MORE_MEASURES 3
typedef struct pare_evaluation {
    double loss;     /* mean of what training minimises; of text, nats per prediction */
    double metric;   /* that of pare_task_metric. Shares and correlations are in percent */
    uint64_t tokens; /* predictions, each counted once */
    double seconds, attention_seconds;
    pare_measure more[PARE_MORE_MEASURES]; /* what is usually given beside the metric */
    size_t more_count;
} pare_evaluation;

typedef struct pare_task pare_task;
PARE_API void pare_task_destroy(pare_task *task);
PARE_API const char *pare_task_metric(const pare_task *task); /* "perplexity" */
PARE_API bool pare_task_higher_is_better(const pare_task *task);
/* Examples of a split; of running text, its tokens. */
PARE_API uint64_t pare_task_examples(const pare_task *task, pare_split split);
/* Of what the model sees of a split: by this, averages and runs are compared. */
PARE_API uint64_t pare_task_hash(const pare_task *task, pare_split split);
/* Positions of the longest sequence in training: the shape of averages. */
PARE_API size_t pare_task_length(const pare_task *task);
/* Writes what a model directory needs beside configuration and weights: vocabulary or tokenizer. */
PARE_API PARE_MUST_CHECK pare_status pare_task_save_files(const pare_task *task,
                                                          const char *directory);
PARE_API uint64_t pare_task_batches_per_epoch(const pare_task *task);
/* In the first `batches` training batches; the last batch of an epoch may be short. */
PARE_API uint64_t pare_task_training_tokens(const pare_task *task, uint64_t batches);
/* Runs the next training batch forward; returns the loss (1, 1) on the tape. */
PARE_API pare_tensor *pare_task_training_loss(pare_task *task, pare_model *model, pare_tape *tape);
/* Back to the first batch of the first epoch, with empty memory. A task serves one model at a time:
 * call this before training another one. */
PARE_API void pare_task_rewind(pare_task *task);
/* The position in the data and whatever else resuming bit for bit needs, as a safetensors file. */
PARE_API PARE_MUST_CHECK pare_status pare_task_save_state(const pare_task *task, const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_task_load_state(pare_task *task, const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_task_evaluate(pare_task *task, pare_model *model,
                                                        pare_tape *tape, pare_split split,
                                                        const pare_progress *progress,
                                                        pare_evaluation *evaluation);
/* Averages the model's attention over a whole split, dropout off, any mask off (it is put back). An
 * example is a sequence; `ends_first` chooses its coordinates (pare/pruning.h), encoders only. Ends
 * any pare_model_observe of the caller. */
PARE_API PARE_MUST_CHECK pare_status pare_task_observe(pare_task *task, pare_model *model,
                                                       pare_tape *tape, pare_split split,
                                                       bool ends_first,
                                                       const pare_progress *progress,
                                                       pare_average **average);

/* ---- Language modelling ------------------------------------------------------------------------
 * A split is one stream x_0 .. x_{n-1}; each token but the first is predicted from those before it.
 *
 * Training cuts the stream into equal lanes, dropping the tail; memory is empty at the start of a
 * lane only. Evaluation and observation take all n - 1 predictions, each from the context that a
 * single lane running through the whole stream would give it: several lanes are for speed and
 * change results by rounding only, as each first runs the tokens before its own to fill the memory.
 * The segment length does matter, because row i of a segment sees memory + i + 1 keys - except with
 * same_length, where every token sees equally many. */
typedef struct pare_language_modelling_options {
    /* Three files, or one to be split 90 : 5 : 5 by lines when valid and test are NULL. Plain or
     * gzip. */
    const char *train, *valid, *test;
    pare_vocabulary_options vocabulary;
    size_t lanes;             /* training batch: equal lanes of the stream */
    size_t length;            /* training segment, tokens */
    size_t evaluation_lanes;  /* at most; 0: 10, as in the reference */
    size_t evaluation_length; /* 0: length */
    size_t
        evaluation_memory; /* 0: model memory + length - evaluation_length, as the reference does */
} pare_language_modelling_options;
/* `vocabulary` NULL: built from the training text. Not owned when given. */
PARE_API PARE_MUST_CHECK pare_status
pare_language_modelling_create(const pare_language_modelling_options *options,
                               const pare_vocabulary *vocabulary, pare_task **task);
PARE_API const pare_vocabulary *pare_language_modelling_vocabulary(const pare_task *task);

/* Text from a language model: continues `prompt`, one token at a time, remembering as much as the
 * model's memory holds; "" begins a new line. Emits the continuation only, words after a blank and
 * <eos> as a newline. Under a cell mask each new token uses the mask's row 0, that of the first
 * token of a segment; a distance mask treats all tokens alike. */
typedef struct pare_generate_options {
    size_t tokens;
    double temperature; /* 0: always the most likely token */
    size_t top_k;       /* 0: all */
    double top_p;       /* 1: all */
    uint64_t seed;
    void (*emit)(void *user, const char *bytes, size_t length); /* each piece of text as it comes */
    void *user;
} pare_generate_options;
PARE_API PARE_MUST_CHECK pare_status pare_generate(pare_model *model, pare_tape *tape,
                                                   const pare_vocabulary *vocabulary,
                                                   const char *prompt,
                                                   const pare_generate_options *options);

/* ---- Classification ----------------------------------------------------------------------------
 * Single texts or pairs, "[CLS] a [SEP]" or "[CLS] a [SEP] b [SEP]", into classes or to a number,
 * from tab-separated files, plain or gzip. Quotes are literal characters. All is tokenized once, at
 * creation; nothing is ever padded.
 *
 * The GLUE tasks, in the files as GLUE publishes them, and what they are measured by. The first is
 * the metric; of those for which the GLUE table gives two, it is the one the AP paper's columns
 * fit.
 *
 *     "cola"   Matthews, accuracy     "qqp"    F1, accuracy       "rte"    accuracy
 *     "sst-2"  accuracy               "mnli"   accuracy           "wnli"   accuracy
 *     "mrpc"   F1, accuracy           "qnli"   accuracy           "sts-b"  Pearson, Spearman
 *
 * F1 is that of class 1. Class 0 is the label that comes first in the order of the files' strings
 * ("contradiction", "entailment", "neutral"). MNLI's mismatched set is given as `test`. Any other
 * file has columns by name or number; with two classes it is measured by accuracy, F1 and Matthews,
 * with more by accuracy, as a regression by Pearson and Spearman. */
typedef struct pare_classification_options {
    const char *task;            /* of the list above, or NULL: the columns below */
    const char *train, *valid;   /* files */
    const char *test;            /* NULL: as `valid` (published test sets have no labels) */
    const char *text_columns[2]; /* name in the header, or number from 1; [1] NULL: single texts */
    const char *label_column;    /* likewise; classes are what the training file has, in order of
                                    their names, or of their values when all are numbers */
    bool header;                 /* the first row names the columns */
    bool regression;             /* labels are numbers to be predicted, by mean squared error */
    size_t length;               /* tokens of a sequence at most; 0: 128 */
    size_t batch;                /* training examples per batch; 0: no limit but `tokens` */
    size_t tokens;               /* of a batch at most, in evaluation too; 0: no limit */
    uint64_t seed;               /* of the order of examples */
} pare_classification_options;
/* The tokenizer is borrowed. */
PARE_API PARE_MUST_CHECK pare_status pare_classification_create(
    const pare_classification_options *options, const pare_wordpiece *tokenizer, pare_task **task);
/* Outputs the model's head must have: classes, or 1 for a regression. */
PARE_API size_t pare_classification_labels(const pare_task *task);
/* What a class means: "not_equivalent"; NULL for a regression. */
PARE_API const char *pare_classification_label(const pare_task *task, size_t label);

/* One text, or a pair. */
typedef struct pare_text_pair {
    const char *first, *second;         /* second NULL: one text */
    size_t first_length, second_length; /* bytes */
} pare_text_pair;
/* Probabilities of the model's labels, or with a single label its prediction, into `scores` (count,
 * labels). Texts that are longer than the model's positions, or than the shape of its mask, are cut
 * as in training. */
PARE_API PARE_MUST_CHECK pare_status pare_classify(pare_model *model, pare_tape *tape,
                                                   const pare_wordpiece *tokenizer,
                                                   const pare_text_pair *texts, size_t count,
                                                   float *scores);

#ifdef __cplusplus
}
#endif
#endif
