/* Making pieces of texts. */
#ifndef PARE_SRC_TEXT_PIECES_H
#define PARE_SRC_TEXT_PIECES_H

#include "pare/text.h"
#include "text/bert_words.h"
#include "text/token_list.h"

pare_status pri_pieces_add(pare_pieces *pieces, uint32_t id, uint32_t begin, uint32_t end);
/* Appends the pieces of a text: added tokens by themselves, everything between them through
 * `cutter`, whose visitor appends to `pieces` too. After a failure they are as before. */
pare_status pri_pieces_of_text(const pri_token_list *tokens, pri_word_cutter *cutter,
                               const char *text, size_t length, pare_pieces *pieces);

#endif
