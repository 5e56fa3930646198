/* Pairs of sentences from files: two that are aligned by lines, or a table of two columns. */
#ifndef PARE_SRC_TASKS_TRANSLATION_PARALLEL_TEXT_H
#define PARE_SRC_TASKS_TRANSLATION_PARALLEL_TEXT_H

#include "base/text_buffer.h"
#include "pare/task.h"
#include "tasks/sequences.h"

/* How lines become pieces, and which pairs are used. */
typedef struct pri_parallel_reading {
    const pare_bpe *source, *target; /* tokenizers */
    size_t length;                   /* of a sentence at most, its end token included */
    double ratio;                    /* of the longer to the shorter sentence at most; 0: any */
    bool training; /* pairs that exceed these are left out; else sentences are cut at `length` */
} pri_parallel_reading;

typedef struct pri_parallel_text {
    pri_sequences sources, targets;
    /* Of validation and test, the targets as they are written: reference n is the text's bytes
     * reference_ends[n - 1] .. reference_ends[n] - 1. */
    pri_text references;
    size_t *reference_ends, reference_capacity;
    uint64_t left_out, cut; /* pairs, sentences */
} pri_parallel_text;

/* Reads all pairs. Free also after a failure. */
pare_status pri_parallel_read(const pare_parallel_files *files, const pri_parallel_reading *reading,
                              pri_parallel_text *text);
void pri_parallel_free(pri_parallel_text *text);
/* Of the pieces of both sides, and of the references. */
uint64_t pri_parallel_hash(const pri_parallel_text *text);
/* The reference of pair `index`, not terminated by a zero. */
const char *pri_parallel_reference(const pri_parallel_text *text, size_t index, size_t *length);

#endif
