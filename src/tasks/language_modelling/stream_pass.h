/* A pass over a stream in which every token is predicted exactly once, from the same context
 * whatever the number of lanes. */
#ifndef PARE_SRC_TASKS_STREAM_PASS_H
#define PARE_SRC_TASKS_STREAM_PASS_H

#include "pare/task.h"

typedef struct pri_stream_pass {
    const pare_tokens *tokens;
    size_t lanes;  /* at most this many side by side */
    size_t length; /* of a segment */
    size_t memory;
    const char *label; /* of progress */
    const pare_progress *progress;
    /* Runs one segment of every lane. Those that only fill the memory are not counted. */
    pare_status (*step)(void *user, pare_memory *memory, const pare_segment *segment, bool counted);
    void *user;
} pri_stream_pass;

/* How many lanes will run side by side, 1 or more. */
size_t pri_stream_pass_lanes(const pri_stream_pass *pass, const pare_model *model);
pare_status pri_stream_pass_run(const pri_stream_pass *pass, const pare_model *model);

#endif
