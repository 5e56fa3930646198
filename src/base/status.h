/* How the library fails: set a sentence for the user, return the code. */
#ifndef PARE_SRC_BASE_STATUS_H
#define PARE_SRC_BASE_STATUS_H

#include "pare/base.h"

/* Sets this thread's message and returns `status`. The message is one line that names the file or
 * option and says what to do. */
pare_status pri_fail(pare_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " before the current message and returns `status` (for callers that know more). */
pare_status pri_fail_in(pare_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define PRI_TRY(expression)                                                                        \
    do {                                                                                           \
        pare_status pri_try_status = (expression);                                                 \
        if (pri_try_status != PARE_OK)                                                             \
            return pri_try_status;                                                                 \
    } while (0)

#endif
