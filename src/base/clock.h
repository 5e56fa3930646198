#ifndef PARE_SRC_BASE_CLOCK_H
#define PARE_SRC_BASE_CLOCK_H

#include <stddef.h>

/* Monotonic seconds. */
double pri_clock_seconds(void);
/* High-water mark of this process's resident memory, in bytes. */
size_t pri_peak_resident_bytes(void);

#endif
