/* Inference against the tape's evaluation pass: every head, level, mask and precision, batches from
 * one token to several blocks, and the same bits for any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "models/model.h"

#define VOCABULARY ((size_t)97)
#define POSITIONS ((size_t)80)
#define HEADS ((size_t)3)
#define LABELS ((size_t)3)

/* Nothing is a multiple of a vector or a tile; `head_size` 41 makes the size 123. */
static pare_bert_config config_of(pare_head head, size_t head_size)
{
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = VOCABULARY;
    config.layers = 2;
    config.heads = HEADS;
    config.size = HEADS * head_size;
    config.feed_forward = 2 * config.size + 5;
    config.positions = POSITIONS;
    config.head = head;
    config.labels = LABELS;
    config.initial_deviation = 0.2f;
    return config;
}

static pare_context *context_of(const char *level, int threads)
{
    pare_context *context;
    pare_context_options options = {.threads = threads, .level = level};
    assert_int_equal(pare_context_create(&options, &context), PARE_OK);
    return context;
}

static pare_model *model_like(pare_context *context, const pare_bert_config *config)
{
    pare_model *model;
    assert_int_equal(pare_bert_create(context, config, 5, &model), PARE_OK);
    /* Biases and offsets start at 0, where leaving one out would not show. */
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (parameters[i].tensor.rows == 1)
            for (size_t j = 0; j < parameters[i].tensor.columns; j++)
                parameters[i].tensor.value[j] += (float)(0.4 * pri_random_uniform(i + 1, j)) - 0.2f;
    return model;
}

static pare_model *model_of(pare_context *context, pare_head head, size_t head_size)
{
    pare_bert_config config = config_of(head, head_size);
    return model_like(context, &config);
}

/* ---- Batches ---- */

#define SEQUENCES_MAX 8

typedef struct batch {
    size_t offsets[SEQUENCES_MAX + 1];
    uint32_t *tokens, *segments;
    pare_encoder_batch batch;
} batch;

static void fill_batch(batch *b, const size_t *lengths, size_t count, bool with_segments)
{
    b->offsets[0] = 0;
    for (size_t n = 0; n < count; n++)
        b->offsets[n + 1] = b->offsets[n] + lengths[n];
    size_t tokens = b->offsets[count];
    b->tokens = malloc(tokens * sizeof *b->tokens);
    b->segments = malloc(tokens * sizeof *b->segments);
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < lengths[n]; i++) {
            b->tokens[b->offsets[n] + i] = (uint32_t)((31 * n + 7 * i * i + 3) % VOCABULARY);
            b->segments[b->offsets[n] + i] = i > lengths[n] / 2;
        }
    b->batch =
        (pare_encoder_batch){count, b->offsets, b->tokens, with_segments ? b->segments : NULL};
}

static void free_batch(batch *b)
{
    free(b->tokens);
    free(b->segments);
}

static const size_t one_token[] = {1};
static const size_t few[] = {7, 1, 20};
static const size_t mixed[] = {80, 3, 41, 13, 64, 2};
static const struct {
    const size_t *lengths;
    size_t count;
} cases[] = {{one_token, 1}, {few, 3}, {mixed, 6}};

/* ---- Comparing ---- */

static size_t result_columns(const pare_model *model, pare_head head)
{
    switch (head) {
    case PARE_HEAD_NONE:
        return pare_bert_config_of(model)->size;
    case PARE_HEAD_CLASSIFICATION:
        return LABELS;
    case PARE_HEAD_QUESTION_ANSWERING:
        return 2;
    default:
        return VOCABULARY;
    }
}

/* The last and the first token of the batch, in this order. */
static void choose_word_rows(const pare_encoder_batch *b, uint32_t rows[2])
{
    rows[0] = (uint32_t)b->offsets[b->sequences] - 1;
    rows[1] = 0;
}

static size_t result_rows(const pare_encoder_batch *b, pare_head head)
{
    if (head == PARE_HEAD_CLASSIFICATION)
        return b->sequences;
    return head == PARE_HEAD_MASKED_WORDS ? 2 : b->offsets[b->sequences];
}

static pare_tensor *on_tape(pare_model *model, pare_tape *tape, pare_head head,
                            const pare_encoder_batch *b)
{
    uint32_t rows[2];
    choose_word_rows(b, rows);
    switch (head) {
    case PARE_HEAD_NONE:
        return pare_encoder_hidden(model, tape, b);
    case PARE_HEAD_CLASSIFICATION:
        return pare_encoder_classify(model, tape, b);
    case PARE_HEAD_QUESTION_ANSWERING:
        return pare_encoder_spans(model, tape, b);
    default:
        return pare_encoder_words(model, tape, b, rows, 2);
    }
}

static void infer(pare_inference *inference, pare_head head, const pare_encoder_batch *b,
                  float *result)
{
    uint32_t rows[2];
    choose_word_rows(b, rows);
    pare_inference_output output = {.rows = rows, .row_count = 2};
    float **slots[] = {[PARE_HEAD_NONE] = &output.hidden,
                       [PARE_HEAD_CLASSIFICATION] = &output.labels,
                       [PARE_HEAD_QUESTION_ANSWERING] = &output.spans,
                       [PARE_HEAD_MASKED_WORDS] = &output.words};
    *slots[head] = result;
    assert_int_equal(pare_inference_run(inference, b, &output), PARE_OK);
}

/* Largest difference, in units of the root mean square of the tape's result. */
static double difference(const float *result, const pare_tensor *expected)
{
    double largest = 0.0, squares = 0.0;
    size_t count = expected->rows * expected->columns;
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)result[i] - (double)expected->value[i]);
        assert_true(isfinite(off));
        largest = fmax(largest, off);
        squares += (double)expected->value[i] * (double)expected->value[i];
    }
    return largest / sqrt(squares / (double)count);
}

static void check_batch(pare_model *model, pare_inference *inference, pare_head head,
                        const pare_encoder_batch *b, double tolerance)
{
    pare_tape *tape;
    assert_int_equal(pare_tape_create(model->context, &tape), PARE_OK);
    pare_tape_begin(tape, false, 0);
    pare_tensor *expected = on_tape(model, tape, head, b);
    assert_int_equal(pare_tape_status(tape), PARE_OK);
    assert_int_equal(expected->rows, result_rows(b, head));
    assert_int_equal(expected->columns, result_columns(model, head));
    size_t count = expected->rows * expected->columns;
    float *result = malloc((count + 1) * sizeof *result);
    result[count] = 77.0f;
    infer(inference, head, b, result);
    assert_true(result[count] == 77.0f);
    double off = difference(result, expected);
    if (!(off <= tolerance))
        fail_msg("head %d, %zu sequences, %zu tokens: off by %g", (int)head, b->sequences,
                 b->offsets[b->sequences], off);
    free(result);
    pare_tape_destroy(tape);
}

static pare_inference *inference_of(pare_model *model, pare_precision precision)
{
    pare_inference *inference;
    assert_int_equal(pare_inference_create(model, precision, &inference), PARE_OK);
    return inference;
}

/* Largest first and last, so that memory kept from run to run is too large and too small. */
static void check_all_batches(pare_model *model, pare_inference *inference, pare_head head,
                              double tolerance)
{
    const size_t order[] = {2, 0, 1, 2};
    for (size_t i = 0; i < 4; i++)
        for (int segments = 0; segments < 2; segments++) {
            batch b;
            fill_batch(&b, cases[order[i]].lengths, cases[order[i]].count, segments);
            check_batch(model, inference, head, &b.batch, tolerance);
            free_batch(&b);
        }
}

#define FP32_TOLERANCE 2e-5
/* Some ten products in a row round to 2^-9 each; these weights make sharp attention of it. */
#define BF16_TOLERANCE 0.2

/* Destroys the model. */
static void check_model(pare_model *model, pare_precision precision)
{
    pare_inference *inference = inference_of(model, precision);
    check_all_batches(model, inference, pare_bert_config_of(model)->head,
                      precision == PARE_PRECISION_BF16 ? BF16_TOLERANCE : FP32_TOLERANCE);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
}

static void check_heads(pare_context *context, pare_precision precision)
{
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        check_model(model_of(context, (pare_head)head, 41), precision);
        check_model(model_of(context, (pare_head)head, 32), precision);
    }
}

static void equals_the_tape_at_every_level(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context *context = context_of(pare_level_name((pare_level)level), 2);
        check_heads(context, PARE_PRECISION_FP32);
        pare_context_destroy(context);
    }
}

/* DistilBERT has no segments, though batches do, and other heads. */
static void equals_the_tape_of_distilled_models(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 2);
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        pare_bert_config config = config_of((pare_head)head, 32);
        config.distilled = true;
        config.segments = 0;
        check_model(model_like(context, &config), PARE_PRECISION_FP32);
    }
    pare_context_destroy(context);
}

static void a_model_of_the_shape_of_bert_base(void **state)
{
    (void)state;
    pare_bert_config config = pare_bert_config_default();
    config.vocabulary = 30522;
    config.layers = config.heads = 12;
    config.size = 768;
    config.feed_forward = 3072;
    config.positions = 512;
    pare_context *context = context_of(NULL, 2);
    pare_model *model;
    assert_int_equal(pare_bert_create(context, &config, 5, &model), PARE_OK);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    batch b;
    fill_batch(&b, few, 3, true);
    check_batch(model, inference, PARE_HEAD_NONE, &b.batch, 1e-4);
    free_batch(&b);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

static void bf16_is_near_the_tape(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 2);
    if (pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK)
        check_heads(context, PARE_PRECISION_BF16);
    pare_context_destroy(context);
}

static void bf16_is_refused_where_it_is_missing(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_X86_64_V4; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context *context = context_of(pare_level_name((pare_level)level), 1);
        pare_model *model = model_of(context, PARE_HEAD_NONE, 8);
        pare_inference *inference;
        assert_int_equal(pare_inference_create(model, PARE_PRECISION_BF16, &inference),
                         PARE_ERROR_UNSUPPORTED);
        assert_null(inference);
        pare_model_destroy(model);
        pare_context_destroy(context);
    }
}

/* ---- Threads ---- */

static float *infer_with_threads(int threads, pare_head head, pare_precision precision,
                                 const pare_encoder_batch *b, size_t *bytes)
{
    pare_context *context = context_of(NULL, threads);
    pare_model *model = model_of(context, head, 41);
    pare_inference *inference = inference_of(model, precision);
    *bytes = result_rows(b, head) * result_columns(model, head) * sizeof(float);
    float *result = malloc(*bytes);
    infer(inference, head, b, result);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
    return result;
}

static void check_threads(pare_head head, pare_precision precision)
{
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        batch b;
        size_t bytes;
        fill_batch(&b, cases[c].lengths, cases[c].count, true);
        float *expected = infer_with_threads(1, head, precision, &b.batch, &bytes);
        for (int threads = 2; threads <= 4; threads++) {
            float *result = infer_with_threads(threads, head, precision, &b.batch, &bytes);
            assert_memory_equal(result, expected, bytes);
            free(result);
        }
        free(expected);
        free_batch(&b);
    }
}

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 1);
    bool bf16 = pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK;
    pare_context_destroy(context);
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        check_threads((pare_head)head, PARE_PRECISION_FP32);
        if (bf16)
            check_threads((pare_head)head, PARE_PRECISION_BF16);
    }
}

/* What a sequence gives does not depend on the others, bit for bit. */
static void batch_mates_do_not_matter(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 2);
    pare_model *model = model_of(context, PARE_HEAD_NONE, 41);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    size_t size = pare_bert_config_of(model)->size;
    batch b;
    fill_batch(&b, mixed, 6, true);
    float *together = malloc(b.offsets[6] * size * sizeof(float));
    float *alone = malloc(POSITIONS * size * sizeof(float));
    infer(inference, PARE_HEAD_NONE, &b.batch, together);
    for (size_t n = 0; n < 6; n++) {
        size_t begin = b.offsets[n], offsets[] = {0, mixed[n]};
        pare_encoder_batch one = {1, offsets, b.tokens + begin, b.segments + begin};
        infer(inference, PARE_HEAD_NONE, &one, alone);
        assert_memory_equal(alone, together + begin * size, mixed[n] * size * sizeof(float));
    }
    free(alone);
    free(together);
    free_batch(&b);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

/* ---- Masks ---- */

static pare_average *observe(pare_model *model, const pare_geometry *geometry,
                             const pare_encoder_batch *b)
{
    pare_average *average;
    pare_tape *tape;
    assert_int_equal(pare_average_create(geometry, &average), PARE_OK);
    assert_int_equal(pare_tape_create(model->context, &tape), PARE_OK);
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    pare_tape_begin(tape, false, 0);
    assert_non_null(pare_encoder_hidden(model, tape, b));
    pare_average_add_examples(average, b->sequences);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    pare_tape_destroy(tape);
    return average;
}

static void check_pruned(pare_head head, bool ends_first, const pare_prune_options *options)
{
    pare_context *context = context_of(NULL, 2);
    pare_model *model = model_of(context, head, 32);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    batch b;
    fill_batch(&b, mixed, 6, true);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, POSITIONS);
    geometry.ends_first = ends_first;
    pare_average *average = observe(model, &geometry, &b.batch);
    pare_mask *mask;
    assert_int_equal(pare_mask_create(average, options, &mask), PARE_OK);
    assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask), PARE_OK);
    check_all_batches(model, inference, head, FP32_TOLERANCE);
    /* Dense again, from the same packed weights. */
    assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL), PARE_OK);
    check_all_batches(model, inference, head, FP32_TOLERANCE);
    free_batch(&b);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

static void masks_are_used(void **state)
{
    (void)state;
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++)
        for (int ends_first = 0; ends_first < 2; ends_first++)
            check_pruned((pare_head)head, ends_first, &(pare_prune_options){.percent = 80.0});
}

static void relative_masks_are_used(void **state)
{
    (void)state;
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++)
        check_pruned((pare_head)head, true,
                     &(pare_prune_options){.percent = 60.0, .geometry = PARE_GEOMETRY_RELATIVE});
}

/* ---- What a run gives and takes ---- */

/* Labels alone take a shorter way through the last layer than labels with hidden states. */
static void several_results_at_once(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 2);
    pare_model *model = model_of(context, PARE_HEAD_CLASSIFICATION, 41);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    size_t size = pare_bert_config_of(model)->size;
    batch b;
    fill_batch(&b, mixed, 6, true);
    float labels[6 * LABELS], alone[6 * LABELS];
    float *hidden = malloc(b.offsets[6] * size * sizeof(float));
    float *hidden_alone = malloc(b.offsets[6] * size * sizeof(float));
    pare_inference_output output = {.hidden = hidden, .labels = labels};
    assert_int_equal(pare_inference_run(inference, &b.batch, &output), PARE_OK);
    infer(inference, PARE_HEAD_CLASSIFICATION, &b.batch, alone);
    infer(inference, PARE_HEAD_NONE, &b.batch, hidden_alone);
    assert_memory_equal(labels, alone, sizeof labels);
    assert_memory_equal(hidden, hidden_alone, b.offsets[6] * size * sizeof(float));
    free(hidden_alone);
    free(hidden);
    free_batch(&b);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

static void memory_is_kept_from_run_to_run(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 2);
    pare_model *model = model_of(context, PARE_HEAD_CLASSIFICATION, 41);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    batch b;
    float labels[6 * LABELS];
    fill_batch(&b, mixed, 6, true);
    infer(inference, PARE_HEAD_CLASSIFICATION, &b.batch, labels);
    infer(inference, PARE_HEAD_CLASSIFICATION, &b.batch, labels);
    uint64_t allocations = pri_allocation_count();
    size_t bytes = pare_inference_bytes(inference);
    for (int i = 0; i < 3; i++)
        infer(inference, PARE_HEAD_CLASSIFICATION, &b.batch, labels);
    assert_int_equal(pri_allocation_count(), allocations);
    assert_int_equal(pare_inference_bytes(inference), bytes);
    assert_true(pare_inference_attention_seconds(inference) > 0.0);
    free_batch(&b);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

static void expect_refusal(pare_inference *inference, const pare_encoder_batch *b,
                           const pare_inference_output *output, const char *text)
{
    assert_int_equal(pare_inference_run(inference, b, output), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), text))
        fail_msg("'%s' does not say '%s'", pare_error_message(), text);
}

static void impossible_runs_are_refused(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 1);
    pare_model *model = model_of(context, PARE_HEAD_MASKED_WORDS, 8);
    pare_inference *inference = inference_of(model, PARE_PRECISION_FP32);
    float result[2 * VOCABULARY];
    const size_t too_long[] = {POSITIONS + 1};
    batch b;
    fill_batch(&b, few, 3, true);
    uint32_t rows[] = {0, 28};
    pare_inference_output words = {.words = result, .rows = rows, .row_count = 2};
    expect_refusal(inference, &b.batch, &words, "token 28");
    expect_refusal(inference, &b.batch, &(pare_inference_output){.labels = result}, "labels");
    expect_refusal(inference, &b.batch, &(pare_inference_output){.spans = result}, "spans");
    rows[1] = 27;
    b.tokens[5] = VOCABULARY;
    expect_refusal(inference, &b.batch, &words, "token 5");
    b.tokens[5] = 0;
    words.row_count = 0;
    assert_int_equal(pare_inference_run(inference, &b.batch, &words), PARE_OK);
    b.segments[6] = 2;
    expect_refusal(inference, &b.batch, &words, "segment 2");
    free_batch(&b);
    fill_batch(&b, too_long, 1, false);
    expect_refusal(inference, &b.batch, &words, "81 tokens");
    free_batch(&b);
    pare_inference_destroy(inference);
    pare_model_destroy(model);
    pare_context_destroy(context);
}

static void only_encoders_are_taken(void **state)
{
    (void)state;
    pare_context *context = context_of(NULL, 1);
    pare_transformer_xl_config config = pare_transformer_xl_config_default();
    config.vocabulary = config.layers = config.heads = config.head_size = config.size = 4;
    config.feed_forward = config.memory = 4;
    pare_model *model;
    pare_inference *inference;
    assert_int_equal(pare_transformer_xl_create(context, &config, 1, &model), PARE_OK);
    assert_int_equal(pare_inference_create(model, PARE_PRECISION_FP32, &inference),
                     PARE_ERROR_UNSUPPORTED);
    assert_null(inference);
    assert_non_null(strstr(pare_error_message(), "transfo-xl"));
    pare_model_destroy(model);
    pare_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_tape_at_every_level),
        cmocka_unit_test(equals_the_tape_of_distilled_models),
        cmocka_unit_test(a_model_of_the_shape_of_bert_base),
        cmocka_unit_test(bf16_is_near_the_tape),
        cmocka_unit_test(bf16_is_refused_where_it_is_missing),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(batch_mates_do_not_matter),
        cmocka_unit_test(masks_are_used),
        cmocka_unit_test(relative_masks_are_used),
        cmocka_unit_test(several_results_at_once),
        cmocka_unit_test(memory_is_kept_from_run_to_run),
        cmocka_unit_test(impossible_runs_are_refused),
        cmocka_unit_test(only_encoders_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
