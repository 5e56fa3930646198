/* Vocabularies and tokens: texts small enough to count by hand, and WikiText-2 when PARE_DATA names
 * a folder that has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "status_check.h"
#include "text/vocabulary.h"

/* ---- Files in a directory of this program ---- */

static char directory[] = "/tmp/pare-test-text-XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return pri_remove_tree(directory) == PARE_OK ? 0 : -1;
}

/* The same pointer for the same name, valid to the end. */
static const char *path_of(const char *name)
{
    static char paths[32][256];
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    size_t i = 0;
    while (paths[i][0] && strcmp(paths[i], path))
        assert_true(++i < 32);
    return strcpy(paths[i], path);
}

static const char *write_bytes(const char *name, const void *data, size_t size)
{
    const char *path = path_of(name);
    assert_int_equal(pri_file_replace(path, data, size), PARE_OK);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

static const char *write_gzip(const char *name, const char *text)
{
    const char *path = path_of(name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

/* ---- Short forms ---- */

static pare_vocabulary *build_with(const char *path, pare_vocabulary_options options)
{
    pare_vocabulary *vocabulary;
    assert_int_equal(pare_vocabulary_build(path, &options, &vocabulary), PARE_OK);
    return vocabulary;
}

static pare_vocabulary *build(const char *path)
{
    return build_with(path, (pare_vocabulary_options){.level = PARE_TEXT_WORD});
}

/* All tokens in order of id, between bars. */
static void assert_vocabulary(const pare_vocabulary *vocabulary, const char *expected)
{
    char joined[512] = "";
    for (uint32_t id = 0; id < pare_vocabulary_size(vocabulary); id++) {
        size_t length;
        const char *token = pare_vocabulary_token(vocabulary, id, &length);
        strncat(joined, "|", 2);
        strncat(joined, token, length);
        assert_int_equal(pare_vocabulary_id(vocabulary, token, length), id);
    }
    assert_string_equal(joined, expected);
}

/* The tokens' own spelling between bars. */
static void assert_tokens(const pare_vocabulary *vocabulary, const pare_tokens *tokens,
                          const char *expected)
{
    char joined[512] = "";
    for (size_t i = 0; i < tokens->count; i++) {
        size_t length;
        const char *token = pare_vocabulary_token(vocabulary, tokens->ids[i], &length);
        strncat(joined, "|", 2);
        strncat(joined, token, length);
    }
    assert_string_equal(joined, expected);
}

static void assert_reads(const char *path, const char *expected)
{
    pare_vocabulary *vocabulary = build(path);
    pare_tokens tokens;
    assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
    assert_tokens(vocabulary, &tokens, expected);
    pare_tokens_free(&tokens);
    pare_vocabulary_destroy(vocabulary);
}

/* ---- Vocabularies ---- */

static void test_ids_fall_with_frequency(void **state)
{
    (void)state;
    /* b 3, <eos> 3, a 2, c 1, <unk> 1; of equals the first to appear comes first. */
    pare_vocabulary *vocabulary = build(write_text("t", "a b b\nc b a\n<unk>\n"));
    assert_vocabulary(vocabulary, "|b|<eos>|a|c|<unk>");
    assert_int_equal(pare_vocabulary_level(vocabulary), PARE_TEXT_WORD);
    assert_int_equal(pare_vocabulary_id(vocabulary, "nowhere", 7), 4);
    pare_vocabulary_destroy(vocabulary);
}

static void test_unknown_is_always_present(void **state)
{
    (void)state;
    pare_vocabulary *vocabulary = build(write_text("t", "a a"));
    assert_vocabulary(vocabulary, "|a|<eos>|<unk>");
    pare_vocabulary_destroy(vocabulary);
}

static void test_limits(void **state)
{
    (void)state;
    const char *path = write_text("t", "a a a a b b b c c d e f\n");
    /* c, d, e, f go: <unk> counts 5 and leads. */
    pare_vocabulary *vocabulary =
        build_with(path, (pare_vocabulary_options){.level = PARE_TEXT_WORD, .minimum_count = 3});
    assert_vocabulary(vocabulary, "|<unk>|a|b|<eos>");
    pare_vocabulary_destroy(vocabulary);
    vocabulary =
        build_with(path, (pare_vocabulary_options){.level = PARE_TEXT_WORD, .maximum_size = 5});
    assert_vocabulary(vocabulary, "|a|b|<unk>|c|<eos>");
    pare_vocabulary_destroy(vocabulary);
    vocabulary =
        build_with(path, (pare_vocabulary_options){.level = PARE_TEXT_WORD, .maximum_size = 2});
    assert_vocabulary(vocabulary, "|<unk>|<eos>");
    pare_tokens tokens;
    assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
    assert_int_equal(tokens.unknown, 12);
    pare_tokens_free(&tokens);
    pare_vocabulary_destroy(vocabulary);
    pare_vocabulary_options impossible = {.level = PARE_TEXT_WORD, .maximum_size = 1};
    assert_fails(pare_vocabulary_build(path, &impossible, &vocabulary), PARE_ERROR_ARGUMENT,
                 "2 or more");
    assert_null(vocabulary);
}

static void test_byte_level(void **state)
{
    (void)state;
    const char *path = write_text("t", "ab\r\n\xff");
    pare_vocabulary_options options = {.level = PARE_TEXT_BYTE};
    pare_vocabulary *vocabulary;
    assert_int_equal(pare_vocabulary_build(NULL, &options, &vocabulary), PARE_OK);
    assert_int_equal(pare_vocabulary_size(vocabulary), 256);
    assert_int_equal(pare_vocabulary_id(vocabulary, "ab", 2), PARE_NO_TOKEN);
    pare_tokens tokens;
    assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
    const uint32_t expected[] = {'a', 'b', '\r', '\n', 255};
    assert_int_equal(tokens.count, 5);
    assert_int_equal(tokens.bytes, 5);
    assert_memory_equal(tokens.ids, expected, sizeof expected);
    pare_tokens_free(&tokens);
    assert_int_equal(pare_vocabulary_save(vocabulary, path_of("vocab.json")), PARE_OK);
    pare_vocabulary_destroy(vocabulary);
    assert_int_equal(pare_vocabulary_load(path_of("vocab.json"), &vocabulary), PARE_OK);
    assert_int_equal(pare_vocabulary_level(vocabulary), PARE_TEXT_BYTE);
    assert_int_equal(pare_vocabulary_size(vocabulary), 256);
    pare_vocabulary_destroy(vocabulary);
}

static void test_save_and_load(void **state)
{
    (void)state;
    /* Quotes, backslashes, a control character, UTF-8 of 2 to 4 bytes, and bytes that are none:
     * a lone continuation, a surrogate, an overlong form and a cut sequence. */
    const char *text = "\" \\u0041 \x01 \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x80 x\xed\xa0\x80 "
                       "\xc0\xaf \xe2\x82 {\"bytes\":\"00\"}\n";
    pare_vocabulary *saved = build(write_text("t", text)), *loaded;
    assert_int_equal(pare_vocabulary_size(saved), 13);
    assert_int_equal(pare_vocabulary_save(saved, path_of("vocab.json")), PARE_OK);
    assert_int_equal(pare_vocabulary_load(path_of("vocab.json"), &loaded), PARE_OK);
    assert_int_equal(pare_vocabulary_size(loaded), 13);
    for (uint32_t id = 0; id < 13; id++) {
        size_t length, loaded_length;
        const char *token = pare_vocabulary_token(saved, id, &length);
        const char *loaded_token = pare_vocabulary_token(loaded, id, &loaded_length);
        assert_int_equal(length, loaded_length);
        assert_memory_equal(token, loaded_token, length);
    }
    pare_vocabulary_destroy(saved);
    pare_vocabulary_destroy(loaded);
}

static void test_bad_vocabulary_files(void **state)
{
    (void)state;
    const struct {
        const char *text, *part_of_message;
    } cases[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{\"level\": \"word\"", "JSON"},
        {"{\"tokens\": []}", "level"},
        {"{\"level\": \"syllable\", \"tokens\": []}", "neither"},
        {"{\"level\": \"word\"}", "tokens"},
        {"{\"level\": \"word\", \"tokens\": {}}", "tokens"},
        {"{\"level\": \"word\", \"tokens\": [\"<eos>\"]}", "<unk>"},
        {"{\"level\": \"word\", \"tokens\": [\"<unk>\"]}", "<eos>"},
        {"{\"level\": \"word\", \"tokens\": [\"<eos>\", \"<unk>\", \"<eos>\"]}", "token 2 repeats"},
        {"{\"level\": \"word\", \"tokens\": [\"<eos>\", \"<unk>\", \"\"]}", "token 2 is empty"},
        {"{\"level\": \"word\", \"tokens\": [\"<eos>\", \"<unk>\", \"a b\"]}", "blank"},
        {"{\"level\": \"word\", \"tokens\": [\"<eos>\", 7]}", "token 1 has no"},
        {"{\"level\": \"word\", \"tokens\": [{\"bytes\": \"6\"}]}", "pairs"},
        {"{\"level\": \"word\", \"tokens\": [{\"bytes\": \"6g\"}]}", "not hexadecimal"},
        {"{\"level\": \"word\", \"tokens\": [{\"bytes\": \"6100\"}]}", "zero byte"},
        {"{\"level\": \"word\", \"level\": \"byte\"}", "JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pare_vocabulary *vocabulary;
        const char *path = write_text("vocab.json", cases[i].text);
        assert_fails(pare_vocabulary_load(path, &vocabulary), PARE_ERROR_FORMAT,
                     cases[i].part_of_message);
        assert_null(vocabulary);
    }
    pare_vocabulary *vocabulary;
    assert_fails(pare_vocabulary_load(path_of("absent.json"), &vocabulary), PARE_ERROR_FILE,
                 "absent.json");
}

/* ---- Tokens ---- */

static void test_lines_and_blanks(void **state)
{
    (void)state;
    assert_reads(write_text("t", " = Title = \n\nx  y\tz\n"), "|=|Title|=|<eos>|<eos>|x|y|z|<eos>");
    assert_reads(write_text("t", "a\r\nb\r\n"), "|a|<eos>|b|<eos>");
    assert_reads(write_text("t", "a\nb"), "|a|<eos>|b|<eos>");
    assert_reads(write_text("t", "a\n  "), "|a|<eos>|<eos>");
    assert_reads(write_text("t", "\n"), "|<eos>");
    assert_reads(write_text("t", "word"), "|word|<eos>");
    assert_reads(write_text("t", "\xff\xfe a\xff"), "|\xff\xfe|a\xff|<eos>");
    assert_reads(write_text("t", "\xef\xbb\xbf"
                                 "a\n"),
                 "|a|<eos>");
}

static void test_unknown_words_are_counted(void **state)
{
    (void)state;
    pare_vocabulary *vocabulary = build(write_text("train", "a b <unk>\n"));
    const char *path = write_text("t", "a new <unk> b words\n");
    pare_tokens tokens;
    assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
    assert_tokens(vocabulary, &tokens, "|a|<unk>|<unk>|b|<unk>|<eos>");
    assert_int_equal(tokens.unknown, 2);
    assert_int_equal(tokens.bytes, 20);
    pare_tokens_free(&tokens);
    pare_vocabulary_destroy(vocabulary);
}

static void test_gzip_equals_plain(void **state)
{
    (void)state;
    const char *text = "to be or not to be\nthat is the question\n";
    pare_vocabulary *plain = build(write_text("t", text));
    pare_vocabulary *compressed = build(write_gzip("t.gz", text));
    pare_tokens a, b;
    assert_int_equal(pare_tokens_read(plain, path_of("t"), &a), PARE_OK);
    assert_int_equal(pare_tokens_read(compressed, path_of("t.gz"), &b), PARE_OK);
    assert_int_equal(a.count, 12);
    assert_int_equal(b.count, 12);
    assert_int_equal(a.bytes, strlen(text));
    assert_int_equal(b.bytes, strlen(text));
    assert_memory_equal(a.ids, b.ids, 12 * sizeof *a.ids);
    assert_true(a.hash == b.hash);
    pare_tokens_free(&a);
    pare_tokens_free(&b);
    pare_vocabulary_destroy(plain);
    pare_vocabulary_destroy(compressed);
}

static void test_truncated_gzip(void **state)
{
    (void)state;
    const char *path = write_gzip("t.gz", "a text that is long enough to be cut in two\n");
    uint8_t *data;
    size_t size;
    assert_int_equal(pri_file_read(path, 0, &data, &size), PARE_OK);
    const char *cut = write_bytes("cut.gz", data, size / 2);
    pri_free(data);
    pare_vocabulary *vocabulary;
    pare_vocabulary_options options = {.level = PARE_TEXT_WORD};
    assert_fails(pare_vocabulary_build(cut, &options, &vocabulary), PARE_ERROR_FORMAT, "truncated");
}

static void test_binary_and_empty_files(void **state)
{
    (void)state;
    pare_vocabulary_options options = {.level = PARE_TEXT_WORD};
    pare_vocabulary *vocabulary;
    assert_fails(pare_vocabulary_build(write_bytes("t", "ab\0c", 4), &options, &vocabulary),
                 PARE_ERROR_FORMAT, "looks binary (a zero byte at offset 2)");
    assert_fails(pare_vocabulary_build(write_text("t", ""), &options, &vocabulary),
                 PARE_ERROR_FORMAT, "no text");
    assert_fails(pare_vocabulary_build(path_of("absent"), &options, &vocabulary), PARE_ERROR_FILE,
                 "absent");
    assert_fails(pare_vocabulary_build(directory, &options, &vocabulary), PARE_ERROR_FILE,
                 "directory");
    pare_vocabulary *bytes = build_with(NULL, (pare_vocabulary_options){.level = PARE_TEXT_BYTE});
    pare_tokens tokens;
    assert_fails(pare_tokens_read(bytes, write_text("t", ""), &tokens), PARE_ERROR_FORMAT,
                 "no tokens");
    assert_fails(pare_tokens_read(bytes, write_bytes("t", "\0", 1), &tokens), PARE_ERROR_FORMAT,
                 "looks binary");
    pare_vocabulary_destroy(bytes);
}

static void test_huge_word_and_line(void **state)
{
    (void)state;
    const size_t size = 10u << 20;
    char *text = malloc(2 * size);
    assert_non_null(text);
    memset(text, 'w', size); /* one word of 10 MB, then a line of 10 MB of short words */
    for (size_t i = 0; i < size; i++)
        text[size + i] = i % 4 ? 'x' : ' ';
    const char *path = write_bytes("t", text, 2 * size);
    free(text);
    pare_vocabulary *vocabulary = build(path);
    size_t length;
    assert_int_equal(pare_vocabulary_size(vocabulary), 4);
    assert_memory_equal(pare_vocabulary_token(vocabulary, 0, &length), "xxx", 3);
    assert_int_equal(length, 3);
    pare_vocabulary_token(vocabulary, 1, &length);
    assert_int_equal(length, size);
    pare_tokens tokens;
    assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
    assert_int_equal(tokens.count, size / 4 + 2);
    assert_int_equal(tokens.ids[0], 1);
    pare_tokens_free(&tokens);
    assert_int_equal(pare_vocabulary_save(vocabulary, path_of("vocab.json")), PARE_OK);
    pare_vocabulary_destroy(vocabulary);
    assert_int_equal(pare_vocabulary_load(path_of("vocab.json"), &vocabulary), PARE_OK);
    pare_vocabulary_token(vocabulary, 1, &length);
    assert_int_equal(length, size);
    pare_vocabulary_destroy(vocabulary);
}

static void test_encode(void **state)
{
    (void)state;
    pare_vocabulary *vocabulary = build(write_text("t", "a b c\n"));
    pare_tokens tokens;
    assert_int_equal(pare_tokens_encode(vocabulary, "c b\na", 5, &tokens), PARE_OK);
    assert_tokens(vocabulary, &tokens, "|c|b|<eos>|a");
    pare_tokens_free(&tokens);
    assert_int_equal(pare_tokens_encode(vocabulary, "", 0, &tokens), PARE_OK);
    assert_int_equal(tokens.count, 0);
    pare_tokens_free(&tokens);
    assert_fails(pare_tokens_encode(vocabulary, "a\0", 2, &tokens), PARE_ERROR_FORMAT, "binary");
    pare_vocabulary_destroy(vocabulary);
}

static void test_line_ranges(void **state)
{
    (void)state;
    const char *path = write_text("t", "a b\nc\n\nd e\nf");
    pare_vocabulary *vocabulary = build(path);
    const struct {
        pri_line_range lines;
        const char *expected;
        uint64_t bytes;
    } cases[] = {{{0, 1}, "|a|b|<eos>", 4},
                 {{1, 3}, "|c|<eos>|<eos>", 3},
                 {{3, 5}, "|d|e|<eos>|f|<eos>", 5},
                 {{4, 9}, "|f|<eos>", 1}};
    for (size_t i = 0; i < 4; i++) {
        pare_tokens tokens;
        assert_int_equal(pri_tokens_read_lines(vocabulary, path, cases[i].lines, &tokens), PARE_OK);
        assert_tokens(vocabulary, &tokens, cases[i].expected);
        assert_int_equal(tokens.bytes, cases[i].bytes);
        pare_tokens_free(&tokens);
    }
    pare_vocabulary_destroy(vocabulary);
}

static pare_status join_token(void *user, const char *bytes, size_t length)
{
    strncat(user, "|", 2);
    strncat(user, bytes, length);
    return PARE_OK;
}

/* However a text is cut into chunks, its tokens are the same. */
static void test_chunks(void **state)
{
    (void)state;
    const char text[] = "one  two\r\n\nthree four five\n six";
    const size_t size = sizeof text - 1;
    for (size_t chunk = 1; chunk <= size; chunk++) {
        char joined[128] = "";
        pri_scanner scanner = {.level = PARE_TEXT_WORD,
                               .lines = PRI_ALL_LINES,
                               .visit = join_token,
                               .user = joined,
                               .name = "text"};
        for (size_t begin = 0; begin < size; begin += chunk) {
            size_t length = size - begin < chunk ? size - begin : chunk;
            assert_int_equal(pri_scanner_feed(&scanner, text + begin, length), PARE_OK);
        }
        assert_int_equal(pri_scanner_finish(&scanner, true), PARE_OK);
        pri_scanner_free(&scanner);
        assert_string_equal(joined, "|one|two|<eos>|<eos>|three|four|five|<eos>|six|<eos>");
    }
}

/* ---- WikiText-2 ---- */

static void test_wikitext_2(void **state)
{
    (void)state;
    const char *data = getenv("PARE_DATA");
    if (!data) {
        print_message("PARE_DATA is not set: WikiText-2 is not read\n");
        skip();
    }
    const struct {
        const char *name;
        uint64_t tokens, bytes;
    } files[] = {
        {"train", 2088628, 10797148}, {"valid", 217646, 1121681}, {"test", 245569, 1256449}};
    char path[4096];
    snprintf(path, sizeof path, "%s/wikitext-2/wiki.train.tokens.gz", data);
    double begin = pri_clock_seconds();
    pare_vocabulary *vocabulary = build(path);
    assert_int_equal(pare_vocabulary_size(vocabulary), 33278);
    size_t length;
    assert_memory_equal(pare_vocabulary_token(vocabulary, 0, &length), "the", 3);
    for (size_t i = 0; i < 3; i++) {
        pare_tokens tokens;
        snprintf(path, sizeof path, "%s/wikitext-2/wiki.%s.tokens.gz", data, files[i].name);
        assert_int_equal(pare_tokens_read(vocabulary, path, &tokens), PARE_OK);
        assert_int_equal(tokens.count, files[i].tokens);
        assert_int_equal(tokens.bytes, files[i].bytes);
        assert_int_equal(tokens.unknown, 0);
        pare_tokens_free(&tokens);
    }
    print_message("WikiText-2 read in %.3f s\n", pri_clock_seconds() - begin);
    pare_vocabulary_destroy(vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_fall_with_frequency),
        cmocka_unit_test(test_unknown_is_always_present),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_byte_level),
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_bad_vocabulary_files),
        cmocka_unit_test(test_lines_and_blanks),
        cmocka_unit_test(test_unknown_words_are_counted),
        cmocka_unit_test(test_gzip_equals_plain),
        cmocka_unit_test(test_truncated_gzip),
        cmocka_unit_test(test_binary_and_empty_files),
        cmocka_unit_test(test_huge_word_and_line),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_line_ranges),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_wikitext_2),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
