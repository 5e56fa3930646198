/* Texts, plain or gzip. zlib's own gzread is not used: it takes a file that is cut while
 * decompressed bytes are still waiting for room as complete, and a training text would silently
 * lose its end. */
#include "text/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arithmetic.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/utf8.h"

static pare_status fail_file(const char *action, const char *path)
{
    return pri_fail(PARE_ERROR_FILE, "%s: cannot %s: %s", path, action, strerror(errno));
}

#define INPUT_SIZE ((size_t)1 << 17)

struct pri_reader {
    int descriptor;
    char *path;
    uint8_t *input;
    z_stream stream; /* next_in and avail_in are the unread part of input, for plain text too */
    bool begun, ended, gzip, in_member;
    char head[3]; /* what was read first to see whether it is a byte-order mark, and is none */
    size_t head_size;
};

/* Signals come to a thread of their own, so they end no read: who waits looks for them. */
static pare_status wait_for_input(const pri_reader *reader)
{
    const int tenth_of_a_second = 100;
    struct pollfd waiting = {.fd = reader->descriptor, .events = POLLIN};
    while (poll(&waiting, 1, tenth_of_a_second) == 0)
        if (pare_interrupted())
            return pri_fail(PARE_ERROR_INTERRUPTED, "interrupted");
    return PARE_OK;
}

static pare_status fill_input(pri_reader *reader)
{
    ssize_t count;
    if (reader->ended) /* a terminal would go on after its end */
        return PARE_OK;
    PRI_TRY(wait_for_input(reader));
    do
        count = read(reader->descriptor, reader->input, INPUT_SIZE);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return fail_file("read", reader->path);
    reader->stream.next_in = reader->input;
    reader->stream.avail_in = (uInt)count;
    reader->ended = !count;
    return PARE_OK;
}

/* ---- Reading ---- */

static pare_status fail_gzip(const pri_reader *reader, const char *reason)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: damaged or truncated gzip file (%s)", reader->path,
                    reason);
}

/* Decompresses into next_out until there is no more room or no more file. A pipe hands over what it
 * has: nothing waits for more once something can be returned. */
static pare_status inflate_more(pri_reader *reader)
{
    z_stream *stream = &reader->stream;
    uInt wanted = stream->avail_out;
    while (stream->avail_out) {
        if (!stream->avail_in && stream->avail_out < wanted)
            return PARE_OK;
        if (!stream->avail_in)
            PRI_TRY(fill_input(reader));
        bool at_end = !stream->avail_in;
        if (at_end && !reader->in_member)
            return PARE_OK;
        reader->in_member = true;
        int code = inflate(stream, Z_NO_FLUSH);
        if (code == Z_STREAM_END) { /* another member may follow */
            reader->in_member = false;
            inflateReset(stream);
        } else if (code == Z_BUF_ERROR && at_end) {
            return fail_gzip(reader, "it ends too early");
        } else if (code != Z_OK) {
            return fail_gzip(reader, stream->msg ? stream->msg : "no valid data");
        }
    }
    return PARE_OK;
}

static pare_status copy_more(pri_reader *reader)
{
    z_stream *stream = &reader->stream;
    if (!stream->avail_in)
        PRI_TRY(fill_input(reader));
    uInt count = stream->avail_in < stream->avail_out ? stream->avail_in : stream->avail_out;
    memcpy(stream->next_out, stream->next_in, count);
    stream->next_in += count;
    stream->avail_in -= count;
    stream->avail_out -= count;
    return PARE_OK;
}

static pare_status read_more(pri_reader *reader, void *buffer, size_t capacity, size_t *size)
{
    uInt wanted = capacity > 1 << 30 ? 1u << 30 : (uInt)capacity;
    reader->stream.next_out = buffer;
    reader->stream.avail_out = wanted;
    pare_status status = reader->gzip ? inflate_more(reader) : copy_more(reader);
    *size = wanted - reader->stream.avail_out;
    return status;
}

/* Byte by byte and no further than it looks like a mark: a pipe may have no more for a while. */
static pare_status read_past_mark(pri_reader *reader)
{
    size_t got = reader->stream.avail_in;
    while (got && pri_utf8_begins_mark(reader->head, reader->head_size)) {
        PRI_TRY(read_more(reader, reader->head + reader->head_size, 1, &got));
        reader->head_size += got;
    }
    reader->head_size -= pri_utf8_mark(reader->head, reader->head_size);
    return PARE_OK;
}

/* Only when somebody reads: a person has seen no prompt when a file is opened. */
static pare_status begin(pri_reader *reader)
{
    const int gzip_window = 15 + 16; /* the largest window; only the gzip wrapper */
    reader->begun = true;
    PRI_TRY(fill_input(reader));
    bool gzip =
        reader->stream.avail_in >= 2 && reader->input[0] == 0x1f && reader->input[1] == 0x8b;
    if (gzip && inflateInit2(&reader->stream, gzip_window) != Z_OK)
        return pri_fail(PARE_ERROR_MEMORY, "%s: out of memory opening it", reader->path);
    reader->gzip = gzip;
    return read_past_mark(reader);
}

pare_status pri_reader_read(pri_reader *reader, void *buffer, size_t capacity, size_t *size)
{
    *size = 0;
    if (!reader->begun)
        PRI_TRY(begin(reader));
    *size = pri_smaller(capacity, reader->head_size);
    if (!*size)
        return read_more(reader, buffer, capacity, size);
    memcpy(buffer, reader->head, *size);
    reader->head_size -= *size;
    memmove(reader->head, reader->head + *size, reader->head_size);
    return PARE_OK;
}

/* ---- Opening and closing ---- */

static void close_descriptor(int descriptor)
{
    if (descriptor != STDIN_FILENO)
        close(descriptor);
}

static pare_status open_reader(const char *path, int descriptor, pri_reader *opened)
{
    opened->descriptor = descriptor;
    opened->path = pri_string_copy(path);
    opened->input = pri_allocate(INPUT_SIZE, 1);
    if (!opened->path || !opened->input)
        return PARE_ERROR_MEMORY;
    return PARE_OK;
}

static pare_status create_reader(const char *path, int descriptor, pri_reader **reader)
{
    pri_reader *opened = pri_allocate_zero(1, sizeof *opened);
    if (!opened) {
        close_descriptor(descriptor);
        return PARE_ERROR_MEMORY;
    }
    pare_status status = open_reader(path, descriptor, opened);
    if (status != PARE_OK) {
        pri_reader_close(opened);
        return status;
    }
    *reader = opened;
    return PARE_OK;
}

pare_status pri_reader_open(const char *path, pri_reader **reader)
{
    *reader = NULL;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_file("open", path);
    if (pri_path_is_directory(path)) {
        close(descriptor);
        return pri_fail(PARE_ERROR_FILE, "%s: is a directory; name a text file", path);
    }
    return create_reader(path, descriptor, reader);
}

pare_status pri_reader_open_standard_input(pri_reader **reader)
{
    *reader = NULL;
    return create_reader("standard input", STDIN_FILENO, reader);
}

void pri_reader_close(pri_reader *reader)
{
    if (!reader)
        return;
    if (reader->gzip)
        inflateEnd(&reader->stream);
    close_descriptor(reader->descriptor);
    pri_free(reader->input);
    pri_free(reader->path);
    pri_free(reader);
}
