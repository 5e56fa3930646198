/* The message of the last failure, one per thread. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_CAPACITY 1024

static _Thread_local char message[MESSAGE_CAPACITY];

const char *pare_error_message(void)
{
    return message;
}

/* File names and tokens come from outside: a message stays one line whatever they hold. */
static void keep_one_line(void)
{
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

pare_status pri_fail(pare_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    keep_one_line();
    return status;
}

pare_status pri_fail_in(pare_status status, const char *format, ...)
{
    char original[MESSAGE_CAPACITY], prefix[MESSAGE_CAPACITY / 2];
    memcpy(original, message, sizeof original);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    snprintf(message, sizeof message, "%.*s: %.*s", (int)sizeof prefix - 1, prefix,
             MESSAGE_CAPACITY / 2 - 4, original);
    keep_one_line();
    return status;
}
