/* One split of a classification task: sequences and what is to be predicted. */
#ifndef PARE_SRC_TASKS_EXAMPLES_H
#define PARE_SRC_TASKS_EXAMPLES_H

#include "tasks/classification/labels.h"
#include "tasks/classification/layout.h"
#include "tasks/sequences.h"

/* Zero-initialise; free also after a failure. */
typedef struct pri_examples {
    pri_sequences sequences;
    uint32_t *classes; /* of a classification */
    float *targets;    /* of a regression */
    size_t capacity;
    uint64_t hash;
    char name[64]; /* of the file, without folders */
} pri_examples;

/* How a file is read. */
typedef struct pri_examples_source {
    const char *path;
    const pri_layout *layout;
    const pare_wordpiece *tokenizer;
    size_t length; /* of sequences, at most */
    pri_labels *labels;
    bool collects; /* unknown labels are new classes; else they are errors */
} pri_examples_source;

pare_status pri_examples_read(const pri_examples_source *source, pri_examples *examples);
void pri_examples_free(pri_examples *examples);

#endif
