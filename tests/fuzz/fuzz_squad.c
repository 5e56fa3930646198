/* The reader of data sets in SQuAD's layout: whatever it accepts must have answers that stand where
 * they are said to, and that are right when compared with themselves. */
#include <stdlib.h>
#include <string.h>

#include "tasks/question_answering/answer_score.h"
#include "tasks/question_answering/squad_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const char *context, const pri_gold_answer *answer, pri_squad_use use)
{
    size_t length = strlen(answer->text);
    if (answer->begin == PRI_NOWHERE) {
        if (use == PRI_SQUAD_TRAINING)
            abort();
    } else if (strncmp(context + answer->begin, answer->text, length)) {
        abort();
    }
    pri_answer_score score;
    if (pri_score_answer(answer->text, length, answer->text, &score) != PARE_OK ||
        score.exact_match < 1 || score.f1 < 1)
        abort();
}

static void check_squad(const pri_squad *squad, pri_squad_use use)
{
    for (size_t i = 0; i < squad->question_count; i++) {
        const pri_question *question = &squad->questions[i];
        size_t answers = use == PRI_SQUAD_TRAINING ? 1 : question->answer_count;
        for (size_t j = 0; j < answers; j++)
            check_answer(squad->contexts[question->context],
                         &squad->answers[question->first_answer + j], use);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int use = PRI_SQUAD_TRAINING; use <= PRI_SQUAD_EVALUATION; use++) {
        pri_squad squad = {0};
        if (pri_squad_parse(&squad, (const char *)data, size, "input", (pri_squad_use)use) ==
            PARE_OK)
            check_squad(&squad, (pri_squad_use)use);
        pri_squad_free(&squad);
    }
    return 0;
}
