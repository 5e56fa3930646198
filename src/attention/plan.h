/* A plan as the kernels see it. For sparse rows: the kept cells of every row as sorted 16-bit
 * columns, and the same cells once more by column for the gradients of keys and values. For dense
 * tiles: one bit per cell. Heads differ; each runs in the format that suits its density.
 *
 * Other formats (bands, blocks) would stand beside these; a kernel asks for the one it can run. */
#ifndef PARE_SRC_ATTENTION_PLAN_H
#define PARE_SRC_ATTENTION_PLAN_H

#include "attention/sequence.h"

#define PRI_MARK_COLUMNS 64

struct pare_plan {
    pare_plan_geometry geometry;
    size_t longest_row; /* cells */
    /* Row r of head h: columns[row_begin[h * queries + r]] up to the next row's begin. */
    size_t *row_begin; /* heads * queries + 1 */
    uint16_t *columns;
    uint8_t *uniform; /* (heads, queries): all scores of this row count as 0 */
    /* (heads, queries, marks_per_row): how many cells of the row lie in columns below m * 64. */
    uint32_t *marks;
    size_t marks_per_row;
    /* (heads, queries, words_per_row): bit c of a row is its column c, admissible and kept. */
    uint64_t *bits;
    size_t words_per_row;
    double *share; /* (heads): kept cells of the admissible ones */
    /* Column c of head h: rows[column_begin[h * keys + c]] up to the next. `cells` tells where in
     * `columns`, counted from the head's first cell, the same cell is. */
    size_t *column_begin; /* heads * keys + 1 */
    uint16_t *rows;
    uint32_t *cells;
};

/* First position in begin .. end - 1 of the sorted `list` that is not below `value`. Both ends are
 * looked at first: most lists are used whole. */
static inline size_t pri_lower_bound(const uint16_t *list, size_t begin, size_t end, size_t value)
{
    if (begin == end || list[begin] >= value)
        return begin;
    if (list[end - 1] < value)
        return end;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (list[middle] < value)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* The kept cells of one row of a call: `columns` of the plan, first .. first + count - 1. */
typedef struct pri_plan_cells {
    size_t first, count; /* positions in plan->columns */
    bool uniform;
} pri_plan_cells;

static inline pri_plan_cells pri_plan_row_cells(const pare_plan *plan, size_t head, size_t row,
                                                pri_range admissible, size_t shift)
{
    size_t index = head * plan->geometry.queries + row;
    size_t begin = plan->row_begin[index], end = plan->row_begin[index + 1];
    size_t first = pri_lower_bound(plan->columns, begin, end, admissible.begin + shift);
    size_t last = pri_lower_bound(plan->columns, first, end, admissible.end + shift);
    return (pri_plan_cells){first, last - first, plan->uniform[index] != 0};
}

/* Bits column .. column + 31 of a row. */
static inline uint32_t pri_plan_bits(const uint64_t *row_bits, size_t column)
{
    size_t word = column / 64, bit = column % 64;
    uint64_t low = row_bits[word] >> bit;
    return (uint32_t)(bit ? low | row_bits[word + 1] << (64 - bit) : low);
}

/* Those of `cells`, which are of `row`, whose columns lie in begin .. end - 1; both are multiples
 * of PRI_MARK_COLUMNS and may lie beyond the last column. */
static inline pri_plan_cells pri_plan_cells_between(const pare_plan *plan, size_t head, size_t row,
                                                    pri_plan_cells cells, size_t begin, size_t end)
{
    size_t index = head * plan->geometry.queries + row, last_mark = plan->marks_per_row - 1;
    const uint32_t *marks = plan->marks + index * plan->marks_per_row;
    size_t from = begin / PRI_MARK_COLUMNS, to = end / PRI_MARK_COLUMNS;
    size_t first = plan->row_begin[index] + marks[from < last_mark ? from : last_mark];
    size_t last = plan->row_begin[index] + marks[to < last_mark ? to : last_mark];
    size_t cells_end = cells.first + cells.count;
    first = first > cells.first ? first : cells.first;
    last = last < cells_end ? last : cells_end;
    return (pri_plan_cells){first, first < last ? last - first : 0, cells.uniform};
}

/* Fails unless the call's sequences fit the geometry; `what` names its owner in the message. */
pare_status pri_plan_geometry_check(const pare_plan_geometry *geometry, const pare_attention *call,
                                    const char *what);

#endif
