/* Files: whole reads, and writes that either happen or do not. */
#ifndef PARE_SRC_BASE_FILE_H
#define PARE_SRC_BASE_FILE_H

#include "base/status.h"

/* Reads a whole file. Free with pri_free. At most `limit` bytes (0: no limit). */
pare_status pri_file_read(const char *path, size_t limit, uint8_t **data, size_t *size);

/* ---- Atomic replacement ----
 * Writes go to a temporary file beside `path`; commit flushes it to disk and renames it over
 * `path`, or over the file that a symbolic link there leads to. After any failure, or abandon, the
 * old file is untouched and the temporary one is gone. A device, a pipe, or the standard output or
 * error by its name is written to directly. */
typedef struct pri_writer pri_writer;
pare_status pri_writer_open(const char *path, pri_writer **writer);
pare_status pri_writer_write(pri_writer *writer, const void *data, size_t size);
pare_status pri_writer_commit(pri_writer *writer); /* frees the writer, also on failure */
void pri_writer_abandon(pri_writer *writer);       /* NULL is allowed */
/* All of it in one call. */
pare_status pri_file_replace(const char *path, const void *data, size_t size);

/* ---- Directories and paths ---- */
bool pri_path_exists(const char *path);
bool pri_path_is_directory(const char *path);
pare_status pri_make_directories(const char *path); /* with parents; existing ones are fine */
pare_status pri_remove_tree(const char *path);      /* a file or a directory; absent is fine */
/* "directory/name" in memory to pri_free; NULL without memory. */
char *pri_path_join(const char *directory, const char *name);

#endif
