/* The tokens of a tokenizer by their ids, and those that are found in texts as they stand: what
 * WordPiece and byte-pair encoding have in common. */
#ifndef PARE_SRC_TEXT_TOKEN_LIST_H
#define PARE_SRC_TEXT_TOKEN_LIST_H

#include "base/status.h"
#include "text/word_table.h"

typedef struct pri_added_token {
    uint32_t id;
    bool special; /* no part of the text when pieces become text again */
} pri_added_token;

/* Zero-initialise. */
typedef struct pri_token_list {
    pri_word_table table;   /* numbered by id, each with the zero that ends it */
    pri_added_token *added; /* are found before a text is cut into words */
    size_t added_count;
    bool begins_added[256]; /* first bytes of added tokens */
} pri_token_list;

void pri_token_list_free(pri_token_list *tokens);
/* Adds the token of the next id. One that is empty, not UTF-8 or there already is a format error,
 * whose message is "NAME: " and what is wrong. */
pare_status pri_token_list_append(pri_token_list *tokens, const char *token, const char *name);
/* Lets a token be found in texts as it stands; twice is the same as once. */
pare_status pri_token_list_mark_added(pri_token_list *tokens, uint32_t id, bool special);
/* PRI_NO_WORD: there is no such token. */
uint32_t pri_token_list_find(const pri_token_list *tokens, const char *token);
/* The longest added token at `text`; its id and bytes, or PRI_NO_WORD. */
uint32_t pri_token_list_added_at(const pri_token_list *tokens, const char *text, size_t size,
                                 size_t *length);
/* Two tokens as one string, without the first `skipped` bytes of the second; pri_free it. NULL
 * without memory. */
char *pri_token_list_join(const pri_token_list *tokens, uint32_t left, uint32_t right,
                          size_t skipped);
static inline const char *pri_token_list_bytes(const pri_token_list *tokens, uint32_t id)
{
    return pri_word_table_bytes(&tokens->table, &tokens->table.words[id]);
}

#endif
