/* The tree of the JSON file is flattened into three arrays. Messages are put together on the way
 * out: whoever knows which paragraph or article failed puts that before the sentence. */
#include "tasks/question_answering/squad_file.h"

#include <string.h>

#include "base/arithmetic.h"
#include "base/utf8.h"
#include "documents/json.h"
#include "tasks/python_text.h"
#include "text/text_file.h"
#include "text/word_table.h"

#define LARGEST_FILE ((size_t)1 << 30)

typedef struct squad_reading {
    pri_squad *squad;
    pri_squad_use use;
    pri_word_table ids;
} squad_reading;

/* ---- Growing arrays, strings ---- */

static pare_status grow(void **array, size_t *count, size_t *capacity, size_t size)
{
    if (*count == *capacity) {
        size_t larger = *capacity ? 2 * *capacity : 64;
        void *grown = pri_reallocate(*array, *capacity, larger, size);
        if (!grown)
            return PARE_ERROR_MEMORY;
        *array = grown;
        *capacity = larger;
    }
    ++*count;
    return PARE_OK;
}

static pare_status keep_string(pri_squad *squad, const char *text, size_t length, const char **kept)
{
    char *copy = pri_arena_allocate(squad->strings, length + 1, 1);
    if (!copy)
        return PARE_ERROR_MEMORY;
    memcpy(copy, text, length);
    copy[length] = 0;
    *kept = copy;
    return PARE_OK;
}

/* ---- Members ---- */

static pare_status fail_member(const json_t *object, const char *key, const char *wanted)
{
    return pri_fail(PARE_ERROR_FORMAT,
                    json_object_get(object, key) ? "\"%s\" should be %s" : "\"%s\" (%s) is missing",
                    key, wanted);
}

static pare_status get_string(pri_squad *squad, const json_t *object, const char *key,
                              const char **text)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_string(member))
        return fail_member(object, key, "a string");
    return keep_string(squad, json_string_value(member), json_string_length(member), text);
}

static pare_status get_array(const json_t *object, const char *key, const json_t **array)
{
    *array = json_object_get(object, key);
    return json_is_array(*array) ? PARE_OK : fail_member(object, key, "a list");
}

/* Some sets number their questions instead of naming them. */
static pare_status get_id(pri_squad *squad, const json_t *object, const char **id)
{
    const json_t *member = json_object_get(object, "id");
    if (!json_is_integer(member))
        return get_string(squad, object, "id", id);
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(member));
    return keep_string(squad, digits, (size_t)length, id);
}

/* ---- Answers ---- */

static bool is_blank(const char *text)
{
    const char *end = text + strlen(text);
    while (text < end) {
        int32_t character;
        text = pri_next_character(text, end, &character);
        if (!pri_python_is_space(character))
            return false;
    }
    return true;
}

/* The byte at which character number `characters` of the text begins; its end when it is shorter.
 */
static size_t byte_of_character(const char *text, uint64_t characters)
{
    const char *end = text + strlen(text);
    const char *at = text;
    for (; at < end && characters; characters--)
        at += pri_utf8_length(at, (size_t)(end - at));
    return (size_t)(at - text);
}

static size_t find_nearest(const char *context, const char *answer, size_t place)
{
    size_t nearest = PRI_NOWHERE, smallest = SIZE_MAX;
    for (const char *at = strstr(context, answer); at; at = strstr(at + 1, answer)) {
        size_t begin = (size_t)(at - context);
        size_t distance = begin > place ? begin - place : place - begin;
        if (distance >= smallest) /* from here on they only get farther away */
            break;
        smallest = distance;
        nearest = begin;
    }
    return nearest;
}

static void place_answer(squad_reading *reading, const char *context, const json_t *object,
                         pri_gold_answer *answer)
{
    const json_t *start = json_object_get(object, "answer_start");
    size_t length = strlen(answer->text);
    answer->begin = PRI_NOWHERE;
    if (is_blank(answer->text))
        return;
    json_int_t characters = json_is_integer(start) ? json_integer_value(start) : 0;
    size_t place = byte_of_character(context, characters > 0 ? (uint64_t)characters : 0);
    if (!strncmp(context + place, answer->text, length)) {
        answer->begin = place;
        return;
    }
    answer->begin = find_nearest(context, answer->text, place);
    reading->squad->moved += answer->begin != PRI_NOWHERE;
}

/* Evaluation does without a start, but one that is no number is a mistake in the file. */
static pare_status check_start(const json_t *object)
{
    const json_t *start = json_object_get(object, "answer_start");
    if (!start || json_is_null(start) || json_is_integer(start))
        return PARE_OK;
    return fail_member(object, "answer_start", "a whole number");
}

static pare_status read_answers(squad_reading *reading, const json_t *object,
                                pri_question *question)
{
    pri_squad *squad = reading->squad;
    const json_t *answers = json_object_get(object, "answers");
    question->first_answer = squad->answer_count;
    if (!answers || json_is_null(answers))
        return PARE_OK;
    PRI_TRY(get_array(object, "answers", &answers));
    size_t i;
    json_t *member;
    json_array_foreach(answers, i, member)
    {
        PRI_TRY(grow((void **)&squad->answers, &squad->answer_count, &squad->answer_capacity,
                     sizeof *squad->answers));
        pri_gold_answer *answer = &squad->answers[squad->answer_count - 1];
        PRI_TRY(get_string(squad, member, "text", &answer->text));
        PRI_TRY(check_start(member));
        place_answer(reading, squad->contexts[question->context], member, answer);
    }
    question->answer_count = squad->answer_count - question->first_answer;
    return PARE_OK;
}

static pare_status check_training_answer(const pri_squad *squad, const pri_question *question)
{
    if (!question->answer_count)
        return pri_fail(PARE_ERROR_FORMAT,
                        "has no answer to learn; remove it (questions without answers are not "
                        "part of SQuAD 1.1)");
    const pri_gold_answer *answer = &squad->answers[question->first_answer];
    if (answer->begin == PRI_NOWHERE)
        return pri_fail(PARE_ERROR_FORMAT,
                        "the answer \"%.60s\" is not in its context; correct or remove it",
                        answer->text);
    return PARE_OK;
}

/* ---- Questions, paragraphs, articles ---- */

static pare_status check_id(squad_reading *reading, const char *id)
{
    uint32_t number;
    size_t known = reading->ids.count;
    PRI_TRY(pri_word_table_add(&reading->ids, id, strlen(id), 1, &number));
    if (number == known)
        return PARE_OK;
    return pri_fail(PARE_ERROR_FORMAT, "this id occurs twice; ids name answers, so each must be "
                                       "unique");
}

static pare_status read_question_of_id(squad_reading *reading, const json_t *object,
                                       pri_question *question)
{
    PRI_TRY(check_id(reading, question->id));
    PRI_TRY(get_string(reading->squad, object, "question", &question->text));
    PRI_TRY(read_answers(reading, object, question));
    return reading->use == PRI_SQUAD_TRAINING ? check_training_answer(reading->squad, question)
                                              : PARE_OK;
}

static pare_status read_question(squad_reading *reading, const json_t *object)
{
    pri_squad *squad = reading->squad;
    PRI_TRY(grow((void **)&squad->questions, &squad->question_count, &squad->question_capacity,
                 sizeof *squad->questions));
    pri_question *question = &squad->questions[squad->question_count - 1];
    *question = (pri_question){.context = squad->context_count - 1};
    PRI_TRY(get_id(squad, object, &question->id));
    pare_status status = read_question_of_id(reading, object, question);
    return status == PARE_OK ? status : pri_fail_in(status, "id %.80s", question->id);
}

/* Reads every entry of the array `key`; messages say which one is wrong. */
static pare_status read_each(squad_reading *reading, const json_t *object, const char *key,
                             const char *what,
                             pare_status (*read)(squad_reading *reading, const json_t *entry))
{
    const json_t *entries;
    PRI_TRY(get_array(object, key, &entries));
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        pare_status status = read(reading, entry);
        if (status != PARE_OK)
            return pri_fail_in(status, "%s %zu", what, i + 1);
    }
    return PARE_OK;
}

static pare_status read_paragraph(squad_reading *reading, const json_t *object)
{
    pri_squad *squad = reading->squad;
    PRI_TRY(grow((void **)&squad->contexts, &squad->context_count, &squad->context_capacity,
                 sizeof *squad->contexts));
    const char **context = &squad->contexts[squad->context_count - 1];
    PRI_TRY(get_string(squad, object, "context", context));
    if (is_blank(*context))
        return pri_fail(PARE_ERROR_FORMAT,
                        "its context is empty, so nothing in it can be asked for; remove it");
    return read_each(reading, object, "qas", "question", read_question);
}

static pare_status read_article(squad_reading *reading, const json_t *object)
{
    return read_each(reading, object, "paragraphs", "paragraph", read_paragraph);
}

static pare_status read_articles(squad_reading *reading, const json_t *root)
{
    PRI_TRY(read_each(reading, root, "data", "article", read_article));
    return reading->squad->question_count
               ? PARE_OK
               : pri_fail(PARE_ERROR_FORMAT, "it holds no question at all");
}

pare_status pri_squad_parse(pri_squad *squad, const char *data, size_t size, const char *name,
                            pri_squad_use use)
{
    json_t *root;
    squad->strings = pri_arena_create();
    if (!squad->strings)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_json_parse(data, size, name, &root));
    squad_reading reading = {.squad = squad, .use = use};
    pare_status status = read_articles(&reading, root);
    pri_word_table_free(&reading.ids);
    json_decref(root);
    return status == PARE_OK ? status : pri_fail_in(status, "%s", name);
}

void pri_squad_free(pri_squad *squad)
{
    pri_free(squad->contexts);
    pri_free(squad->questions);
    pri_free(squad->answers);
    pri_arena_destroy(squad->strings);
    *squad = (pri_squad){0};
}

/* ---- The file ---- */

static pare_status read_all(pri_reader *reader, const char *path, char **data, size_t *size)
{
    size_t capacity = 0, got;
    do {
        if (*size == capacity) {
            size_t larger = capacity ? 2 * capacity : (size_t)1 << 16;
            char *grown = pri_reallocate(*data, capacity, larger, 1);
            if (!grown)
                return PARE_ERROR_MEMORY;
            *data = grown;
            capacity = larger;
        }
        PRI_TRY(pri_reader_read(reader, *data + *size, capacity - *size, &got));
        *size += got;
        if (*size > LARGEST_FILE)
            return pri_fail(PARE_ERROR_UNSUPPORTED, "%s: larger than a gigabyte; split it", path);
    } while (got);
    return PARE_OK;
}

pare_status pri_squad_read(pri_squad *squad, const char *path, pri_squad_use use)
{
    pri_reader *reader;
    PRI_TRY(pri_reader_open(path, &reader));
    char *data = NULL;
    size_t size = 0;
    pare_status status = read_all(reader, path, &data, &size);
    pri_reader_close(reader);
    if (status == PARE_OK)
        status = pri_squad_parse(squad, data, size, path, use);
    pri_free(data);
    return status;
}
