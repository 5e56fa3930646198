/* BLEU and chrF of counted n-grams, in percent. */
#ifndef PARE_SRC_TASKS_TRANSLATION_BLEU_H
#define PARE_SRC_TASKS_TRANSLATION_BLEU_H

#include "tasks/translation/ngrams.h"

#define PRI_BLEU_ORDERS 4
#define PRI_CHRF_ORDERS PRI_NGRAM_ORDERS

/* 1, or exp(1 - r / h) when the hypotheses' h words are fewer than the references' r; 0 when there
 * are none. */
double pri_brevity_penalty(const pri_ngram_counts *words);
/* Shares of n-grams that match, in percent, with the smoothing "exp" of sacreBLEU: an order without
 * matches has a half, the next one without a quarter, and so on, of one match. 0 without n-grams,
 * and all 0 when no word matches. */
void pri_smoothed_precisions(const pri_ngram_counts *words, double precisions[PRI_BLEU_ORDERS]);
/* The geometric mean of `precisions` by the brevity penalty. */
double pri_bleu(const pri_ngram_counts *words, const double precisions[PRI_BLEU_ORDERS]);
/* BLEU of bare precisions: 0 when an order has no matches. */
double pri_plain_bleu(const pri_ngram_counts *words);
/* chrF2 of characters. */
double pri_chrf(const pri_ngram_counts *characters);

#endif
