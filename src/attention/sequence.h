/* One sequence of a call: where its tokens lie, and which cells of a row are admissible. */
#ifndef PARE_SRC_ATTENTION_SEQUENCE_H
#define PARE_SRC_ATTENTION_SEQUENCE_H

#include "pare/attention.h"

typedef struct pri_sequence {
    size_t first_query, first_key; /* tokens */
    size_t queries, keys;
    size_t memory; /* causal: keys before the first query */
} pri_sequence;

static inline pri_sequence pri_sequence_at(const pare_attention *call, size_t index)
{
    pri_sequence sequence = {
        .first_query = call->queries.offsets[index],
        .first_key = call->keys.offsets[index],
        .queries = call->queries.offsets[index + 1] - call->queries.offsets[index],
        .keys = call->keys.offsets[index + 1] - call->keys.offsets[index],
    };
    sequence.memory = call->causal ? sequence.keys - sequence.queries : 0;
    return sequence;
}

/* Keys begin .. end - 1. */
typedef struct pri_range {
    size_t begin, end;
} pri_range;

/* The admissible keys of row `row`: always one range, and both ends grow with the row. */
static inline pri_range pri_admissible(const pare_attention *call, const pri_sequence *sequence,
                                       size_t row)
{
    if (!call->causal)
        return (pri_range){0, sequence->keys};
    size_t end = row + sequence->memory + 1;
    return (pri_range){call->window && end > call->window ? end - call->window : 0, end};
}

/* Column of key 0 in a plan or an observer of this geometry (pare/attention.h, Alignment). */
static inline size_t pri_column_shift(const pare_plan_geometry *geometry,
                                      const pri_sequence *sequence)
{
    return geometry->causal ? geometry->keys - geometry->queries - sequence->memory : 0;
}

static inline const float *pri_at(pare_view view, size_t token, size_t head)
{
    return view.data + token * view.token_stride + head * view.head_stride;
}

static inline float *pri_at_mutable(pare_view_mutable view, size_t token, size_t head)
{
    return view.data + token * view.token_stride + head * view.head_stride;
}

#endif
