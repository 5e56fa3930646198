/* Merges from texts, by the rule of the tokenizers package's BpeTrainer, whose merges and ids those
 * of raw text are. The package numbers the letters that end words in the order of a hash map, which
 * differs from run to run, and so do its ties; here their order is that of the characters. It also
 * lets a merge make a token that is there already, by which a text full of "</w>" could spell the
 * end of a word, or a special token; here such a pair stays two pieces. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "base/utf8.h"
#include "text/alphabet.h"
#include "text/bpe_files.h"
#include "text/bpe_words.h"
#include "text/line_range.h"
#include "text/pair_merger.h"

#define DEFAULT_SIZE 8000
#define DEFAULT_MINIMUM 2

/* ---- Counting words ---- */

typedef struct word_counter {
    const pare_bpe *bpe;
    pri_word_table words;
    pri_bpe_cutter cutter;
    pri_text word; /* under construction */
} word_counter;

static pare_status count_segment(void *user, const pri_bpe_segment *segment)
{
    word_counter *counter = user;
    const char *bytes = segment->word->bytes + segment->begin;
    size_t length = segment->end - segment->begin;
    if (!segment->marked)
        return pri_word_table_add(&counter->words, bytes, length, 1, NULL);
    counter->word.length = 0;
    pri_text_append_bytes(&counter->word, PRI_METASPACE, strlen(PRI_METASPACE));
    pri_text_append_bytes(&counter->word, bytes, length);
    if (counter->word.failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory counting words");
    return pri_word_table_add(&counter->words, counter->word.data, counter->word.length, 1, NULL);
}

static pare_status count_line(void *user, const char *line, size_t length)
{
    word_counter *counter = user;
    pri_bpe_cutter_begin(&counter->cutter, counter->bpe, count_segment, counter);
    return pri_cut_words(&counter->cutter.words, line, 0, length);
}

pare_status pri_bpe_count_words(const pare_bpe *bpe, const char *const *paths, size_t count,
                                pri_word_table *words)
{
    word_counter counter = {.bpe = bpe};
    pare_status status = PARE_OK;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = pri_text_visit_lines(paths[i], PRI_ALL_LINES, count_line, &counter);
    if (count && status == PARE_OK && !counter.words.count)
        status = pri_fail(PARE_ERROR_FORMAT, "%s: no text in it; merges need some", paths[0]);
    pri_bpe_cutter_free(&counter.cutter);
    pri_text_free(&counter.word);
    *words = counter.words;
    return status;
}

/* ---- The alphabet ---- */

static pare_status count_last_characters(const pri_word_table *words, pri_word_table *characters)
{
    for (size_t n = 0; n < words->count; n++) {
        const pri_word *word = &words->words[n];
        size_t begin = word->length - 1;
        const char *bytes = pri_word_table_bytes(words, word);
        while (((unsigned char)bytes[begin] & 0xc0) == 0x80)
            begin--;
        PRI_TRY(
            pri_word_table_add(characters, bytes + begin, word->length - begin, word->count, NULL));
    }
    return PARE_OK;
}

static pare_status add_alphabet(pare_bpe *bpe, const pri_word_table *words, const char *name)
{
    pri_word_table letters = {0}, last_letters = {0};
    pare_status status = pri_count_characters(words, &letters);
    if (status == PARE_OK && bpe->form == PARE_BPE_WORDS)
        status = count_last_characters(words, &last_letters);
    if (status == PARE_OK)
        status = pri_bpe_begin_vocabulary(bpe, &letters, &last_letters, name);
    pri_word_table_free(&letters);
    pri_word_table_free(&last_letters);
    return status;
}

/* ---- Merging ---- */

typedef struct trainer {
    pare_bpe *bpe;
    const char *name; /* for messages */
    size_t size, merges;
    uint64_t minimum_count;
    pri_pair_merger merger;
} trainer;

static pare_status spell_word(trainer *t, const pri_word_table *words, const pri_word *word)
{
    const char *bytes = pri_word_table_bytes(words, word);
    PRI_TRY(pri_pair_merger_add_word(&t->merger, word->count));
    for (size_t i = 0, length; i < word->length; i += length) {
        char letter[4 + sizeof PRI_END_OF_WORD];
        length = pri_utf8_length(bytes + i, word->length - i);
        bool last = t->bpe->form == PARE_BPE_WORDS && i + length == word->length;
        snprintf(letter, sizeof letter, "%.*s%s", (int)length, bytes + i,
                 last ? PRI_END_OF_WORD : "");
        uint32_t id = pri_token_list_find(&t->bpe->tokens, letter);
        PRI_TRY(pri_pair_merger_add_piece(&t->merger, id));
    }
    return PARE_OK;
}

static pare_status add_merged(trainer *t, uint32_t left, uint32_t right, const char *token)
{
    pri_bpe_merge merge = {left, right, (uint32_t)t->bpe->tokens.table.count};
    if (pri_token_list_find(&t->bpe->tokens, token) != PRI_NO_WORD)
        return PARE_OK;
    PRI_TRY(pri_token_list_append(&t->bpe->tokens, token, t->name));
    PRI_TRY(pri_bpe_add_merge(t->bpe, merge, t->name));
    return pri_pair_merger_merge(&t->merger, merge.merged);
}

static pare_status merge(trainer *t, uint32_t left, uint32_t right)
{
    char *token = pri_token_list_join(&t->bpe->tokens, left, right, 0);
    if (!token)
        return PARE_ERROR_MEMORY;
    pare_status status = add_merged(t, left, right, token);
    pri_free(token);
    return status;
}

static pare_status merge_pairs(trainer *t)
{
    size_t base = t->bpe->tokens.table.count;
    if (base > t->size)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "a vocabulary of %zu is too small for %s: special tokens and characters "
                        "alone are %zu; ask for more",
                        t->size, t->name, base);
    PRI_TRY(pri_pair_merger_start(&t->merger));
    uint32_t left, right;
    while (t->bpe->tokens.table.count < t->size && t->bpe->merge_count < t->merges &&
           pri_pair_merger_next(&t->merger, t->minimum_count, &left, &right))
        PRI_TRY(merge(t, left, right));
    return PARE_OK;
}

static pare_status learn_merges(trainer *t, const pri_word_table *words)
{
    for (size_t n = 0; n < words->count; n++)
        PRI_TRY(spell_word(t, words, &words->words[n]));
    return merge_pairs(t);
}

static pare_status fill_vocabulary(pare_bpe *bpe, const pri_word_table *words,
                                   const pare_bpe_options *options, const char *name)
{
    size_t default_size = options->merges ? SIZE_MAX : DEFAULT_SIZE;
    trainer t = {.bpe = bpe, .name = name};
    t.size = options->size ? options->size : default_size;
    t.merges = options->merges ? options->merges : SIZE_MAX;
    t.minimum_count = options->minimum_count ? options->minimum_count : DEFAULT_MINIMUM;
    PRI_TRY(add_alphabet(bpe, words, name));
    pare_status status = learn_merges(&t, words);
    pri_pair_merger_free(&t.merger);
    return status;
}

/* ---- The call ---- */

static pare_status build(pare_bpe *bpe, const char *const *paths, size_t count,
                         const pare_bpe_options *options)
{
    pri_word_table words;
    pare_status status = pri_bpe_count_words(bpe, paths, count, &words);
    if (status == PARE_OK)
        status = fill_vocabulary(bpe, &words, options, paths[0]);
    pri_word_table_free(&words);
    PRI_TRY(status);
    PRI_TRY(pri_bpe_finish(bpe));
    return pri_bpe_find_special(bpe, paths[0]);
}

pare_status pare_bpe_build(const char *const *paths, size_t count, const pare_bpe_options *options,
                           pare_bpe **bpe)
{
    *bpe = NULL;
    if (!count)
        return pri_fail(PARE_ERROR_ARGUMENT, "merges are learnt from texts; name one at least");
    pare_bpe *built;
    PRI_TRY(pri_bpe_create(options->form, options->lower_case, &built));
    pare_status status = build(built, paths, count, options);
    if (status != PARE_OK) {
        pare_bpe_destroy(built);
        return status;
    }
    *bpe = built;
    return PARE_OK;
}
