/* Masked language modelling: packing by hand, batches, resuming, evaluation and observation of tiny
 * encoders whose weights are enlarged so that context matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/memory.h"
#include "base/random.h"
#include "nn/optimizer.h"
#include "pare/task.h"
#include "status_check.h"
#include "tasks/masked_language_modelling/packing.h"
#include "tasks/observe_one.h"
#include "tasks/teacher_check.h"
#include "temporary_files.h"

/* Pieces: five special tokens, the words a .. t, and '='. */
enum { SPECIALS = 5, WORDS = 20, VOCABULARY = SPECIALS + WORDS + 1, LENGTH = 12 };

static pare_context *context;
static pare_tape *tape;
static pare_wordpiece *tokenizer;

static void write_text(const char *name, const char *text)
{
    assert_int_equal(pri_file_replace(in_directory(name), text, strlen(text)), PARE_OK);
}

static int set_up(void **state)
{
    char text[512] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    for (int i = 0; i < WORDS; i++)
        snprintf(text + strlen(text), 8, "%c\n", 'a' + i);
    strcat(text, "=\n");
    if (make_directory(state) ||
        pare_context_create(&(pare_context_options){.threads = 2}, &context) != PARE_OK ||
        pare_tape_create(context, &tape) != PARE_OK)
        return -1;
    write_text("vocab.txt", text);
    return pare_wordpiece_load(directory, &tokenizer) == PARE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    pare_wordpiece_destroy(tokenizer);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return remove_directory(state);
}

/* ---- Packing ---- */

/* The sequences of a text as words, each sequence followed by '|'. */
static void assert_packed(const char *text, pri_line_range lines, size_t length,
                          const char *expected)
{
    write_text("packed", text);
    pri_sequences sequences = {0};
    const pri_corpus_part part = {in_directory("packed"), lines};
    if (pri_pack_text(tokenizer, &part, length, &sequences) != PARE_OK)
        fail_msg("%s", pare_error_message());
    char packed[1024] = "";
    for (size_t i = 0; i < sequences.count; i++) {
        pri_token_span span = pri_sequences_at(&sequences, i);
        assert_true(span.count <= length);
        assert_string_equal(pare_wordpiece_token(tokenizer, span.ids[0]), "[CLS]");
        assert_string_equal(pare_wordpiece_token(tokenizer, span.ids[span.count - 1]), "[SEP]");
        for (size_t j = 1; j + 1 < span.count; j++)
            strcat(packed, pare_wordpiece_token(tokenizer, span.ids[j]));
        strcat(packed, "|");
    }
    pri_sequences_free(&sequences);
    assert_string_equal(packed, expected);
}

static void test_lines_are_joined_and_cut(void **state)
{
    (void)state;
    assert_packed("a b\n\nc d e f\ng\n", PRI_ALL_LINES, 5, "abc|def|g|");
    assert_packed("a b c d e f g h i", PRI_ALL_LINES, 5, "abc|def|ghi|");
    assert_packed("a b", PRI_ALL_LINES, 128, "ab|");
    assert_packed("a\nb\nc\nd\ne\n", (pri_line_range){1, 4}, 4, "bc|d|");
}

static void test_articles_stay_apart(void **state)
{
    (void)state;
    assert_packed(" \n = a b = \n \n c d e\n = = f = = \n g\n = h = \n i j\n", PRI_ALL_LINES, 32,
                  "=ab=cde==f==g|=h=ij|");
    assert_packed("a\n= b\nc =\n=\n= =\n", PRI_ALL_LINES, 32, "a=bc====|"); /* no titles */
    assert_packed("= a =\n= b =\n= c =\n", PRI_ALL_LINES, 4, "=a|=|=b|=|=c|=|");
}

static void test_unknown_words(void **state)
{
    (void)state;
    assert_packed("a <unk> b\n<unk>\n", PRI_ALL_LINES, 32, "a[UNK]b[UNK]|");
    /* Not a word of its own, it is text: two characters the vocabulary lacks around a word. */
    assert_packed("a x<unk> <unk>\t<unk>", PRI_ALL_LINES, 32, "a[UNK][UNK][UNK][UNK][UNK][UNK]|");
    assert_packed("a b <unk> <unk> c d", PRI_ALL_LINES, 4, "ab|cd|"); /* nothing to predict */
}

static void test_bad_texts(void **state)
{
    (void)state;
    pri_sequences sequences = {0};
    pri_corpus_part part = {in_directory("bad"), PRI_ALL_LINES};
    const char *const empty[] = {"", "\n \n\n", "<unk> <unk>\n", "[SEP]"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        write_text("bad", empty[i]);
        part.path = in_directory("bad");
        assert_fails(pri_pack_text(tokenizer, &part, 32, &sequences), PARE_ERROR_FORMAT,
                     "no words in it");
    }
    assert_int_equal(pri_file_replace(in_directory("bad"), "a b\nc\0d\n", 8), PARE_OK);
    part.path = in_directory("bad");
    assert_fails(pri_pack_text(tokenizer, &part, 32, &sequences), PARE_ERROR_FORMAT,
                 "bad:2: a zero byte");
    assert_int_equal(pri_file_replace(part.path, "a b\nc \xe9t\xe9\n", 10), PARE_OK);
    assert_fails(pri_pack_text(tokenizer, &part, 32, &sequences), PARE_ERROR_FORMAT,
                 "bad:2: byte 3 of the line is not UTF-8");
    part.lines.end = 1; /* what is not read is not looked at */
    assert_int_equal(pri_pack_text(tokenizer, &part, 32, &sequences), PARE_OK);
    part.lines.end = UINT64_MAX;
    part.path = in_directory("absent");
    assert_fails(pri_pack_text(tokenizer, &part, 32, &sequences), PARE_ERROR_FILE, "absent");
    pri_sequences_free(&sequences);
}

/* ---- The task ---- */

/* `articles` of 1 to 30 words after their titles. */
static void write_articles(const char *name, size_t articles, uint64_t seed)
{
    char *text = pri_allocate(articles, 128);
    size_t size = 0;
    uint64_t draws = 0;
    for (size_t i = 0; i < articles; i++) {
        size += (size_t)sprintf(text + size, "= %c =\n", 'a' + (int)(i % WORDS));
        size_t words = 1 + pri_random_below(seed, draws++, 30);
        for (size_t j = 0; j < words; j++)
            size += (size_t)sprintf(text + size, "%c%c",
                                    'a' + (int)pri_random_below(seed, draws++, WORDS),
                                    j + 1 == words ? '\n' : ' ');
    }
    assert_int_equal(pri_file_replace(in_directory(name), text, size), PARE_OK);
    pri_free(text);
}

/* The options' paths live as long as this. */
static char train_path[256], valid_path[256], test_path[256];

static pare_masked_language_modelling_options make_options(void)
{
    write_articles("train", 20, 1);
    write_articles("valid", 15, 2);
    write_articles("test", 3, 3);
    snprintf(train_path, sizeof train_path, "%s", in_directory("train"));
    snprintf(valid_path, sizeof valid_path, "%s", in_directory("valid"));
    snprintf(test_path, sizeof test_path, "%s", in_directory("test"));
    return (pare_masked_language_modelling_options){.train = train_path,
                                                    .valid = valid_path,
                                                    .test = test_path,
                                                    .length = LENGTH,
                                                    .batch = 7,
                                                    .seed = 1};
}

static pare_task *create_task(pare_masked_language_modelling_options options)
{
    pare_task *task;
    if (pare_masked_language_modelling_create(&options, tokenizer, &task) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return task;
}

static pare_bert_config tiny_config(void)
{
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = VOCABULARY;
    config.layers = 2;
    config.heads = 2;
    config.size = 16;
    config.feed_forward = 24;
    config.positions = LENGTH;
    config.head = PARE_HEAD_MASKED_WORDS;
    config.initial_deviation = 0.4f;
    return config;
}

static pare_model *create_model(pare_bert_config config)
{
    pare_model *model;
    if (pare_bert_create(context, &config, 7, &model) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return model;
}

static void fill_parameters(pare_model *model, float value)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parameters[i].tensor.rows * parameters[i].tensor.columns; j++)
            parameters[i].tensor.value[j] = value;
}

static float training_loss(pare_task *task, pare_model *model, uint64_t key)
{
    pare_tape_begin(tape, true, key);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    if (pare_tape_status(tape) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return *loss->value;
}

static pare_evaluation evaluate(pare_task *task, pare_model *model, pare_split split)
{
    pare_evaluation evaluation;
    if (pare_task_evaluate(task, model, tape, split, NULL, &evaluation) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return evaluation;
}

static void test_description(void **state)
{
    (void)state;
    pare_masked_language_modelling_options options = make_options();
    pare_task *task = create_task(options);
    assert_string_equal(pare_task_metric(task), "perplexity");
    assert_false(pare_task_higher_is_better(task));
    assert_int_equal(pare_task_length(task), LENGTH);
    assert_ptr_equal(pare_masked_language_modelling_tokenizer(task), tokenizer);
    uint64_t examples = pare_task_examples(task, PARE_SPLIT_TRAIN);
    assert_true(examples > 20);
    assert_int_equal(pare_task_batches_per_epoch(task), (examples + 6) / 7);
    uint64_t hash = pare_task_hash(task, PARE_SPLIT_TRAIN);
    assert_true(hash != pare_task_hash(task, PARE_SPLIT_VALID));
    pare_task_destroy(task);
    options.length = LENGTH - 1;
    options.tokens = 50; /* with both limits, whichever is reached first */
    task = create_task(options);
    assert_true(pare_task_hash(task, PARE_SPLIT_TRAIN) != hash);
    assert_true(pare_task_training_tokens(task, 1) <= 50);
    pare_task_destroy(task);
    char text[512] = "";
    for (int i = 0; i < 200; i++)
        strcat(text, "a ");
    write_text("long", text);
    options.train = in_directory("long");
    options.length = options.batch = options.tokens = 0;
    task = create_task(options);
    assert_int_equal(pare_task_length(task), 128);
    assert_int_equal(pare_task_batches_per_epoch(task), 1);
    pare_task_destroy(task);
}

/* Averages are as large as the longest sequence of any split. */
static void test_length_of_short_articles(void **state)
{
    (void)state;
    write_text("short", "= a =\nb\n= c =\nd e f\n");
    write_text("shorter", "= a =\nb\n");
    pare_masked_language_modelling_options options = {.train = in_directory("shorter"),
                                                      .length = LENGTH};
    options.valid = options.test = options.train;
    pare_task *task = create_task(options);
    assert_int_equal(pare_task_length(task), 6);
    pare_task_destroy(task);
    options.test = in_directory("short");
    task = create_task(options);
    assert_int_equal(pare_task_length(task), 8);
    pare_task_destroy(task);
}

static void test_single_file_is_split_by_lines(void **state)
{
    (void)state;
    char text[1024] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, i < 36 ? "a a a\n" : i < 38 ? "b b\n" : "c\n");
    write_text("one", text);
    pare_task *task = create_task(
        (pare_masked_language_modelling_options){.train = in_directory("one"), .length = 5});
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 36);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_VALID), 2);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 1);
    pare_task_destroy(task);
}

/* Without a tokenizer one is built from the training lines alone, and goes where models go. */
static void test_own_tokenizer(void **state)
{
    (void)state;
    char text[2048] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, i < 36 ? "the cat <unk> sat\n" : "the x\n");
    write_text("one", text);
    const pare_masked_language_modelling_options options = {
        .train = in_directory("one"), .length = 8, .tokenizer = {.size = 60}};
    pare_task *task;
    assert_int_equal(pare_masked_language_modelling_create(&options, NULL, &task), PARE_OK);
    const pare_wordpiece *built = pare_masked_language_modelling_tokenizer(task);
    for (uint32_t i = 0; i < pare_wordpiece_size(built); i++)
        assert_null(strchr(pare_wordpiece_token(built, i), 'x'));
    assert_int_equal(pri_make_directories(in_directory("model")), PARE_OK);
    assert_int_equal(pare_task_save_files(task, in_directory("model")), PARE_OK);
    pare_wordpiece *loaded;
    assert_int_equal(pare_wordpiece_load(in_directory("model"), &loaded), PARE_OK);
    assert_int_equal(pare_wordpiece_hash(loaded), pare_wordpiece_hash(built));
    pare_wordpiece_destroy(loaded);
    pare_task_destroy(task);
}

static void test_bad_options(void **state)
{
    (void)state;
    pare_task *task;
    pare_masked_language_modelling_options options = make_options();
    options.length = 2;
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task),
                 PARE_ERROR_ARGUMENT, "training.length 2 leaves no room for words");
    options.length = LENGTH;
    options.share = 1.5;
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task),
                 PARE_ERROR_ARGUMENT, "data.masked_share 1.5");
    options.share = 0;
    options.test = NULL;
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task),
                 PARE_ERROR_ARGUMENT, "data.test is missing");
    options.test = in_directory("absent");
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task), PARE_ERROR_FILE,
                 "absent");
    write_text("empty", "");
    options.test = in_directory("empty");
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task),
                 PARE_ERROR_FORMAT, "no words");
    options.train = options.test;
    assert_fails(pare_masked_language_modelling_create(&options, NULL, &task), PARE_ERROR_FORMAT,
                 "empty");
    options = (pare_masked_language_modelling_options){.length = LENGTH};
    assert_fails(pare_masked_language_modelling_create(&options, tokenizer, &task),
                 PARE_ERROR_ARGUMENT, "no training text");
    assert_null(task);
}

static void assert_refused(pare_task *task, pare_model *model, const char *part_of_message)
{
    pare_evaluation evaluation;
    pare_average *average;
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, part_of_message);
    assert_fails(observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average),
                 PARE_ERROR_ARGUMENT, part_of_message);
    pare_tape_begin(tape, true, 0);
    assert_null(pare_task_training_loss(task, model, tape));
    assert_fails(pare_tape_status(tape), PARE_ERROR_ARGUMENT, part_of_message);
    pare_model_destroy(model);
}

static void test_wrong_models(void **state)
{
    (void)state;
    pare_task *task = create_task(make_options());
    pare_bert_config config = tiny_config();
    config.head = PARE_HEAD_CLASSIFICATION;
    assert_refused(task, create_model(config), "no head for masked words");
    config = tiny_config();
    config.positions = LENGTH - 1;
    assert_refused(task, create_model(config), "positions");
    config = tiny_config();
    config.vocabulary = VOCABULARY - 1;
    assert_refused(task, create_model(config), "the tokenizer has 26");
    config.vocabulary = VOCABULARY + 1; /* 27: not padded */
    assert_refused(task, create_model(config), "the tokenizer has 26");
    config.vocabulary = 32;
    pare_model *padded = create_model(config);
    evaluate(task, padded, PARE_SPLIT_VALID);
    pare_model_destroy(padded);
    pare_transformer_xl_config other = pare_transformer_xl_config_default();
    other.vocabulary = VOCABULARY;
    other.layers = other.heads = other.head_size = other.size = other.feed_forward = 4;
    pare_model *model;
    assert_int_equal(pare_transformer_xl_create(context, &other, 1, &model), PARE_OK);
    assert_refused(task, model, "no encoder");
    pare_task_destroy(task);
}

/* ---- Training ---- */

#define RUN_BATCHES 17

/* A run over several epochs, stopped before batch `stop`, equals the uninterrupted one. */
static void test_resuming(void **state)
{
    (void)state;
    pare_masked_language_modelling_options options = make_options();
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(options);
    assert_true(pare_task_batches_per_epoch(task) < RUN_BATCHES / 2);
    float expected[RUN_BATCHES];
    for (uint64_t batch = 0; batch < RUN_BATCHES; batch++)
        expected[batch] = training_loss(task, model, batch);
    for (uint64_t stop = 0; stop < RUN_BATCHES; stop++) {
        pare_task_rewind(task);
        for (uint64_t batch = 0; batch < stop; batch++)
            assert_true(training_loss(task, model, batch) == expected[batch]);
        assert_int_equal(pare_task_save_state(task, in_directory("state")), PARE_OK);
        pare_task *other = create_task(options);
        assert_int_equal(pare_task_load_state(other, in_directory("state")), PARE_OK);
        for (uint64_t batch = stop; batch < RUN_BATCHES; batch++)
            assert_true(training_loss(other, model, batch) == expected[batch]);
        pare_task_destroy(other);
    }
    /* A state of other words to predict is refused. */
    options.share = .3;
    pare_task *other = create_task(options);
    assert_fails(pare_task_load_state(other, in_directory("state")), PARE_ERROR_ARGUMENT,
                 "other data");
    pare_task_destroy(other);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* One batch holds the whole epoch, so that only its masks can differ. */
static void test_masks_differ_by_epoch_and_seed(void **state)
{
    (void)state;
    pare_masked_language_modelling_options options = make_options();
    options.batch = 0;
    options.tokens = 1 << 20;
    pare_bert_config config = tiny_config();
    config.dropout = config.attention_dropout = 0;
    pare_model *model = create_model(config);
    pare_task *task = create_task(options);
    assert_int_equal(pare_task_batches_per_epoch(task), 1);
    float first = training_loss(task, model, 0), second = training_loss(task, model, 0);
    assert_true(fabsf(first - second) > 1e-3f);
    pare_task_rewind(task);
    assert_true(training_loss(task, model, 0) == first);
    pare_task_destroy(task);
    options.seed = 2;
    task = create_task(options);
    assert_true(fabsf(training_loss(task, model, 0) - first) > 1e-3f);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Evaluation ---- */

/* All words are equally likely to a model without weights. */
static void test_perplexity_of_ignorance(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    fill_parameters(model, 0);
    pare_task *task = create_task(make_options());
    pare_evaluation evaluation = evaluate(task, model, PARE_SPLIT_VALID);
    assert_near(evaluation.metric, VOCABULARY, 1e-4);
    assert_near(evaluation.loss, log(VOCABULARY), 1e-6);
    assert_int_equal(evaluation.more_count, 1);
    assert_string_equal(evaluation.more[0].name, "accuracy");
    assert_near(evaluation.more[0].value, 0, 0); /* the first of equals is [PAD] */
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* Neither batches and seed of training nor training itself change what is measured. */
static void test_evaluation_is_fixed(void **state)
{
    (void)state;
    pare_masked_language_modelling_options options = make_options();
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(options);
    pare_evaluation expected = evaluate(task, model, PARE_SPLIT_VALID);
    float losses[3];
    for (uint64_t batch = 0; batch < 3; batch++)
        losses[batch] = training_loss(task, model, batch);
    pare_task_rewind(task);
    for (uint64_t batch = 0; batch < 3; batch++) {
        assert_true(training_loss(task, model, batch) == losses[batch]);
        assert_true(evaluate(task, model, PARE_SPLIT_VALID).loss == expected.loss);
    }
    pare_task_destroy(task);
    options.seed = 5;
    options.batch = 2;
    options.tokens = 30;
    task = create_task(options);
    pare_evaluation again = evaluate(task, model, PARE_SPLIT_VALID);
    assert_true(again.loss == expected.loss);
    assert_int_equal(again.tokens, expected.tokens);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* The articles one by one and in the other order give the same sums. */
static void test_evaluation_is_independent_of_batch_mates(void **state)
{
    (void)state;
    static const char *const articles[] = {
        "= a =\nb c d e f g h i j k l m n o\n", "= b =\na\n", "= c =\nt s r q p o n m\n",
        "= d =\nj b j b j b j b j b j b j b j b j b j b j b j b j b j\n"};
    enum { ARTICLES = 4 };
    pare_masked_language_modelling_options options = make_options();
    options.valid = in_directory("articles");
    pare_model *model = create_model(tiny_config());
    double sum = 0;
    uint64_t tokens = 0;
    char text[2][512] = {"", ""};
    for (size_t i = 0; i < ARTICLES; i++) {
        options.valid = in_directory("articles");
        write_text("articles", articles[i]);
        pare_task *task = create_task(options);
        pare_evaluation evaluation = evaluate(task, model, PARE_SPLIT_VALID);
        sum += evaluation.loss * (double)evaluation.tokens;
        tokens += evaluation.tokens;
        pare_task_destroy(task);
        strcat(text[0], articles[i]);
        strcat(text[1], articles[ARTICLES - 1 - i]);
    }
    for (size_t order = 0; order < 2; order++) {
        options.valid = in_directory("articles");
        write_text("articles", text[order]);
        pare_task *task = create_task(options);
        pare_evaluation evaluation = evaluate(task, model, PARE_SPLIT_VALID);
        assert_int_equal(evaluation.tokens, tokens);
        assert_near(evaluation.loss, sum / (double)tokens, 1e-6);
        pare_task_destroy(task);
    }
    pare_model_destroy(model);
}

static void remember_event(void *user, const pare_progress_event *event)
{
    pare_progress_event *last = user;
    assert_true(event->done > last->done || last->done == 0);
    assert_true(event->done <= event->total);
    *last = *event;
    last->label = strstr(event->label, "valid") ? "valid" : "?";
}

static void test_progress_and_interruption(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(make_options());
    pare_progress_event last = {0};
    pare_progress progress = {remember_event, &last};
    pare_evaluation evaluation;
    assert_int_equal(
        pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, &progress, &evaluation), PARE_OK);
    assert_int_equal(last.done, last.total);
    assert_string_equal(last.label, "valid");
    pare_interrupt();
    pare_average *average;
    assert_int_equal(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                     PARE_ERROR_INTERRUPTED);
    assert_int_equal(observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average),
                     PARE_ERROR_INTERRUPTED);
    assert_null(average);
    pare_interrupt_clear();
    fill_parameters(model, NAN);
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_NUMERIC, "not a finite number");
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Observation ---- */

static pare_average *observe(pare_task *task, pare_model *model, bool ends_first)
{
    pare_average *average;
    if (observe_one(task, model, tape, PARE_SPLIT_TRAIN, ends_first, &average) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return average;
}

/* Without weights every token attends evenly to all of its sequence. */
static void test_average_of_even_attention(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    fill_parameters(model, 0);
    write_text("even", "= a =\nb\n= c =\nd e f g h\n"); /* sequences of 6 and 10 tokens */
    pare_masked_language_modelling_options options = make_options();
    options.train = in_directory("even");
    pare_task *task = create_task(options);
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        pare_average *average = observe(task, model, ends_first);
        const pare_geometry *geometry = pare_average_geometry(average);
        assert_int_equal(geometry->queries, LENGTH);
        assert_int_equal(geometry->keys, LENGTH);
        assert_true(geometry->ends_first == ends_first);
        assert_int_equal(pare_average_examples(average), 2);
        assert_int_equal(pare_average_corpus_hash(average), pare_task_hash(task, PARE_SPLIT_TRAIN));
        for (size_t row = 0; row < LENGTH; row++) {
            for (size_t column = 0; column < LENGTH; column++) {
                size_t reached = row > column ? row : column;
                uint64_t count = reached < 6 ? 2 : reached < 10 ? 1 : 0;
                double value = pare_average_value(average, PARE_AVERAGE_VALID, 1, 1, row, column);
                assert_int_equal(pare_average_count(average, row, column), count);
                if (count)
                    assert_near(value, count == 2 ? (1 / 6. + 1 / 10.) / 2 : 1 / 10., 1e-7);
            }
        }
        pare_average_destroy(average);
    }
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* Observation sees the dense model and puts the mask back; evaluation uses it. */
static void test_masks(void **state)
{
    (void)state;
    pare_model *model = create_model(tiny_config());
    pare_task *task = create_task(make_options());
    double dense = evaluate(task, model, PARE_SPLIT_VALID).loss;
    pare_average *average = observe(task, model, false);
    for (double percent = 0; percent < 100; percent += 50) {
        pare_mask *mask;
        assert_int_equal(
            pare_mask_create(average, &(pare_prune_options){.percent = percent}, &mask), PARE_OK);
        assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask), PARE_OK);
        double masked = evaluate(task, model, PARE_SPLIT_VALID).loss;
        if (percent > 0)
            assert_true(fabs(masked - dense) > 1e-3);
        else
            assert_near(masked, dense, 1e-5);
        pare_average *again = observe(task, model, false);
        assert_ptr_equal(pare_model_mask(model, PARE_ATTENTION_SELF), mask);
        for (size_t cell = 0; cell < LENGTH * LENGTH; cell++)
            assert_true(
                pare_average_value(again, PARE_AVERAGE_VALID, 1, 0, cell / LENGTH, cell % LENGTH) ==
                pare_average_value(average, PARE_AVERAGE_VALID, 1, 0, cell / LENGTH,
                                   cell % LENGTH));
        pare_average_destroy(again);
        assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL), PARE_OK);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Learning ---- */

/* Every word of a line is followed by the next of the alphabet: what stands around a hidden word
 * tells which it is. */
static void write_toy_language(const char *name, size_t lines, uint64_t seed)
{
    char *text = pri_allocate(lines, 40);
    size_t size = 0;
    for (size_t i = 0; i < lines; i++) {
        size_t first = (size_t)pri_random_below(seed, i, WORDS);
        for (size_t j = 0; j < 10; j++)
            size += (size_t)sprintf(text + size, "%c%c", 'a' + (int)((first + j) % WORDS),
                                    j == 9 ? '\n' : ' ');
    }
    assert_int_equal(pri_file_replace(in_directory(name), text, size), PARE_OK);
    pri_free(text);
}

static void take_step(pare_model *model, float **moments, int step)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    size_t offset = 0;
    const pri_adam adam = {.rate = 0.004f,
                           .beta1 = 0.9f,
                           .beta2 = 0.99f,
                           .epsilon = 1e-8f,
                           .correction1 = (float)(1 - pow(.9, step)),
                           .correction2 = (float)(1 - pow(.99, step)),
                           .gradient_scale = 1};
    for (size_t i = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        size_t floats = tensor->rows * tensor->columns;
        pri_adam_update(context, &adam, floats, tensor->value, tensor->gradient,
                        moments[0] + offset, moments[1] + offset);
        offset += floats;
    }
}

static void train(pare_task *task, pare_model *model, int steps)
{
    size_t floats = pare_model_parameter_floats(model);
    float *moments[] = {pri_allocate_zero(floats, sizeof(float)),
                        pri_allocate_zero(floats, sizeof(float))};
    pare_task_rewind(task);
    for (int step = 1; step <= steps; step++) {
        pare_model_zero_gradients(model);
        pare_tape_begin(tape, true, (uint64_t)step);
        pare_tensor *loss = pare_task_training_loss(task, model, tape);
        assert_int_equal(pare_tape_backward(tape, loss, 1), PARE_OK);
        take_step(model, moments, step);
    }
    pri_free(moments[0]);
    pri_free(moments[1]);
}

static pare_bert_config learner_config(void)
{
    pare_bert_config config = tiny_config();
    config.size = 32;
    config.feed_forward = 64;
    config.initial_deviation = 0.1f;
    config.dropout = config.attention_dropout = 0;
    return config;
}

/* From scratch, dense and again under a mask of its average attention. */
static void test_learning(void **state)
{
    (void)state;
    pare_masked_language_modelling_options options = make_options();
    write_toy_language("train", 400, 1);
    write_toy_language("valid", 60, 2);
    options.batch = 32;
    pare_task *task = create_task(options);
    pare_model *model = create_model(learner_config());
    assert_true(evaluate(task, model, PARE_SPLIT_VALID).metric > 15);
    train(task, model, 200);
    pare_evaluation dense = evaluate(task, model, PARE_SPLIT_VALID);
    assert_true(dense.metric < 2);
    assert_true(dense.more[0].value > 85);

    pare_average *average = observe(task, model, false);
    pare_mask *mask;
    assert_int_equal(pare_mask_create(average, &(pare_prune_options){.percent = 60}, &mask),
                     PARE_OK);
    pare_model *pruned = create_model(learner_config());
    assert_int_equal(pare_model_set_mask(pruned, PARE_ATTENTION_SELF, mask), PARE_OK);
    train(task, pruned, 200);
    assert_true(evaluate(task, pruned, PARE_SPLIT_VALID).metric < 2);
    pare_model_destroy(pruned);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void test_a_teacher(void **state)
{
    (void)state;
    pare_bert_config config = tiny_config();
    config.dropout = config.attention_dropout = 0;
    pare_task *task = create_task(make_options());
    pare_model *student = create_model(config), *teacher = create_model(config);
    check_teacher(tape, task, student, teacher);
    pare_model_destroy(teacher);
    pare_model_destroy(student);
    pare_task_destroy(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_joined_and_cut),
        cmocka_unit_test(test_articles_stay_apart),
        cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_description),
        cmocka_unit_test(test_length_of_short_articles),
        cmocka_unit_test(test_single_file_is_split_by_lines),
        cmocka_unit_test(test_own_tokenizer),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_wrong_models),
        cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_masks_differ_by_epoch_and_seed),
        cmocka_unit_test(test_perplexity_of_ignorance),
        cmocka_unit_test(test_evaluation_is_fixed),
        cmocka_unit_test(test_evaluation_is_independent_of_batch_mates),
        cmocka_unit_test(test_progress_and_interruption),
        cmocka_unit_test(test_average_of_even_attention),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_learning),
        cmocka_unit_test(test_a_teacher),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
