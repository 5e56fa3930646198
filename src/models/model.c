/* The life of a model: a family declares its parameters by name and shape, then all of them get
 * their storage in two allocations, values and gradients, so that optimisers, checkpoints and
 * gradient norms see plain arrays. */
#include "models/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* 4 TB of values: larger models come from damaged files. */
#define FLOATS_MAX ((size_t)1 << 40)

/* ---- Declarations ---- */

static char *join_names(const char *prefix, const char *suffix)
{
    size_t length = strlen(prefix) + strlen(suffix) + 1;
    char *name = pri_allocate(length, 1);
    if (name)
        snprintf(name, length, "%s%s", prefix, suffix);
    return name;
}

static bool grow_parameters(pare_model *model)
{
    if (model->parameter_count < model->parameter_capacity)
        return true;
    size_t old = model->parameter_capacity, capacity = old ? 2 * old : 64;
    pare_parameter *parameters =
        pri_reallocate(model->parameters, old, capacity, sizeof *parameters);
    if (!parameters)
        return false;
    model->parameters = parameters;
    pri_parameter_notes *notes = pri_reallocate(model->notes, old, capacity, sizeof *notes);
    if (!notes)
        return false;
    model->notes = notes;
    model->parameter_capacity = capacity;
    return true;
}

void pri_model_declare(pare_model *model, pare_tensor **slot, pri_parameter_kind kind, size_t rows,
                       size_t columns, float deviation, const char *prefix, const char *suffix)
{
    if (model->declared != PARE_OK)
        return;
    size_t floats;
    if (pri_multiply_overflows(rows, columns, &floats) || floats > FLOATS_MAX - model->floats) {
        model->declared = pri_fail(
            PARE_ERROR_ARGUMENT, "the model would have more than %zu parameters; use smaller sizes",
            FLOATS_MAX);
        return;
    }
    char *name = join_names(prefix, suffix);
    if (!name || !grow_parameters(model)) {
        pri_free(name);
        model->declared = PARE_ERROR_MEMORY;
        return;
    }
    size_t index = model->parameter_count++;
    model->parameters[index] = (pare_parameter){
        .name = name, .tensor = {.rows = rows, .columns = columns}, .decay = kind == PRI_WEIGHT};
    model->notes[index] = (pri_parameter_notes){
        .dimensions = kind == PRI_BIAS || kind == PRI_GAIN ? 1 : 2,
        .mean = kind == PRI_GAIN ? 1.0f : 0.0f,
        .deviation = deviation,
        .slot = slot,
    };
    model->floats += floats;
}

void pri_model_declare_alias(pare_model *model, const char *prefix, const char *suffix,
                             bool written)
{
    if (model->declared != PARE_OK)
        return;
    char *name = join_names(prefix, suffix);
    pri_alias *aliases = name ? pri_reallocate(model->aliases, model->alias_count,
                                               model->alias_count + 1, sizeof *aliases)
                              : NULL;
    if (!aliases) {
        pri_free(name);
        model->declared = PARE_ERROR_MEMORY;
        return;
    }
    model->aliases = aliases;
    model->aliases[model->alias_count++] =
        (pri_alias){.name = name, .parameter = model->parameter_count - 1, .written = written};
}

void pri_model_draw_uniform(pare_model *model)
{
    if (model->declared == PARE_OK)
        model->notes[model->parameter_count - 1].uniform = true;
}

float *pri_model_declare_constant(pare_model *model, const char *name, size_t count, bool row)
{
    if (model->declared != PARE_OK)
        return NULL;
    pri_constant *constants = pri_reallocate(model->constants, model->constant_count,
                                             model->constant_count + 1, sizeof *constants);
    if (!constants) {
        model->declared = PARE_ERROR_MEMORY;
        return NULL;
    }
    model->constants = constants;
    pri_constant constant = {.name = pri_string_copy(name),
                             .value = pri_allocate_zero(count, sizeof(float)),
                             .count = count,
                             .row = row};
    constants[model->constant_count++] = constant;
    if (!constant.name || !constant.value)
        model->declared = PARE_ERROR_MEMORY;
    return constant.value;
}

/* ---- Storage ---- */

pare_status pri_model_allocate(pare_model *model)
{
    PRI_TRY(model->declared);
    model->values = pri_allocate_zero(model->floats, sizeof(float));
    model->gradients = pri_allocate_zero(model->floats, sizeof(float));
    if (!model->values || !model->gradients)
        return PARE_ERROR_MEMORY;
    size_t position = 0;
    for (size_t index = 0; index < model->parameter_count; index++) {
        pare_tensor *tensor = &model->parameters[index].tensor;
        tensor->value = model->values + position;
        tensor->gradient = model->gradients + position;
        *model->notes[index].slot = tensor;
        position += tensor->rows * tensor->columns;
    }
    model->family->bind(model);
    return PARE_OK;
}

pare_tensor pri_parameter_part(const pare_tensor *parameter, size_t begin, size_t count)
{
    pare_tensor part = *parameter;
    bool columns = parameter->rows == 1;
    size_t skipped = columns ? begin : begin * parameter->columns;
    part.value += skipped;
    part.gradient += skipped;
    if (columns)
        part.columns = count;
    else
        part.rows = count;
    return part;
}

/* Of mean 0 and deviation 1. */
static float draw_standard(const pri_parameter_notes *notes, uint64_t key, size_t index)
{
    if (!notes->uniform)
        return (float)pri_random_normal(key, index);
    return (float)(sqrt(3.0) * (2.0 * pri_random_uniform(key, index) - 1.0));
}

void pri_model_initialise_parameter(pare_model *model, size_t index, uint64_t seed)
{
    const pare_tensor *tensor = &model->parameters[index].tensor;
    const pri_parameter_notes *notes = &model->notes[index];
    uint64_t key = pri_random_key(seed, model->parameters[index].name, 0);
    size_t count = tensor->rows * tensor->columns;
#pragma omp parallel for num_threads(pare_context_threads(model->context)) schedule(static)
    for (size_t i = 0; i < count; i++)
        tensor->value[i] = notes->deviation > 0.0f
                               ? notes->mean + notes->deviation * draw_standard(notes, key, i)
                               : notes->mean;
}

void pri_model_initialise(pare_model *model, uint64_t seed)
{
    for (size_t index = 0; index < model->parameter_count; index++)
        pri_model_initialise_parameter(model, index, seed);
}

pare_status pri_model_finish_fresh(pare_model *declared, uint64_t seed, pare_model **model)
{
    pare_status status = pri_model_allocate(declared);
    if (status != PARE_OK) {
        pare_model_destroy(declared);
        return status;
    }
    pri_model_initialise(declared, seed);
    *model = declared;
    return PARE_OK;
}

void pare_model_zero_gradients(pare_model *model)
{
    const size_t block = 1 << 16;
    size_t blocks = model->floats / block + 1;
#pragma omp parallel for num_threads(pare_context_threads(model->context)) schedule(static)
    for (size_t b = 0; b < blocks; b++) {
        size_t begin = b * block;
        size_t end = begin + block < model->floats ? begin + block : model->floats;
        memset(model->gradients + begin, 0, (end - begin) * sizeof(float));
    }
}

/* ---- The rest of a life ---- */

void pri_model_release(pare_model *model)
{
    pri_model_release_masks(model);
    for (size_t index = 0; index < model->parameter_count; index++)
        pri_free((char *)model->parameters[index].name);
    for (size_t index = 0; index < model->alias_count; index++)
        pri_free(model->aliases[index].name);
    for (size_t index = 0; index < model->constant_count; index++) {
        pri_free(model->constants[index].name);
        pri_free(model->constants[index].value);
    }
    pri_free(model->parameters);
    pri_free(model->notes);
    pri_free(model->aliases);
    pri_free(model->constants);
    pri_free(model->values);
    pri_free(model->gradients);
}

void pare_model_destroy(pare_model *model)
{
    if (model)
        model->family->destroy(model);
}

const char *pare_model_family(const pare_model *model)
{
    return model->family->name;
}

pare_parameter *pare_model_parameters(pare_model *model, size_t *count)
{
    *count = model->parameter_count;
    return model->parameters;
}

size_t pare_model_parameter_floats(const pare_model *model)
{
    return model->floats;
}

pare_geometry pare_model_attention_geometry(const pare_model *model, pare_attention_kind kind,
                                            size_t length)
{
    return model->family->attention(model, kind, length);
}
