/* A text as sequences of word pieces. */
#ifndef PARE_SRC_TASKS_PACKING_H
#define PARE_SRC_TASKS_PACKING_H

#include "tasks/corpus_files.h"
#include "tasks/sequences.h"

/* Appends "[CLS] pieces [SEP]" of at most `length` tokens, 3 or more. The pieces of an article are
 * one stream, across its lines, that is cut where a sequence is full; a sequence never holds pieces
 * of two. Articles begin at WikiText's titles, lines " = Title = "; a text without such lines is
 * one article. Sequences without any word to predict (pri_is_special) are left out. */
pare_status pri_pack_text(const pare_wordpiece *tokenizer, const pri_corpus_part *part,
                          size_t length, pri_sequences *sequences);

#endif
