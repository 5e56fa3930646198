/* What a tokenizer of byte-pair encoding consists of: its tokens, its merges, found by the two
 * pieces they join, and its letters, found by their characters. */
#include "text/bpe.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"
#include "text/alphabet.h"

const char *const pri_sequence_names[PRI_SEQUENCE_TOKENS] = {"<s>", "<pad>", "</s>", "<unk>"};

pare_status pri_bpe_create(pare_bpe_form form, bool lower_case, pare_bpe **bpe)
{
    *bpe = pri_allocate_zero(1, sizeof **bpe);
    if (!*bpe)
        return PARE_ERROR_MEMORY;
    (*bpe)->form = form;
    pri_bert_rules_prepare(&(*bpe)->rules,
                           &(pri_bert_settings){.lower_case = lower_case,
                                                .split_punctuation = form == PARE_BPE_METASPACE,
                                                .accents = PRI_ACCENTS_KEPT,
                                                .word_characters = SIZE_MAX});
    return PARE_OK;
}

void pare_bpe_destroy(pare_bpe *bpe)
{
    if (!bpe)
        return;
    pri_token_list_free(&bpe->tokens);
    pri_free(bpe->merges);
    pri_free(bpe->merge_slots);
    pri_free(bpe->letters);
    pri_free(bpe);
}

/* ---- Merges ---- */

static size_t mix(uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* The slot that holds the merge of two pieces, or the empty one where it belongs. */
static size_t merge_slot(const pare_bpe *bpe, uint32_t left, uint32_t right)
{
    size_t mask = bpe->merge_slot_count - 1;
    size_t slot = mix((uint64_t)left << 32 | right) & mask;
    for (; bpe->merge_slots[slot] != PRI_NO_WORD; slot = (slot + 1) & mask) {
        const pri_bpe_merge *merge = &bpe->merges[bpe->merge_slots[slot]];
        if (merge->left == left && merge->right == right)
            break;
    }
    return slot;
}

uint32_t pri_bpe_rank(const pare_bpe *bpe, uint32_t left, uint32_t right)
{
    return bpe->merge_slots[merge_slot(bpe, left, right)];
}

static pare_status reserve_slots(pare_bpe *bpe)
{
    size_t count = bpe->merge_slot_count ? 2 * bpe->merge_slot_count : 1024;
    uint32_t *slots = pri_allocate(count, sizeof *slots);
    if (!slots)
        return PARE_ERROR_MEMORY;
    memset(slots, 0xff, count * sizeof *slots);
    pri_free(bpe->merge_slots);
    bpe->merge_slots = slots;
    bpe->merge_slot_count = count;
    for (uint32_t rank = 0; rank < bpe->merge_count; rank++)
        slots[merge_slot(bpe, bpe->merges[rank].left, bpe->merges[rank].right)] = rank;
    return PARE_OK;
}

static pare_status reserve_merges(pare_bpe *bpe)
{
    if (2 * bpe->merge_count >= bpe->merge_slot_count)
        PRI_TRY(reserve_slots(bpe));
    if (bpe->merge_count < bpe->merge_capacity)
        return PARE_OK;
    size_t capacity = bpe->merge_capacity ? 2 * bpe->merge_capacity : 512;
    pri_bpe_merge *merges = pri_reallocate(bpe->merges, bpe->merge_count, capacity, sizeof *merges);
    if (!merges)
        return PARE_ERROR_MEMORY;
    bpe->merges = merges;
    bpe->merge_capacity = capacity;
    return PARE_OK;
}

pare_status pri_bpe_add_merge(pare_bpe *bpe, pri_bpe_merge merge, const char *name)
{
    PRI_TRY(reserve_merges(bpe));
    size_t slot = merge_slot(bpe, merge.left, merge.right);
    if (bpe->merge_slots[slot] != PRI_NO_WORD)
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"%s\" and \"%s\" are merged already, by merge %u",
                        name, pri_token_list_bytes(&bpe->tokens, merge.left),
                        pri_token_list_bytes(&bpe->tokens, merge.right),
                        bpe->merge_slots[slot] + 1);
    bpe->merge_slots[slot] = (uint32_t)bpe->merge_count;
    bpe->merges[bpe->merge_count++] = merge;
    return PARE_OK;
}

/* ---- Letters ---- */

static pri_bpe_letter *letter_slot(const pare_bpe *bpe, uint32_t character)
{
    size_t mask = bpe->letter_slot_count - 1;
    size_t slot = mix(character) & mask;
    for (; bpe->letters[slot].inner != PRI_NO_WORD || bpe->letters[slot].last != PRI_NO_WORD;
         slot = (slot + 1) & mask)
        if (bpe->letters[slot].character == character)
            break;
    return &bpe->letters[slot];
}

uint32_t pri_bpe_letter_id(const pare_bpe *bpe, uint32_t character, bool last)
{
    const pri_bpe_letter *letter = letter_slot(bpe, character);
    uint32_t id = last ? letter->last : letter->inner;
    return id == PRI_NO_WORD ? bpe->special[PRI_SEQUENCE_UNKNOWN] : id;
}

/* Enters a token that is a character, or one with the mark of a word's end. */
static void enter_letter(pare_bpe *bpe, uint32_t id)
{
    const char *token = pri_token_list_bytes(&bpe->tokens, id);
    uint32_t character;
    const char *rest = token + pri_utf8_read(token, strlen(token), &character);
    bool words = bpe->form == PARE_BPE_WORDS;
    bool last = words && !strcmp(rest, PRI_END_OF_WORD);
    if (*rest && !last)
        return;
    pri_bpe_letter *letter = letter_slot(bpe, character);
    letter->character = character;
    if (!last)
        letter->inner = id;
    if (last || !words)
        letter->last = id;
}

static pare_status enter_letters(pare_bpe *bpe)
{
    bpe->letter_slot_count = 1;
    while (bpe->letter_slot_count < 2 * bpe->vocabulary + 2)
        bpe->letter_slot_count *= 2;
    bpe->letters = pri_allocate(bpe->letter_slot_count, sizeof *bpe->letters);
    if (!bpe->letters)
        return PARE_ERROR_MEMORY;
    memset(bpe->letters, 0xff, bpe->letter_slot_count * sizeof *bpe->letters);
    for (uint32_t id = 0; id < bpe->vocabulary; id++)
        enter_letter(bpe, id);
    return PARE_OK;
}

/* ---- Making ---- */

static pare_status append_letters(pare_bpe *bpe, const pri_word_table *characters,
                                  const char *ending, const char *name)
{
    pri_letter *letters;
    size_t count;
    PRI_TRY(pri_letters_of(characters, SIZE_MAX, &letters, &count));
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++) {
        char token[sizeof letters[i].bytes + sizeof PRI_END_OF_WORD];
        snprintf(token, sizeof token, "%s%s", letters[i].bytes, ending);
        status = pri_token_list_append(&bpe->tokens, token, name);
    }
    pri_free(letters);
    return status;
}

pare_status pri_bpe_begin_vocabulary(pare_bpe *bpe, const pri_word_table *letters,
                                     const pri_word_table *last_letters, const char *name)
{
    for (int i = 0; i < PRI_SEQUENCE_TOKENS; i++)
        PRI_TRY(pri_token_list_append(&bpe->tokens, pri_sequence_names[i], name));
    PRI_TRY(append_letters(bpe, letters, "", name));
    return append_letters(bpe, last_letters, PRI_END_OF_WORD, name);
}

pare_status pri_bpe_finish(pare_bpe *bpe)
{
    bpe->vocabulary = bpe->tokens.table.count;
    if (!bpe->merge_slots)
        PRI_TRY(reserve_slots(bpe));
    return enter_letters(bpe);
}

pare_status pri_bpe_find_special(pare_bpe *bpe, const char *name)
{
    for (int i = 0; i < PRI_SEQUENCE_TOKENS; i++) {
        bpe->special[i] = pri_token_list_find(&bpe->tokens, pri_sequence_names[i]);
        bool needed = i == PRI_SEQUENCE_END || i == PRI_SEQUENCE_UNKNOWN;
        if (needed && bpe->special[i] == PRI_NO_WORD)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: the special token \"%s\" is not among its %zu tokens; a model of "
                            "sequences needs it",
                            name, pri_sequence_names[i], bpe->tokens.table.count);
    }
    return PARE_OK;
}

/* ---- Use ---- */

size_t pare_bpe_size(const pare_bpe *bpe)
{
    return bpe->tokens.table.count;
}

const char *pare_bpe_token(const pare_bpe *bpe, uint32_t id)
{
    return pri_token_list_bytes(&bpe->tokens, id);
}

pare_sequence_tokens pare_bpe_special_tokens(const pare_bpe *bpe)
{
    return (pare_sequence_tokens){.begin = bpe->special[PRI_SEQUENCE_BEGIN],
                                  .padding = bpe->special[PRI_SEQUENCE_PADDING],
                                  .end = bpe->special[PRI_SEQUENCE_END],
                                  .unknown = bpe->special[PRI_SEQUENCE_UNKNOWN]};
}

bool pare_bpe_lowers(const pare_bpe *bpe)
{
    return bpe->rules.settings.lower_case;
}

pare_bpe_form pare_bpe_form_of(const pare_bpe *bpe)
{
    return bpe->form;
}

uint64_t pare_bpe_hash(const pare_bpe *bpe)
{
    const pri_token_list *tokens = &bpe->tokens;
    uint64_t hash = PRI_HASH_START;
    for (uint32_t id = 0; id < tokens->table.count; id++)
        hash = pri_hash(hash, pri_token_list_bytes(tokens, id), tokens->table.words[id].length);
    hash = pri_hash_number(hash, bpe->vocabulary);
    hash =
        pri_hash_number(hash, (uint64_t)bpe->form | (uint64_t)bpe->rules.settings.lower_case << 1);
    for (size_t i = 0; i < bpe->merge_count; i++)
        hash = pri_hash_number(hash, (uint64_t)bpe->merges[i].left << 32 | bpe->merges[i].right);
    for (size_t i = 0; i < tokens->added_count; i++)
        hash = pri_hash_number(hash, tokens->added[i].id);
    return hash;
}
