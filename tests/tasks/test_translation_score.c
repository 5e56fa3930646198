/* Scores and tokens against golden values of sacreBLEU and of the definition of tokenised BLEU;
 * values computed by hand; bytes that are no text. */
#include "status_check.h"

#include <stdlib.h>

#include "documents/json.h"
#include "pare/task.h"
#include "tasks/translation/segment.h"
#include "temporary_files.h"

static json_t *load_golden(void)
{
    json_t *golden;
    check_ok(pri_json_load(PARE_GOLDEN_DIRECTORY "/translation_scores.json", &golden));
    return golden;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- Tokens ---- */

static void check_tokens(const json_t *golden)
{
    pri_text segment = {0}, tokens = {0}, scratch = {0};
    const char *text = string(golden, "text");
    const json_t *expected = json_object_get(golden, "tokens");
    pri_segment_read(text, strlen(text), false, &segment);
    pri_tokenize_13a(&segment, &tokens, &scratch);
    assert_false(tokens.failed);
    const char *at = tokens.data, *end = tokens.data + tokens.length, *word;
    size_t count = 0, length;
    for (; (word = pri_next_word(&at, end, &length)); count++) {
        const char *other = json_string_value(json_array_get(expected, count));
        if (!other || strlen(other) != length || memcmp(other, word, length))
            fail_msg("\"%s\": token %zu is \"%.*s\"", text, count, (int)length, word);
    }
    if (count != json_array_size(expected))
        fail_msg("\"%s\" has %zu tokens", text, count);
    pri_text_free(&segment);
    pri_text_free(&tokens);
    pri_text_free(&scratch);
}

static void test_golden_tokens(void **state)
{
    (void)state;
    json_t *golden = load_golden();
    const json_t *cases = json_object_get(golden, "tokens");
    assert_true(json_array_size(cases) > 400);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_tokens(json_array_get(cases, i));
    json_decref(golden);
}

/* ---- Scores ---- */

static void add(pare_scorer *scorer, const char *hypothesis, const char *reference)
{
    check_ok(pare_scorer_add(scorer, hypothesis, strlen(hypothesis), reference, strlen(reference)));
}

static void check_corpus(const json_t *golden)
{
    pare_scorer_options options = {.lower_case =
                                       json_is_true(json_object_get(golden, "lower_case"))};
    const json_t *hypotheses = json_object_get(golden, "hypotheses");
    const json_t *references = json_object_get(golden, "references");
    pare_scorer *scorer;
    check_ok(pare_scorer_create(&options, &scorer));
    for (size_t i = 0; i < json_array_size(hypotheses); i++)
        add(scorer, json_string_value(json_array_get(hypotheses, i)),
            json_string_value(json_array_get(references, i)));
    pare_translation_score score;
    pare_scorer_score(scorer, &score);
    pare_scorer_destroy(scorer);
    assert_int_equal(score.segments, json_array_size(hypotheses));
    assert_int_equal(score.hypothesis_length, (uint64_t)number(golden, "hypothesis_length"));
    assert_int_equal(score.reference_length, (uint64_t)number(golden, "reference_length"));
    assert_near(score.bleu, number(golden, "bleu"), 1e-10);
    assert_near(score.chrf, number(golden, "chrf"), 1e-10);
    assert_near(score.tokenised_bleu, number(golden, "tokenised_bleu"), 1e-10);
    assert_near(score.brevity_penalty, number(golden, "brevity_penalty"), 1e-12);
    const json_t *precisions = json_object_get(golden, "precisions");
    for (size_t i = 0; i < 4; i++)
        assert_near(score.precisions[i], json_number_value(json_array_get(precisions, i)), 1e-10);
    assert_string_equal(pare_bleu_signature(&options), string(golden, "bleu_signature"));
    assert_string_equal(pare_chrf_signature(&options), string(golden, "chrf_signature"));
}

static void test_golden_scores(void **state)
{
    (void)state;
    json_t *golden = load_golden();
    const json_t *corpora = json_object_get(golden, "corpora");
    assert_true(json_array_size(corpora) > 200);
    for (size_t i = 0; i < json_array_size(corpora); i++)
        check_corpus(json_array_get(corpora, i));
    json_decref(golden);
}

static pare_translation_score score_bytes(const char *hypothesis, size_t hypothesis_length,
                                          const char *reference, size_t reference_length)
{
    pare_scorer *scorer;
    pare_translation_score score;
    check_ok(pare_scorer_create(NULL, &scorer));
    check_ok(pare_scorer_add(scorer, hypothesis, hypothesis_length, reference, reference_length));
    pare_scorer_score(scorer, &score);
    pare_scorer_destroy(scorer);
    return score;
}

static pare_translation_score score_one(const char *hypothesis, const char *reference)
{
    return score_bytes(hypothesis, strlen(hypothesis), reference, strlen(reference));
}

/* Five of seven words, three of six pairs, one of five triples; no four words match. */
static void test_by_hand(void **state)
{
    (void)state;
    pare_translation_score score = score_one("a b c x d e y", "a b c z d e w");
    assert_near(score.precisions[0], 100. * 5 / 7, 1e-12);
    assert_near(score.precisions[1], 100. * 3 / 6, 1e-12);
    assert_near(score.precisions[2], 100. * 1 / 5, 1e-12);
    assert_near(score.precisions[3], 100. / (2 * 4), 1e-12);
    assert_near(score.bleu, 100 * pow(5. / 7 * 3 / 6 * 1 / 5 * 1 / 8, .25), 1e-12);
    assert_near(score.tokenised_bleu, 0, 0);
    score = score_one("a b c d", "a b c d e f");
    assert_near(score.brevity_penalty, exp(1 - 6. / 4), 1e-12);
    assert_near(score.bleu, 100 * exp(1 - 6. / 4), 1e-10);
    assert_near(score.tokenised_bleu, score.bleu, 1e-10);
    /* Characters: all of abcd, of abcdef 4/6, 3/5, 2/4 and 1/3; orders 5 and 6 are the reference's
     * alone. */
    double recall = (4. / 6 + 3. / 5 + 2. / 4 + 1. / 3) / 4;
    assert_near(score.chrf, 100 * 5 * recall / (4 + recall), 1e-10);
}

static void test_equal_texts_score_100(void **state)
{
    (void)state;
    const char *text = "Der Hund, der 1,000 Katzen jagt, heißt &quot;Rex&quot;.";
    pare_translation_score score = score_one(text, text);
    assert_near(score.bleu, 100, 1e-10);
    assert_near(score.chrf, 100, 1e-10);
    assert_near(score.tokenised_bleu, 100, 1e-10);
}

static void test_no_segments(void **state)
{
    (void)state;
    pare_scorer *scorer;
    pare_translation_score score;
    check_ok(pare_scorer_create(NULL, &scorer));
    pare_scorer_score(scorer, &score);
    assert_near(score.bleu + score.chrf + score.tokenised_bleu, 0, 0);
    assert_int_equal(score.segments, 0);
    pare_scorer_destroy(scorer);
    pare_scorer_destroy(NULL);
}

static void assert_equal_scores(pare_translation_score a, pare_translation_score b)
{
    assert_near(a.bleu, b.bleu, 0);
    assert_near(a.chrf, b.chrf, 0);
    assert_near(a.tokenised_bleu, b.tokenised_bleu, 0);
    assert_int_equal(a.hypothesis_length, b.hypothesis_length);
}

/* Python's decoder gives one U+FFFD for a sequence that began well, and one for each other byte. */
static void test_invalid_utf8(void **state)
{
    (void)state;
    const char *reference = "one two \xef\xbf\xbd three \xef\xbf\xbd\xef\xbf\xbd four";
    assert_equal_scores(score_one("one two \xe4\xbd three \xc0\xaf four \xff", reference),
                        score_one("one two \xef\xbf\xbd three \xef\xbf\xbd\xef\xbf\xbd four "
                                  "\xef\xbf\xbd",
                                  reference));
    assert_true(score_one("one two \xe4\xbd three \xc0\xaf four", reference).chrf > 99.9);
}

/* Also: only the segment's own bytes count. */
static void test_nul_is_ordinary(void **state)
{
    (void)state;
    const char hypothesis[] = "a\0b c d e f\0\0!", reference[] = "a\0b c d e f\0!";
    assert_equal_scores(
        score_bytes(hypothesis, sizeof hypothesis - 2, reference, sizeof reference - 1),
        score_one("a\1b c d e f\1\1", "a\1b c d e f\1!"));
}

/* An n-gram of zeros is none of fewer: "\0\0" has one pair, "\0" has none. */
static void test_ngrams_of_nul(void **state)
{
    (void)state;
    assert_equal_scores(score_bytes("\0\0\0\0", 4, "\0\0", 2), score_one("\1\1\1\1", "\1\1"));
}

static char *repeat(const char *unit, size_t count)
{
    size_t length = strlen(unit);
    char *text = malloc(length * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * length, unit, length);
    text[length * count] = 0;
    return text;
}

/* Were anything quadratic, this would take many minutes. */
static void test_long_segments(void **state)
{
    (void)state;
    const char *const units[] = {"a", "a ", "\xff", "\u03a3'", "@@ ", ".,", "&amp;", "-\n", " "};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char *text = repeat(units[i], 300000 / strlen(units[i]));
        pare_scorer *scorer;
        pare_translation_score score;
        check_ok(pare_scorer_create(&(pare_scorer_options){.lower_case = true}, &scorer));
        add(scorer, text, text);
        for (int j = 0; j < 1000; j++) /* the table is large now, and not cleared each time */
            add(scorer, "short", "short");
        pare_scorer_score(scorer, &score);
        assert_near(score.chrf, 100, 1e-9);
        pare_scorer_destroy(scorer);
        free(text);
    }
}

/* More different words than a scorer remembers. */
static void test_many_words(void **state)
{
    (void)state;
    pare_scorer *scorer;
    pare_translation_score score;
    check_ok(pare_scorer_create(NULL, &scorer));
    char *text = malloc(6 * 300000 + 1);
    assert_non_null(text);
    for (unsigned i = 0; i < 300000; i++)
        snprintf(text + 6 * i, 7, "%05x ", i);
    add(scorer, text, text);
    add(scorer, "a b c d 00000", "a b c d 00000");
    pare_scorer_score(scorer, &score);
    assert_near(score.bleu, 100, 1e-9);
    assert_near(score.tokenised_bleu, 100, 1e-9);
    free(text);
    pare_scorer_destroy(scorer);
}

static void write_file(const char *path, const char *text)
{
    check_ok(pri_file_replace(path, text, strlen(text)));
}

static void test_files(void **state)
{
    (void)state;
    pare_translation_score score;
    const char *hypotheses = in_directory("hypotheses"), *references = in_directory("references");
    write_file(hypotheses, "a b c d e\n\nx y\r\n");
    write_file(references, "a b c d e\n\nx y");
    check_ok(pare_score_files(hypotheses, references, NULL, &score));
    assert_near(score.chrf, 100, 1e-10);
    assert_int_equal(score.segments, 3);
    write_file(references, "a b c d e\n");
    assert_fails(pare_score_files(hypotheses, references, NULL, &score), PARE_ERROR_FORMAT,
                 "hypotheses has 3 lines");
    assert_fails(pare_score_files(references, hypotheses, NULL, &score), PARE_ERROR_FORMAT,
                 "references has 1 line, but");
    write_file(references, "");
    assert_fails(pare_score_files(hypotheses, references, NULL, &score), PARE_ERROR_FORMAT,
                 "references has 0;");
    assert_fails(pare_score_files(references, references, NULL, &score), PARE_ERROR_FORMAT,
                 "empty");
    assert_fails(pare_score_files("-", "-", NULL, &score), PARE_ERROR_ARGUMENT, "both");
    assert_fails(pare_score_files(hypotheses, "/absent", NULL, &score), PARE_ERROR_FILE, "/absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_tokens),   cmocka_unit_test(test_golden_scores),
        cmocka_unit_test(test_by_hand),         cmocka_unit_test(test_equal_texts_score_100),
        cmocka_unit_test(test_no_segments),     cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_nul_is_ordinary), cmocka_unit_test(test_ngrams_of_nul),
        cmocka_unit_test(test_long_segments),   cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
