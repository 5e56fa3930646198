/* The configuration of an encoder-decoder model and its config.json. Keys that change the result
 * and that Pare does not offer are refused rather than ignored; absent keys have Hugging Face's
 * defaults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "documents/json.h"
#include "models/config.h"
#include "models/marian.h"

pare_marian_config pare_marian_config_default(void)
{
    return (pare_marian_config){.positions = 512,
                                .scale_embedding = true,
                                .activation = PARE_ACTIVATION_RELU,
                                .dropout = 0.1f,
                                .padding = 1,
                                .end = 2,
                                .start = 2,
                                .forced_end = 2};
}

float pri_marian_embedding_scale(const pare_marian_config *config)
{
    return config->scale_embedding ? sqrtf((float)config->size) : 1.0f;
}

/* ---- Checks ---- */

static pare_status check_sizes(const pare_marian_config *config)
{
    PRI_TRY(pri_config_range("vocab_size", config->source_vocabulary, 1, INT32_MAX));
    PRI_TRY(pri_config_range("decoder_vocab_size", config->target_vocabulary, 1, INT32_MAX));
    PRI_TRY(pri_config_range("encoder_layers", config->encoder_layers, 1, 1024));
    PRI_TRY(pri_config_range("decoder_layers", config->decoder_layers, 1, 1024));
    PRI_TRY(pri_config_range("encoder_attention_heads", config->heads, 1, 1024));
    PRI_TRY(pri_config_range("d_model", config->size, 2, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("encoder_ffn_dim", config->encoder_feed_forward, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("decoder_ffn_dim", config->decoder_feed_forward, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("max_position_embeddings", config->positions, 1, 65536));
    if (config->size % config->heads || config->size / config->heads > 256)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "d_model %zu must be encoder_attention_heads %zu times a head size of at "
                        "most 256",
                        config->size, config->heads);
    /* fairseq's frequencies divide by d/2 - 1. */
    if (config->sinusoids == PARE_SINUSOIDS_FAIRSEQ && (config->size < 4 || config->size % 2))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "d_model %zu does not suit fairseq's positions; use an even number of 4 or "
                        "more",
                        config->size);
    return PARE_OK;
}

static pare_status check_words(const pare_marian_config *config)
{
    if (config->sharing == PARE_SHARE_ALL && config->source_vocabulary != config->target_vocabulary)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a shared embedding needs one vocabulary, but vocab_size is %zu and "
                        "decoder_vocab_size %zu",
                        config->source_vocabulary, config->target_vocabulary);
    const struct {
        const char *key;
        uint32_t word;
    } words[] = {{"pad_token_id", config->padding},
                 {"eos_token_id", config->end},
                 {"decoder_start_token_id", config->start},
                 {"forced_eos_token_id",
                  config->forced_end == PARE_NO_TOKEN ? config->end : config->forced_end}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].word >= config->target_vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT, "%s is %lu but there are %zu target words",
                            words[i].key, (unsigned long)words[i].word, config->target_vocabulary);
    if (config->end >= config->source_vocabulary)
        return pri_fail(PARE_ERROR_ARGUMENT, "eos_token_id is %lu but there are %zu source words",
                        (unsigned long)config->end, config->source_vocabulary);
    return PARE_OK;
}

pare_status pri_marian_check_config(const pare_marian_config *config)
{
    PRI_TRY(check_sizes(config));
    PRI_TRY(check_words(config));
    PRI_TRY(pri_config_number("dropout", config->dropout, 1.0f));
    PRI_TRY(pri_config_number("attention_dropout", config->attention_dropout, 1.0f));
    PRI_TRY(pri_config_number("activation_dropout", config->inner_dropout, 1.0f));
    return pri_config_number("init_std", config->initial_deviation, INFINITY);
}

/* ---- config.json ---- */

static const char *const activation_names[] = {
    [PARE_ACTIVATION_RELU] = "relu",
    [PARE_ACTIVATION_GELU] = "gelu",
    [PARE_ACTIVATION_SWISH] = "swish",
};
static const char *const sinusoid_names[] = {
    [PARE_SINUSOIDS_MARIAN] = "marian",
    [PARE_SINUSOIDS_FAIRSEQ] = "fairseq",
};

static pare_status read_sizes(const json_t *object, const char *path, pare_marian_config *config)
{
    size_t decoder_heads;
    PRI_TRY(pri_json_get_size_or(object, path, "vocab_size", 58101, &config->source_vocabulary));
    PRI_TRY(pri_json_get_size_or(object, path, "decoder_vocab_size", config->source_vocabulary,
                                 &config->target_vocabulary));
    PRI_TRY(pri_json_get_size_or(object, path, "encoder_layers", 12, &config->encoder_layers));
    PRI_TRY(pri_json_get_size_or(object, path, "decoder_layers", 12, &config->decoder_layers));
    PRI_TRY(pri_json_get_size_or(object, path, "encoder_attention_heads", 16, &config->heads));
    PRI_TRY(pri_json_get_size_or(object, path, "decoder_attention_heads", 16, &decoder_heads));
    PRI_TRY(pri_json_get_size_or(object, path, "d_model", 1024, &config->size));
    PRI_TRY(
        pri_json_get_size_or(object, path, "encoder_ffn_dim", 4096, &config->encoder_feed_forward));
    PRI_TRY(
        pri_json_get_size_or(object, path, "decoder_ffn_dim", 4096, &config->decoder_feed_forward));
    PRI_TRY(
        pri_json_get_size_or(object, path, "max_position_embeddings", 1024, &config->positions));
    if (decoder_heads == config->heads)
        return PARE_OK;
    return pri_config_refuse(object, path, "decoder_attention_heads",
                             "the number of encoder_attention_heads");
}

static pare_status read_word(const json_t *object, const char *path, const char *key,
                             size_t fallback, uint32_t *word)
{
    size_t id;
    PRI_TRY(pri_json_get_size_or(object, path, key, fallback, &id));
    if (id > INT32_MAX)
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"%s\" is %zu, which is no word", path, key, id);
    *word = (uint32_t)id;
    return PARE_OK;
}

static pare_status read_words(const json_t *object, const char *path, pare_marian_config *config)
{
    PRI_TRY(read_word(object, path, "pad_token_id", 58100, &config->padding));
    PRI_TRY(read_word(object, path, "eos_token_id", 0, &config->end));
    PRI_TRY(read_word(object, path, "decoder_start_token_id", 58100, &config->start));
    config->forced_end = PARE_NO_TOKEN;
    return json_is_null(json_object_get(object, "forced_eos_token_id"))
               ? PARE_OK
               : read_word(object, path, "forced_eos_token_id", 0, &config->forced_end);
}

static pare_status read_numbers(const json_t *object, const char *path, pare_marian_config *config)
{
    PRI_TRY(pri_config_float_or(object, path, "dropout", 0.1f, &config->dropout));
    PRI_TRY(
        pri_config_float_or(object, path, "attention_dropout", 0.0f, &config->attention_dropout));
    PRI_TRY(pri_config_float_or(object, path, "activation_dropout", 0.0f, &config->inner_dropout));
    return pri_config_float_or(object, path, "init_std", 0.02f, &config->initial_deviation);
}

static pare_status read_sharing(const json_t *object, const char *path, pare_marian_config *config)
{
    bool shared, tied;
    PRI_TRY(pri_json_get_bool_or(object, path, "share_encoder_decoder_embeddings", true, &shared));
    PRI_TRY(pri_json_get_bool_or(object, path, "tie_word_embeddings", true, &tied));
    if (shared && !tied)
        return pri_config_refuse(object, path, "tie_word_embeddings",
                                 "true, with shared embeddings of encoder and decoder,");
    config->sharing = shared ? PARE_SHARE_ALL : tied ? PARE_SHARE_TARGET : PARE_SHARE_NONE;
    return PARE_OK;
}

static pare_status read_choice(const json_t *object, const char *path, const char *key,
                               const char *fallback, const char *const *names, size_t count,
                               const char *offered, size_t *choice)
{
    char value[64];
    PRI_TRY(pri_json_get_string_or(object, path, key, fallback, value, sizeof value));
    for (*choice = 0; *choice < count; ++*choice)
        if (names[*choice] && !strcmp(names[*choice], value))
            return PARE_OK;
    return pri_config_refuse(object, path, key, offered);
}

static pare_status read_choices(const json_t *object, const char *path, pare_marian_config *config)
{
    size_t activation, sinusoids;
    PRI_TRY(read_choice(object, path, "activation_function", "gelu", activation_names,
                        sizeof activation_names / sizeof *activation_names,
                        "one of \"relu\", \"gelu\" and \"swish\"", &activation));
    PRI_TRY(read_choice(object, path, "sinusoids", "marian", sinusoid_names,
                        sizeof sinusoid_names / sizeof *sinusoid_names,
                        "one of \"marian\" and \"fairseq\"", &sinusoids));
    config->activation = (pare_activation)activation;
    config->sinusoids = (pare_sinusoids)sinusoids;
    PRI_TRY(pri_json_get_bool_or(object, path, "scale_embedding", false, &config->scale_embedding));
    return pri_json_get_bool_or(object, path, "normalize_before", false, &config->pre_norm);
}

/* Keys that only old files have. */
static pare_status check_fixed_choices(const json_t *object, const char *path)
{
    bool normalised, fixed;
    PRI_TRY(pri_json_get_bool_or(object, path, "normalize_embedding", false, &normalised));
    if (normalised)
        return pri_config_refuse(object, path, "normalize_embedding", "false");
    PRI_TRY(pri_json_get_bool_or(object, path, "static_position_embeddings", true, &fixed));
    if (!fixed)
        return pri_config_refuse(object, path, "static_position_embeddings", "true");
    return PARE_OK;
}

pare_status pri_marian_read_config(const json_t *object, const char *path,
                                   pare_marian_config *config)
{
    *config = pare_marian_config_default();
    PRI_TRY(read_sizes(object, path, config));
    PRI_TRY(read_words(object, path, config));
    PRI_TRY(read_numbers(object, path, config));
    PRI_TRY(read_sharing(object, path, config));
    PRI_TRY(read_choices(object, path, config));
    PRI_TRY(check_fixed_choices(object, path));
    if (pri_marian_check_config(config) != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", path);
    return PARE_OK;
}

/* What its classes do not know is written only where it is not what they do. */
static void write_own_keys(json_t *object, const pare_marian_config *config)
{
    if (config->sinusoids != PARE_SINUSOIDS_MARIAN)
        json_object_set_new(object, "sinusoids", json_string(sinusoid_names[config->sinusoids]));
    if (config->pre_norm)
        json_object_set_new(object, "normalize_before", json_true());
}

static void write_sizes(json_t *object, const pare_marian_config *config)
{
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"vocab_size", config->source_vocabulary},
        {"decoder_vocab_size", config->target_vocabulary},
        {"d_model", config->size},
        {"encoder_layers", config->encoder_layers},
        {"decoder_layers", config->decoder_layers},
        {"num_hidden_layers", config->encoder_layers},
        {"encoder_attention_heads", config->heads},
        {"decoder_attention_heads", config->heads},
        {"encoder_ffn_dim", config->encoder_feed_forward},
        {"decoder_ffn_dim", config->decoder_feed_forward},
        {"max_position_embeddings", config->positions},
        {"pad_token_id", config->padding},
        {"eos_token_id", config->end},
        {"decoder_start_token_id", config->start},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        json_object_set_new(object, sizes[i].key, json_integer((json_int_t)sizes[i].value));
    json_object_set_new(object, "forced_eos_token_id",
                        config->forced_end == PARE_NO_TOKEN ? json_null()
                                                            : json_integer(config->forced_end));
}

json_t *pri_marian_write_config(const pare_marian_config *config)
{
    json_t *object = json_pack(
        "{s:[s], s:s, s:b, s:s, s:b, s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:s}", "architectures",
        "MarianMTModel", "model_type", "marian", "is_encoder_decoder", 1, "activation_function",
        activation_names[config->activation], "scale_embedding", config->scale_embedding, "dropout",
        pri_config_json_float(config->dropout), "attention_dropout",
        pri_config_json_float(config->attention_dropout), "activation_dropout",
        pri_config_json_float(config->inner_dropout), "init_std",
        pri_config_json_float(config->initial_deviation), "share_encoder_decoder_embeddings",
        config->sharing == PARE_SHARE_ALL, "tie_word_embeddings",
        config->sharing != PARE_SHARE_NONE, "use_cache", 1, "torch_dtype", "float32");
    if (!object)
        return NULL;
    write_sizes(object, config);
    write_own_keys(object, config);
    return object;
}
