/* BERT and DistilBERT compute nearly the same and spell nearly everything differently: a form is
 * how one of them is written in config.json and in weights, and where its formulas differ. */
#ifndef PARE_SRC_MODELS_BERT_FORM_H
#define PARE_SRC_MODELS_BERT_FORM_H

#include "models/model.h"

enum { PRI_BERT_HEADS = PARE_HEAD_MASKED_WORDS + 1 };

/* Keys of config.json. */
typedef struct pri_bert_keys {
    const char *layers, *heads, *size, *feed_forward, *activation;
    const char *dropout, *attention_dropout, *head_dropout;
    const char *segments, *epsilon, *answer_dropout; /* NULL: has none */
} pri_bert_keys;

/* Names of parameters, before ".weight" and ".bias"; those of a layer follow its number. */
typedef struct pri_bert_parameters {
    const char *body, *layers; /* "bert.", which a bare model leaves out; "encoder.layer." */
    const char *query, *key, *value, *output, *attention_norm;
    const char *inner, *outer, *output_norm;
    const char *pooler;     /* what stands before the labels */
    bool pooler_in_body;    /* its name follows `body`, and a bare model has it too */
    const char *words_head; /* what all names of the head for masked words begin with */
    const char *transform, *transform_norm; /* of that head */
    const char *words_bias;                 /* without ".bias" */
    const char *words_alias;                /* where files may repeat the embedding */
    bool bias_alias;                        /* and the bias */
} pri_bert_parameters;

typedef struct pri_bert_form {
    const pri_family *family;
    const char *classes[PRI_BERT_HEADS]; /* "BertModel"; by pare_head */
    const char *pretraining;             /* of another class with masked words; NULL: none */
    pri_bert_keys keys;
    pri_bert_parameters parameters;
    pare_activation pooler_activation;
    /* Where config.json is silent. */
    size_t layers;
    float head_dropout, answer_dropout;
} pri_bert_form;

const pri_bert_form *pri_bert_form_of(const pare_bert_config *config);

#endif
