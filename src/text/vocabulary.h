/* What the text room and the tasks know of a vocabulary beyond the public header. */
#ifndef PARE_SRC_TEXT_VOCABULARY_H
#define PARE_SRC_TEXT_VOCABULARY_H

#include "pare/text.h"
#include "text/scanner.h"
#include "text/word_table.h"

struct pare_vocabulary {
    pare_text_level level;
    pri_word_table words; /* numbered by id */
    uint32_t unknown;     /* PARE_NO_TOKEN at byte level */
};

/* An empty vocabulary of `level`; at byte level it is complete. */
pare_status pri_vocabulary_create(pare_text_level level, pare_vocabulary **vocabulary);
/* Of some lines of a file only: the training part of a single file. */
pare_status pri_vocabulary_build_lines(const char *path, pri_line_range lines,
                                       const pare_vocabulary_options *options,
                                       pare_vocabulary **vocabulary);
/* vocab.json in memory; `name` stands for the file in messages. */
pare_status pri_vocabulary_parse(const char *data, size_t size, const char *name,
                                 pare_vocabulary **vocabulary);

pare_status pri_tokens_read_lines(const pare_vocabulary *vocabulary, const char *path,
                                  pri_line_range lines, pare_tokens *tokens);

#endif
