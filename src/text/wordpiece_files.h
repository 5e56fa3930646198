/* The files of a tokenizer in memory, for reading (and its fuzz targets) and writing. */
#ifndef PARE_SRC_TEXT_WORDPIECE_FILES_H
#define PARE_SRC_TEXT_WORDPIECE_FILES_H

#include <jansson.h>

#include "text/tokenizer_json.h"
#include "text/wordpiece.h"

#define PRI_VOCABULARY_LINES_FILE "vocab.txt"
#define PRI_TOKENIZER_CONFIG_FILE "tokenizer_config.json"

/* "FILE: line 12" */
#define PRI_PLACE_CAPACITY 512

/* What tokenizer_config.json tells. */
typedef struct pri_tokenizer_config {
    pri_bert_settings settings;
    char *role_names[PRI_ROLES];
    size_t longest_text;
} pri_tokenizer_config;
pare_status pri_tokenizer_config_read(const json_t *object, const char *name,
                                      pri_tokenizer_config *config);
void pri_tokenizer_config_free(pri_tokenizer_config *config);

/* vocab.txt; `name` stands for the file in messages. */
pare_status pri_wordpiece_parse_lines(const char *data, size_t size, const char *name,
                                      const pri_tokenizer_config *config,
                                      pare_wordpiece **tokenizer);
/* tokenizer.json, whose settings go before those of `config`. */
pare_status pri_wordpiece_read_json(const json_t *object, const char *name,
                                    const pri_tokenizer_config *config, pare_wordpiece **tokenizer);

#endif
