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

static pare_status read_average(pri_collection *collection, const char *directory)
{
    if (!collection->results.average_path[PARE_ATTENTION_SELF][0]) {
        pri_text_append(&collection->notes,
                        "The results name no average, so average attention is not shown.\n");
        return PARE_OK;
    }
    char *path = path_inside(directory, collection->results.average_path[PARE_ATTENTION_SELF]);
    if (!path)
        return PARE_ERROR_MEMORY;
    if (pare_average_load(path, &collection->average) != PARE_OK) {
        collection->average = NULL;
        pri_text_append(&collection->notes, "Average attention is not shown: %s\n",
                        pare_error_message());
    } else {
        collection->geometry = pare_average_geometry(collection->average);
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

static void name_run(pri_mask_run *run)
{
    bool random = pri_group_is(run->group, "random");
    double percent = run->group->rows[0]->p_admissible;
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

/* Adds the mask to the runs when it can be shown; leaves a note when not. */
static void add_mask(pri_collection *collection, const pri_group *group, const char *path)
{
    pri_mask_run run = {.group = group};
    name_run(&run);
    if (pare_mask_load(path, &run.mask) != PARE_OK) {
        pri_text_append(&collection->notes, "The mask of \"%s\" is not shown: %s\n", run.label,
                        pare_error_message());
        return;
    }
    const pare_geometry *geometry = pare_mask_geometry(run.mask);
    if (collection->geometry && !same_shape(geometry, collection->geometry)) {
        pri_text_append(&collection->notes,
                        "The mask of \"%s\" is not shown: its %zu layers x %zu heads x %zu "
                        "queries x %zu keys%s are not the shape of the others.\n",
                        run.label, geometry->layers, geometry->heads, geometry->queries,
                        geometry->keys, geometry->ends_first ? ", ends first," : "");
        pare_mask_destroy(run.mask);
        return;
    }
    if (geometry->queries > LARGEST_MAP / geometry->keys) {
        pri_text_append(
            &collection->notes,
            "The mask of \"%s\" is not shown: %zu queries x %zu keys are too many for a "
            "picture.\n",
            run.label, geometry->queries, geometry->keys);
        pare_mask_destroy(run.mask);
        return;
    }
    if (!collection->geometry)
        collection->geometry = geometry;
    collection->runs[collection->run_count++] = run;
}

static pare_status read_masks(pri_collection *collection, const char *directory)
{
    const pri_summary *summary = &collection->summary;
    collection->runs = pri_allocate_zero(summary->count, sizeof *collection->runs);
    if (!collection->runs)
        return PARE_ERROR_MEMORY;
    bool more_seeds = false;
    for (size_t g = 0; g < summary->count; g++) {
        const pri_group *group = &summary->groups[g];
        if (pri_group_is(group, "dense") || !group->rows[0]->directory[0])
            continue;
        char *run = path_inside(directory, group->rows[0]->directory);
        char *path = run ? pri_path_join(run, "mask.safetensors") : NULL;
        if (path)
            add_mask(collection, group, path);
        pri_free(run);
        pri_free(path);
        if (!path)
            return PARE_ERROR_MEMORY;
        more_seeds |= group->count > 1;
    }
    if (more_seeds)
        pri_text_append(&collection->notes, "Of several random seeds, the first one's mask is "
                                            "shown; the others look alike.\n");
    return PARE_OK;
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
    PRI_TRY(read_average(collection, directory));
    PRI_TRY(read_masks(collection, directory));
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
    for (size_t i = 0; i < collection->run_count; i++)
        pare_mask_destroy(collection->runs[i].mask);
    pri_free(collection->runs);
    pare_average_destroy(collection->average);
    pri_text_free(&collection->notes);
    pri_summary_free(&collection->summary);
    pare_results_free(&collection->results);
    *collection = (pri_collection){0};
}
