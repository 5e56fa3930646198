/* Translation: reading pairs, training on a language of a few words, evaluation, observation,
 * resuming, and translating lines, against loops written out by hand over a tiny model. */
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
#include "tasks/translation/translation.h"
#include "temporary_files.h"

static pare_context *context;
static pare_tape *tape;

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

static const char *write_gzip(const char *name, const char *text)
{
    const char *path = path_of(name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static int set_up(void **state)
{
    return make_directory(state) ||
           pare_context_create(&(pare_context_options){.threads = 2}, &context) != PARE_OK ||
           pare_tape_create(context, &tape) != PARE_OK;
}

static int tear_down(void **state)
{
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return remove_directory(state);
}

/* ---- A language of a few words ---- */

enum { PAIRS = 24, LONGEST = 20 };

/* Sentences of 4 to 9 words; the target is the source (`copy`), or its words in another spelling,
 * with one more for every "ri". */
static void write_language(const char *source_name, const char *target_name, size_t count,
                           uint64_t seed, bool copy)
{
    static const char *const words[] = {"ba", "ke", "mo", "ri", "tu", "so"},
                             *const others[] = {"eins", "zwei", "drei", "vier vier", "acht", "elf"};
    char *source = pri_allocate(count, 64), *target = pri_allocate(count, 128);
    size_t source_length = 0, target_length = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = pri_random_key(seed, "language", i);
        size_t length = 4 + (size_t)pri_random_below(key, 0, 6);
        for (size_t j = 0; j < length; j++) {
            size_t word = (size_t)pri_random_below(key, 1 + j, 6);
            const char *end = j + 1 == length ? "\n" : " ";
            source_length += (size_t)sprintf(source + source_length, "%s%s", words[word], end);
            target_length += (size_t)sprintf(target + target_length, "%s%s",
                                             copy ? words[word] : others[word], end);
        }
    }
    write_file(source_name, source);
    write_file(target_name, target);
    pri_free(source);
    pri_free(target);
}

static pare_translation_options language_options(bool copy)
{
    write_language("train.so", "train.ta", PAIRS, 1, copy);
    write_language("valid.so", "valid.ta", 9, 2, copy);
    write_language("test.so", "test.ta", 7, 3, copy);
    return (pare_translation_options){.train = {path_of("train.so"), path_of("train.ta")},
                                      .valid = {path_of("valid.so"), path_of("valid.ta")},
                                      .test = {path_of("test.so"), path_of("test.ta")},
                                      .tokenizer = {.form = PARE_BPE_WORDS, .size = 60},
                                      .length = LONGEST,
                                      .tokens = 120,
                                      .decoding = pare_translate_options_default(),
                                      .seed = 5};
}

static pare_task *create(pare_translation_options options)
{
    pare_task *task;
    check_ok(pare_translation_create(&options, NULL, &task));
    return task;
}

static void assert_refused(pare_translation_options options, pare_status expected,
                           const char *message)
{
    pare_task *task;
    assert_fails(pare_translation_create(&options, NULL, &task), expected, message);
    assert_null(task);
    assert_null(strchr(pare_error_message(), '\n'));
}

static const pri_parallel_text *split_of(pare_task *task, pare_split split)
{
    return &pri_translation_of(task)->splits[split];
}

/* Weights are large enough for context to matter. */
static pare_model *create_model(const pare_task *task, float deviation)
{
    const pare_translation_tokenizers *tokenizers = pare_translation_tokenizers_of(task);
    pare_marian_config config = pare_marian_config_default();
    config.source_vocabulary = pare_bpe_size(tokenizers->source);
    config.target_vocabulary = pare_bpe_size(tokenizers->target);
    if (tokenizers->source != tokenizers->target)
        config.sharing = PARE_SHARE_TARGET;
    config.encoder_layers = 2;
    config.decoder_layers = 1;
    config.heads = 2;
    config.size = 32;
    config.encoder_feed_forward = config.decoder_feed_forward = 48;
    config.positions = LONGEST;
    config.dropout = 0;
    config.initial_deviation = deviation;
    pare_model *model;
    check_ok(pare_marian_create(context, &config, 3, &model));
    return model;
}

/* ---- Reading ---- */

static void assert_sentence(const pri_sequences *sequences, size_t index, const pare_bpe *tokenizer,
                            const char *text, size_t most)
{
    pare_pieces pieces = {0};
    check_ok(pare_bpe_encode(tokenizer, text, strlen(text), &pieces));
    size_t count = pieces.count < most ? pieces.count : most;
    pri_token_span span = pri_sequences_at(sequences, index);
    assert_int_equal(span.count, count + 1);
    assert_memory_equal(span.ids, pieces.ids, count * sizeof *span.ids);
    assert_int_equal(span.ids[count], pare_bpe_special_tokens(tokenizer).end);
    pare_pieces_free(&pieces);
}

static void assert_reference(const pri_parallel_text *text, size_t index, const char *expected)
{
    size_t length;
    const char *reference = pri_parallel_reference(text, index, &length);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(reference, expected, length);
}

#define SOURCES "a b c\n\nb a\nc\n"
#define TARGETS "b c\nx\nc b a\n\n"
#define TABLE "a b c\tb c\n\tx\nb a\tc b a\nc\t\n"

/* Empty sides are pairs in evaluation, and none in training. */
static void assert_small_task(pare_translation_options options)
{
    pare_task *task = create(options);
    const pare_bpe *tokenizer = pare_translation_tokenizers_of(task)->source;
    const pri_parallel_text *train = split_of(task, PARE_SPLIT_TRAIN),
                            *valid = split_of(task, PARE_SPLIT_VALID);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 2);
    assert_int_equal(pare_translation_left_out(task), 2);
    assert_sentence(&train->sources, 0, tokenizer, "a b c", 9);
    assert_sentence(&train->targets, 0, tokenizer, "b c", 9);
    assert_sentence(&train->sources, 1, tokenizer, "b a", 9);
    assert_sentence(&train->targets, 1, tokenizer, "c b a", 9);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_VALID), 4);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 4);
    assert_sentence(&valid->sources, 1, tokenizer, "", 9);
    assert_sentence(&valid->targets, 1, tokenizer, "x", 9);
    assert_sentence(&valid->targets, 3, tokenizer, "", 9);
    assert_reference(valid, 0, "b c");
    assert_reference(valid, 2, "c b a");
    assert_reference(valid, 3, "");
    assert_int_equal(pare_task_length(task), 4);
    pare_task_destroy(task);
}

static void pairs_come_from_two_files_or_a_table(void **state)
{
    (void)state;
    const pare_parallel_files files[] = {
        {write_file("plain.so", SOURCES), write_file("plain.ta", TARGETS)},
        {write_gzip("packed.so.gz", SOURCES), write_gzip("packed.ta.gz", TARGETS)},
        {write_file("return.so", "a b c\r\n\r\nb a\r\nc\r\n"),
         write_file("return.ta", "b c\r\nx\r\nc b a\r\n\r\n")},
        {write_file("open.so", "a b c\n\nb a\nc"), path_of("plain.ta")},
        {write_file("table.tsv", TABLE), NULL},
        {write_gzip("table.tsv.gz", TABLE), NULL},
        {write_file("return.tsv", "a b c\tb c\r\n\tx\r\nb a\tc b a\r\nc\t\r\n"), NULL}};
    uint64_t hashes[PARE_SPLIT_COUNT] = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        pare_translation_options options = {.train = files[i],
                                            .valid = files[i],
                                            .tokenizer = {.form = PARE_BPE_WORDS},
                                            .length = 10};
        assert_small_task(options);
        /* All are the same data. */
        pare_translation_tokenizers tokenizers;
        options.train = files[0];
        pare_task *first = create(options), *task;
        tokenizers = *pare_translation_tokenizers_of(first);
        options.train = files[i];
        check_ok(pare_translation_create(&options, &tokenizers, &task));
        for (size_t split = 0; split < PARE_SPLIT_COUNT; split++) {
            hashes[split] = i ? hashes[split] : pare_task_hash(task, (pare_split)split);
            assert_true(pare_task_hash(task, (pare_split)split) == hashes[split]);
        }
        pare_task_destroy(task);
        pare_task_destroy(first);
    }
}

static void different_texts_have_different_hashes(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    pare_task *task = create(options), *other;
    assert_true(pare_task_hash(task, PARE_SPLIT_VALID) != pare_task_hash(task, PARE_SPLIT_TEST));
    /* The reference counts as it is written, though its pieces are the same. */
    write_file("blanks.so", "ba ke\n");
    options.valid = (pare_parallel_files){path_of("blanks.so"), write_file("one.ta", "drei\n")};
    options.test = (pare_parallel_files){path_of("blanks.so"), write_file("two.ta", "drei \n")};
    check_ok(pare_translation_create(&options, pare_translation_tokenizers_of(task), &other));
    assert_true(pare_task_hash(other, PARE_SPLIT_VALID) != pare_task_hash(other, PARE_SPLIT_TEST));
    assert_true(pare_task_hash(other, PARE_SPLIT_TRAIN) == pare_task_hash(task, PARE_SPLIT_TRAIN));
    pare_task_destroy(other);
    pare_task_destroy(task);
}

static void files_of_different_lengths_are_told_by_both_numbers(void **state)
{
    (void)state;
    const char *three = write_file("three.so", "a\nb\nc\n"),
               *five = write_file("five.ta", "a\n\n\n\nb");
    pare_translation_options options = {.train = {three, five}, .valid = {three, three}};
    char message[600];
    snprintf(message, sizeof message, "%s has 3 lines and %s has 5; line n of one", three, five);
    assert_refused(options, PARE_ERROR_FORMAT, message);
    options = (pare_translation_options){.train = {three, three}, .valid = {five, three}};
    snprintf(message, sizeof message, "%s has 5 lines and %s has 3; line n of one", five, three);
    assert_refused(options, PARE_ERROR_FORMAT, message);
    const char *empty = write_file("empty.ta", "");
    options.valid = (pare_parallel_files){three, empty};
    snprintf(message, sizeof message, "%s has 3 lines and %s has 0; line n of one", three, empty);
    assert_refused(options, PARE_ERROR_FORMAT, message);
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    const char *good = write_file("good.so", "a b\nb a\n"), *empty = write_file("empty.so", "");
    pare_translation_options options = {.train = {good, good}, .valid = {empty, empty}};
    assert_refused(options, PARE_ERROR_FORMAT, "empty.so: no pair of sentences");
    options.valid = (pare_parallel_files){write_file("none.tsv", "a\tb\na b\n"), NULL};
    assert_refused(options, PARE_ERROR_FORMAT,
                   "none.tsv:2: a line must be a source, one tab and its translation");
    options.valid.source = write_file("two.tsv", "a\tb\tc\n");
    assert_refused(options, PARE_ERROR_FORMAT,
                   "two.tsv:1: a line must be a source, one tab and its translation");
    options.valid = (pare_parallel_files){good, path_of("absent.ta")};
    assert_refused(options, PARE_ERROR_FILE, "absent.ta");
    options.valid = (pare_parallel_files){path_of("absent.so"), good};
    assert_refused(options, PARE_ERROR_FILE, "absent.so");
    const char *blank = write_file("blank.so", "\n\n");
    options = (pare_translation_options){.train = {good, blank}, .valid = {good, good}};
    assert_refused(options, PARE_ERROR_FORMAT, "good.so: no pair of sentences can be used");
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.length = 1;
    assert_refused(options, PARE_ERROR_ARGUMENT, "a length of 1 leaves no room for words");
    options = language_options(false);
    options.smoothing = 1;
    assert_refused(options, PARE_ERROR_ARGUMENT, "label smoothing");
    options.smoothing = NAN;
    assert_refused(options, PARE_ERROR_ARGUMENT, "label smoothing");
    options = language_options(false);
    options.valid.source = NULL;
    assert_refused(options, PARE_ERROR_ARGUMENT, "data.valid.source");
    options = language_options(false);
    options.separate_vocabularies = true;
    options.train = (pare_parallel_files){write_file("pair.tsv", "a\tb\n"), NULL};
    assert_refused(options, PARE_ERROR_ARGUMENT, "separate vocabularies are learned from a file");
    options = language_options(false);
    options.merges = write_file("codes", "#version: 0.2\nb a\nx\n");
    assert_refused(options, PARE_ERROR_FORMAT, "codes: line 3");
    options = language_options(false);
    options.decoding.beam = 900;
    assert_refused(options, PARE_ERROR_ARGUMENT, "evaluation.beam is 900, but the vocabulary has");
    options.decoding.beam = PARE_BEAM_MAX + 1;
    assert_refused(options, PARE_ERROR_ARGUMENT, "evaluation.beam is 1001; give 1 to 1000");
    options = language_options(false);
    options.decoding.length_factor = 0.5;
    options.decoding.length_extra = 0.25;
    assert_refused(options, PARE_ERROR_ARGUMENT, "raise evaluation.length_factor");
    options.decoding.length_extra = NAN;
    assert_refused(options, PARE_ERROR_ARGUMENT, "raise evaluation.length_factor");
}

/* Lengths are in words here, each of which is one piece. */
static void long_pairs_are_left_out_of_training_and_cut_elsewhere(void **state)
{
    (void)state;
    const char *source = write_file("long.so", "a a a a\na a a\na a\na\na a a a a a\n"),
               *target = write_file("long.ta", "a a a a\na\na\na a a a\na\n");
    pare_translation_options options = {.train = {source, target},
                                        .valid = {source, target},
                                        .tokenizer = {.form = PARE_BPE_WORDS},
                                        .length = 5};
    pare_task *task = create(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 4);
    assert_int_equal(pare_translation_left_out(task), 1);
    const pri_parallel_text *valid = split_of(task, PARE_SPLIT_VALID);
    assert_int_equal(valid->sources.count, 5);
    assert_int_equal(valid->cut, 1);
    assert_sentence(&valid->sources, 4, pare_translation_tokenizers_of(task)->source, "a a a a a a",
                    4);
    assert_int_equal(pare_task_length(task), 5);
    pare_task_destroy(task);

    options.length = 4;
    task = create(options); /* the first, the fourth and the last are too long */
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 2);
    assert_int_equal(split_of(task, PARE_SPLIT_VALID)->cut, 4);
    assert_reference(split_of(task, PARE_SPLIT_VALID), 3, "a a a a");
    pare_task_destroy(task);

    options.length = 10;
    options.length_ratio = 2; /* 1 : 1 and 2 : 1 pass */
    task = create(options);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TRAIN), 2);
    assert_int_equal(pare_translation_left_out(task), 3);
    assert_int_equal(pare_task_examples(task, PARE_SPLIT_TEST), 5);
    pare_task_destroy(task);
}

/* ---- Tokenizers ---- */

static void a_model_directory_gets_its_tokenizers(void **state)
{
    (void)state;
    const char *const names[] = {"joint", "separate"};
    for (int separate = 0; separate < 2; separate++) {
        pare_translation_options options = language_options(false);
        options.separate_vocabularies = separate;
        options.tokenizer.size = 40;
        pare_task *task = create(options);
        const pare_translation_tokenizers *made = pare_translation_tokenizers_of(task);
        assert_true((made->source != made->target) == (separate == 1));
        const char *saved = path_of(names[separate]);
        check_ok(pare_task_save_files(task, saved));
        pare_translation_tokenizers loaded;
        check_ok(pare_translation_tokenizers_load(saved, &loaded));
        assert_true((loaded.source != loaded.target) == (separate == 1));
        assert_true(pare_bpe_hash(loaded.source) == pare_bpe_hash(made->source));
        assert_true(pare_bpe_hash(loaded.target) == pare_bpe_hash(made->target));
        pare_translation_tokenizers_free(&loaded);
        pare_task_destroy(task);
    }
    assert_true(pri_path_exists(path_of("joint/tokenizer.json")));
    assert_false(pri_path_exists(path_of("separate/tokenizer.json")));
    pare_translation_tokenizers none;
    assert_fails(pare_translation_tokenizers_load(path_of("nowhere"), &none), PARE_ERROR_FILE,
                 "nowhere/tokenizer.json");
    assert_null(none.source);
}

static void merges_of_a_file_are_used(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.merges = write_file("merges", "#version: 0.2\nb a</w>\nk e</w>\n");
    pare_task *task = create(options);
    const pare_bpe *tokenizer = pare_translation_tokenizers_of(task)->source;
    pare_pieces pieces = {0};
    check_ok(pare_bpe_encode(tokenizer, "ba mo", 5, &pieces));
    assert_int_equal(pieces.count, 3);
    assert_string_equal(pare_bpe_token(tokenizer, pieces.ids[0]), "ba</w>");
    assert_string_equal(pare_bpe_token(tokenizer, pieces.ids[1]), "m");
    pare_pieces_free(&pieces);
    assert_string_equal(pare_task_metric(task), "tokenised BLEU");
    pare_task_destroy(task);
    options = language_options(false);
    options.tokenizer.form = PARE_BPE_METASPACE;
    task = create(options);
    assert_string_equal(pare_task_metric(task), "BLEU");
    assert_true(pare_task_higher_is_better(task));
    pare_task_destroy(task);
}

static void models_of_other_shapes_are_refused(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0), *other;
    pare_marian_config config = *pare_marian_config_of(model);
    pare_evaluation evaluation;
    config.source_vocabulary = config.target_vocabulary = 20;
    check_ok(pare_marian_create(context, &config, 1, &other));
    assert_fails(pare_task_evaluate(task, other, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "the model knows 20 source pieces and the tokenizer has");
    pare_model_destroy(other);
    config = *pare_marian_config_of(model);
    config.end = config.start = 0;
    check_ok(pare_marian_create(context, &config, 1, &other));
    assert_fails(pare_task_evaluate(task, other, tape, PARE_SPLIT_VALID, NULL, &evaluation),
                 PARE_ERROR_ARGUMENT, "eos_token_id");
    pare_tape_begin(tape, true, 1);
    assert_null(pare_task_training_loss(task, other, tape));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_model_destroy(other);
    pare_bert_config encoder = pare_bert_config_default();
    encoder.vocabulary = 40;
    encoder.layers = encoder.heads = 1;
    encoder.size = encoder.feed_forward = 8;
    check_ok(pare_bert_create(context, &encoder, 1, &other));
    pare_average *averages[PARE_ATTENTION_KINDS];
    assert_fails(pare_task_observe(task, other, tape, PARE_SPLIT_TRAIN, false, NULL, averages),
                 PARE_ERROR_ARGUMENT, "a model of type \"bert\" does not translate");
    pare_model_destroy(other);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Training ---- */

/* Adam, as it is published. */
typedef struct adam {
    double *first, *second;
    size_t step;
} adam;

static double train_step(pare_task *task, pare_model *model, adam *moments, double rate)
{
    pare_model_zero_gradients(model);
    pare_tape_begin(tape, true, ++moments->step);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    double value = (double)loss->value[0];
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    size_t count, place = 0;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    double unbias_first = 1 - pow(.9, (double)moments->step),
           unbias_second = 1 - pow(.98, (double)moments->step);
    for (size_t p = 0; p < count; p++) {
        pare_tensor *tensor = &parameters[p].tensor;
        for (size_t i = 0; i < tensor->rows * tensor->columns; i++, place++) {
            double gradient = (double)tensor->gradient[i];
            moments->first[place] = .9 * moments->first[place] + .1 * gradient;
            moments->second[place] = .98 * moments->second[place] + .02 * gradient * gradient;
            tensor->value[i] -= (float)(rate * moments->first[place] / unbias_first /
                                        (sqrt(moments->second[place] / unbias_second) + 1e-9));
        }
    }
    return value;
}

/* The mean loss of the last epoch. */
static double train(pare_task *task, pare_model *model, size_t epochs, double rate)
{
    size_t floats = pare_model_parameter_floats(model);
    adam moments = {pri_allocate_zero(floats, sizeof(double)),
                    pri_allocate_zero(floats, sizeof(double)), 0};
    double mean = 0;
    pare_task_rewind(task);
    for (size_t epoch = 0; epoch < epochs; epoch++) {
        size_t batches = (size_t)pare_task_batches_per_epoch(task);
        mean = 0;
        for (size_t batch = 0; batch < batches; batch++)
            mean += train_step(task, model, &moments, rate) / (double)batches;
    }
    pri_free(moments.first);
    pri_free(moments.second);
    return mean;
}

static void a_learned_copy_has_a_bleu_of_100(void **state)
{
    (void)state;
    const pare_bpe_form forms[] = {PARE_BPE_WORDS, PARE_BPE_METASPACE};
    for (size_t i = 0; i < 2; i++) {
        pare_translation_options options = language_options(true);
        options.tokenizer.form = forms[i];
        options.valid = options.train;
        options.tokens = 400;
        /* The first five ends to be found, however improbable, would end the search otherwise. */
        options.decoding.stop = PARE_STOP_HOPELESS;
        pare_task *task = create(options);
        pare_model *model = create_model(task, 0);
        pare_evaluation before, after;
        check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &before));
        double loss = train(task, model, 400, 3e-3);
        check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &after));
        assert_true(loss < 0.05 && after.loss < 0.05 && before.loss > 1);
        assert_true(before.metric < 20);
        assert_near(after.metric, 100, 1e-9);
        assert_int_equal(after.more_count, 3);
        assert_string_equal(after.more[0].name, i ? "tokenised BLEU" : "BLEU");
        assert_near(after.more[0].value, 100, 1e-9);
        assert_string_equal(after.more[1].name, "chrF");
        assert_near(after.more[1].value, 100, 1e-9);
        assert_string_equal(after.more[2].name, "perplexity");
        assert_near(after.more[2].value, exp(after.loss), 1e-12);
        assert_true(after.seconds > 0);
        pare_model_destroy(model);
        pare_task_destroy(task);
    }
}

/* Smoothing is part of the training loss, and not of evaluation's. */
static void the_training_loss_is_that_of_the_pairs_dealt(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.batch = 1; /* pairs one by one, all of them once */
    options.tokens = 0;
    options.smoothing = .1;
    pare_task *task = create(options);
    pare_model *model = create_model(task, 0.2f);
    const pri_parallel_text *text = split_of(task, PARE_SPLIT_TRAIN);
    double dealt = 0, summed = 0;
    assert_int_equal(pare_task_batches_per_epoch(task), PAIRS);
    for (size_t i = 0; i < PAIRS; i++) {
        pare_tape_begin(tape, false, 0);
        pare_tensor *loss = pare_task_training_loss(task, model, tape);
        check_ok(pare_tape_status(tape));
        dealt += (double)loss->value[0];
    }
    for (size_t i = 0; i < PAIRS; i++) {
        pri_token_span source = pri_sequences_at(&text->sources, i),
                       target = pri_sequences_at(&text->targets, i);
        const size_t source_offsets[] = {0, source.count}, target_offsets[] = {0, target.count};
        const pare_translation_batch batch = {1, source_offsets, source.ids, target_offsets,
                                              target.ids};
        pare_tape_begin(tape, false, 0);
        pare_tensor *loss = pare_translation_loss(model, tape, &batch, .1f, NULL);
        check_ok(pare_tape_status(tape));
        summed += (double)loss->value[0];
    }
    assert_near(dealt, summed, 1e-4);
    uint64_t tokens = text->sources.token_count + text->targets.token_count;
    assert_int_equal(pare_task_training_tokens(task, PAIRS), tokens);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static double next_loss(pare_task *task, pare_model *model)
{
    pare_tape_begin(tape, false, 0);
    pare_tensor *loss = pare_task_training_loss(task, model, tape);
    check_ok(pare_tape_status(tape));
    return (double)loss->value[0];
}

static void a_saved_position_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.tokens = 60;
    pare_task *task = create(options), *fresh = create(options);
    pare_model *model = create_model(task, 0.2f);
    enum { AHEAD = 30 };
    double losses[AHEAD];
    const char *state_path = path_of("state");
    size_t begun = (size_t)pare_task_batches_per_epoch(task) - 2; /* the next epoch is near */
    for (size_t i = 0; i < begun; i++)
        next_loss(task, model);
    check_ok(pare_task_save_state(task, state_path));
    for (size_t i = 0; i < AHEAD; i++)
        losses[i] = next_loss(task, model);
    check_ok(pare_task_load_state(fresh, state_path));
    for (size_t i = 0; i < AHEAD; i++)
        assert_true(next_loss(fresh, model) == losses[i]);
    pare_task_rewind(fresh);
    pare_task_rewind(task);
    assert_true(next_loss(fresh, model) == next_loss(task, model));
    pare_task_destroy(fresh);

    options.seed++;
    fresh = create(options);
    assert_fails(pare_task_load_state(fresh, state_path), PARE_ERROR_ARGUMENT, "state");
    pare_task_destroy(fresh);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Evaluation ---- */

static void evaluation_is_that_of_every_pair_alone(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0.2f);
    const pri_parallel_text *text = split_of(task, PARE_SPLIT_TEST);
    double sum = 0;
    uint64_t tokens = 0;
    for (size_t i = 0; i < text->sources.count; i++) {
        pri_token_span source = pri_sequences_at(&text->sources, i),
                       target = pri_sequences_at(&text->targets, i);
        const size_t source_offsets[] = {0, source.count}, target_offsets[] = {0, target.count};
        const pare_translation_batch batch = {1, source_offsets, source.ids, target_offsets,
                                              target.ids};
        pare_tape_begin(tape, false, 0);
        const pare_tensor *logits = pare_translation_logits(model, tape, &batch);
        check_ok(pare_tape_status(tape));
        for (size_t t = 0; t < target.count; t++) {
            const float *row = logits->value + t * logits->columns;
            double total = 0;
            for (size_t j = 0; j < logits->columns; j++)
                total += exp((double)row[j]);
            sum += log(total) - (double)row[target.ids[t]];
        }
        tokens += target.count;
    }
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_TEST, NULL, &evaluation));
    assert_near(evaluation.loss, sum / (double)tokens, 1e-5);
    assert_int_equal(evaluation.tokens, tokens);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void evaluation_stops_when_it_is_told_to(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0.2f);
    pare_evaluation evaluation;
    pare_average *averages[PARE_ATTENTION_KINDS];
    pare_interrupt();
    assert_fails(pare_task_evaluate(task, model, tape, PARE_SPLIT_TEST, NULL, &evaluation),
                 PARE_ERROR_INTERRUPTED, "evaluate test: interrupted");
    assert_fails(pare_task_observe(task, model, tape, PARE_SPLIT_TEST, false, NULL, averages),
                 PARE_ERROR_INTERRUPTED, "average test: interrupted");
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        assert_null(averages[kind]);
    pare_interrupt_clear();
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Observation ---- */

static void destroy_averages(pare_average *averages[PARE_ATTENTION_KINDS])
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_average_destroy(averages[kind]);
}

/* A row's attention adds up to 1 in every sentence that has the row. */
static void assert_rows_add_up(const pare_average *average, const pri_sequences *rows)
{
    const pare_geometry *g = pare_average_geometry(average);
    for (size_t row = 0; row < g->queries; row++) {
        size_t present = 0;
        for (size_t i = 0; i < rows->count; i++)
            present += pri_sequences_at(rows, i).count > row;
        for (size_t head = 0; head < g->layers * g->heads; head++) {
            double sum = 0;
            for (size_t column = 0; column < g->keys; column++) {
                double value = pare_average_value(average, PARE_AVERAGE_MASS, head / g->heads,
                                                  head % g->heads, row, column);
                sum += isnan(value) ? 0 : value;
            }
            assert_near(sum * (double)rows->count, (double)present, 1e-4);
        }
    }
}

static void averages_of_all_kinds_add_up(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0.2f);
    pare_average *averages[PARE_ATTENTION_KINDS];
    const pri_parallel_text *text = split_of(task, PARE_SPLIT_TRAIN);
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, false, NULL, averages));
    assert_rows_add_up(averages[PARE_ATTENTION_SELF], &text->sources);
    assert_rows_add_up(averages[PARE_ATTENTION_DECODER], &text->targets);
    assert_rows_add_up(averages[PARE_ATTENTION_CROSS], &text->targets);
    const pare_geometry *cross = pare_average_geometry(averages[PARE_ATTENTION_CROSS]);
    double sources = 0, targets = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        sources += (double)pri_sequences_at(&text->sources, i).count;
        targets += (double)pri_sequences_at(&text->targets, i).count;
        assert_true(pri_sequences_at(&text->sources, i).count <= cross->keys);
        assert_true(pri_sequences_at(&text->targets, i).count <= cross->queries);
    }
    assert_near(cross->ratio, sources / targets, 1e-12);
    assert_int_equal(cross->layers, 1);
    assert_int_equal(pare_average_geometry(averages[PARE_ATTENTION_SELF])->layers, 2);
    assert_true(pare_average_geometry(averages[PARE_ATTENTION_DECODER])->causal);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        assert_int_equal(pare_average_examples(averages[kind]), PAIRS);
        assert_true(pare_average_corpus_hash(averages[kind]) ==
                    pare_task_hash(task, PARE_SPLIT_TRAIN));
    }
    destroy_averages(averages);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* Of one sentence, ends first is the same numbers in other places: of the encoder in rows and
 * columns, of cross attention in columns. */
static void ends_first_is_another_order(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.valid = (pare_parallel_files){write_file("single.so", "ba ke mo ri tu\n"),
                                          write_file("single.ta", "eins zwei drei\n")};
    pare_task *task = create(options);
    pare_model *model = create_model(task, 0.2f);
    pare_average *plain[PARE_ATTENTION_KINDS], *ends[PARE_ATTENTION_KINDS];
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_VALID, false, NULL, plain));
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_VALID, true, NULL, ends));
    const pri_parallel_text *text = split_of(task, PARE_SPLIT_VALID);
    const size_t sources = pri_sequences_at(&text->sources, 0).count,
                 targets = pri_sequences_at(&text->targets, 0).count;
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        bool of_columns = kind != PARE_ATTENTION_DECODER, of_rows = kind == PARE_ATTENTION_SELF;
        size_t rows = of_rows ? sources : targets, columns = of_columns ? sources : targets;
        assert_true(pare_average_geometry(ends[kind])->ends_first == of_columns);
        for (size_t row = 0; row < rows; row++)
            for (size_t column = 0; column < columns; column++) {
                size_t to_row = !of_rows || !row ? row : row + 1 == rows ? 1 : row + 1;
                size_t to_column = !of_columns || !column  ? column
                                   : column + 1 == columns ? 1
                                                           : column + 1;
                double expected =
                    pare_average_value(plain[kind], PARE_AVERAGE_VALID, 0, 1, row, column);
                double value =
                    pare_average_value(ends[kind], PARE_AVERAGE_VALID, 0, 1, to_row, to_column);
                assert_true(isnan(value) == isnan(expected));
                if (!isnan(expected))
                    assert_near(value, expected, 1e-6);
            }
    }
    destroy_averages(plain);
    destroy_averages(ends);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void assert_same_averages(const pare_average *a, const pare_average *b, double tolerance)
{
    const pare_geometry *g = pare_average_geometry(a);
    assert_int_equal(pare_average_examples(a), pare_average_examples(b));
    for (size_t head = 0; head < g->layers * g->heads; head++)
        for (size_t row = 0; row < g->queries; row++)
            for (size_t column = 0; column < g->keys; column++) {
                double left = pare_average_value(a, PARE_AVERAGE_VALID, head / g->heads,
                                                 head % g->heads, row, column);
                double right = pare_average_value(b, PARE_AVERAGE_VALID, head / g->heads,
                                                  head % g->heads, row, column);
                assert_true(isnan(left) == isnan(right));
                if (!isnan(left))
                    assert_near(left, right, tolerance);
            }
}

static void averages_of_parts_merge_into_that_of_the_whole(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    write_language("whole.so", "whole.ta", 10, 8, false);
    options.train = (pare_parallel_files){path_of("whole.so"), path_of("whole.ta")};
    /* The same sentences in two files. */
    FILE *files[4] = {fopen(path_of("whole.so"), "r"), fopen(path_of("whole.ta"), "r")};
    const char *const names[] = {"part0.so", "part0.ta", "part1.so", "part1.ta"};
    char line[256];
    for (int side = 0; side < 2; side++) {
        FILE *parts[] = {fopen(path_of(names[side]), "w"), fopen(path_of(names[2 + side]), "w")};
        for (int i = 0; fgets(line, sizeof line, files[side]); i++)
            fputs(line, parts[i >= 4]);
        fclose(parts[0]);
        fclose(parts[1]);
        fclose(files[side]);
    }
    options.valid = (pare_parallel_files){path_of("part0.so"), path_of("part0.ta")};
    options.test = (pare_parallel_files){path_of("part1.so"), path_of("part1.ta")};
    pare_task *task = create(options);
    pare_model *model = create_model(task, 0.2f);
    pare_average *whole[PARE_ATTENTION_KINDS], *first[PARE_ATTENTION_KINDS],
        *second[PARE_ATTENTION_KINDS];
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, true, NULL, whole));
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_VALID, true, NULL, first));
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TEST, true, NULL, second));
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        check_ok(pare_average_merge(first[kind], second[kind]));
        assert_same_averages(first[kind], whole[kind], 1e-6);
    }
    destroy_averages(whole);
    destroy_averages(first);
    destroy_averages(second);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

static void make_masks(pare_average *const averages[PARE_ATTENTION_KINDS],
                       pare_mask *masks[PARE_ATTENTION_KINDS])
{
    const pare_prune_options options = {.percent = 50};
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        check_ok(pare_mask_create(averages[kind], &options, &masks[kind]));
}

static void set_masks(pare_model *model, pare_mask *const masks[PARE_ATTENTION_KINDS])
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        check_ok(pare_model_set_mask(model, (pare_attention_kind)kind, masks[kind]));
}

static void observation_is_dense_and_puts_masks_back(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0.2f);
    pare_average *dense[PARE_ATTENTION_KINDS], *again[PARE_ATTENTION_KINDS];
    pare_mask *masks[PARE_ATTENTION_KINDS];
    pare_evaluation before, pruned, after;
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &before));
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, false, NULL, dense));
    make_masks(dense, masks);
    set_masks(model, masks);
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &pruned));
    assert_true(fabs(pruned.loss - before.loss) > 1e-4);
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, false, NULL, again));
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        assert_same_averages(again[kind], dense[kind], 0);
        assert_ptr_equal(pare_model_mask(model, (pare_attention_kind)kind), masks[kind]);
    }
    check_ok(pare_task_evaluate(task, model, tape, PARE_SPLIT_VALID, NULL, &after));
    assert_true(after.loss == pruned.loss && after.metric == pruned.metric);
    set_masks(model, (pare_mask *[PARE_ATTENTION_KINDS]){NULL});
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_mask_destroy(masks[kind]);
    destroy_averages(dense);
    destroy_averages(again);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* F1: the reference averages with all dropouts on. */
static void observation_has_no_dropout(void **state)
{
    (void)state;
    pare_task *task = create(language_options(false));
    pare_model *model = create_model(task, 0.2f);
    pare_average *without[PARE_ATTENTION_KINDS], *with[PARE_ATTENTION_KINDS];
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, false, NULL, without));
    check_ok(pare_marian_set_dropout(model, 0.3f, 0.3f, 0.3f));
    check_ok(pare_task_observe(task, model, tape, PARE_SPLIT_TRAIN, false, NULL, with));
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        assert_same_averages(with[kind], without[kind], 0);
    destroy_averages(without);
    destroy_averages(with);
    pare_model_destroy(model);
    pare_task_destroy(task);
}

/* ---- Translating lines ---- */

typedef struct line_translator {
    pare_task *task;
    pare_model *model;
    pare_translator *translator;
    const pare_translation_tokenizers *tokenizers;
} line_translator;

static line_translator open_lines(pare_translation_options options)
{
    line_translator opened = {.task = create(options)};
    opened.model = create_model(opened.task, 0.2f);
    opened.tokenizers = pare_translation_tokenizers_of(opened.task);
    check_ok(pare_translator_create(opened.model, PARE_PRECISION_FP32, &opened.translator));
    return opened;
}

static void close_lines(line_translator *opened)
{
    pare_translator_destroy(opened->translator);
    pare_model_destroy(opened->model);
    pare_task_destroy(opened->task);
}

static pare_source_text source_text(const char *text)
{
    return (pare_source_text){text, strlen(text)};
}

static pare_translated_texts translate(const line_translator *used, const char *const *texts,
                                       size_t count, const pare_translate_options *options)
{
    pare_source_text sources[16];
    pare_translated_texts translated;
    for (size_t i = 0; i < count; i++)
        sources[i] = source_text(texts[i]);
    check_ok(pare_translate_texts(used->translator, used->tokenizers, sources, count, options,
                                  &translated));
    assert_int_equal(translated.count, count);
    assert_int_equal(translated.n_best, options->n_best);
    return translated;
}

static void assert_same_hypothesis(const pare_hypothesis *a, const pare_hypothesis *b)
{
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->tokens, b->tokens, a->length * sizeof *a->tokens);
    assert_true(a->score == b->score && a->log_probability == b->log_probability);
}

static void lines_are_translated_as_each_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {"ba ke mo", "",          "ri",          "tu so ba ba ke ri",
                                        "   ",      "x \xff ba", "ke ke ke ke", "ba ke mo"};
    enum { COUNT = sizeof texts / sizeof *texts, BEST = 3 };
    for (int separate = 0; separate < 2; separate++) {
        pare_translation_options options = language_options(false);
        options.separate_vocabularies = separate;
        options.tokenizer.size = 40;
        line_translator used = open_lines(options);
        pare_translate_options decoding = pare_translate_options_default();
        decoding.n_best = BEST;
        decoding.batch = 2;
        pare_translated_texts all = translate(&used, texts, COUNT, &decoding);
        assert_int_equal(all.cut_count, 0);
        for (size_t i = 0; i < COUNT; i++) {
            pare_translated_texts alone = translate(&used, &texts[i], 1, &decoding);
            assert_false(all.cut[i]);
            for (size_t n = 0; n < BEST; n++) {
                const pare_hypothesis *hypothesis = &all.hypotheses[i * BEST + n];
                assert_same_hypothesis(hypothesis, &alone.hypotheses[n]);
                bool empty = i == 1 || i == 4;
                assert_true((all.texts[i * BEST + n] == NULL) == (empty && n));
                if (!all.texts[i * BEST + n])
                    continue;
                assert_string_equal(all.texts[i * BEST + n], alone.texts[n]);
                char *decoded;
                check_ok(pare_bpe_decode(used.tokenizers->target, hypothesis->tokens,
                                         hypothesis->length, &decoded));
                assert_string_equal(all.texts[i * BEST + n], decoded);
                free(decoded);
                assert_true(empty ? !hypothesis->length && hypothesis->score == 0
                                  : hypothesis->length > 0);
                assert_true(!n || hypothesis->score <= hypothesis[-1].score);
            }
            pare_translated_texts_free(&alone);
        }
        assert_string_equal(all.texts[BEST], "");
        assert_string_equal(all.texts[0], all.texts[7 * BEST]);
        pare_translated_texts_free(&all);
        close_lines(&used);
    }
}

/* What evaluation scores is what lines give. */
static void lines_give_what_evaluation_scores(void **state)
{
    (void)state;
    pare_translation_options options = language_options(true);
    options.valid = options.train;
    line_translator used = open_lines(options);
    pare_translator_destroy(used.translator);
    train(used.task, used.model, 30, 3e-3); /* somewhere between nothing and all */
    check_ok(pare_translator_create(used.model, PARE_PRECISION_FP32, &used.translator));
    pare_evaluation evaluation;
    check_ok(pare_task_evaluate(used.task, used.model, tape, PARE_SPLIT_TEST, NULL, &evaluation));
    pare_scorer *scorer;
    check_ok(pare_scorer_create(NULL, &scorer));
    pare_lines *lines;
    const char *line;
    size_t length;
    check_ok(pare_lines_open(path_of("test.so"), &lines));
    for (size_t i = 0;; i++) {
        check_ok(pare_lines_next(lines, &line, &length));
        if (!line)
            break;
        pare_source_text source = {line, length};
        pare_translated_texts translated;
        check_ok(pare_translate_texts(used.translator, used.tokenizers, &source, 1,
                                      &options.decoding, &translated));
        size_t reference_length;
        const char *reference =
            pri_parallel_reference(split_of(used.task, PARE_SPLIT_TEST), i, &reference_length);
        check_ok(pare_scorer_add(scorer, translated.texts[0], strlen(translated.texts[0]),
                                 reference, reference_length));
        pare_translated_texts_free(&translated);
    }
    pare_lines_close(lines);
    pare_translation_score score;
    pare_scorer_score(scorer, &score);
    assert_int_equal(score.segments, 7);
    assert_true(score.chrf > 1);
    assert_near(evaluation.more[1].value, score.chrf, 1e-9);
    assert_near(evaluation.metric, score.tokenised_bleu, 1e-9);
    pare_scorer_destroy(scorer);
    close_lines(&used);
}

/* As many words as the model has positions, </s> taken off, are the whole of what it sees; and a
 * mask of cells may leave it fewer. */
static void long_lines_are_cut_and_said_to_be(void **state)
{
    (void)state;
    line_translator used = open_lines(language_options(false));
    pare_translate_options options = pare_translate_options_default();
    char whole[4 * LONGEST], longer[8 * LONGEST] = "", part[64] = "";
    pare_pieces pieces = {0};
    check_ok(pare_bpe_encode(used.tokenizers->source, "ba ke", 5, &pieces));
    assert_int_equal(pieces.count, 2); /* a word is a piece */
    pare_pieces_free(&pieces);
    for (size_t i = 0; i < LONGEST - 1; i++)
        strcat(longer, i % 2 ? "ke " : "ba ");
    memcpy(whole, longer, strlen(longer) + 1);
    strcat(longer, "mo so ri");
    const char *const texts[] = {whole, longer, "ba"};
    pare_translated_texts translated = translate(&used, texts, 3, &options);
    assert_int_equal(translated.cut_count, 1);
    assert_true(!translated.cut[0] && translated.cut[1] && !translated.cut[2]);
    assert_same_hypothesis(&translated.hypotheses[0], &translated.hypotheses[1]);
    pare_translated_texts_free(&translated);

    pare_average *averages[PARE_ATTENTION_KINDS];
    pare_mask *masks[PARE_ATTENTION_KINDS];
    check_ok(
        pare_task_observe(used.task, used.model, tape, PARE_SPLIT_TRAIN, false, NULL, averages));
    make_masks(averages, masks);
    size_t keys = pare_average_geometry(averages[PARE_ATTENTION_CROSS])->keys;
    assert_true(keys < LONGEST);
    for (size_t i = 0; i < keys - 1; i++)
        strcat(part, i % 2 ? "ke " : "ba ");
    const pare_attention_kind limiting[] = {PARE_ATTENTION_SELF, PARE_ATTENTION_CROSS};
    for (size_t i = 0; i < 2; i++) {
        const char *const cut_texts[] = {whole, part};
        check_ok(pare_model_set_mask(used.model, limiting[i], masks[limiting[i]]));
        translated = translate(&used, cut_texts, 2, &options);
        assert_true(translated.cut[0] && !translated.cut[1]);
        assert_same_hypothesis(&translated.hypotheses[0], &translated.hypotheses[1]);
        pare_translated_texts_free(&translated);
        check_ok(pare_model_set_mask(used.model, limiting[i], NULL));
    }
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_mask_destroy(masks[kind]);
    destroy_averages(averages);
    close_lines(&used);
}

static void impossible_translations_are_refused(void **state)
{
    (void)state;
    line_translator used = open_lines(language_options(false));
    const pare_translate_options good = pare_translate_options_default();
    pare_translate_options options = good;
    pare_translated_texts translated;
    options.length_factor = options.length_extra = 0;
    assert_fails(
        pare_translate_texts(used.translator, used.tokenizers, NULL, 0, &options, &translated),
        PARE_ERROR_ARGUMENT, "have no room for a word");
    options = good;
    options.beam = 10000;
    assert_fails(
        pare_translate_texts(used.translator, used.tokenizers, NULL, 0, &options, &translated),
        PARE_ERROR_ARGUMENT, "a beam of 10000 hypotheses cannot be searched");
    options = good;
    options.n_best = 6;
    assert_fails(
        pare_translate_texts(used.translator, used.tokenizers, NULL, 0, &options, &translated),
        PARE_ERROR_ARGUMENT, "6 hypotheses of each sentence are wanted, of a beam of 5");
    options.n_best = 0;
    assert_fails(
        pare_translate_texts(used.translator, used.tokenizers, NULL, 0, &options, &translated),
        PARE_ERROR_ARGUMENT, "hypotheses");
    assert_null(translated.texts);
    check_ok(pare_translate_texts(used.translator, used.tokenizers, NULL, 0, &good, &translated));
    assert_int_equal(translated.count, 0);
    pare_translated_texts_free(&translated);

    pare_translation_options others = language_options(false);
    others.tokenizer.size = 34;
    line_translator small = open_lines(others);
    assert_fails(
        pare_translate_texts(small.translator, used.tokenizers, NULL, 0, &good, &translated),
        PARE_ERROR_ARGUMENT, "use the tokenizer the model was trained with");
    close_lines(&small);
    close_lines(&used);
}

/* ---- Explanations ---- */

static void an_explanation_is_the_attention_of_the_pair(void **state)
{
    (void)state;
    pare_translation_options options = language_options(false);
    options.valid = (pare_parallel_files){write_file("single.so", "ba ke mo ri tu\n"),
                                          write_file("single.ta", "eins zwei drei\n")};
    line_translator used = open_lines(options);
    const pri_parallel_text *text = split_of(used.task, PARE_SPLIT_VALID);
    pri_token_span source = pri_sequences_at(&text->sources, 0),
                   target = pri_sequences_at(&text->targets, 0);
    const pare_source_text line = source_text("ba ke mo ri tu");
    pare_average *averages[PARE_ATTENTION_KINDS];
    pare_translation_explanation explanation;
    check_ok(
        pare_task_observe(used.task, used.model, tape, PARE_SPLIT_VALID, false, NULL, averages));
    check_ok(pare_translate_explain(used.model, tape, used.tokenizers, &line, target.ids,
                                    target.count, &explanation));
    assert_int_equal(explanation.source_count, source.count);
    assert_int_equal(explanation.target_count, target.count);
    assert_string_equal(explanation.source[0], "ba</w>");
    assert_string_equal(explanation.source[source.count - 1], "</s>");
    assert_string_equal(explanation.target[0], "eins</w>");
    assert_string_equal(explanation.target[target.count - 1], "</s>");
    const pare_geometry *geometry = pare_average_geometry(explanation.average);
    assert_int_equal(geometry->queries, target.count);
    assert_int_equal(geometry->keys, source.count);
    for (size_t row = 0; row < target.count; row++)
        for (size_t column = 0; column < source.count; column++)
            assert_near(
                pare_average_value(explanation.average, PARE_AVERAGE_VALID, 0, 1, row, column),
                pare_average_value(averages[PARE_ATTENTION_CROSS], PARE_AVERAGE_VALID, 0, 1, row,
                                   column),
                1e-7);
    pare_translation_explanation_free(&explanation);
    destroy_averages(averages);
    close_lines(&used);
}

static void an_explanation_shows_the_mask(void **state)
{
    (void)state;
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        line_translator used = open_lines(language_options(false));
        pare_average *averages[PARE_ATTENTION_KINDS];
        pare_mask *masks[PARE_ATTENTION_KINDS];
        check_ok(pare_task_observe(used.task, used.model, tape, PARE_SPLIT_TRAIN, ends_first, NULL,
                                   averages));
        make_masks(averages, masks);
        set_masks(used.model, masks);
        const char *line = "ba ke mo ri tu so";
        pare_translate_options options = pare_translate_options_default();
        pare_translated_texts translated = translate(&used, &line, 1, &options);
        const pare_hypothesis *best = &translated.hypotheses[0];
        pare_source_text source = source_text(line);
        pare_translation_explanation explanation;
        check_ok(pare_translate_explain(used.model, tape, used.tokenizers, &source, best->tokens,
                                        best->length, &explanation));
        const pare_geometry *g = pare_average_geometry(explanation.average);
        assert_true(g->ends_first == (ends_first == 1));
        size_t pruned = 0;
        for (size_t row = 0; row < g->queries; row++)
            for (size_t column = 0; column < g->keys; column++) {
                bool kept = pare_mask_kept(masks[PARE_ATTENTION_CROSS], 0, 0, row, column);
                double value =
                    pare_average_value(explanation.average, PARE_AVERAGE_VALID, 0, 0, row, column);
                pruned += !kept;
                assert_true(kept ? value > 0 : value == 0);
            }
        assert_true(pruned > 0);
        pare_translation_explanation_free(&explanation);

        source = source_text("  ");
        assert_fails(pare_translate_explain(used.model, tape, used.tokenizers, &source,
                                            best->tokens, best->length, &explanation),
                     PARE_ERROR_ARGUMENT, "an empty text");
        source = source_text(line);
        assert_fails(pare_translate_explain(used.model, tape, used.tokenizers, &source, NULL, 0,
                                            &explanation),
                     PARE_ERROR_ARGUMENT, "an empty translation");
        const uint32_t unknown[] = {4000, 2};
        assert_fails(pare_translate_explain(used.model, tape, used.tokenizers, &source, unknown, 2,
                                            &explanation),
                     PARE_ERROR_ARGUMENT, "token 0 is number 4000");
        assert_null(explanation.average);
        pare_translated_texts_free(&translated);
        set_masks(used.model, (pare_mask *[PARE_ATTENTION_KINDS]){NULL});
        for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
            pare_mask_destroy(masks[kind]);
        destroy_averages(averages);
        close_lines(&used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_come_from_two_files_or_a_table),
        cmocka_unit_test(different_texts_have_different_hashes),
        cmocka_unit_test(files_of_different_lengths_are_told_by_both_numbers),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(long_pairs_are_left_out_of_training_and_cut_elsewhere),
        cmocka_unit_test(a_model_directory_gets_its_tokenizers),
        cmocka_unit_test(merges_of_a_file_are_used),
        cmocka_unit_test(models_of_other_shapes_are_refused),
        cmocka_unit_test(a_learned_copy_has_a_bleu_of_100),
        cmocka_unit_test(the_training_loss_is_that_of_the_pairs_dealt),
        cmocka_unit_test(a_saved_position_goes_on_with_the_same_bits),
        cmocka_unit_test(evaluation_is_that_of_every_pair_alone),
        cmocka_unit_test(evaluation_stops_when_it_is_told_to),
        cmocka_unit_test(averages_of_all_kinds_add_up),
        cmocka_unit_test(ends_first_is_another_order),
        cmocka_unit_test(averages_of_parts_merge_into_that_of_the_whole),
        cmocka_unit_test(observation_is_dense_and_puts_masks_back),
        cmocka_unit_test(observation_has_no_dropout),
        cmocka_unit_test(lines_are_translated_as_each_alone),
        cmocka_unit_test(lines_give_what_evaluation_scores),
        cmocka_unit_test(long_lines_are_cut_and_said_to_be),
        cmocka_unit_test(impossible_translations_are_refused),
        cmocka_unit_test(an_explanation_is_the_attention_of_the_pair),
        cmocka_unit_test(an_explanation_shows_the_mask),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
