/* A plan as the kernels see it: the kept cells of every row as sorted 16-bit columns, and the same
 * cells once more by column for the gradients of keys and values.
 *
 * Other formats (bit-masked tiles, bands, blocks) would stand beside the two lists; a kernel asks
 * for the one it can run. */
#ifndef PARE_SRC_ATTENTION_PLAN_H
#define PARE_SRC_ATTENTION_PLAN_H

#include "attention/sequence.h"

struct pare_plan {
    pare_plan_geometry geometry;
    size_t longest_row; /* cells */
    /* Row r of head h: columns[row_begin[h * queries + r]] up to the next row's begin. */
    size_t *row_begin; /* heads * queries + 1 */
    uint16_t *columns;
    uint8_t *uniform; /* (heads, queries): all scores of this row count as 0 */
    /* Column c of head h: rows[column_begin[h * keys + c]] up to the next. `cells` tells where in
     * `columns`, counted from the head's first cell, the same cell is. */
    size_t *column_begin; /* heads * keys + 1 */
    uint16_t *rows;
    uint32_t *cells;
};

/* First position in begin .. end - 1 of the sorted `list` that is not below `value`. */
static inline size_t pri_lower_bound(const uint16_t *list, size_t begin, size_t end, size_t value)
{
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

/* Fails unless the call's sequences fit the geometry; `what` names its owner in the message. */
pare_status pri_plan_geometry_check(const pare_plan_geometry *geometry, const pare_attention *call,
                                    const char *what);

#endif
