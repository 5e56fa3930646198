/* The percent that a share of the work stands for, against a walk over all percents. */
#include "pruning/synthetic.h"

#include <math.h>

static const pare_geometry causal = {
    .layers = 2, .heads = 3, .queries = 9, .keys = 14, .causal = true};
static const pare_geometry encoder = {
    .layers = 2, .heads = 3, .queries = 12, .keys = 12, .ends_first = true};

static double effective_of(const pare_average *average, pare_prune_options options, double percent)
{
    options.percent = percent;
    pare_mask *mask = make_mask(average, options);
    double effective = pare_mask_describe(mask).p_effective;
    pare_mask_destroy(mask);
    return effective;
}

/* How near any percent of two decimals comes. */
static double nearest(const pare_average *average, pare_prune_options options, double wanted)
{
    double least = INFINITY;
    for (int step = 0; step <= 10000; step += 4)
        least = fmin(least, fabs(effective_of(average, options, step / 100.0) - wanted));
    return least;
}

static void check(pare_geometry geometry, pare_prune_options options)
{
    const double wanted[] = {0, 3.5, 40, 62.5, 90, 100};
    pare_average *average = make_average(geometry, 5, 6, true);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        double percent;
        options.percent = NAN; /* is not read */
        ASSERT_OK(pare_mask_find_percent(average, &options, wanted[i], &percent));
        double off = fabs(effective_of(average, options, percent) - wanted[i]);
        assert_true(off <= nearest(average, options, wanted[i]) + 1e-9);
    }
    pare_average_destroy(average);
}

static void the_nearest_share_is_found(void **state)
{
    (void)state;
    check(causal, (pare_prune_options){.average = PARE_AVERAGE_MASS});
    check(causal, (pare_prune_options){.method = PARE_METHOD_RANDOM, .seed = 3});
    check(causal, (pare_prune_options){.geometry = PARE_GEOMETRY_DISTANCE});
    check(encoder, (pare_prune_options){.scope = PARE_SCOPE_HEAD});
    check(encoder, (pare_prune_options){.geometry = PARE_GEOMETRY_RELATIVE});
    check(encoder, (pare_prune_options){.block = 4});
}

static void impossible_shares_are_refused(void **state)
{
    (void)state;
    const double shares[] = {-1, 100.5, (double)NAN};
    const pare_prune_options options = {.percent = 0};
    pare_average *average = make_average(causal, 5, 2, false);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double percent;
        assert_int_equal(pare_mask_find_percent(average, &options, shares[i], &percent),
                         PARE_ERROR_ARGUMENT);
        expect_message("from 0 to 100");
    }
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_share_is_found),
        cmocka_unit_test(impossible_shares_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
