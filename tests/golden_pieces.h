/* Lines and pieces of golden files from the tokenizers package. */
#ifndef PARE_TESTS_GOLDEN_PIECES_H
#define PARE_TESTS_GOLDEN_PIECES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/memory.h"
#include "pare/text.h"

/* The bytes that hexadecimal digits stand for; pri_free them. */
static inline char *golden_line(const char *digits, size_t *length)
{
    *length = strlen(digits) / 2;
    char *bytes = pri_allocate(*length, 1);
    for (size_t i = 0; i < *length; i++) {
        unsigned value;
        assert_int_equal(sscanf(digits + 2 * i, "%2x", &value), 1);
        bytes[i] = (char)(unsigned char)value;
    }
    return bytes;
}

static inline void assert_numbers(const json_t *expected, const uint32_t *numbers, size_t count,
                                  const char *what, size_t line)
{
    for (size_t i = 0; i < count || i < json_array_size(expected); i++)
        if (count != json_array_size(expected) ||
            json_integer_value(json_array_get(expected, i)) != numbers[i])
            fail_msg("line %zu: %s %zu of %zu is not that of the package (%zu)", line, what, i,
                     count, json_array_size(expected));
}

/* The pieces, which count characters, are those of a result. */
static inline void assert_golden_pieces(const json_t *result, const pare_pieces *pieces,
                                        size_t line)
{
    assert_numbers(json_object_get(result, "ids"), pieces->ids, pieces->count, "id", line);
    assert_numbers(json_object_get(result, "begins"), pieces->begins, pieces->count, "begin", line);
    assert_numbers(json_object_get(result, "ends"), pieces->ends, pieces->count, "end", line);
}

#endif
