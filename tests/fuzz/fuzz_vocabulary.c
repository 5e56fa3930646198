/* The reader of vocab.json: whatever it accepts must be a vocabulary whose tokens find themselves.
 */
#include <stdlib.h>

#include "text/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_vocabulary *vocabulary;
    if (pri_vocabulary_parse((const char *)data, size, "input", &vocabulary) != PARE_OK)
        return 0;
    for (uint32_t id = 0; id < pare_vocabulary_size(vocabulary); id++) {
        size_t length;
        const char *token = pare_vocabulary_token(vocabulary, id, &length);
        if (!length || pare_vocabulary_id(vocabulary, token, length) != id)
            abort();
    }
    pare_vocabulary_destroy(vocabulary);
    return 0;
}
