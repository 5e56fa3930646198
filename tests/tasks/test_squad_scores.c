/* Exact match and F1 against golden values of the official script's functions, and against the
 * whole development set when it is there. */
#include "squad_check.h"

#include <unistd.h>

#include "tasks/question_answering/answer_score.h"
#include "tasks/question_answering/squad_file.h"

static void check_case(const json_t *golden)
{
    const char *answer = json_string_value(json_object_get(golden, "answer"));
    const char *gold = json_string_value(json_object_get(golden, "gold"));
    pri_text normalized = {0};
    pri_normalize_answer(answer, strlen(answer), &normalized);
    assert_false(normalized.failed);
    if (strcmp(normalized.data, json_string_value(json_object_get(golden, "normalized"))))
        fail_msg("\"%s\" became \"%s\"", answer, normalized.data);
    pri_answer_score score;
    check_ok(pri_score_answer(answer, strlen(answer), gold, &score));
    if (score.exact_match != json_number_value(json_object_get(golden, "exact_match")))
        fail_msg("exact match of \"%s\" and \"%s\"", answer, gold);
    assert_near(score.f1, json_number_value(json_object_get(golden, "f1")), 1e-15);
    pri_text_free(&normalized);
}

static void test_golden(void **state)
{
    (void)state;
    json_t *golden = load_golden("squad_scores.json");
    const json_t *cases = json_object_get(golden, "cases");
    assert_true(json_array_size(cases) > 400);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i));
    json_decref(golden);
}

/* Only the answer's own bytes count. */
static void test_part_of_text(void **state)
{
    (void)state;
    pri_answer_score score;
    check_ok(pri_score_answer("cathedral", 3, "cat", &score));
    assert_near(score.exact_match, 1, 0);
    check_ok(pri_score_answer("cathedral", 0, "cat", &score));
    assert_near(score.exact_match + score.f1, 0, 0);
}

static void test_raise(void **state)
{
    (void)state;
    pri_answer_score best = {0, 0.5};
    pri_score_raise(&best, &(pri_answer_score){1, 0.25});
    pri_score_raise(&best, &(pri_answer_score){0, 0.75});
    assert_near(best.exact_match, 1, 0);
    assert_near(best.f1, 0.75, 0);
}

/* ---- The standard files ---- */

static void read_standard(const char *name, pri_squad_use use, pri_squad *squad)
{
    char path[1024];
    const char *data = getenv("PARE_DATA");
    if (!data) {
        print_message("skipped: PARE_DATA is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/squad-v1.1/%s", data, name);
    if (access(path, R_OK)) {
        print_message("skipped: %s cannot be read\n", path);
        skip();
    }
    check_ok(pri_squad_read(squad, path, use));
}

static void test_development_set(void **state)
{
    (void)state;
    pri_squad squad = {0};
    read_standard("dev-v1.1.rebuilt.json.gz", PRI_SQUAD_EVALUATION, &squad);
    assert_int_equal(squad.question_count, 10570);
    assert_int_equal(squad.context_count, 2067);
    assert_int_equal(squad.answer_count, 34726);
    assert_int_equal(squad.moved, 0);
    for (size_t i = 0; i < squad.answer_count; i++) {
        pri_answer_score score;
        const char *text = squad.answers[i].text;
        assert_true(squad.answers[i].begin != PRI_NOWHERE);
        check_ok(pri_score_answer(text, strlen(text), text, &score));
        assert_near(score.exact_match, 1, 0);
        assert_near(score.f1, 1, 0);
    }
    pri_squad_free(&squad);
}

static void test_training_articles(void **state)
{
    (void)state;
    pri_squad squad = {0};
    read_standard("train-v1.1.14articles.json.gz", PRI_SQUAD_TRAINING, &squad);
    assert_int_equal(squad.question_count, 5101);
    assert_int_equal(squad.context_count, 845);
    assert_int_equal(squad.answer_count, 5101);
    assert_int_equal(squad.moved, 0);
    pri_squad_free(&squad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_part_of_text),
        cmocka_unit_test(test_raise),
        cmocka_unit_test(test_development_set),
        cmocka_unit_test(test_training_articles),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
