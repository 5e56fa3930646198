/* The instruction-set levels of this build, for tables with one entry per level. The build defines
 * one macro per level whose kernels it compiles (cmake/rooms.cmake).
 *
 * PRI_EACH_LEVEL(X) expands to X(x86_64_v3, PARE_LEVEL_X86_64_V3) and so on, built levels only. */
#ifndef PARE_SRC_BASE_LEVELS_H
#define PARE_SRC_BASE_LEVELS_H

#include "pare/base.h"

#ifdef PARE_WITH_portable
#define PRI_LEVEL_PORTABLE(X) X(portable, PARE_LEVEL_PORTABLE)
#else
#define PRI_LEVEL_PORTABLE(X)
#endif
#ifdef PARE_WITH_neon
#define PRI_LEVEL_NEON(X) X(neon, PARE_LEVEL_NEON)
#else
#define PRI_LEVEL_NEON(X)
#endif
#ifdef PARE_WITH_x86_64_v2
#define PRI_LEVEL_V2(X) X(x86_64_v2, PARE_LEVEL_X86_64_V2)
#else
#define PRI_LEVEL_V2(X)
#endif
#ifdef PARE_WITH_x86_64_v3
#define PRI_LEVEL_V3(X) X(x86_64_v3, PARE_LEVEL_X86_64_V3)
#else
#define PRI_LEVEL_V3(X)
#endif
#ifdef PARE_WITH_x86_64_v4
#define PRI_LEVEL_V4(X) X(x86_64_v4, PARE_LEVEL_X86_64_V4)
#else
#define PRI_LEVEL_V4(X)
#endif

#define PRI_EACH_LEVEL(X)                                                                          \
    PRI_LEVEL_PORTABLE(X) PRI_LEVEL_NEON(X) PRI_LEVEL_V2(X) PRI_LEVEL_V3(X) PRI_LEVEL_V4(X)

#endif
