/* Questions on texts, in the JSON layout of SQuAD 1.1 and of the many sets in other languages that
 * follow it:
 *
 *     {"data": [{"title": ..., "paragraphs": [{"context": "...", "qas": [{"id": "...",
 *         "question": "...", "answers": [{"text": "...", "answer_start": 515}]}]}]}]}
 *
 * Plain or gzip. `answer_start` counts characters (code points). Other members are not looked at.
 */
#ifndef PARE_SRC_TASKS_SQUAD_FILE_H
#define PARE_SRC_TASKS_SQUAD_FILE_H

#include "base/memory.h"
#include "base/status.h"

#define PRI_NOWHERE SIZE_MAX

typedef struct pri_gold_answer {
    const char *text;
    size_t begin; /* byte of the context where it stands, or PRI_NOWHERE */
} pri_gold_answer;

typedef struct pri_question {
    const char *id, *text;
    size_t context;
    size_t first_answer, answer_count;
} pri_question;

typedef struct pri_squad {
    const char **contexts;
    size_t context_count, context_capacity;
    pri_question *questions; /* in the file's order */
    size_t question_count, question_capacity;
    pri_gold_answer *answers;
    size_t answer_count, answer_capacity;
    size_t moved;       /* answers that stood elsewhere than the file says */
    pri_arena *strings; /* where they all are */
} pri_squad;

/* What a question must bring with it. */
typedef enum pri_squad_use {
    PRI_SQUAD_TRAINING,  /* its first answer, and that must stand in the context */
    PRI_SQUAD_EVALUATION /* nothing: it may have no answers, or such that stand nowhere */
} pri_squad_use;

/* Zero-initialised by the caller; free also after a failure. An answer that is not where
 * answer_start says is looked for in the whole context, and the occurrence nearest to that place
 * taken (`moved` counts those). Errors name article, paragraph, and question or id: ids that occur
 * twice, empty contexts, what has the wrong type. A file without any question is an error. */
pare_status pri_squad_read(pri_squad *squad, const char *path, pri_squad_use use);
/* The same from memory; `name` stands for the file in messages. */
pare_status pri_squad_parse(pri_squad *squad, const char *data, size_t size, const char *name,
                            pri_squad_use use);
void pri_squad_free(pri_squad *squad);

#endif
