/* The inside of a mask, for the files of this room. */
#ifndef PARE_SRC_PRUNING_MASK_H
#define PARE_SRC_PRUNING_MASK_H

#include "pruning/average.h"
#include "pruning/geometry.h"

/* One bit per column (cell geometry: a row per layer, head and query) or per class (one row per
 * layer and head), lowest bit first, rows padded with 0 to whole bytes. Bits of inadmissible cells
 * are 0. */
struct pare_mask {
    pare_geometry geometry;
    size_t rows;      /* per head: queries, or 1 */
    size_t row_bits;  /* keys, or classes */
    size_t row_bytes; /* pri_mask_row_bytes */
    uint8_t *bits;    /* (layers, heads, rows, row_bytes) */
    uint8_t *layers;  /* (layers): 1 where the layer may be pruned */
    pare_mask_report report;
};

size_t pri_mask_row_bytes(const pare_geometry *geometry);
/* Everything admissible is kept, every layer may be pruned; the report holds the options only. */
pare_status pri_mask_allocate(const pare_geometry *geometry, const pare_prune_options *options,
                              pare_mask **mask);
pare_status pri_prune_options_check(const pare_prune_options *options,
                                    const pare_geometry *geometry);

static inline size_t pri_mask_row(const pare_mask *mask, size_t layer, size_t head, size_t row)
{
    return ((layer * mask->geometry.heads + head) * mask->rows + row) * mask->row_bytes;
}

static inline bool pri_bit(const uint8_t *row, size_t index)
{
    return row[index / 8] >> index % 8 & 1;
}

static inline void pri_bit_set(uint8_t *row, size_t index)
{
    row[index / 8] = (uint8_t)(row[index / 8] | 1u << index % 8);
}

static inline void pri_bit_clear(uint8_t *row, size_t index)
{
    row[index / 8] = (uint8_t)(row[index / 8] & ~(1u << index % 8));
}

/* Admissible bits of a row of bits: columns, or classes. */
pri_columns pri_mask_columns(const pare_mask *mask, size_t row);
/* Number of kept bits in columns begin .. end - 1. */
size_t pri_mask_count_kept(const uint8_t *row, pri_columns columns);

/* ---- What keep-one guards ----
 * The rows 0 .. pri_mask_guarded_rows - 1, each in these columns, have a kept cell. Of an encoder's
 * cells they are those of the shortest sequence that has the row, of cross attention those that all
 * examples of the average with the row had. In distance geometry row 0 serves all others, which
 * reach its distances too; in relative geometry the rows of a sequence of three tokens serve those
 * of every longer one; of cross attention the columns of first and last token serve all rows. */
size_t pri_mask_guarded_rows(const pare_mask *mask);
pri_columns pri_mask_guarded_columns(const pare_mask *mask, const pare_average *average,
                                     size_t row);
/* The same as far as a file can promise it: of cells, the whole row, which is all that older
 * writers guarded. */
pri_columns pri_mask_promised_columns(const pare_mask *mask, size_t row);

/* ---- Pruning: cell by cell (cell_selection.c), or whole classes (class_selection.c) ---- */
pare_status pri_mask_prune_cells(pare_mask *mask, const pare_average *average);
/* Blocks of at least 1 x 1 in cell geometry, else the classes of the geometry. */
pare_status pri_mask_prune_classes(pare_mask *mask, const pare_average *average);

/* ---- Rows (mask_plan.c) ---- */
/* What a plan for calls of `shape`, which the mask serves, is told of a row: see pare_plan_row of
 * pare/attention.h. */
void pri_mask_fill_row(const pare_mask *mask, const pare_geometry *shape, size_t layer, size_t head,
                       size_t row, uint8_t *fill);

/* ---- Report (mask_report.c) ---- */
/* Fills pruned_cells, admissible_cells, p_nominal and p_admissible from the bits. */
void pri_mask_count(pare_mask *mask);
/* Fills p_effective, kept_mass and the corpus from the average. */
void pri_mask_weigh(pare_mask *mask, const pare_average *average);

/* The parser behind pare_mask_load. */
pare_status pri_mask_parse(const uint8_t *data, size_t size, const char *name, pare_mask **mask);

#endif
