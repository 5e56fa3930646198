/* What one head does, as numbers for pictures: averages and masks reduced to a printable grid, its
 * distance profile and its entropy. */
#ifndef PARE_SRC_REPORT_HEAD_MAP_H
#define PARE_SRC_REPORT_HEAD_MAP_H

#include "pare/report.h"
#include "report/png.h"

/* One value per picture cell; NaN where no cell under it is known or admissible. */
typedef struct pri_head_map {
    size_t rows, columns;
    size_t factor;                        /* rows and columns under each picture cell */
    size_t leading_rows, leading_columns; /* except under the first so many: one */
    double *values;
} pri_head_map;

/* Allocates a map of geometry's queries x keys, reduced by whole factors until it has at most
 * `maximum_columns` columns. The rows and columns of a sequence's ends are not reduced when they
 * come first. */
pare_status pri_head_map_create(const pare_geometry *geometry, size_t maximum_columns,
                                pri_head_map *map);
void pri_head_map_free(pri_head_map *map);
/* Mean average attention under each picture cell. */
void pri_head_map_fill_average(pri_head_map *map, const pare_average *average, size_t layer,
                               size_t head);
/* Share of the admissible cells under each picture cell that are kept, 0 .. 1. */
void pri_head_map_fill_mask(pri_head_map *map, const pare_mask *mask, size_t layer, size_t head);

/* The same of one sequence's attention, in the order of the sentence: of a map of
 * pri_attention_geometry. Pruned cells are NaN in the first and 0 in the
 * second; what is not admissible is NaN in both. */
pare_geometry pri_attention_geometry(const pare_attention_view *view);
void pri_head_map_fill_attention(pri_head_map *map, const pare_attention_view *view, size_t layer,
                                 size_t head);
void pri_head_map_fill_attention_kept(pri_head_map *map, const pare_attention_view *view,
                                      size_t layer, size_t head);

/* The logarithmic scale shared by all heads of a report. */
typedef struct pri_heat_scale {
    double low, high;
} pri_heat_scale;
pri_heat_scale pri_heat_scale_of(const pare_average *average);
/* 0 .. 1 between low and high. */
double pri_heat_share(const pri_heat_scale *scale, double value);

/* Palette entry 0 is what is not admissible; the mask's are transparent where nothing is kept. */
enum { PRI_HEAT_STEPS = 128, PRI_MASK_STEPS = 16 };
typedef struct pri_palettes {
    pri_colour heat[PRI_HEAT_STEPS + 1], mask[PRI_MASK_STEPS + 2];
} pri_palettes;
void pri_palettes_fill(pri_palettes *palettes);

/* Pictures of a map, in pixels the caller allocates (rows * columns). */
pri_indexed_image pri_heat_image(const pri_palettes *palettes, const pri_head_map *map,
                                 const pri_heat_scale *scale, uint8_t *pixels);
pri_indexed_image pri_mask_image(const pri_palettes *palettes, const pri_head_map *map,
                                 uint8_t *pixels);
/* The heat scale from low to high as a strip one pixel high. */
pri_indexed_image pri_heat_strip(const pri_palettes *palettes, uint8_t pixels[PRI_HEAT_STEPS]);

/* Mean over rows of the entropy of the average row, in bits; NaN without data. */
double pri_head_entropy(const pare_average *average, size_t layer, size_t head);

/* Average attention against distance, thinned out evenly in the logarithm. */
enum { PRI_PROFILE_POINTS = 40 };
typedef struct pri_profile {
    size_t count;
    size_t distances[PRI_PROFILE_POINTS];
    double values[PRI_PROFILE_POINTS];
} pri_profile;
/* Empty for attention that is not causal: there, distance has no one meaning. */
pri_profile pri_head_profile(const pare_average *average, size_t layer, size_t head);

#endif
