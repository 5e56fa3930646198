/* From text to the words that merges work in. */
#ifndef PARE_SRC_TEXT_BPE_WORDS_H
#define PARE_SRC_TEXT_BPE_WORDS_H

#include "text/bpe.h"

/* Bytes `begin` .. `end` - 1 of a word; none: the mark before `begin` alone. */
typedef struct pri_bpe_segment {
    const pri_bert_word *word;
    size_t begin, end;
    bool marked; /* U+2581 goes before it */
} pri_bpe_segment;

typedef pare_status (*pri_bpe_segment_visit)(void *user, const pri_bpe_segment *segment);

typedef struct pri_bpe_cutter {
    pri_word_cutter words;
    pri_bpe_segment_visit visit;
    void *user;
    pare_bpe_form form;
    uint32_t last_end; /* of the word before, in the text */
} pri_bpe_cutter;

/* Makes `cutter->words` cut one text, or a part of one in each call of pri_cut_words. `cutter`
 * begins as zeros. */
void pri_bpe_cutter_begin(pri_bpe_cutter *cutter, const pare_bpe *bpe, pri_bpe_segment_visit visit,
                          void *user);
void pri_bpe_cutter_free(pri_bpe_cutter *cutter);

#endif
