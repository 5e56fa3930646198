/* Nothing but multiply-adds in registers: what arithmetic alone allows at this level. */
#include "base/peak.h"
#include "base/vector.h"

/* Independent chains hide the latency of one multiply-add (4 or 5 cycles, two begin per cycle), and
 * with the two operands they fit 16 registers. */
#define CHAINS 12

static float run(size_t steps, float factor)
{
    v_float sum[CHAINS], multiplier = v_set(factor), addend = v_set(1 - factor);
    V_UNROLL for (int i = 0; i < CHAINS; i++)
    {
        sum[i] = v_set((float)i);
    }
    for (size_t step = 0; step < steps; step++) {
        V_UNROLL for (int i = 0; i < CHAINS; i++)
        {
            sum[i] = v_fma(sum[i], multiplier, addend);
        }
    }
    float total = 0;
    for (int i = 0; i < CHAINS; i++)
        total += v_reduce_add(sum[i]);
    return total;
}

const pri_peak_kernel PRI_PEAK_KERNEL = {2 * CHAINS * V_WIDTH, run};
