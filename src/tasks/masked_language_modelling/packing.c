/* Packing a text into sequences. There is no padding, so that a short sequence at the end of an
 * article costs nothing. */
#include "tasks/masked_language_modelling/packing.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/status.h"
#include "base/text_buffer.h"
#include "tasks/masked_language_modelling/word_masking.h"
#include "text/scanner.h"

typedef struct text_packer {
    const pare_wordpiece *tokenizer;
    const pri_corpus_part *part;
    pare_special_tokens special;
    size_t length;
    pri_sequences *sequences;
    pare_pieces pieces; /* of the article, as far as they are in no sequence yet */
    pri_text line;      /* with unknown words in the tokenizer's spelling */
} text_packer;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether `word` begins at text[i] and blanks or the ends of the text are around it. */
static bool word_is_at(const char *text, size_t length, size_t i, const char *word)
{
    size_t end = i + strlen(word);
    return end <= length && !memcmp(text + i, word, end - i) && (!i || is_blank(text[i - 1])) &&
           (end == length || is_blank(text[end]));
}

/* " = Title = ", but not " = = Section = = ". */
static bool is_title(const char *line, size_t length)
{
    while (length && is_blank(line[length - 1]))
        length--;
    for (; length && is_blank(*line); length--)
        line++;
    return length > 4 && word_is_at(line, length, 0, "=") &&
           word_is_at(line, length, length - 1, "=") && !word_is_at(line, length, 2, "=") &&
           !word_is_at(line, length, length - 3, "=");
}

/* WikiText has "<unk>" where a rare word was taken out. To the tokenizer that is its unknown token,
 * which is no word and will not have to be predicted. */
static pare_status spell_unknown_words(text_packer *packer, const char *line, size_t length)
{
    const char *unknown = pare_wordpiece_token(packer->tokenizer, packer->special.unknown);
    size_t begin = 0;
    packer->line.length = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] != PRI_UNKNOWN[0] || !word_is_at(line, length, i, PRI_UNKNOWN))
            continue;
        pri_text_append_bytes(&packer->line, line + begin, i - begin);
        pri_text_append_bytes(&packer->line, unknown, strlen(unknown));
        begin = i + strlen(PRI_UNKNOWN);
    }
    pri_text_append_bytes(&packer->line, line + begin, length - begin);
    if (packer->line.failed)
        return pri_fail(PARE_ERROR_MEMORY, "%s: out of memory for a line of %zu bytes",
                        packer->part->path, length);
    return PARE_OK;
}

static bool has_words(const text_packer *packer, const uint32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!pri_is_special(&packer->special, ids[i]))
            return true;
    return false;
}

/* Makes sequences of the waiting pieces: full ones, and of the rest as well when the article ends.
 */
static pare_status make_sequences(text_packer *packer, bool article_ends)
{
    const size_t room = packer->length - PRI_SPECIAL_TOKENS_SINGLE;
    pare_pieces *pieces = &packer->pieces;
    size_t taken = 0;
    while (pieces->count - taken >= (article_ends ? 1 : room)) {
        pri_token_span span = {pieces->ids + taken, pri_smaller(room, pieces->count - taken)};
        if (has_words(packer, span.ids, span.count))
            PRI_TRY(pri_sequences_append(packer->sequences, &packer->special, span, NULL,
                                         packer->length));
        taken += span.count;
    }
    pieces->count -= taken;
    if (taken && pieces->count)
        memmove(pieces->ids, pieces->ids + taken, pieces->count * sizeof *pieces->ids);
    return PARE_OK;
}

static pare_status pack_line(void *user, const char *line, size_t length)
{
    text_packer *packer = user;
    if (is_title(line, length))
        PRI_TRY(make_sequences(packer, true));
    PRI_TRY(spell_unknown_words(packer, line, length));
    PRI_TRY(pare_wordpiece_encode(packer->tokenizer, packer->line.data, packer->line.length,
                                  &packer->pieces));
    return make_sequences(packer, false);
}

pare_status pri_pack_text(const pare_wordpiece *tokenizer, const pri_corpus_part *part,
                          size_t length, pri_sequences *sequences)
{
    text_packer packer = {.tokenizer = tokenizer,
                          .part = part,
                          .special = pare_wordpiece_special_tokens(tokenizer),
                          .length = length,
                          .sequences = sequences};
    pare_status status = pri_text_visit_lines(part->path, part->lines, pack_line, &packer);
    if (status == PARE_OK)
        status = make_sequences(&packer, true);
    pare_pieces_free(&packer.pieces);
    pri_text_free(&packer.line);
    if (status == PARE_OK && !sequences->count)
        status =
            pri_fail(PARE_ERROR_FORMAT, "%s: no words in it; give a file with text", part->path);
    return status;
}
