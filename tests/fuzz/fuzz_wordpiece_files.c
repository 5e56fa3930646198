/* The readers of tokenizer.json ('{' comes first) and vocab.txt: whatever they accept must be a
 * tokenizer whose tokens find themselves and can be encoded. */
#include <stdlib.h>
#include <string.h>

#include "documents/json.h"
#include "text/wordpiece_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pare_status read_tokenizer(const char *data, size_t size, pare_wordpiece **tokenizer)
{
    json_t *object = json_object();
    pri_tokenizer_config config;
    pare_status status = pri_tokenizer_config_read(object, "config", &config);
    json_decref(object);
    if (status != PARE_OK)
        abort();
    if (!size || data[0] != '{') {
        status = pri_wordpiece_parse_lines(data, size, "input", &config, tokenizer);
    } else if ((status = pri_json_parse(data, size, "input", &object)) == PARE_OK) {
        status = pri_wordpiece_read_json(object, "input", &config, tokenizer);
        json_decref(object);
    }
    pri_tokenizer_config_free(&config);
    return status;
}

static void check_token(const pare_wordpiece *tokenizer, uint32_t id, pare_pieces *pieces)
{
    const char *token = pare_wordpiece_token(tokenizer, id);
    if (pri_token_list_find(&tokenizer->tokens, token) != id)
        abort();
    pieces->count = 0;
    if (pare_wordpiece_encode(tokenizer, token, strlen(token), pieces) != PARE_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_wordpiece *tokenizer;
    if (read_tokenizer((const char *)data, size, &tokenizer) != PARE_OK)
        return 0;
    pare_pieces pieces = {0};
    for (uint32_t id = 0; id < pare_wordpiece_size(tokenizer); id++)
        check_token(tokenizer, id, &pieces);
    if (pare_wordpiece_special_tokens(tokenizer).mask >= pare_wordpiece_size(tokenizer))
        abort();
    pare_pieces_free(&pieces);
    pare_wordpiece_destroy(tokenizer);
    return 0;
}
