/* The mask reader: whatever it accepts answers every question consistently and compiles. */
#include <stdlib.h>

#include "pruning/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kept cells of the observed shape, asked one by one. */
static uint64_t count_kept(const pare_mask *mask)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    uint64_t kept = 0;
    for (size_t layer = 0; layer < g->layers; layer++)
        for (size_t head = 0; head < g->heads; head++)
            for (size_t row = 0; row < g->queries; row++)
                for (size_t column = 0; column < g->keys; column++)
                    kept += pare_mask_kept(mask, layer, head, row, column);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_mask *mask;
    if (pri_mask_parse(data, size, "fuzz", &mask) != PARE_OK)
        return 0;
    const pare_geometry *g = pare_mask_geometry(mask);
    pare_mask_report report = pare_mask_describe(mask);
    /* Distances need few bytes for many rows: ask about each cell of small shapes only. */
    if (pri_geometry_rectangle(g) < 100000) {
        if (count_kept(mask) != report.admissible_cells - report.pruned_cells)
            abort();
        pare_plan *plan;
        if (pare_mask_plan(mask, g->layers - 1, g->queries, g->keys, &plan) == PARE_OK)
            pare_plan_destroy(plan);
    }
    double share = pare_mask_kept_share(mask, 0, g->heads - 1);
    if (!(share >= 0 && share <= 1))
        abort();
    pare_mask_destroy(mask);
    return 0;
}
