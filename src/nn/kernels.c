/* Picks the table of kernels for a context's instruction-set level. A context never holds a level
 * that was not built. */
#include "nn/kernels.h"

extern const pri_nn_kernels pri_nn_kernels_x86_64_v2, pri_nn_kernels_x86_64_v3,
    pri_nn_kernels_x86_64_v4, pri_nn_kernels_neon, pri_nn_kernels_portable;

const pri_nn_kernels *pri_nn_kernels_for(const pare_context *context)
{
    switch (pare_context_level(context)) {
#ifdef PARE_WITH_x86_64_v4
    case PARE_LEVEL_X86_64_V4:
        return &pri_nn_kernels_x86_64_v4;
#endif
#ifdef PARE_WITH_x86_64_v3
    case PARE_LEVEL_X86_64_V3:
        return &pri_nn_kernels_x86_64_v3;
#endif
#ifdef PARE_WITH_x86_64_v2
    case PARE_LEVEL_X86_64_V2:
        return &pri_nn_kernels_x86_64_v2;
#endif
#ifdef PARE_WITH_neon
    case PARE_LEVEL_NEON:
        return &pri_nn_kernels_neon;
#endif
#ifdef PARE_WITH_portable
    case PARE_LEVEL_PORTABLE:
        return &pri_nn_kernels_portable;
#endif
    default:
        return NULL;
    }
}
