/* What a mask prunes, in the three meanings of p, and what its kept cells carry.
 *
 * Cells of all geometries are the admissible cells of the observed shape: a class counts all it has
 * there, and unobserved cells count too. Layers that are not to be pruned count as kept, so all
 * shares speak of the whole model. */
#include "pruning/mask.h"

#include <math.h>
#include <string.h>

/* Kept admissible cells of `heads` heads, in this layer and the next ones, from `head` on. */
static uint64_t kept_cells(const pare_mask *mask, size_t layer, size_t head, size_t heads)
{
    const pare_geometry *g = &mask->geometry;
    const uint8_t *bits = mask->bits + pri_mask_row(mask, layer, head, 0);
    uint64_t kept = 0;
    if (g->kind == PARE_GEOMETRY_CELL) {
        for (size_t row = 0; row < heads * g->queries; row++)
            kept += pri_mask_count_kept(bits + row * mask->row_bytes,
                                        pri_geometry_columns(g, row % g->queries));
        return kept;
    }
    /* The cells of a class may take a look at every row: once, not once per head. */
    for (size_t class_index = 0; class_index < mask->row_bits; class_index++) {
        uint64_t keeping = 0;
        for (size_t i = 0; i < heads; i++)
            keeping += pri_bit(bits + i * mask->row_bytes, class_index);
        kept += keeping ? keeping * pri_geometry_class_cells(g, class_index) : 0;
    }
    return kept;
}

static uint64_t admissible_cells(const pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    if (g->kind == PARE_GEOMETRY_CELL || pri_geometry_is_cross(g))
        return pri_geometry_admissible_per_head(g);
    /* A file's distance geometry may claim any number of rows: count by class, not by row. */
    uint64_t cells = 0;
    for (size_t class_index = 0; class_index < mask->row_bits; class_index++)
        cells += pri_geometry_class_cells(g, class_index);
    return cells;
}

void pri_mask_count(pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    uint64_t heads = (uint64_t)g->layers * g->heads;
    uint64_t admissible = heads * admissible_cells(mask);
    uint64_t kept = kept_cells(mask, 0, 0, g->layers * g->heads);
    double rectangle = (double)pri_geometry_rectangle(g);
    pare_mask_report *report = &mask->report;
    report->admissible_cells = admissible;
    report->pruned_cells = admissible - kept;
    report->p_nominal = 100 * (rectangle - (double)kept) / rectangle;
    report->p_admissible = 100 * (double)report->pruned_cells / (double)admissible;
}

/* Adds to *kept_count and *kept_sum what the kept cells of one head were seen and carried. */
static void weigh_head(const pare_mask *mask, const pare_average *average, size_t layer,
                       size_t head, double *kept_count, double *kept_sum)
{
    const pare_geometry *g = &mask->geometry;
    for (size_t row = 0; row < g->queries; row++) {
        pri_columns columns = pri_geometry_columns(g, row);
        const double *sums = average->sums + pri_average_index(average, layer, head, row);
        const uint64_t *counts = average->counts + row * g->keys;
        for (size_t column = columns.begin; column < columns.end; column++)
            if (pare_mask_kept(mask, layer, head, row, column)) {
                *kept_count += (double)counts[column];
                *kept_sum += sums[column];
            }
    }
}

static double total_count(const pare_average *average)
{
    const pare_geometry *g = &average->geometry;
    double total = 0;
    for (size_t row = 0; row < g->queries; row++) {
        pri_columns columns = pri_geometry_columns(g, row);
        for (size_t column = columns.begin; column < columns.end; column++)
            total += (double)average->counts[row * g->keys + column];
    }
    return total * (double)(g->layers * g->heads);
}

static double layer_total(const pare_average *average, size_t layer)
{
    const pare_geometry *g = &average->geometry;
    const double *sums = average->sums + pri_average_index(average, layer, 0, 0);
    double total = 0;
    for (size_t cell = 0; cell < g->heads * g->queries * g->keys; cell++)
        total += sums[cell];
    return total;
}

static double percentage(double part, double whole)
{
    double share = whole > 0 ? 100 * (part / whole) : 100;
    return share < 100 ? share : 100;
}

void pri_mask_weigh(pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    double kept_count = 0, kept_sum = 0;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < g->heads; head++)
            weigh_head(mask, average, layer, head, &kept_count, &kept_sum);
    mask->report.p_effective = 100 - percentage(kept_count, total_count(average));
    mask->report.kept_mass = percentage(kept_sum, pri_average_total(average));
    memcpy(mask->report.corpus, average->corpus, sizeof mask->report.corpus);
    mask->report.corpus_hash = average->corpus_hash;
}

double pare_mask_kept_mass(const pare_mask *mask, const pare_average *average, size_t layer)
{
    const pare_geometry *g = &mask->geometry, *observed = &average->geometry;
    if (layer >= g->layers || layer >= observed->layers || g->heads != observed->heads ||
        g->queries != observed->queries || g->keys != observed->keys)
        return (double)NAN;
    double kept_count = 0, kept_sum = 0;
    for (size_t head = 0; head < g->heads; head++)
        weigh_head(mask, average, layer, head, &kept_count, &kept_sum);
    return percentage(kept_sum, layer_total(average, layer));
}

double pare_mask_kept_share(const pare_mask *mask, size_t layer, size_t head)
{
    const pare_geometry *g = &mask->geometry;
    if (layer >= g->layers || head >= g->heads)
        return 0;
    return (double)kept_cells(mask, layer, head, 1) / (double)admissible_cells(mask);
}
