/* How a task's rows are laid out, and what the task is measured by. */
#ifndef PARE_SRC_TASKS_LAYOUT_H
#define PARE_SRC_TASKS_LAYOUT_H

#include "pare/task.h"

typedef enum pri_measure {
    PRI_MEASURE_NONE,
    PRI_MEASURE_ACCURACY,
    PRI_MEASURE_F1,
    PRI_MEASURE_MATTHEWS,
    PRI_MEASURE_PEARSON,
    PRI_MEASURE_SPEARMAN
} pri_measure;

#define PRI_MEASURES_MAX 3 /* the metric and what is given beside it */
#define PRI_GLUE_CLASSES_MAX 3

typedef struct pri_layout {
    const char *task; /* NULL: a table of the user's */
    const char *text_columns[2], *label_column;
    bool header, regression;
    bool
        skips_short_rows; /* three lines of QQP's training file are broken; all readers skip them */
    size_t classes;       /* 0: collected from the training file */
    const char *values[PRI_GLUE_CLASSES_MAX]; /* in the label column */
    const char *names[PRI_GLUE_CLASSES_MAX];  /* what they mean */
    pri_measure measures[PRI_MEASURES_MAX];
} pri_layout;

const char *pri_measure_name(pri_measure measure);
/* Checks that options fit together. */
pare_status pri_layout_of(const pare_classification_options *options, pri_layout *layout);
/* What a table of the user's is measured by, once the number of its classes is known. */
void pri_layout_choose_measures(pri_layout *layout, size_t classes);

#endif
