/* One flag that a signal handler sets and long work looks at. */
#include "pare/base.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

void pare_interrupt(void)
{
    interrupted = 1;
}

bool pare_interrupted(void)
{
    return interrupted;
}

void pare_interrupt_clear(void)
{
    interrupted = 0;
}
