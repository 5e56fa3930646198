/* Reading a corpus: three files, or one that is split by lines. The vocabulary comes from the
 * training lines alone, so that validation and test stay unseen in this too. */
#include "tasks/language_modelling/corpus.h"

#include "base/status.h"
#include "tasks/corpus_files.h"
#include "tasks/task.h"
#include "text/vocabulary.h"

static pare_status read_part(pri_corpus *corpus, pare_split split, const pri_corpus_part *part)
{
    pri_corpus_name(part->path, corpus->names[split]);
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
    pri_corpus_part parts[PARE_SPLIT_COUNT];
    PRI_TRY(pri_corpus_find(options->train, options->valid, options->test, parts));
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
