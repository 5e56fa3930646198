/* Masks and averages on a model: what is observed is what the forward pass used, masks stay aligned
 * whatever the memory holds, and masks of other shapes are refused. The names T1 .. T6 are the
 * traps of the reference implementation, see docs/reproducing.md. */
#include "models/model_check.h"

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

static const pare_tensor *layer_tensor(pare_model *model, size_t layer, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "transformer.layers.%zu.dec_attn.%s", layer, name);
    return &find_parameter(model, full)->tensor;
}

static void run_segment(pare_model *model, pare_memory *memory, size_t lanes, size_t length,
                        const uint32_t *tokens)
{
    pare_segment segment = {.lanes = lanes, .length = length, .inputs = tokens, .targets = tokens};
    pare_tape_begin(tape, false, 0);
    pare_language_model_loss(model, tape, memory, &segment, NULL);
    check_ok(pare_tape_status(tape));
}

/* ---- Observation (T1, T2, T3) ---- */

static void multiply(const pare_tensor *weight, size_t first_row, size_t rows, const double *x,
                     double *y)
{
    for (size_t row = 0; row < rows; row++) {
        y[row] = 0.0;
        for (size_t i = 0; i < weight->columns; i++)
            y[row] += (double)weight->value[(first_row + row) * weight->columns + i] * x[i];
    }
}

/* What a layer's projections see of hidden state `state`. */
static void layer_input(pare_model *model, size_t layer, const float *state, double *x)
{
    const pare_transformer_xl_config *config = pare_transformer_xl_config_of(model);
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < config->size; i++)
        mean += (double)(x[i] = (double)state[i]) / (double)config->size;
    if (!config->pre_norm)
        return;
    for (size_t i = 0; i < config->size; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)config->size;
    const float *gain = layer_tensor(model, layer, "layer_norm.weight")->value;
    const float *bias = layer_tensor(model, layer, "layer_norm.bias")->value;
    for (size_t i = 0; i < config->size; i++)
        x[i] =
            (x[i] - mean) / sqrt(variance + (double)config->layer_norm_epsilon) * (double)gain[i] +
            (double)bias[i];
}

#define SIZE_MAXIMUM 64

/* The attention of one row from the definition: query token `newest` of `states`, keys 0 .. newest.
 */
static void expected_row(pare_model *model, size_t layer, size_t head, const float *states,
                         size_t newest, double *probabilities)
{
    const pare_transformer_xl_config *config = pare_transformer_xl_config_of(model);
    size_t d = config->size, size = config->head_size, wide = config->heads * size;
    const pare_tensor *qkv = layer_tensor(model, layer, "qkv_net.weight");
    const pare_tensor *position = layer_tensor(model, layer, "r_net.weight");
    const float *u = find_parameter(model, "transformer.r_w_bias")->tensor.value + head * size;
    const float *w = find_parameter(model, "transformer.r_r_bias")->tensor.value + head * size;
    double x[SIZE_MAXIMUM], q[SIZE_MAXIMUM], k[SIZE_MAXIMUM], r[SIZE_MAXIMUM], sum = 0.0;
    assert_true(d <= SIZE_MAXIMUM && size <= SIZE_MAXIMUM);
    layer_input(model, layer, states + newest * d, x);
    multiply(qkv, head * size, size, x, q);
    for (size_t key = 0; key <= newest; key++) {
        layer_input(model, layer, states + key * d, x);
        multiply(qkv, wide + head * size, size, x, k);
        for (size_t t = 0; t < d / 2; t++) {
            double angle = (double)(newest - key) * pow(10000.0, -2.0 * (double)t / (double)d);
            x[t] = sin(angle);
            x[d / 2 + t] = cos(angle);
        }
        multiply(position, head * size, size, x, r);
        double score = 0.0;
        for (size_t i = 0; i < size; i++)
            score += (q[i] + (double)u[i]) * k[i] + (q[i] + (double)w[i]) * r[i];
        sum += probabilities[key] = exp(score / sqrt((double)size));
    }
    for (size_t key = 0; key <= newest; key++)
        probabilities[key] /= sum;
}

/* Six earlier tokens in a memory for eight, then five tokens observed by an average of seven: key j
 * of the eleven is column j + 2. */
static void check_observation(bool pre_norm)
{
    const size_t lanes = 2, past = 6, length = 5, keys = past + length, shift = 2;
    pare_transformer_xl_config config = small_config();
    config.pre_norm = pre_norm;
    pare_model *model = create_model(&config);
    pare_memory *memory;
    check_ok(pare_memory_create(model, lanes, 32, &memory));
    uint32_t *tokens = random_tokens(lanes * keys, config.vocabulary);
    run_segment(model, memory, lanes, past, tokens);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 7);
    pare_average *average;
    check_ok(pare_average_create(&geometry, &average));
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    run_segment(model, memory, lanes, length, tokens + lanes * past);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    run_segment(model, NULL, lanes, length, tokens);

    for (size_t layer = 0; layer < config.layers; layer++)
        for (size_t head = 0; head < config.heads; head++)
            for (size_t row = 0; row < length; row++) {
                double expected[16] = {0.0};
                for (size_t lane = 0; lane < lanes; lane++) {
                    double of_lane[16];
                    const float *states =
                        pare_memory_state(memory, layer) + lane * keys * config.size;
                    expected_row(model, layer, head, states, past + row, of_lane);
                    for (size_t key = 0; key <= past + row; key++)
                        expected[key] += of_lane[key] / (double)lanes;
                }
                for (size_t key = 0; key <= past + row; key++) {
                    double value = pare_average_value(average, PARE_AVERAGE_VALID, layer, head, row,
                                                      key + shift);
                    assert_true(fabs(value - expected[key]) < 2e-5);
                }
            }
    for (size_t row = 0; row < geometry.queries; row++)
        for (size_t column = 0; column < geometry.keys; column++) {
            bool covered = row < length && column >= shift && column <= row + config.memory;
            assert_int_equal(pare_average_count(average, row, column), covered ? lanes : 0);
        }
    pare_average_destroy(average);
    free(tokens);
    pare_memory_destroy(memory);
    pare_model_destroy(model);
}

static void test_observed_is_what_the_forward_pass_used(void **state)
{
    (void)state;
    check_observation(false);
    check_observation(true);
}

/* ---- Masks ---- */

/* An average with random values; cells of the memory are all smaller than any other. */
static pare_average *random_average(const pare_geometry *geometry)
{
    pare_average *average;
    check_ok(pare_average_create(geometry, &average));
    size_t memory = geometry->keys - geometry->queries;
    for (size_t layer = 0; layer < geometry->layers; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        for (size_t head = 0; head < geometry->heads; head++)
            for (size_t row = 0; row < geometry->queries; row++)
                for (size_t column = 0; column <= row + memory; column++) {
                    size_t cell = row * geometry->keys + column;
                    size_t index = head * geometry->queries * geometry->keys + cell;
                    double draw = pri_random_uniform(layer, index);
                    observer.sums[index] = column < memory ? 0.01 * draw : 0.1 + 0.5 * draw;
                    if (observer.counts)
                        observer.counts[cell] = 1;
                }
    }
    pare_average_add_examples(average, 1);
    return average;
}

static pare_mask *create_mask(pare_model *model, size_t length, pare_geometry_kind kind,
                              double percent)
{
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, length);
    pare_average *average = random_average(&geometry);
    pare_prune_options options = {.geometry = kind, .percent = percent};
    pare_mask *mask;
    check_ok(pare_mask_create(average, &options, &mask));
    pare_average_destroy(average);
    return mask;
}

/* Of a causal layer's cells with `memory` columns before the segment, in percent. */
static double memory_share(size_t memory, size_t length)
{
    double past = (double)(memory * length), own = (double)(length * (length + 1)) / 2.0;
    return 100.0 * past / (past + own);
}

/* Oracle 7 and T6: a segment under a mask that prunes all memory cells is the same segment whether
 * the memory is empty or not. Sliced from column 0 instead, an empty memory would use the memory's
 * columns. */
static void test_pruned_memory_equals_empty_memory(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    pare_mask *mask =
        create_mask(model, 6, PARE_GEOMETRY_CELL, memory_share(config.memory, 6) + 1e-7);
    for (size_t column = 0; column < 14; column++)
        assert_true(pare_mask_kept(mask, 1, 2, 5, column) == (column >= config.memory));
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    uint32_t *tokens = random_tokens(24, config.vocabulary);
    /* Second segment of a stream, with a full and with a partly filled memory; and alone. */
    for (size_t past = 6; past <= 18; past += 6) {
        float *late = stream_losses(model, 8, tokens, tokens, 1, past + 6, 6);
        float *alone = stream_losses(model, 8, tokens + past, tokens + past, 1, 6, 6);
        assert_true(largest_difference(late + past, alone, 6) < 1e-5);
        free(late);
        free(alone);
    }
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
    float *late = stream_losses(model, 8, tokens, tokens, 1, 12, 6);
    float *alone = stream_losses(model, 8, tokens + 6, tokens + 6, 1, 6, 6);
    assert_true(largest_difference(late + 6, alone, 6) > 1e-3);
    free(late);
    free(alone);
    free(tokens);
    pare_mask_destroy(mask);
    pare_model_destroy(model);
}

/* T5: nothing pruned is the dense model, and asks for no file. */
static void test_nothing_pruned_equals_dense(void **state)
{
    (void)state;
    for (int window = 0; window < 2; window++) {
        pare_transformer_xl_config config = small_config();
        config.same_length = window;
        pare_model *model = create_model(&config);
        pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 6);
        pare_average *average;
        check_ok(pare_average_create(&geometry, &average));
        uint32_t *tokens = random_tokens(46, config.vocabulary);
        float *dense = stream_losses(model, 8, tokens, tokens, 2, 23, 6);
        pare_model_observe(model, PARE_ATTENTION_SELF, average);
        free(stream_losses(model, 8, tokens, tokens, 2, 23, 6));
        pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
        pare_average_add_examples(average, 8);
        pare_prune_options options = {.percent = 0.0};
        for (int kind = 0; kind < 2; kind++) {
            pare_mask *mask;
            options.geometry = kind ? PARE_GEOMETRY_DISTANCE : PARE_GEOMETRY_CELL;
            check_ok(pare_mask_create(average, &options, &mask));
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
            float *pruned = stream_losses(model, 8, tokens, tokens, 2, 23, 6);
            assert_true(largest_difference(dense, pruned, 46) < 1e-5);
            free(pruned);
            check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
            pare_mask_destroy(mask);
        }
        free(dense);
        free(tokens);
        pare_average_destroy(average);
        pare_model_destroy(model);
    }
}

/* One mask per distance means the same however the stream is cut. */
static void test_distance_mask_serves_any_shape(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    pare_mask *mask = create_mask(model, 6, PARE_GEOMETRY_DISTANCE, 40.0);
    uint32_t *tokens = random_tokens(46, config.vocabulary);
    float *dense = stream_losses(model, 0, tokens, tokens, 2, 23, 23);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    float *whole = stream_losses(model, 0, tokens, tokens, 2, 23, 23);
    float *pieces = stream_losses(model, 23, tokens, tokens, 2, 23, 5);
    assert_true(largest_difference(whole, pieces, 46) < 2e-4);
    assert_true(largest_difference(whole, dense, 46) > 1e-2);
    free(dense);
    free(whole);
    free(pieces);
    free(tokens);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
    pare_mask_destroy(mask);
    pare_model_destroy(model);
}

static void test_plans_are_kept(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    uint32_t *tokens = random_tokens(6, config.vocabulary);
    for (int kind = 0; kind < 2; kind++) {
        pare_mask *mask =
            create_mask(model, 6, kind ? PARE_GEOMETRY_DISTANCE : PARE_GEOMETRY_CELL, 50.0);
        check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
        assert_ptr_equal(pare_model_mask(model, PARE_ATTENTION_SELF), mask);
        pare_memory *memory;
        check_ok(pare_memory_create(model, 1, config.memory, &memory));
        uint64_t allocations = 0;
        double seconds = 0.0;
        for (int step = 0; step < 6; step++) {
            if (step == 4) {
                allocations = pri_allocation_count();
                seconds = pare_model_plan_seconds(model);
            }
            run_segment(model, memory, 1, 6, tokens);
        }
        assert_true(seconds > 0.0 && pare_model_plan_seconds(model) == seconds);
        assert_true(pri_allocation_count() == allocations);
        pare_memory_destroy(memory);
        check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, NULL));
        pare_mask_destroy(mask);
    }
    free(tokens);
    pare_model_destroy(model);
}

static void test_mask_travels_with_its_model(void **state)
{
    (void)state;
    char directory[64], path[96];
    snprintf(directory, sizeof directory, "model_masks_%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/mask.safetensors", directory);
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config), *loaded;
    pare_mask *mask = create_mask(model, 6, PARE_GEOMETRY_CELL, 70.0);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    check_ok(pare_model_save(model, directory));
    check_ok(pare_mask_save(mask, path));
    check_ok(pare_model_load(context, directory, &loaded));
    uint32_t *tokens = random_tokens(46, config.vocabulary);
    float *a = stream_losses(model, 8, tokens, tokens, 2, 23, 6);
    float *b = stream_losses(loaded, 8, tokens, tokens, 2, 23, 6);
    assert_memory_equal(a, b, 46 * sizeof *a);
    free(b);
    /* The mask may be taken off and put on again. */
    const pare_mask *own = pare_model_mask(loaded, PARE_ATTENTION_SELF);
    assert_non_null(own);
    check_ok(pare_model_set_mask(loaded, PARE_ATTENTION_SELF, NULL));
    check_ok(pare_model_set_mask(loaded, PARE_ATTENTION_SELF, own));
    b = stream_losses(loaded, 8, tokens, tokens, 2, 23, 6);
    assert_memory_equal(a, b, 46 * sizeof *a);
    free(a);
    free(b);
    free(tokens);
    check_ok(pri_remove_tree(directory));
    pare_model_destroy(loaded);
    pare_model_destroy(model);
    pare_mask_destroy(mask);
}

/* ---- Mistakes ---- */

static void refuse_mask(pare_model *model, pare_transformer_xl_config config, const char *reason)
{
    pare_model *other = create_model(&config);
    pare_mask *mask = create_mask(other, 6, PARE_GEOMETRY_CELL, 50.0);
    assert_int_equal(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
    assert_null(pare_model_mask(model, PARE_ATTENTION_SELF));
    pare_mask_destroy(mask);
    pare_model_destroy(other);
}

static void test_masks_of_other_models(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config(), other = config;
    pare_model *model = create_model(&config);
    other.layers = 1;
    refuse_mask(model, other, "1 layers of 3 heads");
    other = config;
    other.heads = 2;
    refuse_mask(model, other, "2 layers of 2 heads");
    other = config;
    other.memory = 9;
    refuse_mask(model, other, "memory 8");
    other = config;
    other.same_length = true;
    refuse_mask(model, other, "window 8");
    pare_model_destroy(model);
}

static void refuse_segment(pare_model *model, size_t memory_length, size_t length,
                           const char *reason)
{
    uint32_t tokens[16] = {0};
    pare_memory *memory;
    check_ok(pare_memory_create(model, 1, memory_length, &memory));
    pare_segment segment = {.lanes = 1, .length = length, .inputs = tokens, .targets = tokens};
    for (int step = 0; step < 3; step++) {
        pare_tape_begin(tape, false, 0);
        pare_language_model_loss(model, tape, memory, &segment, NULL);
    }
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
    pare_memory_destroy(memory);
}

static void test_segments_a_cell_mask_does_not_cover(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    pare_mask *mask = create_mask(model, 6, PARE_GEOMETRY_CELL, 50.0);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF, mask));
    refuse_segment(model, 8, 7, "at most 6 queries after 8 keys");
    refuse_segment(model, 9, 6, "at most 6 queries after 8 keys");
    pare_mask_destroy(mask);
    pare_model_destroy(model);
}

static void test_averages_of_other_models(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *model = create_model(&config);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 6);
    geometry.heads = 4;
    pare_average *average;
    check_ok(pare_average_create(&geometry, &average));
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    refuse_segment(model, 8, 6, "2 layers of 4 heads");
    pare_average_destroy(average);
    pare_model_destroy(model);
}

int main(void)
{
#define WITH_CONTEXT(test) cmocka_unit_test_setup_teardown(test, start_test, stop_test)
    const struct CMUnitTest tests[] = {
        WITH_CONTEXT(test_observed_is_what_the_forward_pass_used),
        WITH_CONTEXT(test_pruned_memory_equals_empty_memory),
        WITH_CONTEXT(test_nothing_pruned_equals_dense),
        WITH_CONTEXT(test_distance_mask_serves_any_shape),
        WITH_CONTEXT(test_plans_are_kept),
        WITH_CONTEXT(test_mask_travels_with_its_model),
        WITH_CONTEXT(test_masks_of_other_models),
        WITH_CONTEXT(test_segments_a_cell_mask_does_not_cover),
        WITH_CONTEXT(test_averages_of_other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
