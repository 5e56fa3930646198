/* The words of BERT's cutter, with settings that change nothing, are those of both forms but for
 * U+2581: it goes before a word that does not follow another one immediately, and where that is a
 * punctuation character it is a word of its own. Since it stands for a blank, it begins a word
 * wherever the text itself has one. */
#include "text/bpe_words.h"

#include <string.h>

#include "base/utf8.h"
#include "text/bert_characters.h"

#define NO_END UINT32_MAX

static bool has_mark(const pri_bert_word *word, size_t position)
{
    size_t length = strlen(PRI_METASPACE);
    return word->length - position >= length &&
           !memcmp(word->bytes + position, PRI_METASPACE, length);
}

static size_t find_mark(const pri_bert_word *word, size_t position)
{
    while (position < word->length && !has_mark(word, position))
        position++;
    return position;
}

/* Punctuation characters are words of one character. */
static bool is_punctuation(const pri_bert_word *word)
{
    uint32_t character;
    if (word->characters > 1)
        return false;
    pri_utf8_read(word->bytes, word->length, &character);
    return pri_character_kind_of(character).flags & PRI_PUNCTUATION;
}

static pare_status cut_at_marks(pri_bpe_cutter *cutter, const pri_bert_word *word)
{
    bool marked = word->begin != cutter->last_end && !has_mark(word, 0);
    cutter->last_end = word->end;
    if (marked && is_punctuation(word)) {
        PRI_TRY(cutter->visit(cutter->user, &(pri_bpe_segment){word, 0, 0, marked}));
        marked = false;
    }
    for (size_t begin = 0, end; begin < word->length; begin = end, marked = false) {
        end = find_mark(word, begin + 1);
        PRI_TRY(cutter->visit(cutter->user, &(pri_bpe_segment){word, begin, end, marked}));
    }
    return PARE_OK;
}

static pare_status visit_word(void *user, const pri_bert_word *word)
{
    pri_bpe_cutter *cutter = user;
    if (cutter->form == PARE_BPE_METASPACE)
        return cut_at_marks(cutter, word);
    return cutter->visit(cutter->user, &(pri_bpe_segment){word, 0, word->length, false});
}

void pri_bpe_cutter_begin(pri_bpe_cutter *cutter, const pare_bpe *bpe, pri_bpe_segment_visit visit,
                          void *user)
{
    cutter->words.rules = &bpe->rules;
    cutter->words.visit = visit_word;
    cutter->words.user = cutter;
    cutter->visit = visit;
    cutter->user = user;
    cutter->form = bpe->form;
    cutter->last_end = NO_END;
}

void pri_bpe_cutter_free(pri_bpe_cutter *cutter)
{
    pri_word_cutter_free(&cutter->words);
}
