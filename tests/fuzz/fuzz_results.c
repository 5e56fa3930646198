/* results.json from anywhere: reading must refuse or give rows that every table can be made of. */
#include <stdlib.h>

#include "report/results.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_results results;
    if (pri_results_parse((const char *)data, size, "fuzz", &results) != PARE_OK)
        return 0;
    for (int markdown = 0; markdown < 2; markdown++) {
        char *text = NULL;
        if (pare_results_table(&results, markdown, &text) != PARE_OK)
            abort();
        free(text);
    }
    pare_results_free(&results);
    return 0;
}
