/* What a WordPiece tokenizer consists of: its tokens, the two tables that pieces are looked up in,
 * and the special tokens. */
#include "text/wordpiece.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"

const char *const pri_role_names[PRI_ROLES] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
const char *const pri_role_settings[PRI_ROLES] = {"pad_token", "unk_token", "cls_token",
                                                  "sep_token", "mask_token"};

pare_status pri_wordpiece_create(const pri_bert_settings *settings, pare_wordpiece **tokenizer)
{
    *tokenizer = pri_allocate_zero(1, sizeof **tokenizer);
    if (!*tokenizer)
        return PARE_ERROR_MEMORY;
    pri_bert_rules_prepare(&(*tokenizer)->rules, settings);
    return PARE_OK;
}

void pare_wordpiece_destroy(pare_wordpiece *tokenizer)
{
    if (!tokenizer)
        return;
    pri_word_table_free(&tokenizer->tokens);
    pri_free(tokenizer->added);
    pri_free(tokenizer->first.slots);
    pri_free(tokenizer->continuing.slots);
    pri_free(tokenizer);
}

/* ---- Tokens ---- */

uint32_t pri_wordpiece_find(const pare_wordpiece *tokenizer, const char *token)
{
    return pri_word_table_find(&tokenizer->tokens, token, strlen(token) + 1);
}

pare_status pri_wordpiece_add_token(pare_wordpiece *tokenizer, const char *token, const char *name)
{
    if (!*token)
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token is empty", name);
    if (!pri_utf8_valid(token))
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token is not UTF-8", name);
    if (strpbrk(token, "\r\n"))
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token has a line break in it", name);
    size_t count = tokenizer->tokens.count;
    uint32_t id;
    PRI_TRY(pri_word_table_add(&tokenizer->tokens, token, strlen(token) + 1, 0, &id));
    if (id != count)
        return pri_fail(PARE_ERROR_FORMAT, "%s: token \"%s\" has the id %u already", name, token,
                        id);
    return PARE_OK;
}

pare_status pri_wordpiece_add_special(pare_wordpiece *tokenizer, uint32_t id)
{
    for (size_t i = 0; i < tokenizer->added_count; i++)
        if (tokenizer->added[i] == id)
            return PARE_OK;
    size_t count = tokenizer->added_count;
    uint32_t *added = pri_reallocate(tokenizer->added, count, count + 1, sizeof *added);
    if (!added)
        return PARE_ERROR_MEMORY;
    added[count] = id;
    tokenizer->added = added;
    tokenizer->added_count++;
    tokenizer->begins_added[(unsigned char)*pri_wordpiece_bytes(tokenizer, id)] = true;
    return PARE_OK;
}

/* ---- Look-up ---- */

static uint32_t slot_hash(uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32));
}

uint32_t pri_piece_find(const pare_wordpiece *tokenizer, const pri_piece_table *table,
                        uint64_t hash, const char *bytes, size_t length)
{
    uint32_t wanted = slot_hash(hash);
    size_t mask = table->slot_count - 1;
    for (size_t i = wanted & mask; table->slots[i].id != PRI_NO_WORD; i = (i + 1) & mask) {
        const pri_piece_slot *slot = &table->slots[i];
        const pri_word *token = &tokenizer->tokens.words[slot->id];
        if (slot->hash == wanted && token->length - 1 - table->skipped == length &&
            !memcmp(pri_wordpiece_bytes(tokenizer, slot->id) + table->skipped, bytes, length))
            return slot->id;
    }
    return PRI_NO_WORD;
}

static void insert_piece(pare_wordpiece *tokenizer, pri_piece_table *table, uint32_t id)
{
    const char *key = pri_wordpiece_bytes(tokenizer, id) + table->skipped;
    size_t length = strlen(key), mask = table->slot_count - 1;
    uint64_t hash = PRI_PIECE_HASH_START;
    for (size_t i = 0; i < length; i++)
        hash = pri_piece_hash_step(hash, key[i]);
    size_t slot = slot_hash(hash) & mask;
    while (table->slots[slot].id != PRI_NO_WORD)
        slot = (slot + 1) & mask;
    table->slots[slot] = (pri_piece_slot){slot_hash(hash), id};
    table->longest = length > table->longest ? length : table->longest;
}

static bool is_continuing(const char *token)
{
    return !strncmp(token, PRI_CONTINUATION, PRI_CONTINUATION_LENGTH);
}

static pare_status open_table(pri_piece_table *table, size_t tokens, size_t skipped)
{
    table->skipped = skipped;
    table->slot_count = 1;
    while (table->slot_count < 2 * tokens + 2)
        table->slot_count *= 2;
    table->slots = pri_allocate(table->slot_count, sizeof *table->slots);
    if (!table->slots)
        return PARE_ERROR_MEMORY;
    memset(table->slots, 0xff, table->slot_count * sizeof *table->slots);
    return PARE_OK;
}

static pare_status fill_tables(pare_wordpiece *tokenizer)
{
    size_t continuing = 0;
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++)
        continuing += is_continuing(pri_wordpiece_bytes(tokenizer, id));
    PRI_TRY(open_table(&tokenizer->first, tokenizer->vocabulary - continuing, 0));
    PRI_TRY(open_table(&tokenizer->continuing, continuing, PRI_CONTINUATION_LENGTH));
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++) {
        bool continues = is_continuing(pri_wordpiece_bytes(tokenizer, id));
        insert_piece(tokenizer, continues ? &tokenizer->continuing : &tokenizer->first, id);
    }
    return PARE_OK;
}

pare_status pri_wordpiece_finish(pare_wordpiece *tokenizer, const char *const role_names[PRI_ROLES],
                                 const char *name)
{
    tokenizer->vocabulary = tokenizer->tokens.count;
    for (int role = 0; role < PRI_ROLES; role++) {
        tokenizer->roles[role] = pri_wordpiece_find(tokenizer, role_names[role]);
        if (tokenizer->roles[role] == PRI_NO_WORD)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: the special token \"%s\" is not among its %zu tokens; it is not a "
                            "BERT vocabulary, or its end is missing",
                            name, role_names[role], tokenizer->tokens.count);
    }
    return fill_tables(tokenizer);
}

/* ---- Use ---- */

size_t pare_wordpiece_size(const pare_wordpiece *tokenizer)
{
    return tokenizer->tokens.count;
}

const char *pare_wordpiece_token(const pare_wordpiece *tokenizer, uint32_t id)
{
    return pri_wordpiece_bytes(tokenizer, id);
}

pare_special_tokens pare_wordpiece_special_tokens(const pare_wordpiece *tokenizer)
{
    const uint32_t *roles = tokenizer->roles;
    return (pare_special_tokens){.padding = roles[PRI_PADDING],
                                 .unknown = roles[PRI_UNKNOWN_PIECE],
                                 .classification = roles[PRI_CLASSIFICATION],
                                 .separator = roles[PRI_SEPARATOR],
                                 .mask = roles[PRI_MASK]};
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    return pri_hash(hash, bytes, sizeof bytes);
}

uint64_t pare_wordpiece_hash(const pare_wordpiece *tokenizer)
{
    const pri_bert_settings *settings = &tokenizer->rules.settings;
    uint64_t hash = PRI_HASH_START;
    for (uint32_t id = 0; id < tokenizer->tokens.count; id++)
        hash =
            pri_hash(hash, pri_wordpiece_bytes(tokenizer, id), tokenizer->tokens.words[id].length);
    hash = hash_number(hash, tokenizer->vocabulary);
    hash = hash_number(hash, settings->word_characters);
    hash = hash_number(hash, (uint64_t)settings->clean_text | (uint64_t)settings->lower_case << 1 |
                                 (uint64_t)settings->split_ideographs << 2 |
                                 (uint64_t)tokenizer->rules.strip_accents << 3);
    for (int role = 0; role < PRI_ROLES; role++)
        hash = hash_number(hash, tokenizer->roles[role]);
    for (size_t i = 0; i < tokenizer->added_count; i++)
        hash = hash_number(hash, tokenizer->added[i]);
    return hash;
}
