/* Masks on a model: compiled into plans when a shape is first needed, and kept. A cell mask has one
 * shape, of which any smaller one is a part. A distance mask serves any shape, so it is compiled
 * for the calls that come: which plan a call gets must depend on its shape alone, not on earlier
 * calls, or a resumed run might sum in another order than an uninterrupted one. */
#include "base/clock.h"
#include "base/memory.h"
#include "models/model.h"
#include "nn/tape.h"
#include "pruning/geometry.h"

size_t pare_model_attention_kinds(const pare_model *model)
{
    return model->family->kinds;
}

/* ---- Setting a mask ---- */

static pare_status check_kind(const pare_model *model, pare_attention_kind kind)
{
    if ((size_t)kind < model->family->kinds)
        return PARE_OK;
    return pri_fail(
        PARE_ERROR_ARGUMENT, "a model of type \"%s\" has no %s attention", model->family->name,
        (unsigned)kind < PARE_ATTENTION_KINDS ? pare_attention_kind_names[kind] : "such");
}

static pare_status check_direction(const pare_geometry *geometry, const pare_geometry *own)
{
    if (geometry->causal == own->causal)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask is for %s attention but the model's is not; make a mask from this "
                    "model's own average",
                    geometry->causal ? "causal" : "bidirectional");
}

static pare_status check_cross(const pare_geometry *geometry, bool cross)
{
    if (pri_geometry_is_cross(geometry) == cross)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask is for %s attention but the model's is not; make a mask from this "
                    "model's own average",
                    cross ? "self" : "cross");
}

/* The shape of a cell mask. */
static pare_status check_cells(const pare_geometry *geometry, const pare_geometry *own)
{
    if (!own->causal && geometry->keys != own->keys)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %zu queries and %zu keys but an encoder has as many keys "
                        "as queries; make a mask from this model's own average",
                        geometry->queries, geometry->keys);
    if (geometry->keys != own->keys || geometry->window != own->window)
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "the mask is for %zu queries with %zu keys of memory and window %zu but the model has "
            "memory %zu and window %zu; a cell mask serves its own geometry only",
            geometry->queries, geometry->keys - geometry->queries, geometry->window,
            own->keys - own->queries, own->window);
    return PARE_OK;
}

static pare_status check_mask(const pare_model *model, pare_attention_kind kind,
                              const pare_mask *mask)
{
    const pare_geometry *geometry = pare_mask_geometry(mask);
    pare_geometry own = pare_model_attention_geometry(model, kind, geometry->queries);
    if (geometry->layers != own.layers || geometry->heads != own.heads)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %zu layers of %zu heads but the model has %zu layers of "
                        "%zu heads; make a mask from this model's own average",
                        geometry->layers, geometry->heads, own.layers, own.heads);
    PRI_TRY(check_direction(geometry, &own));
    PRI_TRY(check_cross(geometry, kind == PARE_ATTENTION_CROSS));
    bool cells = geometry->kind == PARE_GEOMETRY_CELL && kind != PARE_ATTENTION_CROSS;
    return cells ? check_cells(geometry, &own) : PARE_OK;
}

static void destroy_plans(pare_plan **plans, size_t layers)
{
    for (size_t layer = 0; plans && layer < layers; layer++)
        pare_plan_destroy(plans[layer]);
    pri_free(plans);
}

static void drop_plans(pri_attention_state *state)
{
    for (size_t i = 0; i < state->plan_set_count; i++)
        destroy_plans(state->plan_sets[i].plans, state->layers);
    pri_free(state->plan_sets);
    state->plan_sets = NULL;
    state->plan_set_count = 0;
    pri_model_drop_rows(state);
}

pare_status pare_model_set_mask(pare_model *model, pare_attention_kind kind, const pare_mask *mask)
{
    PRI_TRY(check_kind(model, kind));
    if (mask)
        PRI_TRY(check_mask(model, kind, mask));
    /* Even when the address is the same: it may be another mask in the place of a destroyed one. */
    drop_plans(&model->attention[kind]);
    model->attention[kind].layers = pare_model_attention_geometry(model, kind, 1).layers;
    model->attention[kind].mask = mask;
    return PARE_OK;
}

const pare_mask *pare_model_mask(const pare_model *model, pare_attention_kind kind)
{
    return model->attention[kind].mask;
}

void pri_model_release_masks(pare_model *model)
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        drop_plans(&model->attention[kind]);
        pare_mask_destroy(model->attention[kind].owned_mask);
    }
}

double pare_model_plan_seconds(const pare_model *model)
{
    return model->plan_seconds;
}

/* ---- Plans ---- */

static pare_status compile(const pri_attention_state *state, pri_plan_set *set)
{
    set->plans = pri_allocate_zero(state->layers, sizeof *set->plans);
    if (!set->plans)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < state->layers; layer++) {
        pare_status status =
            pare_mask_plan(state->mask, layer, set->queries, set->keys, &set->plans[layer]);
        if (status != PARE_OK) {
            destroy_plans(set->plans, state->layers);
            return status;
        }
    }
    return PARE_OK;
}

static pare_status add_plans(pare_model *model, pri_attention_state *state, size_t queries,
                             size_t keys)
{
    double begin = pri_clock_seconds();
    pri_plan_set set = {.queries = queries, .keys = keys};
    size_t count = state->plan_set_count;
    pri_plan_set *sets = pri_reallocate(state->plan_sets, count, count + 1, sizeof *sets);
    if (!sets)
        return PARE_ERROR_MEMORY;
    state->plan_sets = sets;
    PRI_TRY(compile(state, &set));
    state->plan_sets[state->plan_set_count++] = set;
    model->plan_seconds += pri_clock_seconds() - begin;
    return PARE_OK;
}

static pare_status fail_shape(const pare_geometry *geometry, const pri_call_shape *shape)
{
    size_t queries = shape->queries, keys = shape->keys;
    if (geometry->causal)
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "the mask is for at most %zu queries after %zu keys of memory but a segment has %zu "
            "after %zu; use the mask's lengths, or a distance mask, which serves any",
            geometry->queries, geometry->keys - geometry->queries, queries, keys - queries);
    bool wide = queries <= geometry->queries;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask is for sequences of at most %zu tokens but one has %zu; cut the "
                    "sequences, or make a mask from the average of longer ones",
                    wide ? geometry->keys : geometry->queries, wide ? keys : queries);
}

/* The shape to compile for a call, a function of the call alone. Where sequences have a longest not
 * even that: one shape serves all, so that the result of a sequence does not depend on the others
 * of its batch. */
static pare_status choose_shape(const pare_model *model, const pare_geometry *geometry,
                                pri_call_shape *shape)
{
    if (geometry->kind != PARE_GEOMETRY_CELL) {
        if (model->positions)
            shape->queries = shape->most_keys = model->positions;
        return PARE_OK;
    }
    size_t most_keys = geometry->keys;
    if (geometry->causal) /* as many keys before the first query */
        most_keys = geometry->keys - geometry->queries + shape->queries;
    if (shape->queries > geometry->queries || shape->keys > most_keys)
        return fail_shape(geometry, shape);
    shape->queries = geometry->queries;
    shape->most_keys = geometry->keys;
    return PARE_OK;
}

pare_status pri_model_check_shape(const pare_model *model, pare_attention_kind kind,
                                  pri_call_shape shape)
{
    const pare_mask *mask = model->attention[kind].mask;
    return mask ? choose_shape(model, pare_mask_geometry(mask), &shape) : PARE_OK;
}

pare_status pri_model_plans(pare_model *model, pare_attention_kind kind, pri_call_shape shape,
                            pare_plan *const **plans)
{
    pri_attention_state *state = &model->attention[kind];
    *plans = NULL;
    if (!state->mask)
        return PARE_OK;
    PRI_TRY(choose_shape(model, pare_mask_geometry(state->mask), &shape));
    size_t i = 0;
    while (i < state->plan_set_count && (state->plan_sets[i].queries != shape.queries ||
                                         state->plan_sets[i].keys != shape.most_keys))
        i++;
    if (i == state->plan_set_count)
        PRI_TRY(add_plans(model, state, shape.queries, shape.most_keys));
    *plans = state->plan_sets[i].plans;
    return PARE_OK;
}

/* ---- Observation ---- */

pare_status pri_model_ends_first(const pare_model *model, pare_attention_kind kind,
                                 bool *ends_first)
{
    const pri_attention_state *state = &model->attention[kind];
    const pare_geometry *mask = state->mask ? pare_mask_geometry(state->mask) : NULL;
    const pare_geometry *average = state->average ? pare_average_geometry(state->average) : NULL;
    *ends_first = (mask && mask->ends_first) || (average && average->ends_first);
    if (!mask || !average || mask->ends_first == average->ends_first)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask has a sequence's tokens %s but the average %s; observe in the order "
                    "of the mask",
                    mask->ends_first ? "ends first" : "in the order of the sentence",
                    average->ends_first ? "ends first" : "in the order of the sentence");
}

void pare_model_observe(pare_model *model, pare_attention_kind kind, pare_average *average)
{
    model->attention[kind].average = average;
}

pare_status pri_model_observers(const pare_model *model, pare_attention_kind kind, pare_tape *tape,
                                pare_observer **observers)
{
    pare_average *average = model->attention[kind].average;
    *observers = NULL;
    if (!average)
        return PARE_OK;
    const pare_geometry *geometry = pare_average_geometry(average);
    pare_geometry own = pare_model_attention_geometry(model, kind, geometry->queries);
    if (geometry->layers != own.layers || geometry->heads != own.heads)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the average is for %zu layers of %zu heads but the model has %zu layers "
                        "of %zu heads",
                        geometry->layers, geometry->heads, own.layers, own.heads);
    if (geometry->causal != own.causal ||
        pri_geometry_is_cross(geometry) != pri_geometry_is_cross(&own))
        return pri_fail(PARE_ERROR_ARGUMENT, "the average is of another kind of attention; make it "
                                             "with the geometry of the model's own");
    *observers = pri_tape_allocate(tape, own.layers, sizeof **observers);
    if (!*observers)
        return pare_tape_status(tape);
    for (size_t layer = 0; layer < own.layers; layer++)
        (*observers)[layer] = pare_average_observer(average, layer);
    return PARE_OK;
}
