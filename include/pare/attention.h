/* Attention: dense, masked, causal, cross and relative, forward and backward, on ragged batches.
 *
 * Tokens of all sequences lie end to end; `offsets` tell where each begins, so padding does not
 * exist. For sequence n with Q queries and K keys, head h, query row i and key column j:
 *
 *     s_ij = scale * q_i.k_j                                                    (plain)
 *     s_ij = scale * [ (q_i + u_h).k_j + (q_i + w_h).r_delta ], delta = i + (K - Q) - j (relative)
 *     a_ij = exp(s_ij) / sum over kept j' of exp(s_ij')        o_i = sum_j a_ij v_j
 *
 * Cells that are pruned or not admissible are absent: no constant stands in for them. A row without
 * any kept cell gives zero output, logsumexp -infinity and zero gradients.
 *
 * All data are fp32 in memory of the caller, which needs no alignment but that of a float; only the
 * workspace does. What is written must not overlap what is read. Nothing is checked for NaN: it
 * spreads as in any arithmetic. Whether a call is possible is checked before anything is written.
 *
 *     create a context, once
 *     plan: pare_mask_plan of a mask from a file (pare/pruning.h), or pare_plan_create; once
 *     workspace: pare_attention_workspace bytes for the largest call
 *     pare_attention_forward, pare_attention_backward, as often as needed */
#ifndef PARE_ATTENTION_H
#define PARE_ATTENTION_H

#include "pare/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where token t, head h starts: data + t * token_stride + h * head_stride; then head_size floats.
 * With H heads of size D:
 *
 *     (tokens, H, D)                        {data, H * D, D}
 *     (H, tokens, D)                        {data, D, tokens * D}
 *     the keys in (tokens, 3, H, D)         {data + H * D, 3 * H * D, D}, from one projection */
typedef struct pare_view {
    const float *data;
    size_t token_stride, head_stride; /* in floats */
} pare_view;

typedef struct pare_view_mutable {
    float *data;
    size_t token_stride, head_stride;
} pare_view_mutable;

/* Sequence n holds tokens offsets[n] .. offsets[n + 1] - 1 of the arrays; `offsets` has count + 1
 * entries that do not decrease. B sequences of one length L: 0, L, 2 * L, ..., B * L. */
typedef struct pare_ragged {
    const size_t *offsets;
    size_t count;
} pare_ragged;

/* Transformer-XL's relative positions (arXiv 1901.02860). Row delta of the table, head h, is
 * r_delta, that is W_r R_delta. Distances beyond the table use its last row, which is what
 * clamp_len asks for. */
typedef struct pare_relative {
    const float *content_bias;  /* u, (heads, head_size) */
    const float *position_bias; /* w, (heads, head_size) */
    pare_view table;            /* distances rows; token_stride is the row stride */
    size_t distances;
} pare_relative;

typedef struct pare_plan pare_plan;         /* a compiled mask of one layer: below */
typedef struct pare_observer pare_observer; /* collects probabilities: below */

/* One attention call. Zero-initialise, then fill in: what is left 0 or NULL is not used. */
typedef struct pare_attention {
    size_t heads, head_size;       /* of queries, keys and values alike; head_size 1 .. 256 */
    float scale;                   /* usually 1 / sqrt(head_size) */
    pare_view query, key, value;   /* in */
    pare_view_mutable output;      /* out; in for backward */
    pare_ragged queries, keys;     /* equal counts; key's tokens are value's, too */
    bool causal;                   /* admissible iff delta >= 0; needs K >= Q in each sequence, so
                                      that the last query sees the last key */
    size_t window;                 /* causal only: admissible iff delta < window; 0: no limit */
    const pare_relative *relative; /* NULL: none; requires causal */
    const pare_plan *plan;         /* NULL: dense */
    float *logsumexp;              /* (query tokens, heads), out: natural logarithm of the sum of
                                      exp(s_ij); needed by backward, otherwise it may be NULL */
    float dropout;                 /* probability, 0 <= dropout < 1, of dropping a_ij; what stays
                                      is scaled by 1 / (1 - dropout) */
    uint64_t dropout_key;          /* the same key gives the same cells in forward and backward */
    pare_observer *observer;       /* NULL: none. Forward shows it a_ij before dropout. */
    pare_precision precision;      /* the same in forward and backward. bf16 rounds, to nearest and
                                      ties to even, k, v, r, scale * (q + u), scale * (q + w) and
                                      the gradient of the output. Everything else is fp32. Listed
                                      cells are faster with AVX512-BF16; dense ones, and other
                                      CPUs, compute the same at the speed of fp32. */
} pare_attention;

/* What backward writes. Every pointer but output_gradient's may be NULL: that gradient is not
 * wanted. Query, key and value gradients are overwritten; the three of the relative form are added
 * to (they are sums over sequences and calls), so zero them first. */
typedef struct pare_attention_gradient {
    pare_view output_gradient;           /* in, shaped like output */
    pare_view_mutable query, key, value; /* shaped like the inputs; any strides */
    float *content_bias, *position_bias; /* (heads, head_size) */
    pare_view_mutable table;             /* (distances, heads, head_size) */
} pare_attention_gradient;

/* Bytes of scratch the two calls need for these shapes at the context's thread count. Reads the
 * offsets, which must be those of a valid call. Nothing is kept there from one call to the next, so
 * one workspace, of the largest size, serves all calls that do not run at the same time. */
PARE_API size_t pare_attention_workspace(const pare_context *context, const pare_attention *call);

/* Writes output, logsumexp and what the observer collects. `workspace` must be 64-byte aligned.
 * Both calls are bitwise reproducible for any number of threads at one level, the observer
 * included. Impossible shapes, combinations and plans are PARE_ERROR_ARGUMENT; neither call
 * allocates. */
PARE_API PARE_MUST_CHECK pare_status pare_attention_forward(pare_context *context,
                                                            const pare_attention *call,
                                                            void *workspace);
/* Needs the inputs, output and logsumexp of the forward call unchanged. */
PARE_API PARE_MUST_CHECK pare_status
pare_attention_backward(pare_context *context, const pare_attention *call,
                        const pare_attention_gradient *gradient, void *workspace);

/* ---- Plans ------------------------------------------------------------------------------------
 * A plan is the cells one layer keeps, compiled for the kernels; it is derived from a mask (see
 * pare/pruning.h) and never saved. It never changes: calls in many threads may share it. Geometry:
 * `queries` rows, and `memory + queries` columns for a causal layer (memory may be 0) or `keys`
 * columns otherwise.
 *
 * Alignment. Causal: a call with Q <= queries and K - Q <= memory keys before its first query uses
 * rows 0 .. Q - 1 and, for key j, column j + memory - (K - Q): distances stay true, whatever the
 * memory holds. Not causal: row i and column j as they are, Q <= queries, K <= keys. Anything
 * larger, and another number of heads or another `causal`, is PARE_ERROR_ARGUMENT. */
typedef struct pare_plan_geometry {
    size_t heads, queries, keys; /* at most 65536 queries and keys; keys includes memory */
    bool causal;
} pare_plan_geometry;

/* kept(user, head, row, fill) sets all of fill[0 .. keys) to 1 for kept cells, 0 for others, or 2
 * in every kept cell of a row that is to attend uniformly (all its scores count as 0;
 * PARE_EMPTY_ROW_UNIFORM). Cells that are not admissible may be given either way. Called head by
 * head, row by row, by pare_plan_create in the caller's thread; `user` is passed through. */
typedef void (*pare_plan_row)(void *user, size_t head, size_t row, uint8_t *fill);

PARE_API PARE_MUST_CHECK pare_status pare_plan_create(const pare_plan_geometry *geometry,
                                                      pare_plan_row kept, void *user,
                                                      pare_plan **plan);

/* What decides how a cell is compiled: times on this kind of machine, in units of what one cell of
 * a wide dense span takes. pare_plan_create takes those measured for the best level of this CPU;
 * `pare bench calibrate` measures them. */
typedef struct pare_plan_costs {
    double entry; /* one cell of a list */
    double run;   /* the listed cells of one row among neighbouring columns (128 or more) */
    double span;  /* a dense span of a group of rows, however wide */
    double key;   /* packing one key of a head, for lists and once more for spans */
} pare_plan_costs;

PARE_API const pare_plan_costs *pare_plan_default_costs(pare_level level);
PARE_API PARE_MUST_CHECK pare_status pare_plan_create_for(const pare_plan_costs *costs,
                                                          const pare_plan_geometry *geometry,
                                                          pare_plan_row kept, void *user,
                                                          pare_plan **plan);
PARE_API void pare_plan_destroy(pare_plan *plan);
PARE_API size_t pare_plan_bytes(const pare_plan *plan);
PARE_API uint64_t pare_plan_kept(const pare_plan *plan); /* admissible cells kept, over all heads */

/* How a mask was compiled, over all heads. Every kept cell is either listed by itself or lies in
 * one of the dense spans, whose other cells are computed and masked out. */
typedef struct pare_plan_summary {
    double seconds; /* it took to compile */
    size_t bytes;
    uint64_t kept, listed; /* cells */
    uint64_t dense;        /* cells of spans, kept or not */
    size_t empty_heads;    /* heads that keep nothing: they cost nothing, and can be removed */
    size_t masks;          /* different ones; heads that keep the same cells share theirs */
    /* How many there are of what the costs count, the dense cells above included. */
    size_t entries, runs, spans, keys;
} pare_plan_summary;
PARE_API pare_plan_summary pare_plan_summarise(const pare_plan *plan);

/* ---- Observation ------------------------------------------------------------------------------
 * Sums of a_ij per (head, row, column) of the same geometry and alignment as a plan's, and how
 * often each cell was admissible, in fp64 and 64-bit counts. The arrays are the caller's, so that
 * many layers can lie in one allocation. */
struct pare_observer {
    pare_plan_geometry geometry;
    double *sums; /* (heads, queries, keys); added to */
    uint64_t
        *counts; /* (queries, keys), one per sequence that reaches the cell; added to; or NULL */
};

/* ---- Reference --------------------------------------------------------------------------------
 * The formulas above in fp64, cell by cell, slow on purpose: the oracle of every fast path and the
 * text to read first (src/attention/reference.c). The same call, with its plan and dropout, but
 * `output` and `logsumexp` of the call are not touched. Writes `output` (query tokens, heads,
 * head_size) and, when not NULL, `logsumexp` (query tokens, heads) and `probabilities` (heads, Q,
 * K) of the only sequence. */
PARE_API PARE_MUST_CHECK pare_status pare_attention_reference(const pare_attention *call,
                                                              double *output, double *logsumexp,
                                                              double *probabilities);
typedef struct pare_attention_reference_gradient {
    double *query, *key, *value;          /* (tokens, heads, head_size) */
    double *content_bias, *position_bias; /* (heads, head_size) */
    double *table;                        /* (distances, heads, head_size) */
} pare_attention_reference_gradient;
/* Overwrites what is not NULL. */
PARE_API PARE_MUST_CHECK pare_status
pare_attention_reference_backward(const pare_attention *call, pare_view output_gradient,
                                  const pare_attention_reference_gradient *gradient);

#ifdef __cplusplus
}
#endif
#endif
