/* Questions and contexts as word pieces, cut into the windows that a model sees:
 *
 *     [CLS] question [SEP] pieces of the context [SEP]
 *
 * A question is cut to its first `question_length` pieces. The rest of `length` holds a window of
 * the context; the next window begins `stride` pieces later; the first one that reaches the end of
 * the context is the last. */
#ifndef PARE_SRC_TASKS_QUESTION_FEATURES_H
#define PARE_SRC_TASKS_QUESTION_FEATURES_H

#include "base/arithmetic.h"
#include "pare/text.h"
#include "tasks/question_answering/squad_file.h"
#include "tasks/sequences.h"

typedef struct pri_window_shape {
    size_t length, stride, question_length;
} pri_window_shape;
/* Fails when windows would be empty or text between them would be left out. */
pare_status pri_window_shape_check(const pri_window_shape *shape);

/* A text's part in `pieces` below. */
typedef struct pri_piece_range {
    size_t begin, count;
} pri_piece_range;

/* Pieces first .. last of a context. */
typedef struct pri_piece_span {
    size_t first, last;
} pri_piece_span;
#define PRI_NO_SPAN ((pri_piece_span){SIZE_MAX, SIZE_MAX})
static inline bool pri_is_span(pri_piece_span span)
{
    return span.last != SIZE_MAX;
}

/* Pieces begin .. begin + count - 1 of the context. Windows of a question are neighbours. */
typedef struct pri_window {
    size_t question;
    size_t begin, count;
} pri_window;

typedef struct pri_asked {
    pri_piece_range pieces; /* of the question, at most question_length */
    size_t context;
    size_t first_window, window_count; /* 0: nothing of the context is left as pieces */
    pri_piece_span answer;             /* the first gold answer's */
} pri_asked;

/* Zero-initialised by the caller; free also after a failure. */
typedef struct pri_features {
    pri_window_shape shape;
    pare_pieces pieces;        /* of all texts end to end; bytes count from their own beginnings */
    pri_piece_range *contexts; /* numbered as in the file */
    pri_asked *questions;
    size_t context_count, question_count, cut_questions;
    pri_window *windows;
    size_t window_count;
    pri_sequences sequences; /* of the windows, one each */
} pri_features;

pare_status pri_features_make(pri_features *features, const pri_squad *squad,
                              const pri_window_shape *shape, const pare_wordpiece *tokenizer);
void pri_features_free(pri_features *features);

/* The place in a window's sequence of the first piece of the context that it shows. */
size_t pri_window_context_begin(const pri_features *features, size_t window);
/* Where the answer begins and ends in the window's sequence; 0, that is [CLS], for both when the
 * window does not hold all of it. */
pri_piece_span pri_window_target(const pri_features *features, size_t window);
/* Whether, of the question's windows that hold it, this one shows piece `piece` of the context with
 * the most context: the largest min(pieces before, pieces after) + .01 * window, the first of
 * equals. */
bool pri_window_has_most_context(const pri_features *features, size_t window, size_t piece);

#endif
