/* The percent that a share of the work stands for. Masks nest, so the share of the corpus's cells
 * that they prune grows with percent, and halving an interval finds it. */
#include <math.h>

#include "base/status.h"
#include "pruning/mask.h"

#define STEPS_PER_PERCENT 100

static double percent_of(unsigned step)
{
    return (double)step / STEPS_PER_PERCENT;
}

static pare_status measure(const pare_average *average, pare_prune_options options, unsigned step,
                           double *effective)
{
    options.percent = percent_of(step);
    pare_mask *mask;
    PRI_TRY(pare_mask_create(average, &options, &mask));
    *effective = pare_mask_describe(mask).p_effective;
    pare_mask_destroy(mask);
    return PARE_OK;
}

pare_status pare_mask_find_percent(const pare_average *average, const pare_prune_options *options,
                                   double effective, double *percent)
{
    /* Written so that a NaN fails too. */
    if (!(effective >= 0 && effective <= 100))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the share of the corpus's cells is %g; give a number from 0 to 100",
                        effective);
    unsigned below = 0, above = 100 * STEPS_PER_PERCENT;
    double share_below = 0, share_above;
    PRI_TRY(measure(average, *options, above, &share_above));
    while (above - below > 1) {
        unsigned middle = below + (above - below) / 2;
        double share;
        PRI_TRY(measure(average, *options, middle, &share));
        if (share < effective) {
            below = middle;
            share_below = share;
        } else {
            above = middle;
            share_above = share;
        }
    }
    bool nearer = fabs(share_above - effective) < fabs(share_below - effective);
    *percent = percent_of(nearer ? above : below);
    return PARE_OK;
}
