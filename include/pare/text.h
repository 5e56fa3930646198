/* Tokens and vocabularies. Text is UTF-8; a byte-order mark at the beginning of a file is left out.
 * Bytes that are not UTF-8:
 *  - the words of a language model are strings of bytes and keep them;
 *  - the tokenizers of encoders and translation act as if U+FFFD stood there, which loses letters,
 * so files to train a tokenizer, to train or to evaluate on are refused with file and line;
 *  - lines to be answered, one by one, are not refused.
 * A zero byte in a file is an error: it is binary. */
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

/* ---- Lines of a file --------------------------------------------------------------------------
 */

typedef struct pare_lines pare_lines;
/* A plain or gzip file; "-" is the standard input, whose lines arrive as they are written. A
 * byte-order mark before the first line is left out. */
PARE_API PARE_MUST_CHECK pare_status pare_lines_open(const char *path, pare_lines **lines);
/* The next line without its newline, valid until the next call; any bytes may be in it. *line NULL:
 * there are no more. A safe point for interruption. */
PARE_API PARE_MUST_CHECK pare_status pare_lines_next(pare_lines *lines, const char **line,
                                                     size_t *length);
/* Whether the next line has arrived already, so that pare_lines_next need not wait for it: a
 * program that answers lines takes as many at once as there are. */
PARE_API bool pare_lines_ready(const pare_lines *lines);
PARE_API void pare_lines_close(pare_lines *lines);

/* ---- WordPiece --------------------------------------------------------------------------------
 * The tokenizer of BERT, MiniLM and DistilBERT, with the ids, tokens and offsets of the
 * `tokenizers` package: control characters are dropped, accents stripped and capitals lowered (as
 * the files say), words end at white space, punctuation characters and CJK ideographs are words of
 * their own, and a word becomes the longest pieces that the vocabulary has, or the unknown token.
 * Bytes that are not UTF-8 act like U+FFFD: Python's bytes.decode(errors="replace"). */

typedef struct pare_wordpiece pare_wordpiece;

/* "[PAD]", "[UNK]", "[CLS]", "[SEP]" and "[MASK]", or what tokenizer_config.json calls them. */
typedef struct pare_special_tokens {
    uint32_t padding, unknown, classification, separator, mask;
} pare_special_tokens;

/* The pieces of one or several texts. Zero-initialise. */
typedef struct pare_pieces {
    uint32_t *ids;
    uint32_t *begins, *ends; /* bytes begins[n] .. ends[n] - 1 of the text are piece n; dropped
                                characters and accents behind the last letter are outside */
    size_t count, capacity;
} pare_pieces;

/* Reads tokenizer.json when the directory has it, else vocab.txt; tokenizer_config.json, which may
 * be absent, tells the names of special tokens and, for vocab.txt, "do_lower_case" (true),
 * "strip_accents" (as lower case) and "tokenize_chinese_chars" (true). Truncation and padding in
 * tokenizer.json are the business of who makes batches and have no effect. Another kind of
 * tokenizer is PARE_ERROR_UNSUPPORTED. */
PARE_API PARE_MUST_CHECK pare_status pare_wordpiece_load(const char *directory,
                                                         pare_wordpiece **tokenizer);
/* Writes tokenizer.json, vocab.txt and tokenizer_config.json, as transformers does. */
PARE_API PARE_MUST_CHECK pare_status pare_wordpiece_save(const pare_wordpiece *tokenizer,
                                                         const char *directory);
PARE_API void pare_wordpiece_destroy(pare_wordpiece *tokenizer);

typedef struct pare_wordpiece_options {
    size_t size;     /* of the vocabulary, at most; 0: 8000 */
    bool lower_case; /* and without accents */
} pare_wordpiece_options;
/* Makes a vocabulary for a plain or gzip text by the rule of the tokenizers package's
 * WordPieceTrainer: the 1000 most frequent characters, then the most frequent pairs of pieces,
 * twice seen at least. The same text gives the same vocabulary. The word <unk>, which WikiText has
 * for rare words, counts as no word, and words of more than 100 characters do not count. */
PARE_API PARE_MUST_CHECK pare_status pare_wordpiece_build(const char *path,
                                                          const pare_wordpiece_options *options,
                                                          pare_wordpiece **tokenizer);

PARE_API size_t pare_wordpiece_size(const pare_wordpiece *tokenizer);
/* A token as the vocabulary writes it: "##ing", zero-terminated. */
PARE_API const char *pare_wordpiece_token(const pare_wordpiece *tokenizer, uint32_t id);
PARE_API pare_special_tokens pare_wordpiece_special_tokens(const pare_wordpiece *tokenizer);
/* Of everything that decides about ids, for provenance. */
PARE_API uint64_t pare_wordpiece_hash(const pare_wordpiece *tokenizer);

/* Appends the pieces of a text of less than 4 GB. No [CLS] or [SEP] is added, but special tokens
 * that stand in the text are found. After a failure the pieces are as before. */
PARE_API PARE_MUST_CHECK pare_status pare_wordpiece_encode(const pare_wordpiece *tokenizer,
                                                           const char *text, size_t length,
                                                           pare_pieces *pieces);
/* Turns the offsets of a text's pieces, `pieces` made from it alone, from bytes into characters, as
 * the tokenizers package counts them. */
PARE_API void pare_pieces_count_characters(pare_pieces *pieces, const char *text, size_t length);
PARE_API void pare_pieces_free(pare_pieces *pieces);

/* ---- Byte-pair encoding -----------------------------------------------------------------------
 * The pieces of translation models, with the ids, tokens and offsets of the `tokenizers` package. A
 * word is its characters; of all neighbours that a merge joins, those of the earliest merge become
 * one piece, the leftmost first, until there are none. A character that the vocabulary does not
 * have is <unk>. Bytes that are not UTF-8 act like U+FFFD. */

typedef struct pare_bpe pare_bpe;

typedef enum pare_bpe_form {
    PARE_BPE_WORDS, /* text that is tokenised already, as by Moses: words lie between white space,
                       and the last piece of each ends in "</w>" */
    PARE_BPE_METASPACE /* raw text: words and punctuation characters; the first piece after white
                          space begins with U+2581, which acts like a blank where a text has it */
} pare_bpe_form;

/* PARE_NO_TOKEN: there is none. */
typedef struct pare_sequence_tokens {
    uint32_t begin, padding, end, unknown; /* "<s>", "<pad>", "</s>", "<unk>": ids 0 to 3 of what is
                                              made here */
} pare_sequence_tokens;

typedef struct pare_bpe_options {
    pare_bpe_form form;
    bool lower_case;        /* capitals are lowered, characters keep their accents */
    size_t size;            /* of the vocabulary, at most; 0: 8000, or as `merges` says */
    size_t merges;          /* at most; 0: as `size` says */
    uint64_t minimum_count; /* of a pair that is merged; 0: 2 */
} pare_bpe_options;

/* Learns merges from `count` plain or gzip files, the two languages of a translation model together
 * for instance, by the rule of the package's BpeTrainer: special tokens, all characters in order of
 * their numbers, then the most frequent pairs of pieces, ties by smaller ids. The same texts give
 * the same merges. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_build(const char *const *paths, size_t count,
                                                    const pare_bpe_options *options,
                                                    pare_bpe **bpe);
/* A tokenizer.json of the package that has the parts of one of the forms; </s> and <unk> must be
 * there. Another kind of tokenizer is PARE_ERROR_UNSUPPORTED. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_load(const char *path, pare_bpe **bpe);
/* Whether the tokenizer.json in a directory is one of byte-pair encoding; one that is absent is
 * not. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_found(const char *directory, bool *found);
/* As the package does; makes the directory too. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_save(const pare_bpe *bpe, const char *path);
/* A plain or gzip file of merges as subword-nmt writes it ("#version: 0.2"), applied as subword-nmt
 * does. Tokens are the special ones, the characters of the merges and of `count` texts (0: `texts`
 * may be NULL), and what the merges make. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_load_codes(const char *path, const char *const *texts,
                                                         size_t count, pare_bpe **bpe);
PARE_API void pare_bpe_destroy(pare_bpe *bpe);

PARE_API size_t pare_bpe_size(const pare_bpe *bpe);
/* A token as the vocabulary writes it: "ing</w>", zero-terminated. */
PARE_API const char *pare_bpe_token(const pare_bpe *bpe, uint32_t id);
PARE_API pare_sequence_tokens pare_bpe_special_tokens(const pare_bpe *bpe);
PARE_API pare_bpe_form pare_bpe_form_of(const pare_bpe *bpe);
/* Whether it lowers capitals, which are then never written again. */
PARE_API bool pare_bpe_lowers(const pare_bpe *bpe);
/* Of everything that decides about ids, for provenance. */
PARE_API uint64_t pare_bpe_hash(const pare_bpe *bpe);

/* Appends the pieces of a text of less than 4 GB; a U+2581 that was put before a word has the place
 * of the word's first character. Nothing is added, no <s> and no </s>, and a text cannot spell them
 * either: "</s>" in a text is five characters, unless the file has it among its "added_tokens",
 * which those that are made here leave empty. After a failure the pieces are as before. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_encode(const pare_bpe *bpe, const char *text,
                                                     size_t length, pare_pieces *pieces);
/* The text of pieces: words between single blanks, in a malloc'ed string the caller frees. Special
 * tokens are left out, but <unk> is written so. */
PARE_API PARE_MUST_CHECK pare_status pare_bpe_decode(const pare_bpe *bpe, const uint32_t *ids,
                                                     size_t count, char **text);

#ifdef __cplusplus
}
#endif
#endif
