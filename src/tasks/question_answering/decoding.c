#include "tasks/question_answering/decoding.h"

#include <string.h>

#include "tasks/python_text.h"
#include "tasks/question_answering/words.h"
#include "text/wordpiece.h"

#define BEST_PLACES 20

/* ---- The likeliest places ---- */

typedef struct best_places {
    size_t places[BEST_PLACES]; /* of a window's sequence, likeliest first */
    size_t count;
} best_places;

/* The largest numbers of one column of `logits` (length, 2), earlier places first among equals. */
static best_places find_best(const float *logits, size_t column, size_t length)
{
    best_places best = {.count = 0};
    for (size_t place = 0; place < length; place++) {
        float value = logits[2 * place + column];
        size_t rank = best.count;
        while (rank && value > logits[2 * best.places[rank - 1] + column])
            rank--;
        if (rank == BEST_PLACES)
            continue;
        best.count = pri_smaller(best.count + 1, BEST_PLACES);
        memmove(best.places + rank + 1, best.places + rank,
                (best.count - 1 - rank) * sizeof *best.places);
        best.places[rank] = place;
    }
    return best;
}

/* ---- Text ---- */

static bool begins_inside_word(const pri_decoder *decoder, uint32_t piece)
{
    return !strncmp(pare_wordpiece_token(decoder->tokenizer, piece), PRI_CONTINUATION,
                    PRI_CONTINUATION_LENGTH);
}

/* Marks above and below a letter belong to it, though its piece may have dropped them. */
static size_t after_marks(const char *context, size_t byte)
{
    for (const char *at = context + byte; *at;) {
        int32_t character;
        const char *next = pri_next_character(at, at + strnlen(at, 4), &character);
        if (!pri_is_mark(character))
            return (size_t)(at - context);
        at = next;
    }
    return byte + strlen(context + byte);
}

/* The bytes of pieces span.first .. span.last of the context. */
static void find_bytes(const pri_decoder *decoder, pri_piece_range range, pri_piece_span span,
                       const char *context, pri_found_answer *answer)
{
    const pare_pieces *pieces = &decoder->features->pieces;
    const uint32_t *ids = pieces->ids + range.begin;
    uint32_t unknown = pare_wordpiece_special_tokens(decoder->tokenizer).unknown;
    answer->begin = pieces->begins[range.begin + span.first];
    answer->end = after_marks(context, pieces->ends[range.begin + span.last]);
    bool widened = begins_inside_word(decoder, ids[span.first]);
    for (size_t i = span.first; i <= span.last; i++)
        widened |= ids[i] == unknown;
    if (widened)
        pri_widen_to_words(context, &answer->begin, &answer->end);
}

/* ---- The list ---- */

static bool precedes(const pri_found_answer *a, const pri_found_answer *b)
{
    return a->score > b->score || (a->score == b->score && a->window < b->window);
}

static bool same_text(const char *context, const pri_found_answer *a, const pri_found_answer *b)
{
    size_t length = a->end - a->begin;
    return length == b->end - b->begin && !memcmp(context + a->begin, context + b->begin, length);
}

static void remove_answer(pri_found_answers *answers, size_t place)
{
    answers->count--;
    memmove(answers->best + place, answers->best + place + 1,
            (answers->count - place) * sizeof *answers->best);
}

static size_t place_in(const pri_found_answers *answers, const pri_found_answer *answer)
{
    size_t place = 0;
    while (place < answers->count && !precedes(answer, &answers->best[place]))
        place++;
    return place;
}

/* Of answers with one text, the best stays. */
static void insert(pri_found_answers *answers, size_t place, const char *context,
                   const pri_found_answer *answer)
{
    for (size_t i = 0; i < answers->count; i++) {
        if (!same_text(context, &answers->best[i], answer))
            continue;
        if (i < place)
            return;
        remove_answer(answers, i);
        break;
    }
    if (answers->count == answers->wanted)
        answers->count--;
    memmove(answers->best + place + 1, answers->best + place,
            (answers->count - place) * sizeof *answers->best);
    answers->best[place] = *answer;
    answers->count++;
}

/* ---- A window ---- */

typedef struct window_view {
    const pri_decoder *decoder;
    size_t window;
    const float *logits;
    const char *context;
    pri_piece_range pieces; /* of the context */
    size_t begin, end;      /* places in the sequence that show the context */
    size_t first_piece;     /* of the context, at place `begin` */
} window_view;

static window_view view_window(const pri_decoder *decoder, size_t window, const float *logits,
                               const char *context)
{
    const pri_features *features = decoder->features;
    const pri_window *cut = &features->windows[window];
    size_t begin = pri_window_context_begin(features, window);
    return (window_view){.decoder = decoder,
                         .window = window,
                         .logits = logits,
                         .context = context,
                         .pieces = features->contexts[features->questions[cut->question].context],
                         .begin = begin,
                         .end = begin + cut->count,
                         .first_piece = cut->begin};
}

static size_t piece_at(const window_view *view, size_t place)
{
    return view->first_piece + (place - view->begin);
}

static bool is_answer(const window_view *view, size_t first, size_t last)
{
    return first >= view->begin && last >= first && last < view->end &&
           last - first < view->decoder->answer_length &&
           pri_window_has_most_context(view->decoder->features, view->window,
                                       piece_at(view, first));
}

static void try_pair(const window_view *view, size_t first, size_t last, pri_found_answers *answers)
{
    pri_found_answer answer = {.score = (double)view->logits[2 * first] +
                                        (double)view->logits[2 * last + 1],
                               .window = view->window};
    size_t place = place_in(answers, &answer);
    if (place == answers->wanted || !is_answer(view, first, last))
        return;
    pri_piece_span span = {piece_at(view, first), piece_at(view, last)};
    find_bytes(view->decoder, view->pieces, span, view->context, &answer);
    insert(answers, place, view->context, &answer);
}

void pri_decode_window(const pri_decoder *decoder, size_t window, const float *logits,
                       const char *context, pri_found_answers *answers)
{
    window_view view = view_window(decoder, window, logits, context);
    size_t length = pri_sequences_at(&decoder->features->sequences, window).count;
    best_places firsts = find_best(logits, 0, length), lasts = find_best(logits, 1, length);
    for (size_t i = 0; i < firsts.count; i++)
        for (size_t j = 0; j < lasts.count; j++)
            try_pair(&view, firsts.places[i], lasts.places[j], answers);
}
