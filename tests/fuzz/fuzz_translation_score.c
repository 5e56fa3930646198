/* Scores. The first byte chooses lower case; the rest is lines, hypothesis and reference in turn.
 * Scores must lie in their range, be full for equal texts, and be what comparing each n-gram with
 * each gives. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/task.h"
#include "tasks/translation/bleu.h"
#include "tasks/translation/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct piece {
    const char *bytes;
    size_t length;
} piece;

static piece next_line(piece *rest)
{
    const char *newline = memchr(rest->bytes, '\n', rest->length);
    piece line = {rest->bytes, newline ? (size_t)(newline - rest->bytes) : rest->length};
    size_t taken = line.length + (newline != NULL);
    rest->bytes += taken;
    rest->length -= taken;
    return line;
}

static pare_scorer *open_scorer(bool lower_case)
{
    pare_scorer *scorer;
    if (pare_scorer_create(&(pare_scorer_options){lower_case}, &scorer) != PARE_OK)
        abort();
    return scorer;
}

static void add(pare_scorer *scorer, piece hypothesis, piece reference)
{
    if (pare_scorer_add(scorer, hypothesis.bytes, hypothesis.length, reference.bytes,
                        reference.length) != PARE_OK)
        abort();
}

static void check(bool condition)
{
    if (!condition)
        abort();
}

static pare_translation_score check_score(const pare_scorer *scorer)
{
    pare_translation_score score;
    pare_scorer_score(scorer, &score);
    const double values[] = {score.bleu, score.chrf, score.tokenised_bleu,
                             100 * score.brevity_penalty};
    for (size_t i = 0; i < 4; i++)
        check(values[i] >= 0 && values[i] <= 100 + 1e-9);
    return score;
}

static void check_equal_texts(bool lower_case, piece line)
{
    pare_scorer *scorer = open_scorer(lower_case);
    add(scorer, line, line);
    pare_translation_score score = check_score(scorer);
    check(score.hypothesis_length == score.reference_length);
    check(score.chrf <= 0 || fabs(score.chrf - 100) < 1e-9);
    check(fabs(score.bleu - (score.hypothesis_length > 3 ? 100 : 0)) < 1e-9);
    pare_scorer_destroy(scorer);
}

/* ---- Tokens and n-grams ---- */

#define MOST_WORDS 64

typedef struct word_list {
    piece words[MOST_WORDS];
    size_t count;
} word_list;

static word_list list_words(const pri_text *tokens)
{
    word_list list = {.count = 0};
    const char *at = tokens->data, *end = tokens->data + tokens->length;
    piece word;
    while (list.count < MOST_WORDS && (word.bytes = pri_next_word(&at, end, &word.length)))
        list.words[list.count++] = word;
    return list;
}

static bool same_words(const piece *a, const piece *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].length != b[i].length || memcmp(a[i].bytes, b[i].bytes, a[i].length))
            return false;
    return true;
}

/* Each n-gram of the hypothesis takes one of the reference that none took before. */
static uint64_t count_matches(const word_list *hypothesis, const word_list *reference, size_t n)
{
    bool taken[MOST_WORDS] = {false};
    uint64_t matches = 0;
    for (size_t i = 0; i + n <= hypothesis->count; i++)
        for (size_t j = 0; j + n <= reference->count; j++)
            if (!taken[j] && same_words(hypothesis->words + i, reference->words + j, n)) {
                taken[j] = true;
                matches++;
                break;
            }
    return matches;
}

static word_list tokenize(bool lower_case, piece line, pri_text *tokens)
{
    pri_text segment = {0}, scratch = {0};
    pri_segment_read(line.bytes, line.length, lower_case, &segment);
    pri_tokenize_13a(&segment, tokens, &scratch);
    check(!tokens->failed);
    pri_text_free(&segment);
    pri_text_free(&scratch);
    return list_words(tokens);
}

static void check_matches(bool lower_case, piece hypothesis, piece reference)
{
    pare_scorer *scorer = open_scorer(lower_case);
    add(scorer, hypothesis, reference);
    pare_translation_score score = check_score(scorer);
    pri_text texts[2] = {{0}, {0}};
    word_list words[2] = {tokenize(lower_case, hypothesis, &texts[0]),
                          tokenize(lower_case, reference, &texts[1])};
    if (words[0].count < MOST_WORDS && words[1].count < MOST_WORDS) {
        pri_ngram_counts counts = {0};
        for (size_t n = 1; n <= PRI_BLEU_ORDERS; n++) {
            counts.hypothesis[n - 1] = words[0].count < n ? 0 : words[0].count - n + 1;
            counts.reference[n - 1] = words[1].count < n ? 0 : words[1].count - n + 1;
            counts.matches[n - 1] = count_matches(&words[0], &words[1], n);
        }
        double precisions[PRI_BLEU_ORDERS];
        pri_smoothed_precisions(&counts, precisions);
        check(fabs(pri_bleu(&counts, precisions) - score.bleu) < 1e-12);
        check(score.hypothesis_length == words[0].count);
        check(score.reference_length == words[1].count);
    }
    pri_text_free(&texts[0]);
    pri_text_free(&texts[1]);
    pare_scorer_destroy(scorer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    bool lower_case = data[0] & 1;
    piece rest = {(const char *)data + 1, size - 1};
    pare_scorer *scorer = open_scorer(lower_case);
    while (rest.length) {
        piece hypothesis = next_line(&rest), reference = next_line(&rest);
        add(scorer, hypothesis, reference);
        check_equal_texts(lower_case, hypothesis);
        check_matches(lower_case, hypothesis, reference);
    }
    check_score(scorer);
    pare_scorer_destroy(scorer);
    return 0;
}
