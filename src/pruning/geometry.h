/* Which cells of the rectangle (rows x columns) exist for the model, in one place. */
#ifndef PARE_SRC_PRUNING_GEOMETRY_H
#define PARE_SRC_PRUNING_GEOMETRY_H

#include "base/status.h"
#include "pare/pruning.h"

/* Columns begin .. end - 1 of a row; admissible columns always lie side by side. */
typedef struct pri_columns {
    size_t begin, end;
} pri_columns;

/* Refuses empty or impossible shapes, and rectangles whose fp64 sums cannot be addressed. */
pare_status pri_average_geometry_check(const pare_geometry *geometry);
/* Queries and keys of two sequences, compared along the diagonal of that ratio. */
static inline bool pri_geometry_is_cross(const pare_geometry *geometry)
{
    return geometry->ratio > 0;
}

#define PRI_RATIO_LEAST 1e-3
#define PRI_RATIO_MOST 1e3

bool pri_geometry_same(const pare_geometry *a, const pare_geometry *b);
/* Layers x heads x queries x keys. */
uint64_t pri_geometry_rectangle(const pare_geometry *geometry);
uint64_t pri_geometry_admissible_per_head(const pare_geometry *geometry);
/* Rows of the observed shape that have an admissible cell at this distance. */
uint64_t pri_geometry_rows_at_distance(const pare_geometry *geometry, size_t distance);

/* ---- Classes: the cells of a head that share one bit, in distance and relative geometry ----
 * Distance: the distance. Relative: 0 and 1 are the columns of the first and last token, 2 and 3
 * what is left of their rows, 4 + 2|d| - (d < 0) the distance d = column - row among the others. Of
 * cross attention: 0 and 1 as before, 2 + 2b - (d < 0) the offsets d of bucket b among the others.
 */

/* Those that the observed shape can hold. */
size_t pri_geometry_classes(const pare_geometry *geometry);
/* Of an admissible cell in any row and column; beyond the number above when the observed shape is
 * too small to hold it. */
size_t pri_geometry_class(const pare_geometry *geometry, size_t row, size_t column);
/* Admissible cells of the observed shape. */
uint64_t pri_geometry_class_cells(const pare_geometry *geometry, size_t class_index);

/* Where token `index` of a sequence of `length` lies, as row and as column. */
static inline size_t pri_geometry_place(bool ends_first, size_t index, size_t length)
{
    if (!ends_first || index == 0)
        return index;
    return index + 1 == length ? 1 : index + 1;
}

static inline size_t pri_geometry_memory(const pare_geometry *geometry)
{
    return geometry->causal ? geometry->keys - geometry->queries : 0;
}

/* row < queries */
static inline pri_columns pri_geometry_columns(const pare_geometry *geometry, size_t row)
{
    if (!geometry->causal)
        return (pri_columns){0, geometry->keys};
    size_t end = row + pri_geometry_memory(geometry) + 1;
    bool limited = geometry->window && end > geometry->window;
    return (pri_columns){limited ? end - geometry->window : 0, end};
}

static inline bool pri_geometry_distance_admissible(const pare_geometry *geometry, size_t distance)
{
    return geometry->causal && (!geometry->window || distance < geometry->window);
}

#endif
