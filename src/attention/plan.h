/* A plan as the kernels see it. Per head, the kept cells are divided in two:
 *
 * - windows: for each strip of PRI_STRIP_ROWS rows, stretches of columns in which every group of
 *   PRI_GROUP_ROWS rows has a span of columns that is computed densely, with a bit per cell where
 *   not all are kept;
 * - lists: all other kept cells, by row for scores and outputs, and by column for the gradients of
 *   keys and values.
 *
 * Which cells go where follows a cost model (plan_spans.c). Lists are cut into row blocks and tiles
 * so that what a kernel gathers from stays in a near cache: the cells of one row (or column) in one
 * row block and tile are a run. By row, runs are filled up to whole quads of entries with an entry
 * that is no cell, plan->list_size: kernels keep a row of zeros there, behind the rows of a tile.
 * The runs of a tile are sorted by length, which lets the processor predict where each one ends.
 *
 * Heads that keep the same cells share one compiled mask.
 *
 * A plan serves every shorter sequence by truncation, but what a list costs that ends early is no
 * less than a look at each of its runs. So the top left of a mask is compiled again, for half of
 * the length, and half of that: a sequence takes the shortest plan that holds it. All of them have
 * one list_size, so that a call is cut alike whatever its sequences take. */
#ifndef PARE_SRC_ATTENTION_PLAN_H
#define PARE_SRC_ATTENTION_PLAN_H

#include "attention/sequence.h"

#define PRI_TILE_COLUMNS 128
#define PRI_BLOCK_ROWS 128
#define PRI_GROUP_ROWS 6
#define PRI_STRIP_GROUPS 4
#define PRI_STRIP_ROWS (PRI_GROUP_ROWS * PRI_STRIP_GROUPS)
/* Strips, and groups in them, begin anew with every block of rows. */
#define PRI_BLOCK_STRIPS ((PRI_BLOCK_ROWS + PRI_STRIP_ROWS - 1) / PRI_STRIP_ROWS)
/* A window begins at a multiple of 16 columns, so that vectors of all levels are aligned alike. */
#define PRI_WINDOW_ALIGNMENT 16
#define PRI_WINDOW_COLUMNS 192
/* Entries of lists come four at a time. */
#define PRI_QUAD 4
/* Lists are cut into squares: row blocks and tiles of plan->list_size rows and columns. The
 * smallest fit the first-level cache; where cells are few, larger ones make longer runs. */
#define PRI_LIST_SIZE_LEAST 128
#define PRI_LIST_SIZE_MOST 1024

/* Columns begin .. end - 1 of a window. */
typedef struct pri_span {
    uint8_t begin, end;
    bool complete; /* every cell of it is kept, in every row of the group */
} pri_span;

typedef struct pri_window {
    uint32_t first; /* column */
    pri_span spans[PRI_STRIP_GROUPS];
} pri_window;

/* The listed cells of one row (or column) within one row block and tile. */
typedef struct pri_run {
    uint32_t place; /* by row: of its first weight, counted from the row block's first; else 0 */
    uint16_t index; /* the row in its block, or the column in its tile */
    uint16_t cells;
} pri_run;

/* Where the runs of a row block and tile begin, and their entries, which follow one another. */
typedef struct pri_list_place {
    uint32_t run, entry;
} pri_list_place;

/* The compiled mask of one head, or of several that keep the same cells. */
typedef struct pri_head_plan {
    uint64_t kept, listed;  /* cells, all and those in lists */
    uint64_t *bits;         /* (queries, words_per_row): bit c of a row is its column c */
    uint8_t *uniform;       /* (queries): all scores of this row count as 0 */
    bool has_uniform;       /* any row */
    pri_range *block_tiles; /* (row blocks): the tiles that any row of the block keeps cells of */
    pri_window *windows;    /* strip after strip; NULL: none */
    uint32_t *window_first; /* (row blocks * PRI_BLOCK_STRIPS + 1) */

    /* By row; an entry is the column in its tile. A forward pass has its weights in another order,
     * row by row, so that a softmax finds those of a row together: row r of the plan has those from
     * row_first[r] to row_first[r + 1], of which `is_cell` has a bit each. */
    pri_list_place *row_places; /* (list blocks * list tiles + 1) */
    pri_run *row_runs;
    uint16_t *columns;
    uint32_t *row_first; /* (queries + 1) */
    uint64_t *is_cell;
    /* By column, cells alone; an entry is the row in its block, and `weights` says which of the
     * tile's entries by row is the same cell. */
    pri_list_place *column_places;
    pri_run *column_runs;
    uint16_t *rows;
    uint16_t *weights;
} pri_head_plan;

struct pare_plan {
    pare_plan_geometry geometry;
    size_t row_blocks, tiles, words_per_row;
    size_t list_size, list_blocks, list_tiles;
    size_t longest_block;        /* entries by row of the fullest row block, over all heads */
    size_t longest_tile;         /* of the fullest row block and tile */
    bool has_windows, has_lists; /* any head */
    double build_seconds;
    pri_head_plan *compiled; /* each different mask once */
    size_t compiled_count;
    const pri_head_plan **heads; /* (heads), into `compiled` */
    pare_plan *shorter;          /* of the first rows and columns; NULL: none */
};

static inline bool pri_plan_holds(const pare_plan_geometry *geometry, const pri_sequence *sequence)
{
    bool keys = geometry->causal ? sequence->memory <= geometry->keys - geometry->queries
                                 : sequence->keys <= geometry->keys;
    return keys && sequence->queries <= geometry->queries;
}

/* The shortest plan that holds the sequence, which `plan` does. */
static inline const pare_plan *pri_plan_for(const pare_plan *plan, const pri_sequence *sequence)
{
    while (plan->shorter && pri_plan_holds(&plan->shorter->geometry, sequence))
        plan = plan->shorter;
    return plan;
}

/* Bits column .. column + 31 of a row. */
static inline uint32_t pri_plan_bits(const uint64_t *row_bits, size_t column)
{
    size_t word = column / 64, bit = column % 64;
    uint64_t low = row_bits[word] >> bit;
    return (uint32_t)(low | row_bits[word + 1] << 1 << (63 - bit));
}

static inline const uint64_t *pri_plan_row_bits(const pare_plan *plan, size_t head, size_t row)
{
    return plan->heads[head]->bits + row * plan->words_per_row;
}

/* Windows of the strip of `row`: head->windows[window_first[strip]] up to the next strip's. */
static inline size_t pri_strip_of(size_t row)
{
    return row / PRI_BLOCK_ROWS * PRI_BLOCK_STRIPS + row % PRI_BLOCK_ROWS / PRI_STRIP_ROWS;
}

/* ---- Compiling (plan.c drives) ---- */

/* Words of a row's bits in one tile of the lists; the last tile may be cut short. */
typedef struct pri_tile_words {
    const uint64_t *words;
    size_t count;
} pri_tile_words;

/* `bits` are of one row. */
static inline pri_tile_words pri_plan_tile_words(const pare_plan *plan, const uint64_t *bits,
                                                 size_t tile)
{
    size_t words = plan->list_size / 64, first = tile * words;
    size_t left = plan->words_per_row - first;
    return (pri_tile_words){bits + first, left < words ? left : words};
}

static inline size_t pri_cells_in(pri_tile_words bits)
{
    size_t cells = 0;
    for (size_t word = 0; word < bits.count; word++)
        cells += (size_t)__builtin_popcountll(bits.words[word]);
    return cells;
}

/* Chooses head->windows, NULL when lists alone are best. `listed` receives the bits of the cells
 * that no span covers, (queries, words_per_row); the caller frees them, also after a failure. */
pare_status pri_plan_choose_windows(const pare_plan *plan, const pare_plan_costs *costs,
                                    pri_head_plan *head, uint64_t **listed);
/* Fills both lists with the cells of `listed`. */
pare_status pri_plan_make_lists(const pare_plan *plan, const uint64_t *listed, pri_head_plan *head);

/* Fails unless the call's sequences fit the geometry; `what` names its owner in the message. */
pare_status pri_plan_geometry_check(const pare_plan_geometry *geometry, const pare_attention *call,
                                    const char *what);

#endif
