/* BERT against an fp64 implementation of its formulas written out here, one sequence at a time,
 * with masks and averages in both orders of tokens; and what must not matter: the other sequences
 * of a batch, the number of threads. */
#include "models/bert_check.h"

/* ---- The reference ---- */

enum { D = 14, HEADS = 2, HEAD = D / HEADS, INNER = 22, LONGEST = 12, LAYERS = 2 };

typedef struct reference {
    pare_model *model;
    const pare_mask *mask; /* NULL: dense */
    bool ends_first;       /* of the mask and the probabilities */
    double h[LONGEST][D];
    double probabilities[LAYERS][HEADS][LONGEST][LONGEST]; /* in the order of `ends_first` */
} reference;

static const float *values(const reference *r, const char *format, size_t layer)
{
    char name[96];
    snprintf(name, sizeof name, format, layer);
    return bert_tensor(r->model, name)->value;
}

static void multiply(const float *weight, const float *bias, size_t out, size_t in, const double *x,
                     double *y)
{
    for (size_t o = 0; o < out; o++) {
        y[o] = (double)bias[o];
        for (size_t i = 0; i < in; i++)
            y[o] += (double)weight[o * in + i] * x[i];
    }
}

static void normalise(const float *gain, const float *offset, double *x)
{
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < D; i++)
        mean += x[i] / D;
    for (size_t i = 0; i < D; i++)
        variance += (x[i] - mean) * (x[i] - mean) / D;
    for (size_t i = 0; i < D; i++)
        x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * (double)gain[i] + (double)offset[i];
}

static void reference_embed(reference *r, const uint32_t *tokens, const uint32_t *segments,
                            size_t length)
{
    const float *words = values(r, "embeddings.word_embeddings.weight", 0);
    const float *positions = values(r, "embeddings.position_embeddings.weight", 0);
    const float *kinds = values(r, "embeddings.token_type_embeddings.weight", 0);
    for (size_t i = 0; i < length; i++) {
        for (size_t c = 0; c < D; c++)
            r->h[i][c] = (double)words[tokens[i] * D + c] + (double)positions[i * D + c] +
                         (double)kinds[segments[i] * D + c];
        normalise(values(r, "embeddings.LayerNorm.weight", 0),
                  values(r, "embeddings.LayerNorm.bias", 0), r->h[i]);
    }
}

/* Where a mask or average has token i of a sequence of `length`. */
static size_t place(const reference *r, size_t i, size_t length)
{
    if (!r->ends_first || i == 0)
        return i;
    return i + 1 == length ? 1 : i + 1;
}

static void reference_attend(reference *r, size_t layer, size_t length)
{
    static double q[LONGEST][D], k[LONGEST][D], v[LONGEST][D];
    double mixed[D], change[D];
#define PROJECT(what, to)                                                                          \
    multiply(values(r, "encoder.layer.%zu.attention.self." what ".weight", layer),                 \
             values(r, "encoder.layer.%zu.attention.self." what ".bias", layer), D, D, r->h[i],    \
             to)
    for (size_t i = 0; i < length; i++) {
        PROJECT("query", q[i]);
        PROJECT("key", k[i]);
        PROJECT("value", v[i]);
    }
#undef PROJECT
    for (size_t i = 0; i < length; i++) {
        memset(mixed, 0, sizeof mixed);
        for (size_t head = 0; head < HEADS; head++) {
            double a[LONGEST], total = 0.0;
            for (size_t j = 0; j < length; j++) {
                double score = 0.0;
                for (size_t c = head * HEAD; c < (head + 1) * HEAD; c++)
                    score += q[i][c] * k[j][c] / sqrt((double)HEAD);
                bool kept = !r->mask || pare_mask_kept(r->mask, layer, head, place(r, i, length),
                                                       place(r, j, length));
                total += a[j] = kept ? exp(score) : 0.0;
            }
            for (size_t j = 0; j < length; j++) {
                double p = total > 0.0 ? a[j] / total : 0.0;
                r->probabilities[layer][head][place(r, i, length)][place(r, j, length)] = p;
                for (size_t c = head * HEAD; c < (head + 1) * HEAD; c++)
                    mixed[c] += p * v[j][c];
            }
        }
        multiply(values(r, "encoder.layer.%zu.attention.output.dense.weight", layer),
                 values(r, "encoder.layer.%zu.attention.output.dense.bias", layer), D, D, mixed,
                 change);
        for (size_t c = 0; c < D; c++)
            r->h[i][c] += change[c];
        normalise(values(r, "encoder.layer.%zu.attention.output.LayerNorm.weight", layer),
                  values(r, "encoder.layer.%zu.attention.output.LayerNorm.bias", layer), r->h[i]);
    }
}

static void reference_feed_forward(reference *r, size_t layer, size_t length)
{
    double inner[INNER], change[D];
    for (size_t i = 0; i < length; i++) {
        multiply(values(r, "encoder.layer.%zu.intermediate.dense.weight", layer),
                 values(r, "encoder.layer.%zu.intermediate.dense.bias", layer), INNER, D, r->h[i],
                 inner);
        for (size_t c = 0; c < INNER; c++)
            inner[c] *= 0.5 * (1.0 + erf(inner[c] / sqrt(2.0)));
        multiply(values(r, "encoder.layer.%zu.output.dense.weight", layer),
                 values(r, "encoder.layer.%zu.output.dense.bias", layer), D, INNER, inner, change);
        for (size_t c = 0; c < D; c++)
            r->h[i][c] += change[c];
        normalise(values(r, "encoder.layer.%zu.output.LayerNorm.weight", layer),
                  values(r, "encoder.layer.%zu.output.LayerNorm.bias", layer), r->h[i]);
    }
}

static void reference_run(reference *r, const small_batch *small, size_t sequence)
{
    size_t begin = batch_offsets[sequence], length = batch_offsets[sequence + 1] - begin;
    reference_embed(r, small->tokens + begin, small->segments + begin, length);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        reference_attend(r, layer, length);
        reference_feed_forward(r, layer, length);
    }
}

static void expect_reference(reference *r, const small_batch *small, const pare_tensor *hidden)
{
    assert_int_equal(hidden->rows, TOKENS);
    for (size_t n = 0; n < SEQUENCES; n++) {
        reference_run(r, small, n);
        for (size_t i = batch_offsets[n]; i < batch_offsets[n + 1]; i++)
            for (size_t c = 0; c < D; c++) {
                double got = (double)hidden->value[i * D + c];
                double expected = r->h[i - batch_offsets[n]][c];
                if (!(fabs(got - expected) < 2e-5))
                    fail_msg("sequence %zu, token %zu: %g, expected %g", n, i - batch_offsets[n],
                             got, expected);
            }
    }
}

static void test_hidden_states(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_NONE);
    reference r = {.model = model};
    expect_reference(&r, &small, hidden_of(model, &small.batch));
    /* Without segments all tokens belong to segment 0. */
    small.batch.segments = NULL;
    memset(small.segments, 0, sizeof small.segments);
    expect_reference(&r, &small, hidden_of(model, &small.batch));
    pare_model_destroy(model);
}

/* ---- Averages and masks ---- */

static pare_average *observe(pare_model *model, const small_batch *small, bool ends_first)
{
    pare_average *average;
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, LONGEST);
    geometry.ends_first = ends_first;
    check_ok(pare_average_create(&geometry, &average));
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    hidden_of(model, &small->batch);
    pare_average_add_examples(average, SEQUENCES);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    return average;
}

static void expect_average(reference *r, const small_batch *small, const pare_average *average)
{
    static double sums[LAYERS][HEADS][LONGEST][LONGEST];
    memset(sums, 0, sizeof sums);
    for (size_t n = 0; n < SEQUENCES; n++) {
        memset(r->probabilities, 0, sizeof r->probabilities);
        reference_run(r, small, n);
        for (size_t i = 0; i < sizeof sums / sizeof(double); i++)
            ((double *)sums)[i] += ((double *)r->probabilities)[i] / SEQUENCES;
    }
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t head = 0; head < HEADS; head++)
            for (size_t i = 0; i < LONGEST; i++)
                for (size_t j = 0; j < LONGEST; j++)
                    assert_true(
                        fabs(pare_average_value(average, PARE_AVERAGE_MASS, layer, head, i, j) -
                             sums[layer][head][i][j]) < 1e-5);
}

static pare_mask *prune(const pare_average *average, pare_geometry_kind kind, double percent)
{
    pare_mask *mask;
    pare_prune_options options = {.geometry = kind, .percent = percent};
    check_ok(pare_mask_create(average, &options, &mask));
    return mask;
}

static void check_order(bool ends_first)
{
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_NONE);
    reference r = {.model = model, .ends_first = ends_first};
    pare_average *average = observe(model, &small, ends_first);
    expect_average(&r, &small, average);
    for (int kind = 0; kind < (ends_first ? 2 : 1); kind++) {
        pare_mask *mask = prune(average, kind ? PARE_GEOMETRY_RELATIVE : PARE_GEOMETRY_CELL, 60.0);
        check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
        r.mask = mask;
        expect_reference(&r, &small, hidden_of(model, &small.batch));
        check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
    pare_model_destroy(model);
}

static void test_masks_in_the_order_of_sentences(void **state)
{
    (void)state;
    check_order(false);
}

static void test_masks_with_ends_first(void **state)
{
    (void)state;
    check_order(true);
}

static void refuse(pare_model *model, const pare_encoder_batch *batch, const char *reason)
{
    pare_tape_begin(tape, false, 0);
    assert_null(pare_encoder_hidden(model, tape, batch));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

/* A mask serves all shorter sequences, a relative one longer ones too, a cell mask does not. */
static void test_lengths_of_masks(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_NONE);
    size_t lengths[] = {0, 5, 6};
    pare_encoder_batch two = {.sequences = 2, .offsets = lengths, .tokens = small.tokens};
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 7);
    geometry.ends_first = true;
    pare_average *average;
    check_ok(pare_average_create(&geometry, &average));
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    refuse(model, &small.batch, "12");
    hidden_of(model, &two);
    pare_average_add_examples(average, 2);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    pare_mask *cells = prune(average, PARE_GEOMETRY_CELL, 50.0);
    pare_mask *classes = prune(average, PARE_GEOMETRY_RELATIVE, 50.0);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, cells));
    hidden_of(model, &two);
    refuse(model, &small.batch, "at most 7 tokens but one has 12");
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, classes));
    reference r = {.model = model, .mask = classes, .ends_first = true};
    expect_reference(&r, &small, hidden_of(model, &small.batch));
    pare_model_destroy(model);
    pare_mask_destroy(cells);
    pare_mask_destroy(classes);
    pare_average_destroy(average);
}

static void test_masks_of_other_models(void **state)
{
    (void)state;
    pare_model *model = create_bert(PARE_HEAD_NONE);
    const pare_geometry others[] = {
        {.layers = 3, .heads = HEADS, .queries = 4, .keys = 4},
        {.layers = LAYERS, .heads = 1, .queries = 4, .keys = 4},
        {.layers = LAYERS, .heads = HEADS, .queries = 4, .keys = 4, .causal = true},
        {.layers = LAYERS, .heads = HEADS, .queries = 4, .keys = 3},
        {.layers = LAYERS, .heads = HEADS, .queries = 4, .keys = 4, .ratio = 1},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        pare_average *average;
        pare_mask *mask;
        check_ok(pare_average_create(&others[i], &average));
        pare_observer observer = pare_average_observer(average, 0);
        for (size_t row = 0; row < others[i].queries; row++)
            for (size_t j = 0; j < (others[i].causal ? row + 1 : others[i].keys); j++)
                observer.counts[row * others[i].keys + j] = 1;
        pare_average_add_examples(average, 1);
        check_ok(pare_mask_create(average, &(pare_prune_options){.percent = 0.0}, &mask));
        assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask),
                         PARE_ERROR_ARGUMENT);
        assert_null(pare_model_mask(model, PARE_ATTENTION_SELF));
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
    pare_model_destroy(model);
}

static void test_orders_of_mask_and_average_agree(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_NONE);
    pare_average *first = observe(model, &small, true), *plain = observe(model, &small, false);
    pare_mask *mask = prune(first, PARE_GEOMETRY_CELL, 20.0);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    pare_model_observe(model, PARE_ATTENTION_SELF, plain);
    refuse(model, &small.batch, "order of the sentence");
    pare_model_observe(model, PARE_ATTENTION_SELF, first);
    hidden_of(model, &small.batch);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    pare_average_destroy(first);
    pare_average_destroy(plain);
}

/* ---- Heads ---- */

/* All heads of a model with a mask, alone and in the batch; rounding alone may differ. */
static void expect_close_rows(const float *alone, const float *together, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)alone[i] - (double)together[i]) < 1e-5);
}

static pare_tensor *run_head(pare_model *model, const pare_encoder_batch *batch)
{
    static const uint32_t words[TOKENS] = {0};
    pare_tape_begin(tape, false, 0);
    pare_tensor *result = NULL;
    switch (pare_bert_config_of(model)->head) {
    case PARE_HEAD_CLASSIFICATION:
        result = pare_encoder_classify(model, tape, batch);
        break;
    case PARE_HEAD_QUESTION_ANSWERING:
        result = pare_encoder_spans(model, tape, batch);
        break;
    case PARE_HEAD_MASKED_WORDS:
        result = pare_encoder_words(model, tape, batch, words, 1);
        break;
    default:
        result = pare_encoder_hidden(model, tape, batch);
    }
    check_ok(pare_tape_status(tape));
    return result;
}

static void check_batch_mates(pare_head head, bool ends_first)
{
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(head);
    pare_average *average = observe(model, &small, ends_first);
    pare_mask *mask = prune(average, PARE_GEOMETRY_CELL, 50.0);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    pare_tensor *result = run_head(model, &small.batch);
    size_t columns = result->columns, rows = result->rows;
    float *together = malloc(rows * columns * sizeof *together);
    assert_non_null(together);
    memcpy(together, result->value, rows * columns * sizeof *together);
    bool per_token = rows == TOKENS;
    /* The only chosen word is in the first sequence. */
    for (size_t n = 0; n < (head == PARE_HEAD_MASKED_WORDS ? 1 : SEQUENCES); n++) {
        size_t begin = batch_offsets[n], alone[] = {0, batch_offsets[n + 1] - begin};
        pare_encoder_batch one = {.sequences = 1,
                                  .offsets = alone,
                                  .tokens = small.tokens + begin,
                                  .segments = small.segments + begin};
        result = run_head(model, &one);
        expect_close_rows(result->value, together + (per_token ? begin : n) * columns,
                          result->rows * columns);
    }
    free(together);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_batch_mates_do_not_matter(void **state)
{
    (void)state;
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++)
        for (int ends_first = 0; ends_first < 2; ends_first++)
            check_batch_mates((pare_head)head, ends_first);
}

static void test_shapes_of_heads(void **state)
{
    (void)state;
    const size_t shapes[][2] = {{TOKENS, D}, {SEQUENCES, 3}, {TOKENS, 2}, {1, 29}};
    small_batch small;
    fill_batch(&small);
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        pare_model *model = create_bert((pare_head)head);
        pare_tensor *result = run_head(model, &small.batch);
        assert_int_equal(result->rows, shapes[head][0]);
        assert_int_equal(result->columns, shapes[head][1]);
        pare_model_destroy(model);
    }
}

static void test_a_head_that_is_not_there(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_QUESTION_ANSWERING);
    pare_tape_begin(tape, false, 0);
    assert_null(pare_encoder_classify(model, tape, &small.batch));
    assert_non_null(strstr(pare_error_message(),
                           "BertForQuestionAnswering but a BertForSequenceClassification"));
    pare_model_destroy(model);
    pare_transformer_xl_config config = small_config();
    model = create_model(&config);
    pare_tape_begin(tape, false, 0);
    assert_null(pare_encoder_hidden(model, tape, &small.batch));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_UNSUPPORTED);
    assert_int_equal(pare_encoder_positions(model), 0);
    assert_null(pare_bert_config_of(model));
    pare_model_destroy(model);
}

static void test_batches_that_do_not_fit(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_NONE);
    assert_int_equal(pare_encoder_positions(model), LONGEST);
    size_t offsets[] = {0, 2, 2, 15};
    pare_encoder_batch batch = {.sequences = 2, .offsets = offsets, .tokens = small.tokens};
    refuse(model, &batch, "sequence 1 has 0 tokens");
    offsets[2] = 15;
    refuse(model, &batch, "sequence 1 has 13 tokens; the model reads 1 to 12");
    offsets[0] = 1;
    refuse(model, &batch, "begins at 1, not 0");
    batch.sequences = 0;
    refuse(model, &batch, "at least one sequence");
    small.segments[17] = 2;
    refuse(model, &small.batch, "token 17 belongs to segment 2");
    small.segments[17] = 0;
    small.tokens[3] = 29;
    refuse(model, &small.batch, "token 3 of a batch is word 29");
    pare_model_destroy(model);
}

/* ---- Training ---- */

static float *training_step(int threads)
{
    stop();
    start_with_threads(threads);
    small_batch small;
    fill_batch(&small);
    pare_model *model = create_bert(PARE_HEAD_CLASSIFICATION);
    const uint32_t labels[SEQUENCES] = {0, 2, 1, 1, 0};
    pare_tape_begin(tape, true, 11);
    pare_tensor *loss = pare_cross_entropy(tape, pare_encoder_classify(model, tape, &small.batch),
                                           labels, 0.0f, NULL);
    check_ok(pare_tape_backward(tape, loss, 1.0f));
    size_t floats = pare_model_parameter_floats(model), count;
    float *gradients = malloc(floats * sizeof *gradients);
    assert_non_null(gradients);
    memcpy(gradients, pare_model_parameters(model, &count)[0].tensor.gradient,
           floats * sizeof *gradients);
    pare_model_destroy(model);
    return gradients;
}

/* With every dropout on. */
static void test_threads_do_not_matter(void **state)
{
    (void)state;
    float *one = training_step(1);
    pare_model *model = create_bert(PARE_HEAD_CLASSIFICATION);
    size_t bytes = pare_model_parameter_floats(model) * sizeof *one;
    pare_model_destroy(model);
    for (int threads = 2; threads <= 4; threads++) {
        float *several = training_step(threads);
        assert_memory_equal(one, several, bytes);
        free(several);
    }
    free(one);
}

/* Each of the three dropouts, alone, changes a training step; none changes an evaluation. */
static void test_dropouts(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    for (int which = 0; which < 4; which++) {
        pare_bert_config config = small_bert_config(PARE_HEAD_CLASSIFICATION);
        config.dropout = which == 1 ? 0.5f : 0.0f;
        config.attention_dropout = which == 2 ? 0.5f : 0.0f;
        config.head_dropout = which == 3 ? 0.5f : 0.0f;
        pare_model *model;
        check_ok(pare_bert_create(context, &config, 7, &model));
        float results[2][SEQUENCES * 3];
        for (int training = 0; training < 2; training++) {
            pare_tape_begin(tape, training, 5);
            pare_tensor *logits = pare_encoder_classify(model, tape, &small.batch);
            check_ok(pare_tape_status(tape));
            memcpy(results[training], logits->value, sizeof results[0]);
        }
        assert_int_equal(memcmp(results[0], results[1], sizeof results[0]) != 0, which != 0);
        pare_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hidden_states, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_masks_in_the_order_of_sentences, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(test_masks_with_ends_first, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_lengths_of_masks, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_masks_of_other_models, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_orders_of_mask_and_average_agree, start_test,
                                        stop_test),
        cmocka_unit_test_setup_teardown(test_batch_mates_do_not_matter, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_shapes_of_heads, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_a_head_that_is_not_there, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_batches_that_do_not_fit, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_threads_do_not_matter, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_dropouts, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
