/* The values of a recipe: range and default of each kind, and what a recipe owns. */
#include "train/recipe_builder.h"

#include <string.h>

#include "base/memory.h"
#include "base/text_buffer.h"

/* ---- What a recipe owns ---- */

typedef struct owned_block {
    struct owned_block *next;
    void *data;
} owned_block;

void *pri_recipe_own(pri_recipe_builder *build, void *data)
{
    owned_block *block = data ? pri_allocate(1, sizeof *block) : NULL;
    if (!block) {
        pri_free(data);
        build->status = PARE_ERROR_MEMORY;
        return NULL;
    }
    *block = (owned_block){build->recipe->owner, data};
    build->recipe->owner = block;
    return data;
}

void pare_recipe_free(pare_recipe *recipe)
{
    for (owned_block *block = recipe->owner, *next; block; block = next) {
        next = block->next;
        pri_free(block->data);
        pri_free(block);
    }
    *recipe = (pare_recipe){.owner = NULL};
}

/* ---- Values with range and default ---- */

uint64_t pri_take_integer(pri_recipe_builder *build, const char *path, const int64_t *given,
                          uint64_t fallback, int64_t minimum, int64_t maximum)
{
    if (!given || build->status != PARE_OK)
        return fallback;
    if (*given < minimum || *given > maximum)
        build->status =
            pri_recipe_fail(build->document, path, "%s must be %lld to %lld, not %lld", path,
                            (long long)minimum, (long long)maximum, (long long)*given);
    return (uint64_t)*given;
}

double pri_take_number(pri_recipe_builder *build, const char *path, const double *given,
                       double fallback, double minimum, double maximum)
{
    if (!given || build->status != PARE_OK)
        return fallback;
    if (!(*given >= minimum && *given <= maximum))
        build->status = pri_recipe_fail(build->document, path, "%s must be %g to %g, not %g", path,
                                        minimum, maximum, *given);
    return *given;
}

double pri_take_share(pri_recipe_builder *build, const char *path, const double *given,
                      double fallback)
{
    if (given && build->status == PARE_OK && !(*given >= 0 && (float)*given < 1))
        build->status = pri_recipe_fail(
            build->document, path, "%s must be 0 or more and less than 1, not %g", path, *given);
    return given ? *given : fallback;
}

void pri_recipe_require(pri_recipe_builder *build, const char *path, const void *given)
{
    if (given || build->status != PARE_OK)
        return;
    const char *key = strchr(path, '.') + 1;
    build->status = pri_recipe_fail(build->document, path, "%s is missing; add '%s:' under '%.*s:'",
                                    path, key, (int)(key - 1 - path), path);
}

char *pri_take_text(pri_recipe_builder *build, const char *given)
{
    return given && build->status == PARE_OK ? pri_recipe_own(build, pri_string_copy(given)) : NULL;
}

char *pri_take_path(pri_recipe_builder *build, const char *path, const char *given)
{
    static const char variable[] = "${PARE_DATA}";
    if (!given || build->status != PARE_OK)
        return NULL;
    pri_text text = {.data = NULL};
    for (const char *found; (found = strstr(given, variable)); given = found + strlen(variable)) {
        if (!build->data_directory || !*build->data_directory) {
            pri_text_free(&text);
            build->status = pri_recipe_fail(
                build->document, path,
                "%s uses ${PARE_DATA}; set that variable to the directory of the data sets, or "
                "name your own file with %s=FILE",
                path, path);
            return NULL;
        }
        pri_text_append_bytes(&text, given, (size_t)(found - given));
        pri_text_append(&text, "%s", build->data_directory);
    }
    pri_text_append(&text, "%s", given);
    char *expanded = text.failed ? NULL : pri_recipe_own(build, pri_string_copy(text.data));
    if (!expanded)
        build->status = pri_fail(PARE_ERROR_MEMORY, "out of memory reading a recipe");
    pri_text_free(&text);
    return expanded;
}

/* A second run of the same value would pass for another sample of it. */
static void refuse_repeated(pri_recipe_builder *build, const char *path, const double *values,
                            size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i && build->status == PARE_OK; j++)
            if (values[i] == values[j])
                build->status = pri_recipe_fail(build->document, path,
                                                "%s has %g twice; leave one out", path, values[i]);
}

/* Not as numbers with a point, which would take large neighbours for the same. */
static void refuse_repeated_integers(pri_recipe_builder *build, const char *path,
                                     const int64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i && build->status == PARE_OK; j++)
            if (values[i] == values[j])
                build->status =
                    pri_recipe_fail(build->document, path, "%s has %lld twice; leave one out", path,
                                    (long long)values[i]);
}

double *pri_take_percents(pri_recipe_builder *build, const char *path, const double *given,
                          size_t count)
{
    if (!count || build->status != PARE_OK)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (given[i] >= 0 && given[i] <= 100)
            continue;
        build->status =
            pri_recipe_fail(build->document, path, "%s must be 0 to 100, not %g", path, given[i]);
        return NULL;
    }
    refuse_repeated(build, path, given, count);
    if (build->status != PARE_OK)
        return NULL;
    double *percents = pri_recipe_own(build, pri_allocate(count, sizeof *percents));
    if (percents)
        memcpy(percents, given, count * sizeof *percents);
    return percents;
}

uint64_t *pri_take_seeds(pri_recipe_builder *build, const char *path, const int64_t *given,
                         size_t count)
{
    if (!count || build->status != PARE_OK)
        return NULL;
    refuse_repeated_integers(build, path, given, count);
    uint64_t *seeds = pri_recipe_own(build, pri_allocate(count, sizeof *seeds));
    for (size_t i = 0; seeds && i < count; i++)
        seeds[i] = pri_take_integer(build, path, &given[i], 0, 0, INT64_MAX);
    return seeds;
}

void pri_recipe_refuse_foreign(pri_recipe_builder *build, const pri_recipe_key *keys, size_t count,
                               unsigned kind, const char *name)
{
    for (size_t i = 0; i < count && build->status == PARE_OK; i++)
        if (keys[i].given && !(keys[i].uses & kind))
            build->status =
                pri_recipe_fail(build->document, keys[i].path,
                                "%s has no meaning for %s; remove it", keys[i].path, name);
}
