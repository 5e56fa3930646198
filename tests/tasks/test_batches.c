/* Dealing examples into batches: everyone once per epoch, within the limits, the same for the same
 * seed, from any position on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "status_check.h"
#include "tasks/batches.h"

#define COUNT 257

static const size_t *random_lengths(void)
{
    static size_t lengths[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        lengths[i] = 1 + (size_t)pri_random_below(5, i, 60);
    return lengths;
}

static pri_dealer *create(pri_dealing dealing, const size_t *lengths, size_t count)
{
    pri_dealer *dealer;
    if (pri_dealer_create(&dealing, lengths, count, &dealer) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return dealer;
}

/* The next batch must not exceed the limits, unless it is a single example. */
static size_t take_batch(pri_dealer *dealer, const pri_dealing *dealing, const size_t *lengths,
                         size_t *seen, size_t *tokens)
{
    const size_t *indices;
    size_t count;
    *tokens = 0;
    pri_dealer_next(dealer, &indices, &count);
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++) {
        assert_true(indices[i] < COUNT);
        seen[indices[i]]++;
        *tokens += lengths[indices[i]];
    }
    assert_true(!dealing->examples || count <= dealing->examples);
    assert_true(!dealing->tokens || *tokens <= dealing->tokens || count == 1);
    return count;
}

static void check_epochs(pri_dealing dealing)
{
    const size_t *lengths = random_lengths();
    pri_dealer *dealer = create(dealing, lengths, COUNT);
    uint64_t batches = 0, tokens = 0;
    assert_int_equal(pri_dealer_tokens(dealer, 0), 0);
    for (uint64_t epoch = 0; epoch < 4; epoch++) {
        size_t seen[COUNT] = {0};
        while (pri_dealer_tell(dealer).epoch == epoch) {
            size_t of_batch;
            take_batch(dealer, &dealing, lengths, seen, &of_batch);
            tokens += of_batch;
            assert_int_equal(pri_dealer_tokens(dealer, ++batches), tokens);
        }
        if (epoch == 0)
            assert_int_equal(batches, pri_dealer_batches(dealer));
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
    }
    /* Backwards too, where an earlier epoch must be counted again. */
    size_t first = 0, nobody[COUNT] = {0};
    pri_dealer_rewind(dealer);
    take_batch(dealer, &dealing, lengths, nobody, &first);
    assert_int_equal(pri_dealer_tokens(dealer, 1), first);
    pri_dealer_destroy(dealer);
}

static void test_every_example_once_within_the_limits(void **state)
{
    (void)state;
    check_epochs((pri_dealing){.examples = 8, .seed = 1});
    check_epochs((pri_dealing){.examples = 1, .seed = 2});
    check_epochs((pri_dealing){.tokens = 200, .seed = 3});
    check_epochs((pri_dealing){.examples = 5, .tokens = 150, .seed = 4});
    check_epochs((pri_dealing){.examples = 1, .tokens = 150, .seed = 5});
    check_epochs((pri_dealing){.tokens = 20, .seed = 6}); /* many are longer than the budget */
    check_epochs((pri_dealing){.seed = 7});               /* no limits: one batch */
}

static void test_the_number_of_batches_of_equal_lengths(void **state)
{
    (void)state;
    size_t lengths[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        lengths[i] = 10;
    const struct {
        pri_dealing dealing;
        uint64_t batches;
    } cases[] = {{{.examples = 8}, 33},
                 {{.tokens = 80}, 33},
                 {{.tokens = 89}, 33},
                 {{.tokens = 79}, 37},
                 {{.tokens = 5}, 257},
                 {{.examples = 4, .tokens = 80}, 65},
                 {{0}, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pri_dealer *dealer = create(cases[i].dealing, lengths, COUNT);
        assert_int_equal(pri_dealer_batches(dealer), cases[i].batches);
        pri_dealer_destroy(dealer);
    }
}

static uint64_t hash_batch(pri_dealer *dealer)
{
    const size_t *indices;
    size_t count;
    pri_dealer_next(dealer, &indices, &count);
    return pri_hash(pri_hash(PRI_HASH_START, &count, sizeof count), indices,
                    count * sizeof *indices);
}

#define STEPS 100

static void test_the_same_seed_deals_the_same_and_any_position_can_be_resumed(void **state)
{
    (void)state;
    const pri_dealing dealing = {.tokens = 300, .seed = 11};
    const size_t *lengths = random_lengths();
    pri_dealer *dealer = create(dealing, lengths, COUNT);
    uint64_t hashes[STEPS];
    pri_dealer_position positions[STEPS];
    for (size_t i = 0; i < STEPS; i++) {
        positions[i] = pri_dealer_tell(dealer);
        hashes[i] = hash_batch(dealer);
    }
    assert_true(positions[STEPS - 1].epoch >= 2);
    pri_dealer *other = create(dealing, lengths, COUNT);
    for (size_t i = STEPS; i-- > 0;) {
        assert_true(pri_dealer_seek(other, positions[i]));
        for (size_t j = i; j < STEPS && j < i + 3; j++)
            assert_true(hash_batch(other) == hashes[j]);
    }
    pri_dealer_rewind(dealer);
    for (size_t i = 0; i < STEPS; i++)
        assert_true(hash_batch(dealer) == hashes[i]);
    pri_dealer_destroy(other);
    pri_dealer_destroy(dealer);

    pri_dealer *reseeded = create((pri_dealing){.tokens = 300, .seed = 12}, lengths, COUNT);
    assert_true(hash_batch(reseeded) != hashes[0]);
    pri_dealer_destroy(reseeded);
}

static void test_a_position_that_does_not_exist_changes_nothing(void **state)
{
    (void)state;
    pri_dealer *dealer = create((pri_dealing){.examples = 100, .seed = 3}, random_lengths(), COUNT);
    hash_batch(dealer);
    assert_false(pri_dealer_seek(dealer, (pri_dealer_position){.epoch = 7, .batch = 3}));
    assert_false(pri_dealer_seek(dealer, (pri_dealer_position){.epoch = 0, .batch = UINT64_MAX}));
    pri_dealer_position position = pri_dealer_tell(dealer);
    assert_int_equal(position.epoch, 0);
    assert_int_equal(position.batch, 1);
    uint64_t second = hash_batch(dealer);
    pri_dealer_rewind(dealer);
    hash_batch(dealer);
    assert_true(hash_batch(dealer) == second);
    pri_dealer_destroy(dealer);
}

static void test_epochs_differ_and_batches_are_shuffled(void **state)
{
    (void)state;
    const size_t *lengths = random_lengths();
    pri_dealer *dealer = create((pri_dealing){.tokens = 400, .seed = 1}, lengths, COUNT);
    uint64_t first = hash_batch(dealer);
    assert_true(pri_dealer_seek(dealer, (pri_dealer_position){.epoch = 1}));
    assert_true(hash_batch(dealer) != first);

    /* Nearly equal lengths in a batch; the batches themselves neither rise nor fall. */
    pri_dealer_rewind(dealer);
    size_t rises = 0, falls = 0, last = 0;
    for (uint64_t i = 0; i < pri_dealer_batches(dealer); i++) {
        const size_t *indices;
        size_t count, shortest = SIZE_MAX, longest = 0;
        pri_dealer_next(dealer, &indices, &count);
        for (size_t j = 0; j < count; j++) {
            size_t length = lengths[indices[j]];
            shortest = length < shortest ? length : shortest;
            longest = length > longest ? length : longest;
        }
        /* The shortest 400 tokens are lengths 1 to 14, as there are 4 examples of a length; then
         * both ends have their noise. */
        assert_true((double)longest * .9 <= (double)shortest * 1.1 + 14);
        rises += longest > last;
        falls += longest < last;
        last = longest;
    }
    assert_true(rises >= 3 && falls >= 3);
    pri_dealer_destroy(dealer);
}

static void test_examples_alone_are_a_plain_shuffle(void **state)
{
    (void)state;
    /* If lengths mattered, the halves of a sorted epoch would differ by far more than this. */
    const size_t *lengths = random_lengths();
    pri_dealer *dealer = create((pri_dealing){.examples = 128, .seed = 9}, lengths, COUNT);
    size_t seen[COUNT] = {0}, tokens[2];
    const pri_dealing dealing = {.examples = 128};
    size_t counts[2];
    for (int i = 0; i < 2; i++)
        do
            counts[i] = take_batch(dealer, &dealing, lengths, seen, &tokens[i]);
        while (counts[i] < 128);
    double ratio = (double)tokens[0] / (double)tokens[1];
    assert_true(ratio > .8 && ratio < 1.25);
    pri_dealer_destroy(dealer);
}

static void test_deal_by_length(void **state)
{
    (void)state;
    const size_t lengths[] = {5, 3, 9, 3, 1, 30, 5};
    pri_deal deal;
    assert_int_equal(pri_deal_by_length(&(pri_dealing){.tokens = 12}, lengths, 7, &deal), PARE_OK);
    const size_t indices[] = {4, 1, 3, 0, 6, 2, 5}, begins[] = {0, 4, 5, 6, 7};
    assert_int_equal(deal.batches, 4);
    assert_memory_equal(deal.indices, indices, sizeof indices);
    assert_memory_equal(deal.begins, begins, sizeof begins);
    pri_deal_free(&deal);

    assert_int_equal(pri_deal_by_length(&(pri_dealing){.examples = 3}, lengths, 7, &deal), PARE_OK);
    const size_t threes[] = {0, 3, 6, 7};
    assert_int_equal(deal.batches, 3);
    assert_memory_equal(deal.begins, threes, sizeof threes);
    pri_deal_free(&deal);

    assert_int_equal(pri_deal_by_length(&(pri_dealing){.tokens = 12}, lengths, 0, &deal), PARE_OK);
    assert_int_equal(deal.batches, 0);
    pri_deal_free(&deal);
}

static void test_nothing_to_deal(void **state)
{
    (void)state;
    pri_dealer *dealer;
    assert_int_equal(pri_dealer_create(&(pri_dealing){.examples = 1}, NULL, 0, &dealer),
                     PARE_ERROR_ARGUMENT);
    assert_null(dealer);
    assert_non_null(strstr(pare_error_message(), "no examples"));
    pri_dealer_destroy(NULL);
}

static void test_dealing_allocates_nothing(void **state)
{
    (void)state;
    pri_dealer *dealer = create((pri_dealing){.tokens = 100, .seed = 1}, random_lengths(), COUNT);
    uint64_t before = pri_allocation_count();
    for (int i = 0; i < 1000; i++)
        hash_batch(dealer);
    pri_dealer_tokens(dealer, 1000);
    assert_int_equal(pri_allocation_count(), before);
    pri_dealer_destroy(dealer);
}

static void test_a_position_survives_as_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/pare-test-batches-XXXXXX";
    close(mkstemp(path));
    const pri_dealing dealing = {.tokens = 300, .seed = 11};
    const size_t *lengths = random_lengths();
    pri_dealer *dealer = create(dealing, lengths, COUNT), *other = create(dealing, lengths, COUNT);
    for (uint64_t i = 0; i < 2 * pri_dealer_batches(dealer); i++) {
        assert_int_equal(pri_dealer_save(dealer, 77, path), PARE_OK);
        assert_int_equal(pri_dealer_load(other, 77, path), PARE_OK);
        uint64_t hash = hash_batch(dealer);
        assert_true(hash == hash_batch(other));
    }
    assert_fails(pri_dealer_load(other, 78, path), PARE_ERROR_ARGUMENT, "other data");
    pri_dealer_destroy(other);
    const pri_dealing others[] = {{.tokens = 301, .seed = 11},
                                  {.tokens = 300, .seed = 12},
                                  {.tokens = 300, .examples = 2, .seed = 11}};
    for (int i = 0; i < 3; i++) {
        other = create(others[i], lengths, COUNT);
        assert_fails(pri_dealer_load(other, 77, path), PARE_ERROR_ARGUMENT, path);
        pri_dealer_destroy(other);
    }
    pri_dealer_destroy(dealer);
    assert_int_equal(remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_example_once_within_the_limits),
        cmocka_unit_test(test_the_number_of_batches_of_equal_lengths),
        cmocka_unit_test(test_the_same_seed_deals_the_same_and_any_position_can_be_resumed),
        cmocka_unit_test(test_a_position_that_does_not_exist_changes_nothing),
        cmocka_unit_test(test_epochs_differ_and_batches_are_shuffled),
        cmocka_unit_test(test_examples_alone_are_a_plain_shuffle),
        cmocka_unit_test(test_deal_by_length),
        cmocka_unit_test(test_nothing_to_deal),
        cmocka_unit_test(test_dealing_allocates_nothing),
        cmocka_unit_test(test_a_position_survives_as_a_file),
    };
    return cmocka_run_group_tests_name("batches", tests, NULL, NULL);
}
