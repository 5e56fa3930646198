/* Turning the values of a recipe document into a pare_recipe: one builder, handed from section to
 * section. Its errors are sticky, so that a section reads as a list of its settings. */
#ifndef PARE_SRC_TRAIN_RECIPE_BUILDER_H
#define PARE_SRC_TRAIN_RECIPE_BUILDER_H

#include "pare/train.h"
#include "train/recipe_document.h"

/* Limits that keep every product of sizes far from overflow; what fits into memory is found out
 * when the model is made. */
#define PRI_COUNT_LIMIT INT64_C(1000000)
#define PRI_STEP_LIMIT INT64_C(1000000000000)
#define PRI_RATE_LIMIT 1e6

typedef struct pri_recipe_builder {
    const pri_recipe_document *document;
    const char *data_directory;
    pare_recipe *recipe;
    pare_status status;
} pri_recipe_builder;

/* Hands `data` to the recipe; NULL (no memory) becomes the builder's status. */
void *pri_recipe_own(pri_recipe_builder *build, void *data);

/* Values with range and default: what is not given is `fallback`. */
uint64_t pri_take_integer(pri_recipe_builder *build, const char *path, const int64_t *given,
                          uint64_t fallback, int64_t minimum, int64_t maximum);
double pri_take_number(pri_recipe_builder *build, const char *path, const double *given,
                       double fallback, double minimum, double maximum);
/* A probability or a decay: 0 is allowed, 1 is not. */
double pri_take_share(pri_recipe_builder *build, const char *path, const double *given,
                      double fallback);
char *pri_take_text(pri_recipe_builder *build, const char *given);
/* Replaces ${PARE_DATA}. */
char *pri_take_path(pri_recipe_builder *build, const char *path, const char *given);
double *pri_take_percents(pri_recipe_builder *build, const char *path, const double *given,
                          size_t count);
uint64_t *pri_take_seeds(pri_recipe_builder *build, const char *path, const int64_t *given,
                         size_t count);
void pri_recipe_require(pri_recipe_builder *build, const char *path, const void *given);

/* With `build` in scope and `section` the structure of that section. */
#define PRI_INTEGER(section, key, fallback, minimum, maximum)                                      \
    pri_take_integer(build, #section "." #key, section->key, fallback, minimum, maximum)
#define PRI_NUMBER(section, key, fallback, minimum, maximum)                                       \
    pri_take_number(build, #section "." #key, section->key, fallback, minimum, maximum)
#define PRI_REQUIRE(section, key) pri_recipe_require(build, #section "." #key, section->key)

/* A key that not every recipe may have. */
typedef struct pri_recipe_key {
    const char *path;
    const void *given;
    unsigned uses; /* a bit for each kind of recipe that knows it */
} pri_recipe_key;
/* Refuses given keys without bit `kind`; `name` is that kind's word. */
void pri_recipe_refuse_foreign(pri_recipe_builder *build, const pri_recipe_key *keys, size_t count,
                               unsigned kind, const char *name);

/* ---- Sections ---- */
void pri_recipe_build_data(pri_recipe_builder *build, const pri_data_section *data,
                           const pri_training_section *training,
                           const pri_evaluation_section *evaluation);
/* Knows the task and its length already. */
void pri_recipe_build_model(pri_recipe_builder *build, const pri_model_section *model);

#endif
