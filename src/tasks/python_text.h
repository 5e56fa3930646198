/* Strings as Python 3 sees them, because the usual scores of answers and translations are defined
 * by Python programs: str.lower, str.split, and the word boundaries of regular expressions. Text is
 * valid UTF-8. */
#ifndef PARE_SRC_TASKS_PYTHON_TEXT_H
#define PARE_SRC_TASKS_PYTHON_TEXT_H

#include "base/status.h"
#include "base/text_buffer.h"

/* Reads the character at `text` and returns what follows it. `end` is the end of the text. */
const char *pri_next_character(const char *text, const char *end, int32_t *character);
/* str.isspace of one character: what str.split() splits at. */
bool pri_python_is_space(int32_t character);
/* What \w matches. Combining marks are no word characters in Python. */
bool pri_python_is_word(int32_t character);
/* Marks that stand above, below or around the letter before them. */
bool pri_is_mark(int32_t character);
/* Appends str.lower(): full mappings, with the sigma of a word's end. */
void pri_python_lower(const char *text, size_t length, pri_text *lower);

#endif
