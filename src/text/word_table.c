/* A hash table of words with open addressing and linear probing. Words lie end to end in one buffer
 * and are never removed, so a slot needs no more than a 32-bit number; the hash kept beside each
 * word makes growing cheap and most comparisons unnecessary. */
#include "text/word_table.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

void pri_word_table_free(pri_word_table *table)
{
    pri_free(table->words);
    pri_free(table->bytes);
    pri_free(table->slots);
    *table = (pri_word_table){0};
}

static uint32_t hash_word(const char *bytes, size_t length)
{
    uint64_t hash = pri_hash(PRI_HASH_START, bytes, length);
    return (uint32_t)(hash ^ (hash >> 32));
}

/* The slot that holds the word, or the empty one where it belongs. */
static size_t find_slot(const pri_word_table *table, const char *bytes, size_t length,
                        uint32_t hash)
{
    size_t mask = table->slot_count - 1;
    size_t slot = hash & mask;
    for (; table->slots[slot] != PRI_NO_WORD; slot = (slot + 1) & mask) {
        const pri_word *word = &table->words[table->slots[slot]];
        if (word->hash == hash && word->length == length &&
            !memcmp(table->bytes + word->offset, bytes, length))
            break;
    }
    return slot;
}

uint32_t pri_word_table_find(const pri_word_table *table, const char *bytes, size_t length)
{
    if (!table->slot_count)
        return PRI_NO_WORD;
    return table->slots[find_slot(table, bytes, length, hash_word(bytes, length))];
}

static pare_status grow_slots(pri_word_table *table)
{
    size_t slot_count = table->slot_count ? 2 * table->slot_count : 1024;
    uint32_t *slots = pri_allocate(slot_count, sizeof *slots);
    if (!slots)
        return PARE_ERROR_MEMORY;
    memset(slots, 0xff, slot_count * sizeof *slots);
    for (size_t number = 0; number < table->count; number++) {
        size_t slot = table->words[number].hash & (slot_count - 1);
        while (slots[slot] != PRI_NO_WORD)
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = (uint32_t)number;
    }
    pri_free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return PARE_OK;
}

static pare_status grow_words(pri_word_table *table)
{
    size_t capacity = table->capacity ? 2 * table->capacity : 512;
    pri_word *words = pri_reallocate(table->words, table->count, capacity, sizeof *words);
    if (!words)
        return PARE_ERROR_MEMORY;
    table->words = words;
    table->capacity = capacity;
    return PARE_OK;
}

static pare_status grow_bytes(pri_word_table *table, size_t length)
{
    size_t capacity = table->bytes_capacity ? 2 * table->bytes_capacity : 4096;
    if (capacity - table->bytes_used < length)
        capacity = table->bytes_used + length;
    char *bytes = pri_reallocate(table->bytes, table->bytes_used, capacity, 1);
    if (!bytes)
        return PARE_ERROR_MEMORY;
    table->bytes = bytes;
    table->bytes_capacity = capacity;
    return PARE_OK;
}

pare_status pri_word_table_add(pri_word_table *table, const char *bytes, size_t length,
                               uint64_t count, uint32_t *number)
{
    if (2 * table->count >= table->slot_count)
        PRI_TRY(grow_slots(table));
    uint32_t hash = hash_word(bytes, length);
    size_t slot = find_slot(table, bytes, length, hash);
    if (table->slots[slot] == PRI_NO_WORD) {
        if (table->count == PRI_NO_WORD)
            return pri_fail(PARE_ERROR_UNSUPPORTED,
                            "more different words than 32-bit ids; use the byte level");
        if (table->count == table->capacity)
            PRI_TRY(grow_words(table));
        if (table->bytes_capacity - table->bytes_used < length)
            PRI_TRY(grow_bytes(table, length));
        table->words[table->count] =
            (pri_word){.offset = table->bytes_used, .length = length, .hash = hash};
        memcpy(table->bytes + table->bytes_used, bytes, length);
        table->bytes_used += length;
        table->slots[slot] = (uint32_t)table->count++;
    }
    table->words[table->slots[slot]].count += count;
    if (number)
        *number = table->slots[slot];
    return PARE_OK;
}
