/* One run of a sweep: a model trained (or only masked) and evaluated in a directory of its own. */
#ifndef PARE_SRC_SWEEP_RUN_H
#define PARE_SRC_SWEEP_RUN_H

#include "pare/sweep.h"
#include "sweep/mask_set.h"

/* What all runs of a sweep share. */
typedef struct pri_run_setting {
    pare_context *context;
    const pare_recipe *recipe;
    pare_recipe_data data;
    pare_progress progress;
    const char *command; /* what the user typed; NULL: not known */
} pri_run_setting;

/* Reads the data; destroy with pri_run_setting_close, also after a failure. */
pare_status pri_run_setting_open(pare_context *context, const pare_recipe *recipe,
                                 const pare_sweep_options *options, pri_run_setting *setting);
void pri_run_setting_close(pri_run_setting *setting);
/* Without rows: what the recipe, its task and the machine say of all of them. */
pare_results pri_run_results(const pri_run_setting *setting);

typedef struct pri_run {
    char label[96];        /* "attention-pruning-90", for progress */
    const char *directory; /* where the run lives */
    const char *method;    /* "dense", "attention-pruning", "random" */
    pare_start start;      /* of pruned runs */
    const char *dense;     /* directory of the dense run: what a pruned one is distilled from */
    const char *weights;   /* directory of the weights to start from, unless it is a restart */
    const double *stages;  /* stepwise: the percents of the runs before this one */
    size_t stage_count;
    pri_mask_set masks; /* empty: dense; borrowed */
} pri_run;

extern const char *const pri_start_names[]; /* "restart"; by pare_start */

/* Kinds of attention that the recipe's model has. */
size_t pri_recipe_attention_kinds(const pare_recipe *recipe);

/* Trains and evaluates what is not done yet; `fresh` tells whether anything was. */
pare_status pri_run_execute(const pri_run_setting *setting, const pri_run *run,
                            pare_result_row *row, bool *fresh);

#endif
