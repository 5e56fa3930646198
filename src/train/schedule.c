/* Learning-rate schedules. Warm-up rises linearly to the full rate at step `warmup`; cosine then
 * falls to the minimum at the last step, the first of these steps having the full rate. Linear is
 * what encoders are fine-tuned with, and does as transformers' get_linear_schedule_with_warmup: it
 * counts steps from 0, so that warm-up begins at 0 and the minimum would be reached one step after
 * the last. */
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

static double linear_share(uint64_t step, uint64_t steps, uint64_t warmup)
{
    uint64_t done = step - 1;
    if (done < warmup)
        return (double)done / (double)warmup;
    return done < steps ? (double)(steps - done) / (double)(steps - warmup) : 0;
}

static double linear_rate(const pare_training_options *options, uint64_t step, uint64_t steps)
{
    double share = linear_share(step, steps, options->warmup);
    double minimum = step <= options->warmup ? 0 : options->minimum_rate;
    return minimum + (options->rate - minimum) * share;
}

double pare_schedule_rate(const pare_training_options *options, uint64_t step, uint64_t steps)
{
    const double pi = 3.14159265358979323846;
    double rate = options->rate, minimum = options->minimum_rate;
    uint64_t warmup = options->warmup;
    if (options->schedule == PARE_SCHEDULE_LINEAR)
        return linear_rate(options, step, steps);
    if (step < warmup)
        return rate * (double)step / (double)warmup;
    double progress = progress_after_warmup(step, steps, warmup);
    switch (options->schedule) {
    case PARE_SCHEDULE_COSINE:
        return minimum + (rate - minimum) * (1 + cos(pi * progress)) / 2;
    case PARE_SCHEDULE_INVERSE_SQUARE_ROOT:
        return fmax(minimum, rate * sqrt((double)(warmup ? warmup : 1) / (double)step));
    default:
        return rate;
    }
}
