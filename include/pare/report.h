/* Reports: results as rows, tables for the terminal, one self-contained HTML page, PNG pictures. */
#ifndef PARE_REPORT_H
#define PARE_REPORT_H

#include "pare/pruning.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARE_RESULT_MEASURES 3
typedef struct pare_result_measure {
    char name[24]; /* "accuracy" */
    double value;
} pare_result_measure;

/* One finished run. NaN: not known. */
typedef struct pare_result_row {
    char method[24];    /* "dense", "attention-pruning", "random" */
    char start[16];     /* "restart", "continue", "stepwise", "zero-shot"; "" for dense */
    char attention[16]; /* pruned runs of translation: "encoder", "decoder", "cross", "selves" (both
                           self attentions), "all"; percents are of these together. Otherwise "" */
    uint64_t seed;      /* of the random mask; in a sweep over training seeds, of training */
    double p_requested; /* percent, of admissible cells, or of the corpus's where the sweep said so
                         */
    double p_nominal, p_admissible, p_effective; /* percent */
    double kept_mass;                            /* percent */
    double valid, test;                          /* the metric */
    pare_result_measure
        more[PARE_RESULT_MEASURES]; /* beside it, on test, or on valid without one */
    size_t more_count;
    double train_seconds, tokens_per_second, attention_seconds, evaluate_seconds, plan_seconds;
    uint64_t peak_bytes, steps, parameters;
    char directory[256]; /* of the run, relative to the report's directory */
} pare_result_row;

/* All that results.json holds. */
typedef struct pare_results {
    char name[128], description[1024];
    char metric[32];
    bool higher_is_better;
    char machine[128], level[32], version[32], command[512];
    int threads;
    char geometry[32], scope[32], average[32];    /* geometry: "cell, ends first, blocks of 32" */
    char distillation[32];                        /* share of the loss; "" for none */
    char average_path[PARE_ATTENTION_KINDS][256]; /* relative; averages of the (first) dense run; ""
                                                     where the model has no such attention */
    pare_result_row *rows;
    size_t count;
} pare_results;

PARE_API PARE_MUST_CHECK pare_status pare_results_save(const pare_results *results,
                                                       const char *path);
PARE_API PARE_MUST_CHECK pare_status pare_results_load(const char *path, pare_results *results);
PARE_API void pare_results_free(pare_results *results);

/* A table for a terminal or a file, in a malloc'ed string the caller frees. `markdown` for
 * documents. Changes are in percent of dense, in points where higher is better. Of several kinds of
 * attention a second one follows: quality by kind and requested percent, with the p_eff of each. */
PARE_API PARE_MUST_CHECK pare_status pare_results_table(const pare_results *results, bool markdown,
                                                        char **text);
/* Several sweeps side by side, as papers show tasks: a line per pruned attention, method, start and
 * requested percent, a column per sweep (quality on test, or on validation without one), and the
 * plain mean of different tasks. Sweeps of one name and metric are no different tasks: their
 * columns say what differs (geometry, scope, average), or are numbered. */
PARE_API PARE_MUST_CHECK pare_status pare_results_comparison(const pare_results *results,
                                                             size_t count, bool markdown,
                                                             char **text);
/* Writes report.html beside results.json in `directory`; reads the average and the masks of the
 * runs named there when they exist. */
PARE_API PARE_MUST_CHECK pare_status pare_report_html(const char *directory);
/* Writes every picture of the report as PNG into `output`. */
PARE_API PARE_MUST_CHECK pare_status pare_report_png(const char *directory, const char *output);
/* Average attention (log scale) of one head with pruned cells dark, as Unicode blocks with
 * 256-colour escapes (or none), at most `width` characters wide; a line of text is two rows of the
 * map. mask may be NULL. malloc'ed. */
PARE_API PARE_MUST_CHECK pare_status pare_heat_map_text(const pare_average *average,
                                                        const pare_mask *mask, size_t layer,
                                                        size_t head, size_t width, bool colour,
                                                        char **text);

/* One sequence's attention, or one pair's cross attention: an average of it alone, with the tokens
 * it has. */
typedef struct pare_attention_view {
    const char *title;             /* "a film to remember: positive, 98.2%" */
    const pare_average *average;   /* a query per row's piece, a key per column's; no memory */
    const pare_mask *mask;         /* what was pruned, of the same coordinates; NULL: nothing */
    const char *const *pieces;     /* of the columns, in the order of the sentence */
    const char *const *row_pieces; /* of the rows, when they are of another sentence, as in cross
                                      attention (the target's); NULL: those of the columns */
} pare_attention_view;
/* Writes a page with a map of every layer and head, rows and columns named by the pieces; a click
 * enlarges one. It needs no network and no script. */
PARE_API PARE_MUST_CHECK pare_status pare_attention_html(const pare_attention_view *view,
                                                         const char *path);
/* One head of it for a terminal, as pare_heat_map_text; a line of text is one row, or as many as a
 * cell has columns where the map had to be reduced to `width`. */
PARE_API PARE_MUST_CHECK pare_status pare_attention_text(const pare_attention_view *view,
                                                         size_t layer, size_t head, size_t width,
                                                         bool colour, char **text);
/* How much query `row` looks at key `column`, both counted in the order of the sentence; NaN where
 * the mask prunes. */
PARE_API double pare_attention_value(const pare_attention_view *view, size_t layer, size_t head,
                                     size_t row, size_t column);

#ifdef __cplusplus
}
#endif
#endif
