/* The configuration of a Transformer-XL and its config.json. Keys that change the result and that
 * Pare does not offer are refused rather than ignored; absent keys have Hugging Face's defaults. */
#include <math.h>

#include "documents/json.h"
#include "models/config.h"
#include "models/transformer_xl.h"

pare_transformer_xl_config pare_transformer_xl_config_default(void)
{
    return (pare_transformer_xl_config){.division = 1,
                                        .dropout = 0.1f,
                                        .initial_deviation = 0.02f,
                                        .initial_projection_deviation = 0.01f,
                                        .layer_norm_epsilon = 1e-5f};
}

/* ---- Checks ---- */

static pare_status check_sizes(const pare_transformer_xl_config *config)
{
    PRI_TRY(pri_config_range("vocab_size", config->vocabulary, 1, INT32_MAX));
    PRI_TRY(pri_config_range("n_layer", config->layers, 1, 1024));
    PRI_TRY(pri_config_range("n_head", config->heads, 1, 1024));
    PRI_TRY(pri_config_range("d_head", config->head_size, 1, 256));
    PRI_TRY(pri_config_range("d_model", config->size, 2, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("d_embed", config->embedding_size, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("d_inner", config->feed_forward, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("mem_len", config->memory, 0, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("clamp_len", config->clamp_length, 0, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("div_val", config->division, 1, PRI_SIZE_LIMIT));
    if (config->size % 2)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "d_model must be even, half sines and half cosines; it is %zu",
                        config->size);
    if (config->same_length && config->memory == 0)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "same_length lets every token see mem_len tokens, which cannot be 0");
    return PARE_OK;
}

static pare_status check_clusters(const pare_transformer_xl_config *config)
{
    if (config->cluster_count >= PARE_CLUSTERS_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT, "there can be at most %d cutoffs, not %zu",
                        PARE_CLUSTERS_MAX - 1, config->cluster_count);
    size_t begin = 0, size = config->embedding_size;
    for (size_t i = 0; i < config->cluster_count; i++) {
        size_t cutoff = config->cutoffs[i];
        if (cutoff <= begin || cutoff >= config->vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "cutoffs must rise and stay below the vocabulary of %zu; %zu does not",
                            config->vocabulary, cutoff);
        begin = cutoff;
        size /= config->division;
        if (size == 0)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "d_embed %zu divided by div_val %zu for each of %zu cutoffs leaves "
                            "nothing; use fewer cutoffs or a smaller div_val",
                            config->embedding_size, config->division, config->cluster_count);
    }
    return PARE_OK;
}

pare_status pri_transformer_xl_check_config(pare_transformer_xl_config *config)
{
    if (config->embedding_size == 0)
        config->embedding_size = config->size;
    PRI_TRY(check_sizes(config));
    PRI_TRY(check_clusters(config));
    PRI_TRY(pri_config_number("dropout", config->dropout, 1.0f));
    PRI_TRY(pri_config_number("dropatt", config->attention_dropout, 1.0f));
    PRI_TRY(pri_config_number("init_std", config->initial_deviation, INFINITY));
    PRI_TRY(pri_config_number("proj_init_std", config->initial_projection_deviation, INFINITY));
    PRI_TRY(pri_config_number("layer_norm_epsilon", config->layer_norm_epsilon, INFINITY));
    return PARE_OK;
}

/* ---- config.json ---- */

static pare_status read_sizes(const json_t *object, const char *path,
                              pare_transformer_xl_config *config)
{
    PRI_TRY(pri_json_get_size(object, path, "vocab_size", &config->vocabulary));
    PRI_TRY(pri_json_get_size(object, path, "n_layer", &config->layers));
    PRI_TRY(pri_json_get_size(object, path, "n_head", &config->heads));
    PRI_TRY(pri_json_get_size(object, path, "d_head", &config->head_size));
    PRI_TRY(pri_json_get_size(object, path, "d_model", &config->size));
    PRI_TRY(pri_json_get_size(object, path, "d_embed", &config->embedding_size));
    PRI_TRY(pri_json_get_size(object, path, "d_inner", &config->feed_forward));
    PRI_TRY(pri_json_get_size(object, path, "mem_len", &config->memory));
    PRI_TRY(pri_json_get_size_or(object, path, "div_val", 4, &config->division));
    double clamp;
    PRI_TRY(pri_json_get_number_or(object, path, "clamp_len", 1000.0, &clamp));
    if (!(clamp <= (double)PRI_SIZE_LIMIT))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"clamp_len\" is too large; use -1 for no limit",
                        path);
    config->clamp_length = clamp > 0.0 ? (size_t)clamp : 0;
    return PARE_OK;
}

static pare_status read_cutoffs(const json_t *object, const char *path,
                                pare_transformer_xl_config *config)
{
    const json_t *cutoffs = json_object_get(object, "cutoffs");
    size_t count = json_array_size(cutoffs);
    if (!json_is_array(cutoffs) || count >= PARE_CLUSTERS_MAX)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: \"cutoffs\" must be a list of at most %d numbers, empty for a plain "
                        "softmax",
                        path, PARE_CLUSTERS_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        const json_t *cutoff = json_array_get(cutoffs, i);
        if (!json_is_integer(cutoff) || json_integer_value(cutoff) < 1)
            return pri_fail(PARE_ERROR_FORMAT, "%s: \"cutoffs\" must hold positive whole numbers",
                            path);
        config->cutoffs[i] = (size_t)json_integer_value(cutoff);
    }
    config->cluster_count = count;
    return PARE_OK;
}

/* Hugging Face's default: the output's first projection is its own, the others are the embedding's.
 */
static bool projection_is_tied(size_t cluster)
{
    return cluster > 0;
}

static pare_status check_fixed_choices(const json_t *object, const char *path,
                                       const pare_transformer_xl_config *config)
{
    double type;
    PRI_TRY(pri_json_get_number_or(object, path, "attn_type", 0.0, &type));
    if (type != 0.0)
        return pri_config_refuse(object, path, "attn_type", "0");
    bool tied;
    PRI_TRY(pri_json_get_bool_or(object, path, "tie_word_embeddings", true, &tied));
    if (!tied)
        return pri_config_refuse(object, path, "tie_word_embeddings", "true");
    const json_t *projections = json_object_get(object, "tie_projs");
    /* Without division and with equal sizes there are no projections. */
    if (!projections || (config->division == 1 && config->embedding_size == config->size))
        return PARE_OK;
    for (size_t c = 0; c <= config->cluster_count; c++)
        if (json_is_true(json_array_get(projections, c)) != projection_is_tied(c))
            return pri_config_refuse(object, path, "tie_projs", "[false, true, true, ...]");
    return PARE_OK;
}

pare_status pri_transformer_xl_read_config(const json_t *object, const char *path,
                                           pare_transformer_xl_config *config)
{
    *config = pare_transformer_xl_config_default();
    PRI_TRY(read_sizes(object, path, config));
    PRI_TRY(read_cutoffs(object, path, config));
    PRI_TRY(pri_json_get_bool_or(object, path, "same_length", true, &config->same_length));
    PRI_TRY(pri_json_get_bool_or(object, path, "pre_lnorm", false, &config->pre_norm));
    PRI_TRY(pri_json_get_bool_or(object, path, "untie_r", true, &config->untie_biases));
    PRI_TRY(pri_config_float_or(object, path, "dropout", 0.1f, &config->dropout));
    PRI_TRY(pri_config_float_or(object, path, "dropatt", 0.0f, &config->attention_dropout));
    PRI_TRY(pri_config_float_or(object, path, "init_std", 0.02f, &config->initial_deviation));
    PRI_TRY(pri_config_float_or(object, path, "proj_init_std", 0.01f,
                                &config->initial_projection_deviation));
    PRI_TRY(pri_config_float_or(object, path, "layer_norm_epsilon", 1e-5f,
                                &config->layer_norm_epsilon));
    PRI_TRY(check_fixed_choices(object, path, config));
    pare_status status = pri_transformer_xl_check_config(config);
    if (status == PARE_OK)
        return PARE_OK;
    return pri_fail_in(PARE_ERROR_FORMAT, "%s", path);
}

json_t *pri_transformer_xl_write_config(const pare_transformer_xl_config *config)
{
    json_t *cutoffs = json_array(), *projections = json_array();
    for (size_t c = 0; c < config->cluster_count; c++)
        json_array_append_new(cutoffs, json_integer((json_int_t)config->cutoffs[c]));
    for (size_t c = 0; c <= config->cluster_count; c++)
        json_array_append_new(projections, json_boolean(projection_is_tied(c)));
    json_int_t clamp = config->clamp_length ? (json_int_t)config->clamp_length : -1;
    return json_pack(
        "{s:[s], s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:b, s:b, s:o,"
        " s:o, s:o, s:o, s:o, s:i, s:b, s:b, s:o, s:b, s:s}",
        "architectures", "TransfoXLLMHeadModel", "model_type", "transfo-xl", "vocab_size",
        (json_int_t)config->vocabulary, "cutoffs", cutoffs, "d_model", (json_int_t)config->size,
        "d_embed", (json_int_t)config->embedding_size, "n_head", (json_int_t)config->heads,
        "d_head", (json_int_t)config->head_size, "d_inner", (json_int_t)config->feed_forward,
        "div_val", (json_int_t)config->division, "pre_lnorm", config->pre_norm, "n_layer",
        (json_int_t)config->layers, "mem_len", (json_int_t)config->memory, "clamp_len", clamp,
        "same_length", config->same_length, "untie_r", config->untie_biases, "dropout",
        pri_config_json_float(config->dropout), "dropatt",
        pri_config_json_float(config->attention_dropout), "init_std",
        pri_config_json_float(config->initial_deviation), "proj_init_std",
        pri_config_json_float(config->initial_projection_deviation), "layer_norm_epsilon",
        pri_config_json_float(config->layer_norm_epsilon), "attn_type", 0, "adaptive", 1,
        "proj_share_all_but_first", 1, "tie_projs", projections, "tie_word_embeddings", 1,
        "torch_dtype", "float32");
}
