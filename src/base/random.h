/* Counter-based random numbers: a pure function of (key, counter), so that any thread can compute
 * any draw and the stream does not depend on how work is shared. */
#ifndef PARE_SRC_BASE_RANDOM_H
#define PARE_SRC_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* 64 well mixed bits. */
uint64_t pri_random_bits(uint64_t key, uint64_t counter);
/* A new key for a named part of the work: pri_random_key(seed, "dropout", step). */
uint64_t pri_random_key(uint64_t seed, const char *purpose, uint64_t index);
/* [0, 1) with 53 bits. */
double pri_random_uniform(uint64_t key, uint64_t counter);
/* Standard normal (Box-Muller on draws 2c and 2c + 1). */
double pri_random_normal(uint64_t key, uint64_t counter);
/* Uniform on 0 .. bound - 1 without bias worth a thought (128-bit multiply). */
uint64_t pri_random_below(uint64_t key, uint64_t counter, uint64_t bound);

/* FNV-1a, for provenance. Start with PRI_HASH_START. */
#define PRI_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t pri_hash(uint64_t hash, const void *data, size_t size);
/* The same on every machine. */
uint64_t pri_hash_number(uint64_t hash, uint64_t number);

#endif
