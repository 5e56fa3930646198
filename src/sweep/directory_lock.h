/* One process per directory. */
#ifndef PARE_SRC_SWEEP_DIRECTORY_LOCK_H
#define PARE_SRC_SWEEP_DIRECTORY_LOCK_H

#include <stdbool.h>

#include "pare/base.h"

typedef struct pri_directory_lock {
    const char *directory; /* borrowed; NULL: nothing is locked */
    int descriptor;
    bool made; /* the directory was not there */
} pri_directory_lock;

/* Makes the directory if need be. Of a process that is about to end the lock is waited for, of any
 * other that holds it refused. */
pare_status pri_directory_lock_take(const char *directory, pri_directory_lock *lock);
/* Removes the directory if it was made for nothing. */
void pri_directory_lock_release(pri_directory_lock *lock);

#endif
