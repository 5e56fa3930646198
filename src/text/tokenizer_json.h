/* tokenizer.json of the tokenizers package: what does not depend on the kind of tokenizer. */
#ifndef PARE_SRC_TEXT_TOKENIZER_JSON_H
#define PARE_SRC_TEXT_TOKENIZER_JSON_H

#include <jansson.h>

#include "base/status.h"
#include "text/token_list.h"

#define PRI_TOKENIZER_FILE "tokenizer.json"

/* "vocab" of the model, whose ids must be 0, 1, 2 and so on in any order, into an empty list;
 * `name` stands for the file in messages. */
pare_status pri_tokenizer_read_vocabulary(const json_t *model, const char *name,
                                          pri_token_list *list);
/* "added_tokens" of the file; those that the model does not have go behind its tokens. */
pare_status pri_tokenizer_read_added(const json_t *object, const char *name,
                                     pri_token_list *tokens);

/* The added tokens in the order of ids, and the first `count` tokens as "vocab"; NULL without
 * memory. */
json_t *pri_tokenizer_added_json(const pri_token_list *tokens);
json_t *pri_tokenizer_vocabulary_json(const pri_token_list *tokens, size_t count);
/* Takes `object`; NULL: there was no memory to make it. */
pare_status pri_tokenizer_save_json(json_t *object, const char *path);

#endif
