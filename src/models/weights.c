/* Tensors from safetensors files. A large model is split over several files with an index that says
 * which tensor is in which; here the files together are one set of names, and a tensor that the
 * index promises and no file holds is missing like any other. */
#include "models/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"

static const char *const foreign =
    "the weights belong to another configuration, or the file is damaged";

/* ---- Opening ---- */

static pare_status add_file(pri_weights *weights, const char *path)
{
    pri_safetensors **files =
        pri_reallocate(weights->files, weights->count, weights->count + 1, sizeof *weights->files);
    if (!files)
        return PARE_ERROR_MEMORY;
    weights->files = files;
    PRI_TRY(pri_safetensors_open(path, &files[weights->count]));
    weights->count++;
    return PARE_OK;
}

void pri_weights_close(pri_weights *weights)
{
    for (size_t i = 0; i < weights->count; i++)
        pri_safetensors_close(weights->files[i]);
    pri_free(weights->files);
    *weights = (pri_weights){.count = 0};
}

pare_status pri_weights_open_file(const char *path, pri_weights *weights)
{
    *weights = (pri_weights){.name = path};
    pare_status status = add_file(weights, path);
    if (status != PARE_OK)
        pri_weights_close(weights);
    return status;
}

static bool is_open(const pri_weights *weights, const char *path)
{
    for (size_t i = 0; i < weights->count; i++)
        if (!strcmp(pri_safetensors_name(weights->files[i]), path))
            return true;
    return false;
}

/* A file that the index names; it lies beside the index. */
static pare_status add_part(const char *directory, const char *index, const json_t *part,
                            pri_weights *weights)
{
    const char *name = json_string_value(part);
    if (!name || !*name || strchr(name, '/') || strlen(name) != json_string_length(part))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: \"weight_map\" must give the name of a file beside it to each tensor",
                        index);
    char *path = pri_path_join(directory, name);
    if (!path)
        return PARE_ERROR_MEMORY;
    pare_status status = PARE_OK;
    if (!is_open(weights, path))
        status = pri_path_exists(path)
                     ? add_file(weights, path)
                     : pri_fail(PARE_ERROR_FILE,
                                "%s is missing, which %s names; fetch all files of the model", path,
                                index);
    pri_free(path);
    return status;
}

static pare_status open_parts(const char *directory, const char *index, pri_weights *weights)
{
    json_t *object;
    PRI_TRY(pri_json_load(index, &object));
    json_t *map = json_object_get(object, "weight_map");
    pare_status status = PARE_OK;
    if (!json_is_object(map) || json_object_size(map) == 0)
        status = pri_fail(PARE_ERROR_FORMAT,
                          "%s: \"weight_map\" must say which file holds which tensor", index);
    const char *tensor;
    json_t *part;
    json_object_foreach(map, tensor, part)
    {
        if (status == PARE_OK)
            status = add_part(directory, index, part, weights);
    }
    json_decref(object);
    return status;
}

#define CLASS_MAX 64

static bool is_class_name(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    return length && !name[length] && length < CLASS_MAX;
}

/* The class that wrote a directory: converted with it, the weights keep their head. The name goes
 * into a line to be copied, so anything that is no name of a class is left alone. */
static void read_class(const char *directory, char class_name[CLASS_MAX])
{
    json_t *config = NULL;
    char *path = pri_path_join(directory, "config.json");
    if (path && pri_json_load(path, &config) != PARE_OK)
        config = NULL;
    const char *name =
        json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    snprintf(class_name, CLASS_MAX, "%s", name && is_class_name(name) ? name : "AutoModel");
    json_decref(config);
    pri_free(path);
}

static bool holds(const char *directory, const char *name)
{
    char *path = pri_path_join(directory, name);
    bool exists = path && pri_path_exists(path);
    pri_free(path);
    return exists;
}

static pare_status fail_without_weights(const char *directory, const char *weights)
{
    static const char whole[] = "pytorch_model.bin", index[] = "pytorch_model.bin.index.json";
    const char *pickled = holds(directory, whole) ? whole : index;
    if (!holds(directory, pickled))
        return pri_fail(PARE_ERROR_FILE, "%s does not exist; name a directory that holds a model",
                        weights);
    char class_name[CLASS_MAX];
    read_class(directory, class_name);
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s holds %s, which only Python can read; convert it once: "
                    "python3 -c \"from transformers import %s as M; M.from_pretrained('%s')"
                    ".save_pretrained('%s')\"",
                    directory, pickled, class_name, directory, directory);
}

pare_status pri_weights_open_directory(const char *directory, pri_weights *weights, char **name)
{
    *weights = (pri_weights){.count = 0};
    *name = pri_path_join(directory, "model.safetensors");
    char *index = pri_path_join(directory, "model.safetensors.index.json");
    pare_status status = *name && index ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        weights->name = *name;
        if (pri_path_exists(*name))
            status = add_file(weights, *name);
        else if (pri_path_exists(index))
            status = open_parts(directory, index, weights);
        else
            status = fail_without_weights(directory, *name);
    }
    pri_free(index);
    if (status == PARE_OK)
        return PARE_OK;
    pri_weights_close(weights);
    pri_free(*name);
    *name = NULL;
    return status;
}

/* ---- Numbers ---- */

static float half_to_float(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float magnitude;
    if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf((float)fraction, -24);
    else
        magnitude = ldexpf((float)(fraction + 1024), exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

static float bfloat_to_float(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static float element(const pri_stored_tensor *stored, size_t index)
{
    if (stored->type == PRI_DATA_F32)
        return ((const float *)stored->data)[index];
    uint16_t bits = ((const uint16_t *)stored->data)[index];
    return stored->type == PRI_DATA_F16 ? half_to_float(bits) : bfloat_to_float(bits);
}

static void copy_values(float *values, const pri_stored_tensor *stored)
{
    if (stored->type == PRI_DATA_F32)
        memcpy(values, stored->data, stored->bytes);
    else
        for (size_t i = 0; i < stored->elements; i++)
            values[i] = element(stored, i);
}

static pare_status check_values(const pri_safetensors *file, const pri_stored_tensor *stored)
{
    for (size_t i = 0; i < stored->elements; i++)
        if (!isfinite(element(stored, i)))
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: tensor \"%s\" holds a value that is not a finite number; use an "
                            "earlier checkpoint",
                            pri_safetensors_name(file), stored->name);
    return PARE_OK;
}

/* ---- Matching ---- */

/* What a tensor of a file is in the model. */
typedef struct weight_place {
    const pri_stored_tensor **source;
    size_t dimensions, shape[2];
    bool replaceable; /* a fresh one may stand in for it */
} weight_place;

static void parameter_place(const pare_model *model, size_t index, pri_weight_sources *sources,
                            weight_place *found)
{
    const pare_tensor *tensor = &model->parameters[index].tensor;
    *found = (weight_place){.source = &sources->parameters[index],
                            .dimensions = model->notes[index].dimensions,
                            .replaceable = model->notes[index].head};
    found->shape[0] = found->dimensions == 1 ? tensor->columns : tensor->rows;
    found->shape[1] = tensor->columns;
}

static bool find_place(const pare_model *model, const char *name, pri_weight_sources *sources,
                       weight_place *found)
{
    size_t index = 0;
    while (index < model->parameter_count && strcmp(model->parameters[index].name, name))
        index++;
    for (size_t i = 0; index == model->parameter_count && i < model->alias_count; i++)
        if (!strcmp(model->aliases[i].name, name))
            index = model->aliases[i].parameter;
    if (index < model->parameter_count) {
        parameter_place(model, index, sources, found);
        return true;
    }
    for (size_t i = 0; i < model->constant_count; i++)
        if (!strcmp(model->constants[i].name, name)) {
            const pri_constant *constant = &model->constants[i];
            *found =
                (weight_place){.source = &sources->constants[i],
                               .dimensions = constant->row ? 2 : 1,
                               .shape = {constant->row ? 1 : constant->count, constant->count}};
            return true;
        }
    return false;
}

static bool same_shape(const pri_stored_tensor *stored, const weight_place *place)
{
    return stored->dimensions == place->dimensions &&
           !memcmp(stored->shape, place->shape, place->dimensions * sizeof *place->shape);
}

static pare_status check_form(const pri_safetensors *file, const pri_stored_tensor *stored,
                              const weight_place *place)
{
    bool half = stored->type == PRI_DATA_F16 || stored->type == PRI_DATA_BF16;
    pri_data_type type = half ? stored->type : PRI_DATA_F32;
    return pri_safetensors_get(file, stored->name, type, place->dimensions, place->shape, &stored);
}

/* Two names of one parameter must hold one value. */
static pare_status check_tied(const pri_safetensors *file, const pri_stored_tensor *first,
                              const pri_stored_tensor *second)
{
    if (first->type == second->type && !memcmp(first->data, second->data, second->bytes))
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: \"%s\" and \"%s\" differ but are one tensor in this model; models with "
                    "untied weights are not offered",
                    pri_safetensors_name(file), second->name, first->name);
}

static pare_status match_tensor(const pare_model *model, const pri_safetensors *file,
                                const pri_stored_tensor *stored, bool fresh_head,
                                pri_weight_sources *sources)
{
    char spelling[PRI_NAME_MAX];
    const char *name = stored->name;
    if (model->family->own_name)
        name = model->family->own_name(model, name, spelling);
    if (!name)
        return PARE_OK;
    weight_place place;
    if (!find_place(model, name, sources, &place))
        return pri_fail(PARE_ERROR_FORMAT, "%s: unexpected tensor \"%s\"; %s",
                        pri_safetensors_name(file), stored->name, foreign);
    if (fresh_head && place.replaceable && !same_shape(stored, &place))
        return PARE_OK;
    PRI_TRY(check_form(file, stored, &place));
    PRI_TRY(check_values(file, stored));
    if (*place.source)
        return check_tied(file, *place.source, stored);
    *place.source = stored;
    return PARE_OK;
}

static pare_status check_complete(const pare_model *model, const char *name, bool fresh_head,
                                  const pri_weight_sources *sources)
{
    for (size_t index = 0; index < model->parameter_count; index++)
        if (!sources->parameters[index] && !(fresh_head && model->notes[index].head))
            return pri_fail(PARE_ERROR_FORMAT, "%s: tensor \"%s\" is missing; %s", name,
                            model->parameters[index].name, foreign);
    return PARE_OK;
}

static pare_status match_all(const pare_model *model, const pri_weights *weights, bool fresh_head,
                             pri_weight_sources *sources)
{
    for (size_t f = 0; f < weights->count; f++) {
        const pri_safetensors *file = weights->files[f];
        for (size_t i = 0; i < pri_safetensors_count(file); i++)
            PRI_TRY(match_tensor(model, file, pri_safetensors_at(file, i), fresh_head, sources));
    }
    return check_complete(model, weights->name, fresh_head, sources);
}

pare_status pri_weights_match(const pare_model *model, const pri_weights *weights, bool fresh_head,
                              pri_weight_sources *sources)
{
    *sources = (pri_weight_sources){
        .parameters = pri_allocate_zero(model->parameter_count, sizeof *sources->parameters),
        .constants = pri_allocate_zero(model->constant_count, sizeof *sources->constants)};
    pare_status status = sources->parameters && sources->constants
                             ? match_all(model, weights, fresh_head, sources)
                             : PARE_ERROR_MEMORY;
    if (status != PARE_OK)
        pri_weight_sources_free(sources);
    return status;
}

void pri_weights_copy(pare_model *model, const pri_weight_sources *sources)
{
    for (size_t index = 0; index < model->parameter_count; index++)
        if (sources->parameters[index])
            copy_values(model->parameters[index].tensor.value, sources->parameters[index]);
    for (size_t i = 0; i < model->constant_count; i++)
        if (sources->constants[i])
            copy_values(model->constants[i].value, sources->constants[i]);
}

void pri_weight_sources_free(pri_weight_sources *sources)
{
    pri_free(sources->parameters);
    pri_free(sources->constants);
    *sources = (pri_weight_sources){.parameters = NULL};
}
