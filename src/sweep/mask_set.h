/* The masks of one run: one for every kind of attention that it prunes. */
#ifndef PARE_SRC_SWEEP_MASK_SET_H
#define PARE_SRC_SWEEP_MASK_SET_H

#include "pare/report.h"
#include "pare/train.h"

typedef struct pri_mask_set {
    pare_mask *masks[PARE_ATTENTION_KINDS];    /* NULL: that kind is dense */
    double corpus_cells[PARE_ATTENTION_KINDS]; /* admissible cells of the data, of the whole kind */
    double percent;                            /* that was asked for; 0: the masks say it */
} pri_mask_set;

/* Masks of the recipe's geometry for the kinds whose bits are set in `attention`, out of the
 * averages of each kind. `prune` has method, percent, of admissible cells or the corpus's if
 * `effective`, and seed. Free also after a failure. */
pare_status pri_mask_set_create(pare_average *const averages[PARE_ATTENTION_KINDS],
                                unsigned attention, const pare_prune_options *prune, bool effective,
                                pri_mask_set *set);
void pri_mask_set_free(pri_mask_set *set);
bool pri_mask_set_is_empty(const pri_mask_set *set);
/* Saves the masks into a run's directory, or checks that those there are the same to the last byte.
 */
pare_status pri_mask_set_place(const pri_mask_set *set, size_t kinds, const char *directory);
pare_status pri_mask_set_apply(const pri_mask_set *set, pare_model *model);
/* What the masks prune, taken together, and of which kinds. Of several masks that came from files
 * p_effective is not known. */
void pri_mask_set_describe(const pri_mask_set *set, size_t kinds, pare_result_row *row);
/* "selves", for a set of kinds as bits; "" for cross and one of the selves, which has no word. */
const char *pri_attention_name(unsigned attention);

#endif
