/* Pairs of sentences. The first byte chooses whether they are for training, and the ratio of
 * lengths allowed; the rest is a table of two columns. A table that is accepted must give the same
 * pairs as its columns in two files. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include "small_bpe.h"
#include "tasks/translation/parallel_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LENGTH 6

static pare_bpe *make_tokenizer(void)
{
    static const char *const letters[] = {"a", "b", "a</w>", "b</w>"};
    pare_bpe *bpe = begin_bpe(PARE_BPE_WORDS, false, letters, sizeof letters / sizeof letters[0]);
    finish_bpe(bpe);
    return bpe;
}

typedef struct memory_file {
    int descriptor;
    char path[32];
} memory_file;

static memory_file open_file(const char *bytes, size_t size)
{
    memory_file file = {.descriptor = memfd_create("fuzz", 0)};
    if (file.descriptor < 0 || write(file.descriptor, bytes, size) != (ssize_t)size)
        abort();
    snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
    return file;
}

static void check_pairs(const pri_parallel_text *text, const pri_parallel_reading *reading)
{
    if (text->sources.count != text->targets.count)
        abort();
    for (size_t i = 0; i < text->sources.count; i++) {
        size_t length = 0;
        if (!reading->training)
            pri_parallel_reference(text, i, &length);
        if (length > text->references.length)
            abort();
    }
}

/* The columns of the table's rows, one below the other. */
static pri_text column(const char *table, size_t size, bool second)
{
    pri_text text = {0};
    for (const char *end = table + size; table < end;) {
        const char *newline = memchr(table, '\n', (size_t)(end - table));
        const char *line_end = newline ? newline : end;
        const char *tab = memchr(table, '\t', (size_t)(line_end - table));
        const char *begin = second ? tab + 1 : table;
        pri_text_append_bytes(&text, begin, (size_t)((second ? line_end : tab) - begin));
        pri_text_append_bytes(&text, "\n", 1);
        table = line_end + 1;
    }
    return text;
}

static void compare_with_two_files(const char *table, size_t size,
                                   const pri_parallel_reading *reading, uint64_t hash)
{
    pri_text columns[] = {column(table, size, false), column(table, size, true)};
    memory_file source = open_file(columns[0].data, columns[0].length);
    memory_file target = open_file(columns[1].data, columns[1].length);
    pri_parallel_text text;
    if (pri_parallel_read(&(pare_parallel_files){source.path, target.path}, reading, &text) !=
            PARE_OK ||
        pri_parallel_hash(&text) != hash)
        abort();
    pri_parallel_free(&text);
    close(source.descriptor);
    close(target.descriptor);
    pri_text_free(&columns[0]);
    pri_text_free(&columns[1]);
}

/* Not what is compressed or will seem so, nor sources that would end their lines in a carriage
 * return. */
static bool is_comparable(const char *table, size_t size)
{
    return !memmem(table, size, "\x1f\x8b", 2) && !memmem(table, size, "\r\t", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pare_bpe *tokenizer;
    if (!tokenizer)
        tokenizer = make_tokenizer();
    if (!size)
        return 0;
    pri_parallel_reading reading = {.source = tokenizer,
                                    .target = tokenizer,
                                    .length = LENGTH,
                                    .ratio = data[0] / 2 % 4,
                                    .training = data[0] % 2};
    const char *table = (const char *)data + 1;
    memory_file file = open_file(table, size - 1);
    pri_parallel_text text;
    if (pri_parallel_read(&(pare_parallel_files){file.path, NULL}, &reading, &text) == PARE_OK) {
        check_pairs(&text, &reading);
        if (is_comparable(table, size - 1))
            compare_with_two_files(table, size - 1, &reading, pri_parallel_hash(&text));
    }
    pri_parallel_free(&text);
    close(file.descriptor);
    return 0;
}
