/* What a segment, one sentence as bytes, is to scores: valid text, its words and its characters. */
#ifndef PARE_SRC_TASKS_TRANSLATION_SEGMENT_H
#define PARE_SRC_TASKS_TRANSLATION_SEGMENT_H

#include "base/text_buffer.h"

/* Makes `text` the segment: bytes that are no UTF-8 become U+FFFD, as in Python's
 * bytes.decode(errors="replace"), and on request letters become small, as in str.lower. */
void pri_segment_read(const char *bytes, size_t length, bool lower_case, pri_text *text);
/* Makes `joined` the segment without the joints that byte pair encoding leaves between the parts of
 * a word: "@@" before a blank or at the end. */
void pri_segment_join(const pri_text *segment, pri_text *joined);
/* Makes `tokens` the segment as the tokenizer 13a of sacreBLEU (mteval-v13a) cuts it: white space
 * between tokens, several in a row perhaps. `scratch` is overwritten. */
void pri_tokenize_13a(const pri_text *segment, pri_text *tokens, pri_text *scratch);

/* The next word between Python's white space, from *at on; NULL when there is none. */
const char *pri_next_word(const char **at, const char *end, size_t *length);

/* Makes `text` empty, with a buffer. */
void pri_text_clear(pri_text *text);
/* In place; the replacement is no longer than the pattern. */
void pri_text_replace(pri_text *text, const char *pattern, const char *replacement);

#endif
