/* The reader of SQuAD's layout: places of answers, and what it refuses in which words. */
#include "squad_check.h"

#include <zlib.h>

#include "tasks/question_answering/squad_file.h"

static pare_status parse(pri_squad *squad, pri_squad_use use, const char *text)
{
    *squad = (pri_squad){0};
    return pri_squad_parse(squad, text, strlen(text), "input.json", use);
}

/* `message`: all of it. */
static void assert_refused(pri_squad_use use, const char *text, const char *message)
{
    pri_squad squad;
    assert_int_equal(parse(&squad, use, text), PARE_ERROR_FORMAT);
    assert_string_equal(pare_error_message(), message);
    pri_squad_free(&squad);
}

#define PARAGRAPH(context, questions)                                                              \
    "{\"data\": [{\"paragraphs\": [{\"context\": \"" context "\", \"qas\": [" questions "]}]}]}"
#define QUESTION(id, answers)                                                                      \
    "{\"id\": \"" id "\", \"question\": \"Q?\", \"answers\": [" answers "]}"
#define ANSWER(text, start) "{\"text\": \"" text "\", \"answer_start\": " #start "}"

/* ---- What is read ---- */

static void test_members(void **state)
{
    (void)state;
    pri_squad squad;
    check_ok(parse(&squad, PRI_SQUAD_TRAINING,
                   "{\"version\": 1, \"data\": [{\"title\": \"T\", \"paragraphs\": ["
                   "{\"context\": \"One two.\", \"qas\": []},"
                   "{\"context\": \"The cat sat.\", \"other\": [1], \"qas\": ["
                   "{\"id\": \"x-1\", \"question\": \"Who?\", \"answers\": ["
                   "{\"text\": \"cat\", \"answer_start\": 4},"
                   "{\"text\": \"The cat\", \"answer_start\": 0}]},"
                   "{\"id\": 17, \"question\": \"\", \"answers\": ["
                   "{\"text\": \"sat\", \"answer_start\": 8}]}]}]}, {\"paragraphs\": []}]}"));
    assert_int_equal(squad.context_count, 2);
    assert_string_equal(squad.contexts[1], "The cat sat.");
    assert_int_equal(squad.question_count, 2);
    assert_string_equal(squad.questions[0].id, "x-1");
    assert_string_equal(squad.questions[0].text, "Who?");
    assert_int_equal(squad.questions[0].context, 1);
    assert_int_equal(squad.questions[0].answer_count, 2);
    assert_string_equal(squad.questions[1].id, "17");
    assert_string_equal(squad.questions[1].text, "");
    assert_int_equal(squad.questions[1].first_answer, 2);
    assert_int_equal(squad.answer_count, 3);
    assert_string_equal(squad.answers[1].text, "The cat");
    assert_int_equal(squad.answers[0].begin, 4);
    assert_int_equal(squad.answers[1].begin, 0);
    assert_int_equal(squad.moved, 0);
    pri_squad_free(&squad);
}

static void check_place(const char *text, size_t begin, size_t moved)
{
    pri_squad squad;
    check_ok(parse(&squad, PRI_SQUAD_EVALUATION, text));
    assert_int_equal(squad.answers[0].begin, begin);
    assert_int_equal(squad.moved, moved);
    pri_squad_free(&squad);
}

/* answer_start counts characters, `begin` bytes: the context has letters of 1, 2, 3 and 4 bytes. */
static void test_places(void **state)
{
    (void)state;
#define CONTEXT "ab \u00e9b \u4e2db \U0001f600b b"
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 1))), 1, 0);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 4))), 5, 0);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 7))), 10, 0);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 10))), 16, 0);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("\U0001f600b", 9))), 12, 0);
    /* Elsewhere: the nearest, the first of two that are equally near. */
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 0))), 1, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 5))), 5, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 11))), 16, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", 9999999999))), 18, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", -3))), 1, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("b", null))), 1, 1);
    check_place(PARAGRAPH("aaaa", QUESTION("1", ANSWER("aa", 9))), 2, 1);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER("c", 1))), PRI_NOWHERE, 0);
    check_place(PARAGRAPH(CONTEXT, QUESTION("1", ANSWER(" ", 2))), PRI_NOWHERE, 0);
#undef CONTEXT
}

static void test_long_context(void **state)
{
    (void)state;
    enum { LENGTH = 1000000 };
    pri_text text = {0};
    pri_text_append(&text, "{\"data\": [{\"paragraphs\": [{\"context\": \"");
    for (size_t i = 0; i < LENGTH / 2; i++)
        pri_text_append_bytes(&text, "\u00e9 ", 3);
    pri_text_append(&text, "end\", \"qas\": [%s]}]}]}", QUESTION("1", ANSWER("end", 1000000)));
    pri_squad squad;
    check_ok(parse(&squad, PRI_SQUAD_TRAINING, text.data));
    assert_int_equal(squad.answers[0].begin, 3 * LENGTH / 2);
    assert_int_equal(squad.moved, 0);
    pri_squad_free(&squad);
    pri_text_free(&text);
}

static void test_questions_without_answers(void **state)
{
    (void)state;
    pri_squad squad;
    check_ok(parse(
        &squad, PRI_SQUAD_EVALUATION,
        PARAGRAPH("a",
                  "{\"id\": \"1\", \"question\": \"Q\"}, "
                  "{\"id\": \"2\", \"question\": \"Q\", \"answers\": null}, " QUESTION("3", ""))));
    assert_int_equal(squad.question_count, 3);
    assert_int_equal(squad.answer_count, 0);
    pri_squad_free(&squad);
    assert_refused(PRI_SQUAD_TRAINING, PARAGRAPH("a", QUESTION("7", "")),
                   "input.json: article 1: paragraph 1: question 1: id 7: has no answer to learn; "
                   "remove it (questions without answers are not part of SQuAD 1.1)");
}

static void test_gzip(void **state)
{
    (void)state;
    const char *text = PARAGRAPH("a b", QUESTION("1", ANSWER("b", 2)));
    gzFile file = gzopen(in_directory("squad.json.gz"), "wb");
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
    gzclose(file);
    pri_squad squad = {0};
    check_ok(pri_squad_read(&squad, in_directory("squad.json.gz"), PRI_SQUAD_TRAINING));
    assert_int_equal(squad.question_count, 1);
    pri_squad_free(&squad);
    assert_fails(pri_squad_read(&squad, in_directory("absent"), PRI_SQUAD_TRAINING),
                 PARE_ERROR_FILE, "absent");
    pri_squad_free(&squad);
}

/* ---- What is refused ---- */

static void test_wrong_form(void **state)
{
    (void)state;
    const pri_squad_use use = PRI_SQUAD_EVALUATION;
    assert_refused(use, "{}", "input.json: \"data\" (a list) is missing");
    assert_refused(use, "{\"data\": 3}", "input.json: \"data\" should be a list");
    assert_refused(use, "{\"data\": []}", "input.json: it holds no question at all");
    assert_refused(use, "{\"data\": [{}]}",
                   "input.json: article 1: \"paragraphs\" (a list) is missing");
    assert_refused(use, "{\"data\": [{\"paragraphs\": []}, {\"paragraphs\": [5]}]}",
                   "input.json: article 2: paragraph 1: \"context\" (a string) is missing");
    assert_refused(use, "{\"data\": [{\"paragraphs\": [{\"context\": \"a\"}]}]}",
                   "input.json: article 1: paragraph 1: \"qas\" (a list) is missing");
    assert_refused(use, PARAGRAPH("a", "{}"),
                   "input.json: article 1: paragraph 1: question 1: \"id\" (a string) is missing");
    assert_refused(use, PARAGRAPH("a", "{\"id\": \"x\", \"question\": 1}"),
                   "input.json: article 1: paragraph 1: question 1: id x: \"question\" should be a "
                   "string");
    assert_refused(use, PARAGRAPH("a", "{\"id\": \"x\", \"question\": \"\", \"answers\": 1}"),
                   "input.json: article 1: paragraph 1: question 1: id x: \"answers\" should be a "
                   "list");
    assert_refused(use, PARAGRAPH("a", QUESTION("x", "{\"text\": 1}")),
                   "input.json: article 1: paragraph 1: question 1: id x: \"text\" should be a "
                   "string");
    pri_squad squad;
    assert_fails(parse(&squad, use, "[]"), PARE_ERROR_FORMAT, "JSON object");
    pri_squad_free(&squad);
    assert_fails(parse(&squad, use, "{\"data\": "), PARE_ERROR_FORMAT, "not valid JSON");
    pri_squad_free(&squad);
}

static void test_wrong_contents(void **state)
{
    (void)state;
    for (int use = PRI_SQUAD_TRAINING; use <= PRI_SQUAD_EVALUATION; use++) {
        assert_refused((pri_squad_use)use, PARAGRAPH(" \\u00a0\\n", ""),
                       "input.json: article 1: paragraph 1: its context is empty, so nothing in it "
                       "can be asked for; remove it");
        assert_refused(
            (pri_squad_use)use,
            PARAGRAPH("a", QUESTION("x", ANSWER("a", 0)) ", " QUESTION("x", ANSWER("a", 0))),
            "input.json: article 1: paragraph 1: question 2: id x: this id occurs "
            "twice; ids name answers, so each must be unique");
    }
    assert_refused(PRI_SQUAD_TRAINING, PARAGRAPH("a cat", QUESTION("x", ANSWER("dog", 2))),
                   "input.json: article 1: paragraph 1: question 1: id x: the answer \"dog\" is "
                   "not in its context; correct or remove it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),        cmocka_unit_test(test_places),
        cmocka_unit_test(test_long_context),   cmocka_unit_test(test_questions_without_answers),
        cmocka_unit_test(test_gzip),           cmocka_unit_test(test_wrong_form),
        cmocka_unit_test(test_wrong_contents),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
