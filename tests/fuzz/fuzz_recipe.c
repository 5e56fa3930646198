/* The recipe reader: a YAML text, then, after NUL bytes, overrides. What it accepts must keep the
 * promises that the rest of Pare relies on. */
#include <stdlib.h>
#include <string.h>

#include "train/recipe.h"

enum { OVERRIDES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_promises(const pare_recipe *recipe)
{
    demand(recipe->data.train && recipe->data.lanes && recipe->data.length);
    demand(!recipe->data.valid == !recipe->data.test);
    demand(recipe->model.layers && recipe->model.heads && recipe->model.feed_forward);
    demand(recipe->model.head_size >= 1 && recipe->model.head_size <= 256);
    demand(recipe->model.cluster_count < PARE_CLUSTERS_MAX);
    for (size_t i = 1; i < recipe->model.cluster_count; i++)
        demand(recipe->model.cutoffs[i] > recipe->model.cutoffs[i - 1]);
    demand(recipe->model.dropout >= 0 && recipe->model.dropout <= 1);
    demand(recipe->training.rate >= 0 && recipe->training.rate >= recipe->training.minimum_rate);
    demand(recipe->training.accumulation && recipe->training.log_every);
    demand(recipe->training.steps || recipe->training.epochs > 0);
    for (size_t i = 0; i < recipe->percent_count; i++)
        demand(recipe->percents[i] >= 0 && recipe->percents[i] <= 100);
    demand(!recipe->random_percent_count || recipe->random_seed_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    demand(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    const char *overrides[OVERRIDES_MAX];
    size_t override_count = 0, yaml_size = strlen(text);
    for (const char *next = text + yaml_size + 1;
         next < text + size && override_count < OVERRIDES_MAX; next += strlen(next) + 1)
        overrides[override_count++] = next;
    pare_recipe recipe;
    if (pri_recipe_parse(text, yaml_size, "input", "/data", overrides, override_count, &recipe) ==
        PARE_OK) {
        check_promises(&recipe);
        pare_recipe_free(&recipe);
    } else {
        demand(strlen(pare_error_message()) > 0);
    }
    free(text);
    return 0;
}
