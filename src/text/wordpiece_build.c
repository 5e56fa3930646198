/* A WordPiece vocabulary from a text, by the rule of the tokenizers package's trainer: special
 * tokens, the most frequent characters in order of their numbers, the same within words ("##e"),
 * and then, as long as there is room, the most frequent pair of neighbouring pieces over all words
 * becomes a piece. Ties go to the pair with smaller ids. The package numbers the pieces within
 * words in the order of a hash map, which differs from run to run; here it is the order in the
 * text.
 *
 * A merge changes only words that hold its pair. Each pair has a list of the words where it was
 * ever seen, and a heap finds the most frequent pair: its entries may overstate a count, which is
 * seen and put right when one comes to the top. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/line_range.h"
#include "text/wordpiece.h"

#define DEFAULT_SIZE 8000
#define ALPHABET_LIMIT 1000 /* characters, as the package's BertWordPieceTokenizer has it */
#define MINIMUM_COUNT 2     /* of a pair that becomes a piece, likewise */
#define NONE UINT32_MAX

/* WikiText's own word for what is not in its vocabulary: no word at all. */
#define TEXT_UNKNOWN "<unk>"

/* ---- Counting words ---- */

static pare_status count_word(void *user, const pri_bert_word *word)
{
    if (word->characters > pri_bert_settings_default().word_characters)
        return PARE_OK; /* would be unknown whatever the vocabulary */
    return pri_word_table_add(user, word->bytes, word->length, 1, NULL);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Where the next TEXT_UNKNOWN between blanks is, or `length`. */
static size_t find_unknown(const char *line, size_t begin, size_t length)
{
    size_t size = strlen(TEXT_UNKNOWN);
    for (size_t i = begin; i + size <= length; i++)
        if (line[i] == TEXT_UNKNOWN[0] && !memcmp(line + i, TEXT_UNKNOWN, size) &&
            (!i || is_blank(line[i - 1])) && (i + size == length || is_blank(line[i + size])))
            return i;
    return length;
}

static pare_status count_line(pri_word_cutter *cutter, const char *line, size_t length)
{
    if (length >= UINT32_MAX)
        return pri_fail(PARE_ERROR_UNSUPPORTED, "a line of 4 GB or more; break it into lines");
    for (size_t begin = 0, end; begin < length; begin = end + strlen(TEXT_UNKNOWN)) {
        end = find_unknown(line, begin, length);
        PRI_TRY(pri_cut_words(cutter, line, begin, end));
    }
    return PARE_OK;
}

static pare_status count_lines(pare_lines *lines, const char *path, pri_line_range range,
                               pri_word_cutter *cutter)
{
    uint64_t offset = 0;
    for (uint64_t number = 0; number < range.end; number++) {
        const char *line;
        size_t length;
        PRI_TRY(pare_lines_next(lines, &line, &length));
        if (!line)
            break;
        PRI_TRY(pri_text_check_binary(path, line, length, offset));
        offset += length + 1;
        if (number >= range.begin)
            PRI_TRY(count_line(cutter, line, length));
    }
    return PARE_OK;
}

/* The words in order of first appearance. */
static pare_status count_words(const char *path, pri_line_range range,
                               const pri_bert_settings *settings, pri_word_table *words)
{
    pri_bert_rules rules;
    pri_bert_rules_prepare(&rules, settings);
    pri_word_cutter cutter = {.rules = &rules, .visit = count_word, .user = words};
    pare_lines *lines;
    PRI_TRY(pare_lines_open(path, &lines));
    pare_status status = count_lines(lines, path, range, &cutter);
    pare_lines_close(lines);
    pri_word_cutter_free(&cutter);
    if (status == PARE_OK && !words->count)
        status = pri_fail(PARE_ERROR_FORMAT, "%s: no text in it; a vocabulary needs some", path);
    return status;
}

/* ---- The alphabet ---- */

static pare_status count_characters(const pri_word_table *words, pri_word_table *characters)
{
    for (size_t n = 0; n < words->count; n++) {
        const pri_word *word = &words->words[n];
        const char *bytes = pri_word_table_bytes(words, word);
        for (size_t i = 0, length; i < word->length; i += length) {
            length = pri_utf8_length(bytes + i, word->length - i);
            PRI_TRY(pri_word_table_add(characters, bytes + i, length, word->count, NULL));
        }
    }
    return PARE_OK;
}

typedef struct letter {
    char bytes[5]; /* zero-terminated */
    uint64_t count;
} letter;

/* UTF-8 sorts as its characters' numbers do. */
static int compare_numbers(const void *a, const void *b)
{
    return strcmp(((const letter *)a)->bytes, ((const letter *)b)->bytes);
}

static int compare_counts(const void *a, const void *b)
{
    const letter *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return compare_numbers(a, b);
}

static pare_status add_alphabet(const pri_word_table *characters, pare_wordpiece *tokenizer,
                                const char *path)
{
    letter *letters = pri_allocate_zero(characters->count, sizeof *letters);
    if (!letters)
        return PARE_ERROR_MEMORY;
    size_t count = characters->count;
    for (size_t i = 0; i < count; i++) {
        const pri_word *word = &characters->words[i];
        memcpy(letters[i].bytes, pri_word_table_bytes(characters, word), word->length);
        letters[i].count = word->count;
    }
    qsort(letters, count, sizeof *letters, compare_counts);
    count = count < ALPHABET_LIMIT ? count : ALPHABET_LIMIT;
    qsort(letters, count, sizeof *letters, compare_numbers);
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = pri_wordpiece_add_token(tokenizer, letters[i].bytes, path);
    pri_free(letters);
    return status;
}

static pare_status add_alphabet_of(const pri_word_table *words, pare_wordpiece *tokenizer,
                                   const char *path)
{
    pri_word_table characters = {0};
    pare_status status = count_characters(words, &characters);
    if (status == PARE_OK)
        status = add_alphabet(&characters, tokenizer, path);
    pri_word_table_free(&characters);
    return status;
}

/* ---- Pairs ---- */

typedef struct pair {
    uint32_t left, right; /* ids of tokens */
    uint64_t count;
    uint32_t places; /* newest of the list of words, an index into places; or NONE */
    bool touched;    /* in the list of pairs that the present merge made more frequent */
} pair;

typedef struct place {
    uint32_t word, next;
} place;

typedef struct spelled_word {
    size_t begin; /* in pieces */
    uint32_t length;
} spelled_word;

typedef struct heap_entry {
    uint64_t count;
    uint32_t pair;
} heap_entry;

typedef struct trainer {
    pare_wordpiece *tokenizer;
    const char *path; /* for messages */
    const pri_word_table *counts;
    spelled_word *words; /* word n of counts */
    uint32_t *pieces;
    pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *pair_slots; /* indices of pairs, or NONE; a power of two */
    size_t pair_slot_count;
    place *places;
    size_t place_count, place_capacity;
    heap_entry *heap;
    size_t heap_count, heap_capacity;
    uint32_t *touched;
    size_t touched_count, touched_capacity;
} trainer;

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

static size_t pair_slot(const trainer *t, uint32_t left, uint32_t right)
{
    size_t mask = t->pair_slot_count - 1;
    uint64_t key = ((uint64_t)left << 32 | right) * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(key >> 32) & mask;
    for (; t->pair_slots[slot] != NONE; slot = (slot + 1) & mask) {
        const pair *p = &t->pairs[t->pair_slots[slot]];
        if (p->left == left && p->right == right)
            break;
    }
    return slot;
}

static pare_status grow_pair_slots(trainer *t)
{
    size_t count = t->pair_slot_count ? 2 * t->pair_slot_count : 4096;
    uint32_t *slots = pri_allocate(count, sizeof *slots);
    if (!slots)
        return PARE_ERROR_MEMORY;
    memset(slots, 0xff, count * sizeof *slots);
    pri_free(t->pair_slots);
    t->pair_slots = slots;
    t->pair_slot_count = count;
    for (uint32_t i = 0; i < t->pair_count; i++)
        t->pair_slots[pair_slot(t, t->pairs[i].left, t->pairs[i].right)] = i;
    return PARE_OK;
}

static pare_status find_or_add_pair(trainer *t, uint32_t left, uint32_t right, uint32_t *index)
{
    if (2 * t->pair_count >= t->pair_slot_count)
        PRI_TRY(grow_pair_slots(t));
    size_t slot = pair_slot(t, left, right);
    if (t->pair_slots[slot] == NONE) {
        pair *pairs = with_room(t->pairs, t->pair_count, &t->pair_capacity, sizeof *pairs);
        if (!pairs)
            return PARE_ERROR_MEMORY;
        t->pairs = pairs;
        t->pair_slots[slot] = (uint32_t)t->pair_count;
        t->pairs[t->pair_count++] = (pair){.left = left, .right = right, .places = NONE};
    }
    *index = t->pair_slots[slot];
    return PARE_OK;
}

static pare_status touch(trainer *t, uint32_t pair_index)
{
    if (t->pairs[pair_index].touched)
        return PARE_OK;
    uint32_t *touched =
        with_room(t->touched, t->touched_count, &t->touched_capacity, sizeof *touched);
    if (!touched)
        return PARE_ERROR_MEMORY;
    t->touched = touched;
    t->touched[t->touched_count++] = pair_index;
    t->pairs[pair_index].touched = true;
    return PARE_OK;
}

static pare_status note_place(trainer *t, uint32_t pair_index, uint32_t word)
{
    PRI_TRY(touch(t, pair_index));
    pair *p = &t->pairs[pair_index];
    if (p->places != NONE && t->places[p->places].word == word)
        return PARE_OK;
    place *places = with_room(t->places, t->place_count, &t->place_capacity, sizeof *places);
    if (!places)
        return PARE_ERROR_MEMORY;
    t->places = places;
    t->places[t->place_count] = (place){word, p->places};
    p->places = (uint32_t)t->place_count++;
    return PARE_OK;
}

/* Counts the pairs of a word in; `fresh`: pairs that were not in it before have this piece in them,
 * NONE: no pair was. */
static pare_status count_pairs(trainer *t, uint32_t word, uint32_t fresh)
{
    const spelled_word *spelled = &t->words[word];
    const uint32_t *pieces = t->pieces + spelled->begin;
    for (uint32_t i = 0; i + 1 < spelled->length; i++) {
        uint32_t index;
        PRI_TRY(find_or_add_pair(t, pieces[i], pieces[i + 1], &index));
        t->pairs[index].count += t->counts->words[word].count;
        if (fresh == NONE || pieces[i] == fresh || pieces[i + 1] == fresh)
            PRI_TRY(note_place(t, index, word));
    }
    return PARE_OK;
}

static void discount_pairs(trainer *t, uint32_t word)
{
    const spelled_word *spelled = &t->words[word];
    const uint32_t *pieces = t->pieces + spelled->begin;
    for (uint32_t i = 0; i + 1 < spelled->length; i++)
        t->pairs[t->pair_slots[pair_slot(t, pieces[i], pieces[i + 1])]].count -=
            t->counts->words[word].count;
}

/* ---- The heap ---- */

static bool goes_before(const trainer *t, size_t a, size_t b)
{
    if (t->heap[a].count != t->heap[b].count)
        return t->heap[a].count > t->heap[b].count;
    const pair *x = &t->pairs[t->heap[a].pair], *y = &t->pairs[t->heap[b].pair];
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static void swap_entries(trainer *t, size_t a, size_t b)
{
    heap_entry entry = t->heap[a];
    t->heap[a] = t->heap[b];
    t->heap[b] = entry;
}

static pare_status push(trainer *t, uint32_t pair_index)
{
    heap_entry *heap = with_room(t->heap, t->heap_count, &t->heap_capacity, sizeof *heap);
    if (!heap)
        return PARE_ERROR_MEMORY;
    t->heap = heap;
    size_t entry = t->heap_count++;
    t->heap[entry] = (heap_entry){t->pairs[pair_index].count, pair_index};
    for (; entry && goes_before(t, entry, (entry - 1) / 2); entry = (entry - 1) / 2)
        swap_entries(t, entry, (entry - 1) / 2);
    return PARE_OK;
}

static void sink_top(trainer *t)
{
    for (size_t entry = 0;;) {
        size_t first = entry;
        for (size_t child = 2 * entry + 1; child <= 2 * entry + 2 && child < t->heap_count; child++)
            if (goes_before(t, child, first))
                first = child;
        if (first == entry)
            return;
        swap_entries(t, entry, first);
        entry = first;
    }
}

/* Takes the most frequent pair off the heap; NONE: there is none with MINIMUM_COUNT. */
static uint32_t most_frequent(trainer *t)
{
    while (t->heap_count) {
        uint32_t top = t->heap[0].pair;
        uint64_t count = t->pairs[top].count;
        bool true_count = t->heap[0].count == count;
        if (true_count && count < MINIMUM_COUNT)
            return NONE;
        if (true_count || !count)
            t->heap[0] = t->heap[--t->heap_count];
        else
            t->heap[0].count = count;
        sink_top(t);
        if (true_count)
            return top;
    }
    return NONE;
}

/* The pairs that `count_pairs` noted enter the heap with their counts of now. */
static pare_status push_touched(trainer *t)
{
    for (size_t i = 0; i < t->touched_count; i++) {
        t->pairs[t->touched[i]].touched = false;
        PRI_TRY(push(t, t->touched[i]));
    }
    t->touched_count = 0;
    return PARE_OK;
}

/* ---- Spelling words ---- */

static pare_status token_id(trainer *t, const char *token, uint32_t *id)
{
    *id = pri_wordpiece_find(t->tokenizer, token);
    if (*id != PRI_NO_WORD)
        return PARE_OK;
    *id = (uint32_t)t->tokenizer->tokens.count;
    return pri_wordpiece_add_token(t->tokenizer, token, t->path);
}

/* Characters outside the alphabet are left out of a word, as if they were not written. */
static pare_status spell_word(trainer *t, uint32_t number, size_t begin)
{
    const pri_word *word = &t->counts->words[number];
    const char *bytes = pri_word_table_bytes(t->counts, word);
    spelled_word *spelled = &t->words[number];
    *spelled = (spelled_word){.begin = begin};
    for (size_t i = 0, length; i < word->length; i += length) {
        char token[PRI_CONTINUATION_LENGTH + 5] = PRI_CONTINUATION;
        char *character = token + PRI_CONTINUATION_LENGTH;
        length = pri_utf8_length(bytes + i, word->length - i);
        memcpy(character, bytes + i, length);
        if (pri_wordpiece_find(t->tokenizer, character) != PRI_NO_WORD)
            PRI_TRY(token_id(t, i ? token : character, &t->pieces[begin + spelled->length++]));
    }
    return PARE_OK;
}

static pare_status spell_words(trainer *t)
{
    size_t pieces = 0;
    for (size_t i = 0; i < t->counts->count; i++)
        pieces += t->counts->words[i].length; /* bytes: more than enough */
    t->words = pri_allocate(t->counts->count, sizeof *t->words);
    t->pieces = pri_allocate(pieces, sizeof *t->pieces);
    if (!t->words || !t->pieces)
        return PARE_ERROR_MEMORY;
    size_t begin = 0;
    for (uint32_t i = 0; i < t->counts->count; i++) {
        PRI_TRY(spell_word(t, i, begin));
        begin += t->words[i].length;
    }
    for (uint32_t i = 0; i < t->counts->count; i++)
        PRI_TRY(count_pairs(t, i, NONE));
    return push_touched(t);
}

/* ---- Merging ---- */

/* "un" and "##able" make "unable". */
static pare_status add_merged(trainer *t, uint32_t left, uint32_t right, uint32_t *id)
{
    const char *first = pri_wordpiece_bytes(t->tokenizer, left);
    const char *second = pri_wordpiece_bytes(t->tokenizer, right) + PRI_CONTINUATION_LENGTH;
    size_t first_length = strlen(first), second_length = strlen(second);
    char *token = pri_allocate(first_length + second_length + 1, 1);
    if (!token)
        return PARE_ERROR_MEMORY;
    memcpy(token, first, first_length);
    memcpy(token + first_length, second, second_length + 1);
    pare_status status = token_id(t, token, id);
    pri_free(token);
    return status;
}

static void merge_in_word(trainer *t, uint32_t word, uint32_t left, uint32_t right, uint32_t merged)
{
    spelled_word *spelled = &t->words[word];
    uint32_t *pieces = t->pieces + spelled->begin, kept = 0;
    for (uint32_t i = 0; i < spelled->length; i++) {
        bool together = i + 1 < spelled->length && pieces[i] == left && pieces[i + 1] == right;
        pieces[kept++] = together ? merged : pieces[i];
        i += together;
    }
    spelled->length = kept;
}

static pare_status merge(trainer *t, uint32_t pair_index)
{
    pair merging = t->pairs[pair_index];
    uint32_t merged;
    PRI_TRY(add_merged(t, merging.left, merging.right, &merged));
    for (uint32_t i = merging.places; i != NONE; i = t->places[i].next) {
        uint32_t word = t->places[i].word;
        discount_pairs(t, word);
        merge_in_word(t, word, merging.left, merging.right, merged);
        PRI_TRY(count_pairs(t, word, merged));
    }
    return push_touched(t);
}

static pare_status train(trainer *t, size_t size)
{
    PRI_TRY(spell_words(t));
    size_t base = t->tokenizer->tokens.count;
    if (base > size)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a vocabulary of %zu is too small for %s: special tokens and characters "
                        "alone are %zu; ask for more",
                        size, t->path, base);
    while (t->tokenizer->tokens.count < size) {
        uint32_t next = most_frequent(t);
        if (next == NONE)
            return PARE_OK;
        PRI_TRY(merge(t, next));
    }
    return PARE_OK;
}

static void free_trainer(trainer *t)
{
    pri_free(t->words);
    pri_free(t->pieces);
    pri_free(t->pairs);
    pri_free(t->pair_slots);
    pri_free(t->places);
    pri_free(t->heap);
    pri_free(t->touched);
}

/* ---- The call ---- */

static pare_status fill_vocabulary(const pri_word_table *words, size_t size, const char *path,
                                   pare_wordpiece *tokenizer)
{
    for (int role = 0; role < PRI_ROLES; role++)
        PRI_TRY(pri_wordpiece_add_token(tokenizer, pri_role_names[role], path));
    PRI_TRY(add_alphabet_of(words, tokenizer, path));
    trainer t = {.tokenizer = tokenizer, .path = path, .counts = words};
    pare_status status = train(&t, size);
    free_trainer(&t);
    PRI_TRY(status);
    PRI_TRY(pri_wordpiece_finish(tokenizer, pri_role_names, path));
    for (int role = 0; role < PRI_ROLES; role++)
        PRI_TRY(pri_wordpiece_add_special(tokenizer, tokenizer->roles[role]));
    return PARE_OK;
}

static pare_status build(const pri_word_table *words, const pri_bert_settings *settings,
                         size_t size, const char *path, pare_wordpiece **tokenizer)
{
    pare_wordpiece *built;
    PRI_TRY(pri_wordpiece_create(settings, &built));
    pare_status status = fill_vocabulary(words, size, path, built);
    if (status != PARE_OK) {
        pare_wordpiece_destroy(built);
        return status;
    }
    *tokenizer = built;
    return PARE_OK;
}

pare_status pri_wordpiece_build_lines(const char *path, pri_line_range lines,
                                      const pare_wordpiece_options *options,
                                      pare_wordpiece **tokenizer)
{
    *tokenizer = NULL;
    pri_bert_settings settings = pri_bert_settings_default();
    settings.lower_case = options->lower_case;
    pri_word_table words = {0};
    pare_status status = count_words(path, lines, &settings, &words);
    if (status == PARE_OK)
        status =
            build(&words, &settings, options->size ? options->size : DEFAULT_SIZE, path, tokenizer);
    pri_word_table_free(&words);
    return status;
}

pare_status pare_wordpiece_build(const char *path, const pare_wordpiece_options *options,
                                 pare_wordpiece **tokenizer)
{
    return pri_wordpiece_build_lines(path, PRI_ALL_LINES, options, tokenizer);
}
