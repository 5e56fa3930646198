/* Encoder layers without a tape, of BERT and of translation models. The weights of all layers are
 * packed once; a run then goes through two phases a layer. In one, each thread takes a block of
 * rows from the attention of the layer before through everything that concerns rows alone (output
 * product, layer norm, both products of the feed-forward part with what is between them, layer
 * norm, and the product that makes queries, keys and values of the next layer), so that results go
 * on from the second-level cache. In the other the attention call has all rows. Biases, activations
 * and residuals join the passes they border.
 *
 * A row's bits depend neither on the block it is in nor on the number of threads. */
#ifndef PARE_SRC_MODELS_ENCODER_STACK_H
#define PARE_SRC_MODELS_ENCODER_STACK_H

#include "base/memory.h"
#include "models/packed_block.h"

typedef struct pri_packed_layer {
    pri_packed_linear inputs; /* queries, keys and values in one */
    pri_packed_linear output, up, down;
} pri_packed_layer;

typedef struct pri_encoder_stack {
    pare_model *model;
    const pri_encoder_layer *layers; /* (count) */
    size_t count, heads, feed_forward;
    const pri_norm *final_norm; /* behind the last layer; NULL: none */
    pri_packed_rules rules;
    pri_packing packing; /* also of what the owner packs for the rows of a run */
    pri_packed_layer *packed;
    double attention_seconds;
} pri_encoder_stack;

/* Packs the layers that the fields above `packed` describe. */
pare_status pri_encoder_stack_pack(pri_encoder_stack *stack);
void pri_encoder_stack_release(pri_encoder_stack *stack);

/* What a thread needs for a block of rows. */
typedef struct pri_block_scratch {
    float *attended, *normal, *inner; /* (rows of a block, size), the same, (.., feed_forward) */
    uint32_t *words;                  /* a product's input in bf16 */
} pri_block_scratch;

/* One run. The caller fills in what is above the line and begins the run. */
typedef struct pri_encoder_run {
    pri_encoder_stack *stack;
    pri_arena *arena; /* of everything below */
    pare_ragged sequences;
    size_t longest;
    /* The embedding of token `token` of the batch, the `position`-th of its sequence. */
    void (*embed)(const void *user, size_t token, size_t position, float *row);
    const void *user;
    /* ---- */
    size_t tokens, size;
    bool ends_first;
    /* Row r of everything below is token `token[r]` of the batch, the `position[r]`-th of its
     * sequence. */
    uint32_t *token, *position;
    pare_plan *const *plans;
    float *hidden, *inputs, *context; /* (tokens, size), (tokens, 3, size), (tokens, size) */
    pri_block_scratch *scratch;       /* (threads) */
    pare_attention call;
    void *workspace;
} pri_encoder_run;

/* All layers up to the attention of the last, whose results are in `context` and what goes around
 * it in `hidden`. */
pare_status pri_encoder_run_layers(pri_encoder_run *run);
/* The rest of the last layer for `rows` rows of `context` and `hidden`, in the place of the latter.
 */
void pri_encoder_run_finish(const pri_encoder_run *run, size_t rows, const float *context,
                            float *hidden);
/* output (rows, the linear's) = activation(..) of rows of `size`, by all threads. */
void pri_encoder_run_apply(const pri_encoder_run *run, const pri_packed_linear *linear,
                           pare_activation activation, size_t rows, const float *input,
                           float *output);
/* From the run's arena: (rows, size). */
float *pri_encoder_run_rows(const pri_encoder_run *run, size_t rows);

#endif
