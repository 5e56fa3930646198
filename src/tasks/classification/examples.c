/* Reading a table of examples: row by row, tokenized on the way, so that no text is kept. */
#include "tasks/classification/examples.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/random.h"
#include "base/status.h"
#include "text/tsv.h"

typedef struct reading {
    const pri_examples_source *source;
    pri_examples *examples;
    pare_special_tokens special;
    size_t columns; /* of every row; 0 before the first */
    size_t text_columns[2], label_column;
    size_t texts; /* per example, 1 or 2 */
    pare_pieces pieces[2];
} reading;

/* ---- Columns ---- */

static pare_status find_columns(reading *read, const pri_tsv_row *row)
{
    const pri_layout *layout = read->source->layout;
    const pri_tsv_row *header = layout->header ? row : NULL;
    read->columns = row->count;
    for (size_t i = 0; i < read->texts; i++)
        PRI_TRY(pri_tsv_find_column(header, row->name, layout->text_columns[i],
                                    &read->text_columns[i]));
    return pri_tsv_find_column(header, row->name, layout->label_column, &read->label_column);
}

static pare_status check_columns(const reading *read, const pri_tsv_row *row)
{
    unsigned long long line = (unsigned long long)row->line;
    if (row->count != read->columns)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: %zu columns, but the first row has %zu; fields are separated by "
                        "one tab each, and quotes do not protect tabs or line ends",
                        row->name, line, row->count, read->columns);
    size_t needed = read->label_column;
    for (size_t i = 0; i < read->texts; i++)
        needed = pri_larger(needed, read->text_columns[i]);
    if (needed >= row->count)
        return pri_fail(PARE_ERROR_FORMAT, "%s:%llu: %zu columns; there is no column %zu",
                        row->name, line, row->count, needed + 1);
    return PARE_OK;
}

/* ---- Labels ---- */

static pare_status parse_target(const pri_tsv_row *row, const char *value, float *target)
{
    double number;
    if (!pri_number_parse(value, &number) || !isfinite((float)number))
        return pri_fail(PARE_ERROR_FORMAT, "%s:%llu: the label '%.40s' is no number", row->name,
                        (unsigned long long)row->line, value);
    *target = (float)number;
    return PARE_OK;
}

static pare_status fail_label(const reading *read, const pri_tsv_row *row, const char *value)
{
    const pri_layout *layout = read->source->layout;
    if (layout->task)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s:%llu: '%.40s' is no label of task %s; is this one of its files, and "
                        "with labels?",
                        row->name, (unsigned long long)row->line, value, layout->task);
    double number;
    return pri_fail(PARE_ERROR_FORMAT,
                    "%s:%llu: the label '%.40s' does not occur in the training file%s", row->name,
                    (unsigned long long)row->line, value,
                    pri_number_parse(value, &number)
                        ? "; for labels that are measures set data.regression to true"
                        : "");
}

static pare_status find_class(const reading *read, const pri_tsv_row *row, const char *value,
                              uint32_t *class)
{
    pri_labels *labels = read->source->labels;
    *class = pri_labels_find(labels, value);
    if (*class != PRI_NO_LABEL)
        return PARE_OK;
    if (!read->source->collects)
        return fail_label(read, row, value);
    if (!*value)
        return pri_fail(PARE_ERROR_FORMAT, "%s:%llu: the label is empty", row->name,
                        (unsigned long long)row->line);
    *class = (uint32_t)labels->count;
    pare_status status = pri_labels_add(labels, value);
    return status == PARE_OK
               ? PARE_OK
               : pri_fail_in(status, "%s:%llu", row->name, (unsigned long long)row->line);
}

static pare_status reserve_example(pri_examples *examples, size_t count)
{
    if (count < examples->capacity)
        return PARE_OK;
    size_t capacity = pri_larger(64, 2 * count);
    uint32_t *classes = pri_reallocate(examples->classes, count, capacity, sizeof *classes);
    if (!classes)
        return PARE_ERROR_MEMORY;
    examples->classes = classes;
    float *targets = pri_reallocate(examples->targets, count, capacity, sizeof *targets);
    if (!targets)
        return PARE_ERROR_MEMORY;
    examples->targets = targets;
    examples->capacity = capacity;
    return PARE_OK;
}

static pare_status read_label(const reading *read, const pri_tsv_row *row)
{
    pri_examples *examples = read->examples;
    size_t index = examples->sequences.count;
    const char *value = row->fields[read->label_column];
    PRI_TRY(reserve_example(examples, index));
    examples->classes[index] = 0;
    examples->targets[index] = 0;
    return read->source->layout->regression
               ? parse_target(row, value, &examples->targets[index])
               : find_class(read, row, value, &examples->classes[index]);
}

/* ---- Texts ---- */

static pare_status read_texts(reading *read, const pri_tsv_row *row)
{
    pri_token_span spans[2];
    for (size_t i = 0; i < read->texts; i++) {
        pare_pieces *pieces = &read->pieces[i];
        const char *text = row->fields[read->text_columns[i]];
        pieces->count = 0;
        PRI_TRY(pare_wordpiece_encode(read->source->tokenizer, text, strlen(text), pieces));
        spans[i] = (pri_token_span){pieces->ids, pieces->count};
    }
    return pri_sequences_append(&read->examples->sequences, &read->special, spans[0],
                                read->texts == 2 ? &spans[1] : NULL, read->source->length);
}

static pare_status read_row(void *user, const pri_tsv_row *row)
{
    reading *read = user;
    bool first = !read->columns;
    if (first)
        PRI_TRY(find_columns(read, row));
    if (first && read->source->layout->header)
        return PARE_OK;
    if (read->source->layout->skips_short_rows && row->count < read->columns)
        return PARE_OK;
    PRI_TRY(check_columns(read, row));
    PRI_TRY(read_label(read, row));
    return read_texts(read, row);
}

/* ---- Files ---- */

static void finish_examples(const pri_examples_source *source, pri_examples *examples)
{
    const char *slash = strrchr(source->path, '/');
    snprintf(examples->name, sizeof examples->name, "%s", slash ? slash + 1 : source->path);
    size_t count = examples->sequences.count;
    const void *labels = source->layout->regression ? (const void *)examples->targets
                                                    : (const void *)examples->classes;
    examples->hash =
        pri_hash(pri_sequences_hash(&examples->sequences), labels, count * sizeof(uint32_t));
}

pare_status pri_examples_read(const pri_examples_source *source, pri_examples *examples)
{
    reading read = {.source = source,
                    .examples = examples,
                    .special = pare_wordpiece_special_tokens(source->tokenizer),
                    .texts = source->layout->text_columns[1] ? 2 : 1};
    pare_status status = pri_tsv_read(source->path, read_row, &read);
    pare_pieces_free(&read.pieces[0]);
    pare_pieces_free(&read.pieces[1]);
    PRI_TRY(status);
    if (!examples->sequences.count)
        return pri_fail(PARE_ERROR_FORMAT, "%s: holds no example", source->path);
    if (source->collects)
        PRI_TRY(pri_labels_sort(source->labels, examples->classes, examples->sequences.count));
    finish_examples(source, examples);
    return PARE_OK;
}

void pri_examples_free(pri_examples *examples)
{
    pri_sequences_free(&examples->sequences);
    pri_free(examples->classes);
    pri_free(examples->targets);
}
