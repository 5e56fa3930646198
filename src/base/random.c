/* Random numbers by hashing (key, counter). The mix is the finaliser of splitmix64 (Steele, Lea,
 * Flood 2014) applied twice with the key between: one round alone leaves neighbouring keys related.
 */
#include "base/random.h"

#include <math.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x;
}

uint64_t pri_random_bits(uint64_t key, uint64_t counter)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    return mix(mix(counter * golden + key) + key * UINT64_C(0xd1342543de82ef95) + golden);
}

uint64_t pri_random_key(uint64_t seed, const char *purpose, uint64_t index)
{
    uint64_t hash = pri_hash(PRI_HASH_START, purpose, strlen(purpose));
    return pri_random_bits(pri_random_bits(seed, hash), index);
}

double pri_random_uniform(uint64_t key, uint64_t counter)
{
    return (double)(pri_random_bits(key, counter) >> 11) * 0x1p-53;
}

double pri_random_normal(uint64_t key, uint64_t counter)
{
    /* 1 - u lies in (0, 1], where the logarithm is finite. */
    double radius = sqrt(-2.0 * log(1.0 - pri_random_uniform(key, 2 * counter)));
    return radius * cos(2.0 * 3.14159265358979323846 * pri_random_uniform(key, 2 * counter + 1));
}

/* The high half of a 64 x 64 bit product, in portable C11. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a_low = a & UINT32_MAX, a_high = a >> 32;
    uint64_t b_low = b & UINT32_MAX, b_high = b >> 32;
    uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
    uint64_t carry = a_low * b_high + (middle & UINT32_MAX);
    return a_high * b_high + (middle >> 32) + (carry >> 32);
}

uint64_t pri_random_below(uint64_t key, uint64_t counter, uint64_t bound)
{
    return multiply_high(pri_random_bits(key, counter), bound);
}

uint64_t pri_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t pri_hash_number(uint64_t hash, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    return pri_hash(hash, bytes, sizeof bytes);
}
