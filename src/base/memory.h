/* Memory: the library allocates here, 64-byte aligned, so that a test can count allocations (only
 * strings that callers free(), base/text_buffer.h, are not); and arenas for what lives as long as a
 * step. */
#ifndef PARE_SRC_BASE_MEMORY_H
#define PARE_SRC_BASE_MEMORY_H

#include "base/status.h"

/* count * size bytes, checked for overflow, undefined contents; sets the error message and returns
 * NULL when there is no memory. A count of 0 gives a valid pointer. */
void *pri_allocate(size_t count, size_t size);
void *pri_allocate_zero(size_t count, size_t size);
/* Grows or shrinks to new_count elements, keeping the first min(old_count, new_count); NULL: the
 * old block stays valid. pointer may be NULL. */
void *pri_reallocate(void *pointer, size_t old_count, size_t new_count, size_t size);
void pri_free(void *pointer);
char *pri_string_copy(const char *string);
/* Allocations made by this process so far. */
uint64_t pri_allocation_count(void);

bool pri_multiply_overflows(size_t a, size_t b, size_t *product);

/* An arena hands out 64-byte aligned blocks and takes them all back at once. The first use grows by
 * blocks; reset joins them into one block of the size needed, so later rounds allocate nothing. */
typedef struct pri_arena pri_arena;
pri_arena *pri_arena_create(void);
void pri_arena_destroy(pri_arena *arena);
void *pri_arena_allocate(pri_arena *arena, size_t count, size_t size); /* NULL: no memory */
void pri_arena_reset(pri_arena *arena);
size_t pri_arena_bytes(const pri_arena *arena); /* reserved from the system */

#endif
