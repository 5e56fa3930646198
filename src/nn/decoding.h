/* Inner loops of decoding, where each row attends to keys of its own and ends in a choice of words;
 * built once per instruction-set level. A kernel works on one row on one thread. */
#ifndef PARE_SRC_NN_DECODING_H
#define PARE_SRC_NN_DECODING_H

#include "pare/nn.h"

/* Attention of one query and head to listed rows of keys and values. */
typedef struct pri_row_attention {
    size_t head_size, count;
    const uint32_t *rows; /* (count): key i is at key + rows[i] * stride, so is value i */
    const float *query, *key, *value;
    size_t stride;
    float scale;    /* 0: uniform */
    float *weights; /* scratch: (count, rounded up to PRI_ROW_PADDING) */
    float *output;  /* zeros when there are no keys */
} pri_row_attention;
#define PRI_ROW_PADDING 16

typedef struct pri_word {
    float logit;
    uint32_t word;
} pri_word;

/* The best words among those scanned so far, by falling logit, of equal ones the smaller word
 * first. One word is never among them. */
typedef struct pri_best_words {
    pri_word *words; /* (capacity) */
    size_t count, capacity;
    uint32_t excluded;
} pri_best_words;

typedef struct pri_decoding_kernels {
    void (*attend)(const pri_row_attention *attention);
    /* Asks for the keys and values of a call that comes next: they lie in many places. */
    void (*prefetch)(const pri_row_attention *attention);
    /* logits += bias, those of words first .. first + columns - 1, later than any scanned before.
     * Returns their sum of exp(logit - *largest). */
    float (*scan)(size_t columns, const float *bias, float *logits, uint32_t first,
                  pri_best_words *best, float *largest);
} pri_decoding_kernels;

/* The table for the context's level. */
const pri_decoding_kernels *pri_decoding_kernels_for(const pare_context *context);

#endif
