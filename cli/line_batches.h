/* Lines that are answered as they come: as many at once as have arrived. */
#ifndef PARE_CLI_LINE_BATCHES_H
#define PARE_CLI_LINE_BATCHES_H

#include "command.h"

/* Answered together, at most. */
#define LINES_MAX 256

typedef struct line_batch {
    const char *name; /* of the file, for messages */
    uint64_t first;   /* the number of the first of these lines in the file, from 1 */
    char *lines[LINES_MAX];
    size_t lengths[LINES_MAX]; /* without the line's end; any bytes may be in it */
    size_t count;              /* at least 1 */
} line_batch;

/* Prints what is to be said of the lines, in their order; returns an exit code. Anything but 0 ends
 * the reading, except that who types may go on after a line of wrong form. */
typedef int (*line_answer)(void *user, const line_batch *batch);

/* Reads the file at `path`, or from "-" the standard input, with a prompt when that is a terminal.
 * Lines that were read before a mistake are answered before it is reported. Returns an exit code.
 */
int answer_line_batches(const char *verb, const char *path, const char *prompt, line_answer answer,
                        void *user);
/* What the shell prints after a prompt (none: "") that got no line belongs on a line of its own. */
void end_prompt(const char *prompt);

#endif
