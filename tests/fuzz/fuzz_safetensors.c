/* The safetensors reader: whatever it accepts can be read to the last byte. */
#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pri_safetensors *file;
    if (pri_safetensors_parse(data, size, "fuzz", &file) != PARE_OK)
        return 0;
    size_t bytes = 0;
    volatile uint8_t last = 0;
    for (size_t i = 0; i < pri_safetensors_count(file); i++) {
        const pri_stored_tensor *tensor = pri_safetensors_at(file, i);
        const uint8_t *contents = tensor->data;
        for (size_t b = 0; b < tensor->bytes; b++)
            last = (uint8_t)(last ^ contents[b]);
        bytes += tensor->bytes;
        const pri_stored_tensor *found;
        if (pri_safetensors_get(file, tensor->name, tensor->type, tensor->dimensions, tensor->shape,
                                &found) != PARE_OK ||
            found != tensor)
            abort();
    }
    if (bytes > size || pri_safetensors_find(file, "__metadata__"))
        abort();
    const char *value = pri_safetensors_metadata(file, "format");
    if (value)
        last = (uint8_t)(last ^ strlen(value));
    pri_safetensors_close(file);
    return 0;
}
