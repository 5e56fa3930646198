/* The classes of a task: strings in the files, numbers for the model. */
#ifndef PARE_SRC_TASKS_LABELS_H
#define PARE_SRC_TASKS_LABELS_H

#include "base/status.h"

#define PRI_LABELS_MAX 1000

/* Zero-initialise. */
typedef struct pri_labels {
    char **values;
    size_t count, capacity;
} pri_labels;

void pri_labels_free(pri_labels *labels);
#define PRI_NO_LABEL UINT32_MAX
uint32_t pri_labels_find(const pri_labels *labels, const char *value);
/* Appends a value that is not there yet; more than PRI_LABELS_MAX are an error. */
pare_status pri_labels_add(pri_labels *labels, const char *value);
/* Sorts by value, when all are numbers, and else by bytes; renumbers `used` (count). */
pare_status pri_labels_sort(pri_labels *labels, uint32_t *used, size_t count);

#endif
