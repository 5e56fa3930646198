/* The loop behind pare_measure_peak, compiled once per level (src/base/kernels/peak.c). */
#ifndef PARE_SRC_BASE_PEAK_H
#define PARE_SRC_BASE_PEAK_H

#include <stddef.h>

typedef struct pri_peak_kernel {
    size_t operations; /* of one step: a multiply-add counts as two */
    /* Does `steps` steps; what it returns only keeps the arithmetic from being left out. */
    float (*run)(size_t steps, float factor);
} pri_peak_kernel;

#define PRI_JOIN_PEAK_NAMES(a, b) a##b
#define PRI_JOIN_PEAK(a, b) PRI_JOIN_PEAK_NAMES(a, b)
#define PRI_PEAK_KERNEL PRI_JOIN_PEAK(pri_peak_kernel_, PARE_LEVEL)

#endif
