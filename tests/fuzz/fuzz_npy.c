/* The `.npy` reader: whatever it accepts is an average of probabilities and can be pruned. */
#include <stdlib.h>

#include "pruning/average.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int causal = 0; causal < 2; causal++) {
        pare_average *average;
        if (pri_average_parse_npy(data, size, "fuzz", causal, &average) != PARE_OK)
            continue;
        double first = pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 0);
        if (!(first >= 0 && first <= 1 + PRI_PROBABILITY_SLACK))
            abort();
        pare_prune_options options = {.method = PARE_METHOD_COMPAT, .percent = 60};
        pare_mask *mask;
        if (pare_mask_create(average, &options, &mask) != PARE_OK)
            abort();
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
    return 0;
}
