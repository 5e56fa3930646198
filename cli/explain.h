/* What a classifier or a translation model looked at, for a terminal and as a page. */
#ifndef PARE_CLI_EXPLAIN_H
#define PARE_CLI_EXPLAIN_H

#include "source.h"

/* Prints what the first token looks at in the last layer, mean over heads, and a map of every layer
 * and head. */
pare_status print_explanation(const cli_session *session, const pare_text_pair *text);
/* Writes the page of all layers and heads. */
pare_status write_explanation(const cli_session *session, const pare_text_pair *text,
                              const char *title, const char *path);

/* A source and its translation. Prints what each piece of the translation looks at most in the last
 * layer, mean over heads, and a map of every layer and head. */
pare_status print_pair_explanation(const cli_session *session, const pare_source_text *source,
                                   const pare_hypothesis *translation);
pare_status write_pair_explanation(const cli_session *session, const pare_source_text *source,
                                   const pare_hypothesis *translation, const char *title,
                                   const char *path);

/* How many bytes of a text to show in a title: at most 100, whole characters. */
int title_bytes(const char *text, size_t length);

#endif
