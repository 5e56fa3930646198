/* Sums in fp64, in the order of the steps: a resumed run adds to the same bits. */
#include "train/weight_average.h"

#include <string.h>

#include "base/memory.h"
#include "base/safetensors.h"
#include "base/status.h"

pare_status pri_weight_average_create(const pare_model *model, pri_weight_average *average)
{
    size_t floats = pare_model_parameter_floats(model);
    *average = (pri_weight_average){.sums = pri_allocate_zero(floats, sizeof *average->sums),
                                    .floats = floats};
    return average->sums ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_weight_average_free(pri_weight_average *average)
{
    pri_free(average->sums);
    *average = (pri_weight_average){.sums = NULL};
}

void pri_weight_average_add(pri_weight_average *average, pare_context *context, pare_model *model)
{
    size_t count;
    const pare_parameter *parameters = pare_model_parameters(model, &count);
    double *sums = average->sums;
    for (size_t i = 0; i < count; i++) {
        const pare_tensor *tensor = &parameters[i].tensor;
        size_t floats = tensor->rows * tensor->columns;
#pragma omp parallel for num_threads(pare_context_threads(context)) schedule(static)
        for (size_t j = 0; j < floats; j++)
            sums[j] += (double)tensor->value[j];
        sums += floats;
    }
    average->count++;
}

void pri_weight_average_apply(const pri_weight_average *average, pare_model *model)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    const double *sums = average->sums;
    for (size_t i = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        size_t floats = tensor->rows * tensor->columns;
        for (size_t j = 0; j < floats; j++)
            tensor->value[j] = (float)(sums[j] / (double)average->count);
        sums += floats;
    }
}

pare_status pri_weight_average_save(const pri_weight_average *average, const char *path)
{
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    if (!writer)
        return PARE_ERROR_MEMORY;
    pri_safetensors_writer_add(writer, "sums", PRI_DATA_F64, 1, &average->floats, average->sums);
    pri_safetensors_writer_add(writer, "count", PRI_DATA_U64, 1, (size_t[]){1}, &average->count);
    pare_status status = pri_safetensors_writer_save(writer, path);
    pri_safetensors_writer_destroy(writer);
    return status;
}

static pare_status read(pri_weight_average *average, const pri_safetensors *file)
{
    const pri_stored_tensor *sums, *count;
    PRI_TRY(pri_safetensors_get(file, "sums", PRI_DATA_F64, 1, &average->floats, &sums));
    PRI_TRY(pri_safetensors_get(file, "count", PRI_DATA_U64, 1, (size_t[]){1}, &count));
    memcpy(average->sums, sums->data, sums->bytes);
    memcpy(&average->count, count->data, count->bytes);
    return PARE_OK;
}

pare_status pri_weight_average_load(pri_weight_average *average, const char *path)
{
    pri_safetensors *file;
    PRI_TRY(pri_safetensors_open(path, &file));
    pare_status status = read(average, file);
    pri_safetensors_close(file);
    return status;
}
