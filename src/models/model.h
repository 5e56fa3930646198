/* Inside of models: what a family provides, and what all models share - the table of parameters,
 * masks compiled to plans, the memory of language models. */
#ifndef PARE_SRC_MODELS_MODEL_H
#define PARE_SRC_MODELS_MODEL_H

#include <jansson.h>

#include "base/status.h"
#include "pare/model.h"

/* A model family is one table of functions. Its models embed `pare_model` as their first member. */
typedef struct pri_family {
    const char *name; /* "model_type" in config.json */
    /* A model as `config` (from file `path`) describes it, its parameters declared. */
    pare_status (*from_config)(pare_context *context, const json_t *config, const char *path,
                               pare_model **model);
    json_t *(*to_config)(const pare_model *model); /* NULL: no memory */
    /* NULL: tensors in files are named like parameters. Otherwise the parameter's name for a
     * tensor's, which may be written to `spelling` (PRI_NAME_MAX); NULL: nothing of this model's,
     * but to be expected in such a file. */
    const char *(*own_name)(const pare_model *model, const char *stored, char *spelling);
    /* Called once the parameters have storage: sets up tensors that are parts of others. */
    void (*bind)(pare_model *model);
    void (*destroy)(pare_model *model); /* the family's own allocations and the model itself */
    size_t kinds;                       /* of attention */
    pare_geometry (*attention)(const pare_model *model, pare_attention_kind kind, size_t length);

    /* Language models only; NULL otherwise. */
    /* (lanes * length, size): what the output layer sees. Advances `memory` unless NULL. */
    pare_tensor *(*hidden)(pare_model *model, pare_tape *tape, pare_memory *memory,
                           const pare_segment *segment);
    const pare_adaptive_softmax *(*output)(const pare_model *model);
} pri_family;

extern const pri_family pri_transformer_xl_family, pri_bert_family, pri_distilbert_family,
    pri_marian_family;

#define PRI_NAME_MAX 128 /* bytes of a parameter's name, where families look at them */

/* What pare_parameter does not say. */
typedef struct pri_parameter_notes {
    size_t dimensions;     /* in files: 1 or 2 */
    float mean, deviation; /* of fresh values, normally distributed */
    bool uniform;          /* or uniformly */
    bool head;             /* belongs to the task, and is drawn afresh for another one */
    pare_tensor **slot;    /* where the family keeps the address of the tensor */
} pri_parameter_notes;

/* A second name of a parameter (tied weights), accepted in files. */
typedef struct pri_alias {
    char *name;
    size_t parameter;
    bool written; /* a copy is saved too, where other libraries would miss it */
} pri_alias;

/* A vector that checkpoints hold although it is not trained. */
typedef struct pri_constant {
    char *name;
    float *value;
    size_t count;
    bool row; /* in files: a matrix of one row */
} pri_constant;

/* The plans of all layers for calls of at most so many queries and keys. */
typedef struct pri_plan_set {
    size_t queries, keys;
    pare_plan **plans; /* (layers of the kind) */
} pri_plan_set;

/* One head's row of a mask: its kept columns, ascending. */
typedef struct pri_kept_row {
    const uint32_t *columns;
    uint32_t count;
    bool uniform; /* attention is uniform over them */
} pri_kept_row;

/* Mask and observation of one kind of attention. */
typedef struct pri_attention_state {
    size_t layers;
    const pare_mask *mask;
    pare_mask *owned_mask; /* read with the model; lives as long */
    pri_plan_set *plan_sets;
    size_t plan_set_count;
    pri_kept_row **kept_rows; /* (kept_row_count) of (layers, heads); NULL: not yet needed */
    size_t kept_row_count;
    pare_average *average;
} pri_attention_state;

struct pare_model {
    const pri_family *family;
    pare_context *context;
    size_t layers, size; /* size: columns of a hidden state */
    size_t vocabulary;   /* language models; 0 otherwise */
    size_t positions; /* tokens of the longest sequence; 0: language models, which have segments */

    pare_status declared; /* sticky: the first failure among the declarations */
    size_t parameter_count, parameter_capacity, floats;
    pare_parameter *parameters;
    pri_parameter_notes *notes;
    pri_alias *aliases;
    size_t alias_count;
    pri_constant *constants;
    size_t constant_count;
    float *values, *gradients; /* all parameters end to end, in the order of the table */

    pri_attention_state attention[PARE_ATTENTION_KINDS];
    double plan_seconds;
};

/* ---- Declaring parameters (in from_config; failures are sticky) ----
 * The name is prefix followed by suffix. */
typedef enum pri_parameter_kind {
    PRI_WEIGHT, /* (rows, columns), decays */
    PRI_BIAS,   /* (columns), starts at 0 unless deviation says otherwise */
    PRI_GAIN,   /* (columns) of a layer norm, starts around 1 */
    PRI_VECTORS /* (rows, columns) that do not decay */
} pri_parameter_kind;
void pri_model_declare(pare_model *model, pare_tensor **slot, pri_parameter_kind kind, size_t rows,
                       size_t columns, float deviation, const char *prefix, const char *suffix);
/* Another name of the parameter declared last. */
void pri_model_declare_alias(pare_model *model, const char *prefix, const char *suffix,
                             bool written);
/* Fresh values of the parameter declared last are uniform instead of normal. */
void pri_model_draw_uniform(pare_model *model);
/* Returns its `count` values to fill in, or NULL; `row`: files hold them as a matrix of one row. */
float *pri_model_declare_constant(pare_model *model, const char *name, size_t count, bool row);
/* Gives the declared parameters their storage and calls bind. Values are zero. */
pare_status pri_model_allocate(pare_model *model);
/* Draws fresh values; a parameter's depend on seed and name only. */
void pri_model_initialise(pare_model *model, uint64_t seed);
/* Both, for a declared model that becomes the caller's; destroys it on failure. */
pare_status pri_model_finish_fresh(pare_model *declared, uint64_t seed, pare_model **model);
void pri_model_initialise_parameter(pare_model *model, size_t index, uint64_t seed);
/* Rows begin .. begin + count - 1 of a parameter; of a one-row parameter, those columns. */
pare_tensor pri_parameter_part(const pare_tensor *parameter, size_t begin, size_t count);
/* Releases what is common; families call it last. */
void pri_model_release(pare_model *model);

/* ---- Plans and observation, for one forward pass ---- */
/* The shape of a call: the longest of its sequences. */
typedef struct pri_call_shape {
    size_t queries, keys;
    size_t most_keys; /* that a language model's memory may make of `keys`; else equal to them */
} pri_call_shape;
/* The plan of each layer for calls of that shape; *plans is NULL without a mask. */
pare_status pri_model_plans(pare_model *model, pare_attention_kind kind, pri_call_shape shape,
                            pare_plan *const **plans);
/* Whether the kind's mask, if it has one, serves calls of that shape. */
pare_status pri_model_check_shape(const pare_model *model, pare_attention_kind kind,
                                  pri_call_shape shape);
/* For decoding, which goes row by row, from position 0 and without memory (mask_rows.c). Compiles
 * row `row` of the kind's mask, which must serve it, unless that was done before. */
pare_status pri_model_compile_row(pare_model *model, pare_attention_kind kind, size_t row);
/* The compiled row of a layer: (heads); NULL without a mask. */
const pri_kept_row *pri_model_kept_rows(const pare_model *model, pare_attention_kind kind,
                                        size_t layer, size_t row);
void pri_model_drop_rows(pri_attention_state *state);
/* One observer per layer on the tape; *observers is NULL when nobody observes. */
pare_status pri_model_observers(const pare_model *model, pare_attention_kind kind, pare_tape *tape,
                                pare_observer **observers);
/* Whether mask and average, which must agree, have the ends of a sequence first. */
pare_status pri_model_ends_first(const pare_model *model, pare_attention_kind kind,
                                 bool *ends_first);
/* Releases plans, and masks that live with the model. */
void pri_model_release_masks(pare_model *model);

/* ---- Memory ---- */
struct pare_memory {
    size_t states, size;            /* those of the model: its layers, columns of a hidden state */
    size_t lanes, capacity, filled; /* capacity and filled: tokens per lane */
    float *front, *back;            /* (states, lanes, filled, size): held now; being written */
};
/* State `state` as (lanes * filled, size) without a gradient; NULL when there is none. */
pare_tensor *pri_memory_past(const pare_memory *memory, pare_tape *tape, size_t state);
/* Appends `hidden` (lanes * length, size) to what state `state` will hold after advancing. */
void pri_memory_append(pare_memory *memory, const pare_tape *tape, size_t state,
                       const pare_tensor *hidden, size_t length);
void pri_memory_advance(pare_memory *memory, size_t length);

#endif
