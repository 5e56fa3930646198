/* The recipe of masked words: how many, which, and what takes their place. Bounds on counts are
 * five standard deviations of the distribution that is claimed; the draws are fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/memory.h"
#include "tasks/masked_language_modelling/word_masking.h"
#include "temporary_files.h"

/* Special tokens 0 .. 4 and words 5 .. 24. */
enum { SPECIALS = 5, WORDS = 20, VOCABULARY = SPECIALS + WORDS };
enum { PADDING, UNKNOWN, CLASSIFICATION, SEPARATOR, MASK };

static pare_wordpiece *tokenizer;
static pri_word_masking masking;

static int set_up(void **state)
{
    char text[512] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 0; i < WORDS; i++)
        snprintf(text + strlen(text), 16, "w%d\n", i);
    if (make_directory(state) != 0 ||
        pri_file_replace(in_directory("vocab.txt"), text, strlen(text)) != PARE_OK ||
        pare_wordpiece_load(directory, &tokenizer) != PARE_OK)
        return -1;
    return pri_word_masking_create(tokenizer, .15, &masking) == PARE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    pri_word_masking_free(&masking);
    pare_wordpiece_destroy(tokenizer);
    return remove_directory(state);
}

static void assert_share(size_t count, size_t of, double probability)
{
    double expected = (double)of * probability;
    double bound = 5 * sqrt(expected * (1 - probability));
    if (!(fabs((double)count - expected) <= bound))
        fail_msg("%zu of %zu, not %g +- %g", count, of, expected, bound);
}

/* Words of which the n-th is never equal to its neighbours'. */
static void fill_words(uint32_t *tokens, size_t length)
{
    for (size_t i = 0; i < length; i++)
        tokens[i] = (uint32_t)(SPECIALS + i % WORDS);
}

enum { LENGTH = 100, CHOSEN = 15, SEQUENCES = 4000 };

static void test_shares(void **state)
{
    (void)state;
    size_t at_position[LENGTH] = {0}, drawn[VOCABULARY] = {0}, masked = 0, random = 0, same = 0;
    pri_chosen_words chosen = {0};
    for (uint64_t key = 0; key < SEQUENCES; key++) {
        uint32_t text[LENGTH], tokens[LENGTH];
        fill_words(text, LENGTH);
        memcpy(tokens, text, sizeof text);
        chosen.count = 0;
        assert_int_equal(pri_mask_words(&masking, key, 0, tokens, LENGTH, &chosen), PARE_OK);
        assert_int_equal(chosen.count, CHOSEN);
        for (size_t i = 0; i < CHOSEN; i++) {
            size_t row = chosen.rows[i];
            assert_true(row < LENGTH && (!i || row > chosen.rows[i - 1]));
            assert_int_equal(chosen.words[i], text[row]);
            at_position[row]++;
            masked += tokens[row] == MASK;
            same += tokens[row] == text[row];
            random += tokens[row] != MASK && tokens[row] != text[row];
            drawn[tokens[row]] += tokens[row] != text[row];
            text[row] = tokens[row];
        }
        assert_memory_equal(tokens, text, sizeof text); /* nothing else was touched */
    }
    pri_chosen_words_free(&chosen);
    const size_t all = (size_t)SEQUENCES * CHOSEN;
    assert_int_equal(masked + random + same, all);
    assert_share(masked, all, .8);
    assert_share(random, all, .1 * (WORDS - 1) / WORDS);
    assert_share(same, all, .1 + .1 / WORDS);
    for (size_t i = 0; i < LENGTH; i++)
        assert_share(at_position[i], SEQUENCES, .15);
    for (size_t i = 0; i < VOCABULARY; i++)
        if (i < SPECIALS)
            assert_int_equal(drawn[i], i == MASK ? masked : 0);
        else
            assert_share(drawn[i], random, 1.0 / WORDS);
}

static void test_special_tokens_stay(void **state)
{
    (void)state;
    pri_chosen_words chosen = {0};
    for (uint64_t key = 0; key < 200; key++) {
        const uint32_t text[] = {CLASSIFICATION, 5, UNKNOWN, 6, MASK, PADDING, 7, SEPARATOR};
        uint32_t tokens[8];
        memcpy(tokens, text, sizeof text);
        chosen.count = 0;
        assert_int_equal(pri_mask_words(&masking, key, 40, tokens, 8, &chosen), PARE_OK);
        assert_int_equal(chosen.count, 1);
        size_t row = chosen.rows[0] - 40;
        assert_true(row == 1 || row == 3 || row == 6);
        assert_int_equal(chosen.words[0], text[row]);
        tokens[row] = text[row];
        assert_memory_equal(tokens, text, sizeof text);
    }
    uint32_t no_words[] = {CLASSIFICATION, UNKNOWN, SEPARATOR};
    chosen.count = 0;
    assert_int_equal(pri_mask_words(&masking, 1, 0, no_words, 3, &chosen), PARE_OK);
    assert_int_equal(chosen.count, 0);
    pri_chosen_words_free(&chosen);
}

static void test_numbers(void **state)
{
    (void)state;
    const size_t lengths[] = {1, 2, 9, 10, 11, 16, 17, 24, 60};
    const size_t counts[] = {1, 1, 1, 2, 2, 2, 3, 4, 9};
    pri_chosen_words chosen = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint32_t tokens[64];
        fill_words(tokens, lengths[i]);
        chosen.count = 0;
        assert_int_equal(pri_mask_words(&masking, i, 0, tokens, lengths[i], &chosen), PARE_OK);
        assert_int_equal(chosen.count, counts[i]);
    }
    pri_chosen_words_free(&chosen);
}

static void test_keys(void **state)
{
    (void)state;
    uint32_t tokens[3][LENGTH];
    pri_chosen_words chosen[3] = {{0}};
    for (size_t i = 0; i < 3; i++) {
        fill_words(tokens[i], LENGTH);
        assert_int_equal(pri_mask_words(&masking, i / 2, 0, tokens[i], LENGTH, &chosen[i]),
                         PARE_OK);
    }
    assert_memory_equal(tokens[0], tokens[1], sizeof tokens[0]);
    assert_memory_equal(chosen[0].rows, chosen[1].rows, CHOSEN * sizeof(uint32_t));
    assert_memory_not_equal(chosen[0].rows, chosen[2].rows, CHOSEN * sizeof(uint32_t));
    for (size_t i = 0; i < 3; i++)
        pri_chosen_words_free(&chosen[i]);
}

static void test_bad_shares(void **state)
{
    (void)state;
    const double shares[] = {0, 1, -.1, 1.5, NAN};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        pri_word_masking bad;
        assert_int_equal(pri_word_masking_create(tokenizer, shares[i], &bad), PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_error_message(), "between 0 and 1"));
        pri_word_masking_free(&bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),     cmocka_unit_test(test_special_tokens_stay),
        cmocka_unit_test(test_numbers),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bad_shares),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
