/* Time and memory as the operating system accounts them. Linux keeps the resident high-water mark
 * in /proc/self/status and resets it when 5 is written to clear_refs, which lets several runs in
 * one process be compared. */
#include "base/clock.h"

#include <stdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <time.h>

double pri_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t peak_of_process(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (size_t)usage.ru_maxrss;
#else
    return (size_t)usage.ru_maxrss * 1024;
#endif
}

size_t pri_peak_resident_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return peak_of_process();
    char line[256];
    size_t kibibytes = 0;
    while (!kibibytes && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %zu kB", &kibibytes) != 1)
            kibibytes = 0;
    fclose(file);
    return kibibytes ? kibibytes * 1024 : peak_of_process();
}

void pri_peak_resident_reset(void)
{
#ifdef __GLIBC__
    malloc_trim(0); /* what earlier work freed is not this work's */
#endif
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file)
        return;
    fputs("5", file);
    fclose(file);
}
