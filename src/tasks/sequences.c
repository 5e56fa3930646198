/* Sequences and their batches. A sequence keeps where its second text begins instead of
 * a segment per token; segments are written out when a batch is gathered. */
#include "tasks/sequences.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/random.h"

/* ---- Sequences ---- */

void pri_sequences_free(pri_sequences *sequences)
{
    pri_free(sequences->tokens);
    pri_free(sequences->ends);
    pri_free(sequences->seconds);
    *sequences = (pri_sequences){0};
}

static pare_status reserve_sequence(pri_sequences *sequences)
{
    if (sequences->count < sequences->capacity)
        return PARE_OK;
    size_t count = sequences->count, capacity = pri_larger(64, 2 * count);
    size_t *ends = pri_reallocate(sequences->ends, count, capacity, sizeof *ends);
    if (!ends)
        return PARE_ERROR_MEMORY;
    sequences->ends = ends;
    uint32_t *seconds = pri_reallocate(sequences->seconds, count, capacity, sizeof *seconds);
    if (!seconds)
        return PARE_ERROR_MEMORY;
    sequences->seconds = seconds;
    sequences->capacity = capacity;
    return PARE_OK;
}

static pare_status reserve_tokens(pri_sequences *sequences, size_t count)
{
    if (sequences->token_capacity - sequences->token_count >= count)
        return PARE_OK;
    size_t capacity = pri_larger(sequences->token_count + count, 2 * sequences->token_capacity);
    uint32_t *tokens =
        pri_reallocate(sequences->tokens, sequences->token_count, capacity, sizeof *tokens);
    if (!tokens)
        return PARE_ERROR_MEMORY;
    sequences->tokens = tokens;
    sequences->token_capacity = capacity;
    return PARE_OK;
}

static void append_span(pri_sequences *sequences, pri_token_span span, uint32_t end)
{
    uint32_t *tokens = sequences->tokens + sequences->token_count;
    if (span.count)
        memcpy(tokens, span.ids, span.count * sizeof *tokens);
    tokens[span.count] = end;
    sequences->token_count += span.count + 1;
}

/* What remains when the longer side loses its last token, the second at a tie, until both fit. */
static void cut_pair(size_t *first, size_t *second, size_t room)
{
    size_t half = room / 2;
    if (*second <= half)
        *first = room - *second;
    else if (*first <= room - half)
        *second = room - *first;
    else {
        *first = room - half;
        *second = half;
    }
}

pare_status pri_sequences_append(pri_sequences *sequences, const pare_special_tokens *special,
                                 pri_token_span first, const pri_token_span *second, size_t length)
{
    pri_token_span other = second ? *second : (pri_token_span){0};
    size_t room = length - (second ? PRI_SPECIAL_TOKENS_PAIR : PRI_SPECIAL_TOKENS_SINGLE);
    bool fits = first.count + other.count <= room;
    if (!fits)
        cut_pair(&first.count, &other.count, room);
    PRI_TRY(reserve_sequence(sequences));
    PRI_TRY(reserve_tokens(sequences, first.count + other.count + PRI_SPECIAL_TOKENS_PAIR));
    sequences->cut += !fits;
    sequences->tokens[sequences->token_count++] = special->classification;
    append_span(sequences, first, special->separator);
    sequences->seconds[sequences->count] = (uint32_t)(first.count + PRI_SPECIAL_TOKENS_SINGLE);
    if (second)
        append_span(sequences, other, special->separator);
    sequences->ends[sequences->count++] = sequences->token_count;
    return PARE_OK;
}

pare_status pri_sequences_append_sentence(pri_sequences *sequences, pri_token_span sentence,
                                          uint32_t end)
{
    PRI_TRY(reserve_sequence(sequences));
    PRI_TRY(reserve_tokens(sequences, sentence.count + 1));
    append_span(sequences, sentence, end);
    sequences->seconds[sequences->count] = (uint32_t)sentence.count + 1;
    sequences->ends[sequences->count++] = sequences->token_count;
    return PARE_OK;
}

pri_token_span pri_sequences_at(const pri_sequences *sequences, size_t index)
{
    size_t begin = index ? sequences->ends[index - 1] : 0;
    return (pri_token_span){sequences->tokens + begin, sequences->ends[index] - begin};
}

size_t pri_sequences_longest(const pri_sequences *sequences)
{
    size_t longest = 0;
    for (size_t i = 0; i < sequences->count; i++)
        longest = pri_larger(longest, pri_sequences_at(sequences, i).count);
    return longest;
}

uint64_t pri_sequences_hash(const pri_sequences *sequences)
{
    uint64_t hash = pri_hash(PRI_HASH_START, sequences->tokens,
                             sequences->token_count * sizeof *sequences->tokens);
    hash = pri_hash(hash, sequences->ends, sequences->count * sizeof *sequences->ends);
    return pri_hash(hash, sequences->seconds, sequences->count * sizeof *sequences->seconds);
}

size_t *pri_sequences_lengths(const pri_sequences *sequences)
{
    size_t *lengths = pri_allocate(sequences->count, sizeof *lengths);
    for (size_t i = 0; lengths && i < sequences->count; i++)
        lengths[i] = pri_sequences_at(sequences, i).count;
    return lengths;
}

pare_status pri_sequences_deal(const pri_sequences *sequences, const pri_dealing *dealing,
                               pri_dealer **dealer)
{
    size_t *lengths = pri_sequences_lengths(sequences);
    if (!lengths)
        return PARE_ERROR_MEMORY;
    pare_status status = pri_dealer_create(dealing, lengths, sequences->count, dealer);
    pri_free(lengths);
    return status;
}

/* ---- Batches ---- */

void pri_batch_builder_free(pri_batch_builder *builder)
{
    pri_free(builder->offsets);
    pri_free(builder->tokens);
    pri_free(builder->segments);
    *builder = (pri_batch_builder){0};
}

/* The old contents are of no use any more. */
static pare_status grow(void **buffer, size_t capacity, size_t size)
{
    pri_free(*buffer);
    *buffer = pri_allocate(capacity, size);
    return *buffer ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status reserve_batch(pri_batch_builder *builder, size_t count, size_t tokens)
{
    if (count > builder->capacity) {
        builder->capacity = 0;
        PRI_TRY(grow((void **)&builder->offsets, count + 1, sizeof *builder->offsets));
        builder->capacity = count;
    }
    if (tokens > builder->token_capacity) {
        builder->token_capacity = 0;
        PRI_TRY(grow((void **)&builder->tokens, tokens, sizeof *builder->tokens));
        PRI_TRY(grow((void **)&builder->segments, tokens, sizeof *builder->segments));
        builder->token_capacity = tokens;
    }
    return PARE_OK;
}

pare_status pri_batch_gather(pri_batch_builder *builder, const pri_sequences *sequences,
                             const size_t *indices, size_t count)
{
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++)
        tokens += pri_sequences_at(sequences, indices[i]).count;
    PRI_TRY(reserve_batch(builder, count, tokens));
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        pri_token_span span = pri_sequences_at(sequences, indices[i]);
        memcpy(builder->tokens + offset, span.ids, span.count * sizeof *span.ids);
        for (size_t j = 0; j < span.count; j++)
            builder->segments[offset + j] = j >= sequences->seconds[indices[i]];
        builder->offsets[i] = offset;
        offset += span.count;
    }
    builder->offsets[count] = offset;
    builder->batch = (pare_encoder_batch){.sequences = count,
                                          .offsets = builder->offsets,
                                          .tokens = builder->tokens,
                                          .segments = builder->segments};
    return PARE_OK;
}
