/* Merges in the format of subword-nmt: two symbols a line, separated by a blank, the most frequent
 * pair first. A symbol must be a character, alone or as a word's end, or what an earlier line
 * makes: such a file gives the same pieces whether merges are applied one by one, as here, or all
 * places of a merge at once, as there. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/alphabet.h"
#include "text/bpe_files.h"
#include "text/line_range.h"

#define VERSION "#version: 0.2"

void pri_bpe_codes_free(pri_bpe_codes *codes)
{
    pri_word_table_free(&codes->symbols);
    pri_free(codes->merges);
}

/* ---- Lines ---- */

static pare_status fail_line(const pri_bpe_codes *codes, const char *problem)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: line %zu: %s", codes->name, codes->line, problem);
}

/* The bytes of a symbol's only character; 0: it is no single character. */
static size_t character_length(const char *symbol)
{
    size_t length = pri_utf8_length(symbol, strlen(symbol));
    return !length || !symbol[length] || !strcmp(symbol + length, PRI_END_OF_WORD) ? length : 0;
}

static pare_status check_symbol(const pri_bpe_codes *codes, const char *symbol)
{
    if (!pri_utf8_valid(symbol))
        return fail_line(codes, "not UTF-8");
    if (character_length(symbol) ||
        pri_word_table_find(&codes->symbols, symbol, strlen(symbol) + 1) != PRI_NO_WORD)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s: line %zu: \"%s\" is neither a character nor what an earlier line makes",
                    codes->name, codes->line, symbol);
}

static pare_status add_symbol(pri_bpe_codes *codes, const char *symbol, uint32_t *number)
{
    return pri_word_table_add(&codes->symbols, symbol, strlen(symbol) + 1, 0, number);
}

static pare_status reserve_merge(pri_bpe_codes *codes)
{
    if (codes->count < codes->capacity)
        return PARE_OK;
    size_t capacity = codes->capacity ? 2 * codes->capacity : 512;
    pri_bpe_merge *merges = pri_reallocate(codes->merges, codes->count, capacity, sizeof *merges);
    if (!merges)
        return PARE_ERROR_MEMORY;
    codes->merges = merges;
    codes->capacity = capacity;
    return PARE_OK;
}

static pare_status check_made(const pri_bpe_codes *codes, const char *made)
{
    for (int i = 0; i < PRI_SEQUENCE_TOKENS; i++)
        if (!strcmp(made, pri_sequence_names[i]))
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: line %zu: it makes \"%s\", which is a special token", codes->name,
                            codes->line, made);
    if (character_length(made))
        return fail_line(codes, "what it makes looks like one character at a word's end");
    return PARE_OK;
}

/* `symbols` are "left right"; the blank becomes a zero, and then they are joined. */
static pare_status read_symbols(pri_bpe_codes *codes, char *symbols)
{
    char *blank = strchr(symbols, ' ');
    if (!blank || blank == symbols || !blank[1] || strchr(blank + 1, ' '))
        return fail_line(codes, "it should have two symbols with a blank between them");
    *blank = 0;
    pri_bpe_merge merge;
    PRI_TRY(check_symbol(codes, symbols));
    PRI_TRY(check_symbol(codes, blank + 1));
    PRI_TRY(add_symbol(codes, symbols, &merge.left));
    PRI_TRY(add_symbol(codes, blank + 1, &merge.right));
    memmove(blank, blank + 1, strlen(blank + 1) + 1);
    PRI_TRY(check_made(codes, symbols));
    PRI_TRY(add_symbol(codes, symbols, &merge.merged));
    PRI_TRY(reserve_merge(codes));
    codes->merges[codes->count++] = merge;
    return PARE_OK;
}

static pare_status check_version(const pri_bpe_codes *codes, const char *line, size_t length)
{
    if (length == strlen(VERSION) && !memcmp(line, VERSION, length))
        return PARE_OK;
    return fail_line(codes, "it should be \"" VERSION "\", with which subword-nmt begins a file of "
                            "merges; older ones are not supported");
}

pare_status pri_bpe_codes_read_line(pri_bpe_codes *codes, const char *line, size_t length)
{
    codes->line++;
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' '))
        length--;
    if (codes->line == 1)
        return check_version(codes, line, length);
    if (!length) {
        codes->ended = true;
        return PARE_OK;
    }
    if (codes->ended)
        return fail_line(codes, "it comes after an empty line");
    char *symbols = pri_allocate(length + 1, 1);
    if (!symbols)
        return PARE_ERROR_MEMORY;
    memcpy(symbols, line, length);
    symbols[length] = 0;
    pare_status status = read_symbols(codes, symbols);
    pri_free(symbols);
    return status;
}

static pare_status visit_line(void *user, const char *line, size_t length)
{
    return pri_bpe_codes_read_line(user, line, length);
}

/* ---- A tokenizer ---- */

static pare_status add_letters(pare_bpe *bpe, const pri_bpe_codes *codes,
                               const pri_word_table *words)
{
    pri_word_table letters = {0};
    pare_status status = pri_count_characters(words, &letters);
    for (size_t i = 0; i < codes->symbols.count && status == PARE_OK; i++) {
        const char *symbol = pri_word_table_bytes(&codes->symbols, &codes->symbols.words[i]);
        size_t length = character_length(symbol);
        if (length)
            status = pri_word_table_add(&letters, symbol, length, 0, NULL);
    }
    if (status == PARE_OK) /* any of them may end a word */
        status = pri_bpe_begin_vocabulary(bpe, &letters, &letters, codes->name);
    pri_word_table_free(&letters);
    return status;
}

static uint32_t token_of(const pare_bpe *bpe, const pri_bpe_codes *codes, uint32_t number)
{
    return pri_token_list_find(
        &bpe->tokens, pri_word_table_bytes(&codes->symbols, &codes->symbols.words[number]));
}

static pare_status add_merge(pare_bpe *bpe, const pri_bpe_codes *codes, size_t rank)
{
    const pri_bpe_merge *numbers = &codes->merges[rank];
    char place[512];
    snprintf(place, sizeof place, "%s: line %zu", codes->name, rank + 2);
    if (token_of(bpe, codes, numbers->merged) == PRI_NO_WORD)
        PRI_TRY(pri_token_list_append(
            &bpe->tokens,
            pri_word_table_bytes(&codes->symbols, &codes->symbols.words[numbers->merged]), place));
    pri_bpe_merge merge = {token_of(bpe, codes, numbers->left),
                           token_of(bpe, codes, numbers->right),
                           token_of(bpe, codes, numbers->merged)};
    return pri_bpe_add_merge(bpe, merge, place);
}

static pare_status fill(pare_bpe *bpe, const pri_bpe_codes *codes, const pri_word_table *words)
{
    PRI_TRY(add_letters(bpe, codes, words));
    for (size_t rank = 0; rank < codes->count; rank++)
        PRI_TRY(add_merge(bpe, codes, rank));
    PRI_TRY(pri_bpe_finish(bpe));
    return pri_bpe_find_special(bpe, codes->name);
}

pare_status pri_bpe_from_codes(const pri_bpe_codes *codes, const char *const *texts, size_t count,
                               pare_bpe **bpe)
{
    *bpe = NULL;
    if (!codes->line)
        return pri_fail(PARE_ERROR_FORMAT, "%s: there is nothing in it", codes->name);
    pare_bpe *made;
    PRI_TRY(pri_bpe_create(PARE_BPE_WORDS, false, &made));
    pri_word_table words;
    pare_status status = pri_bpe_count_words(made, texts, count, &words);
    if (status == PARE_OK)
        status = fill(made, codes, &words);
    pri_word_table_free(&words);
    if (status != PARE_OK) {
        pare_bpe_destroy(made);
        return status;
    }
    *bpe = made;
    return PARE_OK;
}

pare_status pare_bpe_load_codes(const char *path, const char *const *texts, size_t count,
                                pare_bpe **bpe)
{
    *bpe = NULL;
    pri_bpe_codes codes = {.name = path};
    pare_status status = pri_text_visit_lines(path, PRI_ALL_LINES, visit_line, &codes);
    if (status == PARE_OK)
        status = pri_bpe_from_codes(&codes, texts, count, bpe);
    pri_bpe_codes_free(&codes);
    return status;
}
