/* BERT: its parameters, for the forward code on the tape and for the one that only infers, and its
 * configuration. */
#ifndef PARE_SRC_MODELS_BERT_H
#define PARE_SRC_MODELS_BERT_H

#include "models/transformer_block.h"

typedef struct pri_bert {
    pare_model base;
    pare_bert_config config;
    char **labels; /* names of the classification head's, (config.labels); NULL without it */

    pare_tensor *words, *positions; /* (vocabulary, d), (positions, d) */
    pare_tensor *segments;          /* (segments, d); NULL: the model does not tell them apart */
    pri_norm embedding_norm;
    pri_encoder_layer *layers;
    pare_tensor *pooler_weight, *pooler_bias; /* of classification, and of a bare BERT */
    /* Of the head: (labels, d), or (2, d) for question answering; for masked words the (1,
     * vocabulary) bias alone, the weight is `words`. */
    pare_tensor *head_weight, *head_bias;
    pare_tensor *transform_weight, *transform_bias; /* of masked words, before the output */
    pri_norm transform_norm;
} pri_bert;

static inline pri_bert *pri_bert_of(pare_model *model)
{
    return (pri_bert *)model;
}

/* Whether the model can read these sequences; `longest`: tokens of the longest. */
pare_status pri_bert_check_batch(const pri_bert *model, const pare_encoder_batch *batch,
                                 size_t *longest);

/* ---- Configuration ---- */
/* What fits together. */
pare_status pri_bert_check_config(const pare_bert_config *config);
/* From and to the keys of Hugging Face's BertConfig or DistilBertConfig; `path` is for messages.
 * `labels` are the names of a classification head's, to be freed with pri_bert_free_labels;
 * otherwise NULL. */
pare_status pri_bert_read_config(const json_t *object, const char *path, pare_bert_config *config,
                                 char ***labels);
json_t *pri_bert_write_config(const pare_bert_config *config, char *const *labels);
/* "LABEL_0", ...; NULL: no memory. */
char **pri_bert_default_labels(size_t count);
void pri_bert_free_labels(char **labels, size_t count);

/* ---- Parameters ---- */
/* Declares those of the configuration. */
void pri_bert_declare(pri_bert *model);
const char *pri_bert_own_name(const pare_model *model, const char *stored, char *spelling);

#endif
