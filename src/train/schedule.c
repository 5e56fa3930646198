/* Learning-rate schedules. Warm-up rises linearly to the full rate at step `warmup`; cosine and
 * linear then fall to the minimum at the last step, the first of these steps having the full rate.
 */
#include "pare/train.h"

#include <math.h>

pare_training_options pare_training_options_default(void)
{
    return (pare_training_options){
        .optimizer = PARE_OPTIMIZER_ADAM,
        .schedule = PARE_SCHEDULE_COSINE,
        .rate = 2.5e-4,
        .beta1 = .9,
        .beta2 = .999,
        .epsilon = 1e-8,
        .clip = .25,
        .epochs = 1,
        .accumulation = 1,
        .checkpoint_seconds = 600,
        .log_every = 50,
        .seed = 1,
    };
}

/* 0 at the first step of full rate, 1 at the last step. */
static double progress_after_warmup(uint64_t step, uint64_t steps, uint64_t warmup)
{
    uint64_t first = warmup ? warmup : 1;
    if (step <= first)
        return 0;
    return step >= steps ? 1 : (double)(step - first) / (double)(steps - first);
}

double pare_schedule_rate(const pare_training_options *options, uint64_t step, uint64_t steps)
{
    const double pi = 3.14159265358979323846;
    double rate = options->rate, minimum = options->minimum_rate;
    uint64_t warmup = options->warmup;
    if (step < warmup)
        return rate * (double)step / (double)warmup;
    double progress = progress_after_warmup(step, steps, warmup);
    switch (options->schedule) {
    case PARE_SCHEDULE_COSINE:
        return minimum + (rate - minimum) * (1 + cos(pi * progress)) / 2;
    case PARE_SCHEDULE_LINEAR:
        return minimum + (rate - minimum) * (1 - progress);
    case PARE_SCHEDULE_INVERSE_SQUARE_ROOT:
        return fmax(minimum, rate * sqrt((double)(warmup ? warmup : 1) / (double)step));
    default:
        return rate;
    }
}
