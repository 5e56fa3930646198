#ifndef PARE_SRC_BASE_CLOCK_H
#define PARE_SRC_BASE_CLOCK_H

#include <stddef.h>

/* Monotonic seconds. */
double pri_clock_seconds(void);
/* High-water mark of this process's resident memory, in bytes, since the last reset. Where the
 * system cannot reset it (anything but Linux), since the process began. */
size_t pri_peak_resident_bytes(void);
void pri_peak_resident_reset(void);

#endif
