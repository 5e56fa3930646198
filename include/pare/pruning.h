/* Attention Pruning (arXiv 2012.02030): average attention -> fixed mask -> plan.
 *
 *     pare_average_create         of the model's geometry
 *     pare_average_observer       into every layer's calls of pare/attention.h, over a data set
 *     pare_average_add_examples   after each batch
 *     pare_mask_create            prunes the smallest p% of the cells; pare_mask_save, _load
 *     pare_mask_plan              once per layer: what attention calls take
 *
 * Files are safetensors, described in docs/mask-format.md. Loading checks everything a file says;
 * what does not hold is PARE_ERROR_FORMAT. Saving replaces a file as a whole or leaves it alone. */
#ifndef PARE_PRUNING_H
#define PARE_PRUNING_H

#include "pare/attention.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Kinds of attention -----------------------------------------------------------------------
 * A translation model has three, each with layers, averages and masks of its own; every other model
 * has the first alone. */
typedef enum pare_attention_kind {
    PARE_ATTENTION_SELF,    /* also that of a translation model's encoder */
    PARE_ATTENTION_DECODER, /* of target tokens to those before them and themselves */
    PARE_ATTENTION_CROSS,   /* of target tokens to source tokens */
    PARE_ATTENTION_KINDS
} pare_attention_kind;
/* "encoder", "decoder", "cross": the words in recipes and names of files; NULL at the end. */
PARE_API extern const char *const pare_attention_kind_names[];
/* The file of a model directory that holds the mask of a kind, for a model that has `kinds` of
 * them: "mask.safetensors", or "mask-cross.safetensors" and so on. */
PARE_API const char *pare_mask_file_name(size_t kinds, pare_attention_kind kind);

/* ---- Geometry ---------------------------------------------------------------------------------
 * What one bit of a mask stands for. */
typedef enum pare_geometry_kind {
    PARE_GEOMETRY_CELL, /* query row x key column, as in the paper; serves that shape or shorter */
    PARE_GEOMETRY_DISTANCE, /* causal only: one bit per head and distance; serves any shape */
    PARE_GEOMETRY_RELATIVE  /* ends_first only: one bit per head and class of cells; serves any
                               length. Classes are the column of the first token, that of the last,
                               what is left of the row of the first token, and of the last, and
                               among the other tokens each distance key - query. Of cross attention:
                               the column of the first token, that of the last, and among the others
                               each offset from the diagonal up to 8, farther ones together up to
                               11, 16, 22, 32, ...: bounds that double every other time. */
} pare_geometry_kind;

/* Rows and columns are those of a plan (pare/attention.h): with `causal`, row i stands for the i-th
 * query of a segment and column j for the key at distance i + memory - j from it. */
typedef struct pare_geometry {
    pare_geometry_kind kind;
    size_t layers, heads; /* of the model */
    size_t queries, keys; /* the observed shape; when causal, keys = memory + queries */
    bool causal;
    size_t window;   /* causal only: keys at this distance and beyond do not count; 0: all do */
    bool ends_first; /* encoders: queries = keys; not causal. Of rows and columns alike, 0 is the
                        sequence's first token, 1 its last, i >= 2 its token i - 1. What a sequence
                        has at its ends ([CLS], the last [SEP]) then lies in one place at every
                        length. false: in the order of the sentence */
    double ratio;    /* cross attention: source tokens (keys) per target token (query) in the
                        training set, 0.001 .. 1000; then not causal, up to 65536 queries and keys,
                        and ends_first is of columns alone: rows are target positions in order.
                        Row i's offset to source token t (from 0) is t - floor(i * ratio + 0.5).
                        0: self attention, or cross attention in plain cells */
} pare_geometry;

/* The kind of attention that this is of, in a model that has `kinds` of them. */
PARE_API pare_attention_kind pare_geometry_attention(const pare_geometry *geometry, size_t kinds);

/* ---- Average ----------------------------------------------------------------------------------
 * Sums of attention over a data set in fp64 with a count per cell; shards merge exactly. */
typedef struct pare_average pare_average;

PARE_API PARE_MUST_CHECK pare_status pare_average_create(const pare_geometry *geometry,
                                                         pare_average **average); /* kind: cell */
PARE_API void pare_average_destroy(pare_average *average);
PARE_API const pare_geometry *pare_average_geometry(const pare_average *average);
/* The observer to hand to layer `layer`'s attention calls. Only layer 0's counts cells (all layers
 * see the same sequences). Borrows from the average. */
PARE_API pare_observer pare_average_observer(pare_average *average, size_t layer);
/* Adds the number of examples (sequences) whose attention the observers were shown; it is the
 * denominator of the mass average. */
PARE_API void pare_average_add_examples(pare_average *average, uint64_t examples);
PARE_API uint64_t pare_average_examples(const pare_average *average);
/* Provenance, copied into masks: a name and a hash of the data, for people and for comparing. Names
 * are cut after 63 bytes; what is not UTF-8 becomes '?'. */
PARE_API uint64_t pare_average_corpus_hash(const pare_average *average);
PARE_API void pare_average_set_corpus(pare_average *average, const char *name, uint64_t hash);
/* Adds sums, counts and examples; both need the same geometry. Cross attention of parts of a corpus
 * may differ in the ratio: it becomes that of all examples together. */
PARE_API PARE_MUST_CHECK pare_status pare_average_merge(pare_average *into,
                                                        const pare_average *from);
PARE_API PARE_MUST_CHECK pare_status pare_average_save(const pare_average *average,
                                                       const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_average_load(const char *path, pare_average **average);
/* Averages of the reference implementation: little-endian fp32 or fp64 `.npy` in C order, (layers,
 * heads, queries, keys), every number in 0 .. 1. `causal` says how to read it: then the future must
 * hold 0. Counts become 1 on admissible cells, examples 1. */
PARE_API PARE_MUST_CHECK pare_status pare_average_import_npy(const char *path, bool causal,
                                                             pare_average **average);

typedef enum pare_average_kind {
    PARE_AVERAGE_VALID, /* sum / number of examples in which the cell is admissible */
    PARE_AVERAGE_MASS   /* sum / number of examples: what the cell carries over the corpus */
} pare_average_kind;
/* NaN where the cell was never observed or is not admissible. */
PARE_API double pare_average_value(const pare_average *average, pare_average_kind kind,
                                   size_t layer, size_t head, size_t row, size_t column);
PARE_API uint64_t pare_average_count(const pare_average *average, size_t row, size_t column);
/* Average over all admissible observed cells at one distance: `valid` over their occurrences,
 * `mass` over the cells. NaN where none was observed. */
PARE_API double pare_average_at_distance(const pare_average *average, pare_average_kind kind,
                                         size_t layer, size_t head, size_t distance);

/* ---- Mask -------------------------------------------------------------------------------------
 * Which cells are kept, per layer and head, with where it came from. Immutable.
 *
 * Candidates C are the admissible cells that were observed; what was never observed is kept. In
 * each group of the scope the floor(percent * |C| / 100) candidates with the smallest average are
 * pruned, ties in the order of layer, head, row and column. Masks nest as percent grows.
 *
 * Distance and relative geometry, and blocks, prune whole classes of one head's cells: those at one
 * distance, of one special row or column, of one block. A class counts as many cells as it has
 * candidates. Classes go in the order of their averages until the next one would exceed the number
 * above. Ties go farthest distance first (of two equally far ones the key after the query), the
 * special classes after all distances, columns last of all; blocks in the order of row and column.
 * The random control draws cells, or classes, from the same groups and prunes as many; it nests
 * too. All layers and heads of one mask have one geometry.
 *
 * The average of a distance or special class is that of pare_average_at_distance: `valid` over all
 * occurrences of its cells, `mass` over its cells. That of a block is the mean of its candidates'
 * `valid` averages, or the sum of their `mass`: what pruning it takes from the corpus. */
typedef struct pare_mask pare_mask;

/* Over what the smallest p% are taken. */
typedef enum pare_scope {
    PARE_SCOPE_LAYER, /* default: all heads of a layer pooled, as in the paper */
    PARE_SCOPE_HEAD,
    PARE_SCOPE_ROW, /* equal keys per query (cell geometry); of blocks, per row of blocks */
    PARE_SCOPE_MODEL
} pare_scope;

/* Rows in which every cell would be pruned. */
typedef enum pare_empty_row {
    PARE_EMPTY_ROW_KEEP_ONE, /* default: the strongest admissible cell of the row stays */
    PARE_EMPTY_ROW_ZERO,     /* zero output and gradient */
    PARE_EMPTY_ROW_UNIFORM   /* uniform over the row's admissible keys: `compat-uniform` */
} pare_empty_row;
/* Keep-one acts on the observed shape: with less memory at run time a row may still be empty, and
 * then gives zero. Cells never observed save no row. Of an encoder, row i keeps one of its first
 * i + 1 columns, so it has a cell in every sequence that has the row. A row of blocks that lost
 * them all gets back its strongest. In distance geometry the strongest of the distances that the
 * first observed row reaches stays, which serves the other rows too; in relative geometry the
 * strongest of the classes that a row of three tokens reaches, which leaves no row of any longer
 * sequence empty. Of cross attention with a ratio, row i keeps one of the first columns, those that
 * all examples with the row had; in relative geometry each head keeps the column of the first token
 * or that of the last, which leaves no row of a source of two tokens or more empty. For the random
 * control "strongest" is what would have gone last. Cells of uniform
 * rows count as pruned. */

typedef enum pare_method {
    PARE_METHOD_ATTENTION_PRUNING,
    PARE_METHOD_RANDOM, /* the control: the same number of cells of the same candidates */
    PARE_METHOD_COMPAT  /* the reference's percentile rule over the full rectangle of a layer, where
                           cells that are not admissible or never observed hold 0 (the latter are
                           still kept); ties all pruned. Cell geometry and scope layer only. */
} pare_method;

/* Zero-initialise, then fill in: zeros are the defaults. */
typedef struct pare_prune_options {
    pare_method method;
    pare_geometry_kind geometry;
    pare_average_kind average;
    pare_scope scope;
    pare_empty_row empty_row;
    double percent;                 /* 0 .. 100, of admissible observed cells; `compat`: of the
                                       rectangle */
    uint64_t seed;                  /* random only */
    const uint8_t *layers_to_prune; /* (layers), 1 = prune; NULL: all */
    size_t block;                   /* cell geometry: blocks of so many rows and columns, counted
                                       from row 0 and column 0, are pruned whole (cells never
                                       observed stay): 2, 4, .. 128. 0 or 1: single cells */
} pare_prune_options;

/* Reads the average and keeps nothing of it. */
PARE_API PARE_MUST_CHECK pare_status pare_mask_create(const pare_average *average,
                                                      const pare_prune_options *options,
                                                      pare_mask **mask);
/* The percent, to 0.01, for which pare_mask_create prunes nearest to `effective` percent of the
 * corpus's cells (p_effective): what compares at equal work. `options` are read without their
 * percent. Makes some fifteen masks. */
PARE_API PARE_MUST_CHECK pare_status pare_mask_find_percent(const pare_average *average,
                                                            const pare_prune_options *options,
                                                            double effective, double *percent);
PARE_API void pare_mask_destroy(pare_mask *mask);
PARE_API const pare_geometry *pare_mask_geometry(const pare_mask *mask);
/* Of shape, cells, and the treatment of rows without any. */
PARE_API uint64_t pare_mask_digest(const pare_mask *mask);
/* Whether the cell is admissible and kept. Distance and relative masks answer for any row and
 * column; distances never observed are kept. */
PARE_API bool pare_mask_kept(const pare_mask *mask, size_t layer, size_t head, size_t row,
                             size_t column);
PARE_API bool pare_mask_kept_at_distance(const pare_mask *mask, size_t layer, size_t head,
                                         size_t distance); /* distance geometry only */

/* The words for these choices in files and on the command line: indexed by the enumerations, NULL
 * at the end. */
PARE_API extern const char *const pare_geometry_names[],
    *const pare_average_names[], *const pare_scope_names[], *const pare_empty_row_names[],
                                                                *const pare_method_names[];

/* What a mask prunes, in percent of the whole model (layers that are not pruned included), with the
 * three meanings of p kept apart. Counts are cells of the observed shape, rescued ones as kept. */
typedef struct pare_mask_report {
    pare_method method;
    pare_prune_options options; /* as given (layers_to_prune is NULL here) */
    double p_requested;
    double p_nominal;    /* share of the full rectangle that is pruned or not admissible */
    double p_admissible; /* share of admissible cells */
    double p_effective;  /* share of the admissible cells of the corpus: work saved on data */
    double kept_mass;    /* share of the corpus's attention that the kept cells carry, in percent */
    uint64_t pruned_cells, admissible_cells;
    uint64_t rescued_rows; /* by keep-one, over all layers and heads */
    char corpus[64];
    uint64_t corpus_hash;
} pare_mask_report;
PARE_API pare_mask_report pare_mask_describe(const pare_mask *mask);
/* Of the attention of one layer in the average, the share on kept cells, in percent. They need the
 * same layers, heads, rows and columns. */
PARE_API double pare_mask_kept_mass(const pare_mask *mask, const pare_average *average,
                                    size_t layer);
/* Share of admissible cells kept by one head, 0 .. 1. */
PARE_API double pare_mask_kept_share(const pare_mask *mask, size_t layer, size_t head);

PARE_API PARE_MUST_CHECK pare_status pare_mask_save(const pare_mask *mask, const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_mask_load(const char *path, pare_mask **mask);
/* The masks of a model that has `kinds` of attention, from files, at most one of a kind; kinds
 * without a file get NULL. Masks come back after a failure too: destroy all in either case. */
PARE_API PARE_MUST_CHECK pare_status pare_masks_load(const char *const *paths, size_t count,
                                                     size_t kinds,
                                                     pare_mask *masks[PARE_ATTENTION_KINDS]);

/* Compiles layer `layer` for calls of up to `queries` rows and `keys` columns (with memory, when
 * causal). A cell mask serves its own geometry and what fits inside (no more rows, no more memory);
 * the plan is then that of its own geometry, which calls align to. Anything larger is refused with
 * a sentence naming both. A distance mask serves any shape, a relative one any length, and of
 * cross attention any two. Of a mask with ends_first the plan for one length serves every shorter
 * one. */
PARE_API PARE_MUST_CHECK pare_status pare_mask_plan(const pare_mask *mask, size_t layer,
                                                    size_t queries, size_t keys, pare_plan **plan);

#ifdef __cplusplus
}
#endif
#endif
