/* UTF-8: the borders of every row of the table of well-formed sequences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_well_formed(void **state)
{
    (void)state;
    const char *const texts[] = {"",
                                 "attention",
                                 "\x7f",
                                 "\xc2\x80",
                                 "\xdf\xbf",
                                 "\xe0\xa0\x80",
                                 "\xed\x9f\xbf",
                                 "\xee\x80\x80",
                                 "\xef\xbf\xbf",
                                 "\xf0\x90\x80\x80",
                                 "\xf4\x8f\xbf\xbf",
                                 "a\xc3\xa9z"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(pri_utf8_valid(texts[i]));
}

static void test_ill_formed(void **state)
{
    (void)state;
    const char *const texts[] = {"\x80",             /* continuation alone */
                                 "\xc2",             /* cut */
                                 "\xc2z",            /* no continuation */
                                 "\xc0\x80",         /* overlong */
                                 "\xc1\xbf",         /* overlong */
                                 "\xe0\x9f\xbf",     /* overlong */
                                 "\xf0\x8f\xbf\xbf", /* overlong */
                                 "\xed\xa0\x80",     /* surrogate */
                                 "\xed\xbf\xbf",     /* surrogate */
                                 "\xf4\x90\x80\x80", /* above U+10FFFF */
                                 "\xf5\x80\x80\x80",
                                 "\xff",
                                 "ok\xe2\x82"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(pri_utf8_valid(texts[i]));
}

static void test_written_characters_are_read_back(void **state)
{
    (void)state;
    const struct {
        uint32_t character;
        const char *bytes;
    } cases[] = {{'A', "A"},
                 {0x7f, "\x7f"},
                 {0x80, "\xc2\x80"},
                 {0x7ff, "\xdf\xbf"},
                 {0x800, "\xe0\xa0\x80"},
                 {0xffff, "\xef\xbf\xbf"},
                 {0x10000, "\xf0\x90\x80\x80"},
                 {0x10ffff, "\xf4\x8f\xbf\xbf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[5] = "";
        size_t length = pri_utf8_write(cases[i].character, bytes);
        assert_int_equal(length, strlen(cases[i].bytes));
        assert_memory_equal(bytes, cases[i].bytes, length);
        assert_int_equal(pri_utf8_length(bytes, length), length);
        assert_int_equal(pri_utf8_length(bytes, length - 1), 0);
        uint32_t character;
        assert_int_equal(pri_utf8_read(bytes, length, &character), length);
        assert_int_equal(character, cases[i].character);
    }
}

/* The lengths are those of Python's bytes.decode(errors="replace"). */
static void test_each_ill_formed_sequence_is_one_replacement(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\x80", 1},         {"\xff", 1},      {"\xc2z", 1},
        {"\xc0\xaf", 1},     {"\xe2\x82", 2},  {"\xe2\x82z", 2},
        {"\xe0\x80\x80", 1}, /* overlong: E0 may not be followed by 80 */
        {"\xed\xa0\x80", 1}, /* surrogate */
        {"\xf0\x9f\x98", 3}, {"\xf0\x9fz", 2}, {"\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"\xf8\x88\x80", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t character;
        assert_int_equal(pri_utf8_read(cases[i].bytes, strlen(cases[i].bytes), &character),
                         cases[i].length);
        assert_int_equal(character, 0xfffd);
    }
}

static void test_how_much_of_a_text_is_well_formed(void **state)
{
    (void)state;
    char text[40];
    for (size_t before = 0; before < 30; before++) {
        memset(text, 'a', sizeof text);
        memcpy(text + before, "\xc3\xa9\xff", 3);
        assert_int_equal(pri_utf8_valid_bytes(text, sizeof text), before + 2);
        assert_int_equal(pri_utf8_valid_bytes(text, before + 2), before + 2);
        assert_int_equal(pri_utf8_valid_bytes(text, before + 1), before);
    }
    assert_int_equal(pri_utf8_valid_bytes("a\0b", 3), 3);
    assert_int_equal(pri_utf8_valid_bytes(NULL, 0), 0);
}

static void test_byte_order_marks(void **state)
{
    (void)state;
    assert_int_equal(pri_utf8_mark("\xef\xbb\xbfid", 5), 3);
    assert_int_equal(pri_utf8_mark("\xef\xbb\xbf", 2), 0);
    assert_int_equal(pri_utf8_mark("\xef\xbb\xbeid", 5), 0);
    assert_true(pri_utf8_begins_mark("", 0));
    assert_true(pri_utf8_begins_mark("\xef\xbb", 2));
    assert_false(pri_utf8_begins_mark("\xef\xbb\xbf", 3));
    assert_false(pri_utf8_begins_mark("a", 1));
    assert_false(pri_utf8_begins_mark("\xef\xbc", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_written_characters_are_read_back),
        cmocka_unit_test(test_each_ill_formed_sequence_is_one_replacement),
        cmocka_unit_test(test_how_much_of_a_text_is_well_formed),
        cmocka_unit_test(test_byte_order_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
