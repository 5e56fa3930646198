/* What a WordPiece tokenizer consists of: its tokens, the two tables that pieces are looked up in,
 * and the special tokens. */
#include "text/wordpiece.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

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
    pri_token_list_free(&tokenizer->tokens);
    pri_free(tokenizer->first.slots);
    pri_free(tokenizer->continuing.slots);
    pri_free(tokenizer);
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
        const pri_word *token = &tokenizer->tokens.table.words[slot->id];
        if (slot->hash == wanted && token->length - 1 - table->skipped == length &&
            !memcmp(pri_token_list_bytes(&tokenizer->tokens, slot->id) + table->skipped, bytes,
                    length))
            return slot->id;
    }
    return PRI_NO_WORD;
}

static void insert_piece(pare_wordpiece *tokenizer, pri_piece_table *table, uint32_t id)
{
    const char *key = pri_token_list_bytes(&tokenizer->tokens, id) + table->skipped;
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
        continuing += is_continuing(pri_token_list_bytes(&tokenizer->tokens, id));
    PRI_TRY(open_table(&tokenizer->first, tokenizer->vocabulary - continuing, 0));
    PRI_TRY(open_table(&tokenizer->continuing, continuing, PRI_CONTINUATION_LENGTH));
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++) {
        bool continues = is_continuing(pri_token_list_bytes(&tokenizer->tokens, id));
        insert_piece(tokenizer, continues ? &tokenizer->continuing : &tokenizer->first, id);
    }
    return PARE_OK;
}

pare_status pri_wordpiece_finish(pare_wordpiece *tokenizer, const char *const role_names[PRI_ROLES],
                                 const char *name)
{
    tokenizer->vocabulary = tokenizer->tokens.table.count;
    for (int role = 0; role < PRI_ROLES; role++) {
        tokenizer->roles[role] = pri_token_list_find(&tokenizer->tokens, role_names[role]);
        if (tokenizer->roles[role] == PRI_NO_WORD)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: the special token \"%s\" is not among its %zu tokens; it is not a "
                            "BERT vocabulary, or its end is missing",
                            name, role_names[role], tokenizer->tokens.table.count);
    }
    return fill_tables(tokenizer);
}

/* ---- Use ---- */

size_t pare_wordpiece_size(const pare_wordpiece *tokenizer)
{
    return tokenizer->tokens.table.count;
}

const char *pare_wordpiece_token(const pare_wordpiece *tokenizer, uint32_t id)
{
    return pri_token_list_bytes(&tokenizer->tokens, id);
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

uint64_t pare_wordpiece_hash(const pare_wordpiece *tokenizer)
{
    const pri_bert_settings *settings = &tokenizer->rules.settings;
    uint64_t hash = PRI_HASH_START;
    for (uint32_t id = 0; id < tokenizer->tokens.table.count; id++)
        hash = pri_hash(hash, pri_token_list_bytes(&tokenizer->tokens, id),
                        tokenizer->tokens.table.words[id].length);
    hash = pri_hash_number(hash, tokenizer->vocabulary);
    hash = pri_hash_number(hash, settings->word_characters);
    hash =
        pri_hash_number(hash, (uint64_t)settings->clean_text | (uint64_t)settings->lower_case << 1 |
                                  (uint64_t)settings->split_ideographs << 2 |
                                  (uint64_t)tokenizer->rules.strip_accents << 3);
    for (int role = 0; role < PRI_ROLES; role++)
        hash = pri_hash_number(hash, tokenizer->roles[role]);
    for (size_t i = 0; i < tokenizer->tokens.added_count; i++)
        hash = pri_hash_number(hash, tokenizer->tokens.added[i].id);
    return hash;
}
