/* Averages: what is counted, merging, files. Numbers in comments are oracles of docs/numerics.md;
 * names with T or F are traps of docs/reproducing.md. */
#include "pruning/synthetic.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"

static const pare_geometry language_model = {
    .layers = 2, .heads = 3, .queries = 5, .keys = 9, .causal = true};
static const pare_geometry encoder = {.layers = 1, .heads = 2, .queries = 6, .keys = 6};

static void assert_same_average(const pare_average *a, const pare_average *b, double tolerance)
{
    const pare_geometry *g = pare_average_geometry(a);
    FOR_CELLS(g)
    {
        double x = pare_average_value(a, PARE_AVERAGE_VALID, l, h, i, j);
        double y = pare_average_value(b, PARE_AVERAGE_VALID, l, h, i, j);
        assert_int_equal(isnan(x), isnan(y));
        if (!isnan(x))
            assert_true(fabs(x - y) <= tolerance);
        assert_int_equal(pare_average_count(a, i, j), pare_average_count(b, i, j));
    }
    assert_int_equal(pare_average_examples(a), pare_average_examples(b));
}

/* Oracle 4: any split into shards gives the average of one pass. */
static void test_shards_merge_to_one_pass(void **state)
{
    (void)state;
    pare_average *whole = make_average(language_model, 5, 0, false);
    pare_average *shards[3];
    for (size_t s = 0; s < 3; s++)
        shards[s] = make_average(language_model, 5, 0, false);
    for (size_t n = 0; n < 20; n++) {
        size_t queries = 1 + n % 5, keys = queries + n % 4;
        observe_sequence(whole, n, queries, keys);
        observe_sequence(shards[n * n % 3], n, queries, keys);
    }
    ASSERT_OK(pare_average_merge(shards[0], shards[1]));
    ASSERT_OK(pare_average_merge(shards[0], shards[2]));
    assert_same_average(whole, shards[0], 1e-12);
    pare_average_destroy(whole);
    for (size_t s = 0; s < 3; s++)
        pare_average_destroy(shards[s]);
}

/* Oracle 4: with one length, `valid` and `mass` agree and every row sums to 1. */
static void test_rows_sum_to_one_at_equal_length(void **state)
{
    (void)state;
    pare_average *average = make_average(language_model, 1, 7, false);
    for (size_t row = 0; row < 5; row++) {
        double sum = 0;
        for (size_t column = 0; column <= row + 4; column++) {
            double valid = pare_average_value(average, PARE_AVERAGE_VALID, 1, 2, row, column);
            assert_true(valid == pare_average_value(average, PARE_AVERAGE_MASS, 1, 2, row, column));
            sum += valid;
        }
        assert_true(fabs(sum - 1) < 1e-12);
    }
    pare_average_destroy(average);
}

/* Oracle 4: constant attention comes out as it went in, whatever the lengths. */
static void test_constant_attention_stays_constant(void **state)
{
    (void)state;
    pare_average *average;
    ASSERT_OK(pare_average_create(&encoder, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t length = 1; length <= 6; length++) {
        for (size_t i = 0; i < length; i++)
            for (size_t j = 0; j < length; j++) {
                observer.sums[i * 6 + j] += 0.25;
                observer.counts[i * 6 + j]++;
            }
        pare_average_add_examples(average, 1);
    }
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) {
            double reaching = 6 - (double)(i > j ? i : j);
            assert_true(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, i, j) == 0.25);
            double mass = pare_average_value(average, PARE_AVERAGE_MASS, 0, 0, i, j);
            assert_true(fabs(mass - 0.25 * reaching / 6) < 1e-15);
        }
    pare_average_destroy(average);
}

/* T3: a short window neither dilutes the cells it does not reach nor lands in other columns. */
static void test_t3_short_windows_do_not_dilute(void **state)
{
    (void)state;
    pare_average *full = make_average(language_model, 3, 4, false);
    pare_average *mixed = make_average(language_model, 3, 4, false);
    observe_sequence(mixed, 99, 2, 3); /* one key of memory: columns 3, 4 and 5 */
    const pare_geometry *g = pare_average_geometry(full);
    FOR_CELLS(g)
    {
        bool reached = i < 2 && j >= 3 && j <= i + 4;
        double before = pare_average_value(full, PARE_AVERAGE_VALID, l, h, i, j);
        double after = pare_average_value(mixed, PARE_AVERAGE_VALID, l, h, i, j);
        if (!isnan(before) && !reached)
            assert_true(before == after);
        assert_int_equal(pare_average_count(mixed, i, j),
                         pare_average_count(full, i, j) + (reached ? 1 : 0));
    }
    pare_average_destroy(full);
    pare_average_destroy(mixed);
}

static void test_unknown_and_inadmissible_are_not_numbers(void **state)
{
    (void)state;
    pare_average *average = make_average(language_model, 3, 0, false);
    observe_sequence(average, 1, 5, 5); /* no memory: columns 0 .. 3 stay unknown */
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 3)));
    assert_true(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 4) == 1);
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 5)));
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 2, 0, 0, 4)));
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 3, 0, 4)));
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 5, 4)));
    assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 9)));
    assert_int_equal(pare_average_count(average, 5, 0), 0);
    pare_average_destroy(average);
}

static void test_windows_limit_what_is_admissible(void **state)
{
    (void)state;
    pare_geometry windowed = language_model;
    windowed.window = 3;
    pare_average *average = make_average(windowed, 3, 2, false);
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 9; j++)
            assert_int_equal(!isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, i, j)),
                             j <= i + 4 && j + 3 > i + 4);
    assert_true(isnan(pare_average_at_distance(average, PARE_AVERAGE_VALID, 0, 0, 3)));
    pare_average_destroy(average);
}

/* By hand: sums 0.5 over 2 occurrences and 0.3 over 1 lie at distance 1. */
static void test_average_at_a_distance(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 1, .queries = 2, .keys = 3, .causal = true};
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    observer.sums[0 * 3 + 0] = 0.5;
    observer.counts[0 * 3 + 0] = 2;
    observer.sums[1 * 3 + 1] = 0.3;
    observer.counts[1 * 3 + 1] = 1;
    pare_average_add_examples(average, 4);
    double valid = pare_average_at_distance(average, PARE_AVERAGE_VALID, 0, 0, 1);
    double mass = pare_average_at_distance(average, PARE_AVERAGE_MASS, 0, 0, 1);
    assert_true(fabs(valid - 0.8 / 3) < 1e-15);
    assert_true(fabs(mass - 0.8 / 2 / 4) < 1e-15);
    assert_true(isnan(pare_average_at_distance(average, PARE_AVERAGE_VALID, 0, 0, 0)));
    assert_true(isnan(pare_average_at_distance(average, PARE_AVERAGE_VALID, 0, 0, 3)));
    pare_average_destroy(average);
}

static void test_impossible_geometries_are_refused(void **state)
{
    (void)state;
    pare_average *average;
    pare_geometry bad[] = {
        {.layers = 0, .heads = 1, .queries = 1, .keys = 1},
        {.layers = 1, .heads = 1, .queries = 4, .keys = 3, .causal = true},
        {.layers = 1, .heads = 1, .queries = 4, .keys = 4, .window = 2},
        {.layers = 1, .heads = 1, .queries = SIZE_MAX / 8, .keys = 2},
        {.kind = PARE_GEOMETRY_DISTANCE,
         .layers = 1,
         .heads = 1,
         .queries = 1,
         .keys = 1,
         .causal = true},
        {.layers = 1, .heads = 1, .queries = 4, .keys = 4, .causal = true, .ends_first = true},
        {.layers = 1, .heads = 1, .queries = 4, .keys = 5, .ends_first = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(pare_average_create(&bad[i], &average), PARE_ERROR_ARGUMENT);
        assert_null(average);
    }
}

static void test_merging_checks_geometry_and_corpus(void **state)
{
    (void)state;
    pare_geometry longer = language_model;
    longer.keys = 10;
    pare_average *a = make_average(language_model, 1, 1, false);
    pare_average *b = make_average(longer, 1, 1, false);
    assert_int_equal(pare_average_merge(a, b), PARE_ERROR_ARGUMENT);
    expect_message("5 x 9");
    expect_message("5 x 10");
    assert_int_equal(pare_average_examples(a), 1);
    pare_average_destroy(b);
    b = make_average(language_model, 2, 1, false);
    pare_average_add_examples(b, UINT64_C(1) << 53);
    assert_int_equal(pare_average_merge(a, b), PARE_ERROR_ARGUMENT);
    pare_average_destroy(a);
    pare_average_destroy(b);
    pare_geometry ends_first = encoder;
    ends_first.ends_first = true;
    a = make_average(encoder, 1, 1, false);
    b = make_average(ends_first, 1, 1, false);
    assert_int_equal(pare_average_merge(a, b), PARE_ERROR_ARGUMENT);
    expect_message("6 x 6 and 1 x 2 x 6 x 6 ends first");
    pare_average_destroy(a);
    pare_average_destroy(b);
}

/* Where the corpus of an average shows: in the report of a mask. */
static void corpus_of(const pare_average *average, char name[64], uint64_t *hash)
{
    pare_mask *mask = make_mask(average, (pare_prune_options){0});
    pare_mask_report report = pare_mask_describe(mask);
    memcpy(name, report.corpus, 64);
    *hash = report.corpus_hash;
    pare_mask_destroy(mask);
}

static void test_corpus_names(void **state)
{
    (void)state;
    char name[64], long_name[100];
    uint64_t hash;
    pare_average *a = make_average(encoder, 1, 1, false);
    pare_average *b = make_average(encoder, 2, 1, false);
    ASSERT_OK(pare_average_merge(a, b));
    corpus_of(a, name, &hash);
    assert_string_equal(name, "synthetic");
    assert_int_equal(hash, 0x1234);
    pare_average_set_corpus(b, "other", 1);
    ASSERT_OK(pare_average_merge(a, b));
    corpus_of(a, name, &hash);
    assert_string_equal(name, "several corpora");
    assert_int_equal(hash, 0x1235);

    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    memcpy(long_name + 61, "\xe2\x82\xac", 3); /* the cut after 63 bytes halves this character */
    pare_average_set_corpus(a, long_name, 2);
    corpus_of(a, name, &hash);
    assert_int_equal(strlen(name), 61);
    pare_average_set_corpus(a, "bad\xff", 2);
    corpus_of(a, name, &hash);
    assert_string_equal(name, "bad?");
    ASSERT_OK(pare_average_save(a, temporary_path(".average")));
    unlink(temporary_path(".average"));
    pare_average_destroy(a);
    pare_average_destroy(b);
}

static void test_save_and_load_is_identity(void **state)
{
    (void)state;
    const char *path = temporary_path(".average");
    /* A third has no decimal of its own. */
    const pare_geometry cross = {
        .layers = 1, .heads = 2, .queries = 6, .keys = 4, .ends_first = true, .ratio = 1.0 / 3};
    const pare_geometry shapes[] = {language_model, cross};
    for (size_t s = 0; s < 2; s++) {
        pare_average *saved = make_average(shapes[s], 8, 3, true), *loaded;
        ASSERT_OK(pare_average_save(saved, path));
        ASSERT_OK(pare_average_load(path, &loaded));
        assert_same_average(saved, loaded, 0);
        assert_true(pare_average_geometry(loaded)->ratio == shapes[s].ratio);
        char first[64], second[64];
        uint64_t first_hash, second_hash;
        corpus_of(saved, first, &first_hash);
        corpus_of(loaded, second, &second_hash);
        assert_string_equal(first, second);
        assert_int_equal(first_hash, second_hash);
        pare_average_destroy(saved);
        pare_average_destroy(loaded);
    }
    unlink(path);
}

/* Averages of self attention are written as they were before there was a ratio. */
static void test_older_files_stay_as_they_are(void **state)
{
    (void)state;
    static const char *const names[] = {"valid_0", "valid_1", "valid_2", "valid_ends_first"};
    const char *path = temporary_path(".older");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char older[512];
        snprintf(older, sizeof older, "%s/fuzz/corpus/fuzz_average/%s", PARE_TEST_DIRECTORY,
                 names[i]);
        pare_average *average;
        ASSERT_OK(pare_average_load(older, &average));
        ASSERT_OK(pare_average_save(average, path));
        uint8_t *before, *after;
        size_t before_size, after_size;
        ASSERT_OK(pri_file_read(older, 0, &before, &before_size));
        ASSERT_OK(pri_file_read(path, 0, &after, &after_size));
        assert_int_equal(before_size, after_size);
        assert_memory_equal(before, after, after_size);
        pri_free(before);
        pri_free(after);
        pare_average_destroy(average);
        unlink(path);
    }
}

/* A file of a 1 x 1 x 2 x 2 causal average with the given fields, as another program may write. */
typedef struct average_fields {
    const char *version, *queries, *causal, *ends_first, *ratio, *examples, *corpus_hash;
    double sums[4];
    uint64_t counts[4];
} average_fields;

static const average_fields good_fields = {
    "1", "2", "1", NULL, NULL, "2", "00000000000000aa", {2, 0, 0.5, 1.5}, {2, 0, 2, 2}};

static pare_status load_fields(average_fields fields)
{
    const char *path = temporary_path(".fields");
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    const char *values[][2] = {{"format", "pare-average"},
                               {"version", fields.version},
                               {"geometry", "cell"},
                               {"layers", "1"},
                               {"heads", "1"},
                               {"queries", fields.queries},
                               {"keys", "2"},
                               {"causal", fields.causal},
                               {"ends_first", fields.ends_first},
                               {"ratio", fields.ratio},
                               {"window", "0"},
                               {"examples", fields.examples},
                               {"corpus", "c"},
                               {"corpus_hash", fields.corpus_hash}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i][1])
            pri_safetensors_writer_metadata(writer, values[i][0], values[i][1]);
    pri_safetensors_writer_add(writer, "sums", PRI_DATA_F64, 4, (size_t[]){1, 1, 2, 2},
                               fields.sums);
    pri_safetensors_writer_add(writer, "counts", PRI_DATA_U64, 2, (size_t[]){2, 2}, fields.counts);
    ASSERT_OK(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
    pare_average *average;
    pare_status status = pare_average_load(path, &average);
    assert_int_equal(average == NULL, status != PARE_OK);
    pare_average_destroy(average);
    unlink(path);
    return status;
}

static void test_damaged_files_are_refused(void **state)
{
    (void)state;
    ASSERT_OK(load_fields(good_fields));
    average_fields bad = good_fields;
    bad.version = "4";
    assert_int_equal(load_fields(bad), PARE_ERROR_UNSUPPORTED);
    expect_message("version 4");
    bad = good_fields;
    bad.examples = NULL;
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    expect_message("\"examples\" is missing");
    const char *not_numbers[] = {"", "-1", "+1", " 1", "1 ", "01", "1.0", "18446744073709551616"};
    for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++) {
        bad.examples = not_numbers[i];
        assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    }
    bad.examples = "1";
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    expect_message("more often than there are examples");
    bad = good_fields;
    bad.queries = "3";
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    bad.queries = "4611686018427387904";
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    bad = good_fields;
    bad.causal = "2";
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    bad = good_fields;
    bad.corpus_hash = "aa";
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    bad = good_fields;
    bad.counts[1] = 1;
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
    expect_message("not admissible");
    const double no_sums[] = {NAN, INFINITY, -1e-9, 2.1};
    for (size_t i = 0; i < 4; i++) {
        bad = good_fields;
        bad.sums[0] = no_sums[i];
        assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
        expect_message("row 0, column 0");
    }
    bad = good_fields;
    bad.sums[1] = 0.1;
    assert_int_equal(load_fields(bad), PARE_ERROR_FORMAT);
}

static void test_ends_first_needs_version_2_and_a_square(void **state)
{
    (void)state;
    average_fields encoder_fields = good_fields;
    encoder_fields.version = "2";
    encoder_fields.causal = "0";
    assert_int_equal(load_fields(encoder_fields), PARE_ERROR_FORMAT);
    expect_message("\"ends_first\" is missing");
    encoder_fields.ends_first = "0";
    ASSERT_OK(load_fields(encoder_fields));
    encoder_fields.ends_first = "1";
    ASSERT_OK(load_fields(encoder_fields));
    encoder_fields.causal = "1";
    assert_int_equal(load_fields(encoder_fields), PARE_ERROR_FORMAT);
    expect_message("ends_first needs an encoder's attention");
    encoder_fields.causal = "0";
    encoder_fields.ends_first = "2";
    assert_int_equal(load_fields(encoder_fields), PARE_ERROR_FORMAT);
}

static void test_a_ratio_needs_version_3(void **state)
{
    (void)state;
    average_fields cross = good_fields;
    cross.version = "3";
    cross.causal = "0";
    cross.ends_first = "1";
    assert_int_equal(load_fields(cross), PARE_ERROR_FORMAT);
    expect_message("\"ratio\" is missing");
    static const char *const wrong[] = {"0", "-1", "0.0009", "1000.5", "inf", "nan", "", "1/2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cross.ratio = wrong[i];
        assert_int_equal(load_fields(cross), PARE_ERROR_FORMAT);
        expect_message("ratio");
    }
    cross.ratio = "1.5";
    ASSERT_OK(load_fields(cross));
    cross.causal = "1";
    assert_int_equal(load_fields(cross), PARE_ERROR_FORMAT);
    expect_message("not causal");
    cross.causal = "0";
    cross.ends_first = NULL;
    assert_int_equal(load_fields(cross), PARE_ERROR_FORMAT);
}

static void test_files_of_other_kinds_are_refused(void **state)
{
    (void)state;
    const char *path = temporary_path(".other");
    pare_average *average;
    assert_int_equal(pare_average_load("no/such/file", &average), PARE_ERROR_FILE);
    ASSERT_OK(pri_file_replace(path, "hello, world", 12));
    assert_int_equal(pare_average_load(path, &average), PARE_ERROR_FORMAT);
    assert_null(average);
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    ASSERT_OK(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
    assert_int_equal(pare_average_load(path, &average), PARE_ERROR_FORMAT);
    expect_message("not a pare-average file");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_merge_to_one_pass),
        cmocka_unit_test(test_rows_sum_to_one_at_equal_length),
        cmocka_unit_test(test_constant_attention_stays_constant),
        cmocka_unit_test(test_t3_short_windows_do_not_dilute),
        cmocka_unit_test(test_unknown_and_inadmissible_are_not_numbers),
        cmocka_unit_test(test_windows_limit_what_is_admissible),
        cmocka_unit_test(test_average_at_a_distance),
        cmocka_unit_test(test_impossible_geometries_are_refused),
        cmocka_unit_test(test_merging_checks_geometry_and_corpus),
        cmocka_unit_test(test_corpus_names),
        cmocka_unit_test(test_save_and_load_is_identity),
        cmocka_unit_test(test_older_files_stay_as_they_are),
        cmocka_unit_test(test_damaged_files_are_refused),
        cmocka_unit_test(test_ends_first_needs_version_2_and_a_square),
        cmocka_unit_test(test_a_ratio_needs_version_3),
        cmocka_unit_test(test_files_of_other_kinds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
