/* Models on disk: directories as Hugging Face's library writes and reads them, config.json beside
 * model.safetensors, with a mask of ours as a third file. Weights are checked completely, names,
 * shapes and values, before the first one is copied. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "documents/json.h"
#include "models/checkpoint.h"
#include "models/weights.h"

static const pri_family *const families[] = {&pri_transformer_xl_family, &pri_bert_family,
                                             &pri_distilbert_family, &pri_marian_family};

/* ---- Weights: reading ---- */

pare_status pare_model_load_weights(pare_model *model, const char *path)
{
    pri_weights weights;
    PRI_TRY(pri_weights_open_file(path, &weights));
    pri_weight_sources sources;
    pare_status status = pri_weights_match(model, &weights, false, &sources);
    if (status == PARE_OK) {
        pri_weights_copy(model, &sources);
        pri_weight_sources_free(&sources);
    }
    pri_weights_close(&weights);
    return status;
}

/* ---- Weights: writing ---- */

static void add_parameter(pri_safetensors_writer *writer, const pare_model *model, size_t index,
                          const char *name)
{
    const pare_tensor *tensor = &model->parameters[index].tensor;
    size_t dimensions = model->notes[index].dimensions;
    size_t shape[2] = {tensor->rows, tensor->columns};
    pri_safetensors_writer_add(writer, name, PRI_DATA_F32, dimensions,
                               dimensions == 1 ? shape + 1 : shape, tensor->value);
}

pare_status pare_model_save_weights(const pare_model *model, const char *path)
{
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    for (size_t index = 0; index < model->parameter_count; index++)
        add_parameter(writer, model, index, model->parameters[index].name);
    for (size_t i = 0; i < model->alias_count; i++)
        if (model->aliases[i].written)
            add_parameter(writer, model, model->aliases[i].parameter, model->aliases[i].name);
    for (size_t i = 0; i < model->constant_count; i++) {
        const pri_constant *constant = &model->constants[i];
        const size_t shape[] = {1, constant->count};
        pri_safetensors_writer_add(writer, constant->name, PRI_DATA_F32, constant->row ? 2 : 1,
                                   constant->row ? shape : shape + 1, constant->value);
    }
    /* Hugging Face's library refuses files that do not say so. */
    pri_safetensors_writer_metadata(writer, "format", "pt");
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

/* ---- Directories: reading ---- */

/* All model types on offer: "\"transfo-xl\", \"bert\"". */
static void list_families(char *list, size_t capacity)
{
    size_t length = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families && length < capacity; i++)
        length += (size_t)snprintf(list + length, capacity - length, "%s\"%s\"", i ? ", " : "",
                                   families[i]->name);
}

static pare_status find_family(const json_t *config, const char *path, const pri_family **family)
{
    char name[64], list[128];
    PRI_TRY(pri_json_get_string(config, path, "model_type", name, sizeof name));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i]->name, name)) {
            *family = families[i];
            return PARE_OK;
        }
    list_families(list, sizeof list);
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: models of type \"%s\" are not offered; these are: %s", path, name, list);
}

pare_status pri_read_config(const char *directory, json_t **config, char **path,
                            const pri_family **family)
{
    *config = NULL;
    *path = pri_path_join(directory, "config.json");
    if (!*path)
        return PARE_ERROR_MEMORY;
    pare_status status =
        pri_path_exists(*path)
            ? pri_json_load(*path, config)
            : pri_fail(PARE_ERROR_FILE, "%s does not exist; name a directory that holds a model",
                       *path);
    if (status == PARE_OK)
        status = find_family(*config, *path, family);
    if (status != PARE_OK) {
        json_decref(*config);
        pri_free(*path);
        *config = NULL;
        *path = NULL;
    }
    return status;
}

static pare_status model_from_config(pare_context *context, const char *directory,
                                     pare_model **model)
{
    json_t *config;
    char *path;
    const pri_family *family;
    PRI_TRY(pri_read_config(directory, &config, &path, &family));
    pare_status status = family->from_config(context, config, path, model);
    json_decref(config);
    pri_free(path);
    return status;
}

/* The files' shapes are compared before memory of the configuration's size is asked for. */
static pare_status copy_weights(pare_model *model, const pri_weights *weights, bool fresh_head,
                                uint64_t seed)
{
    pri_weight_sources sources;
    PRI_TRY(pri_weights_match(model, weights, fresh_head, &sources));
    pare_status status = pri_model_allocate(model);
    if (status == PARE_OK) {
        pri_weights_copy(model, &sources);
        for (size_t i = 0; i < model->parameter_count; i++)
            if (!sources.parameters[i])
                pri_model_initialise_parameter(model, i, seed);
    }
    pri_weight_sources_free(&sources);
    return status;
}

pare_status pri_read_weights(pare_model *model, const char *directory, bool fresh_head,
                             uint64_t seed)
{
    pri_weights weights;
    char *name;
    PRI_TRY(pri_weights_open_directory(directory, &weights, &name));
    pare_status status = copy_weights(model, &weights, fresh_head, seed);
    pri_weights_close(&weights);
    pri_free(name);
    return status;
}

static pare_status take_mask(pare_model *model, pare_attention_kind kind, const char *path)
{
    pare_mask **mask = &model->attention[kind].owned_mask;
    PRI_TRY(pare_mask_load(path, mask));
    pare_status status = pare_model_set_mask(model, kind, *mask);
    return status == PARE_OK ? PARE_OK : pri_fail_in(status, "%s", path);
}

static pare_status read_masks(pare_model *model, const char *directory)
{
    pare_status status = PARE_OK;
    for (size_t i = 0; i < pare_model_attention_kinds(model) && status == PARE_OK; i++) {
        pare_attention_kind kind = (pare_attention_kind)i;
        char *path =
            pri_path_join(directory, pare_mask_file_name(pare_model_attention_kinds(model), kind));
        if (!path)
            return PARE_ERROR_MEMORY;
        if (pri_path_exists(path))
            status = take_mask(model, kind, path);
        pri_free(path);
    }
    return status;
}

pare_status pare_model_load(pare_context *context, const char *directory, pare_model **model)
{
    *model = NULL;
    pare_model *loaded = NULL;
    pare_status status = model_from_config(context, directory, &loaded);
    if (status == PARE_OK)
        status = pri_read_weights(loaded, directory, false, 0);
    if (status == PARE_OK)
        status = read_masks(loaded, directory);
    if (status != PARE_OK) {
        pare_model_destroy(loaded);
        return status;
    }
    *model = loaded;
    return PARE_OK;
}

/* ---- Directories: writing ---- */

static pare_status write_config(const pare_model *model, const char *path)
{
    json_t *config = model->family->to_config(model);
    if (!config)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing %s", path);
    pare_status status = pri_json_save(config, path);
    json_decref(config);
    return status;
}

pare_status pare_model_save(const pare_model *model, const char *directory)
{
    char *config = pri_path_join(directory, "config.json");
    char *weights = pri_path_join(directory, "model.safetensors");
    pare_status status = config && weights ? pri_make_directories(directory) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = write_config(model, config);
    if (status == PARE_OK)
        status = pare_model_save_weights(model, weights);
    pri_free(config);
    pri_free(weights);
    return status;
}
