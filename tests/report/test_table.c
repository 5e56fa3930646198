/* The table of results, letter by letter, and the groups behind it. */
#include "report/sample.h"
#include "report/summary.h"

static pare_result_row row_of(const char *method, double percent, uint64_t seed, double test)
{
    pare_result_row row = {.seed = seed,
                           .p_nominal = percent,
                           .p_admissible = percent,
                           .p_effective = percent,
                           .valid = (double)NAN,
                           .test = test,
                           .tokens_per_second = 3000,
                           .attention_seconds = 12.34,
                           .peak_bytes = seed ? 1230000000 : 512000000};
    snprintf(row.method, sizeof row.method, "%s", method);
    return row;
}

static void table_is_as_documented(void **state)
{
    (void)state;
    /* Out of order on purpose; the three random runs have mean 110 and deviation 10. */
    pare_result_row rows[] = {
        row_of("random", 90, 3, 120), row_of("attention-pruning", 90, 0, 102.5),
        row_of("random", 90, 1, 100), row_of("dense", 0, 0, 100),
        row_of("random", 90, 2, 110), row_of("attention-pruning", 50, 0, (double)NAN),
    };
    pare_results results = {.metric = "perplexity", .rows = rows, .count = 6};
    char *text;
    assert_int_equal(pare_results_table(&results, false, &text), PARE_OK);
    assert_string_equal(
        text, "method             p_nom  p_adm  p_eff            test  change  tokens/s  attention"
              " time   memory\n"
              "-----------------  -----  -----  -----  --------------  ------  --------  ---------"
              "-----  -------\n"
              "dense                0.0    0.0    0.0          100.00       -      3000          1"
              "2.3 s  0.51 GB\n"
              "attention pruning   50.0   50.0   50.0               -       -      3000          1"
              "2.3 s  0.51 GB\n"
              "attention pruning   90.0   90.0   90.0          102.50   +2.5%      3000          1"
              "2.3 s  0.51 GB\n"
              "random, 3 seeds     90.0   90.0   90.0  110.00 ± 10.00  +10.0%      3000          1"
              "2.3 s  1.23 GB\n");
    free(text);
    results.count = 0;
    assert_int_equal(pare_results_table(&results, true, &text), PARE_OK);
    assert_string_equal(text, "| method | p_nom | p_adm | p_eff | valid | test | change | tokens/s "
                              "| attention time | memory |\n"
                              "| ------ | ----: | ----: | ----: | ----: | ---: | -----: | -------: "
                              "| -------------: | -----: |\n");
    free(text);
}

static void groups_have_mean_and_spread(void **state)
{
    (void)state;
    pare_result_row rows[12];
    pare_results results = sample_results(rows);
    /* Rescued rows make seeds differ a little in the share they reach. */
    rows[6].p_admissible = 59.9;
    pri_summary summary;
    assert_int_equal(pri_summary_create(&results, &summary), PARE_OK);
    assert_int_equal(summary.count, 8);
    assert_ptr_equal(pri_summary_dense(&summary), &summary.groups[0]);
    assert_int_equal(summary.quality, PRI_QUANTITY_TEST);
    const pri_group *random = &summary.groups[7];
    assert_true(pri_group_is(random, "random"));
    assert_int_equal(random->count, 3);
    const pri_statistic *test = &random->statistics[PRI_QUANTITY_TEST];
    double first = random->rows[0]->test, last = random->rows[2]->test;
    /* The sample's seeds are evenly spaced: the deviation of x - d, x, x + d is d. */
    assert_true(fabs(test->mean - (first + last) / 2) < 1e-9);
    assert_true(fabs(test->deviation - (last - first) / 2) < 1e-9);
    assert_true(test->minimum == first && test->maximum == last);
    double change = 100 * (test->mean / rows[0].test - 1);
    assert_true(fabs(pri_summary_change(&summary, random) - change) < 1e-9);
    pri_summary_free(&summary);
}

static void validation_stands_in_for_test(void **state)
{
    (void)state;
    pare_result_row rows[] = {row_of("dense", 0, 0, (double)NAN),
                              row_of("random", 50, 1, (double)NAN)};
    rows[0].valid = 10;
    rows[1].valid = 11;
    pare_results results = {.rows = rows, .count = 2};
    pri_summary summary;
    assert_int_equal(pri_summary_create(&results, &summary), PARE_OK);
    assert_int_equal(summary.quality, PRI_QUANTITY_VALID);
    assert_true(fabs(pri_summary_change(&summary, &summary.groups[1]) - 10) < 1e-9);
    pri_summary_free(&summary);
}

static void further_measures_have_columns(void **state)
{
    (void)state;
    pare_result_row rows[] = {row_of("dense", 0, 1, 90), row_of("dense", 0, 2, 92)};
    for (int i = 0; i < 2; i++) {
        rows[i].more_count = 2;
        rows[i].more[0] = (pare_result_measure){"accuracy", 80 + 4 * i};
        rows[i].more[1] = (pare_result_measure){"loss", .25};
    }
    pare_results results = {.metric = "F1", .rows = rows, .count = 2};
    char *text;
    assert_int_equal(pare_results_table(&results, false, &text), PARE_OK);
    assert_non_null(strstr(text, "        test  accuracy   loss  tokens/s"));
    assert_non_null(strstr(text, "91.00 ± 1.41     82.00  0.250      3000"));
    free(text);
}

/* The largest number of a column decides for all of it: perplexities, another measure, bytes. */
static void columns_have_one_number_of_decimals(void **state)
{
    (void)state;
    pare_result_row rows[] = {
        row_of("dense", 0, 0, 6.0714), row_of("attention-pruning", 50, 0, 9.9),
        row_of("attention-pruning", 90, 1, 1234.56), row_of("random", 90, 0, 3e9)};
    for (size_t i = 0; i < 4; i++) {
        rows[i].valid = rows[i].test / 2;
        rows[i].attention_seconds = rows[i].tokens_per_second = (double)NAN;
        rows[i].more_count = 1;
        rows[i].more[0] = (pare_result_measure){"chrF", i == 1 ? 10.25 : 1.5};
    }
    pare_results results = {.metric = "perplexity", .rows = rows, .count = 4};
    char *text;
    assert_int_equal(pare_results_table(&results, false, &text), PARE_OK);
    assert_non_null(strstr(text, "  valid    test   chrF  "));
    assert_non_null(strstr(text, "   3.04     6.1   1.50  "));
    assert_non_null(strstr(text, "  0.51 GB\n"));
    assert_null(strstr(text, " MB"));
    assert_non_null(strstr(text, "   4.95     9.9  10.25  "));
    assert_non_null(strstr(text, " 617.28  1234.6   1.50  "));
    assert_non_null(strstr(text, "1.5e+09   3e+09   1.50  "));
    free(text);
}

static void sweeps_stand_side_by_side(void **state)
{
    (void)state;
    pare_result_row first[] = {row_of("dense", 0, 1, 50), row_of("dense", 0, 2, 52),
                               row_of("attention-pruning", 59.7, 0, 48)};
    pare_result_row second[] = {row_of("dense", 0, 0, (double)NAN),
                                row_of("random", 60, 1, (double)NAN)};
    first[2].p_requested = 60;
    second[0].valid = 90;
    second[1].valid = 70;
    second[1].p_requested = 60;
    pare_results results[] = {
        {.name = "one", .metric = "F1", .higher_is_better = true, .rows = first, .count = 3},
        {.name = "two",
         .metric = "accuracy",
         .higher_is_better = true,
         .rows = second,
         .count = 2}};
    char *text;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_string_equal(text, "method              p       one, F1  two, accuracy   mean\n"
                              "-----------------  --  ------------  -------------  -----\n"
                              "dense               0  51.00 ± 1.41          90.00  70.50\n"
                              "attention pruning  60         48.00              -      -\n"
                              "random             60             -          70.00      -\n");
    free(text);
    /* The mean has the decimals of the column with the fewest. */
    second[0].valid = second[1].valid = 5;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_non_null(strstr(text, "51.00 ± 1.41          5.000  28.00\n"));
    free(text);
    second[0].valid = 90;
    snprintf(results[1].metric, sizeof results[1].metric, "perplexity");
    results[1].higher_is_better = false;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_non_null(strstr(text, "two, perplexity\n"));
    assert_non_null(strstr(text, "51.00 ± 1.41            90.00\n"));
    free(text);
}

/* Sweeps of one recipe are no tasks to average over; their columns say what differs. */
static void sweeps_of_one_recipe_are_told_apart(void **state)
{
    (void)state;
    pare_result_row rows[] = {row_of("dense", 0, 0, 41)};
    pare_results results[4];
    for (size_t i = 0; i < 4; i++)
        results[i] = (pare_results){.name = "multi",
                                    .metric = "BLEU",
                                    .higher_is_better = true,
                                    .geometry = "cell",
                                    .scope = "layer",
                                    .average = "valid",
                                    .rows = rows,
                                    .count = 1};
    char *text;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_string_equal(text, "multi, BLEU:\n"
                              "\n"
                              "method  p  sweep 1  sweep 2\n"
                              "------  -  -------  -------\n"
                              "dense   0    41.00    41.00\n");
    free(text);
    snprintf(results[1].geometry, sizeof results[1].geometry, "relative");
    assert_int_equal(pare_results_comparison(results, 3, true, &text), PARE_OK);
    assert_non_null(strstr(text, "| method | p | geometry cell, sweep 1 | geometry relative | "
                                 "geometry cell, sweep 2 |\n"));
    free(text);
    /* What another task has does not differ from these. */
    results[2].scope[0] = results[1].geometry[0] = 0;
    snprintf(results[3].name, sizeof results[3].name, "other");
    assert_int_equal(pare_results_comparison(results, 4, true, &text), PARE_OK);
    assert_non_null(
        strstr(text, "| multi, BLEU, geometry cell, scope layer | multi, BLEU, geometry unknown, "
                     "scope layer | multi, BLEU, geometry cell, scope unknown | other, BLEU |\n"));
    free(text);
    results[0].name[0] = 0;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_non_null(strstr(text, "method  p   BLEU  multi, BLEU   mean\n"));
    free(text);
}

static pare_result_row translation_row(const char *method, const char *attention, double percent,
                                       double test)
{
    pare_result_row row = row_of(method, percent, 0, test);
    snprintf(row.attention, sizeof row.attention, "%s", attention);
    row.p_requested = percent;
    row.p_effective = 0.9 * percent;
    row.peak_bytes = 0;
    row.tokens_per_second = row.attention_seconds = (double)NAN;
    return row;
}

/* Out of order on purpose. Masks of two seeds whose rescued rows differ are one line, by what was
 * asked for. */
static void kinds_of_attention_have_a_column_and_a_table(void **state)
{
    (void)state;
    pare_result_row rows[] = {
        translation_row("random", "cross", 90, 30),
        translation_row("attention-pruning", "all", 90, 35.25),
        translation_row("attention-pruning", "encoder", 50, 41),
        translation_row("attention-pruning", "cross", 90, 40.4),
        translation_row("random", "cross", 90, 32),
        translation_row("dense", "", 0, 41),
        translation_row("attention-pruning", "encoder", 90, 39),
    };
    rows[0].seed = 1;
    rows[4].seed = 2;
    rows[4].p_admissible = 89;
    rows[0].p_effective = rows[4].p_effective = 88;
    pare_results results = {.metric = "BLEU", .higher_is_better = true, .rows = rows, .count = 7};
    char *text;
    assert_int_equal(pare_results_table(&results, false, &text), PARE_OK);
    assert_string_equal(text,
                        "method             attention  p_nom  p_adm  p_eff          test  change\n"
                        "-----------------  ---------  -----  -----  -----  ------------  ------\n"
                        "dense                      -    0.0    0.0    0.0         41.00       -\n"
                        "attention pruning    encoder   50.0   50.0   45.0         41.00    +0.0\n"
                        "attention pruning    encoder   90.0   90.0   81.0         39.00    -2.0\n"
                        "attention pruning      cross   90.0   90.0   81.0         40.40    -0.6\n"
                        "random, 2 seeds        cross   90.0   89.5   88.0  31.00 ± 1.41   -10.0\n"
                        "attention pruning        all   90.0   90.0   81.0         35.25    -5.8\n"
                        "\n"
                        "BLEU on test by the attention that is pruned, in parentheses p_eff in "
                        "percent:\n"
                        "\n"
                        "method              p     encoder              cross         all\n"
                        "-----------------  --  ----------  -----------------  ----------\n"
                        "dense               0  41.00  (0)         41.00  (0)  41.00  (0)\n"
                        "attention pruning  50  41.00 (45)                  -           -\n"
                        "attention pruning  90  39.00 (81)         40.40 (81)  35.25 (81)\n"
                        "random             90           -  31.00 ± 1.41 (88)           -\n");
    free(text);
    assert_int_equal(pare_results_table(&results, true, &text), PARE_OK);
    assert_non_null(strstr(text,
                           "|\n\nBLEU on test by the attention that is pruned, in parentheses "
                           "p_eff in percent:\n\n| method "));
    free(text);
    /* A sweep over one kind has the column alone. */
    results.rows = rows + 3;
    results.count = 3;
    assert_int_equal(pare_results_table(&results, false, &text), PARE_OK);
    assert_non_null(strstr(text, "attention pruning      cross"));
    assert_null(strstr(text, "by the attention"));
    free(text);
}

static void comparisons_tell_kinds_apart(void **state)
{
    (void)state;
    pare_result_row first[] = {translation_row("dense", "", 0, 41),
                               translation_row("attention-pruning", "encoder", 50, 40),
                               translation_row("attention-pruning", "cross", 50, 39)};
    pare_result_row second[] = {translation_row("dense", "", 0, 31),
                                translation_row("attention-pruning", "cross", 50, 30)};
    pare_results results[] = {
        {.name = "one", .metric = "BLEU", .higher_is_better = true, .rows = first, .count = 3},
        {.name = "two", .metric = "BLEU", .higher_is_better = true, .rows = second, .count = 2}};
    char *text;
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_string_equal(text, "method             attention   p  one, BLEU  two, BLEU   mean\n"
                              "-----------------  ---------  --  ---------  ---------  -----\n"
                              "dense                      -   0      41.00      31.00  36.00\n"
                              "attention pruning    encoder  50      40.00          -      -\n"
                              "attention pruning      cross  50      39.00      30.00  34.50\n");
    free(text);
    snprintf(results[1].metric, sizeof results[1].metric, "tokenised BLEU");
    assert_int_equal(pare_results_comparison(results, 2, false, &text), PARE_OK);
    assert_null(strstr(text, "mean"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_as_documented),
        cmocka_unit_test(groups_have_mean_and_spread),
        cmocka_unit_test(validation_stands_in_for_test),
        cmocka_unit_test(further_measures_have_columns),
        cmocka_unit_test(columns_have_one_number_of_decimals),
        cmocka_unit_test(sweeps_stand_side_by_side),
        cmocka_unit_test(sweeps_of_one_recipe_are_told_apart),
        cmocka_unit_test(kinds_of_attention_have_a_column_and_a_table),
        cmocka_unit_test(comparisons_tell_kinds_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
