/* Text from a language model. The prompt runs in segments that fill the memory, then each chosen
 * token is a segment of its own. Under a cell mask such a segment uses the mask's first row: that
 * of a token which opens a segment with the memory behind it, as the model met it in training;
 * distance masks treat every token alike. Choosing: temperature, then the k most likely, then the
 * fewest that carry a share p of those. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "nn/tape.h"
#include "tasks/language_modelling/language_modelling.h"
#include "text/scanner.h"

typedef struct candidate {
    uint32_t id;
    double weight; /* first the log-probability, then in proportion to the probability */
} candidate;

typedef struct generator {
    pare_model *model;
    pare_tape *tape;
    const pare_vocabulary *vocabulary;
    const pare_generate_options *options;
    pare_memory *memory;
    float *log_probabilities; /* (vocabulary) of the next token */
    candidate *candidates;    /* (vocabulary) */
    uint64_t key;
    bool line_begins;
} generator;

static pare_status check_options(const pare_generate_options *options)
{
    if (!options->emit)
        return pri_fail(PARE_ERROR_ARGUMENT, "no function to emit the text to");
    if (!(options->temperature >= 0) || isinf(options->temperature))
        return pri_fail(PARE_ERROR_ARGUMENT, "temperature %g; give 0 (most likely token) or more",
                        options->temperature);
    if (!(options->top_p > 0 && options->top_p <= 1))
        return pri_fail(PARE_ERROR_ARGUMENT, "top-p %g; give a share above 0, up to 1 for all",
                        options->top_p);
    return PARE_OK;
}

/* ---- Choosing ---- */

static int compare_weight(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The first of the most likely tokens; PARE_NO_TOKEN when a probability is not a number. */
static uint32_t most_likely(const float *log_probabilities, size_t count)
{
    size_t best = 0;
    for (size_t id = 0; id < count; id++) {
        if (isnan(log_probabilities[id]))
            return PARE_NO_TOKEN;
        if (log_probabilities[id] > log_probabilities[best])
            best = id;
    }
    return (uint32_t)best;
}

/* Keeps the fewest of the sorted candidates whose weights reach `share` of all. */
static size_t cut_share(const candidate *candidates, size_t count, double share)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        total += candidates[i].weight;
    for (size_t i = 0; i < count; i++) {
        sum += candidates[i].weight;
        if (sum >= share * total)
            return i + 1;
    }
    return count;
}

static uint32_t draw(const candidate *candidates, size_t count, double uniform)
{
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        total += candidates[i].weight;
    for (size_t i = 0; i < count; i++) {
        sum += candidates[i].weight;
        if (uniform * total < sum)
            return candidates[i].id;
    }
    return candidates[0].id;
}

static uint32_t sample(const generator *state, uint32_t best, uint64_t position)
{
    const pare_generate_options *options = state->options;
    size_t count = pare_vocabulary_size(state->vocabulary);
    double highest = state->log_probabilities[best];
    for (size_t id = 0; id < count; id++)
        state->candidates[id] = (candidate){
            (uint32_t)id, exp((state->log_probabilities[id] - highest) / options->temperature)};
    bool cut = (options->top_k && options->top_k < count) || options->top_p < 1;
    if (cut)
        qsort(state->candidates, count, sizeof *state->candidates, compare_weight);
    if (options->top_k)
        count = pri_smaller(count, options->top_k);
    if (options->top_p < 1)
        count = cut_share(state->candidates, count, options->top_p);
    return draw(state->candidates, count, pri_random_uniform(state->key, position));
}

static pare_status choose_token(const generator *state, uint64_t position, uint32_t *token)
{
    uint32_t best = most_likely(state->log_probabilities, pare_vocabulary_size(state->vocabulary));
    if (best == PARE_NO_TOKEN || isinf(state->log_probabilities[best]))
        return pri_fail(PARE_ERROR_NUMERIC,
                        "the model gives no finite probabilities; its weights are damaged or "
                        "training diverged");
    *token = state->options->temperature > 0 ? sample(state, best, position) : best;
    return PARE_OK;
}

/* ---- Reading and writing ---- */

static uint32_t line_end_of(const pare_vocabulary *vocabulary)
{
    bool bytes = pare_vocabulary_level(vocabulary) == PARE_TEXT_BYTE;
    const char *token = bytes ? "\n" : PRI_END_OF_LINE;
    return pare_vocabulary_id(vocabulary, token, strlen(token));
}

static void emit_token(generator *state, uint32_t token)
{
    const pare_generate_options *options = state->options;
    bool words = pare_vocabulary_level(state->vocabulary) == PARE_TEXT_WORD;
    bool line_ends = token == line_end_of(state->vocabulary);
    size_t length;
    const char *bytes = pare_vocabulary_token(state->vocabulary, token, &length);
    if (line_ends) {
        bytes = "\n";
        length = 1;
    } else if (words && !state->line_begins) {
        options->emit(options->user, " ", 1);
    }
    options->emit(options->user, bytes, length);
    state->line_begins = line_ends;
}

static pare_status feed(generator *state, const uint32_t *tokens, size_t count)
{
    pare_segment segment = {.lanes = 1, .length = count, .inputs = tokens, .targets = tokens};
    if (pare_interrupted())
        return pri_fail(PARE_ERROR_INTERRUPTED, "generate: interrupted");
    pare_tape_begin(state->tape, false, 0);
    return pare_language_model_next(state->model, state->tape, state->memory, &segment,
                                    state->log_probabilities);
}

static pare_status feed_prompt(generator *state, const uint32_t *tokens, size_t count)
{
    const pare_mask *mask = pare_model_mask(state->model, PARE_ATTENTION_SELF);
    size_t longest =
        mask ? pare_mask_geometry(mask)->queries : pri_training_memory(state->model, 1);
    for (size_t begin = 0; begin < count; begin += longest)
        PRI_TRY(feed(state, tokens + begin, pri_smaller(longest, count - begin)));
    state->line_begins = tokens[count - 1] == line_end_of(state->vocabulary);
    return PARE_OK;
}

static pare_status continue_prompt(generator *state, const pare_tokens *prompt)
{
    uint32_t token = line_end_of(state->vocabulary); /* without a prompt, a line begins */
    PRI_TRY(prompt->count ? feed_prompt(state, prompt->ids, prompt->count)
                          : feed_prompt(state, &token, 1));
    for (size_t position = 0; position < state->options->tokens; position++) {
        if (position)
            PRI_TRY(feed(state, &token, 1));
        PRI_TRY(choose_token(state, position, &token));
        emit_token(state, token);
    }
    return PARE_OK;
}

static pare_status allocate_generator(generator *state)
{
    size_t memory = pri_training_memory(state->model, 1);
    if (!memory)
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "the model has no memory (mem_len 0), so a token would see nothing before "
                        "it; train one with memory to generate");
    size_t vocabulary = pare_vocabulary_size(state->vocabulary);
    state->log_probabilities = pri_allocate(vocabulary, sizeof(float));
    state->candidates = pri_allocate(vocabulary, sizeof *state->candidates);
    if (!state->log_probabilities || !state->candidates)
        return PARE_ERROR_MEMORY;
    return pare_memory_create(state->model, 1, memory, &state->memory);
}

pare_status pare_generate(pare_model *model, pare_tape *tape, const pare_vocabulary *vocabulary,
                          const char *prompt, const pare_generate_options *options)
{
    PRI_TRY(check_options(options));
    PRI_TRY(pri_check_vocabulary(model, vocabulary));
    pare_tokens tokens;
    PRI_TRY(pare_tokens_encode(vocabulary, prompt, strlen(prompt), &tokens));
    generator state = {.model = model,
                       .tape = tape,
                       .vocabulary = vocabulary,
                       .options = options,
                       .key = pri_random_key(options->seed, "generate", 0)};
    pare_status status = allocate_generator(&state);
    if (status == PARE_OK)
        status = continue_prompt(&state, &tokens);
    pare_memory_destroy(state.memory);
    pri_free(state.candidates);
    pri_free(state.log_probabilities);
    pare_tokens_free(&tokens);
    return status;
}
