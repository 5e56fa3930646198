/* Attention on the tape: matrices become views, and the log-sum-exp is kept for the way back. */
#include <string.h>

#include "base/clock.h"
#include "nn/tape.h"

typedef struct attend_record {
    pri_record base;
    pare_attention call;
    pare_relative relative;
    pare_tensor *inputs[3]; /* query, key, value */
    pare_relative_tensors relative_tensors;
} attend_record;

static pare_view view_of(const pare_attention *call, const float *data)
{
    return (pare_view){data, call->heads * call->head_size, call->head_size};
}

static pare_view_mutable mutable_view_of(const pare_attention *call, float *data)
{
    return (pare_view_mutable){data, call->heads * call->head_size, call->head_size};
}

static void *workspace_for(pare_tape *tape, const pare_attention *call)
{
    return pri_tape_scratch(tape, pare_attention_workspace(tape->context, call));
}

/* ---- Backward ---- */

static pare_status added_gradient(pare_tape *tape, pare_tensor *tensor, float **gradient)
{
    *gradient = NULL;
    if (!pri_wants_gradient(tensor))
        return PARE_OK;
    PRI_TRY(pri_gradient_begin_zero(tape, tensor));
    *gradient = tensor->gradient;
    return PARE_OK;
}

/* Attention overwrites the gradients of its three inputs: straight into one that is new, else into
 * a matrix of its own that is added afterwards. */
static pare_status choose_targets(pare_tape *tape, const attend_record *record, float *targets[3])
{
    for (int i = 0; i < 3; i++) {
        pare_tensor *input = record->inputs[i];
        targets[i] = NULL;
        if (!pri_wants_gradient(input))
            continue;
        float beta;
        PRI_TRY(pri_gradient_begin(tape, input, &beta));
        targets[i] = beta == 0.0f
                         ? input->gradient
                         : pri_tape_allocate(tape, input->rows * input->columns, sizeof(float));
        if (!targets[i])
            return tape->status;
    }
    return PARE_OK;
}

static pare_status attend_backward(pare_tape *tape, pri_record *base)
{
    attend_record *record = (attend_record *)base;
    const pare_attention *call = &record->call;
    float *targets[3];
    PRI_TRY(choose_targets(tape, record, targets));
    pare_attention_gradient gradient = {
        .output_gradient = view_of(call, base->output->gradient),
        .query = mutable_view_of(call, targets[0]),
        .key = mutable_view_of(call, targets[1]),
        .value = mutable_view_of(call, targets[2]),
    };
    if (call->relative) {
        const pare_relative_tensors *relative = &record->relative_tensors;
        float *table;
        PRI_TRY(added_gradient(tape, relative->content_bias, &gradient.content_bias));
        PRI_TRY(added_gradient(tape, relative->position_bias, &gradient.position_bias));
        PRI_TRY(added_gradient(tape, relative->table, &table));
        gradient.table = mutable_view_of(call, table);
    }
    void *workspace = workspace_for(tape, call);
    if (!workspace)
        return tape->status;
    double begin = pri_clock_seconds();
    PRI_TRY(pare_attention_backward(tape->context, call, &gradient, workspace));
    tape->attention_seconds += pri_clock_seconds() - begin;
    for (int i = 0; i < 3; i++) {
        pare_tensor *input = record->inputs[i];
        if (targets[i] != input->gradient)
            pri_add_scaled(tape, input->rows * input->columns, 1.0f, targets[i], 1.0f,
                           input->gradient);
    }
    return PARE_OK;
}

/* ---- Forward ---- */

static pare_status check_tokens(const char *name, const pare_tensor *tensor, size_t columns,
                                const pare_ragged *sequences)
{
    size_t tokens = sequences->offsets ? sequences->offsets[sequences->count] : 0;
    if (tensor->columns == columns && tensor->rows == tokens)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "attention: %s is %zu x %zu but the layout asks for %zu tokens of %zu numbers "
                    "(heads x head size)",
                    name, tensor->rows, tensor->columns, tokens, columns);
}

static pare_status check_relative(const pare_attention *layout,
                                  const pare_relative_tensors *relative)
{
    size_t heads = layout->heads, size = layout->head_size;
    const pare_tensor *biases[2] = {relative->content_bias, relative->position_bias};
    if (!biases[0] || !biases[1] || !relative->table)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention: the relative form needs both biases and the table");
    for (int i = 0; i < 2; i++)
        if (biases[i]->rows * biases[i]->columns != heads * size)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "attention: a relative bias is %zu x %zu; it must hold heads x head "
                            "size = %zu x %zu numbers",
                            biases[i]->rows, biases[i]->columns, heads, size);
    if (relative->table->columns != heads * size || relative->table->rows == 0)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention: the table of distances is %zu x %zu; it needs at least one row "
                        "and %zu columns",
                        relative->table->rows, relative->table->columns, heads * size);
    return PARE_OK;
}

static pare_status check(const pare_attention *layout, pare_tensor *const inputs[3],
                         const pare_relative_tensors *relative)
{
    size_t columns = layout->heads * layout->head_size;
    if (layout->queries.count != layout->keys.count) /* the workspace's size looks at both */
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention: the layout has %zu sequences of queries but %zu of keys",
                        layout->queries.count, layout->keys.count);
    PRI_TRY(check_tokens("the query", inputs[0], columns, &layout->queries));
    PRI_TRY(check_tokens("the key", inputs[1], columns, &layout->keys));
    PRI_TRY(check_tokens("the value", inputs[2], columns, &layout->keys));
    return relative ? check_relative(layout, relative) : PARE_OK;
}

static bool wants_gradient(pare_tensor *const inputs[3], const pare_relative_tensors *relative)
{
    bool wants = pri_wants_gradient(inputs[0]) || pri_wants_gradient(inputs[1]) ||
                 pri_wants_gradient(inputs[2]);
    if (relative)
        wants |= pri_wants_gradient(relative->content_bias) ||
                 pri_wants_gradient(relative->position_bias) || pri_wants_gradient(relative->table);
    return wants;
}

static void fill_relative(attend_record *record, const pare_relative_tensors *tensors)
{
    record->relative_tensors = *tensors;
    record->relative = (pare_relative){
        .content_bias = tensors->content_bias->value,
        .position_bias = tensors->position_bias->value,
        .table = view_of(&record->call, tensors->table->value),
        .distances = tensors->table->rows,
    };
    record->call.relative = &record->relative;
}

static void fill_call(pare_tape *tape, attend_record *record)
{
    pare_attention *call = &record->call;
    call->query = view_of(call, record->inputs[0]->value);
    call->key = view_of(call, record->inputs[1]->value);
    call->value = view_of(call, record->inputs[2]->value);
    call->output = mutable_view_of(call, record->base.output->value);
    call->relative = NULL;
    call->logsumexp = NULL;
    if (pri_wants_gradient(record->base.output))
        call->logsumexp =
            pri_tape_allocate(tape, record->inputs[0]->rows * call->heads, sizeof(float));
    if (!tape->training)
        call->dropout = 0.0f;
    if (call->dropout > 0.0f)
        call->dropout_key = pri_tape_draw_key(tape);
}

pare_tensor *pare_attend(pare_tape *tape, const pare_attention *layout, pare_tensor *query,
                         pare_tensor *key, pare_tensor *value,
                         const pare_relative_tensors *relative)
{
    if (!pri_tape_ready(tape, query && key && value))
        return NULL;
    pare_tensor *inputs[3] = {query, key, value};
    pare_status status = check(layout, inputs, relative);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    pare_tensor *output =
        pri_tape_result(tape, query->rows, query->columns, wants_gradient(inputs, relative));
    attend_record *record = pri_tape_record(tape, attend_backward, output, sizeof *record);
    if (!record)
        return NULL;
    record->call = *layout;
    memcpy(record->inputs, inputs, sizeof inputs);
    fill_call(tape, record);
    if (relative)
        fill_relative(record, relative);
    void *workspace = workspace_for(tape, &record->call);
    if (!workspace || tape->status != PARE_OK)
        return NULL;
    double begin = pri_clock_seconds();
    status = pare_attention_forward(tape->context, &record->call, workspace);
    tape->attention_seconds += pri_clock_seconds() - begin;
    return status == PARE_OK ? output : pri_tape_fail(tape, status);
}
