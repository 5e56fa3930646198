/* Masks on disk, as docs/mask-format.md describes them. A mask decides what a model may see, so
 * reading accepts nothing that writing would not have produced: all fields, bits of inadmissible
 * cells and padding 0, and the counts equal to those of the bits. */
#include "pruning/mask.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "pruning/metadata.h"

#define FORMAT "pare-mask"

/* ---- Writing ---- */

/* The tensor's shape; returns its dimensions. */
static size_t bits_shape(const pare_geometry *g, size_t row_bytes, size_t shape[4])
{
    size_t dimensions = 0;
    shape[dimensions++] = g->layers;
    shape[dimensions++] = g->heads;
    if (g->kind == PARE_GEOMETRY_CELL)
        shape[dimensions++] = g->queries;
    shape[dimensions++] = row_bytes;
    return dimensions;
}

static unsigned version_of(const pare_mask *mask)
{
    unsigned version = pri_metadata_geometry_version(&mask->geometry);
    return version < 2 && mask->report.options.block ? 2 : version;
}

static void write_options(pri_safetensors_writer *writer, unsigned version,
                          const pare_prune_options *options)
{
    pri_safetensors_writer_metadata(writer, "method", pare_method_names[options->method]);
    pri_safetensors_writer_metadata(writer, "average", pare_average_names[options->average]);
    pri_safetensors_writer_metadata(writer, "scope", pare_scope_names[options->scope]);
    pri_safetensors_writer_metadata(writer, "empty_row", pare_empty_row_names[options->empty_row]);
    pri_metadata_set_number(writer, "percent", options->percent);
    pri_metadata_set_integer(writer, "seed", options->seed);
    if (version >= 2)
        pri_metadata_set_integer(writer, "block", options->block);
}

static void write_report(pri_safetensors_writer *writer, const pare_mask_report *report)
{
    pri_metadata_set_number(writer, "p_nominal", report->p_nominal);
    pri_metadata_set_number(writer, "p_admissible", report->p_admissible);
    pri_metadata_set_number(writer, "p_effective", report->p_effective);
    pri_metadata_set_number(writer, "kept_mass", report->kept_mass);
    pri_metadata_set_integer(writer, "pruned_cells", report->pruned_cells);
    pri_metadata_set_integer(writer, "admissible_cells", report->admissible_cells);
    pri_metadata_set_integer(writer, "rescued_rows", report->rescued_rows);
    pri_safetensors_writer_metadata(writer, "corpus", report->corpus);
    pri_metadata_set_hash(writer, "corpus_hash", report->corpus_hash);
}

pare_status pare_mask_save(const pare_mask *mask, const char *path)
{
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    size_t shape[4], dimensions = bits_shape(&mask->geometry, mask->row_bytes, shape);
    unsigned version = version_of(mask);
    pri_metadata_set_format(writer, FORMAT, version);
    pri_metadata_set_geometry(writer, version, &mask->geometry);
    write_options(writer, version, &mask->report.options);
    write_report(writer, &mask->report);
    pri_safetensors_writer_add(writer, "kept", PRI_DATA_U8, dimensions, shape, mask->bits);
    pri_safetensors_writer_add(writer, "pruned_layers", PRI_DATA_U8, 1, &mask->geometry.layers,
                               mask->layers);
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

/* ---- Reading ---- */

static pare_status read_options(const pri_safetensors *file, unsigned version,
                                const pare_geometry *geometry, pare_prune_options *options)
{
    unsigned method = 0, average = 0, scope = 0, empty_row = 0;
    uint64_t block = 0;
    PRI_TRY(pri_metadata_choice(file, "method", pare_method_names, 3, &method));
    PRI_TRY(pri_metadata_choice(file, "average", pare_average_names, 2, &average));
    PRI_TRY(pri_metadata_choice(file, "scope", pare_scope_names, 4, &scope));
    PRI_TRY(pri_metadata_choice(file, "empty_row", pare_empty_row_names, 3, &empty_row));
    *options = (pare_prune_options){.method = (pare_method)method,
                                    .geometry = geometry->kind,
                                    .average = (pare_average_kind)average,
                                    .scope = (pare_scope)scope,
                                    .empty_row = (pare_empty_row)empty_row};
    PRI_TRY(pri_metadata_number(file, "percent", 0, 100, &options->percent));
    PRI_TRY(pri_metadata_integer(file, "seed", UINT64_MAX, &options->seed));
    if (version >= 2)
        PRI_TRY(pri_metadata_integer(file, "block", SIZE_MAX, &block));
    options->block = (size_t)block;
    if (pri_prune_options_check(options, geometry) != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", pri_safetensors_name(file));
    return PARE_OK;
}

/* The fields that cannot be derived from the bits. */
static pare_status read_provenance(const pri_safetensors *file, pare_mask *mask)
{
    pare_mask_report *report = &mask->report;
    PRI_TRY(pri_metadata_number(file, "p_effective", 0, 100, &report->p_effective));
    PRI_TRY(pri_metadata_number(file, "kept_mass", 0, 100, &report->kept_mass));
    PRI_TRY(pri_metadata_copy(file, "corpus", report->corpus, sizeof report->corpus));
    PRI_TRY(pri_metadata_hash(file, "corpus_hash", &report->corpus_hash));
    bool rescues = report->options.empty_row == PARE_EMPTY_ROW_KEEP_ONE;
    uint64_t rows = (uint64_t)mask->geometry.layers * mask->geometry.heads * mask->geometry.queries;
    return pri_metadata_integer(file, "rescued_rows", rescues ? rows : 0, &report->rescued_rows);
}

static pare_status fail_bits(const char *name, const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged mask: %s", name, reason);
}

/* Whether `stored` keeps cells that do not exist. `all` has every bit that may be set. */
static bool exceeds(const uint8_t *stored, const uint8_t *all, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (stored[i] & ~all[i])
            return true;
    return false;
}

/* Whether a head prunes a class that the observed shape cannot hold, so that nobody saw it. */
static bool prunes_unseen(const pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    for (size_t class_index = 0; class_index < mask->row_bits; class_index++) {
        if (pri_geometry_class_cells(g, class_index))
            continue;
        for (size_t head = 0; head < g->layers * g->heads; head++)
            if (!pri_bit(mask->bits + pri_mask_row(mask, 0, head, 0), class_index))
                return true;
    }
    return false;
}

static bool is_empty(const pare_mask *mask, size_t layer, size_t head, size_t row,
                     pri_columns columns)
{
    if (mask->geometry.kind == PARE_GEOMETRY_CELL)
        return !pri_mask_count_kept(mask->bits + pri_mask_row(mask, layer, head, row), columns);
    for (size_t column = columns.begin; column < columns.end; column++)
        if (pare_mask_kept(mask, layer, head, row, column))
            return false;
    return true;
}

static bool has_empty_row(const pare_mask *mask)
{
    const pare_geometry *g = &mask->geometry;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < g->heads; head++)
            for (size_t row = 0; row < pri_mask_guarded_rows(mask); row++)
                if (is_empty(mask, layer, head, row, pri_mask_promised_columns(mask, row)))
                    return true;
    return false;
}

static pare_status read_bits(const pri_safetensors *file, const pri_stored_tensor *kept,
                             const pri_stored_tensor *layers, pare_mask *mask)
{
    const char *name = pri_safetensors_name(file);
    const uint8_t *stored = kept->data, *flags = layers->data;
    /* At this point the mask keeps everything, which is the most that a file may keep. */
    if (exceeds(stored, mask->bits, kept->bytes))
        return fail_bits(name, "cells are kept that are not admissible");
    size_t layer_bytes = kept->bytes / mask->geometry.layers;
    for (size_t layer = 0; layer < mask->geometry.layers; layer++) {
        if (flags[layer] > 1)
            return fail_bits(name, "\"pruned_layers\" holds something else than 0 and 1");
        if (!flags[layer] &&
            memcmp(stored + layer * layer_bytes, mask->bits + layer * layer_bytes, layer_bytes))
            return fail_bits(name, "cells are pruned in a layer that is not pruned");
    }
    memcpy(mask->bits, stored, kept->bytes);
    memcpy(mask->layers, flags, layers->bytes);
    if (mask->geometry.kind == PARE_GEOMETRY_RELATIVE && prunes_unseen(mask))
        return fail_bits(name, "it prunes cells that the observed shape does not have");
    if (mask->report.options.empty_row == PARE_EMPTY_ROW_KEEP_ONE && has_empty_row(mask))
        return fail_bits(name, "a row keeps nothing, though every row should keep a cell");
    return PARE_OK;
}

static pare_status check_share(const pri_safetensors *file, const char *key, double derived)
{
    double stored = 0;
    PRI_TRY(pri_metadata_number(file, key, 0, 100, &stored));
    if (fabs(stored - derived) > 1e-9)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: damaged mask: \"%s\" says %g, but its bits prune %g",
                        pri_safetensors_name(file), key, stored, derived);
    return PARE_OK;
}

static pare_status check_counts(const pri_safetensors *file, pare_mask *mask)
{
    uint64_t pruned = 0, admissible = 0;
    pri_mask_count(mask);
    PRI_TRY(pri_metadata_integer(file, "pruned_cells", UINT64_MAX, &pruned));
    PRI_TRY(pri_metadata_integer(file, "admissible_cells", UINT64_MAX, &admissible));
    if (pruned != mask->report.pruned_cells || admissible != mask->report.admissible_cells)
        return fail_bits(pri_safetensors_name(file), "its bits differ from the stored counts");
    PRI_TRY(check_share(file, "p_nominal", mask->report.p_nominal));
    return check_share(file, "p_admissible", mask->report.p_admissible);
}

static pare_status read_mask(const pri_safetensors *file, pare_mask **mask)
{
    pare_geometry geometry;
    pare_prune_options options;
    const pri_stored_tensor *kept, *layers;
    size_t shape[4];
    unsigned version = 0;
    PRI_TRY(pri_metadata_check_format(file, FORMAT, &version));
    PRI_TRY(pri_metadata_geometry(file, version, &geometry));
    PRI_TRY(read_options(file, version, &geometry, &options));
    if (pri_safetensors_count(file) != 2)
        return fail_bits(pri_safetensors_name(file), "it should hold two tensors");
    size_t dimensions = bits_shape(&geometry, pri_mask_row_bytes(&geometry), shape);
    PRI_TRY(pri_safetensors_get(file, "kept", PRI_DATA_U8, dimensions, shape, &kept));
    PRI_TRY(pri_safetensors_get(file, "pruned_layers", PRI_DATA_U8, 1, &geometry.layers, &layers));
    PRI_TRY(pri_mask_allocate(&geometry, &options, mask));
    PRI_TRY(read_provenance(file, *mask));
    PRI_TRY(read_bits(file, kept, layers, *mask));
    return check_counts(file, *mask);
}

static pare_status finish(pri_safetensors *file, pare_mask **mask)
{
    pare_status status = read_mask(file, mask);
    pri_safetensors_close(file);
    if (status != PARE_OK) {
        pare_mask_destroy(*mask);
        *mask = NULL;
    }
    return status;
}

pare_status pri_mask_parse(const uint8_t *data, size_t size, const char *name, pare_mask **mask)
{
    *mask = NULL;
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_parse(data, size, name, &file));
    return finish(file, mask);
}

pare_status pare_mask_load(const char *path, pare_mask **mask)
{
    *mask = NULL;
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    return finish(file, mask);
}

static pare_status load_for_kind(const char *path, size_t kinds, pare_mask **masks)
{
    pare_mask *mask;
    PRI_TRY(pare_mask_load(path, &mask));
    pare_attention_kind kind = pare_geometry_attention(pare_mask_geometry(mask), kinds);
    if (masks[kind]) {
        pare_mask_destroy(mask);
        return pri_fail(
            PARE_ERROR_ARGUMENT, "%s: a second mask%s%s; give one for each kind of attention", path,
            kinds > 1 ? " of kind " : "", kinds > 1 ? pare_attention_kind_names[kind] : "");
    }
    masks[kind] = mask;
    return PARE_OK;
}

pare_status pare_masks_load(const char *const *paths, size_t count, size_t kinds,
                            pare_mask *masks[PARE_ATTENTION_KINDS])
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        masks[kind] = NULL;
    for (size_t i = 0; i < count; i++)
        PRI_TRY(load_for_kind(paths[i], kinds, masks));
    return PARE_OK;
}
