/* From words to pieces. Joining the earliest merge of all, the leftmost first, again and again
 * would take time that grows with the square of a word's length; instead a heap has the merges that
 * are possible, by number and place. A merge that another one made impossible is seen when it comes
 * to the top: each piece knows by which merge the next one can be joined to it now. */
#include "base/memory.h"
#include "base/utf8.h"
#include "text/bpe_words.h"
#include "text/pieces.h"

#define NONE UINT32_MAX

typedef struct symbol {
    uint32_t id;
    uint32_t previous, next; /* NONE at the ends of the word */
    uint32_t rank;           /* of the merge with the next, or NONE; joined to another: NONE */
    uint32_t begin, end;     /* in the text */
} symbol;

typedef struct encoder {
    const pare_bpe *bpe;
    pare_pieces *pieces;
    symbol *symbols; /* of the present word; those that were joined to another stay */
    size_t symbol_count, symbol_capacity;
    uint64_t *heap; /* rank << 32 | place */
    size_t heap_count, heap_capacity;
} encoder;

/* ---- The heap ---- */

static pare_status push(encoder *e, uint64_t entry)
{
    if (e->heap_count == e->heap_capacity) {
        size_t capacity = e->heap_capacity ? 2 * e->heap_capacity : 64;
        uint64_t *heap = pri_reallocate(e->heap, e->heap_count, capacity, sizeof *heap);
        if (!heap)
            return PARE_ERROR_MEMORY;
        e->heap = heap;
        e->heap_capacity = capacity;
    }
    size_t place = e->heap_count++;
    for (; place && e->heap[(place - 1) / 2] > entry; place = (place - 1) / 2)
        e->heap[place] = e->heap[(place - 1) / 2];
    e->heap[place] = entry;
    return PARE_OK;
}

static uint64_t pop(encoder *e)
{
    uint64_t top = e->heap[0], entry = e->heap[--e->heap_count];
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < e->heap_count; place = child) {
        if (child + 1 < e->heap_count && e->heap[child + 1] < e->heap[child])
            child++;
        if (e->heap[child] >= entry)
            break;
        e->heap[place] = e->heap[child];
    }
    e->heap[place] = entry;
    return top;
}

/* ---- Merging ---- */

/* Looks up how the piece at `place` can be joined with the one behind it. */
static pare_status find_merge(encoder *e, uint32_t place)
{
    symbol *left = &e->symbols[place];
    left->rank =
        left->next == NONE ? NONE : pri_bpe_rank(e->bpe, left->id, e->symbols[left->next].id);
    return left->rank == NONE ? PARE_OK : push(e, (uint64_t)left->rank << 32 | place);
}

static pare_status join(encoder *e, uint32_t place)
{
    symbol *left = &e->symbols[place], *right = &e->symbols[left->next];
    left->id = e->bpe->merges[left->rank].merged;
    left->end = right->end;
    left->next = right->next;
    right->rank = NONE;
    if (right->next != NONE)
        e->symbols[right->next].previous = place;
    if (left->previous != NONE)
        PRI_TRY(find_merge(e, left->previous));
    return find_merge(e, place);
}

static pare_status merge_word(encoder *e)
{
    e->heap_count = 0;
    for (uint32_t place = 0; place < e->symbol_count; place++)
        PRI_TRY(find_merge(e, place));
    while (e->heap_count) {
        uint64_t entry = pop(e);
        uint32_t place = (uint32_t)entry;
        if (e->symbols[place].rank == entry >> 32)
            PRI_TRY(join(e, place));
    }
    return PARE_OK;
}

/* ---- Words ---- */

static pare_status reserve_symbols(encoder *e, size_t count)
{
    if (count <= e->symbol_capacity)
        return PARE_OK;
    size_t capacity = e->symbol_capacity ? e->symbol_capacity : 64;
    while (capacity < count)
        capacity *= 2;
    symbol *symbols = pri_reallocate(e->symbols, 0, capacity, sizeof *symbols);
    if (!symbols)
        return PARE_ERROR_MEMORY;
    e->symbols = symbols;
    e->symbol_capacity = capacity;
    return PARE_OK;
}

static void add_symbol(encoder *e, uint32_t id, uint32_t begin, uint32_t end)
{
    uint32_t place = (uint32_t)e->symbol_count++;
    e->symbols[place] =
        (symbol){.id = id, .previous = place - 1, .next = place + 1, .begin = begin, .end = end};
}

/* `place` - 1 of the first is NONE already. */
static void end_symbols(encoder *e)
{
    e->symbols[e->symbol_count - 1].next = NONE;
}

static void spell_segment(encoder *e, const pri_bpe_segment *segment)
{
    const pri_bert_word *word = segment->word;
    e->symbol_count = 0;
    if (segment->marked)
        add_symbol(e, pri_bpe_letter_id(e->bpe, PRI_METASPACE_CHARACTER, false),
                   word->begins[segment->begin], word->ends[segment->begin]);
    for (size_t i = segment->begin, length; i < segment->end; i += length) {
        uint32_t character;
        length = pri_utf8_read(word->bytes + i, segment->end - i, &character);
        uint32_t id = pri_bpe_letter_id(e->bpe, character, i + length == segment->end);
        add_symbol(e, id, word->begins[i], word->ends[i]);
    }
    end_symbols(e);
}

static pare_status encode_segment(void *user, const pri_bpe_segment *segment)
{
    encoder *e = user;
    PRI_TRY(reserve_symbols(e, segment->end - segment->begin + segment->marked));
    spell_segment(e, segment);
    PRI_TRY(merge_word(e));
    for (uint32_t place = 0; place != NONE; place = e->symbols[place].next)
        PRI_TRY(pri_pieces_add(e->pieces, e->symbols[place].id, e->symbols[place].begin,
                               e->symbols[place].end));
    return PARE_OK;
}

/* ---- The call ---- */

pare_status pare_bpe_encode(const pare_bpe *bpe, const char *text, size_t length,
                            pare_pieces *pieces)
{
    encoder e = {.bpe = bpe, .pieces = pieces};
    pri_bpe_cutter cutter = {0};
    pri_bpe_cutter_begin(&cutter, bpe, encode_segment, &e);
    pare_status status = pri_pieces_of_text(&bpe->tokens, &cutter.words, text, length, pieces);
    pri_bpe_cutter_free(&cutter);
    pri_free(e.symbols);
    pri_free(e.heap);
    return status;
}
