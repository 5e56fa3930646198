/* Tensors, the tape (reverse-mode differentiation), operators and losses.
 *
 * Models are written forward only: each operator computes its output at once and records how to go
 * back. Everything of a step lives in the tape's arena, which is reset, not freed, between steps:
 * after the first step of a given shape the tape allocates nothing.
 *
 * Errors are sticky: after one operator fails, the others return NULL at once and accept NULL, so a
 * model's forward code needs no checks; ask pare_tape_status at the end. */
#ifndef PARE_NN_H
#define PARE_NN_H

#include "pare/attention.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A row-major matrix; rows are tokens, columns are features. `gradient` is NULL when none is
 * wanted. A parameter is a zero-initialised pare_tensor with its sizes and pointers filled in. */
typedef struct pare_tensor {
    size_t rows, columns;
    float *value, *gradient;
    bool gradient_pending; /* the tape's mark on results of operators: a gradient is wanted, but
                              nothing was added to it yet and `gradient` is still NULL */
} pare_tensor;

typedef struct pare_tape pare_tape;

PARE_API PARE_MUST_CHECK pare_status pare_tape_create(pare_context *context, pare_tape **tape);
PARE_API void pare_tape_destroy(pare_tape *tape);
/* Begins a step: forgets all records. `training` turns dropout and gradients on. `key` seeds this
 * step's dropout: the same key gives the same draws at any number of threads. */
PARE_API void pare_tape_begin(pare_tape *tape, bool training, uint64_t key);
PARE_API pare_status pare_tape_status(const pare_tape *tape);
PARE_API bool pare_tape_training(const pare_tape *tape);
PARE_API pare_context *pare_tape_context(const pare_tape *tape);
PARE_API size_t pare_tape_bytes(const pare_tape *tape); /* high-water mark of the arena */
/* Seconds inside attention calls (forward and backward) since the tape was created. */
PARE_API double pare_tape_attention_seconds(const pare_tape *tape);
/* A fresh (rows, columns) tensor, values undefined, gradient zero in training. For inputs of models
 * that are no parameters (set `gradient` to NULL to stop the gradient there) and for new operators.
 */
PARE_API pare_tensor *pare_tape_tensor(pare_tape *tape, size_t rows, size_t columns);
/* Wraps a constant matrix of the caller (no gradient), without a copy; valid during the step. */
PARE_API pare_tensor *pare_tape_constant(pare_tape *tape, const float *value, size_t rows,
                                         size_t columns);
/* Sets d loss = scale for the (1, 1) tensor `loss` and walks back. Parameter gradients are added
 * to, so that several batches can be accumulated. Gradients of operators' results exist only while
 * backward needs them. */
PARE_API PARE_MUST_CHECK pare_status pare_tape_backward(pare_tape *tape, pare_tensor *loss,
                                                        float scale);

/* ---- Operators --------------------------------------------------------------------------------
 * Shapes in comments; results live until the next pare_tape_begin. */
typedef enum pare_activation {
    PARE_ACTIVATION_NONE,
    PARE_ACTIVATION_RELU,
    PARE_ACTIVATION_GELU,  /* x/2 (1 + erf(x / sqrt 2)) */
    PARE_ACTIVATION_SWISH, /* x / (1 + exp(-x)) */
    PARE_ACTIVATION_TANH
} pare_activation;

/* (n, in) x weight (out, in), bias (1, out) or NULL -> (n, out) */
PARE_API pare_tensor *pare_linear(pare_tape *tape, pare_tensor *input, pare_tensor *weight,
                                  pare_tensor *bias, pare_activation activation);
/* pare_dropout(pare_linear(...)), in one pass over the result. */
PARE_API pare_tensor *pare_linear_dropped(pare_tape *tape, pare_tensor *input, pare_tensor *weight,
                                          pare_tensor *bias, pare_activation activation,
                                          float probability);
/* weight (V, d), ids[n] < V -> (n, d), each row times `scale` */
PARE_API pare_tensor *pare_embedding(pare_tape *tape, pare_tensor *weight, const uint32_t *ids,
                                     size_t count, float scale);
/* Embedding whose words have smaller vectors the rarer they are (Transformer-XL with div_val > 1).
 * Cutoffs as in pare_adaptive_softmax, of which weights and projections may be the same tensors. */
#define PARE_CLUSTERS_MAX 8
typedef struct pare_adaptive_words {
    size_t clusters;
    size_t cutoffs[PARE_CLUSTERS_MAX];      /* end of each cluster; the last is the vocabulary */
    pare_tensor *weight[PARE_CLUSTERS_MAX]; /* (words of the cluster, size of the cluster) */
    pare_tensor *projection[PARE_CLUSTERS_MAX]; /* (d, size of the cluster); NULL: the size is d */
} pare_adaptive_words;
/* ids[n] < V -> (n, d): row = scale * projection x (the word's vector). */
PARE_API pare_tensor *pare_adaptive_embedding(pare_tape *tape, const pare_adaptive_words *words,
                                              const uint32_t *ids, size_t count, float scale);
/* gain, bias (1, d) */
PARE_API pare_tensor *pare_layer_norm(pare_tape *tape, pare_tensor *input, pare_tensor *gain,
                                      pare_tensor *bias, float epsilon);
/* In evaluation, or with probability 0, returns its input. */
PARE_API pare_tensor *pare_dropout(pare_tape *tape, pare_tensor *input, float probability);
PARE_API pare_tensor *pare_add(pare_tape *tape, pare_tensor *a, pare_tensor *b);
/* factor * input */
PARE_API pare_tensor *pare_scale(pare_tape *tape, pare_tensor *input, float factor);
/* residual + pare_dropout(input), in one pass. */
PARE_API pare_tensor *pare_add_dropped(pare_tape *tape, pare_tensor *residual, pare_tensor *input,
                                       float probability);
/* For each of `groups` equal groups of rows: a's rows of the group, then b's. a and b may differ in
 * rows per group. (Transformer-XL's [memory ; segment] per lane.) */
PARE_API pare_tensor *pare_concatenate_groups(pare_tape *tape, pare_tensor *a, pare_tensor *b,
                                              size_t groups);
/* Rows begin .. begin + count - 1, sharing storage with the input, gradient included. */
PARE_API pare_tensor *pare_rows(pare_tape *tape, pare_tensor *input, size_t begin, size_t count);

/* rows[n] < rows of the input -> (n, columns): row i is the input's row rows[i]. A row may be named
 * several times; its gradients add up. */
PARE_API pare_tensor *pare_select_rows(pare_tape *tape, pare_tensor *input, const uint32_t *rows,
                                       size_t count);

/* Attention over (tokens, heads * head_size) matrices. `layout` gives heads, head_size, scale,
 * queries, keys, causal, window, dropout, plan and observer; the tape fills in views, logsumexp and
 * dropout_key. Offsets arrays must live until backward. */
typedef struct pare_relative_tensors {
    pare_tensor *content_bias, *position_bias; /* (heads, head_size) */
    pare_tensor *table;                        /* (distances, heads * head_size) */
} pare_relative_tensors;
PARE_API pare_tensor *pare_attend(pare_tape *tape, const pare_attention *layout, pare_tensor *query,
                                  pare_tensor *key, pare_tensor *value,
                                  const pare_relative_tensors *relative /* or NULL */);

/* Mean over rows of -log softmax(logits)[target] -> (1, 1). Rows whose target is PARE_IGNORE do not
 * count. `smoothing` e: (1 - e)(-log p_y) + (e / V) sum_w -log p_w. `losses` (rows) or NULL. */
#define PARE_IGNORE UINT32_MAX
PARE_API pare_tensor *pare_cross_entropy(pare_tape *tape, pare_tensor *logits,
                                         const uint32_t *targets, float smoothing, float *losses);

/* One column of logits (tokens, columns), whose tokens belong to `sequences`: for each sequence the
 * softmax over its tokens and -log p of token targets[n] of the sequence; the mean over sequences
 * -> (1, 1). Sequences whose target is PARE_IGNORE do not count. `losses` (sequences) or NULL. The
 * offsets must live until backward. */
PARE_API pare_tensor *pare_sequence_cross_entropy(pare_tape *tape, pare_tensor *logits,
                                                  size_t column, const pare_ragged *sequences,
                                                  const uint32_t *targets, float *losses);
/* Mean of (prediction - target)^2 over predictions (n, 1) -> (1, 1). `losses` (n) or NULL. */
PARE_API pare_tensor *pare_mean_squared_error(pare_tape *tape, pare_tensor *predictions,
                                              const float *targets, float *losses);
/* T^2 KL(softmax(targets / T) || softmax(logits / T)), mean over distributions -> (1, 1), what a
 * model is distilled with (arXiv 1503.02531); targets (n, columns) are the teacher's logits. A
 * distribution is a row of logits (n, columns), or with `sequences` (not NULL) each column over the
 * tokens of each sequence. */
PARE_API pare_tensor *pare_divergence(pare_tape *tape, pare_tensor *logits, const float *targets,
                                      const pare_ragged *sequences, float temperature);

/* Adaptive softmax (arXiv 1609.04309) with the layout of Transformer-XL. Cluster 0 is the
 * shortlist; cutoffs[c] is the first word of cluster c + 1; cutoffs end with the vocabulary size.
 * The head scores shortlist words, then the tokens of clusters 1 .. clusters - 1 in this order:
 * cluster c's token is head column (shortlist size + c - 1), row c - 1 of cluster_weight. This is
 * the order of Hugging Face's checkpoints; the original PyTorch code has it reversed. */
typedef struct pare_adaptive_softmax {
    size_t clusters;                        /* 1: a plain softmax */
    size_t cutoffs[PARE_CLUSTERS_MAX];      /* end of each cluster; the last is the vocabulary */
    pare_tensor *weight[PARE_CLUSTERS_MAX]; /* (words of the cluster, size of the cluster) */
    pare_tensor *bias[PARE_CLUSTERS_MAX];   /* (1, words of the cluster) */
    pare_tensor *projection[PARE_CLUSTERS_MAX]; /* (d, size of the cluster): the cluster sees hidden
                                                   x projection; NULL: none, the size is d */
    pare_tensor *cluster_weight,
        *cluster_bias; /* (clusters - 1, size of cluster 0), (1, clusters - 1) */
} pare_adaptive_softmax;
/* hidden (n, d) -> (1, 1) mean negative log-likelihood over rows whose target is not PARE_IGNORE;
 * `losses` (n), optional, 0 in ignored rows. Logits exist for a block of rows at a time only; in
 * training their gradient is taken on the spot, with one copy of each weight to hold it. */
PARE_API pare_tensor *pare_adaptive_softmax_loss(pare_tape *tape, pare_tensor *hidden,
                                                 const pare_adaptive_softmax *softmax,
                                                 const uint32_t *targets, float *losses);
/* Log-probabilities of the whole vocabulary for each row of hidden, (n, V) into `output`. */
PARE_API PARE_MUST_CHECK pare_status pare_adaptive_softmax_log_probabilities(
    pare_tape *tape, pare_tensor *hidden, const pare_adaptive_softmax *softmax, float *output);

/* output (m, n) = alpha * op(a) op(b) + beta * output; row-major; op transposes when asked.
 * Deterministic at any number of threads. */
PARE_API PARE_MUST_CHECK pare_status pare_matrix_product(pare_context *context, bool transpose_a,
                                                         bool transpose_b, size_t m, size_t n,
                                                         size_t k, float alpha, const float *a,
                                                         size_t lda, const float *b, size_t ldb,
                                                         float beta, float *output, size_t ldo);
/* The numbers that matrix products of a context multiply, fp32 at first; sums are fp32 in either
 * case. bf16 rounds both operands to 8 bits of precision and is nearly twice as fast. It needs
 * AVX512-BF16; elsewhere it is refused with PARE_ERROR_UNSUPPORTED. Attention is not affected: it
 * has a field of its own (pare/attention.h). */
PARE_API PARE_MUST_CHECK pare_status pare_context_set_precision(pare_context *context,
                                                                pare_precision precision);
PARE_API PARE_MUST_CHECK pare_status pare_context_check_precision(const pare_context *context,
                                                                  pare_precision precision);
PARE_API pare_precision pare_context_precision(const pare_context *context);
/* Seconds inside matrix products since the context was created. */
PARE_API double pare_matrix_product_seconds(const pare_context *context);

#ifdef __cplusplus
}
#endif
#endif
