/* Tab-separated text. The first byte chooses the size of the chunks in which the rest arrives; the
 * rows must not depend on it. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "text/tsv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pare_status hash_row(void *user, const pri_tsv_row *row)
{
    uint64_t *hash = user;
    *hash = pri_hash(*hash, &row->line, sizeof row->line);
    for (size_t i = 0; i < row->count; i++)
        *hash = pri_hash(*hash, row->fields[i], strlen(row->fields[i]) + 1);
    return PARE_OK;
}

/* The hash of all rows, or 0 when the text is refused. */
static uint64_t hash_rows(const char *text, size_t size, size_t chunk)
{
    uint64_t hash = PRI_HASH_START;
    pri_tsv tsv = {.name = "input", .visit = hash_row, .user = &hash};
    pare_status status = PARE_OK;
    for (size_t begin = 0; begin < size && status == PARE_OK; begin += chunk)
        status = pri_tsv_feed(&tsv, text + begin, size - begin < chunk ? size - begin : chunk);
    if (status == PARE_OK)
        status = pri_tsv_finish(&tsv);
    pri_tsv_free(&tsv);
    return status == PARE_OK ? hash : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *text = (const char *)data + 1;
    if (hash_rows(text, size - 1, (size_t)data[0] + 1) != hash_rows(text, size - 1, size))
        abort();
    return 0;
}
