/* From text to pieces, in one pass over the text.
 *
 * The package rewrites a whole text step by step (clean, set ideographs apart, decompose, strip,
 * lower) and keeps for each byte of the result where it came from. The same comes out character by
 * character, because all steps but one look at single characters: ASCII, most of any text, takes a
 * table. The one that does not is the order of combining characters, which is settled within a
 * cluster, a character and the combining ones behind it; "sources" and "made" below are the
 * cluster before and after decomposition. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/bert_characters.h"
#include "text/wordpiece.h"

typedef struct made_character {
    uint32_t character;
    uint8_t combining_class;
    bool additional; /* not the first that its source became */
} made_character;

typedef struct source_character {
    uint32_t begin, end;
} source_character;

typedef struct cluster {
    source_character *sources;
    size_t source_count, source_capacity;
    made_character *made, *scratch;
    size_t made_count, made_capacity;
} cluster;

/* The word under construction: UTF-8, and for each byte the bytes of the text it came from. */
typedef struct open_word {
    char *bytes;
    uint32_t *begins, *ends;
    size_t length, capacity, characters;
    uint32_t begin, end; /* all of it; a word that is too long keeps nothing else */
} open_word;

typedef struct encoder {
    const pare_wordpiece *tokenizer;
    const pri_wordpiece_settings *settings;
    bool strip_accents;
    const char *text;
    pare_pieces *pieces;
    open_word word;
    cluster cluster;
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
static pare_status split_word(encoder *e, bool *known)
{
    const open_word *word = &e->word;
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

/* ---- Words ---- */

static pare_status finish_word(encoder *e)
{
    open_word *word = &e->word;
    if (!word->characters)
        return PARE_OK;
    size_t before = e->pieces->count;
    bool known = false;
    if (word->characters <= e->settings->word_characters)
        PRI_TRY(split_word(e, &known));
    word->length = word->characters = 0;
    if (known)
        return PARE_OK;
    e->pieces->count = before;
    return add_piece(e->pieces, e->tokenizer->roles[PRI_UNKNOWN_PIECE], word->begin, word->end);
}

static pare_status grow_word(open_word *word)
{
    size_t capacity = word->capacity ? 2 * word->capacity : 256;
    char *bytes = pri_reallocate(word->bytes, word->length, capacity, 1);
    if (bytes)
        word->bytes = bytes;
    uint32_t *begins = pri_reallocate(word->begins, word->length, capacity, sizeof *begins);
    if (begins)
        word->begins = begins;
    uint32_t *ends = pri_reallocate(word->ends, word->length, capacity, sizeof *ends);
    if (ends)
        word->ends = ends;
    if (!bytes || !begins || !ends)
        return PARE_ERROR_MEMORY;
    word->capacity = capacity;
    return PARE_OK;
}

static pare_status append_to_word(encoder *e, const char *bytes, size_t length, uint32_t begin,
                                  uint32_t end)
{
    open_word *word = &e->word;
    if (!word->characters)
        word->begin = begin;
    word->end = end;
    if (++word->characters > e->settings->word_characters)
        return PARE_OK;
    if (word->capacity - word->length < length)
        PRI_TRY(grow_word(word));
    for (size_t i = 0; i < length; i++) {
        word->bytes[word->length] = bytes[i];
        word->begins[word->length] = begin;
        word->ends[word->length++] = end;
    }
    return PARE_OK;
}

static pare_status whole_word(encoder *e, const char *bytes, size_t length, uint32_t begin,
                              uint32_t end)
{
    PRI_TRY(finish_word(e));
    PRI_TRY(append_to_word(e, bytes, length, begin, end));
    return finish_word(e);
}

/* A character that went through all steps of normalization. */
static pare_status take_character(encoder *e, uint32_t character, source_character source)
{
    pri_character_kind kind = pri_character_kind_of(character);
    if (kind.flags & PRI_SPACE)
        return finish_word(e);
    char bytes[4];
    size_t length = pri_utf8_write(character, bytes);
    bool alone = kind.flags & PRI_PUNCTUATION;
    return (alone ? whole_word : append_to_word)(e, bytes, length, source.begin, source.end);
}

static pare_status lower_and_take(encoder *e, uint32_t character, source_character source)
{
    uint32_t lower[PRI_LONGEST_LOWER_CASE] = {character};
    size_t count = e->settings->lower_case ? pri_lower_case(character, lower) : 1;
    for (size_t i = 0; i < count; i++)
        PRI_TRY(take_character(e, lower[i], source));
    return PARE_OK;
}

/* ---- Clusters ---- */

static pare_status grow_cluster(cluster *c)
{
    if (c->source_count == c->source_capacity) {
        size_t capacity = c->source_capacity ? 2 * c->source_capacity : 16;
        source_character *sources =
            pri_reallocate(c->sources, c->source_count, capacity, sizeof *sources);
        if (!sources)
            return PARE_ERROR_MEMORY;
        c->sources = sources;
        c->source_capacity = capacity;
    }
    if (c->made_capacity - c->made_count < PRI_LONGEST_DECOMPOSITION) {
        size_t capacity = c->made_capacity ? 2 * c->made_capacity : 64;
        made_character *made = pri_reallocate(c->made, c->made_count, capacity, sizeof *made);
        if (made)
            c->made = made;
        made_character *scratch = pri_reallocate(c->scratch, 0, capacity, sizeof *scratch);
        if (scratch)
            c->scratch = scratch;
        if (!made || !scratch)
            return PARE_ERROR_MEMORY;
        c->made_capacity = capacity;
    }
    return PARE_OK;
}

static pare_status add_to_cluster(encoder *e, uint32_t character, pri_character_kind kind,
                                  source_character source)
{
    cluster *c = &e->cluster;
    PRI_TRY(grow_cluster(c));
    c->sources[c->source_count++] = source;
    uint32_t decomposed[PRI_LONGEST_DECOMPOSITION] = {character};
    bool decomposes = kind.flags & PRI_DECOMPOSES;
    size_t count = decomposes ? pri_decompose(character, decomposed) : 1;
    for (size_t i = 0; i < count; i++) {
        uint8_t combining_class = decomposes ? pri_character_kind_of(decomposed[i]).combining_class
                                             : kind.combining_class;
        c->made[c->made_count++] = (made_character){decomposed[i], combining_class, i > 0};
    }
    return PARE_OK;
}

/* Stable, and linear in the number of characters, of which hostile text has many. */
static void sort_by_class(made_character *made, size_t count, made_character *scratch)
{
    size_t places[257] = {0};
    for (size_t i = 0; i < count; i++)
        places[made[i].combining_class + 1]++;
    for (int i = 0; i < 256; i++)
        places[i + 1] += places[i];
    for (size_t i = 0; i < count; i++)
        scratch[places[made[i].combining_class]++] = made[i];
    memcpy(made, scratch, count * sizeof *made);
}

/* Canonical order: characters of another class than 0 that follow each other rise in class. */
static void order_cluster(cluster *c)
{
    for (size_t begin = 0, end; begin < c->made_count; begin = end) {
        bool ordered = true;
        end = begin + 1;
        if (!c->made[begin].combining_class)
            continue;
        for (; end < c->made_count && c->made[end].combining_class; end++)
            ordered &= c->made[end - 1].combining_class <= c->made[end].combining_class;
        if (!ordered)
            sort_by_class(c->made + begin, end - begin, c->scratch);
    }
}

/* As the package does, a character gets the source at its place in the new order, which is not the
 * one it was made from when characters changed places. */
static pare_status finish_cluster(encoder *e)
{
    cluster *c = &e->cluster;
    order_cluster(c);
    size_t source = 0;
    for (size_t i = 0; i < c->made_count; i++) {
        const made_character *made = &c->made[i];
        source += !made->additional;
        if (!(pri_character_kind_of(made->character).flags & PRI_MARK))
            PRI_TRY(lower_and_take(e, made->character, c->sources[source ? source - 1 : 0]));
    }
    c->source_count = c->made_count = 0;
    return PARE_OK;
}

/* The combining class of the first character that this one becomes. */
static uint8_t leading_class(uint32_t character, pri_character_kind kind)
{
    if (!(kind.flags & PRI_DECOMPOSES))
        return kind.combining_class;
    uint32_t decomposed[PRI_LONGEST_DECOMPOSITION];
    pri_decompose(character, decomposed);
    return pri_character_kind_of(decomposed[0]).combining_class;
}

/* A character outside ASCII that was not dropped. */
static pare_status encode_character(encoder *e, uint32_t character, pri_character_kind kind,
                                    source_character source)
{
    bool ideograph = e->settings->split_ideographs && pri_is_ideograph(character);
    if (!e->strip_accents && !ideograph)
        return lower_and_take(e, character, source);
    if (ideograph || !leading_class(character, kind))
        PRI_TRY(finish_cluster(e));
    if (ideograph)
        PRI_TRY(finish_word(e));
    if (e->strip_accents)
        PRI_TRY(add_to_cluster(e, character, kind, source));
    else
        PRI_TRY(lower_and_take(e, character, source));
    if (!ideograph)
        return PARE_OK;
    PRI_TRY(finish_cluster(e));
    return finish_word(e);
}

static pare_status encode_ascii(encoder *e, char byte, uint32_t position)
{
    pri_ascii_role role = e->tokenizer->ascii_roles[(unsigned char)byte];
    if (role == PRI_ASCII_DROPPED)
        return PARE_OK;
    if (e->cluster.made_count)
        PRI_TRY(finish_cluster(e));
    if (role == PRI_ASCII_SPACE)
        return finish_word(e);
    char letter = e->tokenizer->ascii_letters[(unsigned char)byte];
    return (role == PRI_ASCII_PUNCTUATION ? whole_word : append_to_word)(e, &letter, 1, position,
                                                                         position + 1);
}

/* A part of the text without added tokens. */
static pare_status encode_part(encoder *e, size_t begin, size_t end)
{
    for (size_t position = begin; position < end;) {
        if ((unsigned char)e->text[position] < 0x80) {
            PRI_TRY(encode_ascii(e, e->text[position], (uint32_t)position));
            position++;
            continue;
        }
        uint32_t character;
        size_t length = pri_utf8_read(e->text + position, end - position, &character);
        source_character source = {(uint32_t)position, (uint32_t)(position + length)};
        pri_character_kind kind = pri_character_kind_of(character);
        if (!e->settings->clean_text || !(kind.flags & PRI_DROPPED))
            PRI_TRY(encode_character(e, character, kind, source));
        position += length;
    }
    PRI_TRY(finish_cluster(e));
    return finish_word(e);
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
        PRI_TRY(encode_part(e, part, position));
        PRI_TRY(add_piece(e->pieces, id, (uint32_t)position, (uint32_t)(position + length)));
        part = position += length;
    }
    return encode_part(e, part, size);
}

/* ---- The call ---- */

static void free_encoder(encoder *e)
{
    pri_free(e->word.bytes);
    pri_free(e->word.begins);
    pri_free(e->word.ends);
    pri_free(e->cluster.sources);
    pri_free(e->cluster.made);
    pri_free(e->cluster.scratch);
}

pare_status pare_wordpiece_encode(const pare_wordpiece *tokenizer, const char *text, size_t length,
                                  pare_pieces *pieces)
{
    if (length >= UINT32_MAX)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "a text of %zu bytes has no 32-bit offsets; encode "
                        "it line by line",
                        length);
    encoder e = {.tokenizer = tokenizer,
                 .settings = &tokenizer->settings,
                 .strip_accents = pri_strips_accents(&tokenizer->settings),
                 .text = text,
                 .pieces = pieces};
    size_t before = pieces->count;
    pare_status status = encode_text(&e, length);
    if (status != PARE_OK)
        pieces->count = before;
    free_encoder(&e);
    return status;
}

/* ---- Offsets in characters ---- */

/* Moves *character and *byte, a position in characters and in bytes, on or back to byte `wanted`.
 */
static uint32_t count_to(const char *text, size_t length, uint32_t wanted, uint32_t *character,
                         uint32_t *byte)
{
    if (wanted < *byte)
        *character = *byte = 0;
    while (*byte < wanted) {
        uint32_t value;
        *byte += (uint32_t)pri_utf8_read(text + *byte, length - *byte, &value);
        ++*character;
    }
    return *character;
}

void pare_pieces_count_characters(pare_pieces *pieces, const char *text, size_t length)
{
    uint32_t character = 0, byte = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        pieces->begins[i] = count_to(text, length, pieces->begins[i], &character, &byte);
        pieces->ends[i] = count_to(text, length, pieces->ends[i], &character, &byte);
    }
}
