/* Classification: reading tables, batches, resuming, evaluation and observation, against loops
 * written out by hand over a tiny BERT whose weights are enlarged so that context matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "status_check.h"
#include "tasks/classification/classification.h"
#include "tasks/classification/metrics.h"
#include "tasks/observe_one.h"
#include "tasks/teacher_check.h"
#include "temporary_files.h"

static pare_context *context;
static pare_tape *tape;
static pare_wordpiece *tokenizer;

/* The same pointer for the same name, valid to the end. */
static const char *path_of(const char *name)
{
    static char paths[64][256];
    const char *path = in_directory(name);
    size_t i = 0;
    while (paths[i][0] && strcmp(paths[i], path))
        assert_true(++i < 64);
    return strcpy(paths[i], path);
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    check_ok(pri_file_replace(path, text, strlen(text)));
    return path;
}

enum { PAD, UNK, CLS, SEP, MASK, GOOD, BAD, THE, CAT, DOG, IS, NOT, S, QUOTE, VOCABULARY };

static int set_up(void **state)
{
    if (make_directory(state) ||
        pare_context_create(&(pare_context_options){.threads = 2}, &context) != PARE_OK ||
        pare_tape_create(context, &tape) != PARE_OK)
        return -1;
    write_file("vocab.txt",
               "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nthe\ncat\ndog\nis\nnot\n"
               "##s\n\"\n");
    return pare_wordpiece_load(directory, &tokenizer) == PARE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    pare_wordpiece_destroy(tokenizer);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return remove_directory(state);
}

static pare_model *create_model(size_t labels, float dropout)
{
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = VOCABULARY;
    config.layers = 2;
    config.heads = 2;
    config.size = 16;
    config.feed_forward = 24;
    config.positions = 40;
    config.head = PARE_HEAD_CLASSIFICATION;
    config.labels = labels;
    config.dropout = config.attention_dropout = dropout;
    config.initial_deviation = 0.3f;
    pare_model *model;
    check_ok(pare_bert_create(context, &config, 3, &model));
    return model;
}

static pare_task *create(pare_classification_options options)
{
    pare_task *task;
    check_ok(pare_classification_create(&options, tokenizer, &task));
    return task;
}

static void assert_refused(pare_classification_options options, pare_status expected,
                           const char *message)
{
    pare_task *task;
    assert_fails(pare_classification_create(&options, tokenizer, &task), expected, message);
    assert_null(task);
    assert_null(strchr(pare_error_message(), '\n'));
}

static const pri_examples *split_of(const pare_task *task, pare_split split)
{
    return pri_classification_split((const pri_classification *)task, split);
}

static void assert_tokens(const pare_task *task, pare_split split, size_t index,
                          const uint32_t *tokens, size_t count)
{
    pri_token_span span = pri_sequences_at(&split_of(task, split)->sequences, index);
    assert_int_equal(span.count, count);
    assert_memory_equal(span.ids, tokens, count * sizeof *tokens);
}

/* ---- Reading ---- */

static void test_single_texts_of_glue(void **state)
{
    (void)state;
    const char *sst = write_file("sst.tsv", "sentence\tlabel\r\nthe cats \t1\r\n\"bad dog\t0");
    pare_task *task =
        create((pare_classification_options){.task = "sst-2", .train = sst, .valid = sst});
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 2);
    assert_tokens(task, PARE_SPLIT_TRAIN, 0, (uint32_t[]){CLS, THE, CAT, S, SEP}, 5);
    assert_tokens(task, PARE_SPLIT_VALID, 1, (uint32_t[]){CLS, QUOTE, BAD, DOG, SEP}, 5);
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->classes[0], 1);
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->classes[1], 0);
    assert_int_equal(pare_classification_labels(task), 2);
    assert_string_equal(pare_classification_label(task, 0), "negative");
    assert_string_equal(pare_classification_label(task, 1), "positive");
    assert_string_equal(pare_task_metric(task), "accuracy");
    assert_true(pare_task_higher_is_better(task));
    assert_int_equal(pare_task_length(task), 5);
    pare_task_destroy(task);

    const char *cola = write_file("cola.tsv", "gj04\t1\t\tthe dog is\ngj04\t0\t*\tis the\n");
    task = create((pare_classification_options){.task = "cola", .train = cola, .valid = cola});
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_VALID), 2);
    assert_tokens(task, PARE_SPLIT_TRAIN, 0, (uint32_t[]){CLS, THE, DOG, IS, SEP}, 5);
    assert_string_equal(pare_classification_label(task, 1), "acceptable");
    assert_string_equal(pare_task_metric(task), "Matthews");
    pare_task_destroy(task);
}

static void test_pairs_of_glue(void **state)
{
    (void)state;
    const char *mrpc = write_file(
        "mrpc.tsv",
        "\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tgood\tbad dog\n");
    pare_task *task =
        create((pare_classification_options){.task = "mrpc", .train = mrpc, .valid = mrpc});
    assert_tokens(task, PARE_SPLIT_TRAIN, 0, (uint32_t[]){CLS, GOOD, SEP, BAD, DOG, SEP}, 6);
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->sequences.seconds[0], 3);
    assert_string_equal(pare_task_metric(task), "F1");
    assert_string_equal(pare_classification_label(task, 1), "equivalent");
    pare_task_destroy(task);

    const char *mnli = write_file("mnli.tsv", "index\tsentence1\tsentence2\tlabel1\tgold_label\n"
                                              "0\tthe\tcat\tneutral\tcontradiction\n"
                                              "1\tthe\tdog\tneutral\tneutral\n");
    task = create((pare_classification_options){.task = "mnli", .train = mnli, .valid = mnli});
    assert_int_equal(pare_classification_labels(task), 3);
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->classes[0], 0);
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->classes[1], 2);
    pare_task_destroy(task);

    const char *sts =
        write_file("sts.tsv", "index\tsentence1\tsentence2\tscore\n0\tthe\tcat\t2.750\n");
    task = create((pare_classification_options){.task = "sts-b", .train = sts, .valid = sts});
    assert_int_equal(pare_classification_labels(task), 1);
    assert_null(pare_classification_label(task, 0));
    assert_near(split_of(task, PARE_SPLIT_TRAIN)->targets[0], 2.75, 0);
    assert_string_equal(pare_task_metric(task), "Pearson");
    pare_task_destroy(task);
}

static void test_broken_lines_of_qqp_are_skipped(void **state)
{
    (void)state;
    const char *qqp = write_file("qqp.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
                                            "1\t2\t3\tis\tnot\t1\n2\t3\n3\t4\t5\tcat\tdog\t0\n");
    pare_task *task =
        create((pare_classification_options){.task = "qqp", .train = qqp, .valid = qqp});
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 2);
    assert_tokens(task, PARE_SPLIT_TRAIN, 1, (uint32_t[]){CLS, CAT, SEP, DOG, SEP}, 5);
    pare_task_destroy(task);
}

static void test_a_table_of_the_users(void **state)
{
    (void)state;
    const char *train = write_file("own.tsv", "10\tthe\tx\n9\tcat\tx\n2\tdog\tx\n9\tis\tx\n");
    const char *valid = write_file("own-valid.tsv", "2\tgood\tx\n");
    pare_task *task = create((pare_classification_options){
        .train = train, .valid = valid, .text_columns = {"2"}, .label_column = "1"});
    assert_int_equal(pare_classification_labels(task), 3); /* 2, 9, 10: by value */
    assert_string_equal(pare_classification_label(task, 2), "10");
    const uint32_t classes[] = {2, 1, 0, 1};
    assert_memory_equal(split_of(task, PARE_SPLIT_TRAIN)->classes, classes, sizeof classes);
    assert_int_equal(split_of(task, PARE_SPLIT_VALID)->classes[0], 0);
    assert_string_equal(pare_task_metric(task), "accuracy");
    pare_task_destroy(task);

    /* Words in the order of their bytes; columns by name and by number. */
    train = write_file("named.tsv", "kind\ta\tb\nyes\tcat\tdog\nno\tthe\tis\n");
    task = create((pare_classification_options){.train = train,
                                                .valid = train,
                                                .text_columns = {"b", "2"},
                                                .label_column = "kind",
                                                .header = true});
    assert_string_equal(pare_classification_label(task, 0), "no");
    assert_int_equal(split_of(task, PARE_SPLIT_TRAIN)->classes[0], 1);
    assert_tokens(task, PARE_SPLIT_TRAIN, 0, (uint32_t[]){CLS, DOG, SEP, CAT, SEP}, 5);
    pare_task_destroy(task);

    train = write_file("numbers.tsv", "-1.5\tcat\n2e1\tdog\n");
    task = create((pare_classification_options){.train = train,
                                                .valid = train,
                                                .text_columns = {"2"},
                                                .label_column = "1",
                                                .regression = true});
    assert_int_equal(pare_classification_labels(task), 1);
    assert_near(split_of(task, PARE_SPLIT_TRAIN)->targets[1], 20, 0);
    assert_string_equal(pare_task_metric(task), "Pearson");
    pare_task_destroy(task);
}

static void test_gzip_and_long_texts(void **state)
{
    (void)state;
    const char *path = path_of("long.tsv.gz");
    gzFile file = gzopen(path, "wb");
    gzprintf(file, "sentence\tlabel\n");
    for (int i = 0; i < 300; i++)
        gzprintf(file, "cat ");
    gzprintf(file, "\t1\nthe\t0\n");
    assert_int_equal(gzclose(file), Z_OK);
    pare_classification_options options = {.task = "sst-2", .train = path, .valid = path};
    pare_task *task = create(options);
    assert_int_equal(pare_task_length(task), 128);
    pare_task_destroy(task);
    options.length = 20;
    task = create(options);
    assert_int_equal(pare_task_length(task), 20);
    assert_int_equal(pri_sequences_at(&split_of(task, PARE_SPLIT_TRAIN)->sequences, 0).ids[19],
                     SEP);
    pare_task_destroy(task);
}

static void test_the_remark_tells_what_is_cut(void **state)
{
    (void)state;
    const char *train =
                   write_file("cut.tsv", "sentence\tlabel\nthe cat is not good\t1\nthe dog\t0\n"
                                         "the cat is the cat is the cat\t1\n"),
               *valid = write_file("whole.tsv", "sentence\tlabel\nthe cat is the dogs\t1\n"),
               *test = write_file("long.tsv", "sentence\tlabel\nthe cat is not the dogs\t1\n");
    pare_classification_options options = {
        .task = "sst-2", .train = train, .valid = valid, .test = test, .length = 20};
    pare_task *task = create(options);
    assert_string_equal(pare_task_remark(task), "");
    pare_task_destroy(task);
    options.length = 8;
    task = create(options);
    assert_string_equal(
        pare_task_remark(task),
        "texts longer than training.length 8 are cut: 1 of 3 in cut.tsv, 1 of 1 in long.tsv");
    pare_task_destroy(task);
    /* Validation that serves as test is counted once. */
    options.valid = test;
    options.test = NULL;
    task = create(options);
    assert_string_equal(
        pare_task_remark(task),
        "texts longer than training.length 8 are cut: 1 of 3 in cut.tsv, 1 of 1 in long.tsv");
    pare_task_destroy(task);
}

static void test_the_test_split(void **state)
{
    (void)state;
    const char *train = write_file("a.tsv", "sentence\tlabel\nthe\t1\n"),
               *valid = write_file("b.tsv", "sentence\tlabel\ncat\t1\ncat\t0\n"),
               *test = write_file("c.tsv", "sentence\tlabel\ndog\t1\ndog\t0\ndog\t0\n");
    pare_classification_options options = {.task = "sst-2", .train = train, .valid = valid};
    pare_task *task = create(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 2);
    assert_true(pare_task_hash(task, PARE_SPLIT_TEST) == pare_task_hash(task, PARE_SPLIT_VALID));
    assert_true(pare_task_hash(task, PARE_SPLIT_TRAIN) != pare_task_hash(task, PARE_SPLIT_VALID));
    pare_task_destroy(task);
    options.test = test;
    task = create(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 3);
    pare_task_destroy(task);
}

static void test_the_hash_sees_labels(void **state)
{
    (void)state;
    const char *a = write_file("h1.tsv", "sentence\tlabel\nthe\t1\n"),
               *b = write_file("h2.tsv", "sentence\tlabel\nthe\t0\n");
    pare_task *task =
        create((pare_classification_options){.task = "sst-2", .train = a, .valid = b});
    assert_true(pare_task_hash(task, PARE_SPLIT_TRAIN) != pare_task_hash(task, PARE_SPLIT_VALID));
    pare_task_destroy(task);
}

static void test_bad_options(void **state)
{
    (void)state;
    const char *file = write_file("fine.tsv", "sentence\tlabel\nthe\t1\ncat\t0\n");
    assert_refused((pare_classification_options){.task = "sst2", .train = file, .valid = file},
                   PARE_ERROR_ARGUMENT, "'sst2' is no GLUE task; use cola, sst-2");
    assert_refused((pare_classification_options){.task = "cola", .valid = file},
                   PARE_ERROR_ARGUMENT, "no training file; name one (data.train)");
    assert_refused((pare_classification_options){.task = "cola", .train = file},
                   PARE_ERROR_ARGUMENT, "no validation file; name one (data.valid)");
    assert_refused((pare_classification_options){.train = file, .valid = file}, PARE_ERROR_ARGUMENT,
                   "no text column");
    assert_refused(
        (pare_classification_options){.train = file, .valid = file, .text_columns = {"1"}},
        PARE_ERROR_ARGUMENT, "no label column");
    assert_refused(
        (pare_classification_options){
            .task = "cola", .train = file, .valid = file, .text_columns = {"1"}},
        PARE_ERROR_ARGUMENT, "the columns of task 'cola' are known");
    assert_refused(
        (pare_classification_options){.task = "sst-2", .train = file, .valid = file, .length = 7},
        PARE_ERROR_ARGUMENT, "a length of 7 tokens; 8 is the least");
}

static void assert_bad_sst(const char *text, pare_status expected, const char *message)
{
    const char *good = write_file("good.tsv", "sentence\tlabel\nthe\t1\ncat\t0\n");
    char expected_message[512];
    const char *bad = write_file("bad.tsv", text);
    snprintf(expected_message, sizeof expected_message, "%s%s", bad, message);
    assert_refused((pare_classification_options){.task = "sst-2", .train = good, .valid = bad},
                   expected, expected_message);
}

static void test_bad_files(void **state)
{
    (void)state;
    assert_bad_sst("sentence\tlabel\nthe\t1\ncat\n", PARE_ERROR_FORMAT,
                   ":3: 1 columns, but the first row has 2");
    assert_bad_sst("sentence\tlabel\n\"the\ncat\"\t1\n", PARE_ERROR_FORMAT, ":2: 1 columns");
    assert_bad_sst("sentence\tlabel\nthe\tcat\t1\n", PARE_ERROR_FORMAT, ":2: 3 columns");
    assert_bad_sst("text\tlabel\nthe\t1\n", PARE_ERROR_FORMAT,
                   ":1: the header has no column 'sentence'");
    assert_bad_sst("sentence\tlabel\nthe\t1\n\ncat\t2\n", PARE_ERROR_FORMAT,
                   ":4: '2' is no label of task sst-2");
    assert_bad_sst("sentence\tlabel\nthe\t\n", PARE_ERROR_FORMAT, ":2: '' is no label");
    assert_bad_sst("sentence\tlabel\n", PARE_ERROR_FORMAT, ": holds no example");
    assert_bad_sst("", PARE_ERROR_FORMAT, ": holds no example");
    const char *good = write_file("good.tsv", "sentence\tlabel\nthe\t1\ncat\t0\n");
    assert_refused((pare_classification_options){.task = "sst-2",
                                                 .train = good,
                                                 .valid = path_of("absent.tsv")},
                   PARE_ERROR_FILE, "absent.tsv");
}

static void test_bad_tables(void **state)
{
    (void)state;
    const char *train = write_file("own.tsv", "a\tthe\nb\tcat\n");
    pare_classification_options options = {
        .train = train, .valid = train, .text_columns = {"2"}, .label_column = "1"};
    options.valid = write_file("own-unknown.tsv", "a\tthe\nc\tcat\n");
    assert_refused(options, PARE_ERROR_FORMAT,
                   "own-unknown.tsv:2: the label 'c' does not occur in the training file");
    options.valid = train;
    options.text_columns[0] = "3";
    assert_refused(options, PARE_ERROR_FORMAT, "own.tsv:1: 2 columns; there is no column 3");
    options.text_columns[0] = "text";
    assert_refused(options, PARE_ERROR_ARGUMENT, "'text' is no column of");
    options.text_columns[0] = "2";
    options.train = write_file("one-label.tsv", "a\tthe\na\tcat\n");
    assert_refused(options, PARE_ERROR_FORMAT, "one-label.tsv: every label is 'a'");
    options.train = write_file("empty-label.tsv", "a\tthe\n\tcat\n");
    assert_refused(options, PARE_ERROR_FORMAT, "empty-label.tsv:2: the label is empty");
    options.regression = true;
    assert_refused(options, PARE_ERROR_FORMAT, "empty-label.tsv:1: the label 'a' is no number");
    options.train = options.valid = write_file("infinite.tsv", "1\tthe\n1e39\tcat\n");
    assert_refused(options, PARE_ERROR_FORMAT, "infinite.tsv:2: the label '1e39' is no number");
    options.regression = false;
    char *labels = pri_allocate(20000, 1);
    size_t used = 0;
    for (int i = 0; i <= PRI_LABELS_MAX; i++)
        used += (size_t)snprintf(labels + used, 20000 - used, "%d\tthe\n", i);
    options.train = write_file("many-labels.tsv", labels);
    pri_free(labels);
    assert_refused(options, PARE_ERROR_FORMAT, "many-labels.tsv:1001: more than 1000");
}

static void test_a_model_directory_gets_the_tokenizer(void **state)
{
    (void)state;
    const char *table = write_file("sst.tsv", "sentence\tlabel\nthe cats\t1\n");
    pare_task *task =
        create((pare_classification_options){.task = "sst-2", .train = table, .valid = table});
    const char *saved = path_of("saved");
    check_ok(pri_make_directories(saved));
    check_ok(pare_task_save_files(task, saved));
    pare_wordpiece *loaded;
    check_ok(pare_wordpiece_load(saved, &loaded));
    assert_true(pare_wordpiece_hash(loaded) == pare_wordpiece_hash(tokenizer));
    pare_wordpiece_destroy(loaded);
    pare_task_destroy(task);
}

/* ---- GLUE itself ---- */

typedef struct glue_case {
    const char *task, *train, *valid, *test; /* NULL: not among the data */
    size_t counts[PARE_SPLIT_COUNT];
    size_t of_class_1; /* of the first split there is */
} glue_case;

static const char *glue_path(const char *name)
{
    static char paths[3][512];
    static unsigned next;
    if (!name)
        return NULL;
    char *path = paths[next++ % 3];
    snprintf(path, sizeof paths[0], "%s/glue/%s", getenv("PARE_DATA"), name);
    return path;
}

static size_t count_class_1(const pri_examples *examples)
{
    size_t count = 0;
    for (size_t i = 0; i < examples->sequences.count; i++)
        count += examples->classes[i] == 1;
    return count;
}

/* Numbers of examples as in the README of the data; those of class 1 were counted with cut, sort
 * and uniq. */
static void test_the_published_files(void **state)
{
    (void)state;
    static const glue_case cases[] = {
        {"cola", "CoLA/train.tsv.gz", "CoLA/dev.tsv.gz", NULL, {8551, 1043, 1043}, 6023},
        {"sst-2", "SST-2/train.tsv.gz", "SST-2/dev.tsv.gz", NULL, {67349, 872, 872}, 37569},
        {"mrpc",
         "MRPC/train.tsv.gz",
         "MRPC/dev.tsv.gz",
         "MRPC/msr_paraphrase_test.tsv.gz",
         {3668, 408, 1725},
         2474},
        {"sts-b", "STS-B/train.tsv.gz", "STS-B/dev.tsv.gz", NULL, {5749, 1500, 1500}, 0},
        {"rte", "RTE/train.tsv.gz", "RTE/dev.tsv.gz", NULL, {2490, 277, 277}, 1241},
        {"qnli", "QNLI/dev.tsv.gz", "QNLI/dev.tsv.gz", NULL, {5463, 5463, 5463}, 2761},
        {"qqp",
         "QQP-sample/qqp_train_1k.tsv.gz",
         "QQP-sample/qqp_train_1k.tsv.gz",
         NULL,
         {1000, 1000, 1000},
         374},
    };
    if (!getenv("PARE_DATA")) {
        print_message("PARE_DATA is not set: the GLUE files are not read\n");
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pare_task *task = create((pare_classification_options){.task = cases[i].task,
                                                               .train = glue_path(cases[i].train),
                                                               .valid = glue_path(cases[i].valid),
                                                               .test = glue_path(cases[i].test)});
        for (pare_split split = PARE_SPLIT_TRAIN; split < PARE_SPLIT_COUNT; split++)
            assert_int_equal(pare_task_examples(task, split), cases[i].counts[split]);
        assert_int_equal(count_class_1(split_of(task, PARE_SPLIT_TRAIN)), cases[i].of_class_1);
        pare_task_destroy(task);
    }
}

static void test_the_mnli_sample_is_a_table_like_any_other(void **state)
{
    (void)state;
    if (!getenv("PARE_DATA")) {
        print_message("PARE_DATA is not set: the MNLI sample is not read\n");
        skip();
    }
    const char *matched = glue_path("MNLI-sample/mnli_matched_1k.tsv.gz"),
               *mismatched = glue_path("MNLI-sample/mnli_mismatched_1k.tsv.gz");
    pare_task *task = create((pare_classification_options){
        .train = matched, .valid = mismatched, .text_columns = {"2", "3"}, .label_column = "1"});
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 1000);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_VALID), 1000);
    assert_string_equal(pare_classification_label(task, 0), "contradiction");
    assert_string_equal(pare_classification_label(task, 2), "neutral");
    assert_int_equal(count_class_1(split_of(task, PARE_SPLIT_TRAIN)), 373);
    pare_task_destroy(task);
}

/* ---- Running models ---- */

/* A task whose label tells whether "good" or "bad" comes first, among noise of many lengths. */
static const char *write_toy(const char *name, size_t count, uint64_t seed)
{
    static const char *const noise[] = {"the", "cat", "dog", "is", "not", "cats", "dogs"};
    char *text = pri_allocate(count, 400);
    size_t used = (size_t)sprintf(text, "sentence\tlabel\n");
    for (size_t i = 0; i < count; i++) {
        uint64_t key = pri_random_key(seed, "toy", i);
        size_t words = 1 + (size_t)pri_random_below(key, 0, 24),
               label = pri_random_bits(key, 1) % 2;
        size_t place = (size_t)pri_random_below(key, 2, words);
        for (size_t j = 0; j < words; j++)
            used += (size_t)sprintf(text + used, "%s%s", j ? " " : "",
                                    j == place ? (label ? "good" : "bad")
                                               : noise[pri_random_below(key, 3 + j, 7)]);
        used += (size_t)sprintf(text + used, "\t%zu\n", label);
    }
    const char *path = write_file(name, text);
    pri_free(text);
    return path;
}

static pare_classification_options toy_options(void)
{
    return (pare_classification_options){.task = "sst-2",
                                         .train = write_toy("toy-train.tsv", 120, 1),
                                         .valid = write_toy("toy-valid.tsv", 61, 2),
                                         .tokens = 150,
                                         .seed = 5};
}

/* Logits of one sequence run alone. */
static void run_alone(pare_model *model, const pri_sequences *sequences, size_t index,
                      size_t labels, float *logits)
{
    pri_batch_builder builder = {0};
    check_ok(pri_batch_gather(&builder, sequences, &index, 1));
    pare_tape_begin(tape, false, 0);
    pare_tensor *outputs = pare_encoder_classify(model, tape, &builder.batch);
    check_ok(pare_tape_status(tape));
    assert_int_equal(outputs->columns, labels);
    memcpy(logits, outputs->value, labels * sizeof *logits);
    pri_batch_builder_free(&builder);
}

static double negative_log_probability(const float *logits, size_t labels, uint32_t class)
{
    double sum = 0;
    for (size_t i = 0; i < labels; i++)
        sum += exp((double)logits[i]);
    return log(sum) - logits[class];
}

static void test_evaluation_is_that_of_every_sequence_alone(void **state)
{
    (void)state;
    pare_model *model = create_model(2, 0.1f);
    const size_t budgets[] = {1, 100, 0};
    for (size_t b = 0; b < 3; b++) {
        pare_classification_options options = toy_options();
        options.tokens = budgets[b];
        pare_task *task = create(options);
        const pri_examples *examples = split_of(task, PARE_SPLIT_VALID);
        uint32_t predicted[61];
        double loss = 0;
        for (size_t i = 0; i < 61; i++) {
            float logits[2];
            run_alone(model, &examples->sequences, i, 2, logits);
            predicted[i] = logits[1] > logits[0];
            loss += negative_log_probability(logits, 2, examples->classes[i]) / 61;
        }
        pare_evaluation evaluation;
        check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation));
        assert_near(evaluation.loss, loss, 1e-5);
        assert_near(evaluation.metric, 100 * pri_accuracy(predicted, examples->classes, 61), 1e-12);
        assert_int_equal(evaluation.tokens, 61);
        assert_int_equal(evaluation.more_count, 0);
        assert_true(evaluation.seconds > 0);
        pare_task_destroy(task);
    }
    pare_model_destroy(model);
}

static void test_measures_beside_the_metric(void **state)
{
    (void)state;
    const char *table = write_file("cola.tsv", "x\t1\t\tthe dog\nx\t0\t*\tis cat cat\nx\t1\t\tnot\n"
                                               "x\t0\t*\tbad\nx\t1\t\tgood dogs\n");
    pare_task *task =
        create((pare_classification_options){.task = "cola", .train = table, .valid = table});
    pare_model *model = create_model(2, 0);
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_TEST, NULL, &evaluation));
    const pri_examples *examples = split_of(task, PARE_SPLIT_VALID);
    uint32_t predicted[5];
    for (size_t i = 0; i < 5; i++) {
        float logits[2];
        run_alone(model, &examples->sequences, i, 2, logits);
        predicted[i] = logits[1] > logits[0];
    }
    assert_near(evaluation.metric, 100 * pri_matthews(predicted, examples->classes, 5), 1e-12);
    assert_int_equal(evaluation.more_count, 1);
    assert_string_equal(evaluation.more[0].name, "accuracy");
    assert_near(evaluation.more[0].value, 100 * pri_accuracy(predicted, examples->classes, 5),
                1e-12);
    pare_task_destroy(task);
    task = create((pare_classification_options){
        .train = table, .valid = table, .text_columns = {"4"}, .label_column = "2"});
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_TEST, NULL, &evaluation));
    assert_int_equal(evaluation.more_count, 2);
    assert_string_equal(evaluation.more[0].name, "F1");
    assert_string_equal(evaluation.more[1].name, "Matthews");
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static pare_classification_options number_options(void)
{
    const char *table =
        write_file("numbers.tsv", "1.5\tthe cat\n-2\tdog\n0.25\tis not good\n3\tbad dogs\n");
    return (pare_classification_options){.train = table,
                                         .valid = table,
                                         .text_columns = {"2"},
                                         .label_column = "1",
                                         .regression = true,
                                         .batch = 4};
}

static void test_regression(void **state)
{
    (void)state;
    pare_task *task = create(number_options());
    pare_model *model = create_model(1, 0);
    const pri_examples *examples = split_of(task, PARE_SPLIT_VALID);
    float predictions[4];
    double loss = 0, spearman;
    for (size_t i = 0; i < 4; i++) {
        run_alone(model, &examples->sequences, i, 1, &predictions[i]);
        loss += pow((double)predictions[i] - (double)examples->targets[i], 2) / 4;
    }
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation));
    assert_near(evaluation.loss, loss, 1e-5);
    assert_near(evaluation.metric, 100 * pri_pearson(predictions, examples->targets, 4), 1e-3);
    assert_string_equal(evaluation.more[0].name, "Spearman");
    check_ok(pri_spearman(predictions, examples->targets, 4, &spearman));
    assert_near(evaluation.more[0].value, 100 * spearman, 1e-9);
    pare_tape_begin(tape, true, 1);
    pare_tensor *training = pare_task_training_loss(task, model, tape); /* all four, no dropout */
    check_ok(pare_tape_status(tape));
    assert_near(training->value[0], loss, 1e-5);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void test_a_model_that_does_not_fit(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(3, 0);
    pare_evaluation evaluation;
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "the model has 3 outputs and the task needs 2");
    pare_tape_begin(tape, true, 1);
    assert_null(pare_task_training_loss(task, model, tape));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_model_destroy(model);
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = VOCABULARY - 1;
    config.layers = config.heads = 1;
    config.size = config.feed_forward = 8;
    config.head = PARE_HEAD_CLASSIFICATION;
    check_ok(pare_bert_create(context, &config, 1, &model));
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "the model knows 13 word pieces and the tokenizer has 14");
    pare_model_destroy(model);
    config.vocabulary = VOCABULARY;
    config.positions = 9;
    check_ok(pare_bert_create(context, &config, 1, &model));
    pare_average *average;
    assert_fails(observe_one(task, model, tape, PARE_SPLIT_VALID, false, &average),
                 PARE_ERROR_ARGUMENT, "but the model has 9 positions; set a smaller length");
    assert_null(average);
    pare_model_destroy(model);
    config.positions = 40;
    config.head = PARE_HEAD_NONE;
    check_ok(pare_bert_create(context, &config, 1, &model));
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "no classification head");
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Training ---- */

/* One step of plain gradient descent. */
static float step(pare_task *task, pare_model *model, uint64_t key, float rate)
{
    pare_model_zero_gradients(model);
    pare_tape_begin(tape, true, key);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    float value = loss->value[0];
    check_ok(pare_tape_backward(tape, loss, 1));
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        for (size_t j = 0; j < tensor->rows * tensor->columns; j++)
            tensor->value[j] -= rate * tensor->gradient[j];
    }
    return value;
}

static void test_a_tiny_model_learns_the_toy_task(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0);
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation));
    assert_true(evaluation.metric < 80);
    uint64_t steps = 40 * pare_task_batches_per_epoch(task);
    for (uint64_t i = 0; i < steps; i++)
        step(task, model, i, 0.1f);
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation));
    assert_true(evaluation.metric > 95);
    assert_true(evaluation.loss < 0.2);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void check_distillation(pare_classification_options options, size_t labels)
{
    pare_task *task = create(options);
    pare_model *student = create_model(labels, 0), *teacher = create_model(labels, 0);
    check_teacher(tape, task, student, teacher);
    pare_model_destroy(teacher);
    pare_model_destroy(student);
    pare_task_destroy(task);
}

static void test_a_teacher_of_classes_and_of_numbers(void **state)
{
    (void)state;
    check_distillation(toy_options(), 2);
    check_distillation(number_options(), 1);
}

static void test_a_teacher_that_does_not_fit(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(3, 0);
    pare_inference *teacher;
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &teacher));
    assert_fails(pare_task_set_teacher(task, teacher, 0.5), PARE_ERROR_ARGUMENT,
                 "the model has 3 outputs and the task needs 2");
    pare_inference_destroy(teacher);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void test_the_training_loss_is_the_mean_over_the_batch(void **state)
{
    (void)state;
    pare_classification_options options = toy_options();
    options.batch = 7;
    options.tokens = 0;
    pare_task *task = create(options);
    pare_model *model = create_model(2, 0);
    const pri_examples *examples = split_of(task, PARE_SPLIT_TRAIN);
    pare_tape_begin(tape, true, 1);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    float value = loss->value[0];
    /* Which seven, a dealer of the same seed tells. */
    size_t *lengths = pri_sequences_lengths(&examples->sequences);
    pri_dealer *dealer;
    check_ok(pri_dealer_create(&(pri_dealing){.examples = 7, .seed = options.seed}, lengths,
                               examples->sequences.count, &dealer));
    const size_t *indices;
    size_t count, tokens = 0;
    pri_dealer_next(dealer, &indices, &count);
    assert_int_equal(count, 7);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        float logits[2];
        run_alone(model, &examples->sequences, indices[i], 2, logits);
        sum += negative_log_probability(logits, 2, examples->classes[indices[i]]);
        tokens += lengths[indices[i]];
    }
    assert_near(value, sum / 7, 1e-5);
    assert_int_equal(pare_task_training_tokens(task, 1), tokens);
    assert_int_equal(pare_task_batches_per_epoch(task), 18); /* 120 / 7 */
    pri_free(lengths);
    pri_dealer_destroy(dealer);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

#define RESUME_AT 11
#define RESUME_STEPS 30

static void test_training_resumes_bit_for_bit(void **state)
{
    (void)state;
    const char *place = path_of("state.safetensors"), *weights = path_of("weights.safetensors");
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0.1f);
    float losses[RESUME_STEPS];
    for (uint64_t i = 0; i < RESUME_STEPS; i++) {
        if (i == RESUME_AT) {
            check_ok(pare_task_save_state(task, place));
            check_ok(pare_model_save_weights(model, weights));
        }
        losses[i] = step(task, model, i, 0.05f);
    }
    pare_task_destroy(task);
    task = create(toy_options());
    check_ok(pare_task_load_state(task, place));
    check_ok(pare_model_load_weights(model, weights));
    for (uint64_t i = RESUME_AT; i < RESUME_STEPS; i++) {
        float loss = step(task, model, i, 0.05f);
        assert_memory_equal(&loss, &losses[i], sizeof loss);
    }
    /* And from the beginning. */
    pare_model_destroy(model);
    model = create_model(2, 0.1f);
    pare_task_rewind(task);
    for (uint64_t i = 0; i < RESUME_AT; i++) {
        float loss = step(task, model, i, 0.05f);
        assert_memory_equal(&loss, &losses[i], sizeof loss);
    }
    pare_task_destroy(task);
    pare_classification_options options = toy_options();
    options.train = options.valid;
    task = create(options);
    assert_fails(pare_task_load_state(task, place), PARE_ERROR_ARGUMENT, "other data");
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- Observation ---- */

/* The average of single sequences, added up. */
static void check_average(bool ends_first)
{
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0.1f);
    pare_average *average, *expected;
    check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, ends_first, &average));
    const pri_examples *examples = split_of(task, PARE_SPLIT_TRAIN);
    size_t length = pare_task_length(task), count = examples->sequences.count;
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, length);
    geometry.ends_first = ends_first;
    check_ok(pare_average_create(&geometry, &expected));
    pare_model_observe(model, PARE_ATTENTION_SELF, expected);
    for (size_t i = 0; i < count; i++) {
        float logits[2];
        run_alone(model, &examples->sequences, i, 2, logits);
        pare_average_add_examples(expected, 1);
    }
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    assert_int_equal(pare_average_examples(average), count);
    assert_true(pare_average_corpus_hash(average) == pare_task_hash(task, PARE_SPLIT_TRAIN));
    assert_int_equal(pare_average_geometry(average)->queries, length);
    assert_int_equal(pare_average_geometry(average)->ends_first, ends_first);
    size_t unseen = 0;
    for (size_t row = 0; row < length; row++)
        for (size_t column = 0; column < length; column++) {
            size_t reaching = 0, place = row > column ? row : column;
            for (size_t i = 0; i < count; i++)
                reaching += pri_sequences_at(&examples->sequences, i).count > place;
            assert_int_equal(pare_average_count(average, row, column), reaching);
            unseen += !reaching;
            for (size_t layer = 0; layer < 2 && reaching; layer++)
                assert_near(pare_average_value(average, PARE_AVERAGE_VALID, layer, 1, row, column),
                            pare_average_value(expected, PARE_AVERAGE_VALID, layer, 1, row, column),
                            1e-6);
        }
    assert_true(unseen == 0);
    pare_average_destroy(average);
    pare_average_destroy(expected);
    pare_task_destroy(task);
    pare_model_destroy(model);
}

static void test_observation_averages_single_sequences(void **state)
{
    (void)state;
    check_average(false);
    check_average(true);
}

static void test_observation_is_dense_and_puts_the_mask_back(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0);
    pare_average *dense, *again;
    check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, false, &dense));
    pare_mask *mask;
    check_ok(pare_mask_create(dense, &(pare_prune_options){.percent = 70}, &mask));
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    pare_evaluation masked, unmasked;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &masked));
    check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, false, &again));
    assert_ptr_equal(pare_model_mask(model, PARE_ATTENTION_SELF), mask);
    for (size_t row = 0; row < 5; row++)
        for (size_t column = 0; column < 5; column++)
            assert_true(pare_average_value(dense, PARE_AVERAGE_MASS, 1, 0, row, column) ==
                        pare_average_value(again, PARE_AVERAGE_MASS, 1, 0, row, column));
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &unmasked));
    assert_true(fabs(masked.loss - unmasked.loss) > 1e-4);
    pare_average_destroy(dense);
    pare_average_destroy(again);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    pare_task_destroy(task);
}

static void count_reports(void *user, const pare_progress_event *event)
{
    uint64_t *last = user;
    assert_string_equal(event->label, "evaluate valid");
    assert_int_equal(event->total, 61);
    assert_true(event->done > *last);
    *last = event->done;
}

static void test_progress_and_interruption(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0);
    pare_evaluation evaluation;
    uint64_t last = 0;
    const pare_progress progress = {count_reports, &last};
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, &progress, &evaluation));
    assert_int_equal(last, 61);
    pare_interrupt();
    assert_int_equal(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                     PARE_ERROR_INTERRUPTED);
    pare_interrupt_clear();
    pare_task_destroy(task);
    pare_model_destroy(model);
}

/* ---- At work ---- */

static pare_text_pair text_of(const char *first, const char *second)
{
    return (pare_text_pair){first, second, strlen(first), second ? strlen(second) : 0};
}

static pare_status classify(pare_model *model, const pare_text_pair *texts, size_t count,
                            float *scores, bool *cut)
{
    pare_inference *inference;
    check_ok(pare_inference_create(model, PARE_PRECISION_FP32, &inference));
    pare_status status = pare_classify(inference, tokenizer, texts, count, scores, cut);
    pare_inference_destroy(inference);
    return status;
}

static void test_classify(void **state)
{
    (void)state;
    pare_model *model = create_model(3, 0.1f);
    const pare_text_pair texts[] = {text_of("the cat is good", NULL), text_of("bad", "dogs is not"),
                                    text_of("", NULL)};
    const uint32_t sequences[3][7] = {
        {CLS, THE, CAT, IS, GOOD, SEP}, {CLS, BAD, SEP, DOG, S, IS, NOT}, {CLS, SEP}};
    const size_t counts[] = {6, 7, 2};
    float scores[9], alone[3];
    check_ok(classify(model, texts, 3, scores, NULL));
    for (size_t i = 0; i < 3; i++) {
        double sum = 0;
        check_ok(classify(model, &texts[i], 1, alone, NULL));
        for (size_t j = 0; j < 3; j++) {
            assert_near(scores[3 * i + j], alone[j], 1e-6);
            sum += alone[j];
        }
        assert_near(sum, 1, 1e-6);
    }
    /* Against the logits of the sequences themselves. */
    for (size_t i = 0; i < 3; i += 2) {
        const size_t offsets[] = {0, counts[i]};
        const pare_encoder_batch batch = {
            .sequences = 1, .offsets = offsets, .tokens = sequences[i]};
        pare_tape_begin(tape, false, 0);
        pare_tensor *logits = pare_encoder_classify(model, tape, &batch);
        for (uint32_t j = 0; j < 3; j++)
            assert_near(scores[3 * i + j], exp(-negative_log_probability(logits->value, 3, j)),
                        1e-5);
    }
    pare_model_destroy(model);
}

static void test_classify_cuts_what_is_too_long(void **state)
{
    (void)state;
    pare_model *model = create_model(1, 0); /* 40 positions */
    char text[400] = "";
    for (int i = 0; i < 60; i++)
        strcat(text, i < 38 ? "cat " : "dog ");
    char cut[400] = "";
    strncat(cut, text, 38 * 4);
    float whole_score, cut_score;
    const pare_text_pair whole = text_of(text, NULL), short_text = text_of(cut, NULL);
    bool was_cut[3];
    check_ok(classify(model, &whole, 1, &whole_score, NULL));
    check_ok(classify(model, &short_text, 1, &cut_score, NULL));
    assert_memory_equal(&whole_score, &cut_score, sizeof cut_score);
    float scores[3];
    const pare_text_pair texts[] = {short_text, whole, text_of("cat", cut)};
    check_ok(classify(model, texts, 3, scores, was_cut));
    assert_false(was_cut[0]);
    assert_true(was_cut[1] && was_cut[2]);
    pare_model_destroy(model);
}

static void test_a_pruned_model_reads_texts_longer_than_its_mask(void **state)
{
    (void)state;
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0);
    pare_average *average;
    check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, false, &average));
    pare_mask *mask;
    check_ok(pare_mask_create(average, &(pare_prune_options){.percent = 50}, &mask));
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    char text[400] = "";
    for (int i = 0; i < 60; i++)
        strcat(text, "cat ");
    const pare_text_pair whole = text_of(text, NULL);
    float scores[2];
    check_ok(classify(model, &whole, 1, scores, NULL));
    pare_average_destroy(average);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    pare_task_destroy(task);
}

static void test_classify_refuses_damaged_weights(void **state)
{
    (void)state;
    pare_model *model = create_model(2, 0);
    size_t count;
    pare_model_parameters(model, &count)[0].tensor.value[CLS * 16] = NAN;
    const pare_text_pair text = text_of("cat", NULL);
    float scores[2];
    assert_fails(classify(model, &text, 1, scores, NULL), PARE_ERROR_NUMERIC, "damaged");
    pare_model_destroy(model);
}

/* An explanation is the attention of the text itself; with ends first in other coordinates. */
static void check_explanation(bool ends_first)
{
    pare_task *task = create(toy_options());
    pare_model *model = create_model(2, 0.1f);
    const pare_text_pair text = text_of("cats", "good dog");
    const char *const pieces[] = {"[CLS]", "cat", "##s", "[SEP]", "good", "dog", "[SEP]"};
    pare_explanation dense, masked;
    check_ok(pare_classify_explain(model, tape, tokenizer, &text, &dense));
    assert_int_equal(dense.count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(dense.pieces[i], pieces[i]);
    pare_average *average;
    check_ok(observe_one(task, model, tape, PARE_SPLIT_TRAIN, ends_first, &average));
    pare_mask *mask;
    check_ok(pare_mask_create(average, &(pare_prune_options){.percent = 60}, &mask));
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    check_ok(pare_classify_explain(model, tape, tokenizer, &text, &masked));
    assert_int_equal(pare_average_geometry(masked.average)->ends_first, ends_first);
    assert_int_equal(pare_average_geometry(masked.average)->keys, 7);
    size_t pruned = 0;
    for (size_t row = 0; row < 7; row++)
        for (size_t head = 0; head < 2; head++) {
            double sum = 0, dense_sum = 0;
            bool empty = true;
            for (size_t column = 0; column < 7; column++) {
                double value =
                    pare_average_value(masked.average, PARE_AVERAGE_VALID, 0, head, row, column);
                bool kept = pare_mask_kept(mask, 0, head, row, column);
                assert_true(kept ? value > 0 : value == 0);
                pruned += !kept;
                empty = empty && !kept;
                sum += value;
                dense_sum +=
                    pare_average_value(dense.average, PARE_AVERAGE_VALID, 0, head, row, column);
            }
            assert_near(sum, empty ? 0 : 1, 1e-6);
            assert_near(dense_sum, 1, 1e-6);
        }
    assert_true(pruned > 0);
    pare_explanation_free(&dense);
    pare_explanation_free(&masked);
    pare_average_destroy(average);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    pare_task_destroy(task);
}

static void test_explanations(void **state)
{
    (void)state;
    check_explanation(false);
    check_explanation(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_texts_of_glue),
        cmocka_unit_test(test_pairs_of_glue),
        cmocka_unit_test(test_broken_lines_of_qqp_are_skipped),
        cmocka_unit_test(test_a_table_of_the_users),
        cmocka_unit_test(test_gzip_and_long_texts),
        cmocka_unit_test(test_the_remark_tells_what_is_cut),
        cmocka_unit_test(test_the_test_split),
        cmocka_unit_test(test_the_hash_sees_labels),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_a_model_directory_gets_the_tokenizer),
        cmocka_unit_test(test_the_published_files),
        cmocka_unit_test(test_the_mnli_sample_is_a_table_like_any_other),
        cmocka_unit_test(test_evaluation_is_that_of_every_sequence_alone),
        cmocka_unit_test(test_measures_beside_the_metric),
        cmocka_unit_test(test_regression),
        cmocka_unit_test(test_a_model_that_does_not_fit),
        cmocka_unit_test(test_a_tiny_model_learns_the_toy_task),
        cmocka_unit_test(test_a_teacher_of_classes_and_of_numbers),
        cmocka_unit_test(test_a_teacher_that_does_not_fit),
        cmocka_unit_test(test_the_training_loss_is_the_mean_over_the_batch),
        cmocka_unit_test(test_training_resumes_bit_for_bit),
        cmocka_unit_test(test_observation_averages_single_sequences),
        cmocka_unit_test(test_observation_is_dense_and_puts_the_mask_back),
        cmocka_unit_test(test_progress_and_interruption),
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_classify_cuts_what_is_too_long),
        cmocka_unit_test(test_classify_refuses_damaged_weights),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_a_pruned_model_reads_texts_longer_than_its_mask),
    };
    return cmocka_run_group_tests_name("classification", tests, set_up, tear_down);
}
