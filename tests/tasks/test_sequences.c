/* Sequences of encoders: special tokens, cutting, segments, and batches in any order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tasks/sequences.h"

static const pare_special_tokens special = {.classification = 101, .separator = 102};

/* Tokens 1, 2, 3, ... and 51, 52, 53, ... */
static void append(pri_sequences *sequences, size_t first, size_t second, size_t length)
{
    uint32_t a[40], b[40];
    for (uint32_t i = 0; i < 40; i++) {
        a[i] = i + 1;
        b[i] = i + 51;
    }
    const pri_token_span other = {b, second};
    assert_int_equal(pri_sequences_append(sequences, &special, (pri_token_span){a, first},
                                          second == SIZE_MAX ? NULL : &other, length),
                     PARE_OK);
}

static void assert_tokens(const pri_sequences *sequences, size_t index, const uint32_t *tokens,
                          size_t count)
{
    pri_token_span span = pri_sequences_at(sequences, index);
    assert_int_equal(span.count, count);
    assert_memory_equal(span.ids, tokens, count * sizeof *tokens);
}

static void test_single_texts_and_pairs(void **state)
{
    (void)state;
    pri_sequences sequences = {0};
    append(&sequences, 2, SIZE_MAX, 10);
    append(&sequences, 2, 1, 10);
    append(&sequences, 0, SIZE_MAX, 10);
    append(&sequences, 0, 0, 10);
    append(&sequences, 9, SIZE_MAX, 6);
    assert_int_equal(sequences.count, 5);
    assert_tokens(&sequences, 0, (uint32_t[]){101, 1, 2, 102}, 4);
    assert_tokens(&sequences, 1, (uint32_t[]){101, 1, 2, 102, 51, 102}, 6);
    assert_tokens(&sequences, 2, (uint32_t[]){101, 102}, 2);
    assert_tokens(&sequences, 3, (uint32_t[]){101, 102, 102}, 3);
    assert_tokens(&sequences, 4, (uint32_t[]){101, 1, 2, 3, 4, 102}, 6);
    assert_int_equal(pri_sequences_longest(&sequences), 6);
    assert_int_equal(sequences.cut, 1);
    size_t *lengths = pri_sequences_lengths(&sequences);
    assert_memory_equal(lengths, ((size_t[]){4, 6, 2, 3, 6}), 5 * sizeof *lengths);
    pri_free(lengths);
    pri_sequences_free(&sequences);
}

/* One token at a time from the longer side, from the second at a tie. */
static void cut_slowly(size_t *first, size_t *second, size_t room)
{
    while (*first + *second > room)
        --*(*first > *second ? first : second);
}

static void test_the_longer_side_is_cut_first(void **state)
{
    (void)state;
    for (size_t first = 0; first <= 12; first++)
        for (size_t second = 0; second <= 12; second++)
            for (size_t length = 3; length <= 30; length++) {
                pri_sequences sequences = {0};
                append(&sequences, first, second, length);
                size_t a = first, b = second;
                cut_slowly(&a, &b, length - 3);
                assert_int_equal(sequences.seconds[0], a + 2);
                assert_int_equal(sequences.cut, a + b < first + second);
                assert_int_equal(sequences.token_count, a + b + 3);
                assert_true(a == 0 || sequences.tokens[a] == a);
                assert_int_equal(sequences.tokens[a + 1], 102);
                assert_true(b == 0 || sequences.tokens[a + 1 + b] == 50 + b);
                assert_int_equal(sequences.tokens[a + b + 2], 102);
                pri_sequences_free(&sequences);
            }
}

static void test_batches_are_gathered_in_the_order_asked_for(void **state)
{
    (void)state;
    pri_sequences sequences = {0};
    append(&sequences, 1, SIZE_MAX, 10);
    append(&sequences, 2, 1, 10);
    append(&sequences, 0, 2, 10);
    pri_batch_builder builder = {0};
    const size_t none[] = {1}, indices[] = {2, 0, 1};
    assert_int_equal(pri_batch_gather(&builder, &sequences, none, 1), PARE_OK);
    assert_int_equal(builder.batch.sequences, 1);
    assert_int_equal(pri_batch_gather(&builder, &sequences, indices, 3), PARE_OK);
    const size_t offsets[] = {0, 5, 8, 14};
    const uint32_t tokens[] = {101, 102, 51, 52, 102, 101, 1, 102, 101, 1, 2, 102, 51, 102},
                   segments[] = {0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    assert_int_equal(builder.batch.sequences, 3);
    assert_memory_equal(builder.batch.offsets, offsets, sizeof offsets);
    assert_memory_equal(builder.batch.tokens, tokens, sizeof tokens);
    assert_memory_equal(builder.batch.segments, segments, sizeof segments);
    uint64_t before = pri_allocation_count();
    assert_int_equal(pri_batch_gather(&builder, &sequences, none, 1), PARE_OK);
    assert_memory_equal(builder.batch.tokens, tokens + 8, 6 * sizeof *tokens);
    assert_int_equal(pri_allocation_count(), before);
    pri_batch_builder_free(&builder);
    pri_sequences_free(&sequences);
}

static uint64_t hash_of(size_t first, size_t second)
{
    pri_sequences sequences = {0};
    append(&sequences, first, second, 30);
    uint64_t hash = pri_sequences_hash(&sequences);
    pri_sequences_free(&sequences);
    return hash;
}

static void test_the_hash_sees_tokens_and_segments(void **state)
{
    (void)state;
    assert_true(hash_of(3, 2) == hash_of(3, 2));
    assert_true(hash_of(3, 2) != hash_of(2, 2));
    /* The same tokens, with the border elsewhere. */
    const uint32_t ids[] = {5, 102, 6};
    pri_sequences whole = {0}, pair = {0};
    const pri_token_span single = {ids, 3}, first = {ids, 1}, second = {ids + 2, 1};
    assert_int_equal(pri_sequences_append(&whole, &special, single, NULL, 30), PARE_OK);
    assert_int_equal(pri_sequences_append(&pair, &special, first, &second, 30), PARE_OK);
    assert_int_equal(whole.token_count, pair.token_count);
    assert_memory_equal(whole.tokens, pair.tokens, 5 * sizeof *ids);
    assert_true(pri_sequences_hash(&whole) != pri_sequences_hash(&pair));
    pri_sequences_free(&whole);
    pri_sequences_free(&pair);
}

static void test_many_sequences(void **state)
{
    (void)state;
    pri_sequences sequences = {0};
    for (size_t i = 0; i < 1000; i++)
        append(&sequences, i % 37, i % 2 ? SIZE_MAX : i % 5, 64);
    assert_int_equal(sequences.count, 1000);
    for (size_t i = 0; i < 1000; i++) {
        pri_token_span span = pri_sequences_at(&sequences, i);
        assert_int_equal(span.count, i % 37 + (i % 2 ? 2 : 3 + i % 5));
        assert_int_equal(span.ids[0], 101);
        assert_int_equal(span.ids[span.count - 1], 102);
    }
    pri_sequences_free(&sequences);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_texts_and_pairs),
        cmocka_unit_test(test_the_longer_side_is_cut_first),
        cmocka_unit_test(test_batches_are_gathered_in_the_order_asked_for),
        cmocka_unit_test(test_the_hash_sees_tokens_and_segments),
        cmocka_unit_test(test_many_sequences),
    };
    return cmocka_run_group_tests_name("encoder batches", tests, NULL, NULL);
}
