/* The reader of averages: whatever it accepts can be pruned. */
#include <stdlib.h>

#include "pruning/average.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_average *average;
    if (pri_average_parse(data, size, "fuzz", &average) != PARE_OK)
        return 0;
    const pare_geometry *g = pare_average_geometry(average);
    for (int kind = PARE_GEOMETRY_CELL; kind <= PARE_GEOMETRY_DISTANCE; kind++) {
        pare_prune_options options = {
            .geometry = (pare_geometry_kind)kind, .average = PARE_AVERAGE_MASS, .percent = 60};
        pare_mask *mask;
        if (pare_mask_create(average, &options, &mask) == PARE_OK) {
            pare_mask_report report = pare_mask_describe(mask);
            if (!(report.p_admissible >= 0 && report.p_admissible <= 60) ||
                !(report.kept_mass >= 0 && report.kept_mass <= 100))
                abort();
            pare_mask_destroy(mask);
        } else if (g->causal && pare_average_examples(average) && pare_average_count(average, 0, 0))
            abort();
    }
    pare_average_destroy(average);
    return 0;
}
