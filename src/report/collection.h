/* Everything a report shows, read from a sweep's directory. */
#ifndef PARE_SRC_REPORT_COLLECTION_H
#define PARE_SRC_REPORT_COLLECTION_H

#include "base/text_buffer.h"
#include "report/summary.h"

/* A mask to show: of one group, its first seed. */
typedef struct pri_mask_run {
    const pri_group *group;
    pare_mask *mask;
    char label[64]; /* "Attention pruning 90%" */
    char slug[64];  /* "attention-pruning-90", for file names */
} pri_mask_run;

/* What is shown of one kind of attention. */
typedef struct pri_head_set {
    pare_attention_kind kind;
    const char *name;      /* "cross"; "" of models with one kind */
    pare_average *average; /* NULL: none */
    pri_mask_run *runs;    /* all of one shape, that of `geometry` */
    size_t run_count;
    const pare_geometry *geometry; /* of the average, or of the first mask; NULL without both */
} pri_head_set;

typedef struct pri_collection {
    pare_results results;
    pri_summary summary;
    size_t kinds; /* 1, or those of a translation model */
    pri_head_set sets[PARE_ATTENTION_KINDS];
    pri_text notes; /* what could not be shown and why, one line each */
} pri_collection;

/* Fails when results.json is missing or damaged; averages and masks that are become notes. */
pare_status pri_collection_read(const char *directory, pri_collection *collection);
void pri_collection_free(pri_collection *collection);

#endif
