/* Tokenizers into files, as transformers writes them: tokenizer.json for the tokenizers package,
 * vocab.txt and tokenizer_config.json for everything else. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text_buffer.h"
#include "text/wordpiece_files.h"

static json_t *accents_json(pri_accents accents)
{
    return accents == PRI_ACCENTS_WITH_CASE ? json_null()
                                            : json_boolean(accents == PRI_ACCENTS_STRIPPED);
}

static const char *role_token(const pare_wordpiece *tokenizer, int role)
{
    return pri_token_list_bytes(&tokenizer->tokens, tokenizer->roles[role]);
}

/* ---- tokenizer.json ---- */

static json_t *normalizer_json(const pri_bert_settings *settings)
{
    return json_pack("{s:s, s:b, s:b, s:o, s:b}", "type", "BertNormalizer", "clean_text",
                     settings->clean_text, "handle_chinese_chars", settings->split_ideographs,
                     "strip_accents", accents_json(settings->accents), "lowercase",
                     settings->lower_case);
}

static json_t *template_token(const char *kind, const char *id, int type)
{
    return json_pack("{s:{s:s, s:i}}", kind, "id", id, "type_id", type);
}

static json_t *special_json(const pare_wordpiece *tokenizer, int role)
{
    const char *token = role_token(tokenizer, role);
    return json_pack("{s:s, s:[I], s:[s]}", "id", token, "ids", (json_int_t)tokenizer->roles[role],
                     "tokens", token);
}

/* [CLS] a [SEP], and [CLS] a [SEP] b [SEP]. */
static json_t *template_json(const pare_wordpiece *tokenizer)
{
    const char *first = role_token(tokenizer, PRI_CLASSIFICATION);
    const char *separator = role_token(tokenizer, PRI_SEPARATOR);
    json_t *single =
        json_pack("[o, o, o]", template_token("SpecialToken", first, 0),
                  template_token("Sequence", "A", 0), template_token("SpecialToken", separator, 0));
    json_t *pair = json_deep_copy(single);
    json_array_append_new(pair, template_token("Sequence", "B", 1));
    json_array_append_new(pair, template_token("SpecialToken", separator, 1));
    return json_pack("{s:s, s:o, s:o, s:{s:o, s:o}}", "type", "TemplateProcessing", "single",
                     single, "pair", pair, "special_tokens", first,
                     special_json(tokenizer, PRI_CLASSIFICATION), separator,
                     special_json(tokenizer, PRI_SEPARATOR));
}

static json_t *model_json(const pare_wordpiece *tokenizer)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "type", "WordPiece", "unk_token",
                     role_token(tokenizer, PRI_UNKNOWN_PIECE), "continuing_subword_prefix",
                     PRI_CONTINUATION, "max_input_chars_per_word",
                     (json_int_t)tokenizer->rules.settings.word_characters, "vocab",
                     pri_tokenizer_vocabulary_json(&tokenizer->tokens, tokenizer->vocabulary));
}

static json_t *tokenizer_json(const pare_wordpiece *tokenizer)
{
    return json_pack(
        "{s:s, s:n, s:n, s:o, s:o, s:{s:s}, s:o, s:{s:s, s:s, s:b}, s:o}", "version", "1.0",
        "truncation", "padding", "added_tokens", pri_tokenizer_added_json(&tokenizer->tokens),
        "normalizer", normalizer_json(&tokenizer->rules.settings), "pre_tokenizer", "type",
        "BertPreTokenizer", "post_processor", template_json(tokenizer), "decoder", "type",
        "WordPiece", "prefix", PRI_CONTINUATION, "cleanup", true, "model", model_json(tokenizer));
}

/* ---- tokenizer_config.json and vocab.txt ---- */

static json_t *config_json(const pare_wordpiece *tokenizer)
{
    const pri_bert_settings *settings = &tokenizer->rules.settings;
    json_t *config = json_pack("{s:s, s:b, s:o, s:b, s:s}", "backend", "tokenizers",
                               "do_lower_case", settings->lower_case, "strip_accents",
                               accents_json(settings->accents), "tokenize_chinese_chars",
                               settings->split_ideographs, "tokenizer_class", "BertTokenizer");
    for (int role = 0; role < PRI_ROLES; role++)
        json_object_set_new(config, pri_role_settings[role],
                            json_string(role_token(tokenizer, role)));
    if (tokenizer->longest_text)
        json_object_set_new(config, "model_max_length",
                            json_integer((json_int_t)tokenizer->longest_text));
    return config;
}

static pare_status save_lines(const pare_wordpiece *tokenizer, const char *path)
{
    pri_text text = {0};
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++)
        pri_text_append(&text, "%s\n", pri_token_list_bytes(&tokenizer->tokens, id));
    pare_status status = text.failed
                             ? pri_fail(PARE_ERROR_MEMORY, "%s: out of memory writing it", path)
                             : pri_file_replace(path, text.data, text.length);
    pri_text_free(&text);
    return status;
}

pare_status pare_wordpiece_save(const pare_wordpiece *tokenizer, const char *directory)
{
    char *json = pri_path_join(directory, PRI_TOKENIZER_FILE);
    char *lines = pri_path_join(directory, PRI_VOCABULARY_LINES_FILE);
    char *config = pri_path_join(directory, PRI_TOKENIZER_CONFIG_FILE);
    pare_status status =
        json && lines && config ? pri_make_directories(directory) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = save_lines(tokenizer, lines);
    if (status == PARE_OK)
        status = pri_tokenizer_save_json(config_json(tokenizer), config);
    if (status == PARE_OK)
        status = pri_tokenizer_save_json(tokenizer_json(tokenizer), json);
    pri_free(json);
    pri_free(lines);
    pri_free(config);
    return status;
}
