/* Byte strings numbered in order of arrival, found again through a hash table, with counts. */
#ifndef PARE_SRC_TEXT_WORD_TABLE_H
#define PARE_SRC_TEXT_WORD_TABLE_H

#include "base/status.h"

#define PRI_NO_WORD UINT32_MAX

typedef struct pri_word {
    size_t offset, length; /* in the table's bytes */
    uint64_t count;
    uint32_t hash;
} pri_word;

/* Zero-initialise. */
typedef struct pri_word_table {
    pri_word *words; /* word number n */
    size_t count, capacity;
    char *bytes;
    size_t bytes_used, bytes_capacity;
    uint32_t *slots; /* word numbers or PRI_NO_WORD; a power of two, at most half of them used */
    size_t slot_count;
} pri_word_table;

void pri_word_table_free(pri_word_table *table);
/* The number of a word, or PRI_NO_WORD. */
uint32_t pri_word_table_find(const pri_word_table *table, const char *bytes, size_t length);
/* Finds or adds a word and adds `count` to its count; `number` may be NULL. */
pare_status pri_word_table_add(pri_word_table *table, const char *bytes, size_t length,
                               uint64_t count, uint32_t *number);
static inline const char *pri_word_table_bytes(const pri_word_table *table, const pri_word *word)
{
    return table->bytes + word->offset;
}

#endif
