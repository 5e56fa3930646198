/* Files. Writes are atomic: a temporary file beside the target, fsync, rename, fsync of the
 * directory. Devices and pipes cannot be replaced, only written to. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static pare_status fail_file(const char *action, const char *path)
{
    return pri_fail(PARE_ERROR_FILE, "%s: cannot %s: %s", path, action, strerror(errno));
}

pare_status pri_file_read(const char *path, size_t limit, uint8_t **data, size_t *size)
{
    *data = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_file("open", path);
    struct stat status;
    pare_status result = PARE_OK;
    uint8_t *bytes = NULL;
    size_t filled = 0, capacity = 0;
    if (fstat(descriptor, &status) || !S_ISREG(status.st_mode))
        result = pri_fail(PARE_ERROR_FILE, "%s: not a regular file", path);
    else if (limit && (uint64_t)status.st_size > limit)
        result = pri_fail(PARE_ERROR_FORMAT, "%s: %lld bytes, more than the %zu allowed here", path,
                          (long long)status.st_size, limit);
    else if (!(bytes = pri_allocate(capacity = (size_t)status.st_size + 1, 1)))
        result = PARE_ERROR_MEMORY;
    while (result == PARE_OK) {
        ssize_t count = read(descriptor, bytes + filled, capacity - filled);
        if (count < 0 && errno != EINTR)
            result = fail_file("read", path);
        if (count == 0)
            break;
        if (count > 0 && (filled += (size_t)count) == capacity)
            result = pri_fail(PARE_ERROR_FILE, "%s: grew while it was read", path);
    }
    close(descriptor);
    if (result != PARE_OK) {
        pri_free(bytes);
        return result;
    }
    *data = bytes;
    *size = filled;
    return PARE_OK;
}

/* ---- Atomic replacement ---- */

#define LONGEST_LINK 4096
#define MOST_LINKS 40 /* one after the other, as the system follows */

struct pri_writer {
    FILE *file;
    char *path;      /* as the caller says it */
    char *target;    /* what is replaced: path, or where its symbolic links lead */
    char *temporary; /* NULL: path is written to directly */
};

static void release_writer(pri_writer *writer)
{
    pri_free(writer->path);
    pri_free(writer->target);
    pri_free(writer->temporary);
    pri_free(writer);
}

/* Standard output or error under a name such as /dev/stdout, or -1. Opened by that name, a file
 * would be written from its beginning, over what is there; a socket could not be opened. */
static int find_standard_stream(const struct stat *status)
{
    for (int descriptor = STDOUT_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        struct stat open_file;
        if (!fstat(descriptor, &open_file) && open_file.st_dev == status->st_dev &&
            open_file.st_ino == status->st_ino)
            return descriptor;
    }
    return -1;
}

static pare_status open_directly(pri_writer *writer, int stream)
{
    if (stream >= 0)
        fflush(NULL); /* what was printed before comes before */
    int descriptor = stream < 0 ? open(writer->path, O_WRONLY | O_NOCTTY | O_CLOEXEC)
                                : fcntl(stream, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0)
        return fail_file("write", writer->path);
    writer->file = fdopen(descriptor, "wb");
    if (writer->file)
        return PARE_OK;
    pare_status status = fail_file("write", writer->path);
    close(descriptor);
    return status;
}

/* Where the link `path` leads, for pri_free; `link` are its contents. */
static char *path_of_link(const char *path, const char *link)
{
    const char *slash = strrchr(path, '/');
    if (*link == '/' || !slash)
        return pri_string_copy(link);
    int length = (int)(slash + 1 - path);
    size_t capacity = (size_t)length + strlen(link) + 1;
    char *joined = pri_allocate(capacity, 1);
    if (joined)
        snprintf(joined, capacity, "%.*s%s", length, path, link);
    return joined;
}

/* Not realpath: the last link may lead to a file that is yet to be made. */
static pare_status follow_links(pri_writer *writer)
{
    if (!(writer->target = pri_string_copy(writer->path)))
        return PARE_ERROR_MEMORY;
    char link[LONGEST_LINK];
    for (size_t followed = 0; followed <= MOST_LINKS; followed++) {
        ssize_t length = readlink(writer->target, link, sizeof link);
        if (length < 0)
            return PARE_OK;
        if ((size_t)length == sizeof link)
            break;
        link[length] = 0;
        char *next = path_of_link(writer->target, link);
        if (!next)
            return PARE_ERROR_MEMORY;
        pri_free(writer->target);
        writer->target = next;
    }
    errno = ELOOP;
    return fail_file("write", writer->path);
}

static pare_status open_temporary(pri_writer *writer)
{
    PRI_TRY(follow_links(writer));
    size_t capacity = strlen(writer->target) + 32;
    if (!(writer->temporary = pri_allocate(capacity, 1)))
        return PARE_ERROR_MEMORY;
    snprintf(writer->temporary, capacity, "%s.writing-%ld", writer->target, (long)getpid());
    writer->file = fopen(writer->temporary, "wbe");
    return writer->file ? PARE_OK : fail_file("write", writer->path);
}

static pare_status open_output(pri_writer *writer)
{
    struct stat status;
    if (stat(writer->path, &status))
        return open_temporary(writer);
    int stream = find_standard_stream(&status);
    return S_ISREG(status.st_mode) && stream < 0 ? open_temporary(writer)
                                                 : open_directly(writer, stream);
}

pare_status pri_writer_open(const char *path, pri_writer **writer)
{
    *writer = NULL;
    pri_writer *opened = pri_allocate_zero(1, sizeof *opened);
    if (!opened)
        return PARE_ERROR_MEMORY;
    opened->path = pri_string_copy(path);
    pare_status status = opened->path ? open_output(opened) : PARE_ERROR_MEMORY;
    if (status != PARE_OK) {
        release_writer(opened);
        return status;
    }
    *writer = opened;
    return PARE_OK;
}

pare_status pri_writer_write(pri_writer *writer, const void *data, size_t size)
{
    if (size && fwrite(data, 1, size, writer->file) != size)
        return fail_file("write", writer->path);
    return PARE_OK;
}

void pri_writer_abandon(pri_writer *writer)
{
    if (!writer)
        return;
    if (writer->file)
        fclose(writer->file);
    if (writer->temporary)
        unlink(writer->temporary);
    release_writer(writer);
}

/* Makes a rename last through a power cut. Some file systems cannot; the data are safe then too. */
static void flush_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = pri_string_copy(slash ? path : ".");
    if (!directory)
        return;
    if (slash)
        directory[slash == path ? 1 : slash - path] = 0;
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    pri_free(directory);
}

pare_status pri_writer_commit(pri_writer *writer)
{
    pare_status result = PARE_OK;
    /* Pipes and most devices cannot be flushed further. */
    if (fflush(writer->file) || (writer->temporary && fsync(fileno(writer->file))))
        result = fail_file("write", writer->path);
    if (fclose(writer->file) && result == PARE_OK)
        result = fail_file("write", writer->path);
    writer->file = NULL;
    if (result == PARE_OK && writer->temporary && rename(writer->temporary, writer->target))
        result = fail_file("replace", writer->path);
    if (result != PARE_OK) {
        pri_writer_abandon(writer);
        return result;
    }
    if (writer->temporary)
        flush_directory_of(writer->target);
    release_writer(writer);
    return PARE_OK;
}

pare_status pri_file_replace(const char *path, const void *data, size_t size)
{
    pri_writer *writer;
    PRI_TRY(pri_writer_open(path, &writer));
    pare_status status = pri_writer_write(writer, data, size);
    if (status != PARE_OK) {
        pri_writer_abandon(writer);
        return status;
    }
    return pri_writer_commit(writer);
}

/* ---- Directories and paths ---- */

bool pri_path_exists(const char *path)
{
    struct stat status;
    return !stat(path, &status);
}

bool pri_path_is_directory(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISDIR(status.st_mode);
}

static pare_status make_directory(const char *path)
{
    if (!mkdir(path, 0777))
        return PARE_OK;
    int reason = errno;
    if (pri_path_is_directory(path))
        return PARE_OK;
    errno = reason;
    return fail_file("create this directory", path);
}

pare_status pri_make_directories(const char *path)
{
    char *partial = pri_string_copy(path);
    if (!partial)
        return PARE_ERROR_MEMORY;
    pare_status result = PARE_OK;
    for (char *c = partial + (*partial == '/'); result == PARE_OK; c++) {
        if (*c && *c != '/')
            continue;
        char separator = *c;
        *c = 0;
        if (*partial)
            result = make_directory(partial);
        *c = separator;
        if (!separator)
            break;
    }
    pri_free(partial);
    return result;
}

pare_status pri_remove_tree(const char *path)
{
    struct stat status;
    if (lstat(path, &status))
        return errno == ENOENT ? PARE_OK : fail_file("remove", path);
    if (!S_ISDIR(status.st_mode))
        return unlink(path) && errno != ENOENT ? fail_file("remove", path) : PARE_OK;
    DIR *directory = opendir(path);
    if (!directory)
        return fail_file("remove", path);
    pare_status result = PARE_OK;
    for (struct dirent *entry; result == PARE_OK && (entry = readdir(directory));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *child = pri_path_join(path, entry->d_name);
        result = child ? pri_remove_tree(child) : PARE_ERROR_MEMORY;
        pri_free(child);
    }
    closedir(directory);
    if (result == PARE_OK && rmdir(path))
        result = fail_file("remove", path);
    return result;
}

char *pri_path_join(const char *directory, const char *name)
{
    size_t capacity = strlen(directory) + strlen(name) + 2;
    char *path = pri_allocate(capacity, 1);
    if (!path)
        return NULL;
    size_t length = strlen(directory);
    bool separated = !length || directory[length - 1] == '/';
    snprintf(path, capacity, "%s%s%s", directory, separated ? "" : "/", name);
    return path;
}
