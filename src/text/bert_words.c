/* From text to words, in one pass over the text.
 *
 * The tokenizers package rewrites a whole text step by step (clean, set ideographs apart,
 * decompose, strip, lower) and keeps for each byte of the result where it came from. The same comes
 * out character by character, because all steps but one look at single characters: ASCII, most of
 * any text, takes a table. The one that does not is the order of combining characters, which is
 * settled within a cluster, a character and the combining ones behind it; "sources" and "made"
 * below are the cluster before and after decomposition. */
#include "text/bert_words.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/bert_characters.h"

/* ---- Rules ---- */

pri_bert_settings pri_bert_settings_default(void)
{
    return (pri_bert_settings){.clean_text = true,
                               .split_ideographs = true,
                               .split_punctuation = true,
                               .lower_case = true,
                               .accents = PRI_ACCENTS_WITH_CASE,
                               .word_characters = 100};
}

static pri_ascii_role classify_ascii(const pri_bert_settings *settings, uint32_t character)
{
    uint8_t flags = pri_character_kind_of(character).flags;
    if (settings->clean_text && flags & PRI_DROPPED)
        return PRI_ASCII_DROPPED;
    if (flags & PRI_SPACE)
        return PRI_ASCII_SPACE;
    return settings->split_punctuation && flags & PRI_PUNCTUATION ? PRI_ASCII_PUNCTUATION
                                                                  : PRI_ASCII_LETTER;
}

void pri_bert_rules_prepare(pri_bert_rules *rules, const pri_bert_settings *settings)
{
    rules->settings = *settings;
    rules->strip_accents = settings->accents == PRI_ACCENTS_WITH_CASE
                               ? settings->lower_case
                               : settings->accents == PRI_ACCENTS_STRIPPED;
    for (unsigned character = 0; character < 128; character++) {
        bool lowered = settings->lower_case && character >= 'A' && character <= 'Z';
        rules->ascii_roles[character] = (uint8_t)classify_ascii(settings, character);
        rules->ascii_letters[character] = (char)(lowered ? character + ('a' - 'A') : character);
    }
}

/* ---- Words ---- */

static pare_status finish_word(pri_word_cutter *cutter)
{
    pri_bert_word *word = &cutter->word;
    if (!word->characters)
        return PARE_OK;
    pare_status status = cutter->visit(cutter->user, word);
    word->length = word->characters = 0;
    return status;
}

static pare_status grow_word(pri_bert_word *word)
{
    size_t capacity = word->capacity ? 2 * word->capacity : 256;
    char *bytes = pri_reallocate(word->bytes, word->length, capacity, 1);
    if (bytes)
        word->bytes = bytes;
    uint32_t *begins = pri_reallocate(word->begins, word->length, capacity, sizeof *begins);
    if (begins)
        word->begins = begins;
    uint32_t *ends = pri_reallocate(word->ends, word->length, capacity, sizeof *ends);
    if (ends)
        word->ends = ends;
    if (!bytes || !begins || !ends)
        return PARE_ERROR_MEMORY;
    word->capacity = capacity;
    return PARE_OK;
}

static pare_status append_to_word(pri_word_cutter *cutter, const char *bytes, size_t length,
                                  uint32_t begin, uint32_t end)
{
    pri_bert_word *word = &cutter->word;
    if (!word->characters)
        word->begin = begin;
    word->end = end;
    if (++word->characters > cutter->rules->settings.word_characters)
        return PARE_OK;
    if (word->capacity - word->length < length)
        PRI_TRY(grow_word(word));
    for (size_t i = 0; i < length; i++) {
        word->bytes[word->length] = bytes[i];
        word->begins[word->length] = begin;
        word->ends[word->length++] = end;
    }
    return PARE_OK;
}

static pare_status whole_word(pri_word_cutter *cutter, const char *bytes, size_t length,
                              uint32_t begin, uint32_t end)
{
    PRI_TRY(finish_word(cutter));
    PRI_TRY(append_to_word(cutter, bytes, length, begin, end));
    return finish_word(cutter);
}

/* A character that went through all steps of normalization. */
static pare_status take_character(pri_word_cutter *cutter, uint32_t character,
                                  pri_source_character source)
{
    pri_character_kind kind = pri_character_kind_of(character);
    if (kind.flags & PRI_SPACE)
        return finish_word(cutter);
    char bytes[4];
    size_t length = pri_utf8_write(character, bytes);
    bool alone = cutter->rules->settings.split_punctuation && kind.flags & PRI_PUNCTUATION;
    return (alone ? whole_word : append_to_word)(cutter, bytes, length, source.begin, source.end);
}

static pare_status lower_and_take(pri_word_cutter *cutter, uint32_t character,
                                  pri_source_character source)
{
    uint32_t lower[PRI_LONGEST_LOWER_CASE] = {character};
    size_t count = cutter->rules->settings.lower_case ? pri_lower_case(character, lower) : 1;
    for (size_t i = 0; i < count; i++)
        PRI_TRY(take_character(cutter, lower[i], source));
    return PARE_OK;
}

/* ---- Clusters ---- */

static pare_status grow_cluster(pri_cluster *c)
{
    if (c->source_count == c->source_capacity) {
        size_t capacity = c->source_capacity ? 2 * c->source_capacity : 16;
        pri_source_character *sources =
            pri_reallocate(c->sources, c->source_count, capacity, sizeof *sources);
        if (!sources)
            return PARE_ERROR_MEMORY;
        c->sources = sources;
        c->source_capacity = capacity;
    }
    if (c->made_capacity - c->made_count < PRI_LONGEST_DECOMPOSITION) {
        size_t capacity = c->made_capacity ? 2 * c->made_capacity : 64;
        pri_made_character *made = pri_reallocate(c->made, c->made_count, capacity, sizeof *made);
        if (made)
            c->made = made;
        pri_made_character *scratch = pri_reallocate(c->scratch, 0, capacity, sizeof *scratch);
        if (scratch)
            c->scratch = scratch;
        if (!made || !scratch)
            return PARE_ERROR_MEMORY;
        c->made_capacity = capacity;
    }
    return PARE_OK;
}

static pare_status add_to_cluster(pri_word_cutter *cutter, uint32_t character,
                                  pri_character_kind kind, pri_source_character source)
{
    pri_cluster *c = &cutter->cluster;
    PRI_TRY(grow_cluster(c));
    c->sources[c->source_count++] = source;
    uint32_t decomposed[PRI_LONGEST_DECOMPOSITION] = {character};
    bool decomposes = kind.flags & PRI_DECOMPOSES;
    size_t count = decomposes ? pri_decompose(character, decomposed) : 1;
    for (size_t i = 0; i < count; i++) {
        uint8_t combining_class = decomposes ? pri_character_kind_of(decomposed[i]).combining_class
                                             : kind.combining_class;
        c->made[c->made_count++] = (pri_made_character){decomposed[i], combining_class, i > 0};
    }
    return PARE_OK;
}

/* Stable, and linear in the number of characters, of which hostile text has many. */
static void sort_by_class(pri_made_character *made, size_t count, pri_made_character *scratch)
{
    size_t places[257] = {0};
    for (size_t i = 0; i < count; i++)
        places[made[i].combining_class + 1]++;
    for (int i = 0; i < 256; i++)
        places[i + 1] += places[i];
    for (size_t i = 0; i < count; i++)
        scratch[places[made[i].combining_class]++] = made[i];
    memcpy(made, scratch, count * sizeof *made);
}

/* Canonical order: characters of another class than 0 that follow each other rise in class. */
static void order_cluster(pri_cluster *c)
{
    for (size_t begin = 0, end; begin < c->made_count; begin = end) {
        bool ordered = true;
        end = begin + 1;
        if (!c->made[begin].combining_class)
            continue;
        for (; end < c->made_count && c->made[end].combining_class; end++)
            ordered &= c->made[end - 1].combining_class <= c->made[end].combining_class;
        if (!ordered)
            sort_by_class(c->made + begin, end - begin, c->scratch);
    }
}

/* As the package does, a character gets the source at its place in the new order, which is not the
 * one it was made from when characters changed places. */
static pare_status finish_cluster(pri_word_cutter *cutter)
{
    pri_cluster *c = &cutter->cluster;
    order_cluster(c);
    size_t source = 0;
    for (size_t i = 0; i < c->made_count; i++) {
        const pri_made_character *made = &c->made[i];
        source += !made->additional;
        if (!(pri_character_kind_of(made->character).flags & PRI_MARK))
            PRI_TRY(lower_and_take(cutter, made->character, c->sources[source ? source - 1 : 0]));
    }
    c->source_count = c->made_count = 0;
    return PARE_OK;
}

/* The combining class of the first character that this one becomes. */
static uint8_t leading_class(uint32_t character, pri_character_kind kind)
{
    if (!(kind.flags & PRI_DECOMPOSES))
        return kind.combining_class;
    uint32_t decomposed[PRI_LONGEST_DECOMPOSITION];
    pri_decompose(character, decomposed);
    return pri_character_kind_of(decomposed[0]).combining_class;
}

/* A character outside ASCII that was not dropped. */
static pare_status cut_character(pri_word_cutter *cutter, uint32_t character,
                                 pri_character_kind kind, pri_source_character source)
{
    bool ideograph = cutter->rules->settings.split_ideographs && pri_is_ideograph(character);
    if (!cutter->rules->strip_accents && !ideograph)
        return lower_and_take(cutter, character, source);
    if (ideograph || !leading_class(character, kind))
        PRI_TRY(finish_cluster(cutter));
    if (ideograph)
        PRI_TRY(finish_word(cutter));
    if (cutter->rules->strip_accents)
        PRI_TRY(add_to_cluster(cutter, character, kind, source));
    else
        PRI_TRY(lower_and_take(cutter, character, source));
    if (!ideograph)
        return PARE_OK;
    PRI_TRY(finish_cluster(cutter));
    return finish_word(cutter);
}

static pare_status cut_ascii(pri_word_cutter *cutter, char byte, uint32_t position)
{
    pri_ascii_role role = cutter->rules->ascii_roles[(unsigned char)byte];
    if (role == PRI_ASCII_DROPPED)
        return PARE_OK;
    if (cutter->cluster.made_count)
        PRI_TRY(finish_cluster(cutter));
    if (role == PRI_ASCII_SPACE)
        return finish_word(cutter);
    char letter = cutter->rules->ascii_letters[(unsigned char)byte];
    return (role == PRI_ASCII_PUNCTUATION ? whole_word : append_to_word)(cutter, &letter, 1,
                                                                         position, position + 1);
}

pare_status pri_cut_words(pri_word_cutter *cutter, const char *text, size_t begin, size_t end)
{
    for (size_t position = begin; position < end;) {
        if ((unsigned char)text[position] < 0x80) {
            PRI_TRY(cut_ascii(cutter, text[position], (uint32_t)position));
            position++;
            continue;
        }
        uint32_t character;
        size_t length = pri_utf8_read(text + position, end - position, &character);
        pri_source_character source = {(uint32_t)position, (uint32_t)(position + length)};
        pri_character_kind kind = pri_character_kind_of(character);
        if (!cutter->rules->settings.clean_text || !(kind.flags & PRI_DROPPED))
            PRI_TRY(cut_character(cutter, character, kind, source));
        position += length;
    }
    PRI_TRY(finish_cluster(cutter));
    return finish_word(cutter);
}

void pri_word_cutter_free(pri_word_cutter *cutter)
{
    pri_free(cutter->word.bytes);
    pri_free(cutter->word.begins);
    pri_free(cutter->word.ends);
    pri_free(cutter->cluster.sources);
    pri_free(cutter->cluster.made);
    pri_free(cutter->cluster.scratch);
}
