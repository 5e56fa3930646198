/* Reading a sweep's directory. The rows are what a report is about, so results.json must be right;
 * pictures are extra, so an average or mask that is missing or does not fit is noted and left out.
 */
#include "report/collection.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

static char *path_inside(const char *directory, const char *name)
{
    return name[0] == '/' ? pri_string_copy(name) : pri_path_join(directory, name);
}

/* " of cross attention" for notes. */
static const char *of_kind(const pri_head_set *set, char words[40])
{
    words[0] = 0;
    if (set->name[0])
        snprintf(words, 40, " of %s attention", set->name);
    return words;
}

static pare_status read_average(pri_collection *collection, pri_head_set *set,
                                const char *directory)
{
    const char *name = collection->results.average_path[set->kind];
    char kind[40];
    if (!name[0]) {
        pri_text_append(&collection->notes,
                        "The results name no average%s, so average attention is not shown.\n",
                        of_kind(set, kind));
        return PARE_OK;
    }
    char *path = path_inside(directory, name);
    if (!path)
        return PARE_ERROR_MEMORY;
    if (pare_average_load(path, &set->average) != PARE_OK) {
        set->average = NULL;
        pri_text_append(&collection->notes, "Average attention is not shown: %s\n",
                        pare_error_message());
    } else {
        set->geometry = pare_average_geometry(set->average);
    }
    pri_free(path);
    return PARE_OK;
}

/* Cells of one head. Drawing visits them all, and a small file of distances can claim any number.
 */
#define LARGEST_MAP ((size_t)1 << 26)

static bool same_shape(const pare_geometry *a, const pare_geometry *b)
{
    return a->layers == b->layers && a->heads == b->heads && a->queries == b->queries &&
           a->keys == b->keys && a->causal == b->causal && a->ends_first == b->ends_first;
}

static void name_run(const pri_head_set *set, pri_mask_run *run)
{
    bool random = pri_group_is(run->group, "random");
    const pare_result_row *row = run->group->rows[0];
    /* The share of several kinds together is not that of each. */
    double percent = set->name[0] ? pri_row_percent(row) : row->p_admissible;
    char share[16] = "";
    if (!isnan(percent))
        snprintf(share, sizeof share, "%.4g", round(10 * percent) / 10);
    snprintf(run->label, sizeof run->label, "%s %s%s", random ? "Random" : "Attention pruning",
             share, share[0] ? "%" : "");
    int length = snprintf(run->slug, sizeof run->slug, "%s-%s",
                          random ? "random" : "attention-pruning", share);
    /* The usual start goes without saying. */
    const char *start = run->group->rows[0]->start;
    if (start[0] && strcmp(start, "restart")) {
        size_t used = strlen(run->label);
        snprintf(run->label + used, sizeof run->label - used, ", %s", start);
        snprintf(run->slug + length, sizeof run->slug - (size_t)length, "-%s", start);
    }
}

/* Why the mask cannot be shown; NULL: it can. */
static const char *misfit(const pri_head_set *set, const pare_geometry *geometry)
{
    if (set->geometry && !same_shape(geometry, set->geometry))
        return "are not the shape of the others";
    if (geometry->queries > LARGEST_MAP / geometry->keys)
        return "are too many for a picture";
    return NULL;
}

/* Pruning several kinds at once gives each the mask that it has alone. */
static bool is_shown(const pri_head_set *set, const pri_mask_run *run)
{
    for (size_t i = 0; i < set->run_count; i++)
        if (!strcmp(set->runs[i].slug, run->slug) &&
            pare_mask_digest(set->runs[i].mask) == pare_mask_digest(run->mask))
            return true;
    return false;
}

/* Adds the mask to the runs when it can be shown; leaves a note when not. */
static void add_mask(pri_collection *collection, pri_head_set *set, const pri_group *group,
                     const char *path)
{
    pri_mask_run run = {.group = group};
    char kind[40];
    name_run(set, &run);
    if (pare_mask_load(path, &run.mask) != PARE_OK) {
        pri_text_append(&collection->notes, "The mask of \"%s\"%s is not shown: %s\n", run.label,
                        of_kind(set, kind), pare_error_message());
        return;
    }
    const pare_geometry *geometry = pare_mask_geometry(run.mask);
    const char *reason = misfit(set, geometry);
    if (reason)
        pri_text_append(&collection->notes,
                        "The mask of \"%s\"%s is not shown: its %zu layers x %zu heads x %zu "
                        "queries x %zu keys%s %s.\n",
                        run.label, of_kind(set, kind), geometry->layers, geometry->heads,
                        geometry->queries, geometry->keys,
                        geometry->ends_first ? ", ends first," : "", reason);
    if (reason || is_shown(set, &run)) {
        pare_mask_destroy(run.mask);
        return;
    }
    if (!set->geometry)
        set->geometry = geometry;
    set->runs[set->run_count++] = run;
}

static bool prunes_kind(const char *attention, pare_attention_kind kind)
{
    return !attention[0] || !strcmp(attention, "all") ||
           !strcmp(attention, pare_attention_kind_names[kind]) ||
           (!strcmp(attention, "selves") && kind != PARE_ATTENTION_CROSS);
}

static pare_status read_masks(pri_collection *collection, pri_head_set *set, const char *directory)
{
    const pri_summary *summary = &collection->summary;
    set->runs = pri_allocate_zero(summary->count, sizeof *set->runs);
    if (!set->runs)
        return PARE_ERROR_MEMORY;
    for (size_t g = 0; g < summary->count; g++) {
        const pri_group *group = &summary->groups[g];
        if (pri_group_is(group, "dense") || !group->rows[0]->directory[0] ||
            !prunes_kind(group->rows[0]->attention, set->kind))
            continue;
        char *run = path_inside(directory, group->rows[0]->directory);
        char *path =
            run ? pri_path_join(run, pare_mask_file_name(collection->kinds, set->kind)) : NULL;
        if (path)
            add_mask(collection, set, group, path);
        pri_free(run);
        pri_free(path);
        if (!path)
            return PARE_ERROR_MEMORY;
    }
    return PARE_OK;
}

static size_t count_kinds(const pri_collection *collection)
{
    bool more = collection->summary.translation;
    for (size_t kind = 1; kind < PARE_ATTENTION_KINDS; kind++)
        more |= collection->results.average_path[kind][0] != 0;
    return more ? PARE_ATTENTION_KINDS : 1;
}

static pare_status read_sets(pri_collection *collection, const char *directory)
{
    collection->kinds = count_kinds(collection);
    for (size_t kind = 0; kind < collection->kinds; kind++) {
        pri_head_set *set = &collection->sets[kind];
        set->kind = (pare_attention_kind)kind;
        set->name = collection->kinds > 1 ? pare_attention_kind_names[kind] : "";
        PRI_TRY(read_average(collection, set, directory));
        PRI_TRY(read_masks(collection, set, directory));
    }
    return PARE_OK;
}

static void note_seeds(pri_collection *collection)
{
    bool more_seeds = false;
    for (size_t g = 0; g < collection->summary.count; g++) {
        const pri_group *group = &collection->summary.groups[g];
        more_seeds |=
            !pri_group_is(group, "dense") && group->rows[0]->directory[0] && group->count > 1;
    }
    if (more_seeds)
        pri_text_append(&collection->notes, "Of several random seeds, the first one's mask is "
                                            "shown; the others look alike.\n");
}

static pare_status read_all(const char *directory, pri_collection *collection)
{
    char *path = pri_path_join(directory, "results.json");
    if (!path)
        return PARE_ERROR_MEMORY;
    pare_status status = pare_results_load(path, &collection->results);
    pri_free(path);
    PRI_TRY(status);
    PRI_TRY(pri_summary_create(&collection->results, &collection->summary));
    PRI_TRY(read_sets(collection, directory));
    note_seeds(collection);
    if (collection->notes.failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory reading %s", directory);
    return PARE_OK;
}

pare_status pri_collection_read(const char *directory, pri_collection *collection)
{
    *collection = (pri_collection){0};
    pare_status status = read_all(directory, collection);
    if (status != PARE_OK)
        pri_collection_free(collection);
    return status;
}

void pri_collection_free(pri_collection *collection)
{
    for (size_t kind = 0; kind < collection->kinds; kind++) {
        pri_head_set *set = &collection->sets[kind];
        for (size_t i = 0; i < set->run_count; i++)
            pare_mask_destroy(set->runs[i].mask);
        pri_free(set->runs);
        pare_average_destroy(set->average);
    }
    pri_text_free(&collection->notes);
    pri_summary_free(&collection->summary);
    pare_results_free(&collection->results);
    *collection = (pri_collection){0};
}
