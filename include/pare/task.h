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
/* What reading the data left out or cut, in a line to show; "" when all of it is used whole. */
PARE_API const char *pare_task_remark(const pare_task *task);
/* Refuses a model without room for the longest sequences of the task, or with masks without it:
 * before long work rather than in the middle. */
PARE_API PARE_MUST_CHECK pare_status pare_task_check_model(const pare_task *task,
                                                           const pare_model *model);
/* Writes what a model directory needs beside configuration and weights: vocabulary or tokenizer. */
PARE_API PARE_MUST_CHECK pare_status pare_task_save_files(const pare_task *task,
                                                          const char *directory);
PARE_API uint64_t pare_task_batches_per_epoch(const pare_task *task);
/* In the first `batches` training batches; the last batch of an epoch may be short. */
PARE_API uint64_t pare_task_training_tokens(const pare_task *task, uint64_t batches);
/* Runs the next training batch forward; returns the loss (1, 1) on the tape. */
PARE_API pare_tensor *pare_task_training_loss(pare_task *task, pare_model *model, pare_tape *tape);
/* From now on the loss of training is (1 - share) of the task's own and `share` of how far the
 * model's outputs are from those of `teacher`, which sees the same batches without dropout: the
 * mean squared error of regression, otherwise the divergence of probabilities at temperature 2
 * (pare_divergence). For encoders. The teacher is borrowed; NULL: none. */
PARE_API PARE_MUST_CHECK pare_status pare_task_set_teacher(pare_task *task, pare_inference *teacher,
                                                           double share);
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
/* Averages the model's attention over a whole split, each kind it has, dropout off, any mask off
 * (it is put back). An example is a sequence; `ends_first` chooses the coordinates of an encoder's
 * tokens (pare/pruning.h). What the model does not have is NULL. Ends any pare_model_observe of the
 * caller. */
PARE_API PARE_MUST_CHECK pare_status pare_task_observe(
    pare_task *task, pare_model *model, pare_tape *tape, pare_split split, bool ends_first,
    const pare_progress *progress, pare_average *averages[PARE_ATTENTION_KINDS]);

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
 * as in training, and `cut` (count), unless it is NULL, says which. */
PARE_API PARE_MUST_CHECK pare_status pare_classify(pare_inference *inference,
                                                   const pare_wordpiece *tokenizer,
                                                   const pare_text_pair *texts, size_t count,
                                                   float *scores, bool *cut);
/* What a classifier looked at in one text. */
typedef struct pare_explanation {
    size_t count;          /* tokens of the sequence, special ones included */
    const char **pieces;   /* (count), strings of the tokenizer */
    pare_average *average; /* attention of this sequence alone, under the model's mask */
} pare_explanation;
PARE_API PARE_MUST_CHECK pare_status pare_classify_explain(pare_model *model, pare_tape *tape,
                                                           const pare_wordpiece *tokenizer,
                                                           const pare_text_pair *text,
                                                           pare_explanation *explanation);
PARE_API void pare_explanation_free(pare_explanation *explanation);

/* ---- Question answering ------------------------------------------------------------------------
 * Finds answers in texts, trained and measured on files in the JSON layout of SQuAD 1.1 (plain or
 * gzip, any language): {"data": [{"paragraphs": [{"context": ..., "qas": [{"id": ..., "question":
 * ..., "answers": [{"text": ..., "answer_start": ...}]}]}]}]}, answer_start in characters.
 *
 * A question is cut to its first `question_length` word pieces; the context to windows, as many as
 * it takes, so that "[CLS] question [SEP] window [SEP]" has `length` tokens at most; windows
 * advance by `stride` pieces. In training a window without the whole answer points at [CLS]; the
 * loss is the mean of both cross-entropies, of the answer's first and of its last token. An answer
 * is the best pair of tokens of all windows, at most `answer_length` pieces apart.
 *
 * Training files: each question has an answer that is in its context; one that is not where
 * answer_start says is taken where it occurs nearest to it (pare_question_answering_moved counts
 * them). Evaluation files: questions without answers get a prediction and do not count. The metric
 * is the F1 of the official script, in percent, with its exact match as further measure;
 * evaluation's `tokens` are questions that counted. An example is a question; to an average it is a
 * window. */
typedef struct pare_question_answering_options {
    const char *train, *valid, *test; /* train NULL: evaluation only; test NULL: that of valid */
    size_t length;                    /* 0: 384 */
    size_t stride;                    /* 0: 128, or what a window holds */
    size_t question_length;           /* 0: 64, or half the length */
    size_t answer_length;             /* 0: 30 */
    size_t batch;  /* windows of a training batch at most; 0: 12, or with `tokens` no limit */
    size_t tokens; /* of a training batch at most, windows of like lengths together; 0: no limit */
    size_t evaluation_tokens; /* of a batch in evaluation: speed and memory only; 0: 4096 */
    uint64_t seed;            /* of the order of training windows */
} pare_question_answering_options;
/* Borrows the tokenizer. */
PARE_API PARE_MUST_CHECK pare_status
pare_question_answering_create(const pare_question_answering_options *options,
                               const pare_wordpiece *tokenizer, pare_task **task);
/* Training answers that stood elsewhere in their context than the file says. */
PARE_API size_t pare_question_answering_moved(const pare_task *task);
/* Writes what the newest pare_task_evaluate answered in the official format, {"id": "answer", ...}.
 * No answer at all is "". */
PARE_API PARE_MUST_CHECK pare_status pare_question_answering_save_predictions(const pare_task *task,
                                                                              const char *path);

/* An answer in a context. */
typedef struct pare_answer {
    size_t begin, end; /* bytes begin .. end - 1 of the context */
    double score;      /* the sum of the logits of its first and last token */
} pare_answer;
#define PARE_ANSWERS_MAX 20
/* The best answers to one question, with different texts, best first; at most `capacity`, which is
 * PARE_ANSWERS_MAX or less; 0 only checks that the model can answer. None is possible. Of
 * `options`, which may be NULL, the numbers that describe windows, answers and evaluation batches
 * are read; length 0 is 384 or what the model or its cell mask allows. `cut`, unless it is NULL:
 * whether the question was longer than `question_length`. */
PARE_API PARE_MUST_CHECK pare_status pare_answer_question(
    pare_inference *inference, const pare_wordpiece *tokenizer, const char *question,
    const char *context, const pare_question_answering_options *options, size_t capacity,
    pare_answer *answers, size_t *count, bool *cut);

/* ---- Masked language modelling -----------------------------------------------------------------
 * The recipe of BERT (arXiv 1810.04805): words of a text are hidden, an encoder with the head
 * PARE_HEAD_MASKED_WORDS says what they were.
 *
 * A text becomes sequences "[CLS] pieces [SEP]". The pieces of an article are one stream, across
 * its lines, that is cut where a sequence is full; a sequence never holds pieces of two articles,
 * which begin at WikiText's titles (lines " = Title = "); a text without titles is one article.
 * There is no padding, so that a short last sequence costs nothing. WikiText's <unk> becomes [UNK].
 *
 * Of a sequence's n pieces round(share * n) are chosen, at least one; special tokens, [UNK] among
 * them, never are. 80% of the chosen are replaced by [MASK], 10% by a random piece, 10% stay. The
 * loss is over chosen pieces only. In training the choice is a function of seed, epoch and
 * sequence. Evaluation and observation choose by the sequence alone, so that perplexities of
 * different runs are of the same pieces; they compare for one tokenizer only. Beside it:
 * "accuracy", the share of chosen pieces that the model thinks likeliest. */
typedef struct pare_masked_language_modelling_options {
    const char *train, *valid, *test; /* as for language modelling */
    pare_wordpiece_options tokenizer; /* when none is given: built from the training text */
    size_t length; /* of the longest sequence, [CLS] and [SEP] included; 0: 128 */
    size_t batch;  /* sequences of a training batch at most; 0: no limit */
    size_t tokens; /* tokens of a training batch at most; 0: no limit; 4096 when batch is 0 too */
    double share;  /* of pieces to choose; 0: .15 */
    uint64_t seed;
} pare_masked_language_modelling_options;
/* `tokenizer` is borrowed; NULL: one is built. */
PARE_API PARE_MUST_CHECK pare_status
pare_masked_language_modelling_create(const pare_masked_language_modelling_options *options,
                                      const pare_wordpiece *tokenizer, pare_task **task);
PARE_API const pare_wordpiece *pare_masked_language_modelling_tokenizer(const pare_task *task);

/* ---- Translation scores -------------------------------------------------------------------------
 * How near translations, the hypotheses, are to references, segment by segment, one reference for
 * each. Scores are of a whole corpus, in percent:
 *
 * BLEU and chrF2 are those of sacreBLEU 2.6.0 with its own settings, which the signatures name:
 * BLEU of one to four tokens of the tokenizer 13a with smoothing "exp", chrF of one to six
 * characters. They expect text as people write it.
 *
 * Tokenised BLEU is that of fairseq: of the tokens as they stand, between white space, without
 * smoothing, so that it is 0 when some order has no match. The joints of byte pair encoding ("@@ ",
 * and "@@" at the end) are removed first, and a reference's <unk> matches nothing. It compares
 * texts that were tokenised alike only.
 *
 * Segments may hold any bytes: those that are not UTF-8 act like U+FFFD. */
typedef struct pare_scorer_options {
    bool lower_case; /* of both sides, as Python's str.lower */
} pare_scorer_options;
typedef struct pare_translation_score {
    double bleu, chrf, tokenised_bleu;
    double precisions[4], brevity_penalty;        /* of `bleu`: 0 .. 100, and 0 .. 1 */
    uint64_t hypothesis_length, reference_length; /* tokens of 13a */
    uint64_t segments;
} pare_translation_score;

typedef struct pare_scorer pare_scorer;
/* `options` may be NULL here and below. */
PARE_API PARE_MUST_CHECK pare_status pare_scorer_create(const pare_scorer_options *options,
                                                        pare_scorer **scorer);
PARE_API void pare_scorer_destroy(pare_scorer *scorer);
/* Adds a segment, lengths in bytes. After a failure the scorer is as before. */
PARE_API PARE_MUST_CHECK pare_status pare_scorer_add(pare_scorer *scorer, const char *hypothesis,
                                                     size_t hypothesis_length,
                                                     const char *reference,
                                                     size_t reference_length);
/* Of the segments so far; more may follow. */
PARE_API void pare_scorer_score(const pare_scorer *scorer, pare_translation_score *score);
/* What sacreBLEU prints beside its scores, to be quoted with them. */
PARE_API const char *pare_bleu_signature(const pare_scorer_options *options);
PARE_API const char *pare_chrf_signature(const pare_scorer_options *options);
/* Of two plain or gzip files with a segment on every line; one may be "-", the standard input.
 * Different numbers of lines, and none, are format errors. */
PARE_API PARE_MUST_CHECK pare_status pare_score_files(const char *hypotheses,
                                                      const char *references,
                                                      const pare_scorer_options *options,
                                                      pare_translation_score *score);

/* ---- Translation -------------------------------------------------------------------------------
 * Pairs of sentences, each ending in </s>; the loss is label-smoothed cross entropy over target
 * tokens, the metric BLEU of beam search: sacreBLEU's 13a where the tokenizer reads raw text
 * (PARE_BPE_METASPACE), tokenised BLEU where text is tokenised already (PARE_BPE_WORDS). Beside it:
 * the other BLEU, chrF and perplexity. */
typedef struct pare_parallel_files {
    const char *source, *target; /* plain or gzip, line n of one translates line n of the other;
                                    target NULL: `source` has both, with a tab between them */
} pare_parallel_files;

/* Joint: `target` is `source`. */
typedef struct pare_translation_tokenizers {
    pare_bpe *source, *target;
} pare_translation_tokenizers;
/* tokenizer.json of a model directory, or source_tokenizer.json and target_tokenizer.json. */
PARE_API PARE_MUST_CHECK pare_status
pare_translation_tokenizers_load(const char *directory, pare_translation_tokenizers *tokenizers);
PARE_API void pare_translation_tokenizers_free(pare_translation_tokenizers *tokenizers);

typedef struct pare_translation_options {
    pare_parallel_files train, valid, test; /* test.source NULL: as `valid` */
    pare_bpe_options tokenizer;             /* when none is given: learned from the training text */
    const char *merges;         /* or a classic file of merges (pare_bpe_load_codes); NULL: none */
    bool separate_vocabularies; /* a tokenizer of its own for each language */
    size_t length;              /* tokens of a sentence at most, </s> included; 0: 128. Longer pairs
                                   are left out of training, and cut elsewhere */
    double length_ratio; /* training pairs whose longer side has more than this many times the
                            tokens of the shorter are left out, and pairs with an empty side; 0: any
                            ratio */
    size_t batch;        /* training pairs per batch; 0: no limit */
    size_t tokens;       /* of a training batch at most, both sides together; 0: no limit; 4096 when
                            batch is 0 too */
    double smoothing;    /* of labels, 0 .. 1 */
    pare_translate_options decoding; /* in evaluation; beam 0: pare_translate_options_default() */
    uint64_t seed;                   /* of the order of pairs */
} pare_translation_options;
/* `tokenizers` are borrowed; NULL: they are made. */
PARE_API PARE_MUST_CHECK pare_status
pare_translation_create(const pare_translation_options *options,
                        const pare_translation_tokenizers *tokenizers, pare_task **task);
PARE_API const pare_translation_tokenizers *pare_translation_tokenizers_of(const pare_task *task);
PARE_API uint64_t pare_translation_left_out(const pare_task *task); /* training pairs */

/* Translating text. A source becomes pieces and </s>, as in evaluation; one of more tokens than the
 * model's positions, or the shape of a mask, have room for is cut to the first of them, and said to
 * be. A text without pieces, such as an empty line, has the empty translation; the model does not
 * see it. Characters that the vocabulary does not have are <unk>, bytes that are not UTF-8 act like
 * U+FFFD. */
typedef struct pare_source_text {
    const char *bytes; /* need not end in a zero */
    size_t length;
} pare_source_text;

typedef struct pare_translated_texts {
    size_t count, n_best;
    char **texts; /* (count, n_best): words between single blanks where text is tokenised, raw text
                     otherwise; each source's best first, NULL where it has fewer hypotheses */
    pare_hypothesis *hypotheses; /* (count, n_best): their tokens and scores; those of the empty
                                    translation of an empty text are 0 */
    bool *cut;                   /* (count): only the beginning of this source was translated */
    size_t cut_count;
    pare_translations owner; /* of what hypotheses point to */
} pare_translated_texts;
/* Needs room for a word in the translation of the shortest source: length_factor * 2 + length_extra
 * of 1 or more. A `count` of 0 only checks that model, tokenizers and options fit together. */
PARE_API PARE_MUST_CHECK pare_status
pare_translate_texts(pare_translator *translator, const pare_translation_tokenizers *tokenizers,
                     const pare_source_text *sources, size_t count,
                     const pare_translate_options *options, pare_translated_texts *translated);
PARE_API void pare_translated_texts_free(pare_translated_texts *translated);

/* What a translation model looked at in one pair. */
typedef struct pare_translation_explanation {
    size_t source_count, target_count; /* tokens, </s> included */
    const char **source, **target;     /* strings of the tokenizers: columns and rows */
    pare_average *average; /* cross attention of this pair alone, under the model's masks; row n is
                              where the decoder looks to say target[n] */
} pare_translation_explanation;
/* `target`, of which there must be at least one, are the tokens the decoder is made to say, such as
 * those of a hypothesis: pieces and the end token. */
PARE_API PARE_MUST_CHECK pare_status pare_translate_explain(
    pare_model *model, pare_tape *tape, const pare_translation_tokenizers *tokenizers,
    const pare_source_text *source, const uint32_t *target, size_t target_length,
    pare_translation_explanation *explanation);
PARE_API void pare_translation_explanation_free(pare_translation_explanation *explanation);

#ifdef __cplusplus
}
#endif
#endif
