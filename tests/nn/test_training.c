/* Fifty training steps of a small language model made of every operator: the loss falls, and losses
 * and weights have the same bits for 1, 2, 3 and 4 threads at every level. */
#include "nn/optimizer.h"
#include "nn_check.h"

enum {
    STEPS = 50,
    WORDS = 700,
    SHORTLIST = 100,
    SIZE = 24,
    HEADS = 3,
    WIDE = 80,
    LANES = 4,
    LENGTH = 40,
    COUNT = LANES * LENGTH
};

enum {
    TABLE,
    TAIL_BIAS,
    HEAD_BIAS,
    CLUSTER_WEIGHT,
    CLUSTER_BIAS,
    QUERY,
    KEY,
    VALUE,
    OUT,
    GAIN,
    SHIFT,
    UP,
    UP_BIAS,
    DOWN,
    DOWN_BIAS,
    PARAMETERS
};

static const size_t shapes[PARAMETERS][2] = {
    [TABLE] = {WORDS, SIZE},      [TAIL_BIAS] = {1, WORDS - SHORTLIST},
    [HEAD_BIAS] = {1, SHORTLIST}, [CLUSTER_WEIGHT] = {1, SIZE},
    [CLUSTER_BIAS] = {1, 1},      [QUERY] = {SIZE, SIZE},
    [KEY] = {SIZE, SIZE},         [VALUE] = {SIZE, SIZE},
    [OUT] = {SIZE, SIZE},         [GAIN] = {1, SIZE},
    [SHIFT] = {1, SIZE},          [UP] = {WIDE, SIZE},
    [UP_BIAS] = {1, WIDE},        [DOWN] = {SIZE, WIDE},
    [DOWN_BIAS] = {1, SIZE}};

typedef struct language_model {
    pare_tensor parameters[PARAMETERS];
    float *m[PARAMETERS], *v[PARAMETERS];
    double losses[STEPS];
} language_model;

static size_t count_of(int parameter)
{
    return shapes[parameter][0] * shapes[parameter][1];
}

static void model_create(language_model *model)
{
    for (int p = 0; p < PARAMETERS; p++) {
        size_t count = count_of(p);
        model->parameters[p] = (pare_tensor){.rows = shapes[p][0],
                                             .columns = shapes[p][1],
                                             .value = calloc(count, sizeof(float)),
                                             .gradient = calloc(count, sizeof(float))};
        model->m[p] = calloc(count, sizeof(float));
        model->v[p] = calloc(count, sizeof(float));
        for (size_t i = 0; i < count; i++)
            model->parameters[p].value[i] =
                p == GAIN ? 1.0f : 0.2f * check_random((uint64_t)p + 50, i);
    }
}

static void model_destroy(language_model *model)
{
    for (int p = 0; p < PARAMETERS; p++) {
        free(model->parameters[p].value);
        free(model->parameters[p].gradient);
        free(model->m[p]);
        free(model->v[p]);
    }
}

static pare_tensor *forward(pare_tape *tape, language_model *model, const uint32_t *ids,
                            const uint32_t *targets)
{
    static const size_t offsets[LANES + 1] = {0, LENGTH, 2 * LENGTH, 3 * LENGTH, COUNT};
    pare_tensor *p = model->parameters;
    pare_tensor *x = pare_embedding(tape, &p[TABLE], ids, COUNT, 2.0f);
    x = pare_dropout(tape, x, 0.1f);
    pare_attention layout = {.heads = HEADS,
                             .head_size = SIZE / HEADS,
                             .scale = 0.35f,
                             .queries = {offsets, LANES},
                             .keys = {offsets, LANES},
                             .causal = true,
                             .dropout = 0.1f};
    pare_tensor *a =
        pare_attend(tape, &layout, pare_linear(tape, x, &p[QUERY], NULL, PARE_ACTIVATION_NONE),
                    pare_linear(tape, x, &p[KEY], NULL, PARE_ACTIVATION_NONE),
                    pare_linear(tape, x, &p[VALUE], NULL, PARE_ACTIVATION_NONE), NULL);
    a = pare_linear(tape, a, &p[OUT], NULL, PARE_ACTIVATION_NONE);
    x = pare_layer_norm(tape, pare_add(tape, x, a), &p[GAIN], &p[SHIFT], 1e-5f);
    pare_tensor *h = pare_linear(tape, x, &p[UP], &p[UP_BIAS], PARE_ACTIVATION_GELU);
    h = pare_linear(tape, pare_dropout(tape, h, 0.1f), &p[DOWN], &p[DOWN_BIAS],
                    PARE_ACTIVATION_NONE);
    x = pare_layer_norm(tape, pare_add(tape, x, h), &p[GAIN], &p[SHIFT], 1e-5f);
    pare_adaptive_softmax softmax = {
        .clusters = 2,
        .cutoffs = {SHORTLIST, WORDS},
        .weight = {pare_rows(tape, &p[TABLE], 0, SHORTLIST),
                   pare_rows(tape, &p[TABLE], SHORTLIST, WORDS - SHORTLIST)},
        .bias = {&p[HEAD_BIAS], &p[TAIL_BIAS]},
        .cluster_weight = &p[CLUSTER_WEIGHT],
        .cluster_bias = &p[CLUSTER_BIAS]};
    return pare_adaptive_softmax_loss(tape, x, &softmax, targets, NULL);
}

/* A text with something to learn: word k is mostly followed by 3 k + 1. */
static void make_text(int step, uint32_t *ids, uint32_t *targets)
{
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t draw = (uint64_t)step * COUNT + i;
        bool follows = i % LENGTH && pri_random_below(6, draw, 5);
        ids[i] = follows ? (3 * ids[i - 1] + 1) % WORDS
                         : (uint32_t)pri_random_below(7, draw, WORDS / 10);
        targets[i] = (3 * ids[i] + 1) % WORDS;
    }
}

static void update(pare_context *context, language_model *model, int step)
{
    double squares = 0.0;
    for (int p = 0; p < PARAMETERS; p++)
        squares += pri_sum_of_squares(context, count_of(p), model->parameters[p].gradient);
    float norm = (float)sqrt(squares);
    pri_adam adam = {.rate = 0.01f,
                     .beta1 = 0.9f,
                     .beta2 = 0.999f,
                     .epsilon = 1e-8f,
                     .correction1 = (float)(1.0 - pow(0.9, step + 1)),
                     .correction2 = (float)(1.0 - pow(0.999, step + 1)),
                     .gradient_scale = norm > 1.0f ? 1.0f / norm : 1.0f};
    for (int p = 0; p < PARAMETERS; p++) {
        pare_tensor *parameter = &model->parameters[p];
        pri_adam_update(context, &adam, count_of(p), parameter->value, parameter->gradient,
                        model->m[p], model->v[p]);
        memset(parameter->gradient, 0, count_of(p) * sizeof(float));
    }
}

static void train(language_model *model, pare_level level, int threads)
{
    pare_context *context = check_context(level, threads);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    model_create(model);
    for (int step = 0; step < STEPS; step++) {
        uint32_t ids[COUNT], targets[COUNT];
        make_text(step, ids, targets);
        pare_tape_begin(tape, true, pri_random_key(1, "dropout", (uint64_t)step));
        pare_tensor *loss = forward(tape, model, ids, targets);
        if (!loss)
            fail_msg("%s", pare_error_message());
        model->losses[step] = (double)loss->value[0];
        assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
        update(context, model, step);
    }
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

static void expect_same_bits(const language_model *a, const language_model *b)
{
    assert_memory_equal(a->losses, b->losses, sizeof a->losses);
    for (int p = 0; p < PARAMETERS; p++)
        assert_memory_equal(a->parameters[p].value, b->parameters[p].value,
                            count_of(p) * sizeof(float));
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        language_model first;
        train(&first, (pare_level)level, 1);
        assert_true(first.losses[0] > 5.0 && first.losses[STEPS - 1] < first.losses[0] - 1.5);
        for (int threads = 2; threads <= CHECK_THREADS_MAX; threads++) {
            language_model other;
            train(&other, (pare_level)level, threads);
            expect_same_bits(&first, &other);
            model_destroy(&other);
        }
        model_destroy(&first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
