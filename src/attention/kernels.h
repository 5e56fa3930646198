/* What the driver (attention.c) and the kernels agree on. The driver cuts a call into tasks and
 * hands out scratch memory; a kernel does one task on one thread. Kernels exist once per
 * instruction-set level; docs/kernels.md has the design. */
#ifndef PARE_SRC_ATTENTION_KERNELS_H
#define PARE_SRC_ATTENTION_KERNELS_H

#include "pare/attention.h"

/* Rows of head_size floats are padded with zeros to a multiple of this in scratch memory, whatever
 * the level's vector width, so that the driver need not know it. */
#define PRI_PADDING 16

/* Sizes shared by all tasks of a call. */
typedef struct pri_shape {
    size_t head_size, stride;           /* stride: head_size padded */
    size_t longest_queries, longest;    /* over all sequences; longest: keys */
    size_t tiles;                       /* of PRI_TILE_COLUMNS columns */
    size_t list_size;                   /* of the plan; the least without one */
    size_t longest_block, longest_tile; /* list entries of a plan's fullest ones */
    bool relative, backward;
    bool spans, lists; /* whether any head computes densely; whether any has listed cells */
} pri_shape;

/* Scratch memory of one thread, and what it holds from the task before: tasks of the same sequence
 * and head share packed keys and values, tasks of the same head the packed table. */
typedef struct pri_thread {
    float *scratch;
    size_t packed_sequence, packed_head, packed_table_head;
} pri_thread;
#define PRI_NOTHING_PACKED ((size_t)-1)

/* Rows first_row .. end_row - 1 of one sequence and head. */
typedef struct pri_task {
    const pare_attention *call;
    const pri_shape *shape;
    size_t sequence, head, first_row, end_row;

    /* Backward only. Sums to add to, in rows of `stride` floats; the query gradient is written to
     * `gradient->query` because its rows belong to one task. */
    const pare_attention_gradient *gradient;
    float *key_sum, *value_sum;        /* (keys) */
    float *content_sum, *position_sum; /* one row each; NULL unless relative */
    float *table_sum; /* (longest), row c is distance longest - 1 - c; NULL unless relative */
} pri_task;

typedef struct pri_attention_kernels {
    size_t (*scratch_floats)(const pri_shape *shape);
    void (*forward)(const pri_task *task, pri_thread *thread);
    void (*backward)(const pri_task *task, pri_thread *thread);
    /* Adds the rows' probabilities, from the call's logsumexp, to its observer. */
    void (*observe)(const pri_task *task, pri_thread *thread);
} pri_attention_kernels;

#define PRI_JOIN_NAMES(a, b) a##b
#define PRI_JOIN(a, b) PRI_JOIN_NAMES(a, b)
/* The level's table: pri_attention_kernels_x86_64_v3 and so on. */
#define PRI_ATTENTION_KERNELS PRI_JOIN(pri_attention_kernels_, PARE_LEVEL)

#endif
