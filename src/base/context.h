#ifndef PARE_SRC_BASE_CONTEXT_H
#define PARE_SRC_BASE_CONTEXT_H

#include "pare/base.h"

struct pare_context {
    int threads;
    pare_level level;
};

#endif
