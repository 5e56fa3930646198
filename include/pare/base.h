/* Status codes, the context every call runs in, interruption and progress: what all rooms share.
 *
 * Conventions of all headers. A function that can fail returns a pare_status and leaves a sentence
 * in pare_error_message; what it was to make is then NULL, a file it was to write is as it was.
 * pare_X_create, _load and the like make an object that pare_X_destroy releases. Arrays and strings
 * handed in are used during the call and stay the caller's; where an object keeps one, its comment
 * says "borrows". Strings handed out belong to the library. Shapes are written (slowest, ...,
 * fastest), indices count from 0 and must lie inside. Objects that nothing changes (const pointers:
 * plans, masks) may be used by many threads at once, all others by one at a time. */
#ifndef PARE_BASE_H
#define PARE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PARE_API __attribute__((visibility("default")))
#define PARE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define PARE_API
#define PARE_MUST_CHECK
#endif

#define PARE_VERSION "0.1.0"

/* In place of the number of a token: there is none. */
#define PARE_NO_TOKEN UINT32_MAX

/* What went wrong. The numbers are also the exit codes of the `pare` command and never change. */
typedef enum pare_status {
    PARE_OK = 0,
    PARE_ERROR_ARGUMENT = 2,    /* an impossible option, shape or combination */
    PARE_ERROR_FORMAT = 3,      /* a file holds something else than it should */
    PARE_ERROR_FILE = 4,        /* a file could not be opened, read or written */
    PARE_ERROR_MEMORY = 5,      /* out of memory */
    PARE_ERROR_NUMERIC = 6,     /* a NaN or an infinity where a number was needed */
    PARE_ERROR_UNSUPPORTED = 7, /* valid, but not offered here */
    PARE_ERROR_INTERRUPTED = 130
} pare_status;

/* One line on the last failure in this thread: what is wrong and what to do about it. Never NULL;
 * empty before the first failure; valid until the next failing call of this thread. */
PARE_API const char *pare_error_message(void);

/* ---- Context ----------------------------------------------------------------------------------
 * A context fixes the number of threads and the instruction-set level. Calls that compute take one.
 * It may be used by one thread at a time; the library makes its own OpenMP threads inside a call.
 * A program whose own threads compute makes a context for each. */
typedef struct pare_context pare_context;

/* Instruction-set levels of the kernels, slowest first. */
typedef enum pare_level {
    PARE_LEVEL_PORTABLE,
    PARE_LEVEL_NEON,
    PARE_LEVEL_X86_64_V2,
    PARE_LEVEL_X86_64_V3,
    PARE_LEVEL_X86_64_V4,
    PARE_LEVEL_COUNT
} pare_level;

/* What numbers are rounded to before they are multiplied; sums are fp32 in either case. */
typedef enum pare_precision {
    PARE_PRECISION_FP32,
    PARE_PRECISION_BF16 /* 8 significant bits, the range of fp32 */
} pare_precision;

typedef struct pare_context_options {
    int threads;       /* at most 1024; 0: one per available core (or OMP_NUM_THREADS) */
    const char *level; /* "x86-64-v3" and so on; NULL: the variable PARE_ISA, which limits oneDNN
                          in this process too, or else the best */
} pare_context_options;

/* `options` may be NULL. Fails with PARE_ERROR_ARGUMENT when the level is unknown or the CPU (or
 * the operating system, which must save the registers) does not have it, and with
 * PARE_ERROR_UNSUPPORTED when this build has no level for this CPU. This is the only call that
 * reads the environment. */
PARE_API PARE_MUST_CHECK pare_status pare_context_create(const pare_context_options *options,
                                                         pare_context **context);
PARE_API void
pare_context_destroy(pare_context *context); /* NULL is allowed, as in every destroy */
PARE_API int pare_context_threads(const pare_context *context);
PARE_API pare_level pare_context_level(const pare_context *context);
PARE_API const char *pare_level_name(pare_level level); /* "x86-64-v3" */
PARE_API bool pare_level_supported(pare_level level);   /* built in, and the CPU has it */
PARE_API const char *pare_cpu_name(void);               /* "AMD EPYC 9B45", or "unknown CPU" */
/* What arithmetic alone allows: fp32 operations per second (a multiply-add is two) of the context's
 * threads at its level, measured for some 50 ms on numbers that stay in registers. */
PARE_API double pare_measure_peak(const pare_context *context);

/* ---- Interruption -----------------------------------------------------------------------------
 * Long calls look at one flag at safe points and return PARE_ERROR_INTERRUPTED with everything on
 * disk in order. `pare_interrupt` may be called from any thread. From a signal handler only where
 * the threads that compute do not take that signal: a handler's frame on the stack of one has
 * destroyed memory, most likely since generated kernels of oneDNN use the stack pointer for other
 * things. Block it before the first call and wait for it in a thread of its own (sigwait), as the
 * command does. */
PARE_API void pare_interrupt(void);
PARE_API bool pare_interrupted(void);
PARE_API void pare_interrupt_clear(void);

/* ---- Progress ---------------------------------------------------------------------------------
 * Long calls report to a function of the caller; the library itself prints nothing. */
typedef struct pare_progress_event {
    const char *label;      /* "train", "average", "evaluate valid" */
    const char *unit;       /* "tokens" */
    uint64_t done, total;   /* in units; total 0: unknown */
    double seconds;         /* since the work began in this process */
    uint64_t done_at_start; /* resumed work: units that were done before this process began */
    const char *note;       /* "loss 4.31 lr 0.00025", or NULL */
} pare_progress_event;

typedef struct pare_progress {
    void (*report)(void *user, const pare_progress_event *event); /* NULL: no reports */
    void *user;
} pare_progress;

#ifdef __cplusplus
}
#endif
#endif
