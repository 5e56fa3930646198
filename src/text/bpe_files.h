/* The files of byte-pair encoding in memory, for reading and its fuzz targets. */
#ifndef PARE_SRC_TEXT_BPE_FILES_H
#define PARE_SRC_TEXT_BPE_FILES_H

#include <jansson.h>

#include "text/bpe.h"

/* The kinds of components that a form has in tokenizer.json; NULL without memory. */
json_t *pri_bpe_pre_tokenizer_json(pare_bpe_form form);
json_t *pri_bpe_decoder_json(pare_bpe_form form);

/* tokenizer.json; `name` stands for the file in messages. */
pare_status pri_bpe_read_json(const json_t *object, const char *name, pare_bpe **bpe);

/* A file of merges, line by line. Zero-initialise. */
typedef struct pri_bpe_codes {
    const char *name;
    pri_word_table symbols; /* what merges join and make, each with the zero that ends it */
    pri_bpe_merge *merges;  /* numbers of symbols */
    size_t count, capacity;
    size_t line;
    bool ended; /* an empty line was read, after which there are only such */
} pri_bpe_codes;
pare_status pri_bpe_codes_read_line(pri_bpe_codes *codes, const char *line, size_t length);
/* A tokenizer of the merges and of the characters of some counted words. */
pare_status pri_bpe_from_codes(const pri_bpe_codes *codes, const char *const *texts, size_t count,
                               pare_bpe **bpe);
void pri_bpe_codes_free(pri_bpe_codes *codes);

/* The words of texts, in order of first appearance. */
pare_status pri_bpe_count_words(const pare_bpe *bpe, const char *const *paths, size_t count,
                                pri_word_table *words);

#endif
