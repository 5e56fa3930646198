/* Pieces of texts: growing lists of them, added tokens that stand in a text, and places in
 * characters. */
#include "text/pieces.h"

#include "base/memory.h"
#include "base/utf8.h"

/* ---- Lists ---- */

static pare_status reserve_pieces(pare_pieces *pieces, size_t additional)
{
    if (pieces->capacity - pieces->count >= additional)
        return PARE_OK;
    size_t capacity = pieces->capacity ? 2 * pieces->capacity : 64;
    while (capacity - pieces->count < additional)
        capacity *= 2;
    uint32_t **const arrays[] = {&pieces->ids, &pieces->begins, &pieces->ends};
    for (int i = 0; i < 3; i++) {
        uint32_t *larger = pri_reallocate(*arrays[i], pieces->count, capacity, sizeof *larger);
        if (!larger)
            return PARE_ERROR_MEMORY;
        *arrays[i] = larger;
    }
    pieces->capacity = capacity;
    return PARE_OK;
}

pare_status pri_pieces_add(pare_pieces *pieces, uint32_t id, uint32_t begin, uint32_t end)
{
    PRI_TRY(reserve_pieces(pieces, 1));
    pieces->ids[pieces->count] = id;
    pieces->begins[pieces->count] = begin;
    pieces->ends[pieces->count++] = end;
    return PARE_OK;
}

void pare_pieces_free(pare_pieces *pieces)
{
    pri_free(pieces->ids);
    pri_free(pieces->begins);
    pri_free(pieces->ends);
    *pieces = (pare_pieces){0};
}

/* ---- Texts ---- */

static pare_status cut_text(const pri_token_list *tokens, pri_word_cutter *cutter, const char *text,
                            size_t size, pare_pieces *pieces)
{
    size_t part = 0, length;
    for (size_t position = 0; position < size;) {
        uint32_t id = pri_token_list_added_at(tokens, text + position, size - position, &length);
        if (id == PRI_NO_WORD) {
            position++;
            continue;
        }
        PRI_TRY(pri_cut_words(cutter, text, part, position));
        PRI_TRY(pri_pieces_add(pieces, id, (uint32_t)position, (uint32_t)(position + length)));
        part = position += length;
    }
    return pri_cut_words(cutter, text, part, size);
}

pare_status pri_pieces_of_text(const pri_token_list *tokens, pri_word_cutter *cutter,
                               const char *text, size_t length, pare_pieces *pieces)
{
    if (length >= UINT32_MAX)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "a text of %zu bytes has no 32-bit offsets; encode "
                        "it line by line",
                        length);
    size_t before = pieces->count;
    pare_status status = cut_text(tokens, cutter, text, length, pieces);
    if (status != PARE_OK)
        pieces->count = before;
    return status;
}

/* ---- Offsets in characters ---- */

typedef struct text_place {
    uint32_t byte, character;
} text_place;

/* Moves a place on to a byte, back only by way of the beginning, and returns its character. */
static uint32_t move_to(text_place *place, uint32_t byte, const char *text, size_t length)
{
    if (byte < place->byte)
        *place = (text_place){0, 0};
    while (place->byte < byte) {
        uint32_t value;
        place->byte += (uint32_t)pri_utf8_read(text + place->byte, length - place->byte, &value);
        place->character++;
    }
    return place->character;
}

/* Begins never fall from piece to piece, nor do ends, but a begin can lie before the last end. */
void pare_pieces_count_characters(pare_pieces *pieces, const char *text, size_t length)
{
    text_place begin = {0, 0}, end = {0, 0};
    for (size_t i = 0; i < pieces->count; i++) {
        pieces->begins[i] = move_to(&begin, pieces->begins[i], text, length);
        pieces->ends[i] = move_to(&end, pieces->ends[i], text, length);
    }
}
