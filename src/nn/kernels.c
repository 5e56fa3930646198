/* Picks the table of kernels for a context's instruction-set level. */
#include "nn/kernels.h"

#if defined(__x86_64__)
extern const pri_nn_kernels pri_nn_kernels_x86_64_v2, pri_nn_kernels_x86_64_v3,
    pri_nn_kernels_x86_64_v4;

const pri_nn_kernels *pri_nn_kernels_for(const pare_context *context)
{
    switch (pare_context_level(context)) {
    case PARE_LEVEL_X86_64_V4:
        return &pri_nn_kernels_x86_64_v4;
    case PARE_LEVEL_X86_64_V3:
        return &pri_nn_kernels_x86_64_v3;
    default:
        return &pri_nn_kernels_x86_64_v2;
    }
}
#else
#if defined(__aarch64__)
#define ONLY_TABLE pri_nn_kernels_neon
#else
#define ONLY_TABLE pri_nn_kernels_portable
#endif
extern const pri_nn_kernels ONLY_TABLE;

const pri_nn_kernels *pri_nn_kernels_for(const pare_context *context)
{
    (void)context;
    return &ONLY_TABLE;
}
#endif
