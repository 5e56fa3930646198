/* From words to the longest pieces that the vocabulary has. */
#include "text/pieces.h"
#include "text/wordpiece.h"

typedef struct encoder {
    const pare_wordpiece *tokenizer;
    pare_pieces *pieces;
} encoder;

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
        PRI_TRY(pri_pieces_add(e->pieces, id, word->begins[position],
                               word->ends[position + length - 1]));
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
    return pri_pieces_add(e->pieces, e->tokenizer->roles[PRI_UNKNOWN_PIECE], word->begin,
                          word->end);
}

pare_status pare_wordpiece_encode(const pare_wordpiece *tokenizer, const char *text, size_t length,
                                  pare_pieces *pieces)
{
    encoder e = {.tokenizer = tokenizer, .pieces = pieces};
    pri_word_cutter cutter = {.rules = &tokenizer->rules, .visit = encode_word, .user = &e};
    pare_status status = pri_pieces_of_text(&tokenizer->tokens, &cutter, text, length, pieces);
    pri_word_cutter_free(&cutter);
    return status;
}
