/* Names and order of the steps follow normalize_answer and f1_score of the official script. */
#include "tasks/question_answering/answer_score.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tasks/python_text.h"

/* ---- Normalisation ---- */

static bool is_ascii_punctuation(char c)
{
    return c && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c);
}

static void drop_punctuation(pri_text *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++)
        if (!is_ascii_punctuation(text->data[i]))
            text->data[kept++] = text->data[i];
    text->length = kept;
}

static bool is_article(const char *word, size_t length)
{
    return (length == 1 && word[0] == 'a') || (length == 2 && !memcmp(word, "an", 2)) ||
           (length == 3 && !memcmp(word, "the", 3));
}

/* A run of characters of one kind: of words or not. */
static const char *end_of_run(const char *text, const char *end, bool *of_word)
{
    int32_t character;
    const char *next = pri_next_character(text, end, &character);
    *of_word = pri_python_is_word(character);
    while (next < end) {
        const char *after = pri_next_character(next, end, &character);
        if (pri_python_is_word(character) != *of_word)
            break;
        next = after;
    }
    return next;
}

/* An article is one between two word boundaries, that is, a whole run of word characters, whatever
 * stands beside it. A blank takes its place. */
static void drop_articles(const pri_text *text, pri_text *kept)
{
    const char *end = text->data + text->length;
    for (const char *at = text->data; at < end;) {
        bool of_word;
        const char *next = end_of_run(at, end, &of_word);
        size_t length = (size_t)(next - at);
        if (of_word && is_article(at, length))
            pri_text_append_bytes(kept, " ", 1);
        else
            pri_text_append_bytes(kept, at, length);
        at = next;
    }
}

static void collapse_spaces(const pri_text *text, pri_text *collapsed)
{
    const char *end = text->data + text->length;
    bool blank_due = false, begun = false;
    for (const char *at = text->data; at < end;) {
        int32_t character;
        const char *next = pri_next_character(at, end, &character);
        if (pri_python_is_space(character)) {
            blank_due = begun;
        } else {
            if (blank_due)
                pri_text_append_bytes(collapsed, " ", 1);
            pri_text_append_bytes(collapsed, at, (size_t)(next - at));
            blank_due = false;
            begun = true;
        }
        at = next;
    }
}

void pri_normalize_answer(const char *answer, size_t length, pri_text *normalized)
{
    pri_text lower = {0}, without_articles = {0};
    pri_python_lower(answer, length, &lower);
    if (lower.length && !lower.failed) {
        drop_punctuation(&lower);
        drop_articles(&lower, &without_articles);
        collapse_spaces(&without_articles, normalized);
    }
    pri_text_append_bytes(normalized, "", 0); /* an empty text has a buffer too */
    normalized->failed |= lower.failed || without_articles.failed;
    pri_text_free(&lower);
    pri_text_free(&without_articles);
}

/* ---- Words in common ---- */

typedef struct word_list {
    char **words;
    size_t count;
} word_list;

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Cuts a normalised answer at its blanks and sorts what is left. */
static pare_status list_words(pri_text *normalized, word_list *list)
{
    size_t blanks = 0;
    for (size_t i = 0; i < normalized->length; i++)
        blanks += normalized->data[i] == ' ';
    list->count = normalized->length ? blanks + 1 : 0;
    list->words = pri_allocate(list->count, sizeof *list->words);
    if (!list->words)
        return PARE_ERROR_MEMORY;
    char *word = normalized->data;
    for (size_t i = 0; i < list->count; i++) {
        list->words[i] = word;
        char *blank = strchr(word, ' ');
        if (blank) {
            *blank = 0;
            word = blank + 1;
        }
    }
    qsort(list->words, list->count, sizeof *list->words, compare_words);
    return PARE_OK;
}

static size_t count_common(const word_list *a, const word_list *b)
{
    size_t common = 0;
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        int order = strcmp(a->words[i], b->words[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return common;
}

static double f1_of(const word_list *answer, const word_list *gold)
{
    if (!answer->count || !gold->count)
        return answer->count == gold->count;
    size_t common = count_common(answer, gold);
    if (!common)
        return 0;
    double precision = (double)common / (double)answer->count;
    double recall = (double)common / (double)gold->count;
    return 2 * precision * recall / (precision + recall);
}

static pare_status compare_normalized(pri_text *answer, pri_text *gold, pri_answer_score *score)
{
    score->exact_match =
        answer->length == gold->length && !memcmp(answer->data, gold->data, gold->length);
    word_list answer_words = {0}, gold_words = {0};
    pare_status status = list_words(answer, &answer_words);
    if (status == PARE_OK)
        status = list_words(gold, &gold_words);
    if (status == PARE_OK)
        score->f1 = f1_of(&answer_words, &gold_words);
    pri_free(answer_words.words);
    pri_free(gold_words.words);
    return status;
}

pare_status pri_score_answer(const char *answer, size_t length, const char *gold,
                             pri_answer_score *score)
{
    *score = (pri_answer_score){0};
    pri_text answer_text = {0}, gold_text = {0};
    pri_normalize_answer(answer, length, &answer_text);
    pri_normalize_answer(gold, strlen(gold), &gold_text);
    pare_status status = answer_text.failed || gold_text.failed
                             ? pri_fail(PARE_ERROR_MEMORY, "out of memory for an answer's words")
                             : compare_normalized(&answer_text, &gold_text, score);
    pri_text_free(&answer_text);
    pri_text_free(&gold_text);
    return status;
}

void pri_score_raise(pri_answer_score *best, const pri_answer_score *score)
{
    if (score->exact_match > best->exact_match)
        best->exact_match = score->exact_match;
    if (score->f1 > best->f1)
        best->f1 = score->f1;
}
