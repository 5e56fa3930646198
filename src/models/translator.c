/* Translation without a tape. Sources are encoded in groups, longest first; each sentence then has
 * its own search, and one step of the decoder extends the open hypotheses of all searches at work.
 * A search that is done makes room for the next source at once, so steps stay full until the last
 * sources; which sentences share a step changes no bit of any. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "models/beam_search.h"
#include "models/encoder_stack.h"
#include "pruning/geometry.h"

/* A wide beam fills steps with fewer sentences; what is kept of each grows with the beam. */
#define DEFAULT_BATCH ((size_t)64)
#define DEFAULT_ROWS ((size_t)2048)

/* Keys and values of a group of sources; kept for the next group when no search needs it. */
typedef struct source_group {
    float *memory;
    size_t capacity, users;
} source_group;

struct pare_translator {
    pri_marian *model;
    pri_encoder_stack encoder;
    pri_decoder decoder;
    pri_tree tree;
    pri_arena *arena, *encoder_arena; /* of a call; of the encoding of a group */
    source_group *groups;
    size_t group_count;
};

/* ---- Making one ---- */

static void describe(pare_translator *translator, pare_precision precision)
{
    pri_marian *model = translator->model;
    const pare_marian_config *config = &model->config;
    pri_packed_rules rules = {.kernels = pri_nn_kernels_for(model->base.context),
                              .size = config->size,
                              .epsilon = PRI_MARIAN_EPSILON,
                              .activation = config->activation,
                              .pre_norm = config->pre_norm};
    pri_packing packing = {.context = model->base.context, .precision = precision};
    translator->encoder =
        (pri_encoder_stack){.model = &model->base,
                            .layers = model->encoder,
                            .count = config->encoder_layers,
                            .heads = config->heads,
                            .feed_forward = config->encoder_feed_forward,
                            .final_norm = config->pre_norm ? &model->encoder_norm : NULL,
                            .rules = rules,
                            .packing = packing};
    translator->decoder = (pri_decoder){.model = model, .rules = rules, .packing = packing};
    translator->tree.free = PRI_NO_NODE;
}

static pare_status build(pare_translator *translator)
{
    translator->arena = pri_arena_create();
    translator->encoder_arena = pri_arena_create();
    if (!translator->arena || !translator->encoder_arena)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_encoder_stack_pack(&translator->encoder));
    return pri_decoder_pack(&translator->decoder);
}

pare_status pare_translator_create(pare_model *model, pare_precision precision,
                                   pare_translator **translator)
{
    *translator = NULL;
    PRI_TRY(pri_marian_check(model));
    pare_translator *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->model = pri_marian_of(model);
    describe(created, precision);
    pare_status status = build(created);
    if (status == PARE_OK)
        *translator = created;
    else
        pare_translator_destroy(created);
    return status;
}

void pare_translator_destroy(pare_translator *translator)
{
    if (!translator)
        return;
    pri_encoder_stack_release(&translator->encoder);
    pri_decoder_release(&translator->decoder);
    pri_tree_release(&translator->tree);
    pri_arena_destroy(translator->arena);
    pri_arena_destroy(translator->encoder_arena);
    for (size_t i = 0; i < translator->group_count; i++)
        pri_free(translator->groups[i].memory);
    pri_free(translator->groups);
    pri_free(translator);
}

const pare_model *pare_translator_model(const pare_translator *translator)
{
    return &translator->model->base;
}

size_t pare_translator_bytes(const pare_translator *translator)
{
    size_t bytes = translator->encoder.packing.bytes + pri_decoder_bytes(&translator->decoder) +
                   translator->tree.capacity * sizeof *translator->tree.nodes +
                   pri_arena_bytes(translator->arena) + pri_arena_bytes(translator->encoder_arena);
    for (size_t i = 0; i < translator->group_count; i++)
        bytes += translator->groups[i].capacity * sizeof(float);
    return bytes;
}

double pare_translator_attention_seconds(const pare_translator *translator)
{
    return translator->encoder.attention_seconds + translator->decoder.attention_seconds;
}

/* ---- A call ---- */

/* A source whose search has not ended, in the order in which they are taken up. */
typedef struct source_job {
    size_t sentence, length, limit;
    pri_decoder_source source; /* once it is encoded */
    size_t group;
} source_job;

typedef struct translation_run {
    pare_translator *translator;
    const pare_ragged *sources;
    const uint32_t *tokens;
    const pare_translate_options *options;
    pri_search_ending ending;
    pare_translations *translations;
    source_job *jobs; /* (sentences), longest first */
    size_t sentences, batch, longest_source, most_tokens;
    size_t encoded, begun;               /* jobs that are */
    pri_search **searches, *search_pool; /* (batch); those at work first */
    const source_job **search_jobs;      /* (batch): what they work on, in the same order */
    size_t at_work;
    pri_decoder_row *rows; /* (batch * beam) */
    pri_decoder_result *results;
    uint32_t *slots;
    size_t *places; /* (sentences, n_best): where tokens of a hypothesis begin */
    size_t written, capacity;
} translation_run;

static void *allocate(const translation_run *run, size_t count, size_t size)
{
    return pri_arena_allocate(run->translator->arena, count, size);
}

/* ---- Checking ---- */

pare_translate_options pare_translate_options_default(void)
{
    return (pare_translate_options){.beam = 5,
                                    .length_penalty = 1.0,
                                    .length_factor = 1.0,
                                    .length_extra = 50.0,
                                    .stop = PARE_STOP_FULL,
                                    .limit = PARE_LIMIT_MODEL,
                                    .n_best = 1};
}

static pare_status check_beam(const pri_marian *model, const pare_translate_options *options)
{
    size_t vocabulary = model->config.target_vocabulary;
    size_t most = pri_smaller(PARE_BEAM_MAX, vocabulary);
    if (options->beam == 0 || options->beam > most)
        return pri_fail(
            PARE_ERROR_ARGUMENT, "a beam of %zu hypotheses cannot be searched; give 1 to %zu%s",
            options->beam, most, most == vocabulary ? ", the words of the vocabulary" : "");
    if (options->n_best == 0 || options->n_best > options->beam)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%zu hypotheses of each sentence are wanted, of a beam of %zu; give 1 to "
                        "%zu",
                        options->n_best, options->beam, options->beam);
    return PARE_OK;
}

static pare_status check_options(const pri_marian *model, const pare_translate_options *options)
{
    PRI_TRY(check_beam(model, options));
    if (!isfinite(options->length_penalty))
        return pri_fail(PARE_ERROR_ARGUMENT, "the length penalty is no number; give 1, or 0 for "
                                             "none");
    /* Written so that a NaN fails too. */
    if (!(options->length_factor >= 0.0 && options->length_extra >= 0.0))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "translations of at most %g tokens per source token and %g more cannot be; "
                        "give two numbers that are not negative",
                        options->length_factor, options->length_extra);
    return PARE_OK;
}

/* What a mask leaves of the longest target. */
static size_t rows_of_mask(const pare_model *model, pare_attention_kind kind, size_t rows)
{
    const pare_mask *mask = pare_model_mask(model, kind);
    if (!mask || pare_mask_geometry(mask)->kind != PARE_GEOMETRY_CELL)
        return rows;
    return pri_smaller(rows, pare_mask_geometry(mask)->queries);
}

static size_t most_rows(const pri_marian *model)
{
    size_t rows = rows_of_mask(&model->base, PARE_ATTENTION_DECODER, model->config.positions);
    return rows_of_mask(&model->base, PARE_ATTENTION_CROSS, rows);
}

static pare_status find_limit(const translation_run *run, size_t most, source_job *job)
{
    double limit =
        floor(run->options->length_factor * (double)job->length + run->options->length_extra);
    if (!(limit >= 1.0))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "sentence %zu, of %zu tokens, may have a translation of %g tokens at most, "
                        "which leaves no place for its end; raise the limit",
                        job->sentence, job->length, limit);
    job->limit = limit < (double)most ? (size_t)limit : most;
    return PARE_OK;
}

static pare_status check_sources(translation_run *run)
{
    pri_marian *model = run->translator->model;
    size_t longest;
    PRI_TRY(pri_marian_check_sequences(model, "source", run->sources, run->tokens,
                                       model->config.source_vocabulary, &longest));
    run->longest_source = longest;
    pri_call_shape self = {longest, longest, longest}, cross = {1, longest, longest};
    PRI_TRY(pri_model_check_shape(&model->base, PARE_ATTENTION_SELF, self));
    return pri_model_check_shape(&model->base, PARE_ATTENTION_CROSS, cross);
}

static int longer_first(const void *a, const void *b)
{
    const source_job *left = a, *right = b;
    if (left->length != right->length)
        return left->length < right->length ? 1 : -1;
    return left->sentence > right->sentence ? 1 : -1;
}

static pare_status list_jobs(translation_run *run)
{
    size_t most = most_rows(run->translator->model);
    run->jobs = allocate(run, run->sentences, sizeof *run->jobs);
    if (!run->jobs)
        return PARE_ERROR_MEMORY;
    for (size_t n = 0; n < run->sentences; n++) {
        source_job *job = &run->jobs[n];
        job->sentence = n;
        job->length = run->sources->offsets[n + 1] - run->sources->offsets[n];
        PRI_TRY(find_limit(run, most, job));
        run->most_tokens = pri_larger(run->most_tokens, job->limit);
    }
    qsort(run->jobs, run->sentences, sizeof *run->jobs, longer_first);
    return PARE_OK;
}

/* ---- Encoding a group ---- */

static pare_status find_group(pare_translator *translator, size_t floats, size_t *index)
{
    size_t i = 0, count = translator->group_count;
    while (i < count && translator->groups[i].users)
        i++;
    if (i == count) {
        source_group *grown =
            pri_reallocate(translator->groups, count, count + 1, sizeof *translator->groups);
        if (!grown)
            return PARE_ERROR_MEMORY;
        translator->groups = grown;
        grown[translator->group_count++] = (source_group){0};
    }
    *index = i;
    source_group *group = &translator->groups[i];
    if (floats <= group->capacity)
        return PARE_OK;
    pri_free(group->memory);
    *group = (source_group){.memory = pri_allocate(floats, sizeof *group->memory)};
    if (!group->memory)
        return PARE_ERROR_MEMORY;
    group->capacity = floats;
    return PARE_OK;
}

typedef struct group_words {
    const pri_marian *model;
    const pri_nn_kernels *kernels;
    const uint32_t *words;
} group_words;

static void embed(const void *user, size_t token, size_t position, float *row)
{
    const group_words *group = user;
    const pri_marian *model = group->model;
    size_t size = model->config.size;
    memcpy(row, model->sinusoids + position * size, size * sizeof *row);
    group->kernels->add_scaled(size, pri_marian_embedding_scale(&model->config),
                               model->source_words->value + group->words[token] * size, 1.0f, row);
}

/* The encoder's rows in the order of the columns of cross attention. */
static float *arrange_for_cross(const pri_encoder_run *encoder, bool ends_first)
{
    if (encoder->ends_first == ends_first)
        return encoder->hidden;
    float *arranged = pri_encoder_run_rows(encoder, encoder->tokens);
    const size_t *offsets = encoder->sequences.offsets;
    for (size_t n = 0; arranged && n < encoder->sequences.count; n++)
        for (size_t begin = offsets[n], length = offsets[n + 1] - begin, i = 0; i < length; i++) {
            size_t to = begin + pri_geometry_place(ends_first, i, length);
            size_t from = begin + pri_geometry_place(encoder->ends_first, i, length);
            memcpy(arranged + to * encoder->size, encoder->hidden + from * encoder->size,
                   encoder->size * sizeof *arranged);
        }
    return arranged;
}

static pare_status encode(const translation_run *run, pri_encoder_run *encoder, size_t *group)
{
    pare_translator *translator = run->translator;
    size_t layers = translator->model->config.decoder_layers;
    bool ends_first;
    PRI_TRY(pri_model_ends_first(&translator->model->base, PARE_ATTENTION_CROSS, &ends_first));
    PRI_TRY(pri_encoder_run_layers(encoder));
    pri_encoder_run_finish(encoder, encoder->tokens, encoder->context, encoder->hidden);
    size_t layer_floats = encoder->tokens * 2 * encoder->size;
    PRI_TRY(find_group(translator, layers * layer_floats, group));
    const float *states = arrange_for_cross(encoder, ends_first);
    if (!states)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < layers; layer++)
        pri_encoder_run_apply(encoder, &translator->decoder.layers[layer].memory,
                              PARE_ACTIVATION_NONE, encoder->tokens, states,
                              translator->groups[*group].memory + layer * layer_floats);
    return PARE_OK;
}

/* The sources of `count` jobs, end to end. */
static pare_status gather_sources(const translation_run *run, const source_job *jobs, size_t count,
                                  size_t **offsets, uint32_t **words)
{
    pri_arena *arena = run->translator->encoder_arena;
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++)
        tokens += jobs[i].length;
    *offsets = pri_arena_allocate(arena, count + 1, sizeof **offsets);
    *words = pri_arena_allocate(arena, tokens, sizeof **words);
    if (!*offsets || !*words)
        return PARE_ERROR_MEMORY;
    (*offsets)[0] = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(*words + (*offsets)[i], run->tokens + run->sources->offsets[jobs[i].sentence],
               jobs[i].length * sizeof **words);
        (*offsets)[i + 1] = (*offsets)[i] + jobs[i].length;
    }
    return PARE_OK;
}

static pare_status encode_next_group(translation_run *run)
{
    pare_translator *translator = run->translator;
    size_t count = pri_smaller(run->batch, run->sentences - run->encoded), group;
    source_job *jobs = run->jobs + run->encoded;
    pri_arena_reset(translator->encoder_arena);
    size_t *offsets;
    group_words words = {.model = translator->model, .kernels = translator->encoder.rules.kernels};
    uint32_t *list;
    PRI_TRY(gather_sources(run, jobs, count, &offsets, &list));
    words.words = list;
    pri_encoder_run encoder = {.stack = &translator->encoder,
                               .arena = translator->encoder_arena,
                               .sequences = {offsets, count},
                               .longest = jobs[0].length,
                               .embed = embed,
                               .user = &words};
    PRI_TRY(encode(run, &encoder, &group));
    size_t row = 2 * encoder.size;
    for (size_t i = 0; i < count; i++) {
        jobs[i].group = group;
        jobs[i].source =
            (pri_decoder_source){.memory = translator->groups[group].memory + offsets[i] * row,
                                 .length = jobs[i].length,
                                 .layer_stride = encoder.tokens * row};
    }
    translator->groups[group].users = count;
    run->encoded += count;
    return PARE_OK;
}

/* ---- Searches ---- */

static pare_status begin_search(translation_run *run)
{
    const source_job *job = &run->jobs[run->begun++];
    pri_search *search = run->searches[run->at_work];
    run->search_jobs[run->at_work++] = job;
    search->sentence = job->sentence;
    search->limit = job->limit;
    search->source = job->source;
    return pri_search_begin(search, &run->translator->tree, run->translator->model->config.start);
}

static pare_status fill_searches(translation_run *run)
{
    while (run->at_work < run->batch && run->begun < run->sentences) {
        if (run->begun == run->encoded)
            PRI_TRY(encode_next_group(run));
        PRI_TRY(begin_search(run));
    }
    return PARE_OK;
}

static pare_status extend_output(translation_run *run, size_t tokens)
{
    size_t needed = run->written + tokens, old = run->capacity;
    if (needed <= old)
        return PARE_OK;
    size_t capacity = pri_larger(needed, 2 * old);
    pare_translations *out = run->translations;
    uint32_t *words = pri_reallocate(out->tokens, old, capacity, sizeof *words);
    if (!words)
        return PARE_ERROR_MEMORY;
    out->tokens = words;
    float *numbers = pri_reallocate(out->log_probabilities, old, capacity, sizeof *numbers);
    if (!numbers)
        return PARE_ERROR_MEMORY;
    out->log_probabilities = numbers;
    run->capacity = capacity;
    return PARE_OK;
}

static pare_status write_search(translation_run *run, const pri_search *search)
{
    pare_translations *out = run->translations;
    size_t first = search->sentence * out->n_best;
    for (size_t i = 0; i < pri_smaller(search->final_count, out->n_best); i++) {
        const pri_final_hypothesis *found = &search->final[i];
        PRI_TRY(extend_output(run, found->length));
        pri_search_write(found, &run->translator->tree, out->tokens + run->written,
                         out->log_probabilities + run->written);
        out->hypotheses[first + i] = (pare_hypothesis){.length = found->length,
                                                       .log_probability = found->log_probability,
                                                       .score = found->score};
        run->places[first + i] = run->written;
        run->written += found->length;
    }
    return PARE_OK;
}

/* Searches that are done leave, the last one takes the place. */
static pare_status retire_searches(translation_run *run)
{
    for (size_t i = run->at_work; i-- > 0;) {
        pri_search *search = run->searches[i];
        if (!pri_search_done(search))
            continue;
        PRI_TRY(write_search(run, search));
        pri_search_end(search, &run->translator->tree);
        run->translator->groups[run->search_jobs[i]->group].users--;
        run->at_work--;
        run->searches[i] = run->searches[run->at_work];
        run->search_jobs[i] = run->search_jobs[run->at_work];
        run->searches[run->at_work] = search;
    }
    return PARE_OK;
}

static pare_status step(translation_run *run)
{
    pare_translator *translator = run->translator;
    size_t count = 0, slots = 0;
    for (size_t i = 0; i < run->at_work; i++) {
        const pri_search *search = run->searches[i];
        pri_search_rows(search, &translator->tree, run->slots + slots, run->rows + count);
        count += search->open_count;
        slots += search->open_count * (search->length + 1);
    }
    PRI_TRY(pri_decoder_reserve_slots(&translator->decoder, translator->tree.count));
    PRI_TRY(pri_decoder_step(&translator->decoder, run->rows, count, run->results));
    run->translations->steps++;
    run->translations->rows += count;
    const pri_decoder_result *results = run->results;
    for (size_t i = 0; i < run->at_work; i++) {
        size_t extended = run->searches[i]->open_count;
        PRI_TRY(pri_search_advance(run->searches[i], &translator->tree, &run->ending, results));
        results += extended;
    }
    return retire_searches(run);
}

/* ---- The whole ---- */

static pare_status allocate_searches(translation_run *run)
{
    run->searches = allocate(run, run->batch, sizeof *run->searches);
    run->search_pool = allocate(run, run->batch, sizeof *run->search_pool);
    run->search_jobs = allocate(run, run->batch, sizeof *run->search_jobs);
    if (!run->searches || !run->search_pool || !run->search_jobs)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < run->batch; i++) {
        run->searches[i] = &run->search_pool[i];
        PRI_TRY(pri_search_allocate(run->translator->arena, run->options, run->searches[i]));
    }
    return PARE_OK;
}

static pare_status allocate_rows(translation_run *run)
{
    size_t rows = run->batch * run->options->beam;
    size_t best =
        pri_smaller(2 * run->options->beam, run->translator->model->config.target_vocabulary);
    run->rows = allocate(run, rows, sizeof *run->rows);
    run->results = allocate(run, rows, sizeof *run->results);
    run->slots = allocate(run, rows * run->most_tokens, sizeof *run->slots);
    pri_word *words = allocate(run, rows * best, sizeof *words);
    if (!run->rows || !run->results || !run->slots || !words)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < rows; i++)
        run->results[i].best = (pri_best_words){.words = words + i * best, .capacity = best};
    return pri_decoder_begin(&run->translator->decoder, run->most_tokens, run->longest_source,
                             best);
}

static pare_status allocate_output(translation_run *run)
{
    pare_translations *out = run->translations;
    size_t count = run->sentences * run->options->n_best;
    out->sentences = run->sentences;
    out->n_best = run->options->n_best;
    out->hypotheses = pri_allocate_zero(count, sizeof *out->hypotheses);
    run->places = allocate(run, count, sizeof *run->places);
    return out->hypotheses && run->places ? PARE_OK : PARE_ERROR_MEMORY;
}

static void point_to_tokens(const translation_run *run)
{
    const pare_translations *out = run->translations;
    for (size_t i = 0; i < out->sentences * out->n_best; i++) {
        pare_hypothesis *hypothesis = &out->hypotheses[i];
        if (!hypothesis->length)
            continue;
        hypothesis->tokens = out->tokens + run->places[i];
        hypothesis->log_probabilities = out->log_probabilities + run->places[i];
    }
}

/* What an earlier call left that did not come to its end. */
static void forget_searches(pare_translator *translator)
{
    translator->tree.count = 0;
    translator->tree.free = PRI_NO_NODE;
    for (size_t i = 0; i < translator->group_count; i++)
        translator->groups[i].users = 0;
}

static pare_status run_all(translation_run *run)
{
    pare_translator *translator = run->translator;
    PRI_TRY(check_options(translator->model, run->options));
    if (!run->sentences)
        return PARE_OK;
    PRI_TRY(check_sources(run));
    pri_arena_reset(translator->arena);
    forget_searches(translator);
    PRI_TRY(list_jobs(run));
    PRI_TRY(pri_marian_extend_sinusoids(translator->model,
                                        pri_larger(run->longest_source, run->most_tokens)));
    PRI_TRY(allocate_output(run));
    PRI_TRY(allocate_searches(run));
    PRI_TRY(allocate_rows(run));
    PRI_TRY(fill_searches(run));
    while (run->at_work) {
        if (pare_interrupted())
            return pri_fail(PARE_ERROR_INTERRUPTED, "translation: interrupted");
        PRI_TRY(step(run));
        PRI_TRY(fill_searches(run));
    }
    point_to_tokens(run);
    return PARE_OK;
}

static pri_search_ending ending_of(const pare_marian_config *config, pare_limit_rule rule)
{
    bool forced = rule == PARE_LIMIT_MODEL && config->forced_end != PARE_NO_TOKEN;
    return (pri_search_ending){.token = config->end,
                               .last = forced ? config->forced_end : config->end,
                               .is_free = forced,
                               .is_cut = !forced && rule != PARE_LIMIT_END};
}

static size_t default_batch(size_t beam)
{
    return pri_larger(pri_smaller(DEFAULT_BATCH, DEFAULT_ROWS / pri_larger(beam, 1)), 1);
}

pare_status pare_translate(pare_translator *translator, const pare_ragged *sources,
                           const uint32_t *tokens, const pare_translate_options *options,
                           pare_translations *translations)
{
    *translations = (pare_translations){0};
    size_t batch = options->batch ? options->batch : default_batch(options->beam);
    translation_run run = {.translator = translator,
                           .sources = sources,
                           .tokens = tokens,
                           .options = options,
                           .ending = ending_of(&translator->model->config, options->limit),
                           .translations = translations,
                           .sentences = sources->count,
                           .batch = pri_smaller(batch, sources->count)};
    pare_status status = run_all(&run);
    if (status != PARE_OK)
        pare_translations_free(translations);
    return status;
}

void pare_translations_free(pare_translations *translations)
{
    pri_free(translations->hypotheses);
    pri_free(translations->tokens);
    pri_free(translations->log_probabilities);
    *translations = (pare_translations){0};
}
