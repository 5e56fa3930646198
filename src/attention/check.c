/* Validation of a call before anything is computed: shapes, combinations, plan and observer. */
#include "attention/check.h"

#include <math.h>

#include "attention/plan.h"

#define HEAD_SIZE_MAX 256

static pare_status check_offsets(const pare_ragged *ragged, const char *what)
{
    if (!ragged->offsets)
        return pri_fail(PARE_ERROR_ARGUMENT, "attention needs the offsets of its %s", what);
    for (size_t n = 0; n < ragged->count; n++)
        if (ragged->offsets[n + 1] < ragged->offsets[n])
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "offset %zu of the %s is smaller than the one "
                            "before it; offsets must not decrease",
                            n + 1, what);
    return PARE_OK;
}

static pare_status check_sequences(const pare_attention *call)
{
    if (call->queries.count != call->keys.count)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention got %zu sequences of queries but %zu of keys",
                        call->queries.count, call->keys.count);
    PRI_TRY(check_offsets(&call->queries, "queries"));
    PRI_TRY(check_offsets(&call->keys, "keys"));
    for (size_t n = 0; n < call->queries.count; n++) {
        size_t queries = call->queries.offsets[n + 1] - call->queries.offsets[n];
        size_t keys = call->keys.offsets[n + 1] - call->keys.offsets[n];
        if (call->causal && keys < queries)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "causal attention needs at least as many keys as queries; sequence "
                            "%zu has %zu keys and %zu queries",
                            n, keys, queries);
        if (keys > UINT32_MAX)
            return pri_fail(PARE_ERROR_UNSUPPORTED, "a sequence holds less than 2^32 keys");
    }
    return PARE_OK;
}

static pare_status check_relative(const pare_attention *call)
{
    const pare_relative *relative = call->relative;
    if (!relative)
        return PARE_OK;
    if (!call->causal)
        return pri_fail(PARE_ERROR_ARGUMENT, "relative positions need causal attention");
    if (!relative->content_bias || !relative->position_bias || !relative->table.data)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "relative positions need both biases and the table of distances");
    if (!relative->distances)
        return pri_fail(PARE_ERROR_ARGUMENT, "the table of distances needs at least one row");
    return PARE_OK;
}

pare_status pri_attention_check(const pare_attention *call)
{
    if (!call->heads || !call->head_size || call->head_size > HEAD_SIZE_MAX)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention needs at least one head and a head size of 1 to %d, not %zu "
                        "heads of size %zu",
                        HEAD_SIZE_MAX, call->heads, call->head_size);
    if (!isfinite(call->scale))
        return pri_fail(PARE_ERROR_ARGUMENT, "the scale of the scores must be a finite number");
    if (!(call->dropout >= 0 && call->dropout < 1))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "attention dropout must be at least 0 and less than 1, not %g",
                        (double)call->dropout);
    if (call->precision != PARE_PRECISION_FP32 && call->precision != PARE_PRECISION_BF16)
        return pri_fail(PARE_ERROR_ARGUMENT, "the precision of attention is fp32 or bf16, not %d",
                        (int)call->precision);
    if (call->window && !call->causal)
        return pri_fail(PARE_ERROR_ARGUMENT, "a window needs causal attention");
    PRI_TRY(check_sequences(call));
    PRI_TRY(check_relative(call));
    if (call->plan)
        PRI_TRY(pri_plan_geometry_check(&call->plan->geometry, call, "plan"));
    if (call->observer)
        PRI_TRY(pri_plan_geometry_check(&call->observer->geometry, call, "observer"));
    return PARE_OK;
}

pare_status pri_attention_check_backward(const pare_attention *call, bool has_output_gradient)
{
    PRI_TRY(pri_attention_check(call));
    if (!call->logsumexp || !call->output.data || !has_output_gradient)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the backward pass needs output and logsumexp of the forward pass and the "
                        "gradient of the output");
    return PARE_OK;
}
