/* Attention under a mask with libpare-attention alone: loads a mask (or prunes one from the
 * attention of random data and saves it), compiles its layers into plans, runs each forward and
 * backward, and compares with the reference.
 *     cc masked_attention.c $(pkg-config --cflags --libs pare-attention) -lm && ./a.out [MASK] */
#include <math.h>
#include <pare/pruning.h>
#include <stdio.h>
#include <stdlib.h>

static void check(pare_status status)
{
    if (status == PARE_OK)
        return;
    fprintf(stderr, "%s\n", pare_error_message());
    exit((int)status);
}

static void *allocate(size_t bytes) /* a workspace has to be aligned to 64 bytes */
{
    void *memory = aligned_alloc(64, bytes / 64 * 64 + 64);
    check(memory ? PARE_OK : PARE_ERROR_MEMORY);
    return memory;
}

/* A sequence of random tokens: dense, for `observer`, or under `plan`, beside the reference. */
static void run_layer(pare_context *context, const pare_geometry *g, const pare_plan *plan,
                      pare_observer *observer)
{
    enum { SIZE = 32 }; /* floats of one head */
    size_t width = g->heads * SIZE, rows = g->queries * width, columns = g->keys * width;
    size_t total = 4 * rows + 2 * columns + g->queries * g->heads;
    float *q = allocate(total * sizeof *q), *k = q + rows, *v = k + columns, *output = v + columns;
    float *d_q = output + rows, *d_output = d_q + rows, *logsumexp = d_output + rows;
    for (size_t i = 0; i < total; i++)
        q[i] = 4 * (float)rand() / (float)RAND_MAX - 2;
    pare_attention call = {g->heads, SIZE, .causal = g->causal, .window = g->window, .plan = plan};
    call.scale = 1 / sqrtf(SIZE);
    call.query = (pare_view){q, width, SIZE}; /* data, floats from token to token, head to head */
    call.key = (pare_view){k, width, SIZE};
    call.value = (pare_view){v, width, SIZE};
    call.output = (pare_view_mutable){output, width, SIZE};
    call.queries = (pare_ragged){(size_t[]){0, g->queries}, 1}; /* one sequence: where it begins */
    call.keys = (pare_ragged){(size_t[]){0, g->keys}, 1};
    call.observer = observer;
    call.logsumexp = logsumexp; /* for the backward call */
    void *workspace = allocate(pare_attention_workspace(context, &call));
    check(pare_attention_forward(context, &call, workspace));
    if (plan) { /* of the gradients only the queries' is asked for */
        pare_attention_gradient gradient = {{d_output, width, SIZE}, .query = {d_q, width, SIZE}};
        check(pare_attention_backward(context, &call, &gradient, workspace));
        double *exact = allocate(2 * rows * sizeof *exact), largest = 0;
        pare_attention_reference_gradient exact_gradient = {.query = exact + rows};
        check(pare_attention_reference(&call, exact, NULL, NULL));
        check(pare_attention_reference_backward(&call, gradient.output_gradient, &exact_gradient));
        for (size_t i = 0; i < 2 * rows; i++) /* d_q lies behind output, as in exact */
            if (fabs((double)output[i] - exact[i]) > largest)
                largest = fabs((double)output[i] - exact[i]);
        printf("largest difference from the reference %.1e\n", largest);
        free(exact);
    }
    free(workspace);
    free(q);
}

/* Prunes 80% of one layer of 4 heads; 64 keys of memory lie before the first of 128 queries. */
static const char *make_mask(pare_context *context, const char *path)
{
    const pare_geometry g = {PARE_GEOMETRY_CELL, 1, 4, .queries = 128, .keys = 192, .causal = true};
    pare_average *average;
    pare_mask *mask;
    check(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    run_layer(context, &g, NULL, &observer);
    pare_average_add_examples(average, 1);
    check(pare_mask_create(average, &(pare_prune_options){.percent = 80}, &mask));
    check(pare_mask_save(mask, path));
    pare_mask_destroy(mask);
    pare_average_destroy(average);
    return path;
}

int main(int count, char **arguments)
{
    pare_context *context;
    pare_mask *mask;
    check(pare_context_create(NULL, &context));
    const char *path = count > 1 ? arguments[1] : make_mask(context, "masked_attention.mask");
    check(pare_mask_load(path, &mask));
    printf("%s keeps %.1f%%\n", path, 100 - pare_mask_describe(mask).p_admissible);
    const pare_geometry *g = pare_mask_geometry(mask);
    for (size_t layer = 0; layer < g->layers; layer++) {
        pare_plan *plan;
        check(pare_mask_plan(mask, layer, g->queries, g->keys, &plan));
        run_layer(context, g, plan, NULL);
        pare_plan_destroy(plan);
    }
    pare_mask_destroy(mask);
    pare_context_destroy(context);
}
