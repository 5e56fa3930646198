/* A WordPiece vocabulary from a text, by the rule of the tokenizers package's trainer: special
 * tokens, the most frequent characters in order of their numbers, the same within words ("##e"),
 * and then, as long as there is room, the most frequent pair of neighbouring pieces over all words
 * becomes a piece. Ties go to the pair with smaller ids. The package numbers the pieces within
 * words in the order of a hash map, which differs from run to run; here it is the order in the
 * text. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/alphabet.h"
#include "text/line_range.h"
#include "text/pair_merger.h"
#include "text/wordpiece.h"

#define DEFAULT_SIZE 8000
#define ALPHABET_LIMIT 1000 /* characters, as the package's BertWordPieceTokenizer has it */
#define MINIMUM_COUNT 2     /* of a pair that becomes a piece, likewise */

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

static pare_status count_line(void *user, const char *line, size_t length)
{
    for (size_t begin = 0, end; begin < length; begin = end + strlen(TEXT_UNKNOWN)) {
        end = find_unknown(line, begin, length);
        PRI_TRY(pri_cut_words(user, line, begin, end));
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
    pare_status status = pri_text_visit_lines(path, range, count_line, &cutter);
    pri_word_cutter_free(&cutter);
    if (status == PARE_OK && !words->count)
        status = pri_fail(PARE_ERROR_FORMAT, "%s: no text in it; a vocabulary needs some", path);
    return status;
}

/* ---- The alphabet ---- */

static pare_status add_letters(const pri_word_table *characters, pare_wordpiece *tokenizer,
                               const char *path)
{
    pri_letter *letters;
    size_t count;
    PRI_TRY(pri_letters_of(characters, ALPHABET_LIMIT, &letters, &count));
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = pri_token_list_append(&tokenizer->tokens, letters[i].bytes, path);
    pri_free(letters);
    return status;
}

static pare_status add_alphabet(const pri_word_table *words, pare_wordpiece *tokenizer,
                                const char *path)
{
    pri_word_table characters = {0};
    pare_status status = pri_count_characters(words, &characters);
    if (status == PARE_OK)
        status = add_letters(&characters, tokenizer, path);
    pri_word_table_free(&characters);
    return status;
}

/* ---- Spelling words ---- */

typedef struct trainer {
    pare_wordpiece *tokenizer;
    const char *path; /* for messages */
    pri_pair_merger merger;
} trainer;

static pare_status token_id(trainer *t, const char *token, uint32_t *id)
{
    *id = pri_token_list_find(&t->tokenizer->tokens, token);
    if (*id != PRI_NO_WORD)
        return PARE_OK;
    *id = (uint32_t)t->tokenizer->tokens.table.count;
    return pri_token_list_append(&t->tokenizer->tokens, token, t->path);
}

/* Characters outside the alphabet are left out of a word, as if they were not written. */
static pare_status spell_word(trainer *t, const pri_word_table *words, const pri_word *word)
{
    const char *bytes = pri_word_table_bytes(words, word);
    PRI_TRY(pri_pair_merger_add_word(&t->merger, word->count));
    for (size_t i = 0, length; i < word->length; i += length) {
        char token[PRI_CONTINUATION_LENGTH + 5] = PRI_CONTINUATION;
        char *character = token + PRI_CONTINUATION_LENGTH;
        length = pri_utf8_length(bytes + i, word->length - i);
        memcpy(character, bytes + i, length);
        if (pri_token_list_find(&t->tokenizer->tokens, character) == PRI_NO_WORD)
            continue;
        uint32_t id;
        PRI_TRY(token_id(t, i ? token : character, &id));
        PRI_TRY(pri_pair_merger_add_piece(&t->merger, id));
    }
    return PARE_OK;
}

/* ---- Merging ---- */

/* "un" and "##able" make "unable". */
static pare_status add_merged(trainer *t, uint32_t left, uint32_t right, uint32_t *id)
{
    char *token = pri_token_list_join(&t->tokenizer->tokens, left, right, PRI_CONTINUATION_LENGTH);
    if (!token)
        return PARE_ERROR_MEMORY;
    pare_status status = token_id(t, token, id);
    pri_free(token);
    return status;
}

static pare_status merge_pairs(trainer *t, size_t size)
{
    size_t base = t->tokenizer->tokens.table.count;
    if (base > size)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a vocabulary of %zu is too small for %s: special tokens and characters "
                        "alone are %zu; ask for more",
                        size, t->path, base);
    PRI_TRY(pri_pair_merger_start(&t->merger));
    uint32_t left, right, merged;
    while (t->tokenizer->tokens.table.count < size &&
           pri_pair_merger_next(&t->merger, MINIMUM_COUNT, &left, &right)) {
        PRI_TRY(add_merged(t, left, right, &merged));
        PRI_TRY(pri_pair_merger_merge(&t->merger, merged));
    }
    return PARE_OK;
}

static pare_status train(trainer *t, const pri_word_table *words, size_t size)
{
    for (size_t n = 0; n < words->count; n++)
        PRI_TRY(spell_word(t, words, &words->words[n]));
    return merge_pairs(t, size);
}

/* ---- The call ---- */

static pare_status fill_vocabulary(const pri_word_table *words, size_t size, const char *path,
                                   pare_wordpiece *tokenizer)
{
    for (int role = 0; role < PRI_ROLES; role++)
        PRI_TRY(pri_token_list_append(&tokenizer->tokens, pri_role_names[role], path));
    PRI_TRY(add_alphabet(words, tokenizer, path));
    trainer t = {.tokenizer = tokenizer, .path = path};
    pare_status status = train(&t, words, size);
    pri_pair_merger_free(&t.merger);
    PRI_TRY(status);
    PRI_TRY(pri_wordpiece_finish(tokenizer, pri_role_names, path));
    for (int role = 0; role < PRI_ROLES; role++)
        PRI_TRY(pri_token_list_mark_added(&tokenizer->tokens, tokenizer->roles[role], true));
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
