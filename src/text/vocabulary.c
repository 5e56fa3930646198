/* Vocabularies: counting a text, choosing the words to keep, and looking words up. */
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

pare_status pri_vocabulary_create(pare_text_level level, pare_vocabulary **vocabulary)
{
    *vocabulary = NULL;
    pare_vocabulary *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->level = level;
    created->unknown = PARE_NO_TOKEN;
    for (int value = 0; level == PARE_TEXT_BYTE && value < 256; value++) {
        char byte = (char)(unsigned char)value;
        pare_status status = pri_word_table_add(&created->words, &byte, 1, 0, NULL);
        if (status != PARE_OK) {
            pare_vocabulary_destroy(created);
            return status;
        }
    }
    *vocabulary = created;
    return PARE_OK;
}

void pare_vocabulary_destroy(pare_vocabulary *vocabulary)
{
    if (!vocabulary)
        return;
    pri_word_table_free(&vocabulary->words);
    pri_free(vocabulary);
}

/* ---- Building ---- */

static pare_status count_word(void *user, const char *bytes, size_t length)
{
    return pri_word_table_add(user, bytes, length, 1, NULL);
}

/* The words of the text in order of first appearance; <eos> and <unk> last when they do not occur.
 */
static pare_status count_words(const char *path, pri_line_range lines, pri_word_table *counted)
{
    pri_scanner scanner = {.level = PARE_TEXT_WORD,
                           .lines = lines,
                           .visit = count_word,
                           .user = counted,
                           .name = path};
    pare_status status = pri_scanner_read(&scanner, path);
    pri_scanner_free(&scanner);
    PRI_TRY(status);
    if (!counted->count)
        return pri_fail(PARE_ERROR_FORMAT, "%s: no text in it; a vocabulary needs at least a word",
                        path);
    PRI_TRY(pri_word_table_add(counted, PRI_END_OF_LINE, strlen(PRI_END_OF_LINE), 0, NULL));
    return pri_word_table_add(counted, PRI_UNKNOWN, strlen(PRI_UNKNOWN), 0, NULL);
}

static int compare_frequency(const void *a, const void *b)
{
    const pri_word *x = *(const pri_word *const *)a, *y = *(const pri_word *const *)b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    /* Words lie in memory in order of first appearance. */
    return x < y ? -1 : x > y;
}

/* Moves what stays of the `count` words, sorted by frequency, to the front and returns their
 * number. What goes is added to <unk>. */
static size_t choose_words(const pri_word **words, size_t count, pri_word *end_of_line,
                           pri_word *unknown, const pare_vocabulary_options *options)
{
    size_t room = options->maximum_size ? options->maximum_size - 2 : SIZE_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool special = words[i] == end_of_line || words[i] == unknown;
        if (special || (room && words[i]->count >= options->minimum_count)) {
            room -= special ? 0 : 1;
            words[kept++] = words[i];
        } else {
            unknown->count += words[i]->count;
        }
    }
    return kept;
}

static pare_status fill_vocabulary(pri_word_table *counted, const pare_vocabulary_options *options,
                                   const pri_word **order, pare_vocabulary *vocabulary)
{
    for (size_t i = 0; i < counted->count; i++)
        order[i] = &counted->words[i];
    qsort(order, counted->count, sizeof *order, compare_frequency);

    uint32_t end_of_line = pri_word_table_find(counted, PRI_END_OF_LINE, strlen(PRI_END_OF_LINE));
    uint32_t unknown = pri_word_table_find(counted, PRI_UNKNOWN, strlen(PRI_UNKNOWN));
    size_t kept = choose_words(order, counted->count, &counted->words[end_of_line],
                               &counted->words[unknown], options);
    /* <unk> may have become more frequent. */
    qsort(order, kept, sizeof *order, compare_frequency);

    for (size_t i = 0; i < kept; i++)
        PRI_TRY(pri_word_table_add(&vocabulary->words, pri_word_table_bytes(counted, order[i]),
                                   order[i]->length, order[i]->count, NULL));
    vocabulary->unknown = pri_word_table_find(&vocabulary->words, PRI_UNKNOWN, strlen(PRI_UNKNOWN));
    return PARE_OK;
}

static pare_status build_words(const char *path, pri_line_range lines,
                               const pare_vocabulary_options *options, pare_vocabulary *vocabulary)
{
    pri_word_table counted = {0};
    const pri_word **order = NULL;
    pare_status status = count_words(path, lines, &counted);
    if (status == PARE_OK && !(order = pri_allocate(counted.count, sizeof(pri_word *))))
        status = PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = fill_vocabulary(&counted, options, order, vocabulary);
    pri_free(order);
    pri_word_table_free(&counted);
    return status;
}

pare_status pri_vocabulary_build_lines(const char *path, pri_line_range lines,
                                       const pare_vocabulary_options *options,
                                       pare_vocabulary **vocabulary)
{
    *vocabulary = NULL;
    if (options->level == PARE_TEXT_WORD && options->maximum_size == 1)
        return pri_fail(PARE_ERROR_ARGUMENT, "maximum vocabulary size 1: <eos> and <unk> alone are "
                                             "2; give 2 or more, or 0 for no limit");
    pare_vocabulary *built;
    PRI_TRY(pri_vocabulary_create(options->level, &built));
    if (options->level == PARE_TEXT_WORD) {
        pare_status status = build_words(path, lines, options, built);
        if (status != PARE_OK) {
            pare_vocabulary_destroy(built);
            return status;
        }
    }
    *vocabulary = built;
    return PARE_OK;
}

pare_status pare_vocabulary_build(const char *path, const pare_vocabulary_options *options,
                                  pare_vocabulary **vocabulary)
{
    return pri_vocabulary_build_lines(path, PRI_ALL_LINES, options, vocabulary);
}

/* ---- Use ---- */

size_t pare_vocabulary_size(const pare_vocabulary *vocabulary)
{
    return vocabulary->words.count;
}

pare_text_level pare_vocabulary_level(const pare_vocabulary *vocabulary)
{
    return vocabulary->level;
}

const char *pare_vocabulary_token(const pare_vocabulary *vocabulary, uint32_t id, size_t *length)
{
    const pri_word *word = &vocabulary->words.words[id];
    *length = word->length;
    return pri_word_table_bytes(&vocabulary->words, word);
}

uint32_t pare_vocabulary_id(const pare_vocabulary *vocabulary, const char *token, size_t length)
{
    uint32_t id = pri_word_table_find(&vocabulary->words, token, length);
    return id == PRI_NO_WORD ? vocabulary->unknown : id;
}
