/* The GLUE tasks as they are published, and tables of the user's. */
#include "tasks/classification/layout.h"

#include <string.h>

#include "base/status.h"

#define ACCURACY                                                                                   \
    {                                                                                              \
        PRI_MEASURE_ACCURACY                                                                       \
    }
#define F1_FIRST                                                                                   \
    {                                                                                              \
        PRI_MEASURE_F1, PRI_MEASURE_ACCURACY                                                       \
    }

static const pri_layout glue[] = {
    {.task = "cola",
     .text_columns = {"4"},
     .label_column = "2",
     .classes = 2,
     .values = {"0", "1"},
     .names = {"unacceptable", "acceptable"},
     .measures = {PRI_MEASURE_MATTHEWS, PRI_MEASURE_ACCURACY}},
    {.task = "sst-2",
     .text_columns = {"sentence"},
     .label_column = "label",
     .header = true,
     .classes = 2,
     .values = {"0", "1"},
     .names = {"negative", "positive"},
     .measures = ACCURACY},
    {.task = "mrpc",
     .text_columns = {"#1 String", "#2 String"},
     .label_column = "Quality",
     .header = true,
     .classes = 2,
     .values = {"0", "1"},
     .names = {"not_equivalent", "equivalent"},
     .measures = F1_FIRST},
    {.task = "sts-b",
     .text_columns = {"sentence1", "sentence2"},
     .label_column = "score",
     .header = true,
     .regression = true,
     .measures = {PRI_MEASURE_PEARSON, PRI_MEASURE_SPEARMAN}},
    {.task = "qqp",
     .text_columns = {"question1", "question2"},
     .label_column = "is_duplicate",
     .header = true,
     .skips_short_rows = true,
     .classes = 2,
     .values = {"0", "1"},
     .names = {"not_duplicate", "duplicate"},
     .measures = F1_FIRST},
    {.task = "mnli",
     .text_columns = {"sentence1", "sentence2"},
     .label_column = "gold_label",
     .header = true,
     .classes = 3,
     .values = {"contradiction", "entailment", "neutral"},
     .names = {"contradiction", "entailment", "neutral"},
     .measures = ACCURACY},
    {.task = "qnli",
     .text_columns = {"question", "sentence"},
     .label_column = "label",
     .header = true,
     .classes = 2,
     .values = {"entailment", "not_entailment"},
     .names = {"entailment", "not_entailment"},
     .measures = ACCURACY},
    {.task = "rte",
     .text_columns = {"sentence1", "sentence2"},
     .label_column = "label",
     .header = true,
     .classes = 2,
     .values = {"entailment", "not_entailment"},
     .names = {"entailment", "not_entailment"},
     .measures = ACCURACY},
    {.task = "wnli",
     .text_columns = {"sentence1", "sentence2"},
     .label_column = "label",
     .header = true,
     .classes = 2,
     .values = {"0", "1"},
     .names = {"not_entailment", "entailment"},
     .measures = ACCURACY},
};

const char *pri_measure_name(pri_measure measure)
{
    static const char *const names[] = {"", "accuracy", "F1", "Matthews", "Pearson", "Spearman"};
    return names[measure];
}

static pare_status find_glue_task(const pare_classification_options *options, pri_layout *layout)
{
    if (options->text_columns[0] || options->text_columns[1] || options->label_column)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the columns of task '%s' are known; name either a task or text and label "
                        "columns",
                        options->task);
    for (size_t i = 0; i < sizeof glue / sizeof *glue; i++)
        if (!strcmp(glue[i].task, options->task)) {
            *layout = glue[i];
            return PARE_OK;
        }
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "'%s' is no GLUE task; use cola, sst-2, mrpc, sts-b, qqp, mnli, qnli, rte or "
                    "wnli, or name text and label columns",
                    options->task);
}

pare_status pri_layout_of(const pare_classification_options *options, pri_layout *layout)
{
    if (options->task)
        return find_glue_task(options, layout);
    if (!options->text_columns[0] || !options->label_column)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "no %s column; name a GLUE task, or the columns of text and label",
                        options->text_columns[0] ? "label" : "text");
    *layout = (pri_layout){.text_columns = {options->text_columns[0], options->text_columns[1]},
                           .label_column = options->label_column,
                           .header = options->header,
                           .regression = options->regression};
    return PARE_OK;
}

void pri_layout_choose_measures(pri_layout *layout, size_t classes)
{
    static const pri_measure binary[] = {PRI_MEASURE_ACCURACY, PRI_MEASURE_F1,
                                         PRI_MEASURE_MATTHEWS},
                             numbers[] = {PRI_MEASURE_PEARSON, PRI_MEASURE_SPEARMAN,
                                          PRI_MEASURE_NONE},
                             many[] = {PRI_MEASURE_ACCURACY, PRI_MEASURE_NONE, PRI_MEASURE_NONE};
    const pri_measure *measures = layout->regression ? numbers : classes == 2 ? binary : many;
    memcpy(layout->measures, measures, sizeof layout->measures);
}
