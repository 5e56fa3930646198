/* Translation at work against the tape: every token's log-probability of every hypothesis equals
 * that of the teacher-forced pass, with masks of all kinds and geometries; beam search against
 * greedy choice and exhaustive search; the same bits for threads and batches. */
#include "base/random.h"
#include "model_check.h"
#include "models/marian.h"

#define VOCABULARY ((size_t)83)
#define POSITIONS ((size_t)40)
#define HEADS ((size_t)3)
#define SENTENCES ((size_t)7)

static const size_t lengths[SENTENCES] = {9, 1, 26, 4, 17, 2, 11};

/* Nothing is a multiple of a vector or a tile. */
static pare_marian_config translation_config(void)
{
    pare_marian_config config = pare_marian_config_default();
    config.source_vocabulary = config.target_vocabulary = VOCABULARY;
    config.encoder_layers = 2;
    config.decoder_layers = 3;
    config.heads = HEADS;
    config.size = HEADS * 14;
    config.encoder_feed_forward = 67;
    config.decoder_feed_forward = 53;
    config.positions = POSITIONS;
    config.initial_deviation = 0.2f;
    return config;
}

static pare_model *translation_model(const pare_marian_config *config)
{
    pare_model *model;
    check_ok(pare_marian_create(context, config, 5, &model));
    /* Biases and offsets start at 0, where leaving one out would not show. */
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (parameters[i].tensor.rows == 1)
            for (size_t j = 0; j < parameters[i].tensor.columns; j++)
                parameters[i].tensor.value[j] += (float)(0.4 * pri_random_uniform(i + 1, j)) - 0.2f;
    float *bias = (float *)(uintptr_t)pri_marian_of(model)->output_bias;
    for (size_t word = 0; word < config->target_vocabulary; word++)
        bias[word] = (float)(0.3 * pri_random_uniform(99, word));
    return model;
}

static pare_translator *translator_of(pare_model *model, pare_precision precision)
{
    pare_translator *translator;
    check_ok(pare_translator_create(model, precision, &translator));
    return translator;
}

/* ---- Sources ---- */

typedef struct sources {
    size_t offsets[SENTENCES + 1];
    uint32_t *tokens;
    pare_ragged ragged;
} sources;

static sources *make_sources(const size_t *of, size_t count)
{
    sources *made = malloc(sizeof *made);
    assert_non_null(made);
    made->offsets[0] = 0;
    for (size_t n = 0; n < count; n++)
        made->offsets[n + 1] = made->offsets[n] + of[n];
    made->tokens = random_tokens(made->offsets[count], VOCABULARY - 3);
    for (size_t i = 0; i < made->offsets[count]; i++)
        made->tokens[i] += 3;
    for (size_t n = 0; n < count; n++)
        made->tokens[made->offsets[n + 1] - 1] = 2;
    made->ragged = (pare_ragged){made->offsets, count};
    return made;
}

static void free_sources(sources *made)
{
    free(made->tokens);
    free(made);
}

static pare_translate_options options_of(size_t beam)
{
    pare_translate_options options = pare_translate_options_default();
    options.beam = options.n_best = beam;
    options.length_extra = 4.0;
    options.limit = PARE_LIMIT_END;
    return options;
}

/* ---- Against the tape ---- */

/* log softmax(logits)[word] */
static double log_probability(const float *logits, size_t count, uint32_t word)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, (double)logits[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - largest);
    return (double)logits[word] - largest - log(sum);
}

/* Largest difference of a log-probability. */
static double compare_with_tape(pare_model *model, const sources *from, size_t sentence,
                                const pare_hypothesis *found)
{
    const pare_marian_config *config = pare_marian_config_of(model);
    size_t begin = from->offsets[sentence];
    size_t source[] = {0, from->offsets[sentence + 1] - begin}, target[] = {0, found->length};
    pare_translation_batch batch = {1, source, from->tokens + begin, target, found->tokens};
    pare_tape_begin(tape, false, 0);
    pare_tensor *logits = pare_translation_logits(model, tape, &batch);
    check_ok(pare_tape_status(tape));
    double most = 0.0, sum = 0.0;
    for (size_t i = 0; i < found->length; i++) {
        double expected =
            log_probability(logits->value + i * logits->columns, logits->columns, found->tokens[i]);
        most = fmax(most, fabs(expected - (double)found->log_probabilities[i]));
        sum += (double)found->log_probabilities[i];
        assert_int_not_equal(found->tokens[i], config->padding);
        assert_true((found->tokens[i] == config->end) == (i + 1 == found->length));
    }
    assert_true(fabs(sum - found->log_probability) < 1e-9);
    return most;
}

static void check_against_tape(pare_model *model, pare_translator *translator, double tolerance)
{
    sources *from = make_sources(lengths, SENTENCES);
    pare_translate_options options = options_of(4);
    pare_translations found;
    check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &found));
    assert_int_equal(found.sentences, SENTENCES);
    assert_int_equal(found.n_best, 4);
    size_t longest = 0;
    for (size_t i = 0; i < SENTENCES * 4; i++) {
        const pare_hypothesis *hypothesis = &found.hypotheses[i];
        assert_true(hypothesis->length >= 1 && hypothesis->length <= lengths[i / 4] + 4);
        longest = hypothesis->length > longest ? hypothesis->length : longest;
        double off = compare_with_tape(model, from, i / 4, hypothesis);
        if (!(off <= tolerance))
            fail_msg("hypothesis %zu of %zu tokens is off by %g", i, hypothesis->length, off);
        if (i % 4)
            assert_true(hypothesis[-1].score >= hypothesis->score);
    }
    assert_true(longest > 10); /* or long rows were not seen */
    pare_translations_free(&found);
    assert_null(found.hypotheses);
    free_sources(from);
}

#define FP32_TOLERANCE 1e-4

static void check_config(const pare_marian_config *config)
{
    pare_model *model = translation_model(config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    check_against_tape(model, translator, FP32_TOLERANCE);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void equals_the_tape(void **state)
{
    (void)state;
    for (int pre_norm = 0; pre_norm < 2; pre_norm++)
        for (int fairseq = 0; fairseq < 2; fairseq++) {
            pare_marian_config config = translation_config();
            config.pre_norm = pre_norm;
            config.sinusoids = fairseq ? PARE_SINUSOIDS_FAIRSEQ : PARE_SINUSOIDS_MARIAN;
            config.activation = fairseq ? PARE_ACTIVATION_RELU : PARE_ACTIVATION_SWISH;
            config.sharing = fairseq ? PARE_SHARE_NONE : PARE_SHARE_ALL;
            check_config(&config);
        }
}

static void memory_is_kept(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    assert_ptr_equal(pare_translator_model(translator), model);
    size_t packed = pare_translator_bytes(translator), bytes = 0;
    for (int i = 0; i < 4; i++) {
        check_against_tape(model, translator, FP32_TOLERANCE);
        if (i == 2)
            bytes = pare_translator_bytes(translator);
    }
    assert_true(bytes > packed);
    assert_int_equal(pare_translator_bytes(translator), bytes);
    assert_true(pare_translator_attention_seconds(translator) > 0.0);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void equals_the_tape_with_heads_of_any_size(void **state)
{
    (void)state;
    const size_t sizes[] = {8, 34, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pare_marian_config config = translation_config();
        config.size = sizes[i] * config.heads;
        config.initial_deviation = 0.1f;
        check_config(&config);
    }
}

static void equals_the_tape_at_every_level(void **state)
{
    (void)state;
    stop();
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context_options options = {.threads = 2, .level = pare_level_name((pare_level)level)};
        check_ok(pare_context_create(&options, &context));
        check_ok(pare_tape_create(context, &tape));
        pare_marian_config config = translation_config();
        check_config(&config);
        stop();
    }
    start_with_threads(2);
}

static void bf16_is_near(void **state)
{
    (void)state;
    if (pare_context_check_precision(context, PARE_PRECISION_BF16) != PARE_OK)
        skip();
    pare_marian_config config = translation_config();
    config.initial_deviation = 0.1f;
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_BF16);
    check_against_tape(model, translator, 0.1);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

/* ---- Masks ---- */

/* Of random averages, in which near keys are no likelier to be kept than far ones. */
static pare_mask *random_mask(const pare_geometry *geometry, const pare_prune_options *options)
{
    pare_average *average;
    pare_mask *mask;
    check_ok(pare_average_create(geometry, &average));
    for (size_t layer = 0; layer < geometry->layers; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        size_t cells = geometry->queries * geometry->keys;
        for (size_t head = 0; head < geometry->heads; head++)
            for (size_t cell = 0; cell < cells; cell++) {
                if (geometry->causal && cell % geometry->keys > cell / geometry->keys)
                    continue;
                observer.sums[head * cells + cell] =
                    pri_random_uniform(layer * geometry->heads + head + 1, cell);
                if (observer.counts && !head)
                    observer.counts[cell] = 1;
            }
    }
    pare_average_add_examples(average, 1);
    check_ok(pare_mask_create(average, options, &mask));
    pare_average_destroy(average);
    return mask;
}

static pare_mask *set_random_mask(pare_model *model, pare_attention_kind kind, bool ends_first,
                                  const pare_prune_options *options)
{
    pare_geometry geometry = pare_model_attention_geometry(model, kind, POSITIONS);
    geometry.ends_first = ends_first;
    if (kind == PARE_ATTENTION_CROSS) { /* still enough for the longest translation */
        geometry.queries = POSITIONS - 7;
        geometry.ratio = 0.8;
    }
    pare_mask *mask = random_mask(&geometry, options);
    check_ok(pare_model_set_mask(model, kind, mask));
    return mask;
}

typedef struct mask_choice {
    bool ends_first[PARE_ATTENTION_KINDS];
    pare_prune_options options[PARE_ATTENTION_KINDS];
} mask_choice;

static void check_masks(const mask_choice *choice)
{
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    pare_mask *masks[PARE_ATTENTION_KINDS];
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        masks[kind] = set_random_mask(model, (pare_attention_kind)kind, choice->ends_first[kind],
                                      &choice->options[kind]);
    check_against_tape(model, translator, FP32_TOLERANCE);
    /* One after the other dense again, from the same packed weights. */
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        check_ok(pare_model_set_mask(model, (pare_attention_kind)kind, NULL));
        check_against_tape(model, translator, FP32_TOLERANCE);
        pare_mask_destroy(masks[kind]);
    }
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void cell_masks_are_used(void **state)
{
    (void)state;
    for (int ends = 0; ends < 4; ends++) {
        pare_prune_options cells = {.percent = 70.0};
        check_masks(&(mask_choice){.ends_first = {ends & 1, false, ends >> 1},
                                   .options = {cells, cells, cells}});
    }
}

static void rows_without_cells_are_those_of_the_tape(void **state)
{
    (void)state;
    const pare_empty_row treatments[] = {PARE_EMPTY_ROW_ZERO, PARE_EMPTY_ROW_UNIFORM};
    for (size_t i = 0; i < 2; i++) {
        pare_prune_options cells = {.percent = 95.0, .empty_row = treatments[i]};
        check_masks(&(mask_choice){.ends_first = {i, false, i}, .options = {cells, cells, cells}});
    }
}

static void distance_and_relative_masks_are_used(void **state)
{
    (void)state;
    pare_prune_options relative = {.percent = 60.0, .geometry = PARE_GEOMETRY_RELATIVE};
    pare_prune_options distance = {.percent = 60.0, .geometry = PARE_GEOMETRY_DISTANCE};
    check_masks(&(mask_choice){.ends_first = {true, false, true},
                               .options = {relative, distance, relative}});
}

/* A mask changes what is found, or the tests above would prove nothing. */
static void masks_matter(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, 1);
    pare_translate_options options = options_of(1);
    pare_translations dense, pruned;
    check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &dense));
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        pare_mask *mask = set_random_mask(model, (pare_attention_kind)kind, false,
                                          &(pare_prune_options){.percent = 90.0});
        check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &pruned));
        assert_true(fabs(pruned.hypotheses->score - dense.hypotheses->score) > 1e-3);
        pare_translations_free(&pruned);
        check_ok(pare_model_set_mask(model, (pare_attention_kind)kind, NULL));
        pare_mask_destroy(mask);
    }
    pare_translations_free(&dense);
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void sources_longer_than_a_cell_mask_are_refused(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, SENTENCES);
    pare_translate_options options = options_of(2);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        pare_geometry geometry =
            pare_model_attention_geometry(model, (pare_attention_kind)kind, 12);
        pare_mask *mask = random_mask(&geometry, &(pare_prune_options){.percent = 50.0});
        check_ok(pare_model_set_mask(model, (pare_attention_kind)kind, mask));
        pare_translations found;
        pare_status status =
            pare_translate(translator, &from->ragged, from->tokens, &options, &found);
        if (kind == PARE_ATTENTION_DECODER) { /* which limits translations instead */
            check_ok(status);
            for (size_t i = 0; i < found.sentences * found.n_best; i++)
                assert_true(found.hypotheses[i].length <= 12);
        } else {
            assert_fails(status, PARE_ERROR_ARGUMENT, "at most 12 tokens but one has 26");
            assert_null(found.hypotheses);
        }
        pare_translations_free(&found);
        check_ok(pare_model_set_mask(model, (pare_attention_kind)kind, NULL));
        pare_mask_destroy(mask);
    }
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

/* ---- Search ---- */

/* Logits of what follows `count` tokens of a translation. */
static void next_logits(pare_model *model, const sources *from, const uint32_t *tokens,
                        size_t count, float *logits)
{
    uint32_t target[POSITIONS] = {0};
    memcpy(target, tokens, count * sizeof *tokens);
    target[count] = pare_marian_config_of(model)->end;
    size_t offsets[] = {0, count + 1};
    pare_translation_batch batch = {1, from->offsets, from->tokens, offsets, target};
    pare_tape_begin(tape, false, 0);
    pare_tensor *all = pare_translation_logits(model, tape, &batch);
    check_ok(pare_tape_status(tape));
    memcpy(logits, all->value + count * all->columns, all->columns * sizeof *logits);
}

static void a_beam_of_one_is_greedy(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    for (size_t n = 0; n < SENTENCES; n++) {
        sources *from = make_sources(lengths + n, 1);
        pare_translate_options options = options_of(1);
        pare_translations found;
        check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &found));
        const pare_hypothesis *hypothesis = found.hypotheses;
        for (size_t i = 0; i < hypothesis->length && i + 1 < lengths[n] + 4; i++) {
            float logits[VOCABULARY];
            next_logits(model, from, hypothesis->tokens, i, logits);
            uint32_t best = 0;
            for (uint32_t word = 0; word < VOCABULARY; word++)
                if (word != config.padding && logits[word] > logits[best])
                    best = word;
            assert_int_equal(hypothesis->tokens[i], best);
        }
        pare_translations_free(&found);
        free_sources(from);
    }
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

/* Four words besides the end can be said; all others are impossible. */
#define SAID ((size_t)4)
#define TOY_LENGTH ((size_t)4)

static pare_model *toy_model(double end_bias)
{
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    float *bias = (float *)(uintptr_t)pri_marian_of(model)->output_bias;
    for (size_t word = 3 + SAID; word < VOCABULARY; word++)
        bias[word] = -INFINITY;
    bias[0] = -INFINITY;
    bias[config.end] = (float)end_bias;
    return model;
}

typedef struct exhaustive {
    pare_model *model;
    const sources *from;
    double penalty, best;
    uint32_t best_tokens[TOY_LENGTH];
    size_t best_length;
} exhaustive;

static void try_all(exhaustive *search, uint32_t *tokens, size_t count, double sum)
{
    float logits[VOCABULARY];
    uint32_t end = pare_marian_config_of(search->model)->end;
    next_logits(search->model, search->from, tokens, count, logits);
    tokens[count] = end;
    double total = sum + log_probability(logits, VOCABULARY, end);
    double score = total / pow((double)count + 1.0, search->penalty);
    if (score > search->best) {
        search->best = score;
        search->best_length = count + 1;
        memcpy(search->best_tokens, tokens, (count + 1) * sizeof *tokens);
    }
    if (count + 1 == TOY_LENGTH)
        return;
    for (uint32_t word = 3; word < 3 + SAID; word++) {
        tokens[count] = word;
        try_all(search, tokens, count + 1, sum + log_probability(logits, VOCABULARY, word));
    }
}

/* 64 prefixes of three words fit into the beam, so nothing is lost; nor does the search end early,
 * since fewer hypotheses than the beam can be final before the last step. */
static void a_wide_beam_finds_the_best(void **state)
{
    (void)state;
    size_t found_lengths = 0;
    for (int i = 0; i < 6; i++) {
        pare_model *model = toy_model(2.0 * i - 6.0);
        pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
        sources *from = make_sources(lengths + (size_t)i % SENTENCES, 1);
        pare_translate_options options = options_of(80);
        options.length_penalty = 0.3 * (i % 5);
        options.length_factor = 0.0;
        options.length_extra = TOY_LENGTH;
        options.n_best = 1;
        pare_translations found;
        check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &found));
        exhaustive search = {model, from, options.length_penalty, -INFINITY, {0}, 0};
        uint32_t tokens[TOY_LENGTH];
        try_all(&search, tokens, 0, 0.0);
        assert_true(fabs(found.hypotheses->score - search.best) < 1e-4);
        assert_int_equal(found.hypotheses->length, search.best_length);
        assert_memory_equal(found.hypotheses->tokens, search.best_tokens,
                            search.best_length * sizeof *search.best_tokens);
        found_lengths |= 1u << search.best_length;
        pare_translations_free(&found);
        free_sources(from);
        pare_translator_destroy(translator);
        pare_model_destroy(model);
    }
    assert_true(found_lengths & (found_lengths - 1)); /* more than one length was best */
}

/* The last token and its log-probability of every hypothesis that reaches the limit. */
static void expect_at_the_limit(uint32_t forced_end, pare_limit_rule rule, uint32_t last,
                                bool is_free)
{
    pare_model *model = toy_model(-30.0);
    pri_marian_of(model)->config.forced_end = forced_end;
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, SENTENCES);
    pare_translate_options options = options_of(3);
    options.length_factor = 0.5;
    options.length_extra = 2.9;
    options.limit = rule;
    pare_translations found;
    check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &found));
    for (size_t i = 0; i < SENTENCES * 3; i++) {
        const pare_hypothesis *hypothesis = &found.hypotheses[i];
        size_t limit = (size_t)(0.5 * (double)lengths[i / 3] + 2.9);
        assert_int_equal(hypothesis->length, limit);
        float cost = hypothesis->log_probabilities[limit - 1];
        uint32_t end = pare_marian_config_of(model)->end;
        if (last == PARE_NO_TOKEN)
            assert_true(hypothesis->tokens[limit - 1] != end && cost > -20.0f && cost < 0.0f);
        else
            assert_true(hypothesis->tokens[limit - 1] == last &&
                        (is_free ? cost == 0.0f : cost < -20.0f));
    }
    pare_translations_free(&found);
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void what_ends_a_translation_at_its_limit(void **state)
{
    (void)state;
    const uint32_t end = translation_config().end, other = end + 1;
    expect_at_the_limit(end, PARE_LIMIT_MODEL, end, true);
    expect_at_the_limit(other, PARE_LIMIT_MODEL, other, true);
    expect_at_the_limit(PARE_NO_TOKEN, PARE_LIMIT_MODEL, PARE_NO_TOKEN, false);
    expect_at_the_limit(end, PARE_LIMIT_END, end, false);
    expect_at_the_limit(end, PARE_LIMIT_CUT, PARE_NO_TOKEN, false);
}

/* A search that stops later looks at more, and of the same hypotheses keeps no worse ones. */
static void stopping_later_finds_no_worse(void **state)
{
    (void)state;
    pare_model *model = toy_model(0.5);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, SENTENCES);
    pare_translate_options options = options_of(3);
    pare_translations full, hopeless;
    check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &full));
    options.stop = PARE_STOP_HOPELESS;
    check_ok(pare_translate(translator, &from->ragged, from->tokens, &options, &hopeless));
    assert_true(hopeless.steps >= full.steps && hopeless.rows > full.rows);
    for (size_t i = 0; i < SENTENCES * 3; i++)
        assert_true(hopeless.hypotheses[i].score >= full.hypotheses[i].score);
    pare_translations_free(&full);
    pare_translations_free(&hopeless);
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

/* ---- The same bits ---- */

static void check_same(const pare_translations *a, const pare_translations *b)
{
    assert_int_equal(a->sentences * a->n_best, b->sentences * b->n_best);
    for (size_t i = 0; i < a->sentences * a->n_best; i++) {
        const pare_hypothesis *x = &a->hypotheses[i], *y = &b->hypotheses[i];
        assert_int_equal(x->length, y->length);
        assert_memory_equal(x->tokens, y->tokens, x->length * sizeof *x->tokens);
        assert_memory_equal(x->log_probabilities, y->log_probabilities,
                            x->length * sizeof *x->log_probabilities);
        assert_true(x->score == y->score && x->log_probability == y->log_probability);
    }
}

/* Many short sentences, so that blocks of rows are full, and enough words for several chunks. */
static void neither_threads_nor_batches_change_a_bit(void **state)
{
    (void)state;
    enum { MANY = 45 };
    pare_marian_config config = translation_config();
    config.size = HEADS * 30; /* large enough for threads to share products */
    config.target_vocabulary = 1300;
    config.source_vocabulary = 1300;
    size_t many[MANY + 1] = {0};
    for (size_t n = 0; n < MANY; n++)
        many[n + 1] = many[n] + 1 + n * 7 % 13;
    uint32_t *tokens = random_tokens(many[MANY], VOCABULARY);
    pare_ragged from = {many, MANY};
    pare_translations first = {0};
    for (int threads = 1; threads <= 4; threads++) {
        stop();
        start_with_threads(threads);
        pare_model *model = translation_model(&config);
        pare_mask *mask = set_random_mask(model, PARE_ATTENTION_CROSS, true,
                                          &(pare_prune_options){.percent = 50.0});
        pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
        const size_t batches[] = {0, 1, 6, 44};
        for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
            pare_translate_options options = options_of(3);
            options.batch = batches[i];
            pare_translations found;
            check_ok(pare_translate(translator, &from, tokens, &options, &found));
            if (!first.hypotheses) {
                first = found;
                continue;
            }
            check_same(&first, &found);
            pare_translations_free(&found);
        }
        pare_translator_destroy(translator);
        pare_model_destroy(model);
        pare_mask_destroy(mask);
    }
    pare_translations_free(&first);
    free(tokens);
}

/* ---- What is refused ---- */

static void check_options_refused(pare_translator *translator,
                                  const pare_translate_options *options, const char *sentence)
{
    sources *from = make_sources(lengths, 2);
    pare_translations found;
    pare_status status = pare_translate(translator, &from->ragged, from->tokens, options, &found);
    assert_fails(status, PARE_ERROR_ARGUMENT, sentence);
    assert_null(found.hypotheses);
    free_sources(from);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    pare_translate_options options = options_of(0);
    check_options_refused(translator, &options, "a beam of 0 hypotheses");
    options = options_of(VOCABULARY + 1);
    check_options_refused(translator, &options, "give 1 to 83");
    options = options_of(2);
    options.n_best = 3;
    check_options_refused(translator, &options, "3 hypotheses of each sentence are wanted");
    options = options_of(2);
    options.length_factor = options.length_extra = 0.0;
    check_options_refused(translator, &options, "may have a translation of 0 tokens");
    options.length_extra = (double)NAN;
    check_options_refused(translator, &options, "two numbers that are not negative");
    options = options_of(2);
    options.length_penalty = (double)INFINITY;
    check_options_refused(translator, &options, "length penalty is no number");
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void impossible_sources_are_refused(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    pare_translate_options options = options_of(2);
    const size_t too_long[] = {3, POSITIONS + 1};
    sources *from = make_sources(too_long, 2);
    pare_translations found;
    assert_fails(pare_translate(translator, &from->ragged, from->tokens, &options, &found),
                 PARE_ERROR_ARGUMENT, "source 1 has 41 tokens");
    from->ragged.count = 1;
    from->tokens[1] = (uint32_t)VOCABULARY;
    assert_fails(pare_translate(translator, &from->ragged, from->tokens, &options, &found),
                 PARE_ERROR_ARGUMENT, "is word 83 but the model has 83");
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void damaged_weights_are_told(void **state)
{
    (void)state;
    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    pri_marian_of(model)->decoder[1].feed_forward.outer_bias->value[3] = NAN;
    pare_translator *translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, 2);
    pare_translate_options options = options_of(2);
    pare_translations found;
    assert_fails(pare_translate(translator, &from->ragged, from->tokens, &options, &found),
                 PARE_ERROR_NUMERIC, "not numbers");
    free_sources(from);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

static void other_models_and_interruptions(void **state)
{
    (void)state;
    pare_transformer_xl_config other_config = small_config();
    pare_model *other = create_model(&other_config);
    pare_translator *translator;
    assert_fails(pare_translator_create(other, PARE_PRECISION_FP32, &translator),
                 PARE_ERROR_UNSUPPORTED, "\"marian\" is needed");
    assert_null(translator);
    pare_model_destroy(other);
    pare_translator_destroy(NULL);

    pare_marian_config config = translation_config();
    pare_model *model = translation_model(&config);
    translator = translator_of(model, PARE_PRECISION_FP32);
    sources *from = make_sources(lengths, 2);
    pare_translate_options options = options_of(2);
    pare_translations found;
    pare_interrupt();
    assert_fails(pare_translate(translator, &from->ragged, from->tokens, &options, &found),
                 PARE_ERROR_INTERRUPTED, "interrupted");
    pare_interrupt_clear();
    free_sources(from);
    /* The translator is as good as new. */
    check_against_tape(model, translator, FP32_TOLERANCE);
    pare_translator_destroy(translator);
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equals_the_tape, start_test, stop_test),
        cmocka_unit_test_setup_teardown(memory_is_kept, start_test, stop_test),
        cmocka_unit_test_setup_teardown(equals_the_tape_with_heads_of_any_size, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(equals_the_tape_at_every_level, start_test, stop_test),
        cmocka_unit_test_setup_teardown(bf16_is_near, start_test, stop_test),
        cmocka_unit_test_setup_teardown(cell_masks_are_used, start_test, stop_test),
        cmocka_unit_test_setup_teardown(rows_without_cells_are_those_of_the_tape, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(distance_and_relative_masks_are_used, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(masks_matter, start_test, stop_test),
        cmocka_unit_test_setup_teardown(sources_longer_than_a_cell_mask_are_refused, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(a_beam_of_one_is_greedy, start_test, stop_test),
        cmocka_unit_test_setup_teardown(a_wide_beam_finds_the_best, start_test, stop_test),
        cmocka_unit_test_setup_teardown(what_ends_a_translation_at_its_limit, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(stopping_later_finds_no_worse, start_test, stop_test),
        cmocka_unit_test_setup_teardown(neither_threads_nor_batches_change_a_bit, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(impossible_options_are_refused, start_test, stop_test),
        cmocka_unit_test_setup_teardown(impossible_sources_are_refused, start_test, stop_test),
        cmocka_unit_test_setup_teardown(damaged_weights_are_told, start_test, stop_test),
        cmocka_unit_test_setup_teardown(other_models_and_interruptions, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
