/* The arithmetic peak of a context's threads at its level, by running it for a moment. */
#include "base/peak.h"

#include <omp.h>

#include "base/clock.h"
#include "base/levels.h"

/* About 2 ms a run at 3 GHz, which a busy neighbour may disturb: the best of the runs counts. */
#define STEPS (1 << 20)
#define RUNS 20

#define DECLARE_KERNEL(name, level) extern const pri_peak_kernel pri_peak_kernel_##name;
PRI_EACH_LEVEL(DECLARE_KERNEL)

#define KERNEL_OF_LEVEL(name, level) [level] = &pri_peak_kernel_##name,
static const pri_peak_kernel *const kernels[PARE_LEVEL_COUNT] = {PRI_EACH_LEVEL(KERNEL_OF_LEVEL)};

double pare_measure_peak(const pare_context *context)
{
    const pri_peak_kernel *kernel = kernels[pare_context_level(context)];
    int threads = pare_context_threads(context);
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
        double start = pri_clock_seconds();
#pragma omp parallel num_threads(threads)
        kernel->run(STEPS, .5f);
        double seconds = pri_clock_seconds() - start;
        double rate = (double)threads * STEPS * (double)kernel->operations / seconds;
        best = rate > best ? rate : best;
    }
    return best;
}
