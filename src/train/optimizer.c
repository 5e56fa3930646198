/* The optimiser: one pair of moments per parameter, and their file. The arithmetic itself, which is
 * the same for every number, lives in nn/. */
#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "base/text_buffer.h"
#include "nn/optimizer.h"

static size_t floats_of(const pare_parameter *parameter)
{
    return parameter->tensor.rows * parameter->tensor.columns;
}

pare_status pri_optimizer_create(pare_context *context, pare_model *model, pri_optimizer *optimizer)
{
    *optimizer = (pri_optimizer){.context = context};
    optimizer->parameters = pare_model_parameters(model, &optimizer->count);
    for (size_t i = 0; i < optimizer->count; i++)
        optimizer->floats += floats_of(&optimizer->parameters[i]);
    optimizer->first = pri_allocate_zero(optimizer->floats, sizeof(float));
    optimizer->second = pri_allocate_zero(optimizer->floats, sizeof(float));
    return optimizer->first && optimizer->second ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_optimizer_destroy(pri_optimizer *optimizer)
{
    pri_free(optimizer->first);
    pri_free(optimizer->second);
    *optimizer = (pri_optimizer){.count = 0};
}

double pri_optimizer_gradient_norm(const pri_optimizer *optimizer)
{
    double sum = 0;
    for (size_t i = 0; i < optimizer->count; i++) {
        const pare_parameter *parameter = &optimizer->parameters[i];
        if (parameter->tensor.gradient)
            sum += pri_sum_of_squares(optimizer->context, floats_of(parameter),
                                      parameter->tensor.gradient);
    }
    return sqrt(sum);
}

void pri_optimizer_step(pri_optimizer *optimizer, const pare_training_options *options,
                        uint64_t step, double rate, double gradient_scale)
{
    /* The corrections use the betas as rounded to fp32, which the update uses too: with .999 itself
     * v / correction2 would be off by 5e-5. */
    bool decoupled = options->optimizer == PARE_OPTIMIZER_ADAMW;
    size_t offset = 0;
    for (size_t i = 0; i < optimizer->count; i++) {
        pare_parameter *parameter = &optimizer->parameters[i];
        size_t floats = floats_of(parameter);
        pri_adam adam = {
            .rate = (float)rate,
            .beta1 = (float)options->beta1,
            .beta2 = (float)options->beta2,
            .epsilon = (float)options->epsilon,
            .weight_decay = parameter->decay ? (float)options->weight_decay : 0,
            .correction1 = (float)(1 - pow((float)options->beta1, (double)step)),
            .correction2 = (float)(1 - pow((float)options->beta2, (double)step)),
            .gradient_scale = (float)gradient_scale,
            .decoupled = decoupled,
        };
        if (parameter->tensor.gradient)
            pri_adam_update(optimizer->context, &adam, floats, parameter->tensor.value,
                            parameter->tensor.gradient, optimizer->first + offset,
                            optimizer->second + offset);
        offset += floats;
    }
}

/* ---- The file: "first.PARAMETER" and "second.PARAMETER" ---- */

static const char *const moment_names[] = {"first", "second"};

static char *tensor_name(const pare_parameter *parameter, int moment)
{
    pri_text text = {.data = NULL};
    char *name = NULL;
    pri_text_append(&text, "%s.%s", moment_names[moment], parameter->name);
    if (!text.failed)
        name = pri_string_copy(text.data);
    pri_text_free(&text);
    return name;
}

pare_status pri_optimizer_save(const pri_optimizer *optimizer, uint64_t step, const char *path)
{
    char **names = pri_allocate_zero(2 * optimizer->count, sizeof *names);
    pri_safetensors_writer *writer = names ? pri_safetensors_writer_create() : NULL;
    pare_status status = writer ? PARE_OK : PARE_ERROR_MEMORY;
    size_t offset = 0;
    for (size_t i = 0; i < optimizer->count && status == PARE_OK; i++) {
        const pare_parameter *parameter = &optimizer->parameters[i];
        const size_t shape[] = {parameter->tensor.rows, parameter->tensor.columns};
        const float *moments[] = {optimizer->first + offset, optimizer->second + offset};
        for (int moment = 0; moment < 2 && status == PARE_OK; moment++) {
            char *name = names[2 * i + (size_t)moment] = tensor_name(parameter, moment);
            if (name)
                pri_safetensors_writer_add(writer, name, PRI_DATA_F32, 2, shape, moments[moment]);
            else
                status = PARE_ERROR_MEMORY;
        }
        offset += floats_of(parameter);
    }
    if (status == PARE_OK) {
        char number[32];
        snprintf(number, sizeof number, "%llu", (unsigned long long)step);
        pri_safetensors_writer_metadata(writer, "step", number);
        status = pri_safetensors_writer_save(writer, path);
    }
    pri_safetensors_writer_destroy(writer);
    for (size_t i = 0; names && i < 2 * optimizer->count; i++)
        pri_free(names[i]);
    pri_free(names);
    return status;
}

static pare_status check_step(const pri_safetensors *file, uint64_t step)
{
    const char *stored = pri_safetensors_metadata(file, "step");
    if (stored && strtoull(stored, NULL, 10) == step)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: optimizer state of step %.20s, but the checkpoint is of step %llu; remove "
                    "the run's directory and train again",
                    pri_safetensors_name(file), stored ? stored : "unknown",
                    (unsigned long long)step);
}

static pare_status load_moments(pri_optimizer *optimizer, const pri_safetensors *file)
{
    size_t offset = 0;
    for (size_t i = 0; i < optimizer->count; i++) {
        const pare_parameter *parameter = &optimizer->parameters[i];
        const size_t shape[] = {parameter->tensor.rows, parameter->tensor.columns};
        float *moments[] = {optimizer->first + offset, optimizer->second + offset};
        for (int moment = 0; moment < 2; moment++) {
            char *name = tensor_name(parameter, moment);
            if (!name)
                return PARE_ERROR_MEMORY;
            const pri_stored_tensor *tensor;
            pare_status status = pri_safetensors_get(file, name, PRI_DATA_F32, 2, shape, &tensor);
            pri_free(name);
            PRI_TRY(status);
            memcpy(moments[moment], tensor->data, tensor->bytes);
        }
        offset += floats_of(parameter);
    }
    return PARE_OK;
}

pare_status pri_optimizer_load(pri_optimizer *optimizer, uint64_t step, const char *path)
{
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    pare_status status = check_step(file, step);
    if (status == PARE_OK)
        status = load_moments(optimizer, file);
    pri_safetensors_close(file);
    return status;
}
