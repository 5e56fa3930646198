/* The tokeniser. The first byte chooses the size of the chunks in which the rest arrives; the
 * tokens must not depend on it. */
#include <stdlib.h>

#include "base/random.h"
#include "text/scanner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pare_status hash_token(void *user, const char *bytes, size_t length)
{
    uint64_t *hash = user;
    *hash = pri_hash(pri_hash(*hash, &length, sizeof length), bytes, length);
    return PARE_OK;
}

/* The hash of all tokens, or 0 when the text is refused. */
static uint64_t hash_tokens(pare_text_level level, const char *text, size_t size, size_t chunk)
{
    uint64_t hash = PRI_HASH_START;
    pri_scanner scanner = {.level = level,
                           .lines = PRI_ALL_LINES,
                           .visit = hash_token,
                           .user = &hash,
                           .name = "input"};
    pare_status status = PARE_OK;
    for (size_t begin = 0; begin < size && status == PARE_OK; begin += chunk)
        status =
            pri_scanner_feed(&scanner, text + begin, size - begin < chunk ? size - begin : chunk);
    if (status == PARE_OK)
        status = pri_scanner_finish(&scanner, true);
    pri_scanner_free(&scanner);
    return status == PARE_OK ? hash : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *text = (const char *)data + 1;
    for (pare_text_level level = PARE_TEXT_WORD; level <= PARE_TEXT_BYTE; level++)
        if (hash_tokens(level, text, size - 1, (size_t)data[0] + 1) !=
            hash_tokens(level, text, size - 1, size))
            abort();
    return 0;
}
