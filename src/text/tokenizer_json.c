/* What is alike in the tokenizer.json of every kind of tokenizer. */
#include "text/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "documents/json.h"

/* ---- Reading ---- */

/* The keys of "vocab" by their ids, which must be 0, 1, 2 and so on in any order. */
static pare_status sort_vocabulary(const json_t *vocabulary, const char *name, const char **tokens)
{
    size_t count = json_object_size(vocabulary);
    const char *token;
    json_t *id;
    json_object_foreach((json_t *)vocabulary, token, id)
    {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || (size_t)value >= count)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: token \"%s\" has no id of 0 to %zu, though there are %zu tokens",
                            name, token, count - 1, count);
        if (tokens[value])
            return pri_fail(PARE_ERROR_FORMAT, "%s: tokens \"%s\" and \"%s\" have the same id",
                            name, tokens[value], token);
        tokens[value] = token;
    }
    return PARE_OK;
}

pare_status pri_tokenizer_read_vocabulary(const json_t *model, const char *name,
                                          pri_token_list *list)
{
    const json_t *vocabulary = json_object_get(model, "vocab");
    if (!json_is_object(vocabulary))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"vocab\" of the model should be an object", name);
    size_t count = json_object_size(vocabulary);
    const char **tokens = pri_allocate_zero(count, sizeof *tokens);
    if (!tokens)
        return PARE_ERROR_MEMORY;
    pare_status status = sort_vocabulary(vocabulary, name, tokens);
    for (size_t id = 0; id < count && status == PARE_OK; id++)
        status = pri_token_list_append(list, tokens[id], name);
    pri_free(tokens);
    return status;
}

/* Flags that change what an added token matches. */
static pare_status check_added_flags(const json_t *entry, const char *name, const char *content)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool set;
        PRI_TRY(pri_json_get_bool_or(entry, name, flags[i], false, &set));
        if (set)
            return pri_fail(PARE_ERROR_UNSUPPORTED,
                            "%s: added token \"%s\" with \"%s\" is not supported", name, content,
                            flags[i]);
    }
    return PARE_OK;
}

static pare_status read_added_token(const json_t *entry, const char *name, pri_token_list *tokens)
{
    const char *content = json_string_value(json_object_get(entry, "content"));
    if (!content || strlen(content) != json_string_length(json_object_get(entry, "content")))
        return pri_fail(PARE_ERROR_FORMAT, "%s: an added token has no \"content\"", name);
    size_t id;
    bool special;
    PRI_TRY(pri_json_get_size(entry, name, "id", &id));
    PRI_TRY(pri_json_get_bool_or(entry, name, "special", false, &special));
    PRI_TRY(check_added_flags(entry, name, content));
    uint32_t known = pri_token_list_find(tokens, content);
    if (known == PRI_NO_WORD) {
        known = (uint32_t)tokens->table.count;
        PRI_TRY(pri_token_list_append(tokens, content, name));
    }
    if (known != id)
        return pri_fail(PARE_ERROR_FORMAT, "%s: added token \"%s\" has id %zu, but should have %u",
                        name, content, id, known);
    return pri_token_list_mark_added(tokens, known, special);
}

pare_status pri_tokenizer_read_added(const json_t *object, const char *name, pri_token_list *tokens)
{
    const json_t *list = json_object_get(object, "added_tokens"), *entry;
    if (list && !json_is_array(list))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"added_tokens\" should be a list", name);
    size_t index;
    json_array_foreach(list, index, entry) PRI_TRY(read_added_token(entry, name, tokens));
    return PARE_OK;
}

/* ---- Writing ---- */

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = ((const pri_added_token *)a)->id, y = ((const pri_added_token *)b)->id;
    return x < y ? -1 : x > y;
}

json_t *pri_tokenizer_added_json(const pri_token_list *tokens)
{
    size_t count = tokens->added_count;
    pri_added_token *added = pri_allocate(count, sizeof *added);
    json_t *list = added ? json_array() : NULL;
    if (list && count) {
        memcpy(added, tokens->added, count * sizeof *added);
        qsort(added, count, sizeof *added, compare_ids);
    }
    for (size_t i = 0; list && i < count; i++)
        json_array_append_new(
            list, json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)added[i].id,
                            "content", pri_token_list_bytes(tokens, added[i].id), "single_word",
                            false, "lstrip", false, "rstrip", false, "normalized", false, "special",
                            added[i].special));
    pri_free(added);
    return list;
}

json_t *pri_tokenizer_vocabulary_json(const pri_token_list *tokens, size_t count)
{
    json_t *vocabulary = json_object();
    for (uint32_t id = 0; id < count; id++)
        json_object_set_new(vocabulary, pri_token_list_bytes(tokens, id), json_integer(id));
    return vocabulary;
}

pare_status pri_tokenizer_save_json(json_t *object, const char *path)
{
    if (!object)
        return pri_fail(PARE_ERROR_MEMORY, "%s: out of memory writing it", path);
    pare_status status = pri_json_save(object, path);
    json_decref(object);
    return status;
}
