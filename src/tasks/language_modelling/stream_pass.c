/* One stream of n tokens has n - 1 predictions, cut into segments from the start; the last may be
 * short. Run by a single lane it defines every token's context. Lanes side by side are faster, but
 * a lane that began with empty memory would lack the context of its first tokens. So each lane
 * first runs the segments before its own, uncounted. A state of layer l depends on the `memory`
 * states of layer l - 1 before its segment, hence on the ceil(memory / length) segments before;
 * after layers * ceil(memory / length) segments of warm-up the memory holds what the single lane's
 * would, up to rounding. All lanes share one filling of the memory, which rules out lane 0 (nothing
 * before it), so the pass has three parts:
 *
 *     head    the first segments, as many as a warm-up has, in one lane from empty memory
 *     body    whole segments, equally many in each lane
 *     tail    what is left over, the short segment included, in one lane
 */
#include "tasks/language_modelling/stream_pass.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "nn/tape.h"

/* Lane b counts segments first + b * segments .. first + (b + 1) * segments - 1. */
typedef struct pass_part {
    size_t first, lanes, segments, warm_up;
} pass_part;

#define PART_COUNT 3

typedef struct pass_state {
    const pri_stream_pass *pass;
    const pare_model *model;
    size_t predictions;
    uint32_t *inputs, *targets; /* (lanes, length) */
    uint64_t done;
    double begin;
} pass_state;

static size_t count_predictions(const pri_stream_pass *pass)
{
    return pass->tokens->count - 1;
}

static size_t warm_up_segments(const pri_stream_pass *pass, const pare_model *model)
{
    size_t layers = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, pass->length).layers;
    return layers * pri_divide_up(pass->memory, pass->length);
}

/* A lane counts at least twice its warm-up, so that few segments are run for nothing. */
size_t pri_stream_pass_lanes(const pri_stream_pass *pass, const pare_model *model)
{
    size_t whole = count_predictions(pass) / pass->length;
    size_t warm_up = warm_up_segments(pass, model);
    if (whole <= warm_up)
        return 1;
    size_t lanes = pri_smaller(pass->lanes, (whole - warm_up) / (warm_up ? 2 * warm_up : 1));
    return lanes ? lanes : 1;
}

static void plan_parts(const pri_stream_pass *pass, const pare_model *model,
                       pass_part parts[PART_COUNT])
{
    size_t whole = count_predictions(pass) / pass->length;
    size_t all = pri_divide_up(count_predictions(pass), pass->length);
    size_t lanes = pri_stream_pass_lanes(pass, model);
    if (lanes == 1) {
        parts[0] = (pass_part){.first = 0, .lanes = 1, .segments = all};
        parts[1] = parts[2] = (pass_part){0};
        return;
    }
    size_t warm_up = warm_up_segments(pass, model);
    size_t segments = (whole - warm_up) / lanes;
    size_t tail = warm_up + lanes * segments;
    parts[0] = (pass_part){.first = 0, .lanes = 1, .segments = warm_up};
    parts[1] =
        (pass_part){.first = warm_up, .lanes = lanes, .segments = segments, .warm_up = warm_up};
    parts[2] = (pass_part){.first = tail, .lanes = 1, .segments = all - tail, .warm_up = warm_up};
}

/* Step `step` of a part, warm-up included. Only a single lane meets the short segment. */
static pare_segment gather_segment(const pass_state *state, const pass_part *part, size_t step)
{
    size_t length = 0;
    for (size_t lane = 0; lane < part->lanes; lane++) {
        size_t segment = part->first + lane * part->segments + step - part->warm_up;
        size_t begin = segment * state->pass->length;
        length = pri_smaller(state->pass->length, state->predictions - begin);
        const uint32_t *first = state->pass->tokens->ids + begin;
        for (size_t i = 0; i < length; i++) {
            state->inputs[lane * length + i] = first[i];
            state->targets[lane * length + i] = first[i + 1];
        }
    }
    return (pare_segment){
        .lanes = part->lanes, .length = length, .inputs = state->inputs, .targets = state->targets};
}

static void report_progress(const pass_state *state)
{
    const pare_progress *progress = state->pass->progress;
    if (!progress || !progress->report)
        return;
    pare_progress_event event = {.label = state->pass->label,
                                 .unit = "tokens",
                                 .done = state->done,
                                 .total = state->predictions,
                                 .seconds = pri_clock_seconds() - state->begin};
    progress->report(progress->user, &event);
}

static pare_status run_steps(pass_state *state, const pass_part *part, pare_memory *memory)
{
    for (size_t step = 0; step < part->warm_up + part->segments; step++) {
        if (pare_interrupted())
            return pri_fail(PARE_ERROR_INTERRUPTED, "%s: interrupted", state->pass->label);
        pare_segment segment = gather_segment(state, part, step);
        bool counted = step >= part->warm_up;
        PRI_TRY(state->pass->step(state->pass->user, memory, &segment, counted));
        if (counted) {
            state->done += segment.lanes * segment.length;
            report_progress(state);
        }
    }
    return PARE_OK;
}

static pare_status run_part(pass_state *state, const pass_part *part)
{
    if (!part->segments)
        return PARE_OK;
    pare_memory *memory;
    PRI_TRY(pare_memory_create(state->model, part->lanes, state->pass->memory, &memory));
    pare_status status = run_steps(state, part, memory);
    pare_memory_destroy(memory);
    return status;
}

pare_status pri_stream_pass_run(const pri_stream_pass *pass, const pare_model *model)
{
    pass_part parts[PART_COUNT];
    plan_parts(pass, model, parts);
    pass_state state = {.pass = pass,
                        .model = model,
                        .predictions = count_predictions(pass),
                        .begin = pri_clock_seconds()};
    size_t batch =
        pri_stream_pass_lanes(pass, model) * pri_smaller(pass->length, state.predictions);
    state.inputs = pri_allocate(batch, sizeof(uint32_t));
    state.targets = pri_allocate(batch, sizeof(uint32_t));
    pare_status status = state.inputs && state.targets ? PARE_OK : PARE_ERROR_MEMORY;
    for (size_t i = 0; i < PART_COUNT && status == PARE_OK; i++)
        status = run_part(&state, &parts[i]);
    pri_free(state.inputs);
    pri_free(state.targets);
    return status;
}
