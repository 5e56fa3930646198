/* The three streams of ids that a language model is trained and measured on. */
#ifndef PARE_SRC_TASKS_CORPUS_H
#define PARE_SRC_TASKS_CORPUS_H

#include "pare/task.h"

typedef struct pri_corpus {
    const pare_vocabulary *vocabulary;
    pare_vocabulary *owned; /* the same, when it was built here */
    pare_tokens splits[PARE_SPLIT_COUNT];
    char names[PARE_SPLIT_COUNT][64]; /* of their files, without folders */
} pri_corpus;

/* Zero-initialised by the caller; free also after a failure. */
pare_status pri_corpus_read(pri_corpus *corpus, const pare_language_modelling_options *options,
                            const pare_vocabulary *vocabulary);
void pri_corpus_free(pri_corpus *corpus);

#endif
