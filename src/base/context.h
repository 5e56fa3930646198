#ifndef PARE_SRC_BASE_CONTEXT_H
#define PARE_SRC_BASE_CONTEXT_H

#include "pare/base.h"

struct pare_context {
    int threads;
    pare_level level;
    bool level_from_variable;            /* PARE_ISA, which libraries are to keep to as well */
    bool has_bf16;                       /* the CPU's AVX512-BF16, at a level that goes with it */
    double matrix_product_seconds;       /* spent in matrix products so far, for measurements */
    const struct pri_bf16_kernels *bf16; /* of matrix products; NULL: fp32 */
    uint32_t *product_scratch;           /* packed operands of bf16 products */
    size_t product_words;
};

/* The best level that is built and that the CPU has. */
pare_level pri_best_level(void);

#endif
