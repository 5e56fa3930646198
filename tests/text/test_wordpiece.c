/* WordPiece: against the tokenizers package (golden file), its parts by hand, its files, and what
 * it says about bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "documents/json.h"
#include "golden_pieces.h"
#include "temporary_files.h"
#include "text/bert_characters.h"
#include "text/wordpiece_files.h"

#define SPECIAL "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"

static pri_tokenizer_config config_of(const char *json)
{
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    pri_tokenizer_config config;
    assert_int_equal(pri_tokenizer_config_read(object, "config", &config), PARE_OK);
    json_decref(object);
    return config;
}

static pare_wordpiece *tokenizer_of(const char *lines, const char *config_json)
{
    pri_tokenizer_config config = config_of(config_json);
    pare_wordpiece *tokenizer;
    assert_int_equal(
        pri_wordpiece_parse_lines(lines, strlen(lines), "vocab.txt", &config, &tokenizer), PARE_OK);
    pri_tokenizer_config_free(&config);
    return tokenizer;
}

/* ---- Against the package ---- */

static pare_wordpiece *golden_tokenizer(const json_t *vocabulary, const json_t *settings)
{
    pri_bert_settings wanted = pri_bert_settings_default();
    const json_t *strip = json_object_get(settings, "strip_accents");
    wanted.clean_text = json_is_true(json_object_get(settings, "clean_text"));
    wanted.split_ideographs = json_is_true(json_object_get(settings, "handle_chinese_chars"));
    wanted.lower_case = json_is_true(json_object_get(settings, "lowercase"));
    if (!json_is_null(strip))
        wanted.accents = json_is_true(strip) ? PRI_ACCENTS_STRIPPED : PRI_ACCENTS_KEPT;
    pare_wordpiece *tokenizer;
    assert_int_equal(pri_wordpiece_create(&wanted, &tokenizer), PARE_OK);
    size_t index;
    json_t *token;
    json_array_foreach(vocabulary, index, token) assert_int_equal(
        pri_token_list_append(&tokenizer->tokens, json_string_value(token), "golden"), PARE_OK);
    assert_int_equal(pri_wordpiece_finish(tokenizer, pri_role_names, "golden"), PARE_OK);
    for (int role = 0; role < PRI_ROLES; role++)
        assert_int_equal(
            pri_token_list_mark_added(&tokenizer->tokens, tokenizer->roles[role], true), PARE_OK);
    return tokenizer;
}

static void check_case(const json_t *vocabulary, const json_t *lines, const json_t *one)
{
    pare_wordpiece *tokenizer = golden_tokenizer(vocabulary, json_object_get(one, "settings"));
    pare_pieces pieces = {0};
    size_t index;
    json_t *result;
    json_array_foreach(json_object_get(one, "results"), index, result)
    {
        const char *text = json_string_value(json_array_get(lines, index));
        size_t length;
        char *line = golden_line(text, &length);
        pieces.count = 0;
        assert_int_equal(pare_wordpiece_encode(tokenizer, line, length, &pieces), PARE_OK);
        pare_pieces_count_characters(&pieces, line, length);
        assert_golden_pieces(result, &pieces, index);
        pri_free(line);
    }
    pare_pieces_free(&pieces);
    pare_wordpiece_destroy(tokenizer);
}

static void test_lines_give_what_the_package_gives(void **state)
{
    (void)state;
    json_t *golden;
    assert_int_equal(pri_json_load(PARE_GOLDEN_DIRECTORY "/wordpiece.json", &golden), PARE_OK);
    size_t index;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), index, one)
        check_case(json_object_get(golden, "vocabulary"), json_object_get(golden, "lines"), one);
    assert_int_equal(index, 5);
    json_decref(golden);
}

/* ---- By hand ---- */

/* "id:begin-end ..." in bytes of the text. */
static const char *encoded(const pare_wordpiece *tokenizer, const char *text, size_t length)
{
    static char written[1024];
    pare_pieces pieces = {0};
    assert_int_equal(pare_wordpiece_encode(tokenizer, text, length, &pieces), PARE_OK);
    size_t used = 0;
    *written = 0;
    for (size_t i = 0; i < pieces.count; i++)
        used += (size_t)snprintf(written + used, sizeof written - used, "%s%s:%u-%u", i ? " " : "",
                                 pare_wordpiece_token(tokenizer, pieces.ids[i]), pieces.begins[i],
                                 pieces.ends[i]);
    pare_pieces_free(&pieces);
    return written;
}

static void assert_encoded(const pare_wordpiece *tokenizer, const char *text, const char *expected)
{
    assert_string_equal(encoded(tokenizer, text, strlen(text)), expected);
}

static void test_words_become_their_longest_pieces(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer =
        tokenizer_of(SPECIAL "a\n##a\nab\n##b\nabc\n##cd\n##c\n#\n##d\nx\n.\ncd\n", "{}");
    assert_encoded(tokenizer, "abcd", "abc:0-3 ##d:3-4"); /* not ab ##cd: no going back */
    assert_encoded(tokenizer, "abcdx", "[UNK]:0-5");
    assert_encoded(tokenizer, " AB.cd\t", "ab:1-3 .:3-4 cd:4-6");
    assert_encoded(tokenizer, "##a", "#:0-1 #:1-2 a:2-3");
    assert_encoded(tokenizer, "x[MASK]x[mask]",
                   "x:0-1 [MASK]:1-7 x:7-8 [UNK]:8-9 [UNK]:9-13 "
                   "[UNK]:13-14");
    assert_encoded(tokenizer, "", "");
    assert_encoded(tokenizer,
                   "\xc3\x84"
                   "b\xcc\x81",
                   "ab:0-3"); /* the last accent is outside */
    pare_wordpiece_destroy(tokenizer);
}

static void test_bytes_that_are_no_characters_vanish(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer = tokenizer_of(SPECIAL "ab\n", "{}");
    const char text[] = "a\0\xff\xe2\x82"
                        "b";
    assert_string_equal(encoded(tokenizer, text, sizeof text - 1), "ab:0-6");
    pare_wordpiece_destroy(tokenizer);
}

static void test_words_are_known_up_to_a_hundred_characters(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer = tokenizer_of(SPECIAL "a\n##a\n", "{}");
    char text[101];
    memset(text, 'a', sizeof text);
    pare_pieces pieces = {0};
    assert_int_equal(pare_wordpiece_encode(tokenizer, text, 100, &pieces), PARE_OK);
    assert_int_equal(pieces.count, 100);
    assert_int_equal(pare_wordpiece_encode(tokenizer, text, 101, &pieces), PARE_OK);
    assert_int_equal(pieces.count, 101); /* appended */
    assert_int_equal(pieces.ids[100], 1);
    assert_int_equal(pieces.ends[100], 101);
    pare_pieces_free(&pieces);
    pare_wordpiece_destroy(tokenizer);
}

static void test_offsets_can_count_characters(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer = tokenizer_of(SPECIAL "e\nx\n", "{}");
    const char *text = "\xc3\xa9 x \xf0\x9f\x91\x8d\xff x";
    pare_pieces pieces = {0};
    assert_int_equal(pare_wordpiece_encode(tokenizer, text, strlen(text), &pieces), PARE_OK);
    pare_pieces_count_characters(&pieces, text, strlen(text));
    const uint32_t begins[] = {0, 2, 4, 7}, ends[] = {1, 3, 5, 8};
    assert_int_equal(pieces.count, 4);
    assert_memory_equal(pieces.begins, begins, sizeof begins);
    assert_memory_equal(pieces.ends, ends, sizeof ends);
    pare_pieces_free(&pieces);
    pare_wordpiece_destroy(tokenizer);
}

static void test_character_table_is_sorted(void **state)
{
    (void)state;
    for (size_t i = 0; i < pri_bert_character_count; i++) {
        assert_true(pri_bert_characters[i].first <= pri_bert_characters[i].last);
        if (i)
            assert_true(pri_bert_characters[i - 1].last < pri_bert_characters[i].first);
    }
    assert_int_equal(pri_character_kind_of(0x301).flags, PRI_MARK);
    assert_int_equal(pri_character_kind_of(0x301).combining_class, 230);
    assert_int_equal(pri_character_kind_of('a').flags, 0);
    assert_int_equal(pri_character_kind_of(0x10ffff).flags, 0);
}

/* ---- Files ---- */

static void write_file(const char *name, const char *text)
{
    assert_int_equal(pri_file_replace(in_directory(name), text, strlen(text)), PARE_OK);
}

static pare_wordpiece *load(const char *name)
{
    pare_wordpiece *tokenizer;
    if (pare_wordpiece_load(in_directory(name), &tokenizer) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return tokenizer;
}

static void assert_same(const pare_wordpiece *a, const pare_wordpiece *b)
{
    assert_int_equal(pare_wordpiece_size(a), pare_wordpiece_size(b));
    assert_true(pare_wordpiece_hash(a) == pare_wordpiece_hash(b));
}

static void test_saved_tokenizers_come_back(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer = tokenizer_of(
        SPECIAL "a\n##b\n\"\n\\\n\xc3\xa9\n",
        "{\"do_lower_case\": false, \"strip_accents\": true, \"model_max_length\": 512}");
    tokenizer->longest_text = 512;
    assert_int_equal(pare_wordpiece_save(tokenizer, in_directory("saved")), PARE_OK);
    pare_wordpiece *by_json = load("saved");
    assert_same(tokenizer, by_json);
    assert_int_equal(by_json->longest_text, 512);
    assert_int_equal(remove(in_directory("saved/tokenizer.json")), 0);
    pare_wordpiece *by_lines = load("saved");
    assert_same(tokenizer, by_lines);
    assert_encoded(by_lines,
                   "A\xc3\xa1"
                   "b",
                   "[UNK]:0-4");
    pare_wordpiece_destroy(by_lines);
    pare_wordpiece_destroy(by_json);
    pare_wordpiece_destroy(tokenizer);
}

static void test_windows_lines_and_the_limitless_length_of_transformers(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_directory("windows"), 0755), 0);
    write_file("windows/vocab.txt", "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n<m>\r\nA");
    write_file("windows/tokenizer_config.json",
               "{\"model_max_length\": 1000000000000000019884624838656, \"do_lower_case\": false, "
               "\"mask_token\": {\"content\": \"<m>\"}, \"unk_token\": null}");
    pare_wordpiece *tokenizer = load("windows");
    assert_int_equal(pare_wordpiece_special_tokens(tokenizer).mask, 4);
    assert_int_equal(tokenizer->longest_text, 0);
    assert_encoded(tokenizer, "A <m>", "A:0-1 <m>:2-5");
    pare_wordpiece_destroy(tokenizer);
}

static void test_hash_tells_settings_and_tokens_apart(void **state)
{
    (void)state;
    const char *const lines[] = {SPECIAL "ab\nc\n", SPECIAL "ab\nc\n", SPECIAL "a\nbc\n",
                                 SPECIAL "ab\nc\n", SPECIAL "ab\nc\n"};
    const char *const configs[] = {"{}", "{\"do_lower_case\": false}", "{}",
                                   "{\"tokenize_chinese_chars\": false}",
                                   "{\"mask_token\": \"ab\"}"};
    uint64_t hashes[5];
    for (size_t i = 0; i < 5; i++) {
        pare_wordpiece *tokenizer = tokenizer_of(lines[i], configs[i]);
        hashes[i] = pare_wordpiece_hash(tokenizer);
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
        pare_wordpiece_destroy(tokenizer);
    }
}

/* ---- Bad files ---- */

static void assert_lines_fail(const char *data, size_t size, const char *message)
{
    pri_tokenizer_config config = config_of("{}");
    pare_wordpiece *tokenizer;
    assert_int_equal(pri_wordpiece_parse_lines(data, size, "vocab.txt", &config, &tokenizer),
                     PARE_ERROR_FORMAT);
    assert_null(tokenizer);
    assert_string_equal(pare_error_message(), message);
    pri_tokenizer_config_free(&config);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *data, *message;
    } cases[] = {
        {"[PAD]\n[UNK]\na\n[UNK]\n", "vocab.txt: line 4: token \"[UNK]\" has the id 1 already"},
        {"[PAD]\n\n", "vocab.txt: line 2: the token is empty"},
        {"[PAD]\n\xff\n", "vocab.txt: line 2: the token is not UTF-8"},
        {"a\rb\n", "vocab.txt: line 1: the token has a line break in it"},
        {"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n",
         "vocab.txt: the special token \"[MASK]\" is not among its 5 tokens; it is not a BERT "
         "vocabulary, or its end is missing"},
        {"", "vocab.txt: the special token \"[PAD]\" is not among its 0 tokens; it is not a BERT "
             "vocabulary, or its end is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_lines_fail(cases[i].data, strlen(cases[i].data), cases[i].message);
    assert_lines_fail("[PAD]\na\0b\n", 10,
                      "vocab.txt: line 2: there is a NUL byte in it; a vocabulary is a text with a "
                      "token on each line");
}

#define VOCABULARY "\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"[MASK]\":4"
#define NORMALIZER "\"normalizer\":{\"type\":\"BertNormalizer\"}"
#define PRE_TOKENIZER "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define MODEL(more, vocabulary)                                                                    \
    "\"model\":{\"type\":\"WordPiece\"," more "\"vocab\":{" vocabulary "}}"

static void test_other_tokenizers_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
        pare_status status;
    } cases[] = {
        {"{" NORMALIZER "," PRE_TOKENIZER ",\"model\":{\"type\":\"BPE\"}}",
         "t.json: model \"BPE\" is not supported here; encoders need \"WordPiece\", "
         "translation models \"BPE\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" NORMALIZER "," PRE_TOKENIZER ",\"model\":{\"type\":\"Unigram\"}}",
         "t.json: model \"Unigram\" is not supported here; encoders need \"WordPiece\", "
         "translation models \"BPE\"",
         PARE_ERROR_UNSUPPORTED},
        {"{\"normalizer\":{\"type\":\"NFC\"}," PRE_TOKENIZER "," MODEL("", VOCABULARY) "}",
         "t.json: normalizer \"NFC\" is not supported, only BERT's, which is \"BertNormalizer\"",
         PARE_ERROR_UNSUPPORTED},
        {"{\"normalizer\":null," PRE_TOKENIZER "," MODEL("", VOCABULARY) "}",
         "t.json: normalizer \"null\" is not supported, only BERT's, which is \"BertNormalizer\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" NORMALIZER ",\"pre_tokenizer\":{\"type\":\"Whitespace\"}," MODEL("", VOCABULARY) "}",
         "t.json: pre_tokenizer \"Whitespace\" is not supported, only BERT's, which is "
         "\"BertPreTokenizer\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" NORMALIZER "," PRE_TOKENIZER
         "," MODEL("\"continuing_subword_prefix\":\"@@\",", VOCABULARY) "}",
         "t.json: continuing_subword_prefix \"@@\" is not supported, only BERT's, which is \"##\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" NORMALIZER "," PRE_TOKENIZER
         "," MODEL("\"max_input_chars_per_word\":20000,", VOCABULARY) "}",
         "t.json: \"max_input_chars_per_word\" 20000 is more than 10000", PARE_ERROR_UNSUPPORTED},
        {"{" NORMALIZER "," PRE_TOKENIZER "," MODEL("", VOCABULARY ",\"a\":6") "}",
         "t.json: token \"a\" has no id of 0 to 5, though there are 6 tokens", PARE_ERROR_FORMAT},
        {"{" NORMALIZER "," PRE_TOKENIZER "," MODEL("", VOCABULARY ",\"a\":4") "}",
         "t.json: tokens \"[MASK]\" and \"a\" have the same id", PARE_ERROR_FORMAT},
        {"{" NORMALIZER "," PRE_TOKENIZER "," MODEL("\"unk_token\":\"<unk>\",", VOCABULARY) "}",
         "t.json: the special token \"<unk>\" is not among its 5 tokens; it is not a BERT "
         "vocabulary, or its end is missing",
         PARE_ERROR_FORMAT},
        {"{" NORMALIZER "," PRE_TOKENIZER
         "," MODEL("", VOCABULARY) ",\"added_tokens\":[{\"id\":9,\"content\":\"[X]\"}]}",
         "t.json: added token \"[X]\" has id 9, but should have 5", PARE_ERROR_FORMAT},
        {"{" NORMALIZER "," PRE_TOKENIZER "," MODEL(
             "", VOCABULARY) ",\"added_tokens\":[{\"id\":5,\"content\":\"[X]\",\"lstrip\":true}]}",
         "t.json: added token \"[X]\" with \"lstrip\" is not supported", PARE_ERROR_UNSUPPORTED},
    };
    pri_tokenizer_config config = config_of("{}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *object = json_loads(cases[i].json, 0, NULL);
        assert_non_null(object);
        pare_wordpiece *tokenizer;
        assert_int_equal(pri_wordpiece_read_json(object, "t.json", &config, &tokenizer),
                         cases[i].status);
        assert_string_equal(pare_error_message(), cases[i].message);
        json_decref(object);
    }
    pri_tokenizer_config_free(&config);
}

static void test_added_tokens_are_found_in_text_only(void **state)
{
    (void)state;
    json_t *object = json_loads(
        "{" NORMALIZER "," PRE_TOKENIZER
        "," MODEL("", VOCABULARY
                  ",\"a\":5") ",\"added_tokens\":["
                              "{\"id\":6,\"content\":\"New\"},{\"id\":7,\"content\":\"Newer\"}]}",
        0, NULL);
    pri_tokenizer_config config = config_of("{}");
    pare_wordpiece *tokenizer;
    assert_int_equal(pri_wordpiece_read_json(object, "t.json", &config, &tokenizer), PARE_OK);
    assert_int_equal(pare_wordpiece_size(tokenizer), 8);
    assert_encoded(tokenizer, "aNewa Newer new", "a:0-1 New:1-4 a:4-5 Newer:6-11 [UNK]:12-15");
    /* [MASK] is a token of the model, but not one to be found in texts here. */
    assert_encoded(tokenizer, "[MASK]", "[UNK]:0-1 [UNK]:1-5 [UNK]:5-6");
    pare_wordpiece_destroy(tokenizer);
    pri_tokenizer_config_free(&config);
    json_decref(object);
}

static void test_an_empty_directory_says_what_is_missing(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer;
    assert_int_equal(mkdir(in_directory("empty"), 0755), 0);
    assert_int_equal(pare_wordpiece_load(in_directory("empty"), &tokenizer), PARE_ERROR_FILE);
    assert_non_null(strstr(pare_error_message(), "neither a tokenizer.json nor a vocab.txt"));
}

/* ---- Building ---- */

static pare_status build(const char *text, size_t size, pare_wordpiece **tokenizer)
{
    write_file("text", text);
    return pare_wordpiece_build(in_directory("text"),
                                &(pare_wordpiece_options){.size = size, .lower_case = true},
                                tokenizer);
}

static void assert_tokens_from(const pare_wordpiece *tokenizer, uint32_t first,
                               const char *const *expected, size_t count)
{
    assert_int_equal(pare_wordpiece_size(tokenizer), first + count);
    for (uint32_t i = 0; i < count; i++)
        assert_string_equal(pare_wordpiece_token(tokenizer, first + i), expected[i]);
}

/* Pairs by count: ##u ##g 20, h ##ug 15, ##u ##n 16 after the first merge, p ##un 12, hug ##s 5,
 * p ##ug 5, b ##un 4: the example of Hugging Face's course for byte pairs, in pieces. */
static void test_most_frequent_pairs_become_pieces(void **state)
{
    (void)state;
    char text[512] = "";
    static const struct {
        const char *word;
        int count;
    } words[] = {{"hug ", 10}, {"pug ", 5}, {"pun ", 12}, {"Bun ", 4}, {"hugs ", 5}, {"<unk> ", 9}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int n = 0; n < words[i].count; n++)
            strcat(text, words[i].word);
    strcat(text, "\n<unk>");
    pare_wordpiece *tokenizer;
    assert_int_equal(build(text, 100, &tokenizer), PARE_OK);
    const char *const expected[] = {"b",    "g",   "h",   "n",   "p",    "s",
                                    "u",    "##u", "##g", "##n", "##s",  "##ug",
                                    "##un", "hug", "pun", "pug", "hugs", "bun"};
    assert_tokens_from(tokenizer, 5, expected, 18);
    assert_encoded(tokenizer, "hugs bugs", "hugs:0-4 b:5-6 ##ug:6-8 ##s:8-9");
    pare_wordpiece_destroy(tokenizer);
    assert_int_equal(build(text, 18, &tokenizer), PARE_OK);
    assert_tokens_from(tokenizer, 5, expected, 13);
    pare_wordpiece_destroy(tokenizer);
}

static void test_repeated_pieces_in_a_word_are_counted_right(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer;
    assert_int_equal(build("aaaaa aaaaa", 100, &tokenizer), PARE_OK);
    /* ##a ##a is there 6 times: a ##aa ##aa, of which ##aa ##aa and a ##aa are 2 each. */
    const char *const expected[] = {"a", "##a", "##aa", "aaa", "aaaaa"};
    assert_tokens_from(tokenizer, 5, expected, 5);
    pare_wordpiece_destroy(tokenizer);
}

static void test_impossible_vocabularies_are_refused(void **state)
{
    (void)state;
    pare_wordpiece *tokenizer;
    assert_int_equal(build("abc", 9, &tokenizer), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "special tokens and characters alone are 10"));
    assert_int_equal(build(" \n<unk>\n", 100, &tokenizer), PARE_ERROR_FORMAT);
    assert_non_null(strstr(pare_error_message(), "no text in it"));
}

/* ---- Lines ---- */

static void test_lines_are_handed_out_one_by_one(void **state)
{
    (void)state;
    const size_t long_length = 200000;
    char *text = pri_allocate(long_length + 64, 1);
    memcpy(text, "one\n\nthree\r\n", 12);
    memset(text + 12, 'x', long_length);
    memcpy(text + 12 + long_length, "\nlast", 5);
    assert_int_equal(pri_file_replace(in_directory("lines"), text, long_length + 17), PARE_OK);
    const size_t lengths[] = {3, 0, 6, long_length, 4};
    pare_lines *lines;
    const char *line;
    size_t length;
    assert_int_equal(pare_lines_open(in_directory("lines"), &lines), PARE_OK);
    for (size_t i = 0, offset = 0; i < 5; offset += lengths[i++] + 1) {
        assert_int_equal(pare_lines_next(lines, &line, &length), PARE_OK);
        assert_int_equal(length, lengths[i]);
        assert_memory_equal(line, text + offset, length);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pare_lines_next(lines, &line, &length), PARE_OK);
        assert_null(line);
    }
    pare_lines_close(lines);
    pri_free(text);
    assert_int_equal(pare_lines_open(in_directory("lines"), &lines), PARE_OK);
    pare_interrupt();
    assert_int_equal(pare_lines_next(lines, &line, &length), PARE_ERROR_INTERRUPTED);
    pare_interrupt_clear();
    assert_int_equal(pare_lines_next(lines, &line, &length), PARE_OK);
    pare_lines_close(lines);
    assert_int_equal(pare_lines_open(in_directory("no such file"), &lines), PARE_ERROR_FILE);
    assert_null(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_give_what_the_package_gives),
        cmocka_unit_test(test_words_become_their_longest_pieces),
        cmocka_unit_test(test_bytes_that_are_no_characters_vanish),
        cmocka_unit_test(test_words_are_known_up_to_a_hundred_characters),
        cmocka_unit_test(test_offsets_can_count_characters),
        cmocka_unit_test(test_character_table_is_sorted),
        cmocka_unit_test(test_saved_tokenizers_come_back),
        cmocka_unit_test(test_windows_lines_and_the_limitless_length_of_transformers),
        cmocka_unit_test(test_hash_tells_settings_and_tokens_apart),
        cmocka_unit_test(test_bad_lines_are_named),
        cmocka_unit_test(test_other_tokenizers_are_refused_by_name),
        cmocka_unit_test(test_added_tokens_are_found_in_text_only),
        cmocka_unit_test(test_an_empty_directory_says_what_is_missing),
        cmocka_unit_test(test_most_frequent_pairs_become_pieces),
        cmocka_unit_test(test_repeated_pieces_in_a_word_are_counted_right),
        cmocka_unit_test(test_impossible_vocabularies_are_refused),
        cmocka_unit_test(test_lines_are_handed_out_one_by_one),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
