/* Windows and decoding against golden data of transformers, and by hand. */
#include "squad_check.h"

#include "tasks/question_answering/decoding.h"

/* ---- Golden data ---- */

typedef struct golden_data {
    json_t *root;
    pare_wordpiece *tokenizer;
    pri_squad squad;
} golden_data;

static pare_wordpiece *golden_tokenizer(const json_t *root)
{
    pri_text text = {0};
    const json_t *words = json_object_get(root, "vocabulary");
    for (size_t i = 0; i < json_array_size(words); i++)
        pri_text_append(&text, "%s\n", json_string_value(json_array_get(words, i)));
    pare_wordpiece *tokenizer = make_tokenizer(text.data);
    pri_text_free(&text);
    return tokenizer;
}

static void load(golden_data *golden)
{
    *golden = (golden_data){.root = load_golden("squad_features.json")};
    golden->tokenizer = golden_tokenizer(golden->root);
    char *text = json_dumps(json_object_get(golden->root, "squad"), 0);
    check_ok(pri_squad_parse(&golden->squad, text, strlen(text), "golden", PRI_SQUAD_TRAINING));
    free(text);
}

static void unload(golden_data *golden)
{
    pri_squad_free(&golden->squad);
    pare_wordpiece_destroy(golden->tokenizer);
    json_decref(golden->root);
}

static size_t number(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(json_object_get(object, key));
}

static void make_features(const golden_data *golden, const json_t *shape, pri_features *features)
{
    const pri_window_shape given = {.length = number(shape, "length"),
                                    .stride = number(shape, "stride"),
                                    .question_length = number(shape, "question_length")};
    *features = (pri_features){0};
    check_ok(pri_features_make(features, &golden->squad, &given, golden->tokenizer));
}

static void check_sequence(const pri_features *features, size_t window, const json_t *golden)
{
    const json_t *ids = json_object_get(golden, "ids");
    pri_token_span sequence = pri_sequences_at(&features->sequences, window);
    assert_int_equal(sequence.count, json_array_size(ids));
    const char *segments = json_string_value(json_object_get(golden, "segments"));
    for (size_t i = 0; i < sequence.count; i++) {
        assert_int_equal(sequence.ids[i], json_integer_value(json_array_get(ids, i)));
        assert_int_equal(i >= features->sequences.seconds[window], segments[i] == '1');
    }
}

static void check_most_context(const pri_features *features, size_t window, const json_t *golden)
{
    const char *flags = json_string_value(json_object_get(golden, "most_context"));
    const pri_window *cut = &features->windows[window];
    assert_int_equal(cut->count, strlen(flags));
    for (size_t i = 0; i < cut->count; i++)
        if (pri_window_has_most_context(features, window, cut->begin + i) != (flags[i] == '1'))
            fail_msg("window %zu, piece %zu", window, cut->begin + i);
}

static void check_windows(const pri_features *features, const json_t *shape)
{
    const json_t *windows = json_object_get(shape, "windows");
    assert_int_equal(features->window_count, json_array_size(windows));
    for (size_t i = 0; i < features->window_count; i++) {
        const json_t *golden = json_array_get(windows, i);
        assert_int_equal(features->windows[i].question, number(golden, "question"));
        check_sequence(features, i, golden);
        check_most_context(features, i, golden);
        pri_piece_span target = pri_window_target(features, i);
        assert_int_equal(target.first, number(golden, "start"));
        assert_int_equal(target.last, number(golden, "end"));
    }
}

static void test_windows(void **state)
{
    (void)state;
    golden_data golden;
    load(&golden);
    const json_t *shapes = json_object_get(golden.root, "shapes");
    for (size_t i = 0; i < json_array_size(shapes); i++) {
        pri_features features;
        make_features(&golden, json_array_get(shapes, i), &features);
        check_windows(&features, json_array_get(shapes, i));
        pri_features_free(&features);
    }
    unload(&golden);
}

static float *golden_logits(const json_t *window)
{
    const json_t *columns[2] = {json_object_get(window, "first_logits"),
                                json_object_get(window, "last_logits")};
    size_t length = json_array_size(columns[0]);
    float *logits = malloc(2 * length * sizeof *logits);
    assert_non_null(logits);
    for (size_t i = 0; i < 2 * length; i++)
        logits[i] = (float)json_number_value(json_array_get(columns[i % 2], i / 2));
    return logits;
}

/* `step` 1 or -1: the order in which windows come does not matter. */
static void decode_question(const pri_decoder *decoder, size_t question, const json_t *shape,
                            const char *context, int step, pri_found_answers *answers)
{
    const pri_asked *asked = &decoder->features->questions[question];
    for (size_t i = 0; i < asked->window_count; i++) {
        size_t window = asked->first_window + (step > 0 ? i : asked->window_count - 1 - i);
        float *logits = golden_logits(json_array_get(json_object_get(shape, "windows"), window));
        pri_decode_window(decoder, window, logits, context, answers);
        free(logits);
    }
}

/* The reference writes one blank for any. */
static bool same_but_blanks(const char *text, size_t length, const char *golden)
{
    const char *end = text + length;
    while (text < end) {
        bool blank = strchr(" \t\n", *text) != NULL;
        if (blank ? *golden != ' ' : *golden != *text)
            return false;
        for (text++; blank && text < end && strchr(" \t\n", *text);)
            text++;
        golden++;
    }
    return !*golden;
}

static void check_answers(const pri_found_answers *answers, const char *context,
                          const json_t *golden, size_t question)
{
    assert_int_equal(answers->count, json_array_size(golden));
    for (size_t i = 0; i < answers->count; i++) {
        const pri_found_answer *found = &answers->best[i];
        const json_t *expected = json_array_get(golden, i);
        const char *text = json_string_value(json_object_get(expected, "text"));
        int length = (int)(found->end - found->begin);
        if (!same_but_blanks(context + found->begin, (size_t)length, text))
            fail_msg("question %zu, answer %zu: \"%.*s\" instead of \"%s\"", question, i, length,
                     context + found->begin, text);
        assert_near(found->score, json_number_value(json_object_get(expected, "score")), 0);
    }
}

static void check_decoding(const golden_data *golden, const json_t *shape,
                           const pri_features *features)
{
    const pri_decoder decoder = {.features = features,
                                 .tokenizer = golden->tokenizer,
                                 .answer_length = number(shape, "answer_length")};
    for (size_t question = 0; question < features->question_count; question++)
        for (int step = -1; step <= 1; step += 2) {
            const char *context = golden->squad.contexts[features->questions[question].context];
            pri_found_answer best[PARE_ANSWERS_MAX];
            pri_found_answers answers = {.best = best, .wanted = PARE_ANSWERS_MAX};
            decode_question(&decoder, question, shape, context, step, &answers);
            check_answers(&answers, context,
                          json_array_get(json_object_get(shape, "answers"), question), question);
        }
}

static void test_decoding(void **state)
{
    (void)state;
    golden_data golden;
    load(&golden);
    const json_t *shapes = json_object_get(golden.root, "shapes");
    for (size_t i = 0; i < json_array_size(shapes); i++) {
        pri_features features;
        make_features(&golden, json_array_get(shapes, i), &features);
        check_decoding(&golden, json_array_get(shapes, i), &features);
        pri_features_free(&features);
    }
    unload(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_decoding),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
