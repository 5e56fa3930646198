/* From pieces of text to what a model reads: "[CLS] a [SEP]" or "[CLS] a [SEP] b [SEP]" of an
 * encoder, "a </s>" of a translation model. */
#ifndef PARE_SRC_TASKS_SEQUENCES_H
#define PARE_SRC_TASKS_SEQUENCES_H

#include "pare/model.h"
#include "pare/text.h"
#include "tasks/batches.h"

typedef struct pri_token_span {
    const uint32_t *ids;
    size_t count;
} pri_token_span;

/* The special tokens around one text, and around two. */
#define PRI_SPECIAL_TOKENS_SINGLE 2
#define PRI_SPECIAL_TOKENS_PAIR 3

/* The sequences of a data set, end to end. Zero-initialise. */
typedef struct pri_sequences {
    size_t count, token_count;
    uint32_t *tokens;
    size_t *ends;      /* one past the last token of each sequence */
    uint32_t *seconds; /* where in the sequence segment 1 begins; its length when it has none */
    size_t cut;        /* sequences that lost tokens */
    size_t capacity, token_capacity;
} pri_sequences;

void pri_sequences_free(pri_sequences *sequences);
/* Appends one sequence of at most `length` tokens, which must have room for the special tokens; of
 * two texts the longer one is cut first, and the second when both are equally long. `second` NULL:
 * one text. */
pare_status pri_sequences_append(pri_sequences *sequences, const pare_special_tokens *special,
                                 pri_token_span first, const pri_token_span *second, size_t length);
/* Appends one sentence of a translation and the token that ends it. */
pare_status pri_sequences_append_sentence(pri_sequences *sequences, pri_token_span sentence,
                                          uint32_t end);
pri_token_span pri_sequences_at(const pri_sequences *sequences, size_t index);
size_t pri_sequences_longest(const pri_sequences *sequences);
uint64_t pri_sequences_hash(const pri_sequences *sequences); /* of tokens and segments */
/* (count), as dealing wants them; release with pri_free. NULL: no memory. */
size_t *pri_sequences_lengths(const pri_sequences *sequences);
/* Deals them for training. */
pare_status pri_sequences_deal(const pri_sequences *sequences, const pri_dealing *dealing,
                               pri_dealer **dealer);

/* Gathers batches into buffers that grow to the largest. Zero-initialise. */
typedef struct pri_batch_builder {
    pare_encoder_batch batch; /* the newest, until the next is gathered */
    size_t *offsets;
    uint32_t *tokens, *segments;
    size_t capacity, token_capacity;
} pri_batch_builder;

pare_status pri_batch_gather(pri_batch_builder *builder, const pri_sequences *sequences,
                             const size_t *indices, size_t count);
void pri_batch_builder_free(pri_batch_builder *builder);

#endif
