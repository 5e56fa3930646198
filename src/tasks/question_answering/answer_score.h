/* Exact match and F1 of an answer, as the official script of SQuAD computes them. Both sides are
 * normalised first: Python's lower case, ASCII punctuation dropped, the words a, an and the
 * dropped, white space collapsed - in this order, so that "a-b" becomes "ab". F1 is that of the two
 * multisets of words; where either is empty it is 1 if both are and otherwise 0. (The script of
 * version 1.1 gives 0 when both are empty; that of version 2.0, like this, 1. It takes an answer
 * such as "the" to tell.) */
#ifndef PARE_SRC_TASKS_ANSWER_SCORE_H
#define PARE_SRC_TASKS_ANSWER_SCORE_H

#include "base/text_buffer.h"

typedef struct pri_answer_score {
    double exact_match, f1; /* 0 .. 1 */
} pri_answer_score;

/* Appends words with one blank between them. */
void pri_normalize_answer(const char *answer, size_t length, pri_text *normalized);
/* Of one answer against one that is right. */
pare_status pri_score_answer(const char *answer, size_t length, const char *gold,
                             pri_answer_score *score);
/* Raises `best`, number by number, to what `score` has more. */
void pri_score_raise(pri_answer_score *best, const pri_answer_score *score);

#endif
