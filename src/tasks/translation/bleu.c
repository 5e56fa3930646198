/* The formulas, with the names and the order of operations of sacreBLEU where it defines them. */
#include "tasks/translation/bleu.h"

#include <math.h>

double pri_brevity_penalty(const pri_ngram_counts *words)
{
    uint64_t hypothesis = words->hypothesis[0], reference = words->reference[0];
    if (hypothesis >= reference)
        return 1;
    return hypothesis ? exp(1 - (double)reference / (double)hypothesis) : 0;
}

void pri_smoothed_precisions(const pri_ngram_counts *words, double precisions[PRI_BLEU_ORDERS])
{
    double smoothing = 1;
    for (size_t i = 0; i < PRI_BLEU_ORDERS; i++) {
        double matches = (double)words->matches[i];
        precisions[i] = 0;
        if (!words->matches[0] || !words->hypothesis[i])
            continue;
        if (!words->matches[i])
            matches = 1 / (smoothing *= 2);
        precisions[i] = 100 * matches / (double)words->hypothesis[i];
    }
}

double pri_bleu(const pri_ngram_counts *words, const double precisions[PRI_BLEU_ORDERS])
{
    double sum = 0;
    for (size_t i = 0; i < PRI_BLEU_ORDERS; i++)
        sum += log(precisions[i]);
    return pri_brevity_penalty(words) * exp(sum / PRI_BLEU_ORDERS);
}

double pri_plain_bleu(const pri_ngram_counts *words)
{
    double precisions[PRI_BLEU_ORDERS];
    for (size_t i = 0; i < PRI_BLEU_ORDERS; i++) {
        if (!words->matches[i])
            return 0;
        precisions[i] = 100 * (double)words->matches[i] / (double)words->hypothesis[i];
    }
    return pri_bleu(words, precisions);
}

/* Recall counts beta^2 = 4 times as much as precision; both are means over the orders that both
 * sides have. */
double pri_chrf(const pri_ngram_counts *characters)
{
    const double factor = 4;
    double precision = 0, recall = 0, orders = 0;
    for (size_t i = 0; i < PRI_CHRF_ORDERS; i++) {
        if (!characters->hypothesis[i] || !characters->reference[i])
            continue;
        precision += (double)characters->matches[i] / (double)characters->hypothesis[i];
        recall += (double)characters->matches[i] / (double)characters->reference[i];
        orders++;
    }
    if (precision + recall <= 0)
        return 0;
    precision /= orders;
    recall /= orders;
    return 100 * (1 + factor) * precision * recall / (factor * precision + recall);
}
