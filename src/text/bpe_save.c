/* Byte-pair encoding into tokenizer.json, as the tokenizers package writes it. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "text/bpe_files.h"
#include "text/tokenizer_json.h"

static json_t *metaspace_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", PRI_METASPACE,
                     "prepend_scheme", "always", "split", true);
}

json_t *pri_bpe_pre_tokenizer_json(pare_bpe_form form)
{
    if (form == PARE_BPE_WORDS)
        return json_pack("{s:s}", "type", "WhitespaceSplit");
    return json_pack("{s:s, s:[{s:s}, o, {s:s, s:s}]}", "type", "Sequence", "pretokenizers", "type",
                     "WhitespaceSplit", metaspace_json(), "type", "Punctuation", "behavior",
                     "Isolated");
}

json_t *pri_bpe_decoder_json(pare_bpe_form form)
{
    return form == PARE_BPE_WORDS
               ? json_pack("{s:s, s:s}", "type", "BPEDecoder", "suffix", PRI_END_OF_WORD)
               : metaspace_json();
}

static json_t *merges_json(const pare_bpe *bpe)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < bpe->merge_count; i++)
        json_array_append_new(
            list, json_pack("[s, s]", pri_token_list_bytes(&bpe->tokens, bpe->merges[i].left),
                            pri_token_list_bytes(&bpe->tokens, bpe->merges[i].right)));
    return list;
}

static json_t *model_json(const pare_bpe *bpe)
{
    const char *suffix = bpe->form == PARE_BPE_WORDS ? PRI_END_OF_WORD : NULL;
    return json_pack("{s:s, s:n, s:s, s:n, s:s?, s:b, s:b, s:b, s:o, s:o}", "type", "BPE",
                     "dropout", "unk_token", pri_sequence_names[PRI_SEQUENCE_UNKNOWN],
                     "continuing_subword_prefix", "end_of_word_suffix", suffix, "fuse_unk", false,
                     "byte_fallback", false, "ignore_merges", false, "vocab",
                     pri_tokenizer_vocabulary_json(&bpe->tokens, bpe->vocabulary), "merges",
                     merges_json(bpe));
}

static json_t *normalizer_json(const pare_bpe *bpe)
{
    return bpe->rules.settings.lower_case ? json_pack("{s:s}", "type", "Lowercase") : json_null();
}

static json_t *tokenizer_json(const pare_bpe *bpe)
{
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0",
                     "truncation", "padding", "added_tokens",
                     pri_tokenizer_added_json(&bpe->tokens), "normalizer", normalizer_json(bpe),
                     "pre_tokenizer", pri_bpe_pre_tokenizer_json(bpe->form), "post_processor",
                     "decoder", pri_bpe_decoder_json(bpe->form), "model", model_json(bpe));
}

static pare_status make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return PARE_OK;
    char *parent = pri_string_copy(path);
    if (!parent)
        return PARE_ERROR_MEMORY;
    parent[slash - path] = 0;
    pare_status status = pri_make_directories(parent);
    pri_free(parent);
    return status;
}

pare_status pare_bpe_save(const pare_bpe *bpe, const char *path)
{
    PRI_TRY(make_parent(path));
    return pri_tokenizer_save_json(tokenizer_json(bpe), path);
}
