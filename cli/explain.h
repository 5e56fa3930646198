/* What a classifier looked at, for a terminal and as a page. */
#ifndef PARE_CLI_EXPLAIN_H
#define PARE_CLI_EXPLAIN_H

#include "source.h"

/* Prints what the first token looks at in the last layer, mean over heads, and a map of every layer
 * and head. */
pare_status print_explanation(const cli_session *session, const pare_text_pair *text);
/* Writes the page of all layers and heads. */
pare_status write_explanation(const cli_session *session, const pare_text_pair *text,
                              const char *title, const char *path);

#endif
