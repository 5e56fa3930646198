/* From logits to answers: 20 best first tokens x 20 best last tokens of each window; pairs count
 * whose both ends are in the context, in order, at most `answer_length` pieces apart, and whose
 * first piece this window shows with the most context. The largest sum of both logits over all
 * windows of a question wins; of equal sums, that of the earlier window and of the likelier first
 * token.
 *
 * Text of an answer. The reference implementation has pieces only: it joins those of the answer to
 * a string, looks for it in the joined pieces of the words around it, and carries the place over to
 * the original words by counting characters that are no blanks; where that fails the answer is the
 * whole words. Here every piece knows its bytes, and the answer is the bytes from its first to its
 * last piece. To give the same text, two cases are widened to whole words: an answer that begins
 * inside of a word (its first piece is a continuation, which the reference never finds) and one
 * with an unknown word in it. What remains different:
 *   - runs of blanks inside of the answer stay as they are in the context (the reference writes one
 *     blank; scores are the same);
 *   - where the answer's pieces occur twice within its words the reference takes the first
 * ("The-the" for the second "the" gives "The"), here the very place is taken;
 *   - where characters vanish or split on the way to pieces (decomposed accents, Hangul, zero-width
 *     characters) the reference's counts disagree and it takes whole words; here the bytes are
 *     exact, marks that follow the last letter included.
 * On the development set of SQuAD, with the vocabulary of MiniLM, the pieces of all first answers
 * and ten random spans for each question give the same text in 116,254 of 116,270 cases but for
 * blanks; the 16 others all have characters that vanish (tools/golden/squad_text.py). */
#ifndef PARE_SRC_TASKS_ANSWER_DECODING_H
#define PARE_SRC_TASKS_ANSWER_DECODING_H

#include "tasks/question_answering/features.h"

typedef struct pri_found_answer {
    size_t begin, end; /* bytes of the context */
    double score;      /* the sum of both logits */
    size_t window;
} pri_found_answer;

/* The best answers to one question, with different texts, best first. */
typedef struct pri_found_answers {
    pri_found_answer *best; /* (wanted) */
    size_t wanted, count;
} pri_found_answers;

typedef struct pri_decoder {
    const pri_features *features;
    const pare_wordpiece *tokenizer;
    size_t answer_length;
} pri_decoder;

/* Adds what a window's logits, (tokens, 2), have to offer. Windows may come in any order. `context`
 * is that of the window's question. */
void pri_decode_window(const pri_decoder *decoder, size_t window, const float *logits,
                       const char *context, pri_found_answers *answers);

#endif
