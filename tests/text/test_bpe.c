/* Byte-pair encoding: learnt, applied and undone as the tokenizers package does it (golden file),
 * its parts by hand, its files, and what it says about bad ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "documents/json.h"
#include "golden_pieces.h"
#include "status_check.h"
#include "temporary_files.h"
#include "text/bpe_files.h"

#define SPECIAL "\"<s>\":0,\"<pad>\":1,\"</s>\":2,\"<unk>\":3"
#define WORDS_PARTS                                                                                \
    "\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"decoder\":{\"type\":\"BPEDecoder\","       \
    "\"suffix\":\"</w>\"},"
#define METASPACE_PART                                                                             \
    "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\","            \
    "\"split\":true}"
#define METASPACE_PARTS                                                                            \
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}"   \
    "," METASPACE_PART ",{\"type\":\"Punctuation\",\"behavior\":\"Isolated\"}]},"                  \
    "\"decoder\":" METASPACE_PART ","
#define MODEL(more, vocabulary, merges)                                                            \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\"," more "\"vocab\":{" vocabulary           \
    "},\"merges\":[" merges "]}"
#define WORDS_MODEL(vocabulary, merges)                                                            \
    MODEL("\"end_of_word_suffix\":\"</w>\",", vocabulary, merges)

static pare_status read_json(const char *json, pare_bpe **bpe)
{
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    pare_status status = pri_bpe_read_json(object, "t.json", bpe);
    json_decref(object);
    return status;
}

static pare_bpe *bpe_of(const char *json)
{
    pare_bpe *bpe;
    check_ok(read_json(json, &bpe));
    return bpe;
}

/* "token:begin-end ..." in bytes of the text. */
static void assert_encoded(const pare_bpe *bpe, const char *text, const char *expected)
{
    pri_text written = {0};
    pare_pieces pieces = {0};
    pri_text_append(&written, "%s", "");
    check_ok(pare_bpe_encode(bpe, text, strlen(text), &pieces));
    for (size_t i = 0; i < pieces.count; i++)
        pri_text_append(&written, "%s%s:%u-%u", i ? " " : "", pare_bpe_token(bpe, pieces.ids[i]),
                        pieces.begins[i], pieces.ends[i]);
    assert_string_equal(written.data, expected);
    pare_pieces_free(&pieces);
    pri_text_free(&written);
}

static void assert_decoded(const pare_bpe *bpe, const uint32_t *ids, size_t count,
                           const char *expected)
{
    char *text;
    check_ok(pare_bpe_decode(bpe, ids, count, &text));
    assert_string_equal(text, expected);
    free(text);
}

/* ---- Against the package ---- */

static void check_line(const pare_bpe *bpe, const json_t *lines, const json_t *result)
{
    size_t number = (size_t)json_integer_value(json_object_get(result, "line")), length;
    char *line = golden_line(json_string_value(json_array_get(lines, number)), &length);
    const char *text = json_string_value(json_object_get(result, "text"));
    pare_pieces pieces = {0};
    check_ok(pare_bpe_encode(bpe, line, length, &pieces));
    if (text)
        assert_decoded(bpe, pieces.ids, pieces.count, text);
    pare_pieces_count_characters(&pieces, line, length);
    assert_golden_pieces(result, &pieces, number);
    pare_pieces_free(&pieces);
    pri_free(line);
}

static json_t *golden_file(void)
{
    json_t *golden;
    check_ok(pri_json_load(PARE_GOLDEN_DIRECTORY "/bpe.json", &golden));
    return golden;
}

static void test_lines_give_what_the_package_gives(void **state)
{
    (void)state;
    json_t *golden = golden_file(), *one, *result;
    size_t index, number;
    json_array_foreach(json_object_get(golden, "cases"), index, one)
    {
        pare_bpe *bpe;
        check_ok(pri_bpe_read_json(json_object_get(one, "tokenizer"), "golden", &bpe));
        json_array_foreach(json_object_get(one, "results"), number, result)
            check_line(bpe, json_object_get(golden, "lines"), result);
        assert_true(number > 30);
        pare_bpe_destroy(bpe);
    }
    assert_int_equal(index, 3);
    json_decref(golden);
}

/* Two files, of which the first ends without a newline. */
static void write_sentences(const json_t *sentences, const char *first, const char *second)
{
    pri_text halves[2] = {{0}, {0}};
    size_t index;
    json_t *sentence;
    json_array_foreach(sentences, index, sentence) pri_text_append(
        &halves[index % 2], "%s%s", index > 1 ? "\n" : "", json_string_value(sentence));
    check_ok(pri_file_replace(first, halves[0].data, halves[0].length));
    check_ok(pri_file_replace(second, halves[1].data, halves[1].length));
    pri_text_free(&halves[0]);
    pri_text_free(&halves[1]);
}

static json_t *saved_model(const pare_bpe *bpe)
{
    json_t *file;
    check_ok(pare_bpe_save(bpe, in_directory("made/tokenizer.json")));
    check_ok(pri_json_load(in_directory("made/tokenizer.json"), &file));
    json_t *model = json_incref(json_object_get(file, "model"));
    json_decref(file);
    return model;
}

static void check_learnt(const json_t *one)
{
    const char *const paths[] = {in_directory("first"), in_directory("second")};
    json_t *wanted = json_object_get(json_object_get(one, "tokenizer"), "model");
    pare_bpe_options options = {
        .form =
            json_integer_value(json_object_get(one, "form")) ? PARE_BPE_METASPACE : PARE_BPE_WORDS,
        .lower_case = json_is_true(json_object_get(one, "lower_case")),
        .size = json_object_size(json_object_get(wanted, "vocab")),
    };
    pare_bpe *bpe;
    check_ok(pare_bpe_build(paths, 2, &options, &bpe));
    assert_int_equal(pare_bpe_form_of(bpe), options.form);
    json_t *model = saved_model(bpe);
    assert_true(json_equal(json_object_get(model, "vocab"), json_object_get(wanted, "vocab")));
    assert_true(json_equal(json_object_get(model, "merges"), json_object_get(wanted, "merges")));
    json_decref(model);
    pare_bpe_destroy(bpe);
}

static void test_texts_give_the_merges_of_the_package(void **state)
{
    (void)state;
    json_t *golden = golden_file(), *one;
    write_sentences(json_object_get(golden, "sentences"), in_directory("first"),
                    in_directory("second"));
    size_t index;
    json_array_foreach(json_object_get(golden, "cases"), index, one) check_learnt(one);
    json_decref(golden);
}

/* ---- By hand ---- */

#define WORDS_JSON(more)                                                                           \
    "{" WORDS_PARTS more WORDS_MODEL(                                                              \
        SPECIAL ",\"a\":4,\"b\":5,\"c\":6,\"c</w>\":7,\"a</w>\":8,\"ab\":9,\"bc</w>\":10,"         \
                "\"aa\":11,\"aba</w>\":12",                                                        \
        "\"a b\",[\"b\",\"c</w>\"],\"a a\",[\"ab\",\"a</w>\"]") "}"

static void test_the_earliest_merge_goes_first(void **state)
{
    (void)state;
    pare_bpe *bpe = bpe_of(WORDS_JSON(""));
    assert_encoded(bpe, "abc", "ab:0-2 c</w>:2-3"); /* b c</w> is later */
    assert_encoded(bpe, "bbc", "b:0-1 bc</w>:1-3");
    assert_encoded(bpe, "aaaba", "aa:0-2 aba</w>:2-5");
    assert_encoded(bpe, "aaab", "aa:0-2 a:2-3 <unk>:3-4"); /* the leftmost; no b</w> */
    assert_encoded(bpe,
                   " abc\t\xc2\xa0"
                   "c ",
                   "ab:1-3 c</w>:3-4 c</w>:7-8");
    assert_encoded(bpe,
                   "x\xff"
                   "a",
                   "<unk>:0-1 <unk>:1-2 a</w>:2-3");
    assert_encoded(bpe, "</s>", "<unk>:0-1 <unk>:1-2 <unk>:2-3 <unk>:3-4");
    assert_encoded(bpe, "", "");
    pare_bpe_destroy(bpe);
}

#define METASPACE_JSON(more, tail)                                                                 \
    "{" METASPACE_PARTS more MODEL(                                                                \
        "",                                                                                        \
        SPECIAL ",\"a\":4,\"b\":5,\"(\":6,\"\u2581\":7,\"\u2581a\":8,\"ab\":9,\"i\":10,"           \
                "\"\u0307\":11,\"\u2581(\":12",                                                    \
        "[\"\u2581\",\"a\"],[\"a\",\"b\"],[\"\u2581\",\"(\"]") tail "}"

static void test_raw_text_has_marks_for_blanks(void **state)
{
    (void)state;
    pare_bpe *bpe = bpe_of(METASPACE_JSON("", ""));
    assert_encoded(bpe, "ab ab",
                   "\u2581"
                   "a:0-1 b:1-2 \u2581"
                   "a:3-4 b:4-5");
    assert_encoded(bpe, "b(ab", "\u2581:0-1 b:0-1 (:1-2 ab:2-4");
    assert_encoded(bpe, " (b", "\u2581:1-2 (:1-2 b:2-3"); /* though there is a merge of them */
    assert_encoded(bpe,
                   "a\u2581"
                   "ab",
                   "\u2581"
                   "a:0-1 \u2581"
                   "a:1-5 b:5-6");
    assert_encoded(bpe, "\u2581", "\u2581:0-3");
    assert_encoded(bpe, "\u0130", "\u2581:0-2 <unk>:0-2");
    pare_bpe_destroy(bpe);
    bpe = bpe_of(METASPACE_JSON("\"normalizer\":{\"type\":\"Lowercase\"},", ""));
    assert_encoded(bpe, "AB\u0130",
                   "\u2581"
                   "a:0-1 b:1-2 i:2-4 \u0307:2-4");
    pare_bpe_destroy(bpe);
}

static void test_pieces_become_text_again(void **state)
{
    (void)state;
    const uint32_t words[] = {0, 9, 7, 3, 8, 2, 1}, metaspace[] = {0, 8, 9, 3, 7, 6, 8, 2};
    pare_bpe *bpe = bpe_of(WORDS_JSON(""));
    assert_decoded(bpe, words, 7, "abc <unk>a");
    assert_decoded(bpe, words, 3, "abc");
    assert_decoded(bpe, words, 1, "");
    assert_decoded(bpe, NULL, 0, "");
    char *text;
    assert_fails(pare_bpe_decode(bpe, &(uint32_t){13}, 1, &text), PARE_ERROR_ARGUMENT,
                 "piece 0 has the id 13, but there are 13 tokens");
    assert_null(text);
    pare_bpe_destroy(bpe);
    bpe = bpe_of(METASPACE_JSON("", ""));
    assert_decoded(bpe, metaspace, 8, "aab<unk> ( a");
    pare_bpe_destroy(bpe);
}

static void test_special_tokens_are_found_by_name(void **state)
{
    (void)state;
    pare_bpe *bpe = bpe_of("{" WORDS_PARTS WORDS_MODEL(
        "\"<unk>\":1,\"a</w>\":0",
        "") ",\"added_tokens\":[{\"id\":2,\"content\":\"</s>\",\"special\":true},"
            "{\"id\":3,\"content\":\"[x]\"}]}");
    pare_sequence_tokens special = pare_bpe_special_tokens(bpe);
    assert_int_equal(special.begin, PARE_NO_TOKEN);
    assert_int_equal(special.padding, PARE_NO_TOKEN);
    assert_int_equal(special.end, 2);
    assert_int_equal(special.unknown, 1);
    assert_int_equal(pare_bpe_size(bpe), 4);
    /* Such a file has a text spell them. */
    assert_encoded(bpe, "a</s>[x]a", "a</w>:0-1 </s>:1-5 [x]:5-8 a</w>:8-9");
    assert_decoded(bpe, (const uint32_t[]){0, 2, 3, 0}, 4, "a [x]a");
    uint64_t hash = pare_bpe_hash(bpe);
    check_ok(pare_bpe_save(bpe, in_directory("added.json")));
    pare_bpe_destroy(bpe);
    check_ok(pare_bpe_load(in_directory("added.json"), &bpe));
    assert_true(pare_bpe_hash(bpe) == hash);
    assert_encoded(bpe, "[x]", "[x]:0-3");
    pare_bpe_destroy(bpe);
}

static void test_hash_tells_tokenizers_apart(void **state)
{
    (void)state;
    const char *const files[] = {
        WORDS_JSON(""),
        WORDS_JSON("\"normalizer\":{\"type\":\"Lowercase\"},"),
        METASPACE_JSON("", ""),
        METASPACE_JSON("", ",\"added_tokens\":[{\"id\":2,\"content\":\"</s>\"}]"),
        "{" WORDS_PARTS WORDS_MODEL(SPECIAL ",\"a\":4,\"b</w>\":5,\"ab</w>\":6", "\"a b</w>\"") "}",
        "{" WORDS_PARTS WORDS_MODEL(SPECIAL ",\"a\":4,\"b</w>\":5,\"ab</w>\":6", "") "}"};
    uint64_t hashes[6];
    for (size_t i = 0; i < 6; i++) {
        pare_bpe *bpe = bpe_of(files[i]);
        hashes[i] = pare_bpe_hash(bpe);
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
        pare_bpe_destroy(bpe);
    }
}

/* By the definition, which takes the square of the length. */
static size_t merge_slowly(const pare_bpe *bpe, uint32_t *ids, size_t count)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        size_t place = 0;
        for (size_t i = 0; i + 1 < count; i++)
            for (uint32_t rank = 0; rank < bpe->merge_count && rank < best; rank++)
                if (bpe->merges[rank].left == ids[i] && bpe->merges[rank].right == ids[i + 1]) {
                    best = rank;
                    place = i;
                }
        if (best == UINT32_MAX)
            return count;
        ids[place] = bpe->merges[best].merged;
        memmove(ids + place + 1, ids + place + 2, (count-- - place - 2) * sizeof *ids);
    }
}

static void test_long_words_merge_as_defined(void **state)
{
    (void)state;
    enum { LENGTH = 1200 };
    pare_bpe *bpe = bpe_of("{" METASPACE_PARTS MODEL(
        "",
        SPECIAL ",\"\u2581\":4,\"a\":5,\"b\":6,\"aa\":7,\"ab\":8,\"aab\":9,\"aaaab\":10,"
                "\"ba\":11,\"aabba\":12",
        "\"a a\",\"aa b\",\"b a\",\"aa aab\",\"aab ba\",\"a b\"") "}");
    char text[LENGTH];
    uint32_t ids[LENGTH + 1] = {4}, draw = 12345;
    for (size_t i = 0; i < LENGTH; i++) {
        draw = draw * 1664525 + 1013904223;
        text[i] = draw >> 30 ? 'a' : 'b';
        ids[i + 1] = text[i] == 'a' ? 5 : 6;
    }
    size_t count = merge_slowly(bpe, ids, LENGTH + 1);
    pare_pieces pieces = {0};
    check_ok(pare_bpe_encode(bpe, text, LENGTH, &pieces));
    assert_int_equal(pieces.count, count);
    assert_memory_equal(pieces.ids, ids, count * sizeof *ids);
    assert_int_equal(pieces.ends[count - 1], LENGTH);
    pare_pieces_free(&pieces);
    pare_bpe_destroy(bpe);
}

/* ---- Learning ---- */

static pare_bpe *learn(const char *text, pare_bpe_options options)
{
    const char *path = in_directory("text");
    pare_bpe *bpe;
    check_ok(pri_file_replace(path, text, strlen(text)));
    check_ok(pare_bpe_build(&path, 1, &options, &bpe));
    return bpe;
}

static void assert_tokens(const pare_bpe *bpe, const char *expected)
{
    pri_text written = {0};
    for (uint32_t id = 0; id < pare_bpe_size(bpe); id++)
        pri_text_append(&written, "%s%s", id ? " " : "", pare_bpe_token(bpe, id));
    assert_string_equal(written.data, expected);
    pri_text_free(&written);
}

static void test_learning_by_hand(void **state)
{
    (void)state;
    pare_bpe *bpe = learn("ab abc\nab B", (pare_bpe_options){0});
    assert_tokens(bpe, "<s> <pad> </s> <unk> B a b c B</w> b</w> c</w> ab</w>");
    pare_bpe_destroy(bpe);
    bpe = learn("ab abc\nab B", (pare_bpe_options){.minimum_count = 1, .lower_case = true});
    assert_tokens(bpe, "<s> <pad> </s> <unk> a b c b</w> c</w> ab</w> ab abc</w>");
    pare_bpe_destroy(bpe);
    bpe = learn("ab abc\nab B",
                (pare_bpe_options){.form = PARE_BPE_METASPACE, .merges = 1, .minimum_count = 3});
    assert_tokens(bpe, "<s> <pad> </s> <unk> B a b c \u2581 ab");
    pare_bpe_destroy(bpe);
    bpe = learn("b,b, (b,", (pare_bpe_options){.form = PARE_BPE_METASPACE});
    assert_tokens(bpe, "<s> <pad> </s> <unk> ( , b \u2581"); /* punctuation stands alone */
    pare_bpe_destroy(bpe);
}

static void test_texts_cannot_teach_special_tokens(void **state)
{
    (void)state;
    pare_bpe *bpe = learn("</s>x </s>x x</w>y x</w>y x x <unk>! <unk>!",
                          (pare_bpe_options){.merges = 1000, .size = 1000});
    pare_pieces pieces = {0};
    const char *text = "</s>x x</w>y <unk>! <s>x";
    check_ok(pare_bpe_encode(bpe, text, strlen(text), &pieces));
    uint32_t last = pri_bpe_letter_id(bpe, 'x', true);
    for (size_t i = 0; i < pieces.count; i++) {
        assert_true(pieces.ids[i] > 3);
        assert_true(pieces.ids[i] != last || pieces.begins[i] == strlen(text) - 1);
    }
    pare_pieces_free(&pieces);
    pare_bpe_destroy(bpe);
}

static void test_learning_fails_with_a_reason(void **state)
{
    (void)state;
    const char *paths[] = {in_directory("few"), in_directory("absent")};
    pare_bpe *bpe;
    check_ok(pri_file_replace(paths[0], "abc", 3));
    assert_fails(pare_bpe_build(paths, 1, &(pare_bpe_options){.size = 7}, &bpe),
                 PARE_ERROR_ARGUMENT, "alone are 8; ask for more");
    assert_null(bpe);
    assert_fails(pare_bpe_build(paths, 0, &(pare_bpe_options){0}, &bpe), PARE_ERROR_ARGUMENT,
                 "name one");
    assert_fails(pare_bpe_build(paths, 2, &(pare_bpe_options){0}, &bpe), PARE_ERROR_FILE, "absent");
    check_ok(pri_file_replace(paths[0], " \n\t\n", 4));
    assert_fails(pare_bpe_build(paths, 1, &(pare_bpe_options){0}, &bpe), PARE_ERROR_FORMAT,
                 "few: no text in it");
    check_ok(pri_file_replace(paths[0], "a\0b", 3));
    assert_fails(pare_bpe_build(paths, 1, &(pare_bpe_options){0}, &bpe), PARE_ERROR_FORMAT,
                 "few:1: a zero byte");
    check_ok(pri_file_replace(paths[0], "a\n\xe9t\xe9\n", 6));
    assert_fails(pare_bpe_build(paths, 1, &(pare_bpe_options){0}, &bpe), PARE_ERROR_FORMAT,
                 "few:2: byte 1 of the line is not UTF-8");
}

/* ---- Files of subword-nmt ---- */

static pare_status read_codes(const char *codes, const char *const *texts, size_t count,
                              pare_bpe **bpe)
{
    const char *path = in_directory("codes");
    check_ok(pri_file_replace(path, codes, strlen(codes)));
    return pare_bpe_load_codes(path, texts, count, bpe);
}

static void test_merges_of_subword_nmt(void **state)
{
    (void)state;
    pare_bpe *bpe;
    check_ok(read_codes("#version: 0.2\nt h\r\nth e</w>\na n\n\n", NULL, 0, &bpe));
    assert_tokens(bpe,
                  "<s> <pad> </s> <unk> a e h n t a</w> e</w> h</w> n</w> t</w> th the</w> an");
    assert_encoded(bpe, "the then an", "the</w>:0-3 th:4-6 e:6-7 n</w>:7-8 a:9-10 n</w>:10-11");
    assert_encoded(bpe, "The", "<unk>:0-1 h:1-2 e</w>:2-3");
    pare_bpe_destroy(bpe);
    const char *text = in_directory("more");
    check_ok(pri_file_replace(text, "T x\n", 4));
    check_ok(read_codes("#version: 0.2\nt h\n", &text, 1, &bpe));
    assert_tokens(bpe, "<s> <pad> </s> <unk> T h t x T</w> h</w> t</w> x</w> th");
    pare_bpe_destroy(bpe);
}

static void test_bad_merges_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *codes, *message;
    } cases[] = {
        {"", "codes: there is nothing in it"},
        {"t h\n", "codes: line 1: it should be \"#version: 0.2\""},
        {"#version: 0.1\n", "codes: line 1: it should be \"#version: 0.2\""},
        {"#version: 0.2\nt\n", "codes: line 2: it should have two symbols"},
        {"#version: 0.2\nt h 12\n", "codes: line 2: it should have two symbols"},
        {"#version: 0.2\n t\n", "codes: line 2: it should have two symbols"},
        {"#version: 0.2\nt h\nth en\n",
         "codes: line 3: \"en\" is neither a character nor what an earlier line makes"},
        {"#version: 0.2\nt h\nt h\n",
         "codes: line 3: \"t\" and \"h\" are merged already, by merge 1"},
        {"#version: 0.2\n\nt h\n", "codes: line 3: it comes after an empty line"},
        {"#version: 0.2\nt \xff\n", "codes:2: byte 3 of the line is not UTF-8"},
        {"#version: 0.2\n< s\n<s >\n", "codes: line 3: it makes \"<s>\", which is a special token"},
        {"#version: 0.2\n< /\n</ w\n</w >\nx </w>\n",
         "codes: line 5: what it makes looks like one character at a word's end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_bpe *bpe;
        assert_fails(read_codes(cases[i].codes, NULL, 0, &bpe), PARE_ERROR_FORMAT,
                     cases[i].message);
        assert_null(bpe);
    }
}

static void test_a_decoder_may_be_left_out(void **state)
{
    (void)state;
    static const char *const decoders[] = {"", "\"decoder\":null,"};
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},%s" WORDS_MODEL(
                     SPECIAL ",\"a\":4,\"b</w>\":5,\"ab</w>\":6", "[\"a\",\"b</w>\"]") "}",
                 decoders[i]);
        pare_bpe *bpe = bpe_of(json);
        assert_int_equal(pare_bpe_size(bpe), 7);
        pare_bpe_destroy(bpe);
    }
}

/* ---- Bad tokenizer.json ---- */

static void test_other_tokenizers_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
        pare_status status;
    } cases[] = {
        {"{\"model\":{\"type\":\"WordPiece\"}}", "model, \"WordPiece\"", PARE_ERROR_UNSUPPORTED},
        {"{\"model\":{\"type\":\"BPE\"}}", "pre_tokenizer, \"null\"", PARE_ERROR_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\"}}",
         "pre_tokenizer, \"ByteLevel\"", PARE_ERROR_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"decoder\":{\"type\":\"ByteLevel\"},"
         "\"model\":{\"type\":\"BPE\"}}",
         "decoder, \"ByteLevel\", is not supported in byte-pair encoding, only \"BPEDecoder\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" WORDS_PARTS "\"normalizer\":{\"type\":\"NFKC\"},\"model\":{\"type\":\"BPE\"}}",
         "normalizer, \"NFKC\"", PARE_ERROR_UNSUPPORTED},
        {"{" WORDS_PARTS
         "\"post_processor\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\"}}",
         "post_processor, \"ByteLevel\"", PARE_ERROR_UNSUPPORTED},
        {"{" WORDS_PARTS "\"model\":{\"type\":\"BPE\"}}",
         "\"unk_token\" of the model is \"\", but only \"<unk>\"", PARE_ERROR_UNSUPPORTED},
        {"{" WORDS_PARTS MODEL("", SPECIAL, "") "}", "\"end_of_word_suffix\" of the model is \"\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS WORDS_MODEL(SPECIAL, "") "}",
         "\"end_of_word_suffix\" of the model is \"</w>\"", PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("\"dropout\":0.1,", SPECIAL, "") "}", "\"dropout\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("\"fuse_unk\":true,", SPECIAL, "") "}", "\"fuse_unk\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("\"byte_fallback\":true,", SPECIAL, "") "}", "\"byte_fallback\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("\"ignore_merges\":true,", SPECIAL, "") "}", "\"ignore_merges\"",
         PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("\"continuing_subword_prefix\":\"##\",", SPECIAL, "") "}",
         "\"continuing_subword_prefix\" of the model is \"##\"", PARE_ERROR_UNSUPPORTED},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"a\":5", "") "}",
         "token \"a\" has no id of 0 to 4", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"\":4", "") "}", "the token is empty",
         PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", "\"</s>\":0", "") "}",
         "\"vocab\" of the model has no \"<unk>\"", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", "\"<unk>\":0", "") "}",
         "the special token \"</s>\" is not among its 1 tokens", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"a\":4", "\"a a\"") "}",
         "merge 1 makes something that is no token", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"a\":4,\"aa\":5", "\"a a\",\"b a\"") "}",
         "merge 2 joins something that is no token", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"a\":4,\"aa\":5", "\"a a\",[\"a\",\"a\"]") "}",
         "merge 2: \"a\" and \"a\" are merged already, by merge 1", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL ",\"a\":4,\"aa\":5", "\"a a a\"") "}",
         "merge 1 has not two tokens", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL, "7") "}",
         "merge 1 is neither a string nor a list of two", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS MODEL("", SPECIAL, "[\"a\",\"b\",\"c\"]") "}",
         "merge 1 is neither a string nor a list of two", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS
         "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{" SPECIAL "}}}",
         "\"merges\" of the model should be a list", PARE_ERROR_FORMAT},
        {"{" METASPACE_PARTS "\"model\":{\"type\":\"BPE\",\"unk_token\":7}}",
         "\"unk_token\" should be a string", PARE_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_bpe *bpe;
        assert_fails(read_json(cases[i].json, &bpe), cases[i].status, cases[i].message);
        assert_null(bpe);
    }
}

static void test_a_directory_tells_its_kind(void **state)
{
    (void)state;
    bool found;
    check_ok(pare_bpe_found(in_directory("nowhere"), &found));
    assert_false(found);
    pare_bpe *bpe = bpe_of(WORDS_JSON(""));
    check_ok(pare_bpe_save(bpe, in_directory("kind/tokenizer.json")));
    pare_bpe_destroy(bpe);
    check_ok(pare_bpe_found(in_directory("kind"), &found));
    assert_true(found);
    check_ok(pri_file_replace(in_directory("kind/tokenizer.json"), "{}", 2));
    check_ok(pare_bpe_found(in_directory("kind"), &found));
    assert_false(found);
    check_ok(pri_file_replace(in_directory("kind/tokenizer.json"), "{", 1));
    assert_fails(pare_bpe_found(in_directory("kind"), &found), PARE_ERROR_FORMAT, "not valid JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_give_what_the_package_gives),
        cmocka_unit_test(test_texts_give_the_merges_of_the_package),
        cmocka_unit_test(test_the_earliest_merge_goes_first),
        cmocka_unit_test(test_raw_text_has_marks_for_blanks),
        cmocka_unit_test(test_pieces_become_text_again),
        cmocka_unit_test(test_special_tokens_are_found_by_name),
        cmocka_unit_test(test_hash_tells_tokenizers_apart),
        cmocka_unit_test(test_long_words_merge_as_defined),
        cmocka_unit_test(test_learning_by_hand),
        cmocka_unit_test(test_texts_cannot_teach_special_tokens),
        cmocka_unit_test(test_learning_fails_with_a_reason),
        cmocka_unit_test(test_merges_of_subword_nmt),
        cmocka_unit_test(test_bad_merges_are_named),
        cmocka_unit_test(test_a_decoder_may_be_left_out),
        cmocka_unit_test(test_other_tokenizers_are_refused_by_name),
        cmocka_unit_test(test_a_directory_tells_its_kind),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
