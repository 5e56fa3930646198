/* config.json of every family of models: what is accepted can be written, and what was written is
 * accepted again and describes a model with as many parameters. No weights are allocated. */
#include <stdlib.h>

#include "documents/json.h"
#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t parameters_of(pare_model *model, size_t *count)
{
    pare_model_parameters(model, count);
    return pare_model_parameter_floats(model);
}

static void check_round_trip(pare_context *context, const pri_family *family, pare_model *model)
{
    json_t *written = family->to_config(model);
    pare_model *again;
    if (!written || family->from_config(context, written, "written", &again) != PARE_OK)
        abort();
    size_t count, count_again;
    if (parameters_of(model, &count) != parameters_of(again, &count_again) || count != count_again)
        abort();
    json_decref(written);
    pare_model_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pri_family *const families[] = {&pri_bert_family, &pri_distilbert_family,
                                                 &pri_transformer_xl_family};
    static pare_context *context;
    json_t *config;
    if (!context && pare_context_create(NULL, &context) != PARE_OK)
        abort();
    if (pri_json_parse((const char *)data, size, "input", &config) != PARE_OK)
        return 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        pare_model *model;
        if (families[i]->from_config(context, config, "input", &model) != PARE_OK)
            continue;
        check_round_trip(context, families[i], model);
        pare_model_destroy(model);
    }
    json_decref(config);
    return 0;
}
