/* Tokens and vocabularies. Text is UTF-8; invalid bytes are kept as they are (a token is a string
 * of bytes), except that a NUL byte is an error: the file is binary. */
#ifndef PARE_TEXT_H
#define PARE_TEXT_H

#include "pare/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pare_text_level {
    PARE_TEXT_WORD, /* WikiText: words between blanks, <eos> at each line's end (empty lines and an
                       unterminated last line included), <unk> for words not in the vocabulary */
    PARE_TEXT_BYTE  /* 256 byte values, the id is the value; no <eos>, no <unk> */
} pare_text_level;

typedef struct pare_vocabulary pare_vocabulary;

typedef struct pare_vocabulary_options {
    pare_text_level level;
    uint64_t minimum_count; /* rarer words become <unk>; 0 or 1: keep all. Word level only */
    size_t maximum_size;    /* most frequent words kept, <eos> and <unk> included; 0: no limit.
                               Word level only */
} pare_vocabulary_options;

/* Counts the words of plain or gzip file `path`. Ids by falling frequency, ties by first
 * appearance. <eos> and <unk> are ordinary words with their real counts (<unk>: what is written so
 * and what is left out) and always present. Byte level needs no file: `path` may be NULL. */
PARE_API PARE_MUST_CHECK pare_status pare_vocabulary_build(const char *path,
                                                           const pare_vocabulary_options *options,
                                                           pare_vocabulary **vocabulary);
PARE_API void pare_vocabulary_destroy(pare_vocabulary *vocabulary);
/* vocab.json: {"level": "word", "tokens": ["the", ",", {"bytes": "ff0a"}, ...]}: strings, or bytes
 * in hexadecimal where they are not valid UTF-8. Byte level: {"level": "byte"}. */
PARE_API PARE_MUST_CHECK pare_status pare_vocabulary_save(const pare_vocabulary *vocabulary,
                                                          const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_vocabulary_load(const char *path,
                                                          pare_vocabulary **vocabulary);
PARE_API size_t pare_vocabulary_size(const pare_vocabulary *vocabulary);
PARE_API pare_text_level pare_vocabulary_level(const pare_vocabulary *vocabulary);
/* The bytes of a token (not terminated by a zero), and their number. */
PARE_API const char *pare_vocabulary_token(const pare_vocabulary *vocabulary, uint32_t id,
                                           size_t *length);
/* The id of a token, or of <unk>; PARE_NO_TOKEN when there is no <unk> either (byte level). */
#define PARE_NO_TOKEN UINT32_MAX
PARE_API uint32_t pare_vocabulary_id(const pare_vocabulary *vocabulary, const char *token,
                                     size_t length);

/* A text as ids. */
typedef struct pare_tokens {
    uint32_t *ids;
    size_t count;
    uint64_t bytes;   /* of the text itself, uncompressed */
    uint64_t unknown; /* words that became <unk> though they are not written so */
    uint64_t hash;    /* of the ids, for provenance */
} pare_tokens;
/* Reads a plain or gzip file as a stream: memory grows with the ids only. A file without any token
 * is a format error. */
PARE_API PARE_MUST_CHECK pare_status pare_tokens_read(const pare_vocabulary *vocabulary,
                                                      const char *path, pare_tokens *tokens);
/* A piece of text in memory: as a file, except that only lines which end in a newline get <eos>,
 * and that no token at all is no error. */
PARE_API PARE_MUST_CHECK pare_status pare_tokens_encode(const pare_vocabulary *vocabulary,
                                                        const char *text, size_t length,
                                                        pare_tokens *tokens);
PARE_API void pare_tokens_free(pare_tokens *tokens);

#ifdef __cplusplus
}
#endif
#endif
