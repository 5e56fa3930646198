/* A recipe file and its overrides as libcyaml's structures, with the place of every key, so that
 * any later complaint can say where the value stands. */
#ifndef PARE_SRC_TRAIN_RECIPE_DOCUMENT_H
#define PARE_SRC_TRAIN_RECIPE_DOCUMENT_H

#include "base/status.h"
#include "train/recipe_schema.h"

/* Where a key was given: a line of the file, or an override. */
typedef struct pri_recipe_place {
    char *path; /* "model.layers" */
    size_t line;
    const char *override; /* "model.layers=3", or NULL */
} pri_recipe_place;

typedef struct pri_recipe_document {
    const char *name; /* of the file, for messages */
    pri_recipe_values *values;
    pri_recipe_place *places; /* in reading order: the last one of a path counts */
    size_t place_count;
} pri_recipe_document;

/* Refuses unknown and repeated keys, values of the wrong kind, aliases, and anything that is not
 * one YAML mapping. Free also after a failure. `name` and `overrides` must outlive the document. */
pare_status pri_recipe_document_parse(const char *data, size_t size, const char *name,
                                      const char *const *overrides, size_t override_count,
                                      pri_recipe_document *document);
void pri_recipe_document_free(pri_recipe_document *document);

bool pri_recipe_overridden(const pri_recipe_document *document, const char *path);

/* "FILE:LINE: MESSAGE" for the place that gave `path`, else for its section or the file. */
pare_status pri_recipe_fail(const pri_recipe_document *document, const char *path,
                            const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
