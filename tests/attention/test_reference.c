/* The fp64 reference: values against hand-computed rows, gradients against finite differences, the
 * position term against Transformer-XL's shift. */
#include "attention_case.h"

/* Two keys with scores 0 and log 3: probabilities 1/4 and 3/4. */
static void test_by_hand(void **state)
{
    (void)state;
    float query[] = {1, 0}, key[] = {0, 5, 1.09861229f, 7}, value[] = {1, 2, 5, 10};
    size_t queries[] = {0, 1}, keys[] = {0, 2};
    pare_attention call = {.heads = 1,
                           .head_size = 2,
                           .scale = 1,
                           .query = {query, 2, 2},
                           .key = {key, 2, 2},
                           .value = {value, 2, 2},
                           .queries = {queries, 1},
                           .keys = {keys, 1}};
    double output[2], logsumexp, probabilities[2];
    assert_ok(pare_attention_reference(&call, output, &logsumexp, probabilities));
    assert_true(fabs(probabilities[0] - .25) < 1e-7 && fabs(probabilities[1] - .75) < 1e-7);
    assert_true(fabs(output[0] - 4) < 1e-6 && fabs(output[1] - 8) < 1e-6);
    assert_true(fabs(logsumexp - log(4)) < 1e-7);
}

static double loss(const attention_case *c)
{
    results r = results_create(c);
    assert_ok(pare_attention_reference(&c->call, r.data[0], NULL, NULL));
    size_t size = c->options.head_size, heads = c->options.heads;
    double sum = 0;
    for (size_t t = 0; t < c->query_tokens; t++)
        for (size_t h = 0; h < heads; h++)
            for (size_t d = 0; d < size; d++)
                sum += r.data[0][(t * heads + h) * size + d] *
                       (double)c->output_gradient[t * c->token_stride + h * size + d];
    results_destroy(&r);
    return sum;
}

/* Central differences over the steps that fp32 inputs really make. */
static void check_gradient(const attention_case *c, float *input, const double *gradient,
                           size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        float kept = input[i], above = kept + 0x1p-10f, below = kept - 0x1p-10f;
        input[i] = above;
        double difference = loss(c);
        input[i] = below;
        difference -= loss(c);
        input[i] = kept;
        double slope = difference / ((double)above - (double)below);
        if (!(fabs(slope - gradient[i]) < 2e-5 * (1 + fabs(slope))))
            fail_msg("%s %zu: gradient %.9g, finite difference %.9g", name, i, gradient[i], slope);
    }
}

static void test_gradients(void **state)
{
    (void)state;
    const case_options kinds[] = {
        {.queries = {4, 2}, .keys = {6, 3}, .density = -1},
        {.queries = {4, 2}, .keys = {6, 3}, .causal = true, .density = .5},
        {.queries = {4, 2}, .keys = {6, 3}, .causal = true, .relative = true, .density = -1},
        {.queries = {4, 2},
         .keys = {6, 3},
         .causal = true,
         .relative = true,
         .distances = 3,
         .density = .6,
         .uniform = .3,
         .dropout = .25f},
        {.queries = {5, 0},
         .keys = {9, 2},
         .causal = true,
         .relative = true,
         .window = 4,
         .density = -1},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        case_options options = kinds[k];
        options.heads = options.sequences = 2;
        options.head_size = 3;
        options.seed = 300 + k;
        attention_case *c = case_create(options);
        results r = results_of_reference(c);
        check_gradient(c, c->query, r.data[2], r.counts[2], result_names[2]);
        check_gradient(c, c->key, r.data[3], r.counts[3], result_names[3]);
        check_gradient(c, c->value, r.data[4], r.counts[4], result_names[4]);
        if (options.relative) {
            check_gradient(c, c->content_bias, r.data[5], r.counts[5], result_names[5]);
            check_gradient(c, c->position_bias, r.data[6], r.counts[6], result_names[6]);
            check_gradient(c, c->table, r.data[7], r.counts[7], result_names[7]);
        }
        results_destroy(&r);
        case_destroy(c);
    }
}

/* Scores are recovered from probabilities: differences of logarithms within a row. With content
 * keys of zero only the position term is left, and must be T[i, j + Q - 1 - i] with
 * T[i, r] = (q_i + w).r_(K - 1 - r) (oracle 11). */
static void test_position_term_is_the_shift(void **state)
{
    (void)state;
    enum { queries = 5, keys = 9, size = 4 };
    case_options options = {.heads = 1,
                            .head_size = size,
                            .sequences = 1,
                            .queries = {queries},
                            .keys = {keys},
                            .causal = true,
                            .relative = true,
                            .density = -1,
                            .seed = 17};
    attention_case *c = case_create(options);
    memset(c->key, 0, keys * size * sizeof(float));
    double shifted[queries][keys], probabilities[queries * keys], output[queries * size];
    for (size_t i = 0; i < queries; i++)
        for (size_t r = 0; r < keys; r++) {
            shifted[i][r] = 0;
            for (size_t d = 0; d < size; d++)
                shifted[i][r] += ((double)c->query[i * size + d] + (double)c->position_bias[d]) *
                                 (double)c->table[(keys - 1 - r) * size + d];
        }
    assert_ok(pare_attention_reference(&c->call, output, NULL, probabilities));
    for (size_t i = 0; i < queries; i++)
        for (size_t j = 1; j <= i + keys - queries; j++) {
            double got = log(probabilities[i * keys + j]) - log(probabilities[i * keys + j - 1]);
            double want = shifted[i][j + queries - 1 - i] - shifted[i][j - 1 + queries - 1 - i];
            assert_true(fabs(got - (double)c->call.scale * want) < 1e-9);
        }
    case_destroy(c);
}

/* Probabilities of a row sum to 1, are 0 where pruned, and equal ones where uniform. */
static void test_probabilities(void **state)
{
    (void)state;
    case_options options = {.heads = 2,
                            .head_size = 4,
                            .sequences = 1,
                            .queries = {20},
                            .keys = {30},
                            .causal = true,
                            .density = .3,
                            .uniform = .5,
                            .seed = 23};
    attention_case *c = case_create(options);
    double *probabilities = calloc(2 * 20 * 30, sizeof *probabilities);
    double *output = calloc(20 * 2 * 4, sizeof *output);
    assert_true(probabilities && output);
    assert_ok(pare_attention_reference(&c->call, output, NULL, probabilities));
    for (size_t h = 0; h < 2; h++)
        for (size_t i = 0; i < 20; i++) {
            const double *row = probabilities + (h * 20 + i) * 30;
            double sum = 0, kept = 0;
            for (size_t j = 0; j < 30; j++) {
                assert_true(case_keeps(c, 0, h, i, j) || row[j] == 0);
                kept += case_keeps(c, 0, h, i, j);
                sum += row[j];
            }
            assert_true(kept == 0 ? sum == 0 : fabs(sum - 1) < 1e-12);
            for (size_t j = 0; j < 30 && case_is_uniform(c, h, i); j++)
                assert_true(!case_keeps(c, 0, h, i, j) || fabs(row[j] - 1 / kept) < 1e-12);
        }
    free(probabilities);
    free(output);
    case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_position_term_is_the_shift),
        cmocka_unit_test(test_probabilities),
    };
    return cmocka_run_group_tests_name("attention reference", tests, NULL, NULL);
}
