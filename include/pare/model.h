/* Models: parameters with names, Hugging Face directories, masks and observation.
 *
 * A family (Transformer-XL, ...) is one file of forward code plus a table of functions; everything
 * else about models - parameters, files, masks, plans, averages - is common and lives here. */
#ifndef PARE_MODEL_H
#define PARE_MODEL_H

#include "pare/nn.h"
#include "pare/pruning.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pare_model pare_model;

typedef struct pare_parameter {
    const char *name; /* as in the checkpoint, "transformer.layers.0.dec_attn.o_net.weight" */
    pare_tensor tensor;
    bool decay; /* whether weight decay applies: not for biases and layer norms */
} pare_parameter;

/* ---- Transformer-XL ---------------------------------------------------------------------------
 * The comments give the key of the same meaning in the Hugging Face `TransfoXL` config.json. */
typedef struct pare_transformer_xl_config {
    size_t vocabulary;     /* vocab_size */
    size_t layers;         /* n_layer */
    size_t heads;          /* n_head */
    size_t head_size;      /* d_head */
    size_t size;           /* d_model */
    size_t embedding_size; /* d_embed; 0: size */
    size_t feed_forward;   /* d_inner */
    size_t memory;         /* mem_len: cached states each segment may look back at */
    size_t clamp_length;   /* clamp_len; 0: none (-1 in the file) */
    bool same_length;      /* every token sees itself and the `memory` - 1 before it, whatever the
                              length of the memory in use */
    bool pre_norm;         /* pre_lnorm */
    bool untie_biases;     /* untie_r: u and w per layer instead of shared */
    size_t cluster_count;  /* adaptive softmax: number of cutoffs, 0: plain softmax */
    size_t cutoffs[PARE_CLUSTERS_MAX]; /* cutoffs (without the final vocabulary size) */
    size_t division;         /* div_val: cluster c has embedding_size / division^c; 1: all equal */
    float dropout;           /* dropout */
    float attention_dropout; /* dropatt */
    float initial_deviation; /* init_std, .02 */
    float initial_projection_deviation; /* proj_init_std, .01 */
    float layer_norm_epsilon;           /* layer_norm_epsilon, 1e-5 */
} pare_transformer_xl_config;

/* Sets everything optional: dropout .1, division 1, deviations, epsilon. */
PARE_API pare_transformer_xl_config pare_transformer_xl_config_default(void);
/* A fresh model, initialised from `seed` (methods: N(0, .02) and so on). */
PARE_API PARE_MUST_CHECK pare_status
pare_transformer_xl_create(pare_context *context, const pare_transformer_xl_config *config,
                           uint64_t seed, pare_model **model);
/* NULL when the model is of another family. */
PARE_API const pare_transformer_xl_config *pare_transformer_xl_config_of(const pare_model *model);

/* ---- BERT ---------------------------------------------------------------------------------------
 * Encoders of the kind of arXiv 1810.04805: BERT of any size, MiniLM, and DistilBERT (arXiv
 * 1910.01108). The comments give the key of the same meaning in Hugging Face's BertConfig; only
 * hidden_act "gelu" and absolute positions are offered. */
typedef enum pare_head {
    PARE_HEAD_NONE,               /* BertModel, with its pooler */
    PARE_HEAD_CLASSIFICATION,     /* BertForSequenceClassification */
    PARE_HEAD_QUESTION_ANSWERING, /* BertForQuestionAnswering */
    PARE_HEAD_MASKED_WORDS        /* BertForMaskedLM, output weights tied to the embedding */
} pare_head;

typedef struct pare_bert_config {
    size_t vocabulary;   /* vocab_size */
    size_t layers;       /* num_hidden_layers */
    size_t heads;        /* num_attention_heads */
    size_t size;         /* hidden_size, a multiple of heads */
    size_t feed_forward; /* intermediate_size */
    size_t positions;    /* max_position_embeddings: tokens of the longest sequence */
    size_t segments;     /* type_vocab_size; 0 and nothing else in DistilBERT */
    bool distilled;      /* DistilBERT's form: classes and keys of that name, no segments, and
                            differences in the heads */
    pare_head head;
    size_t labels;            /* of the classification head (id2label); 1: regression */
    float dropout;            /* hidden_dropout_prob */
    float attention_dropout;  /* attention_probs_dropout_prob */
    float head_dropout;       /* classifier_dropout; negative: that of `dropout` */
    float answer_dropout;     /* qa_dropout, DistilBERT only: before answers */
    float initial_deviation;  /* initializer_range */
    float layer_norm_epsilon; /* layer_norm_eps */
} pare_bert_config;

/* Sets everything optional: 512 positions, 2 segments, 2 labels, dropouts .1, deviation .02. */
PARE_API pare_bert_config pare_bert_config_default(void);
/* A fresh model, initialised from `seed`: weights N(0, initial_deviation), biases 0. */
PARE_API PARE_MUST_CHECK pare_status pare_bert_create(pare_context *context,
                                                      const pare_bert_config *config, uint64_t seed,
                                                      pare_model **model);
/* NULL when the model is of another family. */
PARE_API const pare_bert_config *pare_bert_config_of(const pare_model *model);

/* The encoder of `directory` under the head asked for, with `labels` labels if that is a
 * classification head: a head of that kind and shape in the files is taken, otherwise a fresh one
 * is drawn from `seed`. A mask in the directory is not taken. The context must outlive the model.
 */
PARE_API PARE_MUST_CHECK pare_status pare_bert_load_with_head(pare_context *context,
                                                              const char *directory, pare_head head,
                                                              size_t labels, uint64_t seed,
                                                              pare_model **model);
/* Replaces the dropouts of the configuration; a negative one stays as it is. */
PARE_API PARE_MUST_CHECK pare_status pare_bert_set_dropout(pare_model *model, float dropout,
                                                           float attention_dropout);
/* What the labels of a classification head mean, kept in config.json (id2label): copies
 * config.labels names. */
PARE_API PARE_MUST_CHECK pare_status pare_bert_set_labels(pare_model *model,
                                                          const char *const *names);
/* "LABEL_0" when it was never named; NULL when there is no such label. */
PARE_API const char *pare_bert_label(const pare_model *model, size_t label);

/* ---- Encoder-decoder
 * ------------------------------------------------------------------------------ Translation
 * models: arXiv 1706.03762, with the parameters, names and meaning of Hugging Face's MarianMTModel.
 * The comments give its key of the same meaning in config.json. What it does not have (pre-norm,
 * fairseq's positions) has keys of our own, given in quotes; directories with other than the
 * default of these load in Pare only. */
typedef enum pare_embedding_sharing {
    PARE_SHARE_ALL,    /* one embedding for source, target and output; needs one vocabulary */
    PARE_SHARE_TARGET, /* target and output share; share_encoder_decoder_embeddings false */
    PARE_SHARE_NONE    /* and tie_word_embeddings false */
} pare_embedding_sharing;

typedef enum pare_sinusoids {
    PARE_SINUSOIDS_MARIAN, /* f_t = 10000^(-2t/d), the first token at position 0 */
    PARE_SINUSOIDS_FAIRSEQ /* f_t = 10000^(-t/(d/2-1)), the first token at position 2 */
} pare_sinusoids;

typedef struct pare_marian_config {
    size_t source_vocabulary;    /* vocab_size */
    size_t target_vocabulary;    /* decoder_vocab_size */
    size_t encoder_layers;       /* encoder_layers */
    size_t decoder_layers;       /* decoder_layers */
    size_t heads;                /* encoder_attention_heads, decoder_attention_heads */
    size_t size;                 /* d_model, a multiple of heads; even with fairseq's positions */
    size_t encoder_feed_forward; /* encoder_ffn_dim */
    size_t decoder_feed_forward; /* decoder_ffn_dim */
    size_t positions; /* max_position_embeddings: tokens of the longest source or target */
    pare_embedding_sharing sharing;
    pare_sinusoids sinusoids;   /* "sinusoids": "marian" or "fairseq" */
    bool pre_norm;              /* "normalize_before" */
    bool scale_embedding;       /* scale_embedding: times sqrt(d) */
    pare_activation activation; /* activation_function: relu, gelu, swish */
    float dropout;              /* dropout */
    float attention_dropout;    /* attention_dropout */
    float inner_dropout;        /* activation_dropout */
    float initial_deviation;    /* init_std of all weights; 0: embeddings N(0, 1/d), others Xavier's
                                   uniform, with gain 1/sqrt(2) for queries, keys and values */
    uint32_t padding, end;      /* pad_token_id, eos_token_id */
    uint32_t start;             /* decoder_start_token_id: what the decoder reads first */
    uint32_t forced_end; /* forced_eos_token_id: what is set, for nothing, where a translation
                            reaches its length limit; PARE_NO_TOKEN, null: nothing is */
} pare_marian_config;

/* Sets everything optional: 512 positions, shared embeddings, scaled; relu; dropouts .1, 0 and 0;
 * Xavier's weights; padding 1, end, start and forced end 2 (pare/text.h: pare_bpe). */
PARE_API pare_marian_config pare_marian_config_default(void);
/* A fresh model, initialised from `seed`. */
PARE_API PARE_MUST_CHECK pare_status pare_marian_create(pare_context *context,
                                                        const pare_marian_config *config,
                                                        uint64_t seed, pare_model **model);
/* NULL when the model is of another family. */
PARE_API const pare_marian_config *pare_marian_config_of(const pare_model *model);
/* Replaces the dropouts of the configuration; a negative one stays as it is. */
PARE_API PARE_MUST_CHECK pare_status pare_marian_set_dropout(pare_model *model, float dropout,
                                                             float attention_dropout,
                                                             float inner_dropout);

/* ---- Any model --------------------------------------------------------------------------------*/
/* Reads `directory`/config.json and model.safetensors, and masks when present
 * (pare_model_mask_file; they then live as long as the model). The context must outlive the model.
 */
PARE_API PARE_MUST_CHECK pare_status pare_model_load(pare_context *context, const char *directory,
                                                     pare_model **model);
/* Writes config.json and model.safetensors (each replaced atomically); creates the directory. */
PARE_API PARE_MUST_CHECK pare_status pare_model_save(const pare_model *model,
                                                     const char *directory);
/* Weights only, into an existing model of the same configuration. */
PARE_API PARE_MUST_CHECK pare_status pare_model_load_weights(pare_model *model, const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_model_save_weights(const pare_model *model,
                                                             const char *path);
PARE_API void pare_model_destroy(pare_model *model);
PARE_API const char *pare_model_family(const pare_model *model); /* "transfo-xl" */
PARE_API pare_parameter *pare_model_parameters(pare_model *model, size_t *count);
PARE_API size_t pare_model_parameter_floats(const pare_model *model);
PARE_API void pare_model_zero_gradients(pare_model *model);

/* ---- Kinds of attention (pare/pruning.h) ------------------------------------------------------*/
/* 1, or PARE_ATTENTION_KINDS of a translation model. */
PARE_API size_t pare_model_attention_kinds(const pare_model *model);

/* The geometry of one kind of the model's attention for segments of `length` tokens: what an
 * average must have. For encoders and translation models it serves sequences of up to `length`;
 * `ends_first` may be set in it where keys are an encoder's. Cross attention has as many queries as
 * keys here, and a ratio of 1: all three are the caller's to change. */
PARE_API pare_geometry pare_model_attention_geometry(const pare_model *model,
                                                     pare_attention_kind kind, size_t length);
/* Prunes one kind of the model's attention from now on; NULL: dense again. The mask is copied by
 * reference: it must outlive its use. Refused when layers, heads or geometry do not fit. Plans are
 * compiled on first use per shape and kept. */
PARE_API PARE_MUST_CHECK pare_status pare_model_set_mask(pare_model *model,
                                                         pare_attention_kind kind,
                                                         const pare_mask *mask);
PARE_API const pare_mask *pare_model_mask(const pare_model *model, pare_attention_kind kind);
/* Accumulates one kind of attention into `average` during forward passes; NULL: off. Counting the
 * examples is left to the caller (pare_average_add_examples). */
PARE_API void pare_model_observe(pare_model *model, pare_attention_kind kind,
                                 pare_average *average);
PARE_API double pare_model_plan_seconds(const pare_model *model); /* spent compiling plans */

/* ---- Encoders ---------------------------------------------------------------------------------
 * Sequences lie end to end, so there is no padding, and what a sequence gives does not depend on
 * the others. The arrays must live until backward. */
typedef struct pare_encoder_batch {
    size_t sequences;
    const size_t *offsets;    /* (sequences + 1), the first 0 */
    const uint32_t *tokens;   /* "[CLS] a [SEP]" or "[CLS] a [SEP] b [SEP]" of each sequence */
    const uint32_t *segments; /* 0 for a, 1 for b; NULL: all 0 */
} pare_encoder_batch;

/* Tokens of the longest sequence the model can read; 0 when it is no encoder. */
PARE_API size_t pare_encoder_positions(const pare_model *model);
/* The caller has begun the tape. Results: */
PARE_API pare_tensor *pare_encoder_hidden(pare_model *model, pare_tape *tape,
                                          const pare_encoder_batch *batch); /* (tokens, size) */
/* Classification head: logits, or one prediction, per sequence: (sequences, labels). */
PARE_API pare_tensor *pare_encoder_classify(pare_model *model, pare_tape *tape,
                                            const pare_encoder_batch *batch);
/* Question answering head: (tokens, 2), logits of an answer's first and last token. */
PARE_API pare_tensor *pare_encoder_spans(pare_model *model, pare_tape *tape,
                                         const pare_encoder_batch *batch);
/* Masked word head: (count, vocabulary), logits of the word at these tokens of the batch. */
PARE_API pare_tensor *pare_encoder_words(pare_model *model, pare_tape *tape,
                                         const pare_encoder_batch *batch, const uint32_t *rows,
                                         size_t count);

/* ---- Translation ------------------------------------------------------------------------------
 * Pairs of sequences, end to end, without padding. The arrays must live until backward. */
typedef struct pare_translation_batch {
    size_t pairs;
    const size_t *source_offsets; /* (pairs + 1), the first 0 */
    const uint32_t *source;       /* each source ends with the end token */
    const size_t *target_offsets; /* (pairs + 1), the first 0 */
    const uint32_t *target;       /* what the decoder is to say: each target ends with the end
                                     token. It reads the start token and all but the last of these */
} pare_translation_batch;

/* The caller has begun the tape.
 *
 * What the encoder gives, (source tokens, size), in the order of the sentences; targets are not
 * read. */
PARE_API pare_tensor *pare_translation_source(pare_model *model, pare_tape *tape,
                                              const pare_translation_batch *batch);
/* The decoder's last hidden states, (target tokens, size). */
PARE_API pare_tensor *pare_translation_hidden(pare_model *model, pare_tape *tape,
                                              const pare_translation_batch *batch);
/* Of each target token, given the source and the target before it: (target tokens,
 * target_vocabulary). */
PARE_API pare_tensor *pare_translation_logits(pare_model *model, pare_tape *tape,
                                              const pare_translation_batch *batch);
/* Mean over target tokens of the cross entropy with that label smoothing (pare_cross_entropy):
 * (1, 1). `losses` (target tokens) or NULL. */
PARE_API pare_tensor *pare_translation_loss(pare_model *model, pare_tape *tape,
                                            const pare_translation_batch *batch, float smoothing,
                                            float *losses);

/* ---- Inference ---------------------------------------------------------------------------------
 * Encoders without a tape, faster than an evaluation pass and equal to it but for rounding: weights
 * are packed once for the processor, memory is kept from run to run. The model must outlive the
 * inference and its weights must not change (after training make a new one); its mask is the one
 * set at the time of a run. With PARE_PRECISION_BF16 products and attention multiply numbers of 8
 * significant bits, in half the memory; it needs AVX512-BF16 (pare_context_check_precision). */
typedef struct pare_inference pare_inference;
PARE_API PARE_MUST_CHECK pare_status pare_inference_create(pare_model *model,
                                                           pare_precision precision,
                                                           pare_inference **inference);
PARE_API const pare_model *pare_inference_model(const pare_inference *inference);
PARE_API void pare_inference_destroy(pare_inference *inference);

/* Results, in arrays of the caller; what is NULL is not wanted, and not computed. */
typedef struct pare_inference_output {
    float *hidden;        /* (tokens, size) */
    float *labels;        /* (sequences, labels), as pare_encoder_classify */
    float *spans;         /* (tokens, 2), as pare_encoder_spans */
    float *words;         /* (row_count, vocabulary), as pare_encoder_words */
    const uint32_t *rows; /* (row_count): tokens of the batch for `words` */
    size_t row_count;
} pare_inference_output;
/* The same bits for any number of threads. */
PARE_API PARE_MUST_CHECK pare_status pare_inference_run(pare_inference *inference,
                                                        const pare_encoder_batch *batch,
                                                        const pare_inference_output *output);
/* Seconds inside attention calls since it was created. */
PARE_API double pare_inference_attention_seconds(const pare_inference *inference);
/* Packed weights, and what runs needed so far. */
PARE_API size_t pare_inference_bytes(const pare_inference *inference);

/* ---- Translation at work ------------------------------------------------------------------------
 * Encoder-decoder models without a tape: packed weights as above, the decoder token by token, beam
 * search. What was said of pare_inference holds of a translator: the model must outlive it, its
 * weights must not change, its masks are those set at the time of a call. In bf16 the attention of
 * the decoder, which is a small part, still multiplies in fp32. */
typedef struct pare_translator pare_translator;
PARE_API PARE_MUST_CHECK pare_status pare_translator_create(pare_model *model,
                                                            pare_precision precision,
                                                            pare_translator **translator);
PARE_API void pare_translator_destroy(pare_translator *translator);
PARE_API const pare_model *pare_translator_model(const pare_translator *translator);
/* Packed weights, and what calls needed so far. */
PARE_API size_t pare_translator_bytes(const pare_translator *translator);
/* Seconds inside attention since it was created: all of the encoder's; of the decoder's, those of
 * the thread that spent most in each step. */
PARE_API double pare_translator_attention_seconds(const pare_translator *translator);

/* When the search for a sentence ends, if not at the length limit. */
typedef enum pare_stop_rule {
    PARE_STOP_FULL,    /* as soon as `beam` hypotheses are final: `early_stopping` of transformers'
                          generate */
    PARE_STOP_HOPELESS /* when moreover the best open one, were it final at its present length,
                          would score no more than the worst of the `beam` best: generate's default
                        */
} pare_stop_rule;

/* What becomes of hypotheses that are still open before the last token they may have. */
typedef enum pare_limit_rule {
    PARE_LIMIT_MODEL, /* as transformers' generate: it is the model's forced_end, whose
                         log-probability counts as 0, or without one as PARE_LIMIT_CUT */
    PARE_LIMIT_END,   /* it is the end token, at its log-probability */
    PARE_LIMIT_CUT    /* it is any token, and the hypothesis is final */
} pare_limit_rule;

/* Time grows faster than the beam, lists of words with its square. */
#define PARE_BEAM_MAX 1000

/* Beam search. In each step the open hypotheses of a sentence, in the first step one, are extended
 * by every token but the padding token, and the 2 * beam best extensions by sum of
 * log-probabilities are looked at in turn: one by the end token is final if it is among the first
 * `beam`, the first `beam` others stay open. Final hypotheses are ranked by score, the sum divided
 * by (tokens, the end token included)^length_penalty, and the `beam` best are kept. */
typedef struct pare_translate_options {
    size_t beam;           /* 1: greedy; at most PARE_BEAM_MAX and the words of the vocabulary */
    double length_penalty; /* alpha; above 0 longer hypotheses gain, 0: the sum itself */
    double length_factor;  /* At most length_factor * S + length_extra tokens, the end token */
    double length_extra;   /* included, where S are the source's, its end token included. Positions
                              and cell masks may allow fewer */
    pare_stop_rule stop;
    pare_limit_rule limit;
    size_t n_best; /* hypotheses wanted of each sentence, 1 .. beam */
    size_t batch;  /* sentences worked on at a time, 0: 64, fewer when beam is above 32. Results do
                      not depend on it; memory grows with batch * beam^2 */
} pare_translate_options;

/* Beam 5, length penalty 1, at most S + 50 tokens, PARE_STOP_FULL, PARE_LIMIT_MODEL, one
 * hypothesis. */
PARE_API pare_translate_options pare_translate_options_default(void);

typedef struct pare_hypothesis {
    size_t length;                  /* 0: there is none, the tokens below are NULL */
    const uint32_t *tokens;         /* (length), without the start token, the end token last unless
                                       the limit came first */
    const float *log_probabilities; /* (length), of each token given those before it */
    double log_probability;         /* their sum */
    double score;                   /* divided by length^length_penalty */
} pare_hypothesis;

typedef struct pare_translations {
    size_t sentences, n_best;
    pare_hypothesis *hypotheses; /* (sentences, n_best), each sentence's best first; fewer than
                                    n_best exist only where the vocabulary is smaller than beam */
    uint64_t steps, rows;        /* of the decoder, and hypotheses extended in them together */
    uint32_t *tokens;            /* what the hypotheses point to, of all together */
    float *log_probabilities;
} pare_translations;

/* Translates sources as in pare_translation_batch, each with its end token. The same tokens and
 * bits for any number of threads, whatever else is in the call. Sources that the model or a cell
 * mask has no room for are refused before anything is translated. Calls end early with
 * PARE_ERROR_INTERRUPTED after pare_interrupt. No sources at all: only the options are checked. */
PARE_API PARE_MUST_CHECK pare_status pare_translate(pare_translator *translator,
                                                    const pare_ragged *sources,
                                                    const uint32_t *tokens,
                                                    const pare_translate_options *options,
                                                    pare_translations *translations);
/* Releases what the arrays hold, and empties it; an empty one is fine. */
PARE_API void pare_translations_free(pare_translations *translations);

/* ---- Language models --------------------------------------------------------------------------*/
/* Hidden states of earlier segments, one lane per stream; grows to `length` tokens, which may
 * differ from the model's own memory length (in evaluation). A segment's backward pass must come
 * before the next segment with the same memory. */
typedef struct pare_memory pare_memory;
PARE_API PARE_MUST_CHECK pare_status pare_memory_create(const pare_model *model, size_t lanes,
                                                        size_t length /* usually config.memory */,
                                                        pare_memory **memory);
PARE_API void pare_memory_destroy(pare_memory *memory);
PARE_API void pare_memory_clear(pare_memory *memory);
PARE_API size_t pare_memory_filled(const pare_memory *memory); /* tokens held per lane */
/* The held states for checkpoints and tests: state l = 0 .. layers - 1 is what layer l reads (state
 * 0 is the embedding), as (lanes, filled, size), oldest token first. */
PARE_API size_t pare_memory_states(const pare_memory *memory);
PARE_API size_t pare_memory_size(const pare_memory *memory); /* columns of a state */
PARE_API const float *pare_memory_state(const pare_memory *memory, size_t state);
PARE_API PARE_MUST_CHECK pare_status pare_memory_restore(pare_memory *memory, size_t filled,
                                                         const float *const *states);

/* Words the model knows; 0 when it is no language model. */
PARE_API size_t pare_language_model_vocabulary(const pare_model *model);

/* One segment of every lane: inputs and targets are (lanes, length). */
typedef struct pare_segment {
    size_t lanes, length;
    const uint32_t *inputs, *targets;
} pare_segment;

/* Mean loss (1, 1) over the segment; `losses` (lanes * length) optional. Advances the memory (NULL:
 * none, the segment stands alone). The caller has begun the tape. */
PARE_API pare_tensor *pare_language_model_loss(pare_model *model, pare_tape *tape,
                                               pare_memory *memory, const pare_segment *segment,
                                               float *losses);
/* Log-probabilities of the next token after each lane's last input, (lanes, vocabulary). Targets
 * are not read. Advances the memory. The caller has begun the tape. */
PARE_API PARE_MUST_CHECK pare_status pare_language_model_next(pare_model *model, pare_tape *tape,
                                                              pare_memory *memory,
                                                              const pare_segment *segment,
                                                              float *log_probabilities);

#ifdef __cplusplus
}
#endif
#endif
