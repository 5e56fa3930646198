/* The readers of tokenizer.json ('{' comes first) and of merges of subword-nmt: whatever they
 * accept must be a tokenizer whose tokens find themselves and can be encoded and decoded. */
#include <stdlib.h>
#include <string.h>

#include "documents/json.h"
#include "text/bpe_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pare_status read_lines(pri_bpe_codes *codes, const char *data, size_t size)
{
    while (size) {
        const char *newline = memchr(data, '\n', size);
        size_t length = newline ? (size_t)(newline - data) : size;
        if (memchr(data, 0, length)) /* such a file is refused before it is cut into lines */
            return PARE_ERROR_FORMAT;
        PRI_TRY(pri_bpe_codes_read_line(codes, data, length));
        data += length + (newline != NULL);
        size -= length + (newline != NULL);
    }
    return PARE_OK;
}

static pare_status read_codes(const char *data, size_t size, pare_bpe **bpe)
{
    pri_bpe_codes codes = {.name = "input"};
    pare_status status = read_lines(&codes, data, size);
    if (status == PARE_OK)
        status = pri_bpe_from_codes(&codes, NULL, 0, bpe);
    pri_bpe_codes_free(&codes);
    return status;
}

static pare_status read_tokenizer(const char *data, size_t size, pare_bpe **bpe)
{
    if (!size || data[0] != '{')
        return read_codes(data, size, bpe);
    json_t *object;
    PRI_TRY(pri_json_parse(data, size, "input", &object));
    pare_status status = pri_bpe_read_json(object, "input", bpe);
    json_decref(object);
    return status;
}

static void check_token(const pare_bpe *bpe, uint32_t id, pare_pieces *pieces)
{
    const char *token = pare_bpe_token(bpe, id);
    char *decoded;
    if (pri_token_list_find(&bpe->tokens, token) != id)
        abort();
    pieces->count = 0;
    if (pare_bpe_encode(bpe, token, strlen(token), pieces) != PARE_OK ||
        pare_bpe_decode(bpe, pieces->ids, pieces->count, &decoded) != PARE_OK)
        abort();
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_bpe *bpe;
    if (read_tokenizer((const char *)data, size, &bpe) != PARE_OK)
        return 0;
    pare_pieces pieces = {0};
    for (uint32_t id = 0; id < pare_bpe_size(bpe); id++)
        check_token(bpe, id, &pieces);
    pare_sequence_tokens special = pare_bpe_special_tokens(bpe);
    if (special.end >= pare_bpe_size(bpe) || special.unknown >= pare_bpe_size(bpe))
        abort();
    pare_pieces_free(&pieces);
    pare_bpe_destroy(bpe);
    return 0;
}
