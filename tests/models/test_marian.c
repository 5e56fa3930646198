/* Encoder-decoder models: what they see and what they do not, masks of the three kinds, forms that
 * Hugging Face's library does not have, fresh weights, and files. */
#include "models/model_check.h"

#include "documents/json.h"
#include "models/marian.h"

/* Weights large enough for attention to be far from uniform. */
static pare_marian_config small_translator(void)
{
    pare_marian_config config = pare_marian_config_default();
    config.source_vocabulary = config.target_vocabulary = 23;
    config.encoder_layers = 2;
    config.decoder_layers = 3;
    config.heads = 3;
    config.size = 24;
    config.encoder_feed_forward = config.decoder_feed_forward = 17;
    config.positions = 16;
    config.dropout = 0.0f;
    config.initial_deviation = 0.3f;
    return config;
}

static pare_model *create_translator(const pare_marian_config *config)
{
    pare_model *model;
    check_ok(pare_marian_create(context, config, 7, &model));
    return model;
}

static const size_t source_offsets[] = {0, 5, 6, 13}, target_offsets[] = {0, 3, 10, 12};

typedef struct pair_batch {
    uint32_t source[13], target[12];
    pare_translation_batch batch;
} pair_batch;

static void make_batch(pair_batch *pairs)
{
    uint64_t key = pri_random_key(3, "pairs", 0);
    for (size_t i = 0; i < 13; i++)
        pairs->source[i] = 3 + (uint32_t)pri_random_below(key, i, 20);
    for (size_t i = 0; i < 12; i++)
        pairs->target[i] = 3 + (uint32_t)pri_random_below(key, 100 + i, 20);
    pairs->batch = (pare_translation_batch){.pairs = 3,
                                            .source_offsets = source_offsets,
                                            .source = pairs->source,
                                            .target_offsets = target_offsets,
                                            .target = pairs->target};
}

/* A copy of the logits, (target tokens, 23). */
static float *logits_of(pare_model *model, const pare_translation_batch *batch)
{
    pare_tape_begin(tape, false, 0);
    pare_tensor *logits = pare_translation_logits(model, tape, batch);
    check_ok(pare_tape_status(tape));
    size_t floats = logits->rows * logits->columns;
    float *copy = malloc(floats * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, logits->value, floats * sizeof *copy);
    return copy;
}

static void expect_rows(const float *a, const float *b, size_t begin, size_t end, bool equal)
{
    double difference = 0;
    for (size_t i = begin * 23; i < end * 23; i++)
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
    if (equal)
        assert_near(difference, 0, 2e-5);
    else
        assert_true(difference > 1e-3);
}

/* ---- What is seen ---- */

static void check_sight(bool pre_norm)
{
    pare_marian_config config = small_translator();
    config.pre_norm = pre_norm;
    pare_model *model = create_translator(&config);
    pair_batch pairs;
    make_batch(&pairs);
    float *before = logits_of(model, &pairs.batch);

    /* The decoder reads tokens before the one it is to say: rows after the second of pair 1. */
    pairs.target[4] = pairs.target[4] == 3 ? 4 : 3;
    float *after = logits_of(model, &pairs.batch);
    expect_rows(before, after, 0, 5, true);
    expect_rows(before, after, 5, 10, false);
    expect_rows(before, after, 10, 12, true);
    free(after);

    /* A source changes all of its own target and nothing of the others. */
    make_batch(&pairs);
    pairs.source[12] = pairs.source[12] == 3 ? 4 : 3;
    after = logits_of(model, &pairs.batch);
    expect_rows(before, after, 0, 10, true);
    expect_rows(before, after, 10, 11, false);
    free(after);

    /* Alone a pair gives what it gives in company. */
    make_batch(&pairs);
    const size_t alone_source[] = {0, 7}, alone_target[] = {0, 2};
    pare_translation_batch alone = {1, alone_source, pairs.source + 6, alone_target,
                                    pairs.target + 10};
    after = logits_of(model, &alone);
    expect_rows(before + 10 * 23, after, 0, 2, true);
    free(after);
    free(before);
    pare_model_destroy(model);
}

static void test_targets_see_their_past_and_their_source(void **state)
{
    (void)state;
    check_sight(false);
    check_sight(true);
}

/* ---- Gradients along a random direction, by differences of the loss ---- */

static double loss_of(pare_model *model, const pare_translation_batch *batch)
{
    pare_tape_begin(tape, false, 0);
    float losses[12];
    pare_translation_loss(model, tape, batch, 0.1f, losses);
    check_ok(pare_tape_status(tape));
    double sum = 0;
    for (size_t i = 0; i < 12; i++)
        sum += (double)losses[i];
    return sum / 12;
}

static void move(pare_tensor *tensor, uint64_t key, float distance)
{
    for (size_t i = 0; i < tensor->rows * tensor->columns; i++)
        tensor->value[i] += distance * (float)pri_random_normal(key, i);
}

static void check_gradients(const pare_marian_config *config)
{
    pare_model *model = create_translator(config);
    pair_batch pairs;
    make_batch(&pairs);
    pare_model_zero_gradients(model);
    pare_tape_begin(tape, true, 1);
    pare_tensor *loss = pare_translation_loss(model, tape, &pairs.batch, 0.1f, NULL);
    check_ok(pare_tape_status(tape));
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    const float step = 2e-3f;
    for (size_t i = 0; i < count; i++) {
        pare_tensor *tensor = &parameters[i].tensor;
        uint64_t key = pri_random_key(5, parameters[i].name, 0);
        double slope = 0;
        for (size_t j = 0; j < tensor->rows * tensor->columns; j++)
            slope += (double)tensor->gradient[j] * pri_random_normal(key, j);
        move(tensor, key, step);
        double above = loss_of(model, &pairs.batch);
        move(tensor, key, -2 * step);
        double below = loss_of(model, &pairs.batch);
        move(tensor, key, step);
        double measured = (above - below) / (2 * (double)step);
        if (fabs(measured - slope) > 2e-3 + 2e-2 * fabs(slope))
            fail_msg("%s: slope %g, measured %g", parameters[i].name, slope, measured);
    }
    pare_model_destroy(model);
}

static void test_gradients_of_forms_of_our_own(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    config.pre_norm = true;
    config.activation = PARE_ACTIVATION_GELU;
    check_gradients(&config);
    config.sinusoids = PARE_SINUSOIDS_FAIRSEQ;
    config.pre_norm = false;
    config.activation = PARE_ACTIVATION_SWISH;
    check_gradients(&config);
}

/* ---- Positions ---- */

static void test_sinusoids(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    for (int fairseq = 0; fairseq < 2; fairseq++) {
        config.sinusoids = fairseq ? PARE_SINUSOIDS_FAIRSEQ : PARE_SINUSOIDS_MARIAN;
        pare_model *model = create_translator(&config);
        pri_marian *marian = pri_marian_of(model);
        check_ok(pri_marian_extend_sinusoids(marian, 3));
        check_ok(pri_marian_extend_sinusoids(marian, 9));
        check_ok(pri_marian_extend_sinusoids(marian, 4));
        for (size_t position = 0; position < 9; position++)
            for (size_t t = 0; t < 12; t++) {
                double frequency = pow(10000.0, -(double)t / (fairseq ? 11.0 : 12.0));
                double angle = (double)(position + (fairseq ? 2 : 0)) * frequency;
                const float *row = marian->sinusoids + position * 24;
                assert_near((double)row[t], sin(angle), 1e-6);
                assert_near((double)row[12 + t], cos(angle), 1e-6);
            }
        pare_model_destroy(model);
    }
}

/* ---- Masks ---- */

/* An average in which every admissible cell was seen, with values that differ. */
static pare_average *make_average(const pare_geometry *geometry)
{
    pare_average *average;
    check_ok(pare_average_create(geometry, &average));
    uint64_t key = pri_random_key(9, "average", geometry->queries);
    for (size_t layer = 0; layer < geometry->layers; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        for (size_t row = 0; row < geometry->queries; row++)
            for (size_t column = 0; column < geometry->keys; column++) {
                if (geometry->causal && column > row)
                    continue;
                if (observer.counts)
                    observer.counts[row * geometry->keys + column] = 1;
                for (size_t head = 0; head < geometry->heads; head++) {
                    size_t cell = (head * geometry->queries + row) * geometry->keys + column;
                    observer.sums[cell] = pri_random_uniform(key, layer * 100000 + cell);
                }
            }
    }
    pare_average_add_examples(average, 1);
    return average;
}

static pare_mask *make_mask(const pare_model *model, pare_attention_kind kind, double percent,
                            pare_geometry_kind form)
{
    pare_geometry geometry = pare_model_attention_geometry(model, kind, 8);
    geometry.ends_first = form == PARE_GEOMETRY_RELATIVE;
    pare_average *average = make_average(&geometry);
    pare_prune_options options = {.percent = percent, .geometry = form};
    pare_mask *mask;
    check_ok(pare_mask_create(average, &options, &mask));
    pare_average_destroy(average);
    return mask;
}

static void test_kinds_of_masks(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    pare_model *model = create_translator(&config);
    assert_int_equal(pare_model_attention_kinds(model), PARE_ATTENTION_KINDS);
    pair_batch pairs;
    make_batch(&pairs);
    float *dense = logits_of(model, &pairs.batch);
    for (size_t i = 0; i < PARE_ATTENTION_KINDS; i++) {
        pare_attention_kind kind = (pare_attention_kind)i;
        pare_mask *nothing = make_mask(model, kind, 0, PARE_GEOMETRY_CELL);
        pare_mask *much = make_mask(model, kind, 70, PARE_GEOMETRY_CELL);
        assert_int_equal(pare_geometry_attention(pare_mask_geometry(much), PARE_ATTENTION_KINDS),
                         kind);
        for (size_t j = 0; j < PARE_ATTENTION_KINDS; j++) {
            pare_status status = pare_model_set_mask(model, (pare_attention_kind)j, much);
            assert_int_equal(status, i == j ? PARE_OK : PARE_ERROR_ARGUMENT);
        }
        float *pruned = logits_of(model, &pairs.batch);
        expect_rows(dense, pruned, 0, 12, false);
        free(pruned);
        check_ok(pare_model_set_mask(model, kind, nothing));
        pruned = logits_of(model, &pairs.batch);
        expect_rows(dense, pruned, 0, 12, true);
        free(pruned);
        check_ok(pare_model_set_mask(model, kind, NULL));
        pare_mask_destroy(nothing);
        pare_mask_destroy(much);
    }
    free(dense);
    pare_model_destroy(model);
}

/* The order in which an encoder lays its tokens out is that of its own mask, cross attention may
 * want another: results are those of masks that keep everything. */
static void test_orders_of_sources(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    pare_model *model = create_translator(&config);
    pair_batch pairs;
    make_batch(&pairs);
    float *dense = logits_of(model, &pairs.batch);
    for (int encoder = 0; encoder < 2; encoder++)
        for (int cross = 0; cross < 2; cross++) {
            pare_geometry_kind forms[] = {PARE_GEOMETRY_CELL, PARE_GEOMETRY_RELATIVE};
            pare_mask *a = make_mask(model, PARE_ATTENTION_SELF, 0, forms[encoder]);
            pare_mask *b = make_mask(model, PARE_ATTENTION_CROSS, 0, forms[cross]);
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, a));
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_CROSS, b));
            float *masked = logits_of(model, &pairs.batch);
            expect_rows(dense, masked, 0, 12, true);
            free(masked);
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_CROSS, NULL));
            pare_mask_destroy(a);
            pare_mask_destroy(b);
        }
    free(dense);
    pare_model_destroy(model);
}

/* ---- Fresh weights ---- */

static const pare_tensor *find_parameter(pare_model *model, const char *name)
{
    size_t count;
    const pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parameters[i].name, name))
            return &parameters[i].tensor;
    fail_msg("no parameter %s", name);
    return NULL;
}

static void expect_uniform(pare_model *model, const char *name, double bound)
{
    const pare_tensor *tensor = find_parameter(model, name);
    double largest = 0, squares = 0;
    size_t floats = tensor->rows * tensor->columns;
    for (size_t i = 0; i < floats; i++) {
        largest = fmax(largest, fabs((double)tensor->value[i]));
        squares += (double)tensor->value[i] * (double)tensor->value[i];
    }
    assert_true(largest <= bound * (1 + 1e-6) && largest > .98 * bound);
    assert_near(sqrt(squares / (double)floats) / (bound / sqrt(3.0)), 1, .03);
}

static void test_xavier(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    config.size = 48;
    config.encoder_feed_forward = 96;
    config.source_vocabulary = config.target_vocabulary = 400;
    config.initial_deviation = 0;
    pare_model *model = create_translator(&config);
    expect_uniform(model, "model.encoder.layers.0.self_attn.q_proj.weight",
                   sqrt(.5) * sqrt(6.0 / 96));
    expect_uniform(model, "model.decoder.layers.2.encoder_attn.out_proj.weight", sqrt(6.0 / 96));
    expect_uniform(model, "model.encoder.layers.1.fc1.weight", sqrt(6.0 / 144));
    const pare_tensor *words = find_parameter(model, "model.shared.weight");
    double squares = 0;
    for (size_t i = 0; i < 400 * 48; i++)
        squares += (double)words->value[i] * (double)words->value[i];
    assert_near(sqrt(squares / (400 * 48)) * sqrt(48.0), 1, .03);
    pare_model_destroy(model);
}

/* ---- Files ---- */

static void expect_refused(json_t *changes, const char *part_of_message)
{
    pare_marian_config small = small_translator(), read;
    json_t *object = pri_marian_write_config(&small);
    json_object_update(object, changes);
    pare_status status = pri_marian_read_config(object, "config.json", &read);
    json_decref(object);
    json_decref(changes);
    assert_true(status == PARE_ERROR_FORMAT || status == PARE_ERROR_UNSUPPORTED);
    assert_fails(status, status, part_of_message);
    assert_non_null(strstr(pare_error_message(), "config.json"));
}

static void test_configurations_are_refused(void **state)
{
    (void)state;
    expect_refused(json_pack("{s:i}", "d_model", 25), "d_model 25");
    expect_refused(json_pack("{s:i}", "decoder_attention_heads", 4),
                   "\"decoder_attention_heads\" is 4,");
    expect_refused(json_pack("{s:i}", "decoder_vocab_size", 24), "one vocabulary");
    expect_refused(json_pack("{s:s}", "activation_function", "silu"),
                   "\"activation_function\" is \"silu\", which is not offered");
    expect_refused(json_pack("{s:b}", "normalize_embedding", 1), "normalize_embedding");
    expect_refused(json_pack("{s:b}", "static_position_embeddings", 0),
                   "static_position_embeddings");
    expect_refused(json_pack("{s:b}", "tie_word_embeddings", 0), "tie_word_embeddings");
    expect_refused(json_pack("{s:i}", "eos_token_id", 23), "eos_token_id");
    expect_refused(json_pack("{s:s}", "sinusoids", "learned"), "sinusoids");
    expect_refused(json_pack("{s:i}", "max_position_embeddings", 0), "max_position_embeddings");
    expect_refused(json_pack("{s:f}", "dropout", 1.5), "dropout");
}

static void test_an_absent_key_may_be_wrong(void **state)
{
    (void)state;
    pare_marian_config small = small_translator(), read;
    json_t *object = pri_marian_write_config(&small);
    json_object_del(object, "decoder_attention_heads"); /* its default is 16 */
    assert_fails(pri_marian_read_config(object, "config.json", &read), PARE_ERROR_UNSUPPORTED,
                 "\"decoder_attention_heads\" is absent, which is not offered");
    json_decref(object);
}

static void test_keys_of_our_own_come_back(void **state)
{
    (void)state;
    pare_marian_config config = small_translator(), read;
    config.pre_norm = true;
    config.sinusoids = PARE_SINUSOIDS_FAIRSEQ;
    config.sharing = PARE_SHARE_NONE;
    config.target_vocabulary = 29;
    config.start = 1;
    json_t *object = pri_marian_write_config(&config);
    check_ok(pri_marian_read_config(object, "config.json", &read));
    json_decref(object);
    assert_true(read.pre_norm);
    assert_int_equal(read.sinusoids, PARE_SINUSOIDS_FAIRSEQ);
    assert_int_equal(read.sharing, PARE_SHARE_NONE);
    assert_int_equal(read.target_vocabulary, 29);
    assert_int_equal(read.start, 1);
    /* What is as Hugging Face has it is not said in words that it does not know. */
    config = small_translator();
    object = pri_marian_write_config(&config);
    assert_null(json_object_get(object, "sinusoids"));
    assert_null(json_object_get(object, "normalize_before"));
    json_decref(object);
}

static void test_bad_batches_are_refused(void **state)
{
    (void)state;
    pare_marian_config config = small_translator();
    pare_model *model = create_translator(&config);
    pair_batch pairs;
    make_batch(&pairs);
    pairs.source[3] = 23;
    pare_tape_begin(tape, false, 0);
    assert_null(pare_translation_logits(model, tape, &pairs.batch));
    assert_fails(pare_tape_status(tape), PARE_ERROR_ARGUMENT, "word 23");
    make_batch(&pairs);
    const size_t long_offsets[] = {0, 5, 6, 23};
    uint32_t source[23] = {3};
    pairs.batch.source_offsets = long_offsets;
    pairs.batch.source = source;
    pare_tape_begin(tape, false, 0);
    assert_null(pare_translation_logits(model, tape, &pairs.batch));
    assert_fails(pare_tape_status(tape), PARE_ERROR_ARGUMENT, "17 tokens");
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_targets_see_their_past_and_their_source, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(test_gradients_of_forms_of_our_own, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_sinusoids, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_kinds_of_masks, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_orders_of_sources, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_xavier, start_test, stop_test),
        cmocka_unit_test(test_configurations_are_refused),
        cmocka_unit_test(test_an_absent_key_may_be_wrong),
        cmocka_unit_test(test_keys_of_our_own_come_back),
        cmocka_unit_test_setup_teardown(test_bad_batches_are_refused, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
