/* Inside a WordPiece tokenizer. */
#ifndef PARE_SRC_TEXT_WORDPIECE_H
#define PARE_SRC_TEXT_WORDPIECE_H

#include "base/status.h"
#include "pare/text.h"
#include "text/bert_words.h"
#include "text/line_range.h"
#include "text/token_list.h"

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
    pri_token_list tokens;
    size_t vocabulary; /* tokens of the model; later ones are only added ones */
    pri_bert_rules rules;
    uint32_t roles[PRI_ROLES];
    size_t
        longest_text; /* pieces that the model takes, "model_max_length"; 0: the files do not say */
    /* Derived. */
    pri_piece_table first, continuing;
};

/* An empty tokenizer. */
pare_status pri_wordpiece_create(const pri_bert_settings *settings, pare_wordpiece **tokenizer);
/* Ends the vocabulary, after which only special tokens are added: finds the special tokens by their
 * names and prepares look-ups. */
pare_status pri_wordpiece_finish(pare_wordpiece *tokenizer, const char *const role_names[PRI_ROLES],
                                 const char *name);
/* pare_wordpiece_build from some lines of a file only: the training part of a single file. */
pare_status pri_wordpiece_build_lines(const char *path, pri_line_range lines,
                                      const pare_wordpiece_options *options,
                                      pare_wordpiece **tokenizer);

#define PRI_PIECE_HASH_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t pri_piece_hash_step(uint64_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * UINT64_C(0x100000001b3);
}
/* The id of the token with these bytes, or PRI_NO_WORD. */
uint32_t pri_piece_find(const pare_wordpiece *tokenizer, const pri_piece_table *table,
                        uint64_t hash, const char *bytes, size_t length);

#endif
