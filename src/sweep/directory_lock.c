#include "sweep/directory_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"

#define LOCK_FILE ".lock"
/* A killed process with gigabytes of memory holds its locks until that is given back. */
#define PATIENCE_TENTHS 20

static bool wait_for_lock(int descriptor)
{
    const struct timespec tenth = {.tv_nsec = 100 * 1000 * 1000};
    for (int i = 0; flock(descriptor, LOCK_EX | LOCK_NB); i++) {
        if (i == PATIENCE_TENTHS)
            return false;
        nanosleep(&tenth, NULL);
    }
    return true;
}

/* Whoever held the lock before may have removed the file. */
static bool is_still_there(int descriptor, const char *path)
{
    struct stat locked, found;
    return !fstat(descriptor, &locked) && !stat(path, &found) && locked.st_ino == found.st_ino &&
           locked.st_dev == found.st_dev;
}

/* *descriptor -1: try again. */
static pare_status lock_file(const char *directory, const char *path, int *descriptor)
{
    PRI_TRY(pri_make_directories(directory));
    *descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (*descriptor < 0 && errno != ENOENT)
        return pri_fail(PARE_ERROR_FILE, "%s: cannot write here: %s", directory, strerror(errno));
    if (*descriptor < 0)
        return PARE_OK;
    bool locked = wait_for_lock(*descriptor);
    if (locked && is_still_there(*descriptor, path))
        return PARE_OK;
    close(*descriptor);
    *descriptor = -1;
    return locked ? PARE_OK
                  : pri_fail(PARE_ERROR_FILE,
                             "%s: another process is working in this directory; wait for it or "
                             "choose another one",
                             directory);
}

pare_status pri_directory_lock_take(const char *directory, pri_directory_lock *lock)
{
    *lock = (pri_directory_lock){.descriptor = -1, .made = !pri_path_exists(directory)};
    char *path = pri_path_join(directory, LOCK_FILE);
    pare_status status = path ? PARE_OK : PARE_ERROR_MEMORY;
    while (status == PARE_OK && lock->descriptor < 0)
        status = lock_file(directory, path, &lock->descriptor);
    if (status == PARE_OK)
        lock->directory = directory;
    pri_free(path);
    return status;
}

static bool holds_nothing_else(const char *directory)
{
    DIR *opened = opendir(directory);
    if (!opened)
        return false;
    bool nothing = true;
    for (struct dirent *entry; nothing && (entry = readdir(opened));)
        nothing = !strcmp(entry->d_name, LOCK_FILE) || !strcmp(entry->d_name, ".") ||
                  !strcmp(entry->d_name, "..");
    closedir(opened);
    return nothing;
}

static void remove_if_empty(const pri_directory_lock *lock)
{
    char *path = pri_path_join(lock->directory, LOCK_FILE);
    if (path && holds_nothing_else(lock->directory) && !unlink(path) && lock->made)
        rmdir(lock->directory);
    pri_free(path);
}

void pri_directory_lock_release(pri_directory_lock *lock)
{
    if (!lock->directory)
        return;
    remove_if_empty(lock);
    close(lock->descriptor);
    *lock = (pri_directory_lock){.descriptor = -1};
}
