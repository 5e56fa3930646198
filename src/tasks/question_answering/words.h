/* Words as the original BERT code cuts contexts: between blanks, tabs, line ends and narrow
 * no-break spaces. */
#ifndef PARE_SRC_TASKS_CONTEXT_WORDS_H
#define PARE_SRC_TASKS_CONTEXT_WORDS_H

#include <stddef.h>

/* Bytes *begin .. *end - 1 of the zero-terminated text, without blanks at either side. */
void pri_trim_blanks(const char *text, size_t *begin, size_t *end);
/* The words which those bytes are parts of. */
void pri_widen_to_words(const char *text, size_t *begin, size_t *end);

#endif
