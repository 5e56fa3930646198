/* Reading the reference implementation's averages. Files are built here byte by byte. */
#include "pruning/synthetic.h"

#include <math.h>

#include "pruning/average.h"

#define GOOD "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3), }\n"
#define WIDE "{'shape': (1, 1, 2, 3), 'fortran_order': False, 'descr': '<f8'}"

static const double numbers[6] = {0.25, 0.75, 0, 0.125, 0.375, 0.5};

/* Parses a file of the version, header and numbers; `cut` bytes are missing at the end. */
static pare_status parse(unsigned version, const char *header, size_t element_size,
                         const double *values, size_t count, size_t cut, bool causal,
                         pare_average **average)
{
    size_t prefix = version == 1 ? 10 : 12, length = strlen(header);
    size_t size = prefix + length + count * element_size;
    uint8_t *bytes = calloc(size, 1);
    assert_non_null(bytes);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (uint8_t)version;
    bytes[8] = (uint8_t)length;
    memcpy(bytes + prefix, header, length);
    for (size_t i = 0; i < count; i++) {
        float narrow = (float)values[i];
        memcpy(bytes + prefix + length + i * element_size,
               element_size == 4 ? (const void *)&narrow : (const void *)&values[i], element_size);
    }
    /* A block of exactly the size, so that the address sanitizer sees every step beyond it. */
    uint8_t *exact = malloc(size - cut + (size == cut));
    assert_non_null(exact);
    memcpy(exact, bytes, size - cut);
    pare_status status = pri_average_parse_npy(exact, size - cut, "a.npy", causal, average);
    free(bytes);
    free(exact);
    assert_int_equal(*average == NULL, status != PARE_OK);
    if (status != PARE_OK)
        expect_message("a.npy");
    return status;
}

static pare_status parse_good(const char *header, size_t element_size, const double *values,
                              bool causal)
{
    pare_average *average;
    pare_status status = parse(1, header, element_size, values, 6, 0, causal, &average);
    pare_average_destroy(average);
    return status;
}

static void test_types_and_versions(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 3; version++)
        for (size_t size = 4; size <= 8; size += 4) {
            pare_average *average;
            ASSERT_OK(parse(version, size == 4 ? GOOD : WIDE, size, numbers, 6, 0, true, &average));
            const pare_geometry *g = pare_average_geometry(average);
            assert_int_equal(g->queries, 2);
            assert_int_equal(g->keys, 3);
            assert_true(g->causal);
            for (size_t j = 0; j < 3; j++) {
                double value = pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 1, j);
                assert_true(value == numbers[3 + j]);
            }
            assert_true(isnan(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 0, 2)));
            assert_int_equal(pare_average_count(average, 0, 1), 1);
            assert_int_equal(pare_average_count(average, 0, 2), 0);
            pare_average_destroy(average);
        }
}

/* B3: the geometry is the array's own, up to its last row and column. */
static void test_b3_geometry_is_explicit(void **state)
{
    (void)state;
    double values[64];
    for (size_t i = 0; i < 64; i++)
        values[i] = 0.125;
    pare_average *average;
    ASSERT_OK(parse(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 8, 8)}", 8, values,
                    64, 0, false, &average));
    assert_int_equal(pare_average_geometry(average)->queries, 8);
    assert_int_equal(pare_average_geometry(average)->keys, 8);
    assert_true(pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 7, 7) == 0.125);
    pare_average_destroy(average);
}

static void test_numbers_must_be_averages(void **state)
{
    (void)state;
    const double wrong[] = {NAN, -0.1, 1.1, INFINITY, -INFINITY};
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
        double values[6];
        memcpy(values, numbers, sizeof values);
        values[4] = wrong[w];
        assert_int_equal(parse_good(GOOD, 4, values, true), PARE_ERROR_FORMAT);
        expect_message("layer 0, head 0, row 1, column 1");
    }
    double future[6] = {0.25, 0.5, 0.25, 0.125, 0.375, 0.5};
    assert_int_equal(parse_good(GOOD, 4, future, true), PARE_ERROR_FORMAT);
    expect_message("future");
    ASSERT_OK(parse_good(GOOD, 4, future, false));
}

static void test_what_is_not_supported_is_named(void **state)
{
    (void)state;
    assert_int_equal(parse_good("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1, 2, 3)}", 4,
                                numbers, true),
                     PARE_ERROR_UNSUPPORTED);
    expect_message("Fortran");
    const char *types[] = {"'>f4'", "'<f2'", "'<i4'", "'|O'", "[('a', '<f4')]"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char header[100];
        snprintf(header, sizeof header,
                 "{'descr': %s, 'fortran_order': False, 'shape': (1, 1, 2, 3)}", types[i]);
        assert_int_equal(parse_good(header, 4, numbers, true), PARE_ERROR_UNSUPPORTED);
    }
    pare_average *average;
    assert_int_equal(parse(4, GOOD, 4, numbers, 6, 0, true, &average), PARE_ERROR_UNSUPPORTED);
}

static void test_headers_must_be_well_formed(void **state)
{
    (void)state;
    const char *headers[] = {
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 1, 2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 3, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 6}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1, 1, 2, 3)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1, 1, 2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 0)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1, 2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 3, 2)}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        assert_int_equal(parse_good(headers[i], 4, numbers, true), PARE_ERROR_FORMAT);
}

static void test_truncated_files_are_refused(void **state)
{
    (void)state;
    pare_average *average;
    size_t size = 10 + strlen(GOOD) + 24;
    for (size_t cut = 1; cut <= size; cut++)
        assert_int_equal(parse(1, GOOD, 4, numbers, 6, cut, true, &average), PARE_ERROR_FORMAT);
    assert_int_equal(pare_average_import_npy("no/such.npy", true, &average), PARE_ERROR_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_and_versions),
        cmocka_unit_test(test_b3_geometry_is_explicit),
        cmocka_unit_test(test_numbers_must_be_averages),
        cmocka_unit_test(test_what_is_not_supported_is_named),
        cmocka_unit_test(test_headers_must_be_well_formed),
        cmocka_unit_test(test_truncated_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
