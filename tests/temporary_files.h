/* A directory for the files of one test program, made by cmocka's group set-up and removed with all
 * that is in it by its tear-down. */
#ifndef PARE_TESTS_TEMPORARY_FILES_H
#define PARE_TESTS_TEMPORARY_FILES_H

#include <stdio.h>
#include <stdlib.h>

#include <sys/stat.h>

#include "base/file.h"

static char directory[64];

static inline int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/pare-test-file-XXXXXX");
    return mkdtemp(directory) ? chmod(directory, 0755) : -1;
}

static inline int remove_directory(void **state)
{
    (void)state;
    return pri_remove_tree(directory) == PARE_OK ? 0 : -1;
}

/* A path in the test's directory; four live at a time. */
static inline const char *in_directory(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

#endif
