/* Attention through the C interface, forward and backward: dense, then under a mask that keeps the
 * first key and a band of recent ones. Prints what the mask keeps and how far the results differ.
 *
 *     cc attention_forward_backward.c $(pkg-config --cflags --libs pare) -lm */
#include <math.h>
#include <pare/pare.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 256, HEADS = 4, SIZE = 32, FLOATS = TOKENS * HEADS * SIZE };

static float query[FLOATS], key[FLOATS], value[FLOATS], output_gradient[FLOATS];

static void fill(float *data, float frequency)
{
    for (size_t i = 0; i < FLOATS; i++)
        data[i] = sinf(frequency * (float)i);
}

/* The mask, a row at a time: the first key and, for every head, a band of another width. */
static void keep_band(void *user, size_t head, size_t row, uint8_t *kept)
{
    (void)user;
    for (size_t column = 0; column < TOKENS; column++)
        kept[column] = column == 0 || (column <= row && row - column < 16 * (head + 1));
}

static pare_status run(pare_context *context, const pare_plan *plan, float *output,
                       float *query_gradient)
{
    static const size_t offsets[] = {0, TOKENS}; /* one sequence; ragged batches have more */
    static float logsumexp[TOKENS * HEADS], key_gradient[FLOATS], value_gradient[FLOATS];
    pare_attention call = {
        .heads = HEADS,
        .head_size = SIZE,
        .scale = 1 / sqrtf(SIZE),
        .query = {query, HEADS * SIZE, SIZE}, /* data, floats from token to token, head to head */
        .key = {key, HEADS * SIZE, SIZE},
        .value = {value, HEADS * SIZE, SIZE},
        .output = {output, HEADS * SIZE, SIZE},
        .queries = {offsets, 1},
        .keys = {offsets, 1},
        .causal = true,
        .plan = plan, /* NULL: dense */
        .logsumexp = logsumexp,
    };
    pare_attention_gradient gradient = {
        .output_gradient = {output_gradient, HEADS * SIZE, SIZE},
        .query = {query_gradient, HEADS * SIZE, SIZE},
        .key = {key_gradient, HEADS * SIZE, SIZE},
        .value = {value_gradient, HEADS * SIZE, SIZE},
    };
    size_t bytes = (pare_attention_workspace(context, &call) + 63) / 64 * 64;
    void *workspace = aligned_alloc(64, bytes);
    if (!workspace && bytes)
        return PARE_ERROR_MEMORY;
    pare_status status = pare_attention_forward(context, &call, workspace);
    if (status == PARE_OK)
        status = pare_attention_backward(context, &call, &gradient, workspace);
    free(workspace);
    return status;
}

static double largest_difference(const float *a, const float *b)
{
    double largest = 0;
    for (size_t i = 0; i < FLOATS; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

int main(void)
{
    static float dense[FLOATS], masked[FLOATS], dense_gradient[FLOATS], masked_gradient[FLOATS];
    fill(query, 1.7f);
    fill(key, 2.3f);
    fill(value, 3.1f);
    fill(output_gradient, 4.9f);
    pare_context *context = NULL;
    pare_plan *plan = NULL;
    const pare_plan_geometry geometry = {HEADS, TOKENS, TOKENS, .causal = true};
    pare_status status = pare_context_create(NULL, &context);
    if (status == PARE_OK)
        status = pare_plan_create(&geometry, keep_band, NULL, &plan);
    if (status == PARE_OK)
        status = run(context, NULL, dense, dense_gradient);
    if (status == PARE_OK)
        status = run(context, plan, masked, masked_gradient);
    if (status == PARE_OK)
        printf("%.1f%% of the cells kept; output changed by up to %.3f, query gradient by %.3f\n",
               100. * (double)pare_plan_kept(plan) / (HEADS * TOKENS * (TOKENS + 1) / 2),
               largest_difference(dense, masked),
               largest_difference(dense_gradient, masked_gradient));
    else
        fprintf(stderr, "%s\n", pare_error_message());
    pare_plan_destroy(plan);
    pare_context_destroy(context);
    return (int)status;
}
