/* Models on disk: directories as Hugging Face's library writes and reads them, config.json beside
 * model.safetensors, with a mask of ours as a third file. Weights are checked completely, names,
 * shapes and values, before the first one is copied. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "documents/json.h"
#include "models/model.h"

static const pri_family *const families[] = {&pri_transformer_xl_family};

/* ---- Weights: reading ---- */

static const char *const foreign =
    "the weights belong to another configuration, or the file is damaged";

typedef struct known_name {
    const char *name;
    size_t dimensions, rows, columns;
} known_name;

static bool known_parameter(const pare_model *model, const char *name, known_name *known)
{
    size_t index = 0;
    while (index < model->parameter_count && strcmp(model->parameters[index].name, name))
        index++;
    for (size_t i = 0; index == model->parameter_count && i < model->alias_count; i++)
        if (!strcmp(model->aliases[i].name, name))
            index = model->aliases[i].parameter;
    if (index == model->parameter_count)
        return false;
    const pare_tensor *tensor = &model->parameters[index].tensor;
    *known = (known_name){.name = name,
                          .dimensions = model->notes[index].dimensions,
                          .rows = tensor->rows,
                          .columns = tensor->columns};
    return true;
}

static bool known_constant(const pare_model *model, const char *name, known_name *known)
{
    for (size_t i = 0; i < model->constant_count; i++)
        if (!strcmp(model->constants[i].name, name)) {
            *known = (known_name){
                .name = name, .dimensions = 1, .rows = 1, .columns = model->constants[i].count};
            return true;
        }
    return false;
}

static pare_status check_values(const pri_safetensors *file, const pri_stored_tensor *stored)
{
    const float *value = stored->data;
    for (size_t i = 0; i < stored->elements; i++)
        if (!isfinite(value[i]))
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: tensor \"%s\" holds a value that is not a finite number; use an "
                            "earlier checkpoint",
                            pri_safetensors_name(file), stored->name);
    return PARE_OK;
}

static pare_status check_known(const pri_safetensors *file, const known_name *known)
{
    size_t shape[2] = {known->rows, known->columns};
    const pri_stored_tensor *stored;
    PRI_TRY(pri_safetensors_get(file, known->name, PRI_DATA_F32, known->dimensions,
                                known->dimensions == 1 ? shape + 1 : shape, &stored));
    return check_values(file, stored);
}

/* The tensor that a parameter is read from: its own name, or the first alias that is there. */
static const pri_stored_tensor *find_parameter(const pare_model *model, const pri_safetensors *file,
                                               size_t index)
{
    const pri_stored_tensor *stored = pri_safetensors_find(file, model->parameters[index].name);
    for (size_t i = 0; !stored && i < model->alias_count; i++)
        if (model->aliases[i].parameter == index)
            stored = pri_safetensors_find(file, model->aliases[i].name);
    return stored;
}

/* Two names of one parameter must hold one value. Both shapes have been checked. */
static pare_status check_tied(const pare_model *model, const pri_safetensors *file,
                              const pri_alias *alias)
{
    const pri_stored_tensor *second = pri_safetensors_find(file, alias->name);
    const pri_stored_tensor *first = find_parameter(model, file, alias->parameter);
    if (!second || !memcmp(first->data, second->data, second->bytes))
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: \"%s\" and \"%s\" differ but are one tensor in this model; models with "
                    "untied weights are not offered",
                    pri_safetensors_name(file), alias->name, first->name);
}

static pare_status check_weights(const pare_model *model, const pri_safetensors *file)
{
    for (size_t i = 0; i < pri_safetensors_count(file); i++) {
        const char *name = pri_safetensors_at(file, i)->name;
        known_name known;
        if (!known_parameter(model, name, &known) && !known_constant(model, name, &known))
            return pri_fail(PARE_ERROR_FORMAT, "%s: unexpected tensor \"%s\"; %s",
                            pri_safetensors_name(file), name, foreign);
        PRI_TRY(check_known(file, &known));
    }
    for (size_t i = 0; i < model->alias_count; i++)
        PRI_TRY(check_tied(model, file, &model->aliases[i]));
    for (size_t index = 0; index < model->parameter_count; index++)
        if (!find_parameter(model, file, index))
            return pri_fail(PARE_ERROR_FORMAT, "%s: tensor \"%s\" is missing; %s",
                            pri_safetensors_name(file), model->parameters[index].name, foreign);
    return PARE_OK;
}

static void copy_weights(pare_model *model, const pri_safetensors *file)
{
    for (size_t index = 0; index < model->parameter_count; index++) {
        const pri_stored_tensor *stored = find_parameter(model, file, index);
        memcpy(model->parameters[index].tensor.value, stored->data, stored->bytes);
    }
    for (size_t i = 0; i < model->constant_count; i++) {
        const pri_stored_tensor *stored = pri_safetensors_find(file, model->constants[i].name);
        if (stored)
            memcpy(model->constants[i].value, stored->data, stored->bytes);
    }
}

pare_status pare_model_load_weights(pare_model *model, const char *path)
{
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    pare_status status = check_weights(model, file);
    if (status == PARE_OK)
        copy_weights(model, file);
    pri_safetensors_close(file);
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
    for (size_t i = 0; i < model->constant_count; i++)
        pri_safetensors_writer_add(writer, model->constants[i].name, PRI_DATA_F32, 1,
                                   &model->constants[i].count, model->constants[i].value);
    /* Hugging Face's library refuses files that do not say so. */
    pri_safetensors_writer_metadata(writer, "format", "pt");
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

/* ---- Directories ---- */

typedef struct directory_paths {
    char *config, *weights, *mask;
} directory_paths;

static void free_paths(directory_paths *paths)
{
    pri_free(paths->config);
    pri_free(paths->weights);
    pri_free(paths->mask);
}

static pare_status join_paths(const char *directory, directory_paths *paths)
{
    *paths = (directory_paths){.config = pri_path_join(directory, "config.json"),
                               .weights = pri_path_join(directory, "model.safetensors"),
                               .mask = pri_path_join(directory, "mask.safetensors")};
    if (paths->config && paths->weights && paths->mask)
        return PARE_OK;
    free_paths(paths);
    return PARE_ERROR_MEMORY;
}

static pare_status find_family(const json_t *config, const char *path, const pri_family **family)
{
    char name[64];
    PRI_TRY(pri_json_get_string(config, path, "model_type", name, sizeof name));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i]->name, name)) {
            *family = families[i];
            return PARE_OK;
        }
    return pri_fail(PARE_ERROR_UNSUPPORTED, "%s: models of type \"%s\" are not offered; use \"%s\"",
                    path, name, families[0]->name);
}

static pare_status read_config(pare_context *context, const char *path, pare_model **model)
{
    json_t *config;
    PRI_TRY(pri_json_load(path, &config));
    const pri_family *family = NULL;
    pare_status status = find_family(config, path, &family);
    if (status == PARE_OK)
        status = family->from_config(context, config, path, model);
    json_decref(config);
    return status;
}

/* The file's shapes are compared before memory of the configuration's size is asked for. */
static pare_status read_weights(pare_model *model, const char *path)
{
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    pare_status status = check_weights(model, file);
    if (status == PARE_OK)
        status = pri_model_allocate(model);
    if (status == PARE_OK)
        copy_weights(model, file);
    pri_safetensors_close(file);
    return status;
}

static pare_status read_mask(pare_model *model, const char *path)
{
    if (!pri_path_exists(path))
        return PARE_OK;
    PRI_TRY(pare_mask_load(path, &model->owned_mask));
    pare_status status = pare_model_set_mask(model, model->owned_mask);
    return status == PARE_OK ? status : pri_fail_in(status, "%s", path);
}

pare_status pare_model_load(pare_context *context, const char *directory, pare_model **model)
{
    *model = NULL;
    directory_paths paths;
    PRI_TRY(join_paths(directory, &paths));
    pare_model *loaded = NULL;
    pare_status status = read_config(context, paths.config, &loaded);
    if (status == PARE_OK)
        status = read_weights(loaded, paths.weights);
    if (status == PARE_OK)
        status = read_mask(loaded, paths.mask);
    free_paths(&paths);
    if (status != PARE_OK) {
        pare_model_destroy(loaded);
        return status;
    }
    *model = loaded;
    return PARE_OK;
}

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
    directory_paths paths;
    PRI_TRY(join_paths(directory, &paths));
    pare_status status = pri_make_directories(directory);
    if (status == PARE_OK)
        status = write_config(model, paths.config);
    if (status == PARE_OK)
        status = pare_model_save_weights(model, paths.weights);
    free_paths(&paths);
    return status;
}
