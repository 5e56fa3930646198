/* Classes in the order they are found, then sorted, so that their numbers do not depend on the
 * order of examples. There are few, so a value is looked for one by one. */
#include "tasks/classification/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/number.h"

void pri_labels_free(pri_labels *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        pri_free(labels->values[i]);
    pri_free(labels->values);
    *labels = (pri_labels){0};
}

uint32_t pri_labels_find(const pri_labels *labels, const char *value)
{
    for (size_t i = 0; i < labels->count; i++)
        if (!strcmp(labels->values[i], value))
            return (uint32_t)i;
    return PRI_NO_LABEL;
}

pare_status pri_labels_add(pri_labels *labels, const char *value)
{
    if (labels->count == PRI_LABELS_MAX)
        return pri_fail(PARE_ERROR_FORMAT,
                        "more than %d different labels; choose another label column, or a "
                        "regression if they are numbers",
                        PRI_LABELS_MAX);
    if (labels->count == labels->capacity) {
        size_t capacity = pri_larger(4, 2 * labels->capacity);
        char **values = pri_reallocate(labels->values, labels->count, capacity, sizeof *values);
        if (!values)
            return PARE_ERROR_MEMORY;
        labels->values = values;
        labels->capacity = capacity;
    }
    labels->values[labels->count] = pri_string_copy(value);
    return labels->values[labels->count++] ? PARE_OK : PARE_ERROR_MEMORY;
}

/* ---- Sorting ---- */

typedef struct sort_label {
    bool by_number;
    double number;
    char *value;
    uint32_t index;
} sort_label;

static int compare_labels(const void *a, const void *b)
{
    const sort_label *left = a, *right = b;
    if (left->by_number && left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return strcmp(left->value, right->value);
}

static void fill_order(const pri_labels *labels, sort_label *order)
{
    bool numbers = true;
    for (size_t i = 0; i < labels->count; i++) {
        order[i] = (sort_label){.value = labels->values[i], .index = (uint32_t)i};
        numbers = numbers && pri_number_parse(order[i].value, &order[i].number);
    }
    for (size_t i = 0; i < labels->count; i++)
        order[i].by_number = numbers;
}

pare_status pri_labels_sort(pri_labels *labels, uint32_t *used, size_t count)
{
    uint32_t places[PRI_LABELS_MAX];
    sort_label *order = pri_allocate(labels->count, sizeof *order);
    if (!order)
        return PARE_ERROR_MEMORY;
    fill_order(labels, order);
    qsort(order, labels->count, sizeof *order, compare_labels);
    for (size_t i = 0; i < labels->count; i++) {
        labels->values[i] = order[i].value;
        places[order[i].index] = (uint32_t)i;
    }
    for (size_t i = 0; i < count; i++)
        used[i] = places[used[i]];
    pri_free(order);
    return PARE_OK;
}
