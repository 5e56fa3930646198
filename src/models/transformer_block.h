/* The two halves of a transformer layer, attention and feed-forward, as BERT and encoder-decoder
 * models have them: parameters, and forward code on the tape.
 *
 *     post-norm    h = LN(h + drop(f(h)))         pre-norm    h = h + drop(f(LN(h)))
 *
 * with f(h) = W_o attention(W_q h, W_k m, W_v m), where m is h itself or, in cross attention, what
 * the encoder gave, or f(h) = W_2 drop(activation(W_1 h)). All products have biases. */
#ifndef PARE_SRC_MODELS_TRANSFORMER_BLOCK_H
#define PARE_SRC_MODELS_TRANSFORMER_BLOCK_H

#include "models/model.h"

/* A layer norm. */
typedef struct pri_norm {
    pare_tensor *gain, *offset; /* (1, d) */
} pri_norm;

typedef struct pri_attention_block {
    pare_tensor *query_weight, *query_bias; /* (d, d), (1, d) */
    pare_tensor *key_weight, *key_bias;
    pare_tensor *value_weight, *value_bias;
    pare_tensor *output_weight, *output_bias; /* W_o */
    pri_norm norm;
} pri_attention_block;

typedef struct pri_feed_forward_block {
    pare_tensor *inner_weight, *inner_bias; /* W_1 (f, d) */
    pare_tensor *outer_weight, *outer_bias; /* W_2 (d, f) */
    pri_norm norm;
} pri_feed_forward_block;

/* A layer of an encoder. */
typedef struct pri_encoder_layer {
    pri_attention_block attention;
    pri_feed_forward_block feed_forward;
} pri_encoder_layer;

/* What all blocks of a model have in common in one forward pass. */
typedef struct pri_block_pass {
    pare_tape *tape;
    float epsilon; /* of layer norms */
    float dropout, inner_dropout;
    pare_activation activation;
    bool pre_norm;
} pri_block_pass;

pare_tensor *pri_norm_run(const pri_block_pass *pass, const pri_norm *norm, pare_tensor *h);
/* `memory` NULL: keys and values come from h. */
pare_tensor *pri_attention_block_run(const pri_block_pass *pass, const pri_attention_block *block,
                                     const pare_attention *layout, pare_tensor *h,
                                     pare_tensor *memory);
pare_tensor *pri_feed_forward_block_run(const pri_block_pass *pass,
                                        const pri_feed_forward_block *block, pare_tensor *h);

#endif
