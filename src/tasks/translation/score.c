/* A scorer keeps sums of counted n-grams, of three kinds: tokens of 13a, tokens as they stand, and
 * characters. Scores are computed from the sums. What it takes from one segment to the next beside
 * them, numbers of words and buffers, saves time only. */
#include "base/memory.h"
#include "pare/task.h"
#include "tasks/python_text.h"
#include "tasks/translation/bleu.h"
#include "tasks/translation/segment.h"
#include "text/word_table.h"

/* Words are forgotten when there are more: their numbers are needed within a segment only. */
#define WORDS_KEPT 250000

enum { WORD_BITS = 32, CHARACTER_BITS = 21 };

typedef struct side {
    pri_text segment, tokens;
    pri_units units;
} side;

typedef struct score_counts {
    pri_ngram_counts words, tokens, characters;
} score_counts;

struct pare_scorer {
    bool lower_case;
    uint64_t segments;
    score_counts sums;
    side hypothesis, reference;
    pri_text scratch;
    pri_word_table words;
    pri_ngram_table ngrams;
};

pare_status pare_scorer_create(const pare_scorer_options *options, pare_scorer **scorer)
{
    *scorer = pri_allocate_zero(1, sizeof **scorer);
    if (!*scorer)
        return PARE_ERROR_MEMORY;
    (*scorer)->lower_case = options && options->lower_case;
    return PARE_OK;
}

static void free_side(side *of)
{
    pri_text_free(&of->segment);
    pri_text_free(&of->tokens);
    pri_units_free(&of->units);
}

void pare_scorer_destroy(pare_scorer *scorer)
{
    if (!scorer)
        return;
    free_side(&scorer->hypothesis);
    free_side(&scorer->reference);
    pri_text_free(&scorer->scratch);
    pri_word_table_free(&scorer->words);
    pri_ngram_table_free(&scorer->ngrams);
    pri_free(scorer);
}

/* ---- Units ---- */

static pare_status list_words(pare_scorer *scorer, side *of)
{
    PRI_TRY(pri_units_begin(&of->units, of->tokens.length / 2 + 1));
    const char *at = of->tokens.data, *word;
    size_t length;
    while ((word = pri_next_word(&at, of->tokens.data + of->tokens.length, &length))) {
        uint32_t number;
        PRI_TRY(pri_word_table_add(&scorer->words, word, length, 1, &number));
        pri_units_append(&of->units, number);
    }
    return PARE_OK;
}

static pare_status list_words_13a(pare_scorer *scorer, side *of)
{
    pri_tokenize_13a(&of->segment, &of->tokens, &scorer->scratch);
    if (of->tokens.failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory for the tokens of a segment");
    return list_words(scorer, of);
}

static pare_status list_words_as_they_stand(pare_scorer *scorer, side *of)
{
    pri_segment_join(&of->segment, &of->tokens);
    if (of->tokens.failed)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory for the tokens of a segment");
    return list_words(scorer, of);
}

static pare_status list_characters(side *of)
{
    PRI_TRY(pri_units_begin(&of->units, of->segment.length));
    const char *end = of->segment.data + of->segment.length;
    for (const char *at = of->segment.data; at < end;) {
        int32_t character;
        at = pri_next_character(at, end, &character);
        if (!pri_python_is_space(character))
            pri_units_append(&of->units, (uint32_t)character);
    }
    return PARE_OK;
}

/* Makes the unknown words of a reference equal to nothing. */
static void hide_unknown(const pare_scorer *scorer, pri_units *units)
{
    static const char unknown[] = "<unk>";
    uint32_t number = pri_word_table_find(&scorer->words, unknown, sizeof unknown - 1);
    for (size_t i = 0; i < units->count; i++)
        if (units->values[i] == number)
            units->values[i] = PRI_NO_WORD;
}

/* ---- Counts ---- */

static pare_status count(pare_scorer *scorer, size_t orders, unsigned bits,
                         pri_ngram_counts *counts)
{
    return pri_count_ngrams(&scorer->ngrams, &scorer->hypothesis.units, &scorer->reference.units,
                            orders, bits, counts);
}

static pare_status count_segment(pare_scorer *scorer, score_counts *counts)
{
    PRI_TRY(list_words_13a(scorer, &scorer->hypothesis));
    PRI_TRY(list_words_13a(scorer, &scorer->reference));
    PRI_TRY(count(scorer, PRI_BLEU_ORDERS, WORD_BITS, &counts->words));
    PRI_TRY(list_words_as_they_stand(scorer, &scorer->hypothesis));
    PRI_TRY(list_words_as_they_stand(scorer, &scorer->reference));
    hide_unknown(scorer, &scorer->reference.units);
    PRI_TRY(count(scorer, PRI_BLEU_ORDERS, WORD_BITS, &counts->tokens));
    PRI_TRY(list_characters(&scorer->hypothesis));
    PRI_TRY(list_characters(&scorer->reference));
    PRI_TRY(count(scorer, PRI_CHRF_ORDERS, CHARACTER_BITS, &counts->characters));
    /* sacreBLEU leaves out what a segment has of an order that its reference is too short for. */
    for (size_t i = 0; i < PRI_CHRF_ORDERS; i++)
        if (!counts->characters.reference[i])
            counts->characters.hypothesis[i] = 0;
    return PARE_OK;
}

static pare_status read_segment(const pare_scorer *scorer, const char *bytes, size_t length,
                                side *of)
{
    pri_segment_read(bytes, length, scorer->lower_case, &of->segment);
    return of->segment.failed ? pri_fail(PARE_ERROR_MEMORY, "out of memory for a segment")
                              : PARE_OK;
}

/* Failure of a text is sticky, which must not outlive the segment that caused it. */
static void forget_failure(pare_scorer *scorer)
{
    pri_text *texts[] = {&scorer->hypothesis.segment, &scorer->hypothesis.tokens,
                         &scorer->reference.segment, &scorer->reference.tokens, &scorer->scratch};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        pri_text_free(texts[i]);
}

static pare_status add_segment(pare_scorer *scorer, const char *hypothesis,
                               size_t hypothesis_length, const char *reference,
                               size_t reference_length)
{
    score_counts counts;
    if (scorer->words.count > WORDS_KEPT)
        pri_word_table_free(&scorer->words);
    PRI_TRY(read_segment(scorer, hypothesis, hypothesis_length, &scorer->hypothesis));
    PRI_TRY(read_segment(scorer, reference, reference_length, &scorer->reference));
    PRI_TRY(count_segment(scorer, &counts));
    pri_ngram_counts_add(&scorer->sums.words, &counts.words);
    pri_ngram_counts_add(&scorer->sums.tokens, &counts.tokens);
    pri_ngram_counts_add(&scorer->sums.characters, &counts.characters);
    scorer->segments++;
    return PARE_OK;
}

pare_status pare_scorer_add(pare_scorer *scorer, const char *hypothesis, size_t hypothesis_length,
                            const char *reference, size_t reference_length)
{
    pare_status status =
        add_segment(scorer, hypothesis, hypothesis_length, reference, reference_length);
    if (status != PARE_OK)
        forget_failure(scorer);
    return status;
}

/* ---- Scores ---- */

void pare_scorer_score(const pare_scorer *scorer, pare_translation_score *score)
{
    const score_counts *sums = &scorer->sums;
    *score = (pare_translation_score){.brevity_penalty = pri_brevity_penalty(&sums->words),
                                      .hypothesis_length = sums->words.hypothesis[0],
                                      .reference_length = sums->words.reference[0],
                                      .segments = scorer->segments};
    pri_smoothed_precisions(&sums->words, score->precisions);
    score->bleu = pri_bleu(&sums->words, score->precisions);
    score->chrf = pri_chrf(&sums->characters);
    score->tokenised_bleu = pri_plain_bleu(&sums->tokens);
}

const char *pare_bleu_signature(const pare_scorer_options *options)
{
    return options && options->lower_case
               ? "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0"
               : "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0";
}

const char *pare_chrf_signature(const pare_scorer_options *options)
{
    return options && options->lower_case
               ? "nrefs:1|case:lc|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
               : "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0";
}
