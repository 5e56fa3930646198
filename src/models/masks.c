/* Masks on a model: compiled into plans when a shape is first needed, and kept. A cell mask has one
 * shape, of which any smaller one is a part. A distance mask serves any shape, so it is compiled
 * for the calls that come: which plan a call gets must depend on its shape alone, not on earlier
 * calls, or a resumed run might sum in another order than an uninterrupted one. */
#include "base/clock.h"
#include "base/memory.h"
#include "models/model.h"
#include "nn/tape.h"
#include "pruning/geometry.h"

/* ---- Setting a mask ---- */

static pare_status check_mask(const pare_model *model, const pare_mask *mask)
{
    const pare_geometry *geometry = pare_mask_geometry(mask);
    pare_geometry own = pare_model_attention_geometry(model, geometry->queries);
    if (geometry->layers != own.layers || geometry->heads != own.heads)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %zu layers of %zu heads but the model has %zu layers of "
                        "%zu heads; make a mask from this model's own average",
                        geometry->layers, geometry->heads, own.layers, own.heads);
    if (geometry->causal != own.causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %s attention but the model's is not; make a mask from "
                        "this model's own average",
                        geometry->causal ? "causal" : "bidirectional");
    if (pri_geometry_is_cross(geometry) != pri_geometry_is_cross(&own))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %s attention but the model's is not; make a mask from "
                        "this model's own average",
                        pri_geometry_is_cross(geometry) ? "cross" : "self");
    if (geometry->kind != PARE_GEOMETRY_CELL)
        return PARE_OK;
    if (!own.causal && geometry->keys != own.keys)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for %zu queries and %zu keys but an encoder has as many keys "
                        "as queries; make a mask from this model's own average",
                        geometry->queries, geometry->keys);
    if (geometry->keys != own.keys || geometry->window != own.window)
        return pri_fail(
            PARE_ERROR_ARGUMENT,
            "the mask is for %zu queries with %zu keys of memory and window %zu but the model has "
            "memory %zu and window %zu; a cell mask serves its own geometry only",
            geometry->queries, geometry->keys - geometry->queries, geometry->window,
            own.keys - own.queries, own.window);
    return PARE_OK;
}

pare_status pare_model_set_mask(pare_model *model, const pare_mask *mask)
{
    if (mask)
        PRI_TRY(check_mask(model, mask));
    /* Even when the address is the same: it may be another mask in the place of a destroyed one. */
    pri_model_drop_plans(model);
    model->mask = mask;
    return PARE_OK;
}

const pare_mask *pare_model_mask(const pare_model *model)
{
    return model->mask;
}

double pare_model_plan_seconds(const pare_model *model)
{
    return model->plan_seconds;
}

/* ---- Plans ---- */

static void destroy_plans(pare_plan **plans, size_t layers)
{
    for (size_t layer = 0; plans && layer < layers; layer++)
        pare_plan_destroy(plans[layer]);
    pri_free(plans);
}

void pri_model_drop_plans(pare_model *model)
{
    for (size_t i = 0; i < model->plan_set_count; i++)
        destroy_plans(model->plan_sets[i].plans, model->layers);
    pri_free(model->plan_sets);
    model->plan_sets = NULL;
    model->plan_set_count = 0;
}

static pare_status compile(const pare_model *model, pri_plan_set *set)
{
    set->plans = pri_allocate_zero(model->layers, sizeof *set->plans);
    if (!set->plans)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < model->layers; layer++) {
        pare_status status = pare_mask_plan(model->mask, layer, set->queries,
                                            set->memory + set->queries, &set->plans[layer]);
        if (status != PARE_OK) {
            destroy_plans(set->plans, model->layers);
            return status;
        }
    }
    return PARE_OK;
}

static pare_status add_plans(pare_model *model, size_t queries, size_t memory)
{
    double begin = pri_clock_seconds();
    pri_plan_set set = {.queries = queries, .memory = memory};
    size_t count = model->plan_set_count;
    pri_plan_set *sets = pri_reallocate(model->plan_sets, count, count + 1, sizeof *sets);
    if (!sets)
        return PARE_ERROR_MEMORY;
    model->plan_sets = sets;
    PRI_TRY(compile(model, &set));
    model->plan_sets[model->plan_set_count++] = set;
    model->plan_seconds += pri_clock_seconds() - begin;
    return PARE_OK;
}

static pare_status fail_shape(const pare_geometry *geometry, size_t queries, size_t memory)
{
    if (!geometry->causal)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is for sequences of at most %zu tokens but one has %zu; cut the "
                        "sequences, or make a mask from the average of longer ones",
                        geometry->queries, queries);
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask is for at most %zu queries after %zu keys of memory but a segment "
                    "has %zu after %zu; use the mask's lengths, or a distance mask, which serves "
                    "any",
                    geometry->queries, geometry->keys - geometry->queries, queries, memory);
}

/* The shape to compile for a call, a function of the call alone. Of encoders not even that: one
 * shape serves all, so that the result of a sequence does not depend on the others of its batch. */
static pare_status choose_shape(const pare_model *model, size_t *queries, size_t memory,
                                size_t *capacity)
{
    const pare_geometry *geometry = pare_mask_geometry(model->mask);
    if (geometry->kind == PARE_GEOMETRY_DISTANCE)
        return PARE_OK;
    if (geometry->kind == PARE_GEOMETRY_RELATIVE) {
        *queries = pare_encoder_positions(model);
        return PARE_OK;
    }
    size_t mask_memory = geometry->keys - geometry->queries;
    if (*queries > geometry->queries || memory > mask_memory)
        return fail_shape(geometry, *queries, memory);
    *queries = geometry->queries;
    *capacity = mask_memory;
    return PARE_OK;
}

pare_status pri_model_plans(pare_model *model, size_t queries, size_t memory,
                            size_t memory_capacity, pare_plan *const **plans)
{
    *plans = NULL;
    if (!model->mask)
        return PARE_OK;
    PRI_TRY(choose_shape(model, &queries, memory, &memory_capacity));
    size_t i = 0;
    while (i < model->plan_set_count && (model->plan_sets[i].queries != queries ||
                                         model->plan_sets[i].memory != memory_capacity))
        i++;
    if (i == model->plan_set_count)
        PRI_TRY(add_plans(model, queries, memory_capacity));
    *plans = model->plan_sets[i].plans;
    return PARE_OK;
}

/* ---- Observation ---- */

pare_status pri_model_ends_first(const pare_model *model, bool *ends_first)
{
    const pare_geometry *mask = model->mask ? pare_mask_geometry(model->mask) : NULL;
    const pare_geometry *average = model->average ? pare_average_geometry(model->average) : NULL;
    *ends_first = (mask && mask->ends_first) || (average && average->ends_first);
    if (!mask || !average || mask->ends_first == average->ends_first)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "the mask has a sequence's tokens %s but the average %s; observe in the order "
                    "of the mask",
                    mask->ends_first ? "ends first" : "in the order of the sentence",
                    average->ends_first ? "ends first" : "in the order of the sentence");
}

void pare_model_observe(pare_model *model, pare_average *average)
{
    model->average = average;
}

pare_status pri_model_observers(const pare_model *model, pare_tape *tape, pare_observer **observers)
{
    *observers = NULL;
    if (!model->average)
        return PARE_OK;
    const pare_geometry *geometry = pare_average_geometry(model->average);
    pare_geometry own = pare_model_attention_geometry(model, geometry->queries);
    if (geometry->layers != own.layers || geometry->heads != own.heads)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the average is for %zu layers of %zu heads but the model has %zu layers "
                        "of %zu heads",
                        geometry->layers, geometry->heads, own.layers, own.heads);
    *observers = pri_tape_allocate(tape, model->layers, sizeof **observers);
    if (!*observers)
        return pare_tape_status(tape);
    for (size_t layer = 0; layer < model->layers; layer++)
        (*observers)[layer] = pare_average_observer(model->average, layer);
    return PARE_OK;
}
