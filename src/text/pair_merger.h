/* Merging the most frequent pairs of neighbouring pieces over counted words, which is how
 * vocabularies of WordPiece and of byte-pair encoding are learnt. */
#ifndef PARE_SRC_TEXT_PAIR_MERGER_H
#define PARE_SRC_TEXT_PAIR_MERGER_H

#include "base/status.h"

typedef struct pri_pair {
    uint32_t left, right; /* ids of pieces */
    uint64_t count;
    uint32_t places; /* newest of the list of words, an index into places; or none */
    bool touched;    /* in the list of pairs that the present merge made more frequent */
} pri_pair;

typedef struct pri_pair_place {
    uint32_t word, next;
} pri_pair_place;

typedef struct pri_spelled_word {
    size_t begin; /* in pieces */
    uint32_t length;
    uint64_t count;
} pri_spelled_word;

typedef struct pri_pair_entry {
    uint64_t count;
    uint32_t pair;
} pri_pair_entry;

/* Zero-initialise; nothing in it is for others. */
typedef struct pri_pair_merger {
    pri_spelled_word *words;
    size_t word_count, word_capacity;
    uint32_t *pieces;
    size_t piece_count, piece_capacity;
    pri_pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *pair_slots; /* indices of pairs, or none; a power of two */
    size_t pair_slot_count;
    pri_pair_place *places;
    size_t place_count, place_capacity;
    pri_pair_entry *heap;
    size_t heap_count, heap_capacity;
    uint32_t *touched;
    size_t touched_count, touched_capacity;
    uint32_t next; /* the pair that pri_pair_merger_next found */
} pri_pair_merger;

void pri_pair_merger_free(pri_pair_merger *merger);

/* A word that was seen `count` times, and then its pieces one by one. */
pare_status pri_pair_merger_add_word(pri_pair_merger *merger, uint64_t count);
pare_status pri_pair_merger_add_piece(pri_pair_merger *merger, uint32_t piece);
/* Counts the pairs of all words: comes before the first pri_pair_merger_next. */
pare_status pri_pair_merger_start(pri_pair_merger *merger);

/* The most frequent pair that did not come up before in this state of the words, ties by smaller
 * ids; false: none is as frequent as `minimum`, which is at least 1. */
bool pri_pair_merger_next(pri_pair_merger *merger, uint64_t minimum, uint32_t *left,
                          uint32_t *right);
/* Makes that pair the piece `merged` wherever it stands. Without this call it stays as it is. */
pare_status pri_pair_merger_merge(pri_pair_merger *merger, uint32_t merged);

#endif
