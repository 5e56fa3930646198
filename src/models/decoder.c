/* One step of decoding: decoder.h has the design. */
#include "models/decoder.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/clock.h"

/* Rows of a block: as many as have room in the second-level cache with what the feed-forward part
 * holds of them, but enough to meet each panel of a weight several times. A multiple of what
 * kernels take. */
#define BLOCK_FLOATS ((size_t)(160 * 1024))
#define LEAST_BLOCK ((size_t)48)
#define MOST_BLOCK ((size_t)192)
#define ROW_UNIT ((size_t)12)
/* Threads with fewer rows each share every product, if that is at least so many multiply-adds that
 * it is worth waiting for each other. */
#define ROWS_OF_OWN ((size_t)24)
#define SHARED_PRODUCT ((size_t)65536)
/* Words whose logits are computed and looked at before the next ones: a multiple of all panels. */
#define CHUNK_WORDS ((size_t)512)

/* ---- Packing ---- */

static pare_status pack_attention(pri_decoder *decoder, const pri_decoder_layer *layer,
                                  pri_decoder_packed_layer *packed)
{
    pri_packing *packing = &decoder->packing;
    const pri_attention_block *self = &layer->attention, *cross = &layer->cross;
    const pare_tensor *weights[] = {self->query_weight, self->key_weight, self->value_weight};
    const float *biases[] = {self->query_bias->value, self->key_bias->value,
                             self->value_bias->value};
    const pare_tensor *memory_weights[] = {cross->key_weight, cross->value_weight};
    const float *memory_biases[] = {cross->key_bias->value, cross->value_bias->value};
    PRI_TRY(pri_packed_linear_create(packing, weights, biases, 3, &packed->inputs));
    PRI_TRY(pri_packed_linear_create_one(packing, self->output_weight, self->output_bias->value,
                                         &packed->output));
    PRI_TRY(pri_packed_linear_create_one(packing, cross->query_weight, cross->query_bias->value,
                                         &packed->query));
    PRI_TRY(pri_packed_linear_create(packing, memory_weights, memory_biases, 2, &packed->memory));
    return pri_packed_linear_create_one(packing, cross->output_weight, cross->output_bias->value,
                                        &packed->cross_output);
}

static pare_status pack_layer(pri_decoder *decoder, size_t index)
{
    const pri_feed_forward_block *block = &decoder->model->decoder[index].feed_forward;
    pri_decoder_packed_layer *packed = &decoder->layers[index];
    PRI_TRY(pack_attention(decoder, &decoder->model->decoder[index], packed));
    PRI_TRY(pri_packed_linear_create_one(&decoder->packing, block->inner_weight,
                                         block->inner_bias->value, &packed->up));
    return pri_packed_linear_create_one(&decoder->packing, block->outer_weight,
                                        block->outer_bias->value, &packed->down);
}

pare_status pri_decoder_pack(pri_decoder *decoder)
{
    const pri_marian *model = decoder->model;
    size_t layers = model->config.decoder_layers;
    decoder->kernels = pri_decoding_kernels_for(model->base.context);
    decoder->arena = pri_arena_create();
    decoder->layers = pri_allocate_zero(layers, sizeof *decoder->layers);
    decoder->slots = pri_allocate_zero(layers, sizeof *decoder->slots);
    if (!decoder->arena || !decoder->layers || !decoder->slots)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < layers; layer++)
        PRI_TRY(pack_layer(decoder, layer));
    return pri_packed_linear_create_one(&decoder->packing, model->output_words, model->output_bias,
                                        &decoder->words);
}

void pri_decoder_release(pri_decoder *decoder)
{
    for (size_t i = 0; decoder->layers && i < decoder->model->config.decoder_layers; i++) {
        pri_decoder_packed_layer *layer = &decoder->layers[i];
        pri_packed_linear *linears[] = {&layer->inputs,       &layer->output, &layer->query,
                                        &layer->cross_output, &layer->memory, &layer->up,
                                        &layer->down};
        for (size_t j = 0; j < sizeof linears / sizeof *linears; j++)
            pri_packed_linear_destroy(linears[j]);
    }
    for (size_t i = 0; decoder->slots && i < decoder->model->config.decoder_layers; i++)
        pri_free(decoder->slots[i]);
    pri_free(decoder->layers);
    pri_free(decoder->slots);
    pri_packed_linear_destroy(&decoder->words);
    pri_arena_destroy(decoder->arena);
}

size_t pri_decoder_bytes(const pri_decoder *decoder)
{
    size_t slot = decoder->model->config.decoder_layers * 2 * decoder->rules.size;
    return decoder->packing.bytes + pri_arena_bytes(decoder->arena) +
           decoder->slot_count * slot * sizeof(float);
}

/* ---- Memory ---- */

static size_t block_rows(const pri_decoder *decoder)
{
    size_t rows = BLOCK_FLOATS / decoder->model->config.decoder_feed_forward;
    return pri_smaller(pri_larger(rows / ROW_UNIT * ROW_UNIT, LEAST_BLOCK), MOST_BLOCK);
}

/* What a thread needs for a block of rows. A team that shares a block has one set of the arrays
 * that are written in parts, that of its first thread. */
typedef struct pri_step_scratch {
    float *hidden, *normal;                   /* (rows of a block, size) */
    float *inputs, *context, *change, *inner; /* (.., 3 size), (.., size), .., (.., inner) */
    float *logits;                            /* (.., CHUNK_WORDS) */
    uint32_t *words;                          /* a product's input in bf16 */
    float *weights;                           /* of attention */
    uint32_t *keys[2];                        /* slots or columns attended to */
    pri_word *best;                           /* (.., best): of this thread's words */
    pri_best_words *lists;                    /* (..) */
    float *largest, *sums;                    /* (.., chunks): of a team */
    float *ends;                              /* (..): logits of the end token */
    double attention_seconds;
} pri_step_scratch;

static void *allocate(const pri_decoder *decoder, size_t count, size_t size)
{
    return pri_arena_allocate(decoder->arena, count, size);
}

static size_t chunks_of(const pri_decoder *decoder)
{
    return pri_divide_up(pri_packed_rows(decoder->words.weight), CHUNK_WORDS);
}

static pare_status allocate_scratch(const pri_decoder *decoder, size_t longest, size_t best,
                                    pri_step_scratch *scratch)
{
    size_t size = decoder->rules.size, rows = block_rows(decoder), padded;
    size_t inner = decoder->model->config.decoder_feed_forward, chunks = chunks_of(decoder);
    padded = pri_round_up(longest, PRI_ROW_PADDING);
    float **floats[] = {&scratch->hidden,  &scratch->normal, &scratch->inputs, &scratch->context,
                        &scratch->change,  &scratch->inner,  &scratch->logits, &scratch->weights,
                        &scratch->largest, &scratch->sums,   &scratch->ends};
    const size_t counts[] = {
        rows * size,        rows * size, rows * 3 * size, rows * size,   rows * size, rows * inner,
        rows * CHUNK_WORDS, padded,      rows * chunks,   rows * chunks, rows};
    bool complete = true;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        *floats[i] = allocate(decoder, counts[i], sizeof(float));
        complete = complete && *floats[i];
    }
    scratch->words = allocate(decoder, rows * decoder->packing.most_words, sizeof *scratch->words);
    scratch->keys[0] = allocate(decoder, longest, sizeof(uint32_t));
    scratch->keys[1] = allocate(decoder, longest, sizeof(uint32_t));
    scratch->best = allocate(decoder, rows * best, sizeof *scratch->best);
    scratch->lists = allocate(decoder, rows, sizeof *scratch->lists);
    complete = complete && scratch->words && scratch->keys[0] && scratch->keys[1] &&
               scratch->best && scratch->lists;
    return complete ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pri_decoder_begin(pri_decoder *decoder, size_t positions, size_t longest_source,
                              size_t best)
{
    size_t threads = (size_t)pare_context_threads(decoder->model->base.context);
    pri_arena_reset(decoder->arena);
    decoder->scratch = allocate(decoder, threads, sizeof *decoder->scratch);
    decoder->columns = allocate(decoder, longest_source, sizeof *decoder->columns);
    if (!decoder->scratch || !decoder->columns)
        return PARE_ERROR_MEMORY;
    for (size_t column = 0; column < longest_source; column++)
        decoder->columns[column] = (uint32_t)column;
    for (size_t i = 0; i < threads; i++)
        PRI_TRY(allocate_scratch(decoder, pri_larger(positions, longest_source), best,
                                 &decoder->scratch[i]));
    return PARE_OK;
}

pare_status pri_decoder_reserve_slots(pri_decoder *decoder, size_t count)
{
    if (count <= decoder->slot_count)
        return PARE_OK;
    size_t row = 2 * decoder->rules.size, grown_count = pri_larger(count, 2 * decoder->slot_count);
    for (size_t layer = 0; layer < decoder->model->config.decoder_layers; layer++) {
        float *grown = pri_reallocate(decoder->slots[layer], decoder->slot_count, grown_count,
                                      row * sizeof *grown);
        if (!grown)
            return PARE_ERROR_MEMORY;
        decoder->slots[layer] = grown;
    }
    decoder->slot_count = grown_count;
    return PARE_OK;
}

/* ---- A block of a step ---- */

/* Rows and the thread, or the team of `members` threads, that goes through a step with them. */
typedef struct step_block {
    const pri_decoder *decoder;
    const pri_decoder_row *rows;
    pri_decoder_result *results;
    size_t count, member, members;
    pri_step_scratch *own, *team;
} step_block;

/* All of the team have come here before one goes on. */
static void meet(const step_block *block)
{
    if (block->members > 1) {
#pragma omp barrier
    }
}

/* This member's part of `count` pieces. */
static void take_part(const step_block *block, size_t count, size_t *begin, size_t *end)
{
    *begin = count * block->member / block->members;
    *end = count * (block->member + 1) / block->members;
}

/* This member's columns of a product, with bias and activation. */
static void multiply(const step_block *block, const pri_packed_linear *linear,
                     pare_activation activation, bool with_bias, const float *input, float *output)
{
    size_t unit = pri_packed_unit(linear->weight), columns = pri_packed_rows(linear->weight);
    size_t begin, end;
    take_part(block, pri_divide_up(columns, unit), &begin, &end);
    begin *= unit;
    end = pri_smaller(end * unit, columns);
    if (begin >= end)
        return;
    pri_packed_multiply_part(linear->weight, begin, end, block->count, input, output + begin,
                             columns, block->own->words);
    for (size_t i = 0; with_bias && i < block->count; i++)
        block->decoder->rules.kernels->bias_activation(
            1, end - begin, linear->bias + begin, activation, output + i * columns + begin, NULL);
}

static void embed(const step_block *block)
{
    const pri_marian *model = block->decoder->model;
    size_t size = model->config.size;
    float scale = pri_marian_embedding_scale(&model->config);
    for (size_t i = 0; i < block->count; i++) {
        const pri_decoder_row *row = &block->rows[i];
        float *hidden = block->own->hidden + i * size;
        memcpy(hidden, model->sinusoids + row->position * size, size * sizeof *hidden);
        block->decoder->rules.kernels->add_scaled(
            size, scale, model->target_words->value + row->token * size, 1.0f, hidden);
    }
}

/* ---- Attention ---- */

/* The first of ascending columns that is `limit` or more. */
static size_t count_below(const uint32_t *columns, size_t count, size_t limit)
{
    size_t begin = 0;
    while (begin < count) {
        size_t middle = begin + (count - begin) / 2;
        if (columns[middle] < limit)
            begin = middle + 1;
        else
            count = middle;
    }
    return begin;
}

static pri_row_attention describe(const step_block *block, size_t head)
{
    const pare_marian_config *config = &block->decoder->model->config;
    size_t head_size = config->size / config->heads;
    return (pri_row_attention){.head_size = head_size,
                               .stride = 2 * config->size,
                               .scale = 1.0f / sqrtf((float)head_size),
                               .weights = block->own->weights,
                               .output = block->team->context + head * head_size};
}

/* `keys`: room for those that a mask keeps. */
static pri_row_attention target_call(const step_block *block, size_t layer, size_t i, size_t head,
                                     uint32_t *keys)
{
    const pri_decoder *decoder = block->decoder;
    const pri_decoder_row *row = &block->rows[i];
    size_t size = decoder->rules.size;
    pri_row_attention call = describe(block, head);
    call.query = block->team->inputs + i * 3 * size + head * call.head_size;
    call.key = decoder->slots[layer] + head * call.head_size;
    call.value = call.key + size;
    call.output += i * size;
    call.rows = row->slots;
    call.count = row->position + 1;
    const pri_kept_row *kept =
        pri_model_kept_rows(&decoder->model->base, PARE_ATTENTION_DECODER, layer, row->position);
    if (kept) {
        kept += head;
        for (size_t k = 0; k < kept->count; k++)
            keys[k] = row->slots[kept->columns[k]];
        call.rows = keys;
        call.count = kept->count;
        call.scale = kept->uniform ? 0.0f : call.scale;
    }
    return call;
}

static pri_row_attention source_call(const step_block *block, size_t layer, size_t i, size_t head,
                                     uint32_t *keys)
{
    (void)keys; /* a mask's columns are those of the source */
    const pri_decoder *decoder = block->decoder;
    const pri_decoder_row *row = &block->rows[i];
    size_t size = decoder->rules.size;
    pri_row_attention call = describe(block, head);
    call.query = block->team->inputs + i * size + head * call.head_size;
    call.key = row->source->memory + layer * row->source->layer_stride + head * call.head_size;
    call.value = call.key + size;
    call.output += i * size;
    call.rows = decoder->columns;
    call.count = row->source->length;
    const pri_kept_row *kept =
        pri_model_kept_rows(&decoder->model->base, PARE_ATTENTION_CROSS, layer, row->position);
    if (kept) {
        kept += head;
        call.rows = kept->columns;
        call.count = count_below(kept->columns, kept->count, row->source->length);
        call.scale = kept->uniform ? 0.0f : call.scale;
    }
    return call;
}

typedef pri_row_attention (*row_call)(const step_block *block, size_t layer, size_t i, size_t head,
                                      uint32_t *keys);

/* A row and head of a block. Those of one source follow each other head by head, since its rows
 * attend to much that is the same: rows first .. end - 1 are those with the source of `row`. */
typedef struct attention_item {
    size_t first, end, row, head;
} attention_item;

static void find_source(const step_block *block, attention_item *item)
{
    const pri_decoder_source *source = block->rows[item->first].source;
    item->end = item->first + 1;
    while (item->end < block->count && block->rows[item->end].source == source)
        item->end++;
}

static void go_on(const step_block *block, attention_item *item)
{
    if (++item->row < item->end)
        return;
    if (++item->head == block->decoder->model->config.heads) {
        item->head = 0;
        item->first = item->end;
        if (item->first < block->count)
            find_source(block, item);
    }
    item->row = item->first;
}

static attention_item item_at(const step_block *block, size_t index)
{
    size_t heads = block->decoder->model->config.heads, before = 0;
    attention_item item = {0};
    find_source(block, &item);
    while (index - before >= (item.end - item.first) * heads) {
        before += (item.end - item.first) * heads;
        item.first = item.end;
        find_source(block, &item);
    }
    item.head = (index - before) / (item.end - item.first);
    item.row = item.first + (index - before) % (item.end - item.first);
    return item;
}

/* This member's rows and heads; the next one's keys and values are on their way meanwhile. */
static void attend(const step_block *block, size_t layer, row_call call_of)
{
    double start = pri_clock_seconds();
    const pri_decoding_kernels *kernels = block->decoder->kernels;
    size_t begin, end;
    take_part(block, block->count * block->decoder->model->config.heads, &begin, &end);
    if (begin < end) {
        uint32_t *const *keys = block->own->keys;
        attention_item item = item_at(block, begin);
        pri_row_attention call = call_of(block, layer, item.row, item.head, keys[begin % 2]);
        for (size_t i = begin + 1; i < end; i++) {
            go_on(block, &item);
            pri_row_attention next = call_of(block, layer, item.row, item.head, keys[i % 2]);
            if (call_of == target_call || item.row == item.first)
                kernels->prefetch(&next);
            kernels->attend(&call);
            call = next;
        }
        kernels->attend(&call);
    }
    block->own->attention_seconds += pri_clock_seconds() - start;
}

/* Puts keys and values of the rows' own tokens where they stay. */
static void store_targets(const step_block *block, size_t layer)
{
    size_t row = 2 * block->decoder->rules.size, size = block->decoder->rules.size, begin, end;
    take_part(block, block->count, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(block->decoder->slots[layer] + block->rows[i].slots[block->rows[i].position] * row,
               block->team->inputs + (3 * i + 1) * size, row * sizeof(float));
}

/* ---- Layers ---- */

static void swap(float **a, float **b)
{
    float *first = *a;
    *a = *b;
    *b = first;
}

/* The end of a half: `change` to the rows' states, which every member computes for itself. */
static void finish_half(const step_block *block, const pri_packed_linear *linear,
                        const pri_norm *norm)
{
    const pri_packed_rules *rules = &block->decoder->rules;
    pri_step_scratch *own = block->own;
    float **sum = block->members > 1 ? &own->normal : &own->change;
    if (block->members > 1)
        memcpy(*sum, block->team->change, block->count * rules->size * sizeof **sum);
    pri_packed_add_change(rules, norm, block->count, linear->bias, own->hidden, *sum);
    swap(&own->hidden, sum);
}

static const float *half_input(const step_block *block, const pri_norm *norm)
{
    return pri_packed_input(&block->decoder->rules, norm, block->count, block->own->hidden,
                            block->own->normal);
}

static void run_self_attention(const step_block *block, size_t layer)
{
    const pri_decoder_packed_layer *packed = &block->decoder->layers[layer];
    const pri_attention_block *half = &block->decoder->model->decoder[layer].attention;
    const pri_step_scratch *team = block->team;
    multiply(block, &packed->inputs, PARE_ACTIVATION_NONE, true, half_input(block, &half->norm),
             team->inputs);
    meet(block);
    store_targets(block, layer);
    meet(block);
    attend(block, layer, target_call);
    meet(block);
    multiply(block, &packed->output, PARE_ACTIVATION_NONE, false, team->context, team->change);
    meet(block);
    finish_half(block, &packed->output, &half->norm);
}

static void run_cross_attention(const step_block *block, size_t layer)
{
    const pri_decoder_packed_layer *packed = &block->decoder->layers[layer];
    const pri_attention_block *half = &block->decoder->model->decoder[layer].cross;
    const pri_step_scratch *team = block->team;
    multiply(block, &packed->query, PARE_ACTIVATION_NONE, true, half_input(block, &half->norm),
             team->inputs);
    meet(block);
    attend(block, layer, source_call);
    meet(block);
    multiply(block, &packed->cross_output, PARE_ACTIVATION_NONE, false, team->context,
             team->change);
    meet(block);
    finish_half(block, &packed->cross_output, &half->norm);
}

static void run_feed_forward(const step_block *block, size_t layer)
{
    const pri_decoder_packed_layer *packed = &block->decoder->layers[layer];
    const pri_feed_forward_block *half = &block->decoder->model->decoder[layer].feed_forward;
    const pri_step_scratch *team = block->team;
    multiply(block, &packed->up, block->decoder->rules.activation, true,
             half_input(block, &half->norm), team->inner);
    meet(block);
    multiply(block, &packed->down, PARE_ACTIVATION_NONE, false, team->inner, team->change);
    meet(block);
    finish_half(block, &packed->down, &half->norm);
}

/* ---- Words ---- */

static void begin_lists(const step_block *block)
{
    for (size_t i = 0; i < block->count; i++) {
        size_t capacity = block->results[i].best.capacity;
        block->own->lists[i] = (pri_best_words){.words = block->own->best + i * capacity,
                                                .capacity = capacity,
                                                .excluded = block->decoder->model->config.padding};
    }
}

static void scan_chunk(const step_block *block, size_t chunk, const float *states)
{
    const pri_decoder *decoder = block->decoder;
    const pri_packed_linear *words = &decoder->words;
    size_t begin = chunk * CHUNK_WORDS, chunks = chunks_of(decoder);
    size_t end = pri_smaller(begin + CHUNK_WORDS, pri_packed_rows(words->weight));
    uint32_t end_word = decoder->model->config.end;
    float *logits = block->own->logits;
    pri_packed_multiply_part(words->weight, begin, end, block->count, states, logits, CHUNK_WORDS,
                             block->own->words);
    for (size_t i = 0; i < block->count; i++) {
        float *row = logits + i * CHUNK_WORDS;
        block->team->sums[i * chunks + chunk] = decoder->kernels->scan(
            end - begin, words->bias + begin, row, (uint32_t)begin, &block->own->lists[i],
            &block->team->largest[i * chunks + chunk]);
        if (end_word >= begin && end_word < end)
            block->team->ends[i] = row[end_word - begin];
    }
}

/* The logarithm of the sum of all chunks' exponentials, in the order of chunks. */
static float log_sum_of(size_t chunks, const float *largest, const float *sums)
{
    float most = -INFINITY;
    double sum = 0.0;
    for (size_t chunk = 0; chunk < chunks; chunk++)
        most = largest[chunk] > most ? largest[chunk] : most;
    for (size_t chunk = 0; chunk < chunks; chunk++)
        if (largest[chunk] > -INFINITY || isnan(sums[chunk]))
            sum += (double)sums[chunk] * exp((double)largest[chunk] - (double)most);
    return most + (float)log(sum);
}

/* Merges one member's list into the result's; those of lower members, whose words are smaller, came
 * before. */
static void merge_list(const pri_best_words *from, pri_best_words *into)
{
    for (size_t i = 0; i < from->count; i++) {
        pri_word word = from->words[i];
        bool full = into->count == into->capacity;
        if (full && !(word.logit > into->words[into->count - 1].logit))
            return;
        size_t place = full ? into->count - 1 : into->count++;
        for (; place && into->words[place - 1].logit < word.logit; place--)
            into->words[place] = into->words[place - 1];
        into->words[place] = word;
    }
}

/* The rows of this member, from all members' words. */
static void collect(const step_block *block, const pri_step_scratch *first)
{
    size_t chunks = chunks_of(block->decoder), begin, end;
    take_part(block, block->count, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        pri_decoder_result *result = &block->results[i];
        result->best.count = 0;
        for (size_t member = 0; member < block->members; member++)
            merge_list(&first[member].lists[i], &result->best);
        result->log_sum =
            log_sum_of(chunks, block->team->largest + i * chunks, block->team->sums + i * chunks);
        result->end = block->team->ends[i];
    }
}

static void choose_words(const step_block *block)
{
    const pri_marian *model = block->decoder->model;
    const float *states = half_input(block, &model->decoder_norm);
    size_t begin, end;
    begin_lists(block);
    take_part(block, chunks_of(block->decoder), &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++)
        scan_chunk(block, chunk, states);
    meet(block);
    collect(block, block->members > 1 ? block->team : block->own);
}

static void run_block(const step_block *block)
{
    embed(block);
    for (size_t layer = 0; layer < block->decoder->model->config.decoder_layers; layer++) {
        run_self_attention(block, layer);
        run_cross_attention(block, layer);
        run_feed_forward(block, layer);
    }
    choose_words(block);
}

/* ---- A step ---- */

/* A step of many rows may last; false when it was interrupted. */
static bool run_blocks(const step_block *all, size_t threads)
{
    bool complete = true;
    size_t rounds = pri_divide_up(all->count, threads * block_rows(all->decoder));
    size_t rows = pri_divide_up(all->count, threads * rounds);
    size_t blocks = pri_divide_up(all->count, rows);
#pragma omp parallel for num_threads((int)threads) schedule(dynamic, 1) reduction(&& : complete)
    for (size_t i = 0; i < blocks; i++) {
        complete = complete && !pare_interrupted();
        if (!complete)
            continue;
        step_block block = *all;
        block.rows += i * rows;
        block.results += i * rows;
        block.count = pri_smaller(all->count - i * rows, rows);
        block.own = block.team = &all->decoder->scratch[omp_get_thread_num()];
        run_block(&block);
    }
    return complete;
}

/* All threads share blocks; they meet before arrays of the next one are written. */
static void share_blocks(const step_block *all, size_t threads)
{
    size_t blocks = pri_divide_up(all->count, block_rows(all->decoder));
    size_t rows = pri_divide_up(all->count, blocks);
#pragma omp parallel num_threads((int)threads)
    for (size_t first = 0; first < all->count; first += rows) {
        step_block block = *all;
        block.rows += first;
        block.results += first;
        block.count = pri_smaller(all->count - first, rows);
        block.member = (size_t)omp_get_thread_num();
        block.members = (size_t)omp_get_num_threads();
        block.team = all->decoder->scratch;
        block.own = &all->decoder->scratch[block.member];
        run_block(&block);
        meet(&block);
    }
}

static pare_status compile_rows(const pri_decoder *decoder, const pri_decoder_row *rows,
                                size_t count)
{
    pare_model *model = &decoder->model->base;
    for (size_t i = 0; i < count; i++) {
        PRI_TRY(pri_model_compile_row(model, PARE_ATTENTION_DECODER, rows[i].position));
        PRI_TRY(pri_model_compile_row(model, PARE_ATTENTION_CROSS, rows[i].position));
    }
    return PARE_OK;
}

static double most_attention_seconds(const pri_decoder *decoder, size_t threads)
{
    double most = 0.0;
    for (size_t i = 0; i < threads; i++) {
        most = fmax(most, decoder->scratch[i].attention_seconds);
        decoder->scratch[i].attention_seconds = 0.0;
    }
    return most;
}

pare_status pri_decoder_step(pri_decoder *decoder, const pri_decoder_row *rows, size_t count,
                             pri_decoder_result *results)
{
    PRI_TRY(compile_rows(decoder, rows, count));
    size_t threads = (size_t)pare_context_threads(decoder->model->base.context);
    step_block all = {
        .decoder = decoder, .rows = rows, .results = results, .count = count, .members = 1};
    size_t product = count * decoder->rules.size * decoder->rules.size;
    bool complete = true;
    if (threads > 1 && count < threads * ROWS_OF_OWN && product >= SHARED_PRODUCT)
        share_blocks(&all, threads);
    else
        complete = run_blocks(&all, threads);
    decoder->attention_seconds += most_attention_seconds(decoder, threads);
    return complete ? PARE_OK : pri_fail(PARE_ERROR_INTERRUPTED, "translation: interrupted");
}
