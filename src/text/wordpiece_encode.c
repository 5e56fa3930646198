/* From words to pieces, and the special tokens that stand in a text. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/wordpiece.h"

typedef struct encoder {
    const pare_wordpiece *tokenizer;
    const char *text;
    pare_pieces *pieces;
    pri_word_cutter cutter;
} encoder;

/* ---- Pieces ---- */

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

static pare_status add_piece(pare_pieces *pieces, uint32_t id, uint32_t begin, uint32_t end)
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

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

/* The longest piece that `bytes` begin with; its id, or PRI_NO_WORD. */
static uint32_t find_longest(const pare_wordpiece *tokenizer, const pri_piece_table *table,
                             const char *bytes, size_t size, size_t *length)
{
    uint32_t longest = PRI_NO_WORD;
    uint64_t hash = PRI_PIECE_HASH_START;
    if (size > table->longest)
        size = table->longest + 1; /* so that bytes[i + 1] below is the text's own */
    for (size_t i = 0; i < size; i++) {
        hash = pri_piece_hash_step(hash, bytes[i]);
        if (i + 1 < size && !begins_character(bytes[i + 1]))
            continue;
        uint32_t id = pri_piece_find(tokenizer, table, hash, bytes, i + 1);
        if (id != PRI_NO_WORD) {
            longest = id;
            *length = i + 1;
        }
    }
    return longest;
}

/* *known: whether the vocabulary can spell the word. */
static pare_status split_word(encoder *e, const pri_bert_word *word, bool *known)
{
    const pri_piece_table *table = &e->tokenizer->first;
    size_t length = 0;
    *known = false;
    for (size_t position = 0; position < word->length; position += length) {
        uint32_t id = find_longest(e->tokenizer, table, word->bytes + position,
                                   word->length - position, &length);
        if (id == PRI_NO_WORD)
            return PARE_OK;
        PRI_TRY(
            add_piece(e->pieces, id, word->begins[position], word->ends[position + length - 1]));
        table = &e->tokenizer->continuing;
    }
    *known = true;
    return PARE_OK;
}

static pare_status encode_word(void *user, const pri_bert_word *word)
{
    encoder *e = user;
    size_t before = e->pieces->count;
    bool known = false;
    if (word->characters <= e->tokenizer->rules.settings.word_characters)
        PRI_TRY(split_word(e, word, &known));
    if (known)
        return PARE_OK;
    e->pieces->count = before;
    return add_piece(e->pieces, e->tokenizer->roles[PRI_UNKNOWN_PIECE], word->begin, word->end);
}

/* ---- Added tokens ---- */

/* The longest added token at `text`; its id and bytes, or PRI_NO_WORD. */
static uint32_t added_at(const pare_wordpiece *tokenizer, const char *text, size_t size,
                         size_t *length)
{
    uint32_t found = PRI_NO_WORD;
    *length = 0;
    if (!tokenizer->begins_added[(unsigned char)*text])
        return found;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        size_t bytes = tokenizer->tokens.words[tokenizer->added[i]].length - 1;
        if (bytes > *length && bytes <= size &&
            !memcmp(pri_wordpiece_bytes(tokenizer, tokenizer->added[i]), text, bytes)) {
            found = tokenizer->added[i];
            *length = bytes;
        }
    }
    return found;
}

static pare_status encode_text(encoder *e, size_t size)
{
    size_t part = 0, length;
    for (size_t position = 0; position < size;) {
        uint32_t id = added_at(e->tokenizer, e->text + position, size - position, &length);
        if (id == PRI_NO_WORD) {
            position++;
            continue;
        }
        PRI_TRY(pri_cut_words(&e->cutter, e->text, part, position));
        PRI_TRY(add_piece(e->pieces, id, (uint32_t)position, (uint32_t)(position + length)));
        part = position += length;
    }
    return pri_cut_words(&e->cutter, e->text, part, size);
}

/* ---- The call ---- */

pare_status pare_wordpiece_encode(const pare_wordpiece *tokenizer, const char *text, size_t length,
                                  pare_pieces *pieces)
{
    if (length >= UINT32_MAX)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "a text of %zu bytes has no 32-bit offsets; encode "
                        "it line by line",
                        length);
    encoder e = {.tokenizer = tokenizer, .text = text, .pieces = pieces};
    e.cutter = (pri_word_cutter){.rules = &tokenizer->rules, .visit = encode_word, .user = &e};
    size_t before = pieces->count;
    pare_status status = encode_text(&e, length);
    if (status != PARE_OK)
        pieces->count = before;
    pri_word_cutter_free(&e.cutter);
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
