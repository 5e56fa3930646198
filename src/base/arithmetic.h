/* Arithmetic on sizes that cutting work into pieces needs everywhere. */
#ifndef PARE_SRC_BASE_ARITHMETIC_H
#define PARE_SRC_BASE_ARITHMETIC_H

#include <stddef.h>

static inline size_t pri_divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static inline size_t pri_round_up(size_t count, size_t unit)
{
    return pri_divide_up(count, unit) * unit;
}

static inline size_t pri_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t pri_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
