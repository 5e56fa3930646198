/* Reading a corpus: three files, or one that is split by lines. The vocabulary comes from the
 * training lines alone, so that validation and test stay unseen in this too. */
#include "tasks/language_modelling/corpus.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "tasks/task.h"
#include "text/vocabulary.h"

typedef struct corpus_part {
    const char *path;
    pri_line_range lines;
} corpus_part;

/* 90 : 5 : 5. */
static pare_status split_file(const char *path, corpus_part parts[PARE_SPLIT_COUNT])
{
    uint64_t lines;
    PRI_TRY(pri_text_count_lines(path, &lines));
    if (lines < PARE_SPLIT_COUNT)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: %llu lines cannot be split into training, validation and test; name "
                        "a file for each, or break the text into lines",
                        path, (unsigned long long)lines);
    uint64_t held_out = lines < 20 ? 1 : lines / 20;
    uint64_t valid = lines - 2 * held_out, test = lines - held_out;
    parts[PARE_SPLIT_TRAIN] = (corpus_part){path, {0, valid}};
    parts[PARE_SPLIT_VALID] = (corpus_part){path, {valid, test}};
    parts[PARE_SPLIT_TEST] = (corpus_part){path, {test, UINT64_MAX}};
    return PARE_OK;
}

static pare_status find_parts(const pare_language_modelling_options *options,
                              corpus_part parts[PARE_SPLIT_COUNT])
{
    if (!options->train)
        return pri_fail(PARE_ERROR_ARGUMENT, "no training text; name a file (data.train)");
    if (!options->valid != !options->test)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%s is missing; name both data.valid and data.test, or neither to split "
                        "%s 90 : 5 : 5",
                        options->valid ? "data.test" : "data.valid", options->train);
    if (!options->valid)
        return split_file(options->train, parts);
    parts[PARE_SPLIT_TRAIN] = (corpus_part){options->train, PRI_ALL_LINES};
    parts[PARE_SPLIT_VALID] = (corpus_part){options->valid, PRI_ALL_LINES};
    parts[PARE_SPLIT_TEST] = (corpus_part){options->test, PRI_ALL_LINES};
    return PARE_OK;
}

static pare_status read_part(pri_corpus *corpus, pare_split split, const corpus_part *part)
{
    const char *slash = strrchr(part->path, '/');
    snprintf(corpus->names[split], sizeof corpus->names[split], "%s",
             slash ? slash + 1 : part->path);
    pare_tokens *tokens = &corpus->splits[split];
    PRI_TRY(pri_tokens_read_lines(corpus->vocabulary, part->path, part->lines, tokens));
    if (tokens->count < 2)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: a single token for the %s split; there is nothing to predict, give "
                        "more text",
                        part->path, pri_split_name(split));
    return PARE_OK;
}

pare_status pri_corpus_read(pri_corpus *corpus, const pare_language_modelling_options *options,
                            const pare_vocabulary *vocabulary)
{
    corpus_part parts[PARE_SPLIT_COUNT] = {{0}};
    PRI_TRY(find_parts(options, parts));
    corpus->vocabulary = vocabulary;
    if (!vocabulary) {
        PRI_TRY(pri_vocabulary_build_lines(parts[PARE_SPLIT_TRAIN].path,
                                           parts[PARE_SPLIT_TRAIN].lines, &options->vocabulary,
                                           &corpus->owned));
        corpus->vocabulary = corpus->owned;
    }
    for (pare_split split = PARE_SPLIT_TRAIN; split < PARE_SPLIT_COUNT; split++)
        PRI_TRY(read_part(corpus, split, &parts[split]));
    return PARE_OK;
}

void pri_corpus_free(pri_corpus *corpus)
{
    for (int split = 0; split < PARE_SPLIT_COUNT; split++)
        pare_tokens_free(&corpus->splits[split]);
    pare_vocabulary_destroy(corpus->owned);
}
