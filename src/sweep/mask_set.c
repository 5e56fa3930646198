/* Masks that belong together. Their percents are pooled: cells of all kinds that are pruned count
 * alike, for p_effective as often as the data use them. */
#include "sweep/mask_set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"

/* ---- Creation ---- */

/* Admissible cells of the corpus, over all layers and heads. */
static double count_corpus_cells(const pare_average *average)
{
    const pare_geometry *g = pare_average_geometry(average);
    double cells = 0;
    for (size_t row = 0; row < g->queries; row++)
        for (size_t column = 0; column < g->keys; column++)
            cells += (double)pare_average_count(average, row, column);
    return cells * (double)(g->layers * g->heads);
}

/* A decoder's self attention is relative by distances. */
static pare_geometry_kind geometry_of(pare_geometry_kind wanted, const pare_average *average)
{
    bool causal = pare_average_geometry(average)->causal;
    return causal && wanted == PARE_GEOMETRY_RELATIVE ? PARE_GEOMETRY_DISTANCE : wanted;
}

pare_status pri_mask_set_create(pare_average *const averages[PARE_ATTENTION_KINDS],
                                unsigned attention, const pare_prune_options *prune, bool effective,
                                pri_mask_set *set)
{
    *set = (pri_mask_set){.masks = {NULL}, .percent = prune->percent};
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        if (!(attention & 1U << kind))
            continue;
        pare_prune_options options = *prune;
        options.geometry = geometry_of(prune->geometry, averages[kind]);
        if (effective)
            PRI_TRY(
                pare_mask_find_percent(averages[kind], &options, prune->percent, &options.percent));
        PRI_TRY(pare_mask_create(averages[kind], &options, &set->masks[kind]));
        set->corpus_cells[kind] = count_corpus_cells(averages[kind]);
    }
    return PARE_OK;
}

void pri_mask_set_free(pri_mask_set *set)
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_mask_destroy(set->masks[kind]);
    *set = (pri_mask_set){.masks = {NULL}};
}

static unsigned bits_of(const pri_mask_set *set)
{
    unsigned bits = 0;
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        bits |= set->masks[kind] ? 1U << kind : 0;
    return bits;
}

bool pri_mask_set_is_empty(const pri_mask_set *set)
{
    return !bits_of(set);
}

/* ---- Files ---- */

static pare_status files_equal(const char *a, const char *b, bool *equal)
{
    uint8_t *data_a, *data_b = NULL;
    size_t size_a, size_b;
    PRI_TRY(pri_file_read(a, 0, &data_a, &size_a));
    pare_status status = pri_file_read(b, 0, &data_b, &size_b);
    *equal = status == PARE_OK && size_a == size_b && !memcmp(data_a, data_b, size_a);
    pri_free(data_a);
    pri_free(data_b);
    return status;
}

static pare_status fail_other_mask(const char *directory)
{
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "%s: holds a run under another mask; remove it or choose another output "
                    "directory",
                    directory);
}

static pare_status compare_mask(const pare_mask *mask, const char *path, const char *directory)
{
    char *candidate = pri_path_join(directory, "candidate.safetensors");
    bool equal = false;
    pare_status status = candidate ? pare_mask_save(mask, candidate) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = files_equal(path, candidate, &equal);
    if (status == PARE_OK)
        status = pri_remove_tree(candidate);
    if (status == PARE_OK && !equal)
        status = fail_other_mask(directory);
    pri_free(candidate);
    return status;
}

/* `mask` NULL: there must be none. */
static pare_status place_mask(const pare_mask *mask, const char *path, const char *directory)
{
    bool exists = pri_path_exists(path);
    if (!mask)
        return exists ? fail_other_mask(directory) : PARE_OK;
    return exists ? compare_mask(mask, path, directory) : pare_mask_save(mask, path);
}

pare_status pri_mask_set_place(const pri_mask_set *set, size_t kinds, const char *directory)
{
    pare_status status = PARE_OK;
    for (size_t kind = 0; kind < kinds && status == PARE_OK; kind++) {
        char *path =
            pri_path_join(directory, pare_mask_file_name(kinds, (pare_attention_kind)kind));
        status = path ? place_mask(set->masks[kind], path, directory) : PARE_ERROR_MEMORY;
        pri_free(path);
    }
    return status;
}

/* ---- Use ---- */

pare_status pri_mask_set_apply(const pri_mask_set *set, pare_model *model)
{
    for (size_t kind = 0; kind < pare_model_attention_kinds(model); kind++)
        PRI_TRY(pare_model_set_mask(model, (pare_attention_kind)kind, set->masks[kind]));
    return PARE_OK;
}

const char *pri_attention_name(unsigned attention)
{
    static const char *const names[] = {"", "encoder", "decoder", "selves", "cross", "", "", "all"};
    return names[attention];
}

/* What several masks prune, in cells; percents of a single mask are in its own report. */
typedef struct pooled_masks {
    size_t count;
    double rectangle, admissible, pruned; /* of the observed shapes */
    double corpus, saved; /* admissible cells of the data, and those of them pruned */
    double heads, mass;   /* and the sum over heads of the mass that is kept */
} pooled_masks;

static void pool_mask(const pare_mask *mask, double corpus_cells, pooled_masks *pooled)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    pare_mask_report report = pare_mask_describe(mask);
    double heads = (double)(g->layers * g->heads);
    pooled->count++;
    pooled->rectangle += heads * (double)g->queries * (double)g->keys;
    pooled->admissible += (double)report.admissible_cells;
    pooled->pruned += (double)report.pruned_cells;
    pooled->corpus += corpus_cells;
    pooled->saved += corpus_cells * report.p_effective / 100;
    pooled->heads += heads;
    pooled->mass += heads * report.kept_mass;
}

/* Masks from files bring no counts of the corpus: then p_effective is not known. */
static void describe_pooled(const pooled_masks *pooled, pare_result_row *row)
{
    double kept = pooled->admissible - pooled->pruned;
    row->p_nominal = 100 * (pooled->rectangle - kept) / pooled->rectangle;
    row->p_admissible = 100 * pooled->pruned / pooled->admissible;
    row->p_effective = pooled->corpus > 0 ? 100 * pooled->saved / pooled->corpus : (double)NAN;
    row->kept_mass = pooled->mass / pooled->heads;
}

static void describe_single(const pare_mask_report *report, pare_result_row *row)
{
    row->p_nominal = report->p_nominal;
    row->p_admissible = report->p_admissible;
    row->p_effective = report->p_effective;
    row->kept_mass = report->kept_mass;
}

void pri_mask_set_describe(const pri_mask_set *set, size_t kinds, pare_result_row *row)
{
    pooled_masks pooled = {.count = 0};
    pare_mask_report report = {.pruned_cells = 0};
    for (size_t kind = 0; kind < kinds; kind++) {
        if (!set->masks[kind])
            continue;
        report = pare_mask_describe(set->masks[kind]);
        pool_mask(set->masks[kind], set->corpus_cells[kind], &pooled);
    }
    row->p_requested = set->percent > 0 ? set->percent : report.p_requested;
    if (report.method == PARE_METHOD_RANDOM)
        row->seed = report.options.seed;
    if (kinds > 1)
        snprintf(row->attention, sizeof row->attention, "%s", pri_attention_name(bits_of(set)));
    if (pooled.count == 1)
        describe_single(&report, row);
    else
        describe_pooled(&pooled, row);
}
