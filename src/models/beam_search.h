/* Beam search over the steps of a decoder (pare/model.h has the rules): which hypotheses of a
 * sentence are open, which are final. Hypotheses are paths of a tree whose nodes are tokens; a
 * node's number is that of the decoder's slot for it. */
#ifndef PARE_SRC_MODELS_BEAM_SEARCH_H
#define PARE_SRC_MODELS_BEAM_SEARCH_H

#include "models/decoder.h"

typedef struct pri_node {
    uint32_t parent, token; /* a root is its own parent */
    uint32_t next;          /* of the same sentence, or of the free ones */
    float log_probability;
} pri_node;
#define PRI_NO_NODE UINT32_MAX

typedef struct pri_tree {
    pri_node *nodes;
    size_t count, capacity; /* count: nodes that were ever used */
    uint32_t free;
} pri_tree;

void pri_tree_release(pri_tree *tree);

/* The path to `node`. */
typedef struct pri_open_hypothesis {
    uint32_t node;
    double log_probability;
} pri_open_hypothesis;

/* The path to `node`, and one more token: the end token, or the last that was allowed. */
typedef struct pri_final_hypothesis {
    uint32_t node, last;
    float last_log_probability;
    size_t length;
    double log_probability, score;
} pri_final_hypothesis;

/* The search for one sentence. */
typedef struct pri_search {
    const pare_translate_options *options;
    size_t sentence, limit; /* tokens at most, at least 1 */
    pri_decoder_source source;
    uint32_t nodes;                         /* the sentence's, a list */
    size_t length, open_count, final_count; /* length: tokens of the open hypotheses */
    pri_open_hypothesis *open, *next_open;  /* (beam) */
    pri_final_hypothesis *final;            /* (beam), best first */
    struct pri_continuation *candidates;    /* (2 * beam), best first */
    struct pri_head *heads;                 /* (beam) */
} pri_search;

/* How searches end: by the end token, and at their limit by `last`. */
typedef struct pri_search_ending {
    uint32_t token, last;
    bool is_free; /* `last` costs nothing */
    bool is_cut;  /* at the limit any token is the last one */
} pri_search_ending;

/* Room for a search; from the arena. */
pare_status pri_search_allocate(pri_arena *arena, const pare_translate_options *options,
                                pri_search *search);
/* Begins with the start token alone. `sentence`, `limit` and `source` are set. */
pare_status pri_search_begin(pri_search *search, pri_tree *tree, uint32_t start);
/* One row per open hypothesis; `slots` receives (open_count, length + 1) of their slots. */
void pri_search_rows(const pri_search *search, const pri_tree *tree, uint32_t *slots,
                     pri_decoder_row *rows);
/* Goes on by one token, given what may follow each open hypothesis. */
pare_status pri_search_advance(pri_search *search, pri_tree *tree, const pri_search_ending *ending,
                               const pri_decoder_result *results);
bool pri_search_done(const pri_search *search);
/* The tokens of a final hypothesis and their log-probabilities. */
void pri_search_write(const pri_final_hypothesis *hypothesis, const pri_tree *tree,
                      uint32_t *tokens, float *log_probabilities);
/* Gives the sentence's nodes back. */
void pri_search_end(pri_search *search, pri_tree *tree);

#endif
