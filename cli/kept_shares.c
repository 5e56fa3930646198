/* What a mask keeps, head by head, for the verbs that show masks. */
#include <stdio.h>

#include "command.h"

static void print_heading(size_t heads, bool attention)
{
    printf("\nkept %%   ");
    for (size_t head = 0; head < heads; head++)
        printf("  head %-2zu", head + 1);
    printf(attention ? "   of the attention\n" : "\n");
}

void print_kept_shares(const pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    print_heading(g->heads, average != NULL);
    for (size_t layer = 0; layer < g->layers; layer++) {
        printf("layer %-3zu", layer + 1);
        for (size_t head = 0; head < g->heads; head++)
            printf("%9.1f", 100 * pare_mask_kept_share(mask, layer, head));
        if (average)
            printf("%19.2f", pare_mask_kept_mass(mask, average, layer));
        printf("\n");
    }
}

json_t *kept_shares_to_json(const pare_mask *mask)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    json_t *layers = json_array();
    for (size_t layer = 0; layer < g->layers; layer++) {
        json_t *heads = json_array();
        for (size_t head = 0; head < g->heads; head++)
            json_array_append_new(heads, json_real(pare_mask_kept_share(mask, layer, head)));
        json_array_append_new(layers, heads);
    }
    return layers;
}
