/* Aligned, counted allocation and arenas. Blocks carry no header: aligned_alloc and free do the
 * work, so that sanitizers and valgrind see every block as it is. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)64)

static atomic_uint_fast64_t allocation_count;

bool pri_multiply_overflows(size_t a, size_t b, size_t *product)
{
    *product = 0;
    if (b && a > SIZE_MAX / b)
        return true;
    *product = a * b;
    return false;
}

/* Rounds up to the alignment; 0 when that overflows. */
static size_t padded_bytes(size_t count, size_t size)
{
    size_t bytes;
    if (pri_multiply_overflows(count, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
        return 0;
    return bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
}

static void *fail_without_memory(size_t count, size_t size)
{
    pri_fail(PARE_ERROR_MEMORY,
             "out of memory asking for %zu elements of %zu bytes; use a smaller batch or model",
             count, size);
    return NULL;
}

void *pri_allocate(size_t count, size_t size)
{
    size_t bytes = padded_bytes(count, size);
    void *pointer = bytes ? aligned_alloc(ALIGNMENT, bytes) : NULL;
    if (!pointer)
        return fail_without_memory(count, size);
    atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    return pointer;
}

void *pri_allocate_zero(size_t count, size_t size)
{
    void *pointer = pri_allocate(count, size);
    if (pointer)
        memset(pointer, 0, count * size);
    return pointer;
}

void *pri_reallocate(void *pointer, size_t old_count, size_t new_count, size_t size)
{
    void *larger = pri_allocate(new_count, size);
    if (!larger)
        return NULL;
    if (pointer)
        memcpy(larger, pointer, (old_count < new_count ? old_count : new_count) * size);
    pri_free(pointer);
    return larger;
}

void pri_free(void *pointer)
{
    free(pointer);
}

char *pri_string_copy(const char *string)
{
    size_t bytes = strlen(string) + 1;
    char *copy = pri_allocate(bytes, 1);
    if (copy)
        memcpy(copy, string, bytes);
    return copy;
}

uint64_t pri_allocation_count(void)
{
    return atomic_load_explicit(&allocation_count, memory_order_relaxed);
}

/* ---- Arenas ---- */

#define SMALLEST_BLOCK ((size_t)1 << 20)

typedef struct arena_block {
    struct arena_block *previous;
    uint8_t *data;
    size_t capacity;
} arena_block;

struct pri_arena {
    arena_block *newest;
    size_t used;      /* of the newest block */
    size_t used_full; /* of all older blocks */
    size_t reserved;
};

pri_arena *pri_arena_create(void)
{
    return pri_allocate_zero(1, sizeof(pri_arena));
}

static void release_blocks(pri_arena *arena)
{
    while (arena->newest) {
        arena_block *block = arena->newest;
        arena->newest = block->previous;
        pri_free(block->data);
        pri_free(block);
    }
    arena->used = arena->used_full = arena->reserved = 0;
}

static bool add_block(pri_arena *arena, size_t capacity)
{
    arena_block *block = pri_allocate(1, sizeof *block);
    if (!block)
        return false;
    block->data = pri_allocate(capacity, 1);
    if (!block->data) {
        pri_free(block);
        return false;
    }
    block->capacity = capacity;
    block->previous = arena->newest;
    arena->used_full += arena->used;
    arena->newest = block;
    arena->used = 0;
    arena->reserved += capacity;
    return true;
}

void pri_arena_destroy(pri_arena *arena)
{
    if (!arena)
        return;
    release_blocks(arena);
    pri_free(arena);
}

void *pri_arena_allocate(pri_arena *arena, size_t count, size_t size)
{
    size_t bytes = padded_bytes(count, size);
    if (!bytes)
        return fail_without_memory(count, size);
    if (!arena->newest || arena->newest->capacity - arena->used < bytes) {
        size_t capacity = arena->reserved > SMALLEST_BLOCK ? arena->reserved : SMALLEST_BLOCK;
        if (!add_block(arena, bytes > capacity ? bytes : capacity))
            return NULL;
    }
    void *pointer = arena->newest->data + arena->used;
    arena->used += bytes;
    return pointer;
}

void pri_arena_reset(pri_arena *arena)
{
    size_t needed = arena->used_full + arena->used;
    if (arena->newest && arena->newest->previous) {
        release_blocks(arena);
        /* Without memory for one block now, the next allocations grow block by block again. */
        add_block(arena, needed);
    }
    arena->used = arena->used_full = 0;
}

size_t pri_arena_bytes(const pri_arena *arena)
{
    return arena->reserved;
}
