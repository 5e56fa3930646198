/* Averages and masks as pictures. A map wider than a picture should be is reduced by whole factors,
 * so that every picture cell stands for the same number of cells and regular masks do not turn into
 * moire patterns. */
#include "report/head_map.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "pruning/geometry.h"

static size_t reduced(size_t count, size_t factor)
{
    return (count + factor - 1) / factor;
}

pare_status pri_head_map_create(const pare_geometry *geometry, size_t maximum_columns,
                                pri_head_map *map)
{
    size_t leading = geometry->ends_first && geometry->keys > 2 && maximum_columns > 2 ? 2 : 0;
    map->leading_columns = leading;
    map->leading_rows = pri_geometry_is_cross(geometry) ? 0 : leading;
    map->factor = reduced(geometry->keys - leading, maximum_columns - leading);
    map->rows = map->leading_rows + reduced(geometry->queries - map->leading_rows, map->factor);
    map->columns = leading + reduced(geometry->keys - leading, map->factor);
    size_t cells;
    if (pri_multiply_overflows(map->rows, map->columns, &cells))
        return pri_fail(PARE_ERROR_MEMORY, "a map of %zu x %zu cells does not fit memory",
                        map->rows, map->columns);
    map->values = pri_allocate(cells, sizeof *map->values);
    return map->values ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_head_map_free(pri_head_map *map)
{
    pri_free(map->values);
    *map = (pri_head_map){0};
}

/* A cell's contribution to a picture: its value, or NaN to be left out. */
typedef double (*cell_value)(const void *source, size_t layer, size_t head, size_t row,
                             size_t column);

static double average_cell(const void *source, size_t layer, size_t head, size_t row, size_t column)
{
    return pare_average_value(source, PARE_AVERAGE_VALID, layer, head, row, column);
}

static double mask_cell(const void *source, size_t layer, size_t head, size_t row, size_t column)
{
    const pare_geometry *geometry = pare_mask_geometry(source);
    size_t newest = row + geometry->keys - geometry->queries;
    if (geometry->causal && column > newest)
        return (double)NAN;
    if (geometry->causal && geometry->window && newest - column >= geometry->window)
        return (double)NAN;
    return pare_mask_kept(source, layer, head, row, column) ? 1 : 0;
}

typedef struct cell_range {
    size_t begin, end;
} cell_range;

/* The rows or columns, of `count`, under number `index` of the map. */
static cell_range range_under(size_t leading, size_t factor, size_t index, size_t count)
{
    if (index < leading)
        return (cell_range){index, index + 1};
    size_t begin = leading + (index - leading) * factor;
    return (cell_range){begin, count - begin < factor ? count : begin + factor};
}

static double box_mean(const void *source, cell_value value, size_t layer, size_t head,
                       cell_range rows, cell_range columns)
{
    double sum = 0;
    size_t known = 0;
    for (size_t i = rows.begin; i < rows.end; i++)
        for (size_t j = columns.begin; j < columns.end; j++) {
            double cell = value(source, layer, head, i, j);
            if (isnan(cell))
                continue;
            sum += cell;
            known++;
        }
    return known ? sum / (double)known : (double)NAN;
}

static void fill(pri_head_map *map, const void *source, cell_value value,
                 const pare_geometry *geometry, size_t layer, size_t head)
{
    for (size_t row = 0; row < map->rows; row++) {
        cell_range rows = range_under(map->leading_rows, map->factor, row, geometry->queries);
        for (size_t column = 0; column < map->columns; column++)
            map->values[row * map->columns + column] =
                box_mean(source, value, layer, head, rows,
                         range_under(map->leading_columns, map->factor, column, geometry->keys));
    }
}

void pri_head_map_fill_average(pri_head_map *map, const pare_average *average, size_t layer,
                               size_t head)
{
    fill(map, average, average_cell, pare_average_geometry(average), layer, head);
}

void pri_head_map_fill_mask(pri_head_map *map, const pare_mask *mask, size_t layer, size_t head)
{
    fill(map, mask, mask_cell, pare_mask_geometry(mask), layer, head);
}

/* ---- One sequence ---- */

double pare_attention_value(const pare_attention_view *view, size_t layer, size_t head, size_t row,
                            size_t column)
{
    const pare_geometry *geometry = pare_average_geometry(view->average);
    bool rows_ends_first = geometry->ends_first && !pri_geometry_is_cross(geometry);
    size_t query = pri_geometry_place(rows_ends_first, row, geometry->queries);
    size_t key = pri_geometry_place(geometry->ends_first, column, geometry->keys);
    if (view->mask && !pare_mask_kept(view->mask, layer, head, query, key))
        return (double)NAN;
    return pare_average_value(view->average, PARE_AVERAGE_VALID, layer, head, query, key);
}

pare_geometry pri_attention_geometry(const pare_attention_view *view)
{
    pare_geometry geometry = *pare_average_geometry(view->average);
    geometry.ends_first = false;
    return geometry;
}

static double attention_cell(const void *source, size_t layer, size_t head, size_t row,
                             size_t column)
{
    return pare_attention_value(source, layer, head, row, column);
}

static double attention_kept_cell(const void *source, size_t layer, size_t head, size_t row,
                                  size_t column)
{
    pare_attention_view whole = *(const pare_attention_view *)source;
    whole.mask = NULL;
    if (isnan(pare_attention_value(&whole, layer, head, row, column)))
        return (double)NAN;
    return isnan(pare_attention_value(source, layer, head, row, column)) ? 0 : 1;
}

void pri_head_map_fill_attention(pri_head_map *map, const pare_attention_view *view, size_t layer,
                                 size_t head)
{
    fill(map, view, attention_cell, pare_average_geometry(view->average), layer, head);
}

void pri_head_map_fill_attention_kept(pri_head_map *map, const pare_attention_view *view,
                                      size_t layer, size_t head)
{
    fill(map, view, attention_kept_cell, pare_average_geometry(view->average), layer, head);
}

/* ---- Scale ---- */

static int compare_values(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

enum { SCALE_SAMPLES = 1 << 16 };

/* From a fixed sample of the cells: the 2nd percentile to the 99.8th, at most five decades. A few
 * extreme cells must not wash out the rest. */
static pri_heat_scale scale_of_sample(double *sample, size_t count)
{
    if (count == 0)
        return (pri_heat_scale){1e-4, 1};
    qsort(sample, count, sizeof *sample, compare_values);
    double high = sample[count - 1 - count / 500];
    double low = fmin(fmax(sample[count / 50], high * 1e-5), high / 10);
    return (pri_heat_scale){low, high};
}

pri_heat_scale pri_heat_scale_of(const pare_average *average)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    uint64_t head_cells = (uint64_t)geometry->queries * geometry->keys;
    uint64_t cells = head_cells * geometry->heads * geometry->layers;
    /* An odd stride visits all columns in turn, whatever their number. */
    uint64_t stride = cells / SCALE_SAMPLES | 1;
    double *sample = pri_allocate((size_t)(cells / stride) + 1, sizeof *sample);
    if (!sample)
        return (pri_heat_scale){1e-4, 1};
    size_t count = 0;
    for (uint64_t cell = 0; cell < cells; cell += stride) {
        size_t head = (size_t)(cell / head_cells), inside = (size_t)(cell % head_cells);
        double value = pare_average_value(average, PARE_AVERAGE_VALID, head / geometry->heads,
                                          head % geometry->heads, inside / geometry->keys,
                                          inside % geometry->keys);
        if (value > 0)
            sample[count++] = value;
    }
    pri_heat_scale scale = scale_of_sample(sample, count);
    pri_free(sample);
    return scale;
}

double pri_heat_share(const pri_heat_scale *scale, double value)
{
    if (!(value > scale->low))
        return 0;
    return fmin(log(value / scale->low) / log(scale->high / scale->low), 1);
}

/* ---- Images ---- */

/* Grey that darkens a light page and lightens a dark one. */
static const pri_colour not_admissible = {128, 134, 142, 56};

void pri_palettes_fill(pri_palettes *palettes)
{
    palettes->heat[0] = palettes->mask[0] = not_admissible;
    for (int i = 0; i < PRI_HEAT_STEPS; i++)
        palettes->heat[1 + i] = pri_colour_heat((double)i / (PRI_HEAT_STEPS - 1));
    for (int i = 0; i <= PRI_MASK_STEPS; i++)
        palettes->mask[1 + i] = (pri_colour){0x1d, 0x8f, 0xb0, (uint8_t)(255 * i / PRI_MASK_STEPS)};
}

pri_indexed_image pri_heat_image(const pri_palettes *palettes, const pri_head_map *map,
                                 const pri_heat_scale *scale, uint8_t *pixels)
{
    for (size_t i = 0; i < map->rows * map->columns; i++) {
        double share = pri_heat_share(scale, map->values[i]);
        pixels[i] = isnan(map->values[i]) ? 0 : (uint8_t)(1 + lround(share * (PRI_HEAT_STEPS - 1)));
    }
    return (pri_indexed_image){map->columns, map->rows, pixels, palettes->heat, PRI_HEAT_STEPS + 1};
}

pri_indexed_image pri_mask_image(const pri_palettes *palettes, const pri_head_map *map,
                                 uint8_t *pixels)
{
    for (size_t i = 0; i < map->rows * map->columns; i++)
        pixels[i] =
            isnan(map->values[i]) ? 0 : (uint8_t)(1 + lround(map->values[i] * PRI_MASK_STEPS));
    return (pri_indexed_image){map->columns, map->rows, pixels, palettes->mask, PRI_MASK_STEPS + 2};
}

pri_indexed_image pri_heat_strip(const pri_palettes *palettes, uint8_t pixels[PRI_HEAT_STEPS])
{
    for (int i = 0; i < PRI_HEAT_STEPS; i++)
        pixels[i] = (uint8_t)(1 + i);
    return (pri_indexed_image){PRI_HEAT_STEPS, 1, pixels, palettes->heat, PRI_HEAT_STEPS + 1};
}

/* ---- Statistics ---- */

double pri_head_entropy(const pare_average *average, size_t layer, size_t head)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    double total = 0;
    size_t rows = 0;
    for (size_t row = 0; row < geometry->queries; row++) {
        double sum = 0, weighted = 0;
        for (size_t column = 0; column < geometry->keys; column++) {
            double value =
                pare_average_value(average, PARE_AVERAGE_VALID, layer, head, row, column);
            if (!(value > 0))
                continue;
            sum += value;
            weighted += value * log2(value);
        }
        if (sum > 0) {
            /* -sum (v/s) log2 (v/s) = log2 s - (sum v log2 v) / s */
            total += log2(sum) - weighted / sum;
            rows++;
        }
    }
    return rows ? total / (double)rows : (double)NAN;
}

pri_profile pri_head_profile(const pare_average *average, size_t layer, size_t head)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    pri_profile profile = {0};
    if (!geometry->causal)
        return profile;
    double growth = pow((double)geometry->keys, 1.0 / (PRI_PROFILE_POINTS - 1));
    double next = 0;
    for (size_t distance = 0; distance < geometry->keys; distance++) {
        bool last = distance + 1 == geometry->keys;
        if ((double)(distance + 1) < next && !last)
            continue;
        next = fmax((double)(distance + 1) * growth, (double)(distance + 2));
        double value = pare_average_at_distance(average, PARE_AVERAGE_VALID, layer, head, distance);
        if (!(value > 0) || profile.count == PRI_PROFILE_POINTS)
            continue;
        profile.distances[profile.count] = distance;
        profile.values[profile.count++] = value;
    }
    return profile;
}
