/* What steps of a search keep, against sorting all continuations: of made-up words, whose few
 * levels make many of them equal, and of a model, by the tape. */
#include "base/arithmetic.h"
#include "model_check.h"
#include "models/beam_search.h"

#define WORDS ((size_t)331)
#define END ((uint32_t)2)
#define LIMIT ((size_t)3)
#define WIDE ((size_t)300)

/* ---- The rules, plainly ---- */

typedef struct plain_hypothesis {
    uint32_t tokens[LIMIT];
    size_t length, order; /* order: in which it was listed */
    double sum, score;
} plain_hypothesis;

typedef struct plain_search {
    size_t beam, length, open_count, final_count;
    plain_hypothesis *open, *final, *all;
} plain_search;

static plain_search plain_begin(size_t beam)
{
    plain_search search = {.beam = beam,
                           .open_count = 1,
                           .open = calloc(beam, sizeof *search.open),
                           .final = calloc(2 * beam, sizeof *search.final),
                           .all = calloc(beam * WORDS, sizeof *search.all)};
    assert_true(search.open && search.final && search.all);
    return search;
}

static void plain_end(plain_search *search)
{
    free(search->open);
    free(search->final);
    free(search->all);
}

static int higher_score_first(const void *a, const void *b)
{
    const plain_hypothesis *left = a, *right = b;
    if (left->score != right->score)
        return left->score < right->score ? 1 : -1;
    return left->order < right->order ? -1 : 1;
}

static void sort(plain_hypothesis *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i].order = i;
    qsort(list, count, sizeof *list, higher_score_first);
}

static void list_one(plain_search *search, size_t from, uint32_t token, float log_probability,
                     size_t *count)
{
    plain_hypothesis *added = &search->all[(*count)++];
    *added = search->open[from];
    added->tokens[added->length++] = token;
    added->sum += (double)log_probability;
    added->score = added->sum / (double)added->length;
}

static size_t list_all(plain_search *search, const pri_decoder_result *results)
{
    size_t count = 0;
    for (size_t from = 0; from < search->open_count; from++) {
        const pri_decoder_result *result = &results[from];
        if (search->length == LIMIT)
            list_one(search, from, END, result->end - result->log_sum, &count);
        for (size_t i = 0; i < result->best.count && search->length < LIMIT; i++)
            list_one(search, from, result->best.words[i].word,
                     result->best.words[i].logit - result->log_sum, &count);
    }
    return count;
}

static void plain_advance(plain_search *search, const pri_decoder_result *results)
{
    search->length++;
    size_t count = list_all(search, results), open_count = 0;
    sort(search->all, count);
    for (size_t i = 0; i < pri_smaller(count, 2 * search->beam); i++) {
        bool is_final = search->all[i].tokens[search->length - 1] == END;
        if (is_final && i < search->beam)
            search->final[search->final_count++] = search->all[i];
        else if (!is_final && open_count < search->beam)
            search->open[open_count++] = search->all[i];
    }
    sort(search->final, search->final_count);
    search->final_count = pri_smaller(search->final_count, search->beam);
    search->open_count = open_count;
}

/* ---- Made-up words ---- */

typedef struct word_lists {
    pri_decoder_result *results;
    pri_word *words;
} word_lists;

static word_lists make_lists(size_t rows)
{
    word_lists lists = {calloc(rows, sizeof *lists.results),
                        calloc(rows * WORDS, sizeof *lists.words)};
    assert_true(lists.results && lists.words);
    for (size_t i = 0; i < rows; i++)
        lists.results[i].best.words = lists.words + i * WORDS;
    return lists;
}

static void free_lists(word_lists *lists)
{
    free(lists->results);
    free(lists->words);
}

/* At most 2 * beam words by falling level, of equal ones the smaller first; of some rows none. */
static void make_up(pri_decoder_result *result, size_t beam, size_t row, uint64_t key)
{
    size_t levels = 20, most = row % 9 == 4 ? 0 : pri_smaller(2 * beam, WORDS);
    result->best.count = 0;
    result->log_sum = 0.25f * (float)pri_random_below(key, WORDS + 1, 4);
    for (size_t level = 0; level < levels; level++)
        for (uint32_t word = 0; word < WORDS; word++) {
            if (pri_random_below(key, word, levels) != level)
                continue;
            float logit = -0.25f * (float)level;
            if (result->best.count < most)
                result->best.words[result->best.count++] = (pri_word){logit, word};
            if (word == END)
                result->end = logit;
        }
}

static void check_tokens(const pri_final_hypothesis *found, const pri_tree *tree,
                         const plain_hypothesis *expected)
{
    uint32_t tokens[LIMIT];
    float log_probabilities[LIMIT];
    assert_int_equal(found->length, expected->length);
    pri_search_write(found, tree, tokens, log_probabilities);
    assert_memory_equal(tokens, expected->tokens, expected->length * sizeof *tokens);
    assert_true(found->log_probability == expected->sum);
}

static void check_search(const pri_search *search, const pri_tree *tree,
                         const plain_search *expected)
{
    assert_int_equal(search->open_count, expected->open_count);
    assert_int_equal(search->final_count, expected->final_count);
    for (size_t i = 0; i < search->final_count; i++)
        check_tokens(&search->final[i], tree, &expected->final[i]);
    for (size_t i = 0; i < search->open_count; i++) {
        const pri_open_hypothesis *open = &search->open[i];
        const pri_node *node = &tree->nodes[open->node];
        pri_final_hypothesis path = {.node = node->parent,
                                     .last = node->token,
                                     .length = search->length,
                                     .log_probability = open->log_probability};
        check_tokens(&path, tree, &expected->open[i]);
    }
}

static void check_beam(size_t beam)
{
    pri_arena *arena = pri_arena_create();
    pri_tree tree = {.free = PRI_NO_NODE};
    pri_search search;
    pare_translate_options options = pare_translate_options_default();
    options.beam = beam;
    check_ok(pri_search_allocate(arena, &options, &search));
    search.limit = LIMIT;
    check_ok(pri_search_begin(&search, &tree, 0));
    const pri_search_ending ending = {.token = END, .last = END};
    plain_search expected = plain_begin(beam);
    word_lists lists = make_lists(beam);
    for (size_t length = 0; length < LIMIT; length++) {
        for (size_t i = 0; i < search.open_count; i++)
            make_up(&lists.results[i], beam, i, 1000 * (length + 1) + i + beam);
        plain_advance(&expected, lists.results);
        check_ok(pri_search_advance(&search, &tree, &ending, lists.results));
        check_search(&search, &tree, &expected);
    }
    assert_true(search.final_count > 0); /* or nothing was seen */
    pri_search_end(&search, &tree);
    free_lists(&lists);
    plain_end(&expected);
    pri_tree_release(&tree);
    pri_arena_destroy(arena);
}

static void what_is_kept_are_the_first_of_all_sorted(void **state)
{
    (void)state;
    for (size_t beam = 1; beam <= 9; beam++)
        check_beam(beam);
    check_beam(64);
    check_beam(WIDE);
}

/* ---- The best words of a row ---- */

static int better_word_first(const void *a, const void *b)
{
    const pri_word *left = a, *right = b;
    if (left->logit != right->logit)
        return left->logit < right->logit ? 1 : -1;
    return left->word < right->word ? -1 : 1;
}

static void check_scan(size_t levels, size_t capacity)
{
    const uint32_t excluded = 7;
    float logits[WORDS], bias[WORDS] = {0}, largest;
    pri_word sorted[WORDS], *words = calloc(capacity, sizeof *words);
    assert_non_null(words);
    for (uint32_t word = 0; word < WORDS; word++) {
        logits[word] = -(float)pri_random_below(levels, word, levels);
        sorted[word] = (pri_word){word == excluded ? -INFINITY : logits[word], word};
    }
    qsort(sorted, WORDS, sizeof *sorted, better_word_first);
    pri_best_words best = {.words = words, .capacity = capacity, .excluded = excluded};
    const pri_decoding_kernels *kernels = pri_decoding_kernels_for(context);
    kernels->scan(200, bias, logits, 0, &best, &largest);
    kernels->scan(WORDS - 200, bias, logits + 200, 200, &best, &largest);
    assert_int_equal(best.count, pri_smaller(capacity, WORDS - 1));
    for (size_t i = 0; i < best.count; i++)
        assert_int_equal(words[i].word, sorted[i].word);
    free(words);
}

static void the_best_words_are_the_first_of_all_sorted(void **state)
{
    (void)state;
    for (size_t capacity = 1; capacity < WORDS + 20; capacity = 2 * capacity + 1) {
        check_scan(20, capacity);
        check_scan(100000, capacity);
    }
}

/* ---- A model ---- */

static pare_model *create_small_marian(size_t words)
{
    pare_marian_config config = pare_marian_config_default();
    config.source_vocabulary = config.target_vocabulary = words;
    config.encoder_layers = config.decoder_layers = 1;
    config.heads = 1;
    config.size = config.encoder_feed_forward = config.decoder_feed_forward = 8;
    config.positions = 8;
    config.end = END;
    config.initial_deviation = 0.5f;
    pare_model *model;
    check_ok(pare_marian_create(context, &config, 5, &model));
    return model;
}

static const uint32_t source[] = {12, 57, 9, END};
static const size_t source_offsets[] = {0, sizeof source / sizeof *source};

static void read_tape(pare_model *model, const plain_hypothesis *open, pri_decoder_result *result)
{
    uint32_t target[LIMIT + 1], padding = pare_marian_config_of(model)->padding;
    memcpy(target, open->tokens, open->length * sizeof *target);
    target[open->length] = END;
    size_t offsets[] = {0, open->length + 1};
    pare_translation_batch batch = {1, source_offsets, source, offsets, target};
    pare_tape_begin(tape, false, 0);
    pare_tensor *logits = pare_translation_logits(model, tape, &batch);
    check_ok(pare_tape_status(tape));
    const float *row = logits->value + open->length * logits->columns;
    double sum = 0.0;
    result->best.count = 0;
    for (uint32_t word = 0; word < WORDS; word++) {
        sum += exp((double)row[word]);
        if (word != padding)
            result->best.words[result->best.count++] = (pri_word){row[word], word};
    }
    qsort(result->best.words, result->best.count, sizeof *result->best.words, better_word_first);
    result->end = row[END];
    result->log_sum = (float)log(sum);
}

static plain_search search_by_tape(pare_model *model)
{
    plain_search search = plain_begin(WIDE);
    word_lists lists = make_lists(WIDE);
    while (search.length < LIMIT) {
        for (size_t i = 0; i < search.open_count; i++)
            read_tape(model, &search.open[i], &lists.results[i]);
        plain_advance(&search, lists.results);
    }
    free_lists(&lists);
    return search;
}

static void a_beam_of_hundreds_keeps_what_sorting_keeps(void **state)
{
    (void)state;
    pare_model *model = create_small_marian(WORDS);
    pare_translator *translator;
    check_ok(pare_translator_create(model, PARE_PRECISION_FP32, &translator));
    pare_translate_options options = pare_translate_options_default();
    options.limit = PARE_LIMIT_END;
    options.beam = options.n_best = WIDE;
    options.length_factor = 0.0;
    options.length_extra = (double)LIMIT;
    options.stop = PARE_STOP_HOPELESS;
    const pare_ragged sources = {source_offsets, 1};
    pare_translations found;
    check_ok(pare_translate(translator, &sources, source, &options, &found));
    plain_search expected = search_by_tape(model);
    assert_int_equal(expected.final_count, WIDE);
    assert_int_equal(found.steps, LIMIT);
    for (size_t i = 0; i < WIDE; i++)
        assert_true(fabs(found.hypotheses[i].score - expected.final[i].score) < 1e-4);
    plain_end(&expected);
    pare_translations_free(&found);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void wider_beams_are_refused(void **state)
{
    (void)state;
    pare_model *model = create_small_marian(PARE_BEAM_MAX + 200);
    pare_translator *translator;
    check_ok(pare_translator_create(model, PARE_PRECISION_FP32, &translator));
    pare_translate_options options = pare_translate_options_default();
    const pare_ragged sources = {source_offsets, 1};
    pare_translations found;
    options.beam = PARE_BEAM_MAX + 1;
    assert_fails(pare_translate(translator, &sources, source, &options, &found),
                 PARE_ERROR_ARGUMENT,
                 "a beam of 1001 hypotheses cannot be searched; give 1 to 1000");
    options.beam = PARE_BEAM_MAX;
    options.length_factor = 0.0;
    options.length_extra = 2.0;
    check_ok(pare_translate(translator, &sources, source, &options, &found));
    pare_translations_free(&found);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_kept_are_the_first_of_all_sorted, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(the_best_words_are_the_first_of_all_sorted, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(a_beam_of_hundreds_keeps_what_sorting_keeps, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(wider_beams_are_refused, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
