/* Inside a WordPiece tokenizer. */
#ifndef PARE_SRC_TEXT_WORDPIECE_H
#define PARE_SRC_TEXT_WORDPIECE_H

#include "base/status.h"
#include "pare/text.h"
#include "text/bert_words.h"
#include "text/line_range.h"
#include "text/word_table.h"

#define PRI_CONTINUATION "##"
#define PRI_CONTINUATION_LENGTH 2
/* Tokens by their bytes, with a hash that is computed byte by byte: all beginnings of a word are
 * looked up in one pass. */
typedef struct pri_piece_slot {
    uint32_t hash, id;
} pri_piece_slot;

typedef struct pri_piece_table {
    pri_piece_slot *slots; /* a power of two; id PRI_NO_WORD: empty */
    size_t slot_count;
    size_t longest; /* bytes */
    size_t skipped; /* bytes of the token before its key: those of "##" */
} pri_piece_table;

enum { PRI_PADDING, PRI_UNKNOWN_PIECE, PRI_CLASSIFICATION, PRI_SEPARATOR, PRI_MASK, PRI_ROLES };
extern const char *const pri_role_names[PRI_ROLES];    /* "[PAD]" */
extern const char *const pri_role_settings[PRI_ROLES]; /* "pad_token", in tokenizer_config.json */

struct pare_wordpiece {
    pri_word_table tokens; /* numbered by id, each with the zero that ends it */
    size_t vocabulary;     /* tokens of the model; later ones are only added ones */
    pri_bert_rules rules;
    uint32_t roles[PRI_ROLES];
    uint32_t *added; /* ids of tokens that are found before a text is cut into words */
    size_t added_count;
    size_t
        longest_text; /* pieces that the model takes, "model_max_length"; 0: the files do not say */
    /* Derived. */
    pri_piece_table first, continuing;
    bool begins_added[256]; /* first bytes of added tokens */
};

/* An empty tokenizer. */
pare_status pri_wordpiece_create(const pri_bert_settings *settings, pare_wordpiece **tokenizer);
/* Adds the token of the next id. One that is empty, not UTF-8 or there already is a format error,
 * whose message is "NAME: " and what is wrong. */
pare_status pri_wordpiece_add_token(pare_wordpiece *tokenizer, const char *token, const char *name);
/* A token that is found in texts as it stands. */
pare_status pri_wordpiece_add_special(pare_wordpiece *tokenizer, uint32_t id);
/* Ends the vocabulary, after which only special tokens are added: finds the special tokens by their
 * names and prepares look-ups. */
pare_status pri_wordpiece_finish(pare_wordpiece *tokenizer, const char *const role_names[PRI_ROLES],
                                 const char *name);
/* PRI_NO_WORD: there is no such token. */
uint32_t pri_wordpiece_find(const pare_wordpiece *tokenizer, const char *token);

/* pare_wordpiece_build from some lines of a file only: the training part of a single file. */
pare_status pri_wordpiece_build_lines(const char *path, pri_line_range lines,
                                      const pare_wordpiece_options *options,
                                      pare_wordpiece **tokenizer);

static inline const char *pri_wordpiece_bytes(const pare_wordpiece *tokenizer, uint32_t id)
{
    return pri_word_table_bytes(&tokenizer->tokens, &tokenizer->tokens.words[id]);
}

#define PRI_PIECE_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t pri_piece_hash_step(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * UINT64_C(0x100000001b3);
}
/* The id of the token with these bytes, or PRI_NO_WORD. */
uint32_t pri_piece_find(const pare_wordpiece *tokenizer, const pri_piece_table *table,
                        uint64_t hash, const char *bytes, size_t length);

#endif
