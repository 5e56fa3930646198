/* Rows of any length in pieces of a vector, for kernels of every level. */
#ifndef PARE_SRC_NN_KERNELS_ROW_ACCESS_H
#define PARE_SRC_NN_KERNELS_ROW_ACCESS_H

#include "base/vector.h"

/* The next at most V_WIDTH floats of a row that has `left` more; missing ones load as 0. */
V_INLINE v_float load(const float *p, size_t left)
{
    return left >= V_WIDTH ? v_load(p) : v_load_partial(p, left);
}

V_INLINE void store(float *p, v_float v, size_t left)
{
    if (left >= V_WIDTH)
        v_store(p, v);
    else
        v_store_partial(p, v, left);
}

#endif
