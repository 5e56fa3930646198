/* Shows progress events of the library on standard error: one moving line on a terminal, a plain
 * line now and then elsewhere. */
#ifndef PARE_CLI_PROGRESS_H
#define PARE_CLI_PROGRESS_H

#include "pare/base.h"

/* `quiet`: show nothing. */
pare_progress progress_begin(bool quiet);
/* Ends a moving line, so that other output starts on a line of its own. */
void progress_end(void);

#endif
