/* Question answering as a task, with tiny encoders: learning, resuming, measuring, observing, and
 * answers to single questions. */
#include "squad_check.h"

#include "nn/optimizer.h"
#include "tasks/observe_one.h"
#include "tasks/question_answering/question_answering.h"
#include "tasks/teacher_check.h"

static pare_context *context;
static pare_tape *tape;
static pare_wordpiece *tokenizer;
static pare_model *trained; /* knows all toys; several tests ask it */

static const char vocabulary[] = SPECIAL_TOKENS "where\nis\nthe\nwho\n?\n.\nin\nbox\nbag\nhat\n"
                                                "cat\ndog\nkey\npen\nred\nblue\nold\nnew\nand\n";
#define WORDS 24

/* ---- A toy set: things are in places, and one is asked for ---- */

static const char *const things[] = {"cat", "dog", "key", "pen"};
static const char *const places[] = {"red box", "old bag", "new hat", "blue box"};

static void append_question(pri_text *text, size_t number)
{
    size_t first = number % 4, second = (first + 1 + number / 4 % 3) % 4;
    size_t place = number / 12 % 4, other = (place + 1 + number % 3) % 4;
    size_t start = 4 + strlen(things[first]) + strlen(" is in the ");
    pri_text_append(text,
                    "%s{\"context\": \"The %s is in the %s and the %s is in the %s.\", \"qas\": "
                    "[{\"id\": \"q%zu\", \"question\": \"Where is the %s?\", \"answers\": [{"
                    "\"text\": \"%s\", \"answer_start\": %zu}]}]}",
                    number ? ", " : "", things[first], places[place], things[second], places[other],
                    number, things[first], places[place], start);
}

static const char *write_toys(const char *name, size_t count)
{
    pri_text text = {0};
    pri_text_append(&text, "{\"data\": [{\"paragraphs\": [");
    for (size_t i = 0; i < count; i++)
        append_question(&text, i);
    pri_text_append(&text, "]}]}");
    const char *path = write_file(name, text.data);
    pri_text_free(&text);
    return path;
}

static pare_task *create_task(pare_question_answering_options options)
{
    pare_task *task;
    check_ok(pare_question_answering_create(&options, tokenizer, &task));
    return task;
}

static pare_question_answering_options toy_options(void)
{
    const char *path = write_toys("toys.json", 48);
    return (pare_question_answering_options){.train = path,
                                             .valid = path,
                                             .length = 32,
                                             .stride = 16,
                                             .question_length = 8,
                                             .answer_length = 4,
                                             .batch = 12,
                                             .seed = 3};
}

static pare_model *create_model(float dropout, float deviation)
{
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = WORDS;
    config.layers = 2;
    config.heads = 2;
    config.size = 32;
    config.feed_forward = 64;
    config.positions = 40;
    config.head = PARE_HEAD_QUESTION_ANSWERING;
    config.dropout = config.attention_dropout = dropout;
    config.initial_deviation = deviation;
    pare_model *model;
    check_ok(pare_bert_create(context, &config, 5, &model));
    return model;
}

/* ---- Training ---- */

typedef struct optimizer {
    float **m, **v;
    size_t count, step;
} optimizer;

static optimizer make_optimizer(pare_model *model)
{
    optimizer made = {0};
    pare_parameter *parameters = pare_model_parameters(model, &made.count);
    made.m = calloc(made.count, sizeof *made.m);
    made.v = calloc(made.count, sizeof *made.v);
    for (size_t i = 0; i < made.count; i++) {
        size_t floats = parameters[i].tensor.rows * parameters[i].tensor.columns;
        made.m[i] = calloc(floats, sizeof(float));
        made.v[i] = calloc(floats, sizeof(float));
    }
    return made;
}

static void free_optimizer(optimizer *made)
{
    for (size_t i = 0; i < made->count; i++) {
        free(made->m[i]);
        free(made->v[i]);
    }
    free(made->m);
    free(made->v);
}

static void update(optimizer *made, pare_model *model)
{
    pri_adam adam = {
        .rate = 3e-3f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .gradient_scale = 1};
    made->step++;
    adam.correction1 = 1 - powf(adam.beta1, (float)made->step);
    adam.correction2 = 1 - powf(adam.beta2, (float)made->step);
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        pri_adam_update(context, &adam, tensor->rows * tensor->columns, tensor->value,
                        tensor->gradient, made->m[i], made->v[i]);
    }
}

static float train_step(pare_task *task, pare_model *model, optimizer *made, uint64_t key)
{
    pare_model_zero_gradients(model);
    pare_tape_begin(tape, true, key);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    check_ok(pare_tape_backward(tape, loss, 1));
    if (made)
        update(made, model);
    return *loss->value;
}

static pare_model *train_toys(void)
{
    pare_task *task = create_task(toy_options());
    pare_model *model = create_model(0, 0.05f);
    optimizer made = make_optimizer(model);
    for (size_t step = 0; step < 160; step++)
        train_step(task, model, &made, step);
    free_optimizer(&made);
    pare_task_destroy(task);
    return model;
}

static int set_up(void **state)
{
    if (make_directory(state))
        return -1;
    check_ok(pare_context_create(&(pare_context_options){.threads = 2}, &context));
    check_ok(pare_tape_create(context, &tape));
    tokenizer = make_tokenizer(vocabulary);
    trained = train_toys();
    return 0;
}

static int tear_down(void **state)
{
    pare_model_destroy(trained);
    pare_wordpiece_destroy(tokenizer);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return remove_directory(state);
}

static pare_evaluation evaluate(pare_task *task, pare_model *model, pare_split split)
{
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(task, model, tape, split, NULL, &evaluation));
    return evaluation;
}

static void test_learns(void **state)
{
    (void)state;
    pare_task *task = create_task(toy_options());
    pare_model *fresh = create_model(0, 0.05f);
    pare_evaluation before = evaluate(task, fresh, PARE_SPLIT_VALID);
    pare_evaluation after = evaluate(task, trained, PARE_SPLIT_VALID);
    assert_true(before.loss > 1 && before.more[0].value < 50);
    assert_true(after.loss < 0.05);
    assert_near(after.metric, 100, 0);
    assert_int_equal(after.more_count, 1);
    assert_string_equal(after.more[0].name, "exact match");
    assert_near(after.more[0].value, 100, 0);
    assert_int_equal(after.tokens, 48);
    pare_model_destroy(fresh);
    pare_task_destroy(task);
}

/* The loss is the mean of both cross-entropies over windows: that of a model which knows nothing.
 */
static void test_loss_of_uniform_logits(void **state)
{
    (void)state;
    pare_task *task = create_task(toy_options());
    pare_model *model = create_model(0, 0.05f);
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        memset(parameters[i].tensor.value, 0,
               parameters[i].tensor.rows * parameters[i].tensor.columns * sizeof(float));
    const pri_question_answering *answering = (const pri_question_answering *)task;
    const pri_sequences *sequences = &answering->splits[PARE_SPLIT_TRAIN]->features.sequences;
    double expected = 0;
    for (size_t i = 0; i < sequences->count; i++)
        expected += log((double)pri_sequences_at(sequences, i).count);
    expected /= (double)sequences->count;
    assert_near(evaluate(task, model, PARE_SPLIT_VALID).loss, expected, 1e-6);
    /* 48 windows of 12: the mean over an epoch's batches is that over its windows. */
    double sum = 0;
    assert_int_equal(pare_task_batches_per_epoch(task), 4);
    for (size_t i = 0; i < 4; i++)
        sum += (double)train_step(task, model, NULL, i);
    assert_near(sum / 4, expected, 1e-5);
    assert_int_equal(pare_task_training_tokens(task, 4), sequences->token_count);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void test_resumes(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    options.tokens = 200;
    pare_model *model = create_model(0.1f, 0.3f);
    float expected[12];
    pare_task *task = create_task(options);
    for (size_t step = 0; step < 12; step++) {
        if (step == 5)
            check_ok(pare_task_save_state(task, in_directory("state")));
        expected[step] = train_step(task, model, NULL, step);
    }
    pare_task_rewind(task);
    for (size_t step = 0; step < 5; step++)
        assert_true(expected[step] == train_step(task, model, NULL, step));
    pare_task_destroy(task);

    task = create_task(options);
    check_ok(pare_task_load_state(task, in_directory("state")));
    for (size_t step = 5; step < 12; step++)
        assert_true(expected[step] == train_step(task, model, NULL, step));
    pare_task_destroy(task);

    options.train = write_toys("fewer.json", 47);
    task = create_task(options);
    assert_fails(pare_task_load_state(task, in_directory("state")), PARE_ERROR_ARGUMENT,
                 "other data");
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Measuring ---- */

static json_t *predictions_of(pare_task *task)
{
    json_t *predictions;
    check_ok(pare_question_answering_save_predictions(task, in_directory("predictions.json")));
    check_ok(pri_json_load(in_directory("predictions.json"), &predictions));
    return predictions;
}

/* What a question is answered does not depend on what is computed beside it. */
static void test_batch_mates(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    options.length = 20; /* several windows per question */
    options.stride = 5;
    pare_model *model = create_model(0.1f, 0.5f);
    pare_evaluation first = {0};
    json_t *answers = NULL;
    static const size_t budgets[] = {1, 70, 100000};
    for (size_t i = 0; i < 3; i++) {
        options.evaluation_tokens = budgets[i];
        pare_task *task = create_task(options);
        pare_evaluation evaluation = evaluate(task, model, PARE_SPLIT_VALID);
        json_t *predictions = predictions_of(task);
        assert_int_equal(json_object_size(predictions), 48);
        if (!i) {
            first = evaluation;
            answers = json_incref(predictions);
        }
        assert_true(json_equal(predictions, answers));
        assert_near(evaluation.metric, first.metric, 0);
        assert_near(evaluation.loss, first.loss, 1e-6 * first.loss);
        json_decref(predictions);
        pare_task_destroy(task);
    }
    json_decref(answers);
    pare_model_destroy(model);
}

/* Two of the three questions count; the third only gets an answer. */
static void test_questions_without_answers(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    options.valid = write_file(
        "some.json",
        "{\"data\": [{\"paragraphs\": [{\"context\": \"The cat is in the red box.\", \"qas\": ["
        "{\"id\": \"1\", \"question\": \"Where is the cat?\", \"answers\": ["
        "{\"text\": \"the Red Box!\", \"answer_start\": 0}]},"
        "{\"id\": \"2\", \"question\": \"Where is the cat?\", \"answers\": ["
        "{\"text\": \"dog\", \"answer_start\": 0}, {\"text\": \"a red\", \"answer_start\": 0}]},"
        "{\"id\": \"3\", \"question\": \"Where is the cat?\"}]}]}]}");
    pare_task *task = create_task(options);
    assert_fails(pare_question_answering_save_predictions(task, in_directory("p")),
                 PARE_ERROR_ARGUMENT, "nothing was evaluated");
    pare_evaluation evaluation = evaluate(task, trained, PARE_SPLIT_VALID);
    json_t *predictions = predictions_of(task);
    assert_string_equal(json_string_value(json_object_get(predictions, "1")), "red box");
    assert_string_equal(json_string_value(json_object_get(predictions, "3")), "red box");
    json_decref(predictions);
    assert_int_equal(evaluation.tokens, 2);
    /* "red box" against "red": precision 1/2, recall 1. */
    assert_near(evaluation.metric, 100 * (1 + 2. / 3) / 2, 1e-12);
    assert_near(evaluation.more[0].value, 50, 0);
    pare_task_destroy(task);
}

static void test_observes_windows(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    options.length = 20;
    options.stride = 5;
    pare_task *task = create_task(options);
    pare_model *model = create_model(0.1f, 0.5f);
    const pri_question_answering *answering = (const pri_question_answering *)task;
    size_t windows = answering->splits[PARE_SPLIT_TRAIN]->features.window_count;
    assert_true(windows > 48);
    assert_int_equal(pare_task_length(task), 20);
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        pare_average *average;
        check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, ends_first, &average));
        const pare_geometry *geometry = pare_average_geometry(average);
        assert_int_equal(geometry->queries, 20);
        assert_int_equal(geometry->keys, 20);
        assert_int_equal(geometry->ends_first, ends_first);
        assert_int_equal(pare_average_examples(average), windows);
        assert_int_equal(pare_average_count(average, 0, 0), windows);
        assert_int_equal(pare_average_corpus_hash(average), pare_task_hash(task, PARE_SPLIT_TRAIN));
        double row = 0;
        for (size_t column = 0; column < 20; column++) {
            double value =
                pare_average_value(average, PARE_AVERAGE_MASS, 1, 1, ends_first ? 1 : 0, column);
            row += isnan(value) ? 0 : value;
        }
        assert_near(row, 1, 1e-5); /* every window has a first and a last token */
        pare_average_destroy(average);
    }
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* Averages are as large as the longest window of any split, not as windows might be. */
static void test_averages_of_short_texts(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    pare_task *task = create_task(options);
    /* [CLS] where is the cat ? [SEP] the cat is in the red box and the dog is in the old bag .
     * [SEP] */
    assert_int_equal(pare_task_length(task), 24);
    pare_average *average;
    check_ok(observe_one(task, trained, tape, PARE_SPLIT_TRAIN, false, &average));
    assert_int_equal(pare_average_geometry(average)->queries, 24);
    assert_int_equal(pare_average_count(average, 23, 23), 48);
    pare_average_destroy(average);
    pare_task_destroy(task);
    options.valid = write_file(
        "longer.json",
        "{\"data\": [{\"paragraphs\": [{\"context\": \"The cat is in the red box and the dog is in "
        "the old bag and the key.\", \"qas\": [{\"id\": \"1\", \"question\": \"Where is the "
        "cat?\", "
        "\"answers\": [{\"text\": \"red box\"}]}]}]}]}");
    task = create_task(options);
    assert_int_equal(pare_task_length(task), 27);
    pare_task_destroy(task);
}

/* ---- Data ---- */

static void test_splits(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    pare_task *task = create_task(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 48);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 48);
    assert_true(pare_task_hash(task, PARE_SPLIT_TEST) == pare_task_hash(task, PARE_SPLIT_VALID));
    assert_string_equal(pare_task_metric(task), "F1");
    assert_true(pare_task_higher_is_better(task));
    assert_int_equal(pare_question_answering_moved(task), 0);
    check_ok(pare_task_save_files(task, directory));
    assert_true(pri_path_exists(in_directory("vocab.txt")));
    uint64_t hash = pare_task_hash(task, PARE_SPLIT_TRAIN);
    pare_task_destroy(task);

    options.stride = 15;
    options.length = 31;
    task = create_task(options);
    assert_true(hash == pare_task_hash(task, PARE_SPLIT_TRAIN)); /* all fit in one window */
    pare_task_destroy(task);
    options.train = write_toys("fewer.json", 47);
    task = create_task(options);
    assert_true(hash != pare_task_hash(task, PARE_SPLIT_TRAIN));
    pare_task_destroy(task);
}

static void test_the_remark_tells_which_questions_are_cut(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    pare_task *task = create_task(options);
    assert_string_equal(pare_task_remark(task), "");
    pare_task_destroy(task);
    options.valid = write_toys("others.json", 5);
    options.question_length = 4; /* "Where is the cat?" has 5 pieces */
    task = create_task(options);
    assert_string_equal(pare_task_remark(task),
                        "questions longer than data.question_length 4 are cut: 48 of 48 in "
                        "toys.json, 5 of 5 in others.json");
    pare_task_destroy(task);
    options.train = write_file(
        "moved.json",
        "{\"data\": [{\"paragraphs\": [{\"context\": \"The cat is in the red box.\", \"qas\": ["
        "{\"id\": \"1\", \"question\": \"Where?\", \"answers\": ["
        "{\"text\": \"red box\", \"answer_start\": 0}]},"
        "{\"id\": \"2\", \"question\": \"Where is the cat in?\", \"answers\": ["
        "{\"text\": \"red box\", \"answer_start\": 18}]}]}]}]}");
    task = create_task(options);
    assert_string_equal(pare_task_remark(task),
                        "1 training answers do not stand where answer_start says; of each the "
                        "nearest occurrence is taken; questions longer than data.question_length "
                        "4 are cut: 1 of 2 in moved.json, 5 of 5 in others.json");
    pare_task_destroy(task);
}

static void test_without_training_file(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    options.train = NULL;
    pare_task *task = create_task(options);
    pare_model *model = create_model(0, 0.05f);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 0);
    assert_int_equal(pare_task_batches_per_epoch(task), 0);
    pare_task_rewind(task);
    evaluate(task, model, PARE_SPLIT_VALID);
    pare_tape_begin(tape, true, 0);
    assert_null(pare_task_training_loss(task, model, tape));
    assert_fails(pare_tape_status(tape), PARE_ERROR_ARGUMENT, "no file for the train split");
    assert_fails(pare_task_save_state(task, in_directory("state")), PARE_ERROR_ARGUMENT,
                 "no training file");
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void assert_refused(pare_question_answering_options options, pare_status expected,
                           const char *part_of_message)
{
    pare_task *task;
    assert_fails(pare_question_answering_create(&options, tokenizer, &task), expected,
                 part_of_message);
    assert_null(task);
}

static void test_predictions_of_another_task(void **state)
{
    (void)state;
    const char *words = write_file("words.txt", "the cat is in the hat\nand the dog is not\n");
    const pare_language_modelling_options options = {
        .train = words, .valid = words, .test = words, .lanes = 1, .length = 4};
    pare_task *task;
    check_ok(pare_language_modelling_create(&options, NULL, &task));
    assert_fails(pare_question_answering_save_predictions(task, in_directory("p")),
                 PARE_ERROR_ARGUMENT, "not question answering");
    pare_task_destroy(task);
}

static void test_bad_options(void **state)
{
    (void)state;
    assert_refused((pare_question_answering_options){0}, PARE_ERROR_ARGUMENT, "no questions");
    pare_question_answering_options options = toy_options();
    options.train = in_directory("absent.json");
    assert_refused(options, PARE_ERROR_FILE, "absent.json");
    options = toy_options();
    options.question_length = 29;
    assert_refused(options, PARE_ERROR_ARGUMENT,
                   "training.length 32 has no room for a context beside data.question_length 29");
    options.question_length = 20;
    options.stride = 10;
    assert_refused(options, PARE_ERROR_ARGUMENT, "data.stride is 10;");
    options = toy_options();
    options.valid = write_file("dropped.json", /* a control character is no piece */
                               "{\"data\": [{\"paragraphs\": [{\"context\": \"\\u0007\", \"qas\": "
                               "[{\"id\": \"1\", \"question\": \"Who?\"}]}]}]}");
    assert_refused(options, PARE_ERROR_FORMAT, "no context holds a word piece");
    options = toy_options();
    options.test = write_file("none.json",
                              "{\"data\": [{\"paragraphs\": [{\"context\": \"The cat.\", \"qas\": "
                              "[{\"id\": \"1\", \"question\": \"Who?\"}]}]}]}");
    assert_refused(options, PARE_ERROR_FORMAT, "none.json: no question has an answer");
}

static void assert_model_refused(pare_task *task, pare_bert_config config,
                                 const char *part_of_message)
{
    pare_model *model;
    pare_evaluation evaluation;
    check_ok(pare_bert_create(context, &config, 5, &model));
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, part_of_message);
    pare_tape_begin(tape, true, 0);
    assert_null(pare_task_training_loss(task, model, tape));
    pare_average *average;
    assert_fails(observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average),
                 PARE_ERROR_ARGUMENT, part_of_message);
    pare_model_destroy(model);
}

static void test_wrong_models(void **state)
{
    (void)state;
    pare_task *task = create_task(toy_options());
    pare_model *fitting = create_model(0, 0.05f);
    pare_bert_config config = *pare_bert_config_of(fitting);
    pare_model_destroy(fitting);
    config.head = PARE_HEAD_CLASSIFICATION;
    assert_model_refused(task, config, "no head for question answering");
    config.head = PARE_HEAD_QUESTION_ANSWERING;
    config.positions = pare_task_length(task) - 1;
    assert_model_refused(task, config, "sequences of 24 tokens");
    config.positions = 40;
    config.vocabulary = WORDS - 1;
    assert_model_refused(task, config, "word pieces");
    pare_task_destroy(task);
}

/* ---- Single questions ---- */

static void assert_answer(const char *text, const pare_answer *answer, const char *expected)
{
    assert_int_equal(answer->end - answer->begin, strlen(expected));
    assert_memory_equal(text + answer->begin, expected, strlen(expected));
}

static void test_single_questions(void **state)
{
    (void)state;
    pare_question_answering_options options = toy_options();
    pare_inference *inference;
    check_ok(pare_inference_create(trained, PARE_PRECISION_FP32, &inference));
    const char *text = "The  Cat is in\tthe OLD  bag and the key is in the red box.";
    pare_answer answers[PARE_ANSWERS_MAX];
    size_t count;
    check_ok(pare_answer_question(inference, tokenizer, "where is the cat?", text, &options, 1,
                                  answers, &count, NULL));
    assert_int_equal(count, 1);
    assert_answer(text, &answers[0], "OLD  bag");
    double score = answers[0].score;
    bool cut = true;
    check_ok(pare_answer_question(inference, tokenizer, "where is the cat?", text, &options, 1,
                                  answers, &count, &cut));
    assert_false(cut);
    options.question_length = 4;
    check_ok(pare_answer_question(inference, tokenizer, "where is the cat?", text, &options, 1,
                                  answers, &count, &cut));
    assert_true(cut);
    options.question_length = 8;
    check_ok(pare_answer_question(inference, tokenizer, "Where is the cat?", text, &options, 5,
                                  answers, &count, NULL));
    assert_int_equal(count, 5);
    assert_near(answers[0].score, score, 1e-5);
    for (size_t i = 1; i < count; i++) {
        assert_true(answers[i].score <= answers[i - 1].score);
        size_t length = answers[i].end - answers[i].begin;
        for (size_t j = 0; j < i; j++)
            assert_false(length == answers[j].end - answers[j].begin &&
                         !memcmp(text + answers[i].begin, text + answers[j].begin, length));
    }
    pare_inference_destroy(inference);
}

/* More text than the model has positions, which is what the default length is: the answer is that
 * of a data set with this one question. */
static void test_long_context(void **state)
{
    (void)state;
    pri_text text = {0}, file = {0};
    for (int i = 0; i < 40; i++)
        pri_text_append(&text, "The %s pen is in the %s. ", i % 3 ? "old" : "new", places[i % 4]);
    pri_text_append(
        &file,
        "{\"data\": [{\"paragraphs\": [{\"context\": \"%s\", \"qas\": [{\"id\": \"1\", "
        "\"question\": \"Where is the new pen?\", \"answers\": [{\"text\": \"bag\"}]}]}]}]}",
        text.data);
    pare_question_answering_options options = toy_options();
    options.train = NULL;
    options.valid = write_file("long.json", file.data);
    options.length = 40;
    pare_task *task = create_task(options);
    evaluate(task, trained, PARE_SPLIT_VALID);
    json_t *predictions = predictions_of(task);

    pare_inference *inference;
    pare_answer answer;
    size_t count;
    options.length = 0;
    options.evaluation_tokens = 1;
    check_ok(pare_inference_create(trained, PARE_PRECISION_FP32, &inference));
    check_ok(pare_answer_question(inference, tokenizer, "Where is the new pen?", text.data,
                                  &options, 1, &answer, &count, NULL));
    assert_int_equal(count, 1);
    assert_answer(text.data, &answer, json_string_value(json_object_get(predictions, "1")));
    pare_inference_destroy(inference);
    json_decref(predictions);
    pare_task_destroy(task);
    pri_text_free(&text);
    pri_text_free(&file);
}

static void test_bad_questions(void **state)
{
    (void)state;
    pare_model *model = create_model(0, 0.05f);
    pare_inference *inference;
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &inference));
    pare_question_answering_options options = {.length = 32, .stride = 16, .question_length = 8};
    pare_answer answers[2];
    size_t count;
    assert_fails(
        pare_answer_question(inference, tokenizer, "who?", "", &options, 1, answers, &count, NULL),
        PARE_ERROR_ARGUMENT, "the context is empty");
    check_ok(pare_answer_question(inference, tokenizer, "", "", &options, 0, NULL, &count, NULL));
    assert_int_equal(count, 0);
    assert_fails(pare_answer_question(inference, tokenizer, "who?", "cat", &options, 21, answers,
                                      &count, NULL),
                 PARE_ERROR_ARGUMENT, "ask for 20 at most");
    options.length = 41;
    assert_fails(pare_answer_question(inference, tokenizer, "who?", "cat", &options, 1, answers,
                                      &count, NULL),
                 PARE_ERROR_ARGUMENT, "41 tokens");
    /* No question at all is one of no words. */
    options.length = 32;
    check_ok(
        pare_answer_question(inference, tokenizer, "", "cat", &options, 2, answers, &count, NULL));
    assert_int_equal(count, 1);
    size_t parameter_count;
    pare_parameter *parameters = pare_model_parameters(model, &parameter_count);
    parameters[0].tensor.value[2 * 32] = NAN; /* the vector of [CLS] */
    pare_inference_destroy(inference);
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &inference));
    assert_fails(pare_answer_question(inference, tokenizer, "who?", "cat", &options, 1, answers,
                                      &count, NULL),
                 PARE_ERROR_NUMERIC, "not finite");
    pare_inference_destroy(inference);
    pare_model_destroy(model);
}

static void test_a_teacher(void **state)
{
    (void)state;
    pare_task *task = create_task(toy_options());
    pare_model *student = create_model(0, 0.3f), *teacher = create_model(0, 0.3f);
    check_teacher(tape, task, student, teacher);
    pare_model_destroy(teacher);
    pare_model_destroy(student);
    pare_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_loss_of_uniform_logits),
        cmocka_unit_test(test_a_teacher),
        cmocka_unit_test(test_resumes),
        cmocka_unit_test(test_batch_mates),
        cmocka_unit_test(test_questions_without_answers),
        cmocka_unit_test(test_observes_windows),
        cmocka_unit_test(test_averages_of_short_texts),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_the_remark_tells_which_questions_are_cut),
        cmocka_unit_test(test_without_training_file),
        cmocka_unit_test(test_predictions_of_another_task),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_wrong_models),
        cmocka_unit_test(test_single_questions),
        cmocka_unit_test(test_long_context),
        cmocka_unit_test(test_bad_questions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
