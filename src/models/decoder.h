/* The decoder of a translation model without a tape, one token of many hypotheses at a time.
 *
 * Keys and values of tokens lie in slots, one per token of a hypothesis; a hypothesis is a list of
 * slots, so hypotheses share the slots of what they have in common, and nothing is copied when one
 * is continued by several others. Keys and values of a source are computed once and read by all its
 * hypotheses.
 *
 * A step has no phases that rows would have to wait for: each thread takes blocks of rows from the
 * embedding through all layers to the best words. When there are few rows, all threads work on one
 * block and share every product instead, so that each reads a part of the weights. A row's bits do
 * not depend on either. */
#ifndef PARE_SRC_MODELS_DECODER_H
#define PARE_SRC_MODELS_DECODER_H

#include "base/memory.h"
#include "models/marian.h"
#include "models/packed_block.h"
#include "nn/decoding.h"

typedef struct pri_decoder_packed_layer {
    pri_packed_linear inputs, output; /* of self attention; queries, keys and values in one */
    pri_packed_linear query, cross_output;
    pri_packed_linear memory; /* keys and values of the source in one */
    pri_packed_linear up, down;
} pri_decoder_packed_layer;

typedef struct pri_decoder {
    pri_marian *model;
    pri_packed_rules rules;
    pri_packing packing;
    const pri_decoding_kernels *kernels;
    pri_decoder_packed_layer *layers;
    pri_packed_linear words;
    float **slots; /* (layers) of (slot_count, 2, size): keys and values */
    size_t slot_count;
    pri_arena *arena;                 /* of a call, from pri_decoder_begin on */
    struct pri_step_scratch *scratch; /* (threads) */
    uint32_t *columns;                /* 0, 1, ..: all columns of a source */
    double attention_seconds;
} pri_decoder;

/* Packs the weights of the model, rules and packing that are set. */
pare_status pri_decoder_pack(pri_decoder *decoder);
void pri_decoder_release(pri_decoder *decoder);
size_t pri_decoder_bytes(const pri_decoder *decoder);

/* Room for steps of hypotheses of up to `positions` tokens, sources of up to `longest_source`, and
 * `best` words per row. */
pare_status pri_decoder_begin(pri_decoder *decoder, size_t positions, size_t longest_source,
                              size_t best);
pare_status pri_decoder_reserve_slots(pri_decoder *decoder, size_t count);

/* Keys and values of a source, in the order of the columns of the cross attention's mask. */
typedef struct pri_decoder_source {
    const float *memory; /* layer l: (length, 2, size) at memory + l * layer_stride */
    size_t length, layer_stride;
} pri_decoder_source;

/* A hypothesis to be extended: its last token, of which nothing is known yet, is at `position`. */
typedef struct pri_decoder_row {
    uint32_t token;
    size_t position;
    const uint32_t *slots; /* (position + 1) */
    const pri_decoder_source *source;
} pri_decoder_row;

/* What may follow it. */
typedef struct pri_decoder_result {
    pri_best_words best; /* logits of the best words but for the padding token */
    float end;           /* logit of the end token */
    float log_sum;       /* log-probability = logit - log_sum; not a number if the logits are not */
} pri_decoder_result;

/* `results` (count) need their best.words and capacity set. */
pare_status pri_decoder_step(pri_decoder *decoder, const pri_decoder_row *rows, size_t count,
                             pri_decoder_result *results);

#endif
