/* A merge changes only words that hold its pair. Each pair has a list of the words where it was
 * ever seen, and a heap finds the most frequent pair: its entries may overstate a count, which is
 * seen and put right when one comes to the top. */
#include "text/pair_merger.h"

#include <string.h>

#include "base/memory.h"

#define NONE UINT32_MAX

void pri_pair_merger_free(pri_pair_merger *m)
{
    pri_free(m->words);
    pri_free(m->pieces);
    pri_free(m->pairs);
    pri_free(m->pair_slots);
    pri_free(m->places);
    pri_free(m->heap);
    pri_free(m->touched);
    *m = (pri_pair_merger){0};
}

/* ---- Pairs ---- */

/* The array with room for one more element of `size` bytes; NULL: no memory, and it is as before.
 */
static void *with_room(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    if (count >= NONE) {
        pri_fail(PARE_ERROR_MEMORY, "too much text to make a vocabulary of; take a part of it");
        return NULL;
    }
    size_t larger = *capacity ? 2 * *capacity : 1024;
    void *grown = pri_reallocate(array, count, larger, size);
    if (grown)
        *capacity = larger;
    return grown;
}

static size_t pair_slot(const pri_pair_merger *m, uint32_t left, uint32_t right)
{
    size_t mask = m->pair_slot_count - 1;
    uint64_t key = ((uint64_t)left << 32 | right) * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(key >> 32) & mask;
    for (; m->pair_slots[slot] != NONE; slot = (slot + 1) & mask) {
        const pri_pair *p = &m->pairs[m->pair_slots[slot]];
        if (p->left == left && p->right == right)
            break;
    }
    return slot;
}

static pare_status grow_pair_slots(pri_pair_merger *m)
{
    size_t count = m->pair_slot_count ? 2 * m->pair_slot_count : 4096;
    uint32_t *slots = pri_allocate(count, sizeof *slots);
    if (!slots)
        return PARE_ERROR_MEMORY;
    memset(slots, 0xff, count * sizeof *slots);
    pri_free(m->pair_slots);
    m->pair_slots = slots;
    m->pair_slot_count = count;
    for (uint32_t i = 0; i < m->pair_count; i++)
        m->pair_slots[pair_slot(m, m->pairs[i].left, m->pairs[i].right)] = i;
    return PARE_OK;
}

static pare_status find_or_add_pair(pri_pair_merger *m, uint32_t left, uint32_t right,
                                    uint32_t *index)
{
    if (2 * m->pair_count >= m->pair_slot_count)
        PRI_TRY(grow_pair_slots(m));
    size_t slot = pair_slot(m, left, right);
    if (m->pair_slots[slot] == NONE) {
        pri_pair *pairs = with_room(m->pairs, m->pair_count, &m->pair_capacity, sizeof *pairs);
        if (!pairs)
            return PARE_ERROR_MEMORY;
        m->pairs = pairs;
        m->pair_slots[slot] = (uint32_t)m->pair_count;
        m->pairs[m->pair_count++] = (pri_pair){.left = left, .right = right, .places = NONE};
    }
    *index = m->pair_slots[slot];
    return PARE_OK;
}

static pare_status touch(pri_pair_merger *m, uint32_t pair_index)
{
    if (m->pairs[pair_index].touched)
        return PARE_OK;
    uint32_t *touched =
        with_room(m->touched, m->touched_count, &m->touched_capacity, sizeof *touched);
    if (!touched)
        return PARE_ERROR_MEMORY;
    m->touched = touched;
    m->touched[m->touched_count++] = pair_index;
    m->pairs[pair_index].touched = true;
    return PARE_OK;
}

static pare_status note_place(pri_pair_merger *m, uint32_t pair_index, uint32_t word)
{
    PRI_TRY(touch(m, pair_index));
    pri_pair *p = &m->pairs[pair_index];
    if (p->places != NONE && m->places[p->places].word == word)
        return PARE_OK;
    pri_pair_place *places =
        with_room(m->places, m->place_count, &m->place_capacity, sizeof *places);
    if (!places)
        return PARE_ERROR_MEMORY;
    m->places = places;
    m->places[m->place_count] = (pri_pair_place){word, p->places};
    p->places = (uint32_t)m->place_count++;
    return PARE_OK;
}

/* Counts the pairs of a word in; `fresh`: pairs that were not in it before have this piece in them,
 * NONE: no pair was. */
static pare_status count_pairs(pri_pair_merger *m, uint32_t word, uint32_t fresh)
{
    const pri_spelled_word *spelled = &m->words[word];
    const uint32_t *pieces = m->pieces + spelled->begin;
    for (uint32_t i = 0; i + 1 < spelled->length; i++) {
        uint32_t index;
        PRI_TRY(find_or_add_pair(m, pieces[i], pieces[i + 1], &index));
        m->pairs[index].count += spelled->count;
        if (fresh == NONE || pieces[i] == fresh || pieces[i + 1] == fresh)
            PRI_TRY(note_place(m, index, word));
    }
    return PARE_OK;
}

static void discount_pairs(pri_pair_merger *m, uint32_t word)
{
    const pri_spelled_word *spelled = &m->words[word];
    const uint32_t *pieces = m->pieces + spelled->begin;
    for (uint32_t i = 0; i + 1 < spelled->length; i++)
        m->pairs[m->pair_slots[pair_slot(m, pieces[i], pieces[i + 1])]].count -= spelled->count;
}

/* ---- The heap ---- */

static bool goes_before(const pri_pair_merger *m, size_t a, size_t b)
{
    if (m->heap[a].count != m->heap[b].count)
        return m->heap[a].count > m->heap[b].count;
    const pri_pair *x = &m->pairs[m->heap[a].pair], *y = &m->pairs[m->heap[b].pair];
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static void swap_entries(pri_pair_merger *m, size_t a, size_t b)
{
    pri_pair_entry entry = m->heap[a];
    m->heap[a] = m->heap[b];
    m->heap[b] = entry;
}

static pare_status push(pri_pair_merger *m, uint32_t pair_index)
{
    pri_pair_entry *heap = with_room(m->heap, m->heap_count, &m->heap_capacity, sizeof *heap);
    if (!heap)
        return PARE_ERROR_MEMORY;
    m->heap = heap;
    size_t entry = m->heap_count++;
    m->heap[entry] = (pri_pair_entry){m->pairs[pair_index].count, pair_index};
    for (; entry && goes_before(m, entry, (entry - 1) / 2); entry = (entry - 1) / 2)
        swap_entries(m, entry, (entry - 1) / 2);
    return PARE_OK;
}

static void sink_top(pri_pair_merger *m)
{
    for (size_t entry = 0;;) {
        size_t first = entry;
        for (size_t child = 2 * entry + 1; child <= 2 * entry + 2 && child < m->heap_count; child++)
            if (goes_before(m, child, first))
                first = child;
        if (first == entry)
            return;
        swap_entries(m, entry, first);
        entry = first;
    }
}

bool pri_pair_merger_next(pri_pair_merger *m, uint64_t minimum, uint32_t *left, uint32_t *right)
{
    while (m->heap_count) {
        uint32_t top = m->heap[0].pair;
        uint64_t count = m->pairs[top].count;
        bool true_count = m->heap[0].count == count;
        if (true_count && count < minimum)
            return false;
        if (true_count || !count)
            m->heap[0] = m->heap[--m->heap_count];
        else
            m->heap[0].count = count;
        sink_top(m);
        if (true_count) {
            m->next = top;
            *left = m->pairs[top].left;
            *right = m->pairs[top].right;
            return true;
        }
    }
    return false;
}

/* The pairs that `count_pairs` noted enter the heap with their counts of now. */
static pare_status push_touched(pri_pair_merger *m)
{
    for (size_t i = 0; i < m->touched_count; i++) {
        m->pairs[m->touched[i]].touched = false;
        PRI_TRY(push(m, m->touched[i]));
    }
    m->touched_count = 0;
    return PARE_OK;
}

/* ---- Words ---- */

pare_status pri_pair_merger_add_word(pri_pair_merger *m, uint64_t count)
{
    pri_spelled_word *words = with_room(m->words, m->word_count, &m->word_capacity, sizeof *words);
    if (!words)
        return PARE_ERROR_MEMORY;
    m->words = words;
    m->words[m->word_count++] = (pri_spelled_word){.begin = m->piece_count, .count = count};
    return PARE_OK;
}

pare_status pri_pair_merger_add_piece(pri_pair_merger *m, uint32_t piece)
{
    uint32_t *pieces = with_room(m->pieces, m->piece_count, &m->piece_capacity, sizeof *pieces);
    if (!pieces)
        return PARE_ERROR_MEMORY;
    m->pieces = pieces;
    m->pieces[m->piece_count++] = piece;
    m->words[m->word_count - 1].length++;
    return PARE_OK;
}

pare_status pri_pair_merger_start(pri_pair_merger *m)
{
    for (uint32_t i = 0; i < m->word_count; i++)
        PRI_TRY(count_pairs(m, i, NONE));
    return push_touched(m);
}

/* ---- Merging ---- */

static void merge_in_word(pri_pair_merger *m, uint32_t word, uint32_t left, uint32_t right,
                          uint32_t merged)
{
    pri_spelled_word *spelled = &m->words[word];
    uint32_t *pieces = m->pieces + spelled->begin, kept = 0;
    for (uint32_t i = 0; i < spelled->length; i++) {
        bool together = i + 1 < spelled->length && pieces[i] == left && pieces[i + 1] == right;
        pieces[kept++] = together ? merged : pieces[i];
        i += together;
    }
    spelled->length = kept;
}

pare_status pri_pair_merger_merge(pri_pair_merger *m, uint32_t merged)
{
    pri_pair merging = m->pairs[m->next];
    for (uint32_t i = merging.places; i != NONE; i = m->places[i].next) {
        uint32_t word = m->places[i].word;
        discount_pairs(m, word);
        merge_in_word(m, word, merging.left, merging.right, merged);
        PRI_TRY(count_pairs(m, word, merged));
    }
    return push_touched(m);
}
