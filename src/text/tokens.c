/* Text to ids, in one pass over the stream. */
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "text/vocabulary.h"

typedef struct token_reader {
    const pare_vocabulary *vocabulary;
    pare_tokens tokens;
    size_t capacity;
} token_reader;

static pare_status append_token(void *user, const char *bytes, size_t length)
{
    token_reader *reader = user;
    if (reader->tokens.count == reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 1024;
        uint32_t *ids =
            pri_reallocate(reader->tokens.ids, reader->tokens.count, capacity, sizeof *ids);
        if (!ids)
            return PARE_ERROR_MEMORY;
        reader->tokens.ids = ids;
        reader->capacity = capacity;
    }
    uint32_t id = pri_word_table_find(&reader->vocabulary->words, bytes, length);
    if (id == PRI_NO_WORD) {
        id = reader->vocabulary->unknown;
        reader->tokens.unknown++;
    }
    reader->tokens.ids[reader->tokens.count++] = id;
    return PARE_OK;
}

static pri_scanner scanner_for(token_reader *reader, pri_line_range lines, const char *name)
{
    return (pri_scanner){.level = reader->vocabulary->level,
                         .lines = lines,
                         .visit = append_token,
                         .user = reader,
                         .name = name};
}

/* Hands the tokens over, or frees them after a failure. */
static pare_status finish_reading(token_reader *reader, pri_scanner *scanner, pare_status status,
                                  pare_tokens *tokens)
{
    reader->tokens.bytes = scanner->bytes;
    pri_scanner_free(scanner);
    if (status != PARE_OK) {
        pare_tokens_free(&reader->tokens);
        return status;
    }
    reader->tokens.hash =
        pri_hash(PRI_HASH_START, reader->tokens.ids, reader->tokens.count * sizeof(uint32_t));
    *tokens = reader->tokens;
    return PARE_OK;
}

pare_status pri_tokens_read_lines(const pare_vocabulary *vocabulary, const char *path,
                                  pri_line_range lines, pare_tokens *tokens)
{
    *tokens = (pare_tokens){0};
    token_reader reader = {.vocabulary = vocabulary};
    pri_scanner scanner = scanner_for(&reader, lines, path);
    pare_status status = pri_scanner_read(&scanner, path);
    if (status == PARE_OK && !reader.tokens.count)
        status = pri_fail(PARE_ERROR_FORMAT, "%s: no tokens in it; give a file with text", path);
    return finish_reading(&reader, &scanner, status, tokens);
}

pare_status pare_tokens_read(const pare_vocabulary *vocabulary, const char *path,
                             pare_tokens *tokens)
{
    return pri_tokens_read_lines(vocabulary, path, PRI_ALL_LINES, tokens);
}

pare_status pare_tokens_encode(const pare_vocabulary *vocabulary, const char *text, size_t length,
                               pare_tokens *tokens)
{
    *tokens = (pare_tokens){0};
    token_reader reader = {.vocabulary = vocabulary};
    pri_scanner scanner = scanner_for(&reader, PRI_ALL_LINES, "the given text");
    pare_status status = pri_scanner_feed(&scanner, text, length);
    if (status == PARE_OK)
        status = pri_scanner_finish(&scanner, false);
    return finish_reading(&reader, &scanner, status, tokens);
}

void pare_tokens_free(pare_tokens *tokens)
{
    pri_free(tokens->ids);
    *tokens = (pare_tokens){0};
}
