/* What a task has to say of its data, in one line: what reading them left out, cut or moved. */
#ifndef PARE_SRC_TASKS_REMARK_H
#define PARE_SRC_TASKS_REMARK_H

#include "base/text_buffer.h"

/* Ends the remarks so far, if any, with "; ": another one is to be appended. */
void pri_remark_begin(pri_text *remarks);

/* How many texts of a file are too long; `file` NULL: there is none. */
typedef struct pri_cut_share {
    const char *file;
    uint64_t cut, all;
} pri_cut_share;
/* "texts longer than training.length 8 are cut: 64 of 84 in train.tsv, 3 of 9 in dev.tsv"; nothing
 * when none are. `limit`: the key of the recipe that says how long they may be. */
void pri_remark_cut(pri_text *remarks, const char *texts, const char *limit, size_t length,
                    const pri_cut_share *shares, size_t count);

#endif
