/* Byte-pair encoding from tokenizer.json, which is read strictly: each of its parts must be the one
 * of a form, since another one would silently give other ids or another text. A decoder may be left
 * out: each form has one way back to the text. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"
#include "text/bpe_files.h"
#include "text/tokenizer_json.h"

/* ---- Parts ---- */

static const char *type_of(const json_t *part)
{
    if (!part || json_is_null(part))
        return "null";
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "?";
}

static pare_status fail_part(const char *name, const char *key, const json_t *part,
                             const char *wanted)
{
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: this %s, \"%s\", is not supported in byte-pair encoding, only %s", name,
                    key, type_of(part), wanted);
}

/* Takes `wanted`. */
static bool equals(const json_t *part, json_t *wanted)
{
    bool equal = wanted && part && json_equal(part, wanted);
    json_decref(wanted);
    return equal;
}

static pare_status read_form(const json_t *object, const char *name, pare_bpe_form *form)
{
    const json_t *pre_tokenizer = json_object_get(object, "pre_tokenizer");
    const json_t *decoder = json_object_get(object, "decoder");
    bool words = equals(pre_tokenizer, pri_bpe_pre_tokenizer_json(PARE_BPE_WORDS));
    *form = words ? PARE_BPE_WORDS : PARE_BPE_METASPACE;
    if (!words && !equals(pre_tokenizer, pri_bpe_pre_tokenizer_json(PARE_BPE_METASPACE)))
        return fail_part(name, "pre_tokenizer", pre_tokenizer,
                         "\"WhitespaceSplit\", and a \"Sequence\" of \"WhitespaceSplit\", "
                         "\"Metaspace\" and \"Punctuation\" with their usual settings");
    if (!decoder || json_is_null(decoder) || equals(decoder, pri_bpe_decoder_json(*form)))
        return PARE_OK;
    return fail_part(name, "decoder", decoder,
                     *form == PARE_BPE_WORDS ? "\"BPEDecoder\" with the suffix \"" PRI_END_OF_WORD
                                               "\""
                                             : "\"Metaspace\" with its usual settings");
}

static pare_status read_normalizer(const json_t *object, const char *name, bool *lower_case)
{
    const json_t *part = json_object_get(object, "normalizer");
    *lower_case = part && !strcmp(type_of(part), "Lowercase");
    return *lower_case || !part || json_is_null(part)
               ? PARE_OK
               : fail_part(name, "normalizer", part, "\"Lowercase\" or none");
}

/* One that adds special tokens to whole texts is the business of who makes batches. */
static pare_status check_post_processor(const json_t *object, const char *name)
{
    const json_t *part = json_object_get(object, "post_processor");
    return !part || json_is_null(part) || !strcmp(type_of(part), "TemplateProcessing")
               ? PARE_OK
               : fail_part(name, "post_processor", part, "\"TemplateProcessing\" or none");
}

/* ---- The model ---- */

static pare_status check_string(const json_t *model, const char *name, const char *key,
                                const char *wanted)
{
    const json_t *member = json_object_get(model, key);
    const char *value = json_is_string(member) ? json_string_value(member) : "";
    if (member && !json_is_null(member) && !json_is_string(member))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"%s\" should be a string", name, key);
    if (!strcmp(value, wanted))
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: \"%s\" of the model is \"%s\", but only \"%s\" is supported", name, key,
                    value, wanted);
}

static pare_status check_model(const json_t *model, const char *name, pare_bpe_form form)
{
    static const char *const flags[] = {"fuse_unk", "byte_fallback", "ignore_merges"};
    double dropout;
    PRI_TRY(check_string(model, name, "unk_token", pri_sequence_names[PRI_SEQUENCE_UNKNOWN]));
    PRI_TRY(check_string(model, name, "continuing_subword_prefix", ""));
    PRI_TRY(check_string(model, name, "end_of_word_suffix",
                         form == PARE_BPE_WORDS ? PRI_END_OF_WORD : ""));
    PRI_TRY(pri_json_get_number_or(model, name, "dropout", 0, &dropout));
    if (dropout != 0)
        return pri_fail(PARE_ERROR_UNSUPPORTED, "%s: \"dropout\" of the model is not supported",
                        name);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool set;
        PRI_TRY(pri_json_get_bool_or(model, name, flags[i], false, &set));
        if (set)
            return pri_fail(PARE_ERROR_UNSUPPORTED, "%s: \"%s\" of the model is not supported",
                            name, flags[i]);
    }
    return PARE_OK;
}

static pare_status fail_merge(const char *name, size_t index, const char *problem)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: merge %zu %s", name, index + 1, problem);
}

static pare_status add_merge(pare_bpe *bpe, const char *left, const char *right, size_t index,
                             const char *name)
{
    pri_bpe_merge merge = {pri_token_list_find(&bpe->tokens, left),
                           pri_token_list_find(&bpe->tokens, right), PRI_NO_WORD};
    if (merge.left == PRI_NO_WORD || merge.right == PRI_NO_WORD)
        return fail_merge(name, index, "joins something that is no token");
    char *joined = pri_token_list_join(&bpe->tokens, merge.left, merge.right, 0);
    if (!joined)
        return PARE_ERROR_MEMORY;
    merge.merged = pri_token_list_find(&bpe->tokens, joined);
    pri_free(joined);
    if (merge.merged == PRI_NO_WORD)
        return fail_merge(name, index, "makes something that is no token");
    char place[512];
    snprintf(place, sizeof place, "%s: merge %zu", name, index + 1);
    return pri_bpe_add_merge(bpe, merge, place);
}

/* "left right", as older versions of the package write merges. */
static pare_status add_merge_string(pare_bpe *bpe, const char *merge, size_t index,
                                    const char *name)
{
    const char *blank = strchr(merge, ' ');
    if (!blank || strchr(blank + 1, ' '))
        return fail_merge(name, index, "has not two tokens with a blank between them");
    char *left = pri_string_copy(merge);
    if (!left)
        return PARE_ERROR_MEMORY;
    left[blank - merge] = 0;
    pare_status status = add_merge(bpe, left, blank + 1, index, name);
    pri_free(left);
    return status;
}

static pare_status read_merge(pare_bpe *bpe, const json_t *merge, size_t index, const char *name)
{
    if (json_is_string(merge))
        return add_merge_string(bpe, json_string_value(merge), index, name);
    const char *left = json_string_value(json_array_get(merge, 0));
    const char *right = json_string_value(json_array_get(merge, 1));
    if (json_array_size(merge) != 2 || !left || !right)
        return fail_merge(name, index, "is neither a string nor a list of two");
    return add_merge(bpe, left, right, index, name);
}

static pare_status read_merges(pare_bpe *bpe, const json_t *model, const char *name)
{
    const json_t *merges = json_object_get(model, "merges"), *merge;
    if (!json_is_array(merges))
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"merges\" of the model should be a list", name);
    size_t index;
    json_array_foreach(merges, index, merge) PRI_TRY(read_merge(bpe, merge, index, name));
    return PARE_OK;
}

/* ---- The file ---- */

static pare_status fill(pare_bpe *bpe, const json_t *object, const json_t *model, const char *name)
{
    PRI_TRY(pri_tokenizer_read_vocabulary(model, name, &bpe->tokens));
    if (pri_token_list_find(&bpe->tokens, pri_sequence_names[PRI_SEQUENCE_UNKNOWN]) == PRI_NO_WORD)
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"vocab\" of the model has no \"%s\"", name,
                        pri_sequence_names[PRI_SEQUENCE_UNKNOWN]);
    PRI_TRY(read_merges(bpe, model, name));
    PRI_TRY(pri_bpe_finish(bpe));
    PRI_TRY(pri_tokenizer_read_added(object, name, &bpe->tokens));
    return pri_bpe_find_special(bpe, name);
}

static bool is_bpe(const json_t *object)
{
    return !strcmp(type_of(json_object_get(object, "model")), "BPE");
}

pare_status pri_bpe_read_json(const json_t *object, const char *name, pare_bpe **bpe)
{
    *bpe = NULL;
    const json_t *model = json_object_get(object, "model");
    pare_bpe_form form;
    bool lower_case;
    if (!is_bpe(object))
        return fail_part(name, "model", model, "\"BPE\"");
    PRI_TRY(read_form(object, name, &form));
    PRI_TRY(read_normalizer(object, name, &lower_case));
    PRI_TRY(check_post_processor(object, name));
    PRI_TRY(check_model(model, name, form));
    pare_bpe *read;
    PRI_TRY(pri_bpe_create(form, lower_case, &read));
    pare_status status = fill(read, object, model, name);
    if (status != PARE_OK) {
        pare_bpe_destroy(read);
        return status;
    }
    *bpe = read;
    return PARE_OK;
}

pare_status pare_bpe_load(const char *path, pare_bpe **bpe)
{
    *bpe = NULL;
    json_t *object;
    PRI_TRY(pri_json_load(path, &object));
    pare_status status = pri_bpe_read_json(object, path, bpe);
    json_decref(object);
    return status;
}

static pare_status look_into(const char *path, bool *found)
{
    json_t *object;
    if (!pri_path_exists(path))
        return PARE_OK;
    PRI_TRY(pri_json_load(path, &object));
    *found = is_bpe(object);
    json_decref(object);
    return PARE_OK;
}

pare_status pare_bpe_found(const char *directory, bool *found)
{
    *found = false;
    char *path = pri_path_join(directory, PRI_TOKENIZER_FILE);
    if (!path)
        return PARE_ERROR_MEMORY;
    pare_status status = look_into(path, found);
    pri_free(path);
    return status;
}
