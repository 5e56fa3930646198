/* Reading pairs of sentences. Both sides are read in step; when one ends before the other, the rest
 * is counted, so that the message can give both numbers. */
#include "tasks/translation/parallel_text.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"
#include "text/line_range.h"

void pri_parallel_free(pri_parallel_text *text)
{
    pri_sequences_free(&text->sources);
    pri_sequences_free(&text->targets);
    pri_text_free(&text->references);
    pri_free(text->reference_ends);
    *text = (pri_parallel_text){.left_out = 0};
}

uint64_t pri_parallel_hash(const pri_parallel_text *text)
{
    const uint64_t sides[] = {pri_sequences_hash(&text->sources),
                              pri_sequences_hash(&text->targets)};
    uint64_t hash = pri_hash(PRI_HASH_START, sides, sizeof sides);
    return text->references.length ? pri_hash(hash, text->references.data, text->references.length)
                                   : hash;
}

const char *pri_parallel_reference(const pri_parallel_text *text, size_t index, size_t *length)
{
    size_t begin = index ? text->reference_ends[index - 1] : 0;
    *length = text->reference_ends[index] - begin;
    return text->references.data ? text->references.data + begin : "";
}

/* ---- One pair ---- */

typedef struct text_line {
    const char *bytes;
    size_t length;
} text_line;

typedef struct pair_reader {
    const pri_parallel_reading *reading;
    pri_parallel_text *text;
    pare_pieces source, target; /* of the pair at hand */
} pair_reader;

static bool is_used(const pri_parallel_reading *reading, size_t source, size_t target)
{
    size_t longer = pri_larger(source, target), shorter = pri_smaller(source, target);
    if (!shorter || longer + 1 > reading->length)
        return false;
    return !(reading->ratio > 0) || (double)longer <= reading->ratio * (double)shorter;
}

static pare_status append_sentence(pair_reader *reader, pri_sequences *sequences,
                                   const pare_pieces *pieces, const pare_bpe *tokenizer)
{
    pri_token_span span = {pieces->ids, pieces->count};
    if (span.count + 1 > reader->reading->length) {
        span.count = reader->reading->length - 1;
        reader->text->cut++;
    }
    return pri_sequences_append_sentence(sequences, span, pare_bpe_special_tokens(tokenizer).end);
}

static pare_status append_reference(pri_parallel_text *text, text_line line)
{
    size_t index = text->targets.count - 1;
    if (index >= text->reference_capacity) {
        size_t capacity = pri_larger(64, 2 * text->reference_capacity);
        size_t *ends =
            pri_reallocate(text->reference_ends, text->reference_capacity, capacity, sizeof *ends);
        if (!ends)
            return PARE_ERROR_MEMORY;
        text->reference_ends = ends;
        text->reference_capacity = capacity;
    }
    pri_text_append_bytes(&text->references, line.bytes, line.length);
    text->reference_ends[index] = text->references.length;
    return text->references.failed ? PARE_ERROR_MEMORY : PARE_OK;
}

static pare_status append_pair(pair_reader *reader, text_line source, text_line target)
{
    const pri_parallel_reading *reading = reader->reading;
    pri_parallel_text *text = reader->text;
    reader->source.count = reader->target.count = 0;
    PRI_TRY(pare_bpe_encode(reading->source, source.bytes, source.length, &reader->source));
    PRI_TRY(pare_bpe_encode(reading->target, target.bytes, target.length, &reader->target));
    if (reading->training && !is_used(reading, reader->source.count, reader->target.count)) {
        text->left_out++;
        return PARE_OK;
    }
    PRI_TRY(append_sentence(reader, &text->sources, &reader->source, reading->source));
    PRI_TRY(append_sentence(reader, &text->targets, &reader->target, reading->target));
    return reading->training ? PARE_OK : append_reference(text, target);
}

/* ---- Files ---- */

/* Files made on other systems end lines in a carriage return too. */
static text_line without_return(text_line line)
{
    if (line.length && line.bytes[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* The line of that number, from 1, in the file called `path`. */
static pare_status next_line(pare_lines *lines, const char *path, uint64_t number, text_line *line)
{
    PRI_TRY(pare_lines_next(lines, &line->bytes, &line->length));
    if (!line->bytes)
        return PARE_OK;
    *line = without_return(*line);
    return pri_text_check_line(path, number, line->bytes, line->length);
}

static pare_status count_rest(pare_lines *lines, uint64_t *count)
{
    text_line line;
    for (;; ++*count) {
        PRI_TRY(pare_lines_next(lines, &line.bytes, &line.length));
        if (!line.bytes)
            return PARE_OK;
    }
}

static pare_status fail_counts(const pare_parallel_files *files, pare_lines *sources,
                               pare_lines *targets, uint64_t source_count, uint64_t target_count)
{
    PRI_TRY(count_rest(sources, &source_count));
    PRI_TRY(count_rest(targets, &target_count));
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s has %llu lines and %s has %llu; line n of one must translate line n of the "
                    "other",
                    files->source, (unsigned long long)source_count, files->target,
                    (unsigned long long)target_count);
}

static pare_status read_lines(pair_reader *reader, const pare_parallel_files *files,
                              pare_lines *sources, pare_lines *targets)
{
    for (uint64_t count = 0;; count++) {
        text_line source, target;
        PRI_TRY(next_line(sources, files->source, count + 1, &source));
        PRI_TRY(next_line(targets, files->target, count + 1, &target));
        if (!source.bytes != !target.bytes)
            return fail_counts(files, sources, targets, count + (source.bytes != NULL),
                               count + (target.bytes != NULL));
        if (!source.bytes)
            return PARE_OK;
        PRI_TRY(append_pair(reader, source, target));
    }
}

static pare_status read_two_files(pair_reader *reader, const pare_parallel_files *files)
{
    pare_lines *sources, *targets = NULL;
    PRI_TRY(pare_lines_open(files->source, &sources));
    pare_status status = pare_lines_open(files->target, &targets);
    if (status == PARE_OK)
        status = read_lines(reader, files, sources, targets);
    pare_lines_close(sources);
    pare_lines_close(targets);
    return status;
}

static pare_status append_row(pair_reader *reader, const char *path, uint64_t number,
                              text_line line)
{
    const char *tab = memchr(line.bytes, '\t', line.length);
    size_t before = tab ? (size_t)(tab - line.bytes) : 0;
    if (!tab || memchr(tab + 1, '\t', line.length - before - 1))
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: a line must be a source, one tab and its translation", path,
                        (unsigned long long)number);
    return append_pair(reader, (text_line){line.bytes, before},
                       (text_line){tab + 1, line.length - before - 1});
}

static pare_status read_table(pair_reader *reader, const char *path)
{
    pare_lines *lines;
    PRI_TRY(pare_lines_open(path, &lines));
    pare_status status = PARE_OK;
    text_line line;
    for (uint64_t number = 1; status == PARE_OK; number++) {
        status = next_line(lines, path, number, &line);
        if (status == PARE_OK && !line.bytes)
            break;
        if (status == PARE_OK)
            status = append_row(reader, path, number, line);
    }
    pare_lines_close(lines);
    return status;
}

pare_status pri_parallel_read(const pare_parallel_files *files, const pri_parallel_reading *reading,
                              pri_parallel_text *text)
{
    *text = (pri_parallel_text){.left_out = 0};
    pair_reader reader = {.reading = reading, .text = text};
    pare_status status =
        files->target ? read_two_files(&reader, files) : read_table(&reader, files->source);
    pare_pieces_free(&reader.source);
    pare_pieces_free(&reader.target);
    if (status == PARE_OK && !text->sources.count)
        status = pri_fail(PARE_ERROR_FORMAT, "%s: no pair of sentences%s", files->source,
                          text->left_out ? " can be used: each is empty on one side or too long; "
                                           "see to training.length and data.length_ratio"
                                         : "");
    return status;
}
