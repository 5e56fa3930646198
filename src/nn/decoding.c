/* Picks the table of kernels for a context's instruction-set level. */
#include "nn/decoding.h"

#include "base/levels.h"

#define DECLARE_LEVEL(name, level) extern const pri_decoding_kernels pri_decoding_kernels_##name;
PRI_EACH_LEVEL(DECLARE_LEVEL)

#define KERNELS_OF_LEVEL(name, level) [level] = &pri_decoding_kernels_##name,
static const pri_decoding_kernels *const level_kernels[PARE_LEVEL_COUNT] = {
    PRI_EACH_LEVEL(KERNELS_OF_LEVEL)};

const pri_decoding_kernels *pri_decoding_kernels_for(const pare_context *context)
{
    return level_kernels[pare_context_level(context)];
}
