/* A translation model at work: lines of text in, translations out; and what it looked at. */
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/status.h"
#include "tasks/translation/translation.h"

/* ---- Sources ---- */

static size_t room_of_mask(const pare_model *model, pare_attention_kind kind, size_t room)
{
    const pare_mask *mask = pare_model_mask(model, kind);
    const pare_geometry *geometry = mask ? pare_mask_geometry(mask) : NULL;
    return geometry && geometry->kind == PARE_GEOMETRY_CELL ? pri_smaller(room, geometry->keys)
                                                            : room;
}

/* Tokens of the longest source that the model's positions and its masks serve. */
static size_t longest_source(const pare_model *model)
{
    size_t room = pare_marian_config_of(model)->positions;
    room = room_of_mask(model, PARE_ATTENTION_SELF, room);
    return room_of_mask(model, PARE_ATTENTION_CROSS, room);
}

/* Appends the pieces of a source, unless it has none. */
static pare_status append_source(const pare_bpe *tokenizer, const pare_source_text *text,
                                 size_t longest, pare_pieces *pieces, pri_sequences *sequences,
                                 bool *cut)
{
    pieces->count = 0;
    PRI_TRY(pare_bpe_encode(tokenizer, text->bytes, text->length, pieces));
    *cut = pieces->count + 1 > longest;
    if (!pieces->count)
        return PARE_OK;
    const pri_token_span sentence = {pieces->ids, *cut ? longest - 1 : pieces->count};
    return pri_sequences_append_sentence(sequences, sentence,
                                         pare_bpe_special_tokens(tokenizer).end);
}

/* ---- Translations ---- */

void pare_translated_texts_free(pare_translated_texts *translated)
{
    for (size_t i = 0; translated->texts && i < translated->count * translated->n_best; i++)
        free(translated->texts[i]);
    pri_free(translated->texts);
    pri_free(translated->hypotheses);
    pri_free(translated->cut);
    pare_translations_free(&translated->owner);
    *translated = (pare_translated_texts){.count = 0};
}

/* The sources that have pieces, and which of all sources these are. */
typedef struct source_list {
    pri_sequences sequences;
    size_t *indices; /* (count) */
} source_list;

static pare_status list_sources(const pare_bpe *tokenizer, const pare_source_text *sources,
                                size_t longest, source_list *list,
                                pare_translated_texts *translated)
{
    pare_pieces pieces = {0};
    pare_status status = PARE_OK;
    list->indices = pri_allocate(translated->count, sizeof *list->indices);
    if (!list->indices)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < translated->count && status == PARE_OK; i++) {
        size_t before = list->sequences.count;
        status = append_source(tokenizer, &sources[i], longest, &pieces, &list->sequences,
                               &translated->cut[i]);
        translated->cut_count += translated->cut[i];
        if (list->sequences.count > before)
            list->indices[before] = i;
    }
    pare_pieces_free(&pieces);
    return status;
}

static pare_status run_translator(pare_translator *translator, const pri_sequences *sequences,
                                  const pare_translate_options *options,
                                  pare_translations *translations)
{
    size_t *offsets = pri_allocate(sequences->count + 1, sizeof *offsets);
    if (!offsets)
        return PARE_ERROR_MEMORY;
    offsets[0] = 0;
    for (size_t i = 0; i < sequences->count; i++)
        offsets[i + 1] = sequences->ends[i];
    const pare_ragged sources = {offsets, sequences->count};
    pare_status status =
        pare_translate(translator, &sources, sequences->tokens, options, translations);
    pri_free(offsets);
    return status;
}

/* Puts the hypotheses of the sources that were translated beside these sources. */
static void place_hypotheses(const source_list *list, pare_translated_texts *translated)
{
    const size_t n_best = translated->n_best;
    for (size_t i = 0; i < list->sequences.count; i++)
        for (size_t n = 0; n < n_best; n++)
            translated->hypotheses[list->indices[i] * n_best + n] =
                translated->owner.hypotheses[i * n_best + n];
}

/* The first hypothesis of an empty text has no tokens, and so an empty text. */
static pare_status decode_all(const pare_bpe *tokenizer, pare_translated_texts *translated)
{
    for (size_t i = 0; i < translated->count * translated->n_best; i++) {
        const pare_hypothesis *hypothesis = &translated->hypotheses[i];
        if (hypothesis->length || i % translated->n_best == 0)
            PRI_TRY(pare_bpe_decode(tokenizer, hypothesis->tokens, hypothesis->length,
                                    &translated->texts[i]));
    }
    return PARE_OK;
}

static pare_status allocate_texts(size_t count, size_t n_best, pare_translated_texts *translated)
{
    *translated = (pare_translated_texts){.count = count, .n_best = n_best};
    translated->texts = pri_allocate_zero(count, n_best * sizeof *translated->texts);
    translated->hypotheses = pri_allocate_zero(count, n_best * sizeof *translated->hypotheses);
    translated->cut = pri_allocate_zero(count, sizeof *translated->cut);
    return translated->texts && translated->hypotheses && translated->cut ? PARE_OK
                                                                          : PARE_ERROR_MEMORY;
}

/* Longer sources have more room, so no line of a file fails where another does not. */
static pare_status check_limit(const pare_translate_options *options)
{
    /* Written so that a NaN fails too. */
    if (floor(2 * options->length_factor + options->length_extra) >= 1)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "translations of at most %g tokens per source token and %g more have no room "
                    "for a word; raise one of the two limits",
                    options->length_factor, options->length_extra);
}

/* The fields of `translated` are set or zero, whatever happens. */
static pare_status translate_sources(pare_translator *translator,
                                     const pare_translation_tokenizers *tokenizers,
                                     const pare_source_text *sources,
                                     const pare_translate_options *options, source_list *list,
                                     pare_translated_texts *translated)
{
    size_t longest = longest_source(pare_translator_model(translator));
    PRI_TRY(list_sources(tokenizers->source, sources, longest, list, translated));
    PRI_TRY(run_translator(translator, &list->sequences, options, &translated->owner));
    place_hypotheses(list, translated);
    return decode_all(tokenizers->target, translated);
}

pare_status pare_translate_texts(pare_translator *translator,
                                 const pare_translation_tokenizers *tokenizers,
                                 const pare_source_text *sources, size_t count,
                                 const pare_translate_options *options,
                                 pare_translated_texts *translated)
{
    *translated = (pare_translated_texts){.count = 0};
    PRI_TRY(pri_translation_check_model(tokenizers, pare_translator_model(translator)));
    PRI_TRY(check_limit(options));
    source_list list = {.indices = NULL};
    pare_status status = allocate_texts(count, options->n_best, translated);
    if (status == PARE_OK)
        status = translate_sources(translator, tokenizers, sources, options, &list, translated);
    pri_sequences_free(&list.sequences);
    pri_free(list.indices);
    if (status != PARE_OK)
        pare_translated_texts_free(translated);
    return status;
}

/* ---- Explanations ---- */

void pare_translation_explanation_free(pare_translation_explanation *explanation)
{
    pri_free(explanation->source);
    pri_free(explanation->target);
    pare_average_destroy(explanation->average);
    *explanation = (pare_translation_explanation){.average = NULL};
}

static pare_status name_pieces(const pare_bpe *tokenizer, pri_token_span tokens,
                               const char ***pieces, size_t *count)
{
    *pieces = pri_allocate(tokens.count, sizeof **pieces);
    if (!*pieces)
        return PARE_ERROR_MEMORY;
    *count = tokens.count;
    for (size_t i = 0; i < tokens.count; i++) {
        if (tokens.ids[i] >= pare_bpe_size(tokenizer))
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "the translation's token %zu is number %lu, but the tokenizer has %zu "
                            "pieces",
                            i, (unsigned long)tokens.ids[i], pare_bpe_size(tokenizer));
        (*pieces)[i] = pare_bpe_token(tokenizer, tokens.ids[i]);
    }
    return PARE_OK;
}

/* In the coordinates of the mask, if there is one. */
static pare_geometry geometry_of_pair(const pare_model *model, size_t sources, size_t targets)
{
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_CROSS);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_CROSS, targets);
    geometry.keys = sources;
    if (!mask)
        return geometry;
    geometry.ends_first = pare_mask_geometry(mask)->ends_first;
    geometry.ratio = pare_mask_geometry(mask)->ratio;
    return geometry;
}

static pare_status observe_pair(pare_model *model, pare_tape *tape, pri_token_span source,
                                pri_token_span target, pare_average **average)
{
    const size_t source_offsets[] = {0, source.count}, target_offsets[] = {0, target.count};
    const pare_translation_batch batch = {.pairs = 1,
                                          .source_offsets = source_offsets,
                                          .source = source.ids,
                                          .target_offsets = target_offsets,
                                          .target = target.ids};
    const pare_geometry geometry = geometry_of_pair(model, source.count, target.count);
    PRI_TRY(pare_average_create(&geometry, average));
    pare_model_observe(model, PARE_ATTENTION_CROSS, *average);
    pare_tape_begin(tape, false, 0);
    pare_translation_hidden(model, tape, &batch);
    pare_model_observe(model, PARE_ATTENTION_CROSS, NULL);
    pare_average_set_corpus(*average, "one pair", 0);
    pare_average_add_examples(*average, 1);
    return pare_tape_status(tape);
}

static pare_status explain_pair(pare_model *model, pare_tape *tape,
                                const pare_translation_tokenizers *tokenizers,
                                pri_token_span source, pri_token_span target,
                                pare_translation_explanation *explanation)
{
    PRI_TRY(
        name_pieces(tokenizers->source, source, &explanation->source, &explanation->source_count));
    PRI_TRY(
        name_pieces(tokenizers->target, target, &explanation->target, &explanation->target_count));
    return observe_pair(model, tape, source, target, &explanation->average);
}

static pare_status check_pair(const pri_sequences *source, size_t target_length)
{
    return source->count && target_length
               ? PARE_OK
               : pri_fail(PARE_ERROR_ARGUMENT, "an empty text, or an empty translation, has no "
                                               "attention to be shown; give one with words");
}

pare_status pare_translate_explain(pare_model *model, pare_tape *tape,
                                   const pare_translation_tokenizers *tokenizers,
                                   const pare_source_text *source, const uint32_t *target,
                                   size_t target_length, pare_translation_explanation *explanation)
{
    *explanation = (pare_translation_explanation){.average = NULL};
    PRI_TRY(pri_translation_check_model(tokenizers, model));
    pri_sequences sequences = {0};
    pare_pieces pieces = {0};
    bool cut;
    pare_status status =
        append_source(tokenizers->source, source, longest_source(model), &pieces, &sequences, &cut);
    if (status == PARE_OK)
        status = check_pair(&sequences, target_length);
    if (status == PARE_OK)
        status = explain_pair(model, tape, tokenizers, pri_sequences_at(&sequences, 0),
                              (pri_token_span){target, target_length}, explanation);
    pare_pieces_free(&pieces);
    pri_sequences_free(&sequences);
    if (status != PARE_OK)
        pare_translation_explanation_free(explanation);
    return status;
}
