#ifndef PARE_SRC_BASE_CONTEXT_H
#define PARE_SRC_BASE_CONTEXT_H

#include "pare/base.h"

struct pare_context {
    int threads;
    pare_level level;
    double matrix_product_seconds; /* spent in matrix products so far, for measurements */
};

#endif
