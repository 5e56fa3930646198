/* Encoder-decoder models: parameters, for the forward code on the tape and for the one that only
 * translates, and configuration. */
#ifndef PARE_SRC_MODELS_MARIAN_H
#define PARE_SRC_MODELS_MARIAN_H

#include "models/transformer_block.h"

typedef struct pri_decoder_layer {
    pri_attention_block attention, cross;
    pri_feed_forward_block feed_forward;
} pri_decoder_layer;

typedef struct pri_marian {
    pare_model base;
    pare_marian_config config;
    /* (vocabulary, d); with shared embeddings two or all of them are one tensor */
    pare_tensor *source_words, *target_words, *output_words;
    const float *output_bias; /* (target_vocabulary), not trained: final_logits_bias */
    float *sinusoids;         /* (sinusoid_rows, d): as many positions as were needed so far */
    size_t sinusoid_rows;
    pri_encoder_layer *encoder;
    pri_decoder_layer *decoder;
    pri_norm encoder_norm, decoder_norm; /* of pre-norm models, after the last layer */
} pri_marian;

static inline pri_marian *pri_marian_of(pare_model *model)
{
    return (pri_marian *)model;
}

#define PRI_MARIAN_EPSILON 1e-5f /* of layer norms */

/* Each word's vector is multiplied by this. */
float pri_marian_embedding_scale(const pare_marian_config *config);

/* Makes the table of positions long enough for sequences of `length` tokens. */
pare_status pri_marian_extend_sinusoids(pri_marian *model, size_t length);

/* Whether the model is one of translation. */
pare_status pri_marian_check(const pare_model *model);
/* Whether the model can read these sequences of words, sources or targets; `longest`: tokens of the
 * longest. `what` is "source" or "target". */
pare_status pri_marian_check_sequences(const pri_marian *model, const char *what,
                                       const pare_ragged *sequences, const uint32_t *words,
                                       size_t vocabulary, size_t *longest);

/* ---- Configuration (marian_config.c) ---- */
/* What fits together. */
pare_status pri_marian_check_config(const pare_marian_config *config);
/* From and to the keys of Hugging Face's MarianConfig; `path` is for messages. */
pare_status pri_marian_read_config(const json_t *object, const char *path,
                                   pare_marian_config *config);
json_t *pri_marian_write_config(const pare_marian_config *config);

#endif
