/* Tokenizers from files. tokenizer.json says everything and is read strictly: each of its parts
 * must be of the kind that is implemented here, since another kind would silently give other ids.
 * vocab.txt is the older form, a token per line, with the settings in tokenizer_config.json. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"
#include "text/wordpiece_files.h"

#define LARGEST_VOCABULARY ((size_t)1 << 28)
#define LONGEST_LIMIT 1e9 /* of texts; whatever is longer is meant as no limit */

/* ---- tokenizer_config.json ---- */

void pri_tokenizer_config_free(pri_tokenizer_config *config)
{
    for (int role = 0; role < PRI_ROLES; role++)
        pri_free(config->role_names[role]);
}

/* "[UNK]" or {"content": "[UNK]", ...}. */
static pare_status read_role(const json_t *object, const char *name, int role, char **token)
{
    const json_t *member = json_object_get(object, pri_role_settings[role]);
    if (json_is_object(member))
        member = json_object_get(member, "content");
    const char *text = json_is_string(member) ? json_string_value(member) : pri_role_names[role];
    if (member && !json_is_null(member) && !json_is_string(member))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"%s\" should be a string", name,
                        pri_role_settings[role]);
    *token = pri_string_copy(text);
    return *token ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status read_accents(const json_t *object, const char *name, pri_accents *accents)
{
    bool strip;
    PRI_TRY(pri_json_get_bool_or(object, name, "strip_accents", false, &strip));
    const json_t *member = json_object_get(object, "strip_accents");
    *accents = json_is_boolean(member) ? (strip ? PRI_ACCENTS_STRIPPED : PRI_ACCENTS_KEPT)
                                       : PRI_ACCENTS_WITH_CASE;
    return PARE_OK;
}

/* transformers writes 1e30 for "no limit". */
static pare_status read_longest_text(const json_t *object, const char *name, size_t *longest)
{
    double length;
    PRI_TRY(pri_json_get_number_or(object, name, "model_max_length", 0, &length));
    *longest = length >= 1 && length <= LONGEST_LIMIT ? (size_t)length : 0;
    return PARE_OK;
}

pare_status pri_tokenizer_config_read(const json_t *object, const char *name,
                                      pri_tokenizer_config *config)
{
    *config = (pri_tokenizer_config){.settings = pri_bert_settings_default()};
    pri_bert_settings *settings = &config->settings;
    pare_status status =
        pri_json_get_bool_or(object, name, "do_lower_case", true, &settings->lower_case);
    if (status == PARE_OK)
        status = pri_json_get_bool_or(object, name, "tokenize_chinese_chars", true,
                                      &settings->split_ideographs);
    if (status == PARE_OK)
        status = read_accents(object, name, &settings->accents);
    if (status == PARE_OK)
        status = read_longest_text(object, name, &config->longest_text);
    for (int role = 0; role < PRI_ROLES && status == PARE_OK; role++)
        status = read_role(object, name, role, &config->role_names[role]);
    if (status != PARE_OK)
        pri_tokenizer_config_free(config);
    return status;
}

static pare_status load_config(const char *path, pri_tokenizer_config *config)
{
    json_t *object;
    if (pri_path_exists(path))
        PRI_TRY(pri_json_load_real(path, &object));
    else if (!(object = json_object()))
        return pri_fail(PARE_ERROR_MEMORY, "out of memory");
    pare_status status = pri_tokenizer_config_read(object, path, config);
    json_decref(object);
    return status;
}

/* ---- vocab.txt ---- */

/* One line, cut off at `line`; the next one begins behind *length bytes. */
static pare_status add_line(pare_wordpiece *tokenizer, char *line, size_t size, const char *name,
                            size_t *length)
{
    char place[PRI_PLACE_CAPACITY];
    snprintf(place, sizeof place, "%s: line %zu", name, tokenizer->tokens.table.count + 1);
    char *newline = memchr(line, '\n', size);
    size_t token = newline ? (size_t)(newline - line) : size;
    *length = newline ? token + 1 : size;
    if (memchr(line, 0, token))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: there is a NUL byte in it; a vocabulary is a text "
                        "with a token on each line",
                        place);
    if (token && line[token - 1] == '\r')
        token--;
    line[token] = 0;
    return pri_token_list_append(&tokenizer->tokens, line, place);
}

static pare_status read_lines(pare_wordpiece *tokenizer, const char *data, size_t size,
                              const char *name)
{
    char *lines = pri_allocate(size + 1, 1); /* a zero for the last line */
    if (!lines)
        return PARE_ERROR_MEMORY;
    memcpy(lines, data, size);
    pare_status status = PARE_OK;
    for (size_t position = 0, length; position < size && status == PARE_OK; position += length)
        status = add_line(tokenizer, lines + position, size - position, name, &length);
    pri_free(lines);
    return status;
}

pare_status pri_wordpiece_parse_lines(const char *data, size_t size, const char *name,
                                      const pri_tokenizer_config *config,
                                      pare_wordpiece **tokenizer)
{
    *tokenizer = NULL;
    pare_wordpiece *read;
    PRI_TRY(pri_wordpiece_create(&config->settings, &read));
    pare_status status = read_lines(read, data, size, name);
    if (status == PARE_OK)
        status = pri_wordpiece_finish(read, (const char *const *)config->role_names, name);
    for (int role = 0; role < PRI_ROLES && status == PARE_OK; role++)
        status = pri_token_list_mark_added(&read->tokens, read->roles[role], true);
    if (status != PARE_OK) {
        pare_wordpiece_destroy(read);
        return status;
    }
    *tokenizer = read;
    return PARE_OK;
}

static pare_status load_lines(const char *path, const pri_tokenizer_config *config,
                              pare_wordpiece **tokenizer)
{
    uint8_t *data;
    size_t size;
    PRI_TRY(pri_file_read(path, LARGEST_VOCABULARY, &data, &size));
    pare_status status =
        pri_wordpiece_parse_lines((const char *)data, size, path, config, tokenizer);
    pri_free(data);
    return status;
}

/* ---- tokenizer.json ---- */

static pare_status fail_model(const char *name, const char *type)
{
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: model \"%s\" is not supported here; encoders need \"WordPiece\", "
                    "translation models \"BPE\"",
                    name, type);
}

static pare_status fail_kind(const char *name, const char *key, const char *type,
                             const char *wanted)
{
    if (!strcmp(key, "model"))
        return fail_model(name, type);
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: %s \"%s\" is not supported, only BERT's, which is \"%s\"", name, key, type,
                    wanted);
}

/* The member `key`, which must be an object whose "type" is `wanted`. */
static pare_status get_part(const json_t *object, const char *name, const char *key,
                            const char *wanted, const json_t **part)
{
    *part = json_object_get(object, key);
    const json_t *type = json_object_get(*part, "type");
    if (!json_is_object(*part))
        return fail_kind(name, key, "null", wanted);
    if (!json_is_string(type))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"%s\" has no \"type\"", name, key);
    return strcmp(json_string_value(type), wanted)
               ? fail_kind(name, key, json_string_value(type), wanted)
               : PARE_OK;
}

static pare_status read_normalizer(const json_t *object, const char *name,
                                   pri_bert_settings *settings)
{
    const json_t *part;
    PRI_TRY(get_part(object, name, "normalizer", "BertNormalizer", &part));
    PRI_TRY(pri_json_get_bool_or(part, name, "clean_text", true, &settings->clean_text));
    PRI_TRY(pri_json_get_bool_or(part, name, "handle_chinese_chars", true,
                                 &settings->split_ideographs));
    PRI_TRY(pri_json_get_bool_or(part, name, "lowercase", true, &settings->lower_case));
    return read_accents(part, name, &settings->accents);
}

static pare_status check_model(const json_t *model, const char *name, pri_bert_settings *settings)
{
    char prefix[16];
    PRI_TRY(pri_json_get_string_or(model, name, "continuing_subword_prefix", PRI_CONTINUATION,
                                   prefix, sizeof prefix));
    if (strcmp(prefix, PRI_CONTINUATION))
        return fail_kind(name, "continuing_subword_prefix", prefix, PRI_CONTINUATION);
    PRI_TRY(pri_json_get_size_or(model, name, "max_input_chars_per_word", settings->word_characters,
                                 &settings->word_characters));
    if (settings->word_characters > PRI_LONGEST_WORD)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "%s: \"max_input_chars_per_word\" %zu is more than %d", name,
                        settings->word_characters, PRI_LONGEST_WORD);
    return PARE_OK;
}

static pare_status fill_tokenizer(const json_t *object, const json_t *model, const char *name,
                                  const char *const *role_names, pare_wordpiece *tokenizer)
{
    PRI_TRY(pri_tokenizer_read_vocabulary(model, name, &tokenizer->tokens));
    PRI_TRY(pri_wordpiece_finish(tokenizer, role_names, name));
    return pri_tokenizer_read_added(object, name, &tokenizer->tokens);
}

pare_status pri_wordpiece_read_json(const json_t *object, const char *name,
                                    const pri_tokenizer_config *config, pare_wordpiece **tokenizer)
{
    *tokenizer = NULL;
    pri_bert_settings settings = config->settings;
    const json_t *model, *pre_tokenizer;
    const char *role_names[PRI_ROLES];
    char unknown[256];
    PRI_TRY(get_part(object, name, "model", "WordPiece", &model));
    PRI_TRY(get_part(object, name, "pre_tokenizer", "BertPreTokenizer", &pre_tokenizer));
    PRI_TRY(read_normalizer(object, name, &settings));
    PRI_TRY(check_model(model, name, &settings));
    PRI_TRY(pri_json_get_string_or(model, name, "unk_token", config->role_names[PRI_UNKNOWN_PIECE],
                                   unknown, sizeof unknown));
    memcpy(role_names, config->role_names, sizeof role_names);
    role_names[PRI_UNKNOWN_PIECE] = unknown;
    pare_wordpiece *read;
    PRI_TRY(pri_wordpiece_create(&settings, &read));
    pare_status status = fill_tokenizer(object, model, name, role_names, read);
    if (status != PARE_OK) {
        pare_wordpiece_destroy(read);
        return status;
    }
    *tokenizer = read;
    return PARE_OK;
}

static pare_status load_json(const char *path, const pri_tokenizer_config *config,
                             pare_wordpiece **tokenizer)
{
    json_t *object;
    PRI_TRY(pri_json_load(path, &object));
    pare_status status = pri_wordpiece_read_json(object, path, config, tokenizer);
    json_decref(object);
    return status;
}

/* ---- Directories ---- */

static pare_status load_files(const char *json, const char *lines, const char *config_path,
                              pare_wordpiece **tokenizer)
{
    pri_tokenizer_config config;
    PRI_TRY(load_config(config_path, &config));
    pare_status status = pri_path_exists(json) ? load_json(json, &config, tokenizer)
                                               : load_lines(lines, &config, tokenizer);
    if (status == PARE_OK)
        (*tokenizer)->longest_text = config.longest_text;
    pri_tokenizer_config_free(&config);
    return status;
}

static pare_status fail_without_tokenizer(const char *directory)
{
    return pri_fail(PARE_ERROR_FILE,
                    pri_path_is_directory(directory)
                        ? "%s: there is neither a tokenizer.json nor a vocab.txt in it"
                        : "%s: there is no such directory; name one with a model and its tokenizer",
                    directory);
}

pare_status pare_wordpiece_load(const char *directory, pare_wordpiece **tokenizer)
{
    *tokenizer = NULL;
    char *json = pri_path_join(directory, PRI_TOKENIZER_FILE);
    char *lines = pri_path_join(directory, PRI_VOCABULARY_LINES_FILE);
    char *config = pri_path_join(directory, PRI_TOKENIZER_CONFIG_FILE);
    pare_status status = PARE_ERROR_MEMORY;
    if (json && lines && config)
        status = pri_path_exists(json) || pri_path_exists(lines)
                     ? load_files(json, lines, config, tokenizer)
                     : fail_without_tokenizer(directory);
    pri_free(json);
    pri_free(lines);
    pri_free(config);
    return status;
}
