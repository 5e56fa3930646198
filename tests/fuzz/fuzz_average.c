/* The reader of averages: whatever it accepts can be pruned. */
#include <stdlib.h>

#include "pruning/average.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fits(const pare_geometry *geometry, pare_geometry_kind kind)
{
    return kind == PARE_GEOMETRY_CELL ||
           (kind == PARE_GEOMETRY_DISTANCE ? geometry->causal : geometry->ends_first);
}

static void prune(const pare_average *average, pare_prune_options options)
{
    options.average = PARE_AVERAGE_MASS;
    options.percent = 60;
    /* Distances and special classes go whole, with their cells never observed. */
    double most = options.geometry == PARE_GEOMETRY_CELL ? 60 : 100;
    pare_mask *mask;
    if (pare_mask_create(average, &options, &mask) == PARE_OK) {
        pare_mask_report report = pare_mask_describe(mask);
        if (!(report.p_admissible >= 0 && report.p_admissible <= most) ||
            !(report.kept_mass >= 0 && report.kept_mass <= 100))
            abort();
        pare_mask_destroy(mask);
    } else if (fits(pare_average_geometry(average), options.geometry) &&
               pare_average_examples(average) && pare_average_count(average, 0, 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_average *average;
    if (pri_average_parse(data, size, "fuzz", &average) != PARE_OK)
        return 0;
    const pare_prune_options all[] = {{.geometry = PARE_GEOMETRY_CELL},
                                      {.geometry = PARE_GEOMETRY_DISTANCE},
                                      {.geometry = PARE_GEOMETRY_RELATIVE},
                                      {.geometry = PARE_GEOMETRY_CELL, .block = 4}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        prune(average, all[i]);
    pare_average_destroy(average);
    return 0;
}
