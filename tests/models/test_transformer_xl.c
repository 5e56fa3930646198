/* Properties that hold for a Transformer-XL whatever its weights are: what memory, window, clamped
 * distances and the two biases mean, that training is reproducible, and that mistakes are refused.
 */
#include "models/model_check.h"

typedef struct token_stream {
    size_t lanes, total;
    uint32_t *inputs, *targets;
} token_stream;

static token_stream create_stream(size_t lanes, size_t total, size_t vocabulary)
{
    token_stream stream = {.lanes = lanes, .total = total};
    uint32_t *tokens = random_tokens(2 * lanes * total, vocabulary);
    stream.inputs = tokens;
    stream.targets = tokens + lanes * total;
    return stream;
}

static void free_stream(token_stream *stream)
{
    free(stream->inputs);
}

static float *losses_of(pare_model *model, size_t memory, const token_stream *stream, size_t length)
{
    return stream_losses(model, memory, stream->inputs, stream->targets, stream->lanes,
                         stream->total, length);
}

/* The largest difference over the stream between two ways of cutting it. */
static double difference_of(pare_model *model, const token_stream *stream, size_t memory_a,
                            size_t length_a, size_t memory_b, size_t length_b)
{
    float *a = losses_of(model, memory_a, stream, length_a);
    float *b = losses_of(model, memory_b, stream, length_b);
    double difference = largest_difference(a, b, stream->lanes * stream->total);
    free(a);
    free(b);
    return difference;
}

static pare_parameter *find_parameter(pare_model *model, const char *name)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(parameters[i].name, name))
            return &parameters[i];
    fail_msg("no parameter %s", name);
    return NULL;
}

static void set_zero(pare_model *model, const char *name)
{
    pare_tensor *tensor = &find_parameter(model, name)->tensor;
    memset(tensor->value, 0, tensor->rows * tensor->columns * sizeof(float));
}

/* ---- Memory (oracle 12) ---- */

static void test_long_memory_equals_one_segment(void **state)
{
    (void)state;
    for (size_t layers = 1; layers <= 3; layers += 2)
        for (int pre_norm = 0; pre_norm < 2; pre_norm++) {
            pare_transformer_xl_config config = small_config();
            config.layers = layers;
            config.pre_norm = pre_norm;
            pare_model *model = create_model(&config);
            token_stream stream = create_stream(2, 23, config.vocabulary);
            assert_true(difference_of(model, &stream, 0, 23, 23, 5) < 2e-4);
            assert_true(difference_of(model, &stream, 20, 5, 23, 1) < 2e-4);
            free_stream(&stream);
            pare_model_destroy(model);
        }
}

static void test_short_memory_differs(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.layers = 1;
    pare_model *model = create_model(&config);
    token_stream stream = create_stream(2, 23, config.vocabulary);
    assert_true(difference_of(model, &stream, 0, 23, 7, 5) > 1e-2);
    assert_true(difference_of(model, &stream, 0, 23, 0, 5) > 1e-2);
    free_stream(&stream);
    pare_model_destroy(model);
}

static void test_window_needs_no_more_memory(void **state)
{
    (void)state;
    for (size_t layers = 1; layers <= 3; layers += 2) {
        pare_transformer_xl_config config = small_config();
        config.layers = layers;
        config.memory = 6;
        config.same_length = true;
        pare_model *model = create_model(&config);
        token_stream stream = create_stream(2, 23, config.vocabulary);
        assert_true(difference_of(model, &stream, 0, 23, 5, 4) < 2e-4);
        assert_true(difference_of(model, &stream, 0, 23, 6, 7) < 2e-4);
        assert_true(difference_of(model, &stream, 0, 23, 4, 4) > 1e-2);
        free_stream(&stream);
        pare_model_destroy(model);
    }
}

static void test_memory_is_restored(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    token_stream stream = create_stream(2, 5, config.vocabulary);
    pare_memory *memory, *restored;
    check_ok(pare_memory_create(model, 2, config.memory, &memory));
    check_ok(pare_memory_create(model, 2, config.memory, &restored));
    pare_segment segment = {
        .lanes = 2, .length = 5, .inputs = stream.inputs, .targets = stream.targets};
    pare_tape_begin(tape, false, 0);
    pare_language_model_loss(model, tape, memory, &segment, NULL);
    check_ok(pare_tape_status(tape));
    assert_int_equal(pare_memory_filled(memory), 5);
    const float *states[2] = {pare_memory_state(memory, 0), pare_memory_state(memory, 1)};
    check_ok(pare_memory_restore(restored, 5, states));
    assert_int_equal(pare_memory_restore(restored, 9, states), PARE_ERROR_ARGUMENT);
    float losses[2][10];
    for (int i = 0; i < 2; i++) {
        pare_tape_begin(tape, false, 0);
        pare_language_model_loss(model, tape, i ? restored : memory, &segment, losses[i]);
        check_ok(pare_tape_status(tape));
    }
    assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
    assert_int_equal(pare_memory_filled(memory), 8);
    pare_memory_destroy(memory);
    pare_memory_destroy(restored);
    free_stream(&stream);
    pare_model_destroy(model);
}

/* ---- Positions (oracle 13) ---- */

static double difference_of_clamp(size_t clamp_length)
{
    pare_transformer_xl_config config = small_config();
    pare_model *free_model = create_model(&config);
    config.clamp_length = clamp_length;
    pare_model *clamped = create_model(&config);
    token_stream stream = create_stream(2, 20, config.vocabulary);
    float *a = losses_of(free_model, 8, &stream, 5), *b = losses_of(clamped, 8, &stream, 5);
    double difference = largest_difference(a, b, 40);
    free(a);
    free(b);
    free_stream(&stream);
    pare_model_destroy(free_model);
    pare_model_destroy(clamped);
    return difference;
}

static void test_clamp_beyond_all_keys_changes_nothing(void **state)
{
    (void)state;
    assert_true(difference_of_clamp(13) == 0.0);
    assert_true(difference_of_clamp(12) == 0.0);
    assert_true(difference_of_clamp(3) > 1e-3);
}

/* A window's reach is (window - 1) per layer: beyond it, tokens do not know how long ago the stream
 * began. */
static void test_shifted_positions_change_nothing(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.memory = 5;
    config.same_length = true;
    pare_model *model = create_model(&config);
    token_stream stream = create_stream(1, 40, config.vocabulary);
    size_t shift = 13, reach = 2 * 4;
    float *whole = losses_of(model, 5, &stream, 8);
    float *late =
        stream_losses(model, 5, stream.inputs + shift, stream.targets + shift, 1, 40 - shift, 8);
    assert_true(largest_difference(whole + shift + reach, late + reach, 40 - shift - reach) < 1e-4);
    assert_true(largest_difference(whole + shift, late, reach) > 1e-3);
    free(whole);
    free(late);
    free_stream(&stream);
    pare_model_destroy(model);
}

/* Without W_r, u and w attention is the plain one, which cannot tell the order of its keys: in one
 * layer the last token's prediction does not depend on it. */
static void test_plain_attention_without_positions(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.layers = 1;
    pare_model *model = create_model(&config);
    uint32_t forwards[6] = {3, 1, 4, 15, 9, 26}, backwards[6] = {9, 15, 4, 1, 3, 26};
    uint32_t targets[6] = {5, 5, 5, 5, 5, 5};
    for (int positions = 1; positions >= 0; positions--) {
        if (!positions) {
            set_zero(model, "transformer.layers.0.dec_attn.r_net.weight");
            set_zero(model, "transformer.r_w_bias");
            set_zero(model, "transformer.r_r_bias");
        }
        float *a = stream_losses(model, 0, forwards, targets, 1, 6, 6);
        float *b = stream_losses(model, 0, backwards, targets, 1, 6, 6);
        double difference = fabs((double)a[5] - (double)b[5]);
        assert_true(positions ? difference > 1e-3 : difference < 1e-5);
        free(a);
        free(b);
    }
    pare_model_destroy(model);
}

/* ---- Words (oracle 14) ---- */

static void check_probabilities(pare_transformer_xl_config config)
{
    pare_model *model = create_model(&config);
    size_t vocabulary = config.vocabulary;
    assert_int_equal(pare_language_model_vocabulary(model), vocabulary);
    float *scores = malloc(2 * vocabulary * sizeof *scores);
    assert_non_null(scores);
    uint32_t inputs[8] = {1, 12, 23, 30, 2, 9, 18, 27};
    pare_segment segment = {.lanes = 2, .length = 4, .inputs = inputs};
    pare_tape_begin(tape, false, 0);
    check_ok(pare_language_model_next(model, tape, NULL, &segment, scores));
    for (size_t lane = 0; lane < 2; lane++) {
        double sum = 0.0;
        for (size_t word = 0; word < vocabulary; word++)
            sum += exp((double)scores[lane * vocabulary + word]);
        assert_true(fabs(sum - 1.0) < 1e-5);
    }
    for (uint32_t word = 0; word < vocabulary; word++) {
        uint32_t targets[8] = {[3] = word, [7] = word};
        float losses[8];
        segment.targets = targets;
        pare_tape_begin(tape, false, 0);
        pare_language_model_loss(model, tape, NULL, &segment, losses);
        check_ok(pare_tape_status(tape));
        assert_true(fabs((double)(losses[3] + scores[word])) < 1e-4);
        assert_true(fabs((double)(losses[7] + scores[vocabulary + word])) < 1e-4);
    }
    free(scores);
    pare_model_destroy(model);
}

static void test_probabilities_sum_to_one(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    check_probabilities(config);
    config.embedding_size = 6;
    check_probabilities(config);
    config.cluster_count = 2;
    config.cutoffs[0] = 10;
    config.cutoffs[1] = 20;
    check_probabilities(config);
    config.embedding_size = 0;
    check_probabilities(config);
    config.division = 2;
    check_probabilities(config);
}

/* ---- Reproducibility ---- */

/* Losses of four training steps with all dropouts on, then a hash of all weights. */
typedef struct training_trace {
    float losses[4];
    uint64_t weights;
} training_trace;

static training_trace train(int threads)
{
    start_with_threads(threads);
    pare_transformer_xl_config config = small_config();
    config.dropout = 0.2f;
    config.attention_dropout = 0.1f;
    pare_model *model = create_model(&config);
    token_stream stream = create_stream(3, 28, config.vocabulary);
    pare_memory *memory;
    check_ok(pare_memory_create(model, 3, config.memory, &memory));
    size_t floats = pare_model_parameter_floats(model), count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    float *values = parameters[0].tensor.value, *gradients = parameters[0].tensor.gradient;
    training_trace trace;
    for (size_t step = 0; step < 4; step++) {
        uint32_t *in = cut_segment(stream.inputs, 3, 28, 7 * step, 7);
        uint32_t *out = cut_segment(stream.targets, 3, 28, 7 * step, 7);
        pare_segment segment = {.lanes = 3, .length = 7, .inputs = in, .targets = out};
        pare_model_zero_gradients(model);
        pare_tape_begin(tape, true, 100 + step);
        pare_tensor *loss = pare_language_model_loss(model, tape, memory, &segment, NULL);
        check_ok(pare_tape_backward(tape, loss, 1.0f));
        trace.losses[step] = loss->value[0];
        for (size_t i = 0; i < floats; i++)
            values[i] -= 0.05f * gradients[i];
        free(in);
        free(out);
    }
    trace.weights = pri_hash(PRI_HASH_START, values, floats * sizeof *values);
    pare_memory_destroy(memory);
    free_stream(&stream);
    pare_model_destroy(model);
    stop();
    return trace;
}

static void test_any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    training_trace one = train(1);
    for (int threads = 2; threads <= 4; threads++) {
        training_trace more = train(threads);
        assert_memory_equal(one.losses, more.losses, sizeof one.losses);
        assert_true(one.weights == more.weights);
    }
}

static void test_dropout_is_off_in_evaluation(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *plain = create_model(&config);
    config.dropout = 0.5f;
    config.attention_dropout = 0.5f;
    pare_model *dropping = create_model(&config);
    token_stream stream = create_stream(2, 12, config.vocabulary);
    float *a = losses_of(plain, 8, &stream, 6), *b = losses_of(dropping, 8, &stream, 6);
    assert_memory_equal(a, b, 24 * sizeof *a);
    free(a);
    free(b);
    free_stream(&stream);
    pare_model_destroy(plain);
    pare_model_destroy(dropping);
}

/* A model, a memory that is always the same, and a segment to train on. */
typedef struct training_case {
    pare_model *model;
    pare_memory *memory;
    size_t filled;
    float *states[2];
    token_stream stream;
} training_case;

static training_case create_training_case(const pare_transformer_xl_config *config)
{
    training_case training = {.model = create_model(config),
                              .stream = create_stream(3, 9, config->vocabulary)};
    check_ok(pare_memory_create(training.model, 3, config->memory, &training.memory));
    uint32_t earlier[15] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9};
    pare_segment segment = {.lanes = 3, .length = 5, .inputs = earlier, .targets = earlier};
    pare_tape_begin(tape, false, 0);
    pare_language_model_loss(training.model, tape, training.memory, &segment, NULL);
    check_ok(pare_tape_status(tape));
    training.filled = pare_memory_filled(training.memory);
    size_t floats = 3 * training.filled * config->size;
    for (size_t i = 0; i < 2; i++) {
        training.states[i] = malloc(floats * sizeof(float));
        assert_non_null(training.states[i]);
        memcpy(training.states[i], pare_memory_state(training.memory, i), floats * sizeof(float));
    }
    return training;
}

static void free_training_case(training_case *training)
{
    free(training->states[0]);
    free(training->states[1]);
    free_stream(&training->stream);
    pare_memory_destroy(training->memory);
    pare_model_destroy(training->model);
}

static pare_tensor *training_loss(const training_case *training)
{
    const float *states[2] = {training->states[0], training->states[1]};
    check_ok(pare_memory_restore(training->memory, training->filled, states));
    pare_segment segment = {.lanes = training->stream.lanes,
                            .length = training->stream.total,
                            .inputs = training->stream.inputs,
                            .targets = training->stream.targets};
    pare_tape_begin(tape, true, 42);
    pare_tensor *loss =
        pare_language_model_loss(training->model, tape, training->memory, &segment, NULL);
    check_ok(pare_tape_status(tape));
    return loss;
}

/* The slope of the loss along a parameter's own gradient, where it is largest. */
static double slope_along_gradient(const training_case *training, pare_tensor *tensor, double norm)
{
    const double step = 5e-4; /* larger ones cross kinks of the relu */
    size_t size = tensor->rows * tensor->columns;
    float *kept = malloc(size * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, tensor->value, size * sizeof *kept);
    double slope = 0.0;
    for (int side = -1; side <= 1; side += 2) {
        for (size_t i = 0; i < size; i++)
            tensor->value[i] = kept[i] + (float)(side * step * (double)tensor->gradient[i] / norm);
        slope += side * (double)training_loss(training)->value[0] / (2.0 * step);
    }
    memcpy(tensor->value, kept, size * sizeof *kept);
    free(kept);
    return slope;
}

/* With every dropout on (the same key draws the same) and a memory that stays as it is, because no
 * gradient flows into it. */
static void test_gradient_with_dropout_and_memory(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.dropout = 0.3f;
    config.attention_dropout = 0.2f;
    config.division = 2;
    config.cluster_count = 1;
    config.cutoffs[0] = 12;
    training_case training = create_training_case(&config);
    pare_model_zero_gradients(training.model);
    check_ok(pare_tape_backward(tape, training_loss(&training), 1.0f));
    size_t count;
    pare_parameter *parameters = pare_model_parameters(training.model, &count);
    for (size_t p = 0; p < count; p++) {
        pare_tensor *tensor = &parameters[p].tensor;
        double squares = 0.0;
        for (size_t i = 0; i < tensor->rows * tensor->columns; i++)
            squares += (double)tensor->gradient[i] * (double)tensor->gradient[i];
        assert_true(squares > 0.0);
        double norm = sqrt(squares), slope = slope_along_gradient(&training, tensor, norm);
        if (fabs(slope - norm) > 1e-2 * norm + 2e-3)
            fail_msg("%s: slope %g but gradient %g", parameters[p].name, slope, norm);
    }
    free_training_case(&training);
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.dropout = 0.1f;
    pare_model *model = create_model(&config);
    token_stream stream = create_stream(2, 7, config.vocabulary);
    pare_memory *memory;
    check_ok(pare_memory_create(model, 2, config.memory, &memory));
    pare_segment segment = {
        .lanes = 2, .length = 7, .inputs = stream.inputs, .targets = stream.targets};
    uint64_t allocations = 0;
    for (int step = 0; step < 8; step++) {
        /* The memory is full from the third step on, and the arena one block after that step. */
        if (step == 4)
            allocations = pri_allocation_count();
        pare_model_zero_gradients(model);
        pare_tape_begin(tape, true, (uint64_t)step);
        check_ok(pare_tape_backward(
            tape, pare_language_model_loss(model, tape, memory, &segment, NULL), 1.0f));
    }
    assert_true(pri_allocation_count() == allocations);
    pare_memory_destroy(memory);
    free_stream(&stream);
    pare_model_destroy(model);
}

static void test_fresh_weights(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.initial_deviation = 0.02f;
    config.vocabulary = 2000;
    pare_model *a, *b, *other;
    check_ok(pare_transformer_xl_create(context, &config, 7, &a));
    check_ok(pare_transformer_xl_create(context, &config, 7, &b));
    check_ok(pare_transformer_xl_create(context, &config, 8, &other));
    size_t count, floats = pare_model_parameter_floats(a);
    const float *values = pare_model_parameters(a, &count)[0].tensor.value;
    assert_memory_equal(values, pare_model_parameters(b, &count)[0].tensor.value,
                        floats * sizeof(float));
    assert_memory_not_equal(values, pare_model_parameters(other, &count)[0].tensor.value,
                            floats * sizeof(float));
    const pare_tensor *words =
        &find_parameter(a, "transformer.word_emb.emb_layers.0.weight")->tensor;
    double squares = 0.0;
    for (size_t i = 0; i < words->rows * words->columns; i++)
        squares += (double)words->value[i] * (double)words->value[i];
    assert_true(fabs(sqrt(squares / (double)(words->rows * words->columns)) - 0.02) < 5e-4);
    const pare_parameter *gain = find_parameter(a, "transformer.layers.1.pos_ff.layer_norm.weight");
    assert_false(gain->decay);
    for (size_t i = 0; i < gain->tensor.columns; i++)
        assert_true(fabs((double)gain->tensor.value[i] - 1.0) < 0.1);
    const pare_parameter *bias = find_parameter(a, "transformer.layers.1.pos_ff.CoreNet.0.bias");
    assert_false(bias->decay);
    for (size_t i = 0; i < bias->tensor.columns; i++)
        assert_true(bias->tensor.value[i] == 0.0f);
    assert_true(find_parameter(a, "transformer.layers.1.pos_ff.CoreNet.0.weight")->decay);
    pare_model_destroy(a);
    pare_model_destroy(b);
    pare_model_destroy(other);
}

/* ---- Mistakes ---- */

static void refuse_config(pare_transformer_xl_config config, const char *reason)
{
    pare_model *model;
    assert_int_equal(pare_transformer_xl_create(context, &config, 1, &model), PARE_ERROR_ARGUMENT);
    assert_null(model);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

static void test_impossible_configurations(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    config.vocabulary = 0;
    refuse_config(config, "vocab_size");
    config = small_config();
    config.size = 15;
    refuse_config(config, "even");
    config = small_config();
    config.head_size = 257;
    refuse_config(config, "d_head");
    config = small_config();
    config.memory = 0;
    config.same_length = true;
    refuse_config(config, "same_length");
    config = small_config();
    config.dropout = 1.0f;
    refuse_config(config, "dropout");
    config = small_config();
    config.cluster_count = 2;
    config.cutoffs[0] = 20;
    config.cutoffs[1] = 20;
    refuse_config(config, "cutoffs must rise");
    config.cutoffs[1] = 31;
    refuse_config(config, "cutoffs must rise");
    config.cutoffs[1] = 25;
    config.division = 4;
    refuse_config(config, "leaves nothing");
    config = small_config();
    config.vocabulary = INT32_MAX;
    config.size = config.embedding_size = (size_t)1 << 24;
    refuse_config(config, "parameters");
}

static void refuse_segment(pare_model *model, pare_memory *memory, pare_segment segment,
                           const char *reason)
{
    pare_tape_begin(tape, false, 0);
    assert_null(pare_language_model_loss(model, tape, memory, &segment, NULL));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

static void test_impossible_segments(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    config.layers = 1;
    pare_model *other = create_model(&config);
    pare_memory *memory, *other_memory;
    check_ok(pare_memory_create(model, 2, 8, &memory));
    check_ok(pare_memory_create(other, 2, 8, &other_memory));
    assert_int_equal(pare_memory_create(model, 0, 8, &(pare_memory *){NULL}), PARE_ERROR_ARGUMENT);
    uint32_t tokens[6] = {1, 2, 3, 4, 5, 6}, unknown[6] = {1, 2, 31, 4, 5, 6};
    pare_segment segment = {.lanes = 3, .length = 2, .inputs = tokens, .targets = tokens};
    refuse_segment(model, memory, segment, "lanes");
    segment = (pare_segment){.lanes = 2, .length = 3, .inputs = tokens, .targets = tokens};
    refuse_segment(model, other_memory, segment, "another model");
    segment.inputs = unknown;
    refuse_segment(model, memory, segment, "31");
    segment.length = 0;
    refuse_segment(model, memory, segment, "one token");
    assert_int_equal(pare_memory_filled(memory), 0);
    pare_memory_destroy(memory);
    pare_memory_destroy(other_memory);
    pare_model_destroy(model);
    pare_model_destroy(other);
}

int main(void)
{
#define WITH_CONTEXT(test) cmocka_unit_test_setup_teardown(test, start_test, stop_test)
    const struct CMUnitTest tests[] = {
        WITH_CONTEXT(test_long_memory_equals_one_segment),
        WITH_CONTEXT(test_short_memory_differs),
        WITH_CONTEXT(test_window_needs_no_more_memory),
        WITH_CONTEXT(test_memory_is_restored),
        WITH_CONTEXT(test_clamp_beyond_all_keys_changes_nothing),
        WITH_CONTEXT(test_shifted_positions_change_nothing),
        WITH_CONTEXT(test_plain_attention_without_positions),
        WITH_CONTEXT(test_probabilities_sum_to_one),
        cmocka_unit_test(test_any_number_of_threads_gives_the_same_bits),
        WITH_CONTEXT(test_dropout_is_off_in_evaluation),
        WITH_CONTEXT(test_gradient_with_dropout_and_memory),
        WITH_CONTEXT(test_steps_allocate_nothing),
        WITH_CONTEXT(test_fresh_weights),
        WITH_CONTEXT(test_impossible_configurations),
        WITH_CONTEXT(test_impossible_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
