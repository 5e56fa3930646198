/* From text to words as BERT's tokenizer does it: cleaned, lowered, without accents, cut at white
 * space and around punctuation and ideographs. */
#ifndef PARE_SRC_TEXT_BERT_WORDS_H
#define PARE_SRC_TEXT_BERT_WORDS_H

#include "base/status.h"

/* Words may be allowed this many characters at most. */
#define PRI_LONGEST_WORD 10000

typedef enum pri_accents {
    PRI_ACCENTS_WITH_CASE, /* stripped where capitals are lowered */
    PRI_ACCENTS_KEPT,
    PRI_ACCENTS_STRIPPED
} pri_accents;

typedef struct pri_bert_settings {
    bool clean_text, split_ideographs, split_punctuation, lower_case;
    pri_accents accents;
    size_t word_characters; /* longer words are unknown */
} pri_bert_settings;
pri_bert_settings pri_bert_settings_default(void);

typedef enum pri_ascii_role {
    PRI_ASCII_LETTER,
    PRI_ASCII_DROPPED,
    PRI_ASCII_SPACE,
    PRI_ASCII_PUNCTUATION
} pri_ascii_role;

/* Settings with what follows from them. */
typedef struct pri_bert_rules {
    pri_bert_settings settings;
    bool strip_accents;
    uint8_t ascii_roles[128]; /* pri_ascii_role */
    char ascii_letters[128];  /* in lower case where the settings say so */
} pri_bert_rules;
void pri_bert_rules_prepare(pri_bert_rules *rules, const pri_bert_settings *settings);

/* A word in UTF-8; for each byte of it, the bytes of the text it came from. A word of more than
 * settings.word_characters characters has no complete bytes. */
typedef struct pri_bert_word {
    char *bytes;
    uint32_t *begins, *ends;
    size_t length, capacity, characters;
    uint32_t begin, end; /* in the text, all of it */
} pri_bert_word;

typedef pare_status (*pri_bert_word_visit)(void *user, const pri_bert_word *word);

typedef struct pri_made_character {
    uint32_t character;
    uint8_t combining_class;
    bool additional; /* not the first that its source became */
} pri_made_character;

typedef struct pri_source_character {
    uint32_t begin, end;
} pri_source_character;

typedef struct pri_cluster {
    pri_source_character *sources;
    size_t source_count, source_capacity;
    pri_made_character *made, *scratch;
    size_t made_count, made_capacity;
} pri_cluster;

typedef struct pri_word_cutter {
    const pri_bert_rules *rules;
    pri_bert_word_visit visit;
    void *user;
    pri_bert_word word; /* under construction */
    pri_cluster cluster;
} pri_word_cutter;

/* Cuts bytes begin .. end - 1 of a text. `cutter` begins as zeros but for its first three members;
 * its memory serves many calls. */
pare_status pri_cut_words(pri_word_cutter *cutter, const char *text, size_t begin, size_t end);
void pri_word_cutter_free(pri_word_cutter *cutter);

#endif
