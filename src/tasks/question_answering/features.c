/* Pieces of all texts lie end to end in one array, so that there is one allocation for all of them;
 * contexts are encoded once, however many questions they have. */
#include "tasks/question_answering/features.h"

#include <string.h>

#include "tasks/question_answering/words.h"

pare_status pri_window_shape_check(const pri_window_shape *shape)
{
    if (shape->length <= shape->question_length + PRI_SPECIAL_TOKENS_PAIR)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.length %zu has no room for a context beside data.question_length "
                        "%zu and 3 special tokens; raise the former or lower the latter",
                        shape->length, shape->question_length);
    size_t smallest = shape->length - shape->question_length - PRI_SPECIAL_TOKENS_PAIR;
    if (shape->stride && shape->stride <= smallest)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "data.stride is %zu; windows of as few as %zu pieces need one of 1 to %zu, so "
                    "that none of the context is skipped",
                    shape->stride, smallest, smallest);
}

/* ---- Pieces ---- */

static pare_status encode(pri_features *features, const pare_wordpiece *tokenizer, const char *text,
                          pri_piece_range *range)
{
    range->begin = features->pieces.count;
    PRI_TRY(pare_wordpiece_encode(tokenizer, text, strlen(text), &features->pieces));
    range->count = features->pieces.count - range->begin;
    return PARE_OK;
}

static pare_status encode_question(pri_features *features, const pare_wordpiece *tokenizer,
                                   const char *text, pri_piece_range *range)
{
    PRI_TRY(encode(features, tokenizer, text, range));
    features->cut_questions += range->count > features->shape.question_length;
    range->count = pri_smaller(range->count, features->shape.question_length);
    features->pieces.count = range->begin + range->count;
    return PARE_OK;
}

/* ---- The answer's pieces ---- */

/* The first piece of the range that begins at byte `byte` or later, counted from its beginning. */
static size_t first_piece_from(const pri_features *features, pri_piece_range range, size_t byte)
{
    const uint32_t *begins = features->pieces.begins + range.begin;
    size_t low = 0, high = range.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (begins[middle] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool spells(const pri_features *features, pri_piece_range context, size_t first,
                   pri_piece_range spelling)
{
    const uint32_t *ids = features->pieces.ids;
    return !memcmp(ids + context.begin + first, ids + spelling.begin, spelling.count * sizeof *ids);
}

/* The first place within the span whose pieces are those of the answer alone: of "(1862)" the
 * pieces "1862". Where there is none, the span. */
static pri_piece_span tighten(const pri_features *features, pri_piece_range context,
                              pri_piece_span span, pri_piece_range spelling)
{
    if (!spelling.count)
        return span;
    for (size_t first = span.first; first + spelling.count - 1 <= span.last; first++)
        if (spells(features, context, first, spelling))
            return (pri_piece_span){first, first + spelling.count - 1};
    return span;
}

/* The pieces of the words that hold the answer, tightened. */
static pare_status place_answer(pri_features *features, const pare_wordpiece *tokenizer,
                                const char *text, pri_piece_range context,
                                const pri_gold_answer *answer, pri_piece_span *span)
{
    *span = PRI_NO_SPAN;
    if (answer->begin == PRI_NOWHERE)
        return PARE_OK;
    size_t begin = answer->begin, end = begin + strlen(answer->text);
    pri_trim_blanks(text, &begin, &end);
    pri_widen_to_words(text, &begin, &end);
    size_t first = first_piece_from(features, context, begin);
    size_t after = first_piece_from(features, context, end);
    if (first == after)
        return PARE_OK;
    pri_piece_range spelling;
    PRI_TRY(encode(features, tokenizer, answer->text, &spelling));
    *span = tighten(features, context, (pri_piece_span){first, after - 1}, spelling);
    features->pieces.count = spelling.begin;
    return PARE_OK;
}

/* ---- Windows ---- */

static size_t window_size(const pri_features *features, const pri_asked *asked)
{
    return features->shape.length - asked->pieces.count - PRI_SPECIAL_TOKENS_PAIR;
}

static size_t count_windows(const pri_features *features, const pri_asked *asked)
{
    size_t size = window_size(features, asked);
    size_t pieces = features->contexts[asked->context].count;
    if (!pieces)
        return 0;
    return pieces <= size ? 1 : 1 + pri_divide_up(pieces - size, features->shape.stride);
}

static void cut_windows(const pri_features *features, size_t question)
{
    const pri_asked *asked = &features->questions[question];
    size_t size = window_size(features, asked);
    size_t pieces = features->contexts[asked->context].count;
    for (size_t i = 0; i < asked->window_count; i++) {
        size_t begin = i * features->shape.stride;
        features->windows[asked->first_window + i] = (pri_window){
            .question = question, .begin = begin, .count = pri_smaller(pieces - begin, size)};
    }
}

static pare_status append_sequence(pri_features *features, const pri_window *window,
                                   const pare_special_tokens *special)
{
    const pri_asked *asked = &features->questions[window->question];
    const uint32_t *ids = features->pieces.ids;
    pri_token_span question = {ids + asked->pieces.begin, asked->pieces.count};
    pri_token_span shown = {ids + features->contexts[asked->context].begin + window->begin,
                            window->count};
    return pri_sequences_append(&features->sequences, special, question, &shown,
                                features->shape.length);
}

static pare_status make_windows(pri_features *features, const pare_special_tokens *special)
{
    for (size_t i = 0; i < features->question_count; i++) {
        pri_asked *asked = &features->questions[i];
        asked->first_window = features->window_count;
        asked->window_count = count_windows(features, asked);
        features->window_count += asked->window_count;
    }
    features->windows = pri_allocate(features->window_count, sizeof *features->windows);
    if (!features->windows)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < features->question_count; i++)
        cut_windows(features, i);
    for (size_t i = 0; i < features->window_count; i++)
        PRI_TRY(append_sequence(features, &features->windows[i], special));
    return PARE_OK;
}

/* ---- All of it ---- */

static pare_status make_question(pri_features *features, const pri_squad *squad, size_t question,
                                 const pare_wordpiece *tokenizer)
{
    const pri_question *given = &squad->questions[question];
    pri_asked *asked = &features->questions[question];
    *asked = (pri_asked){.context = given->context, .answer = PRI_NO_SPAN};
    PRI_TRY(encode_question(features, tokenizer, given->text, &asked->pieces));
    if (!given->answer_count)
        return PARE_OK;
    return place_answer(features, tokenizer, squad->contexts[given->context],
                        features->contexts[given->context], &squad->answers[given->first_answer],
                        &asked->answer);
}

pare_status pri_features_make(pri_features *features, const pri_squad *squad,
                              const pri_window_shape *shape, const pare_wordpiece *tokenizer)
{
    PRI_TRY(pri_window_shape_check(shape));
    features->shape = *shape;
    features->context_count = squad->context_count;
    features->question_count = squad->question_count;
    features->contexts = pri_allocate(squad->context_count, sizeof *features->contexts);
    features->questions = pri_allocate(squad->question_count, sizeof *features->questions);
    if (!features->contexts || !features->questions)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < squad->context_count; i++)
        PRI_TRY(encode(features, tokenizer, squad->contexts[i], &features->contexts[i]));
    for (size_t i = 0; i < squad->question_count; i++)
        PRI_TRY(make_question(features, squad, i, tokenizer));
    pare_special_tokens special = pare_wordpiece_special_tokens(tokenizer);
    return make_windows(features, &special);
}

void pri_features_free(pri_features *features)
{
    pare_pieces_free(&features->pieces);
    pri_free(features->contexts);
    pri_free(features->questions);
    pri_free(features->windows);
    pri_sequences_free(&features->sequences);
    *features = (pri_features){0};
}

/* ---- Looking at them ---- */

static const pri_asked *asked_in(const pri_features *features, size_t window)
{
    return &features->questions[features->windows[window].question];
}

size_t pri_window_context_begin(const pri_features *features, size_t window)
{
    return asked_in(features, window)->pieces.count + 2;
}

pri_piece_span pri_window_target(const pri_features *features, size_t window)
{
    const pri_window *shown = &features->windows[window];
    pri_piece_span answer = asked_in(features, window)->answer;
    bool whole = pri_is_span(answer) && answer.first >= shown->begin &&
                 answer.last < shown->begin + shown->count;
    if (!whole)
        return (pri_piece_span){0, 0};
    size_t offset = pri_window_context_begin(features, window) - shown->begin;
    return (pri_piece_span){answer.first + offset, answer.last + offset};
}

static double context_around(const pri_window *window, size_t piece)
{
    size_t before = piece - window->begin;
    size_t after = window->begin + window->count - 1 - piece;
    return (double)pri_smaller(before, after) + .01 * (double)window->count;
}

bool pri_window_has_most_context(const pri_features *features, size_t window, size_t piece)
{
    const pri_asked *asked = asked_in(features, window);
    size_t stride = features->shape.stride, size = window_size(features, asked);
    /* Only these windows can hold the piece. */
    size_t first = piece >= size ? (piece - size) / stride + 1 : 0;
    size_t last = pri_smaller(piece / stride, asked->window_count - 1);
    size_t best = first;
    for (size_t i = first; i <= last; i++)
        if (context_around(&features->windows[asked->first_window + i], piece) >
            context_around(&features->windows[asked->first_window + best], piece))
            best = i;
    return asked->first_window + best == window;
}
