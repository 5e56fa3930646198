/* Reading lines in batches. A batch is as large as what is there without waiting, so a file is
 * answered in large ones and a pipe or a person at once. */
#include "line_batches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void forget_lines(line_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->lines[i]);
    batch->first += batch->count;
    batch->count = 0;
}

/* Keeps a copy; returns an exit code. */
static int keep_line(line_batch *batch, const char *verb, const char *line, size_t length)
{
    if (length && line[length - 1] == '\r')
        length--;
    char *copy = malloc(length + 1);
    if (!copy)
        return fail_memory(verb);
    memcpy(copy, line, length);
    batch->lines[batch->count] = copy;
    batch->lengths[batch->count++] = length;
    return 0;
}

void end_prompt(const char *prompt)
{
    if (*prompt)
        fputc('\n', stderr);
}

static int answer_all(const char *verb, pare_lines *lines, const char *prompt, line_answer answer,
                      void *user, line_batch *batch)
{
    for (;;) {
        const char *line;
        size_t length;
        int exit_code = 0;
        if (!batch->count)
            fputs(prompt, stderr);
        pare_status status = pare_lines_next(lines, &line, &length);
        if (status == PARE_OK && line)
            exit_code = keep_line(batch, verb, line, length);
        bool last = status != PARE_OK || exit_code || !line;
        if (!last && batch->count < LINES_MAX && pare_lines_ready(lines))
            continue;
        int answered = batch->count ? answer(user, batch) : 0;
        forget_lines(batch);
        if (answered && (answered != PARE_ERROR_FORMAT || !*prompt)) /* who types may type again */
            return answered;
        if (status != PARE_OK)
            return fail(verb, status);
        if (last && !exit_code)
            end_prompt(prompt);
        if (last || fflush(stdout)) /* main reports what cannot be written */
            return exit_code;
    }
}

int answer_line_batches(const char *verb, const char *path, const char *prompt, line_answer answer,
                        void *user)
{
    pare_lines *lines;
    pare_status status = pare_lines_open(path, &lines);
    if (status != PARE_OK)
        return fail(verb, status);
    bool standard = !strcmp(path, "-");
    bool interactive = standard && isatty(STDIN_FILENO);
    line_batch batch = {.name = standard ? "standard input" : path, .first = 1};
    int exit_code = answer_all(verb, lines, interactive ? prompt : "", answer, user, &batch);
    pare_lines_close(lines);
    return exit_code;
}
