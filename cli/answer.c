/* pare answer: finds answers in texts, one line in, one line out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "line_batches.h"
#include "source.h"

const cli_command answer_command = {
    .name = "answer",
    .arguments = "MODEL [FILE] [options]",
    .summary = "find answers to questions in a text",
    .details =
        "MODEL is a BERT directory with a head for question answering, as 'pare train' leaves it,\n"
        "and its tokenizer. With --context every line of FILE (plain or gzip; -, or nothing: the\n"
        "standard input) is a question on that text; without it a line is a question, a tab and\n"
        "the text to look in. Each gives one line: the answer as it stands in the text, blanks\n"
        "for tabs and line ends, or nothing when there is none; with --best N up to N answers\n"
        "with tabs between them, best first. With --json: {\"text\": ..., \"score\": ...,\n"
        "\"begin\": ..., \"end\": ...}, begin and end in characters of the text, score the sum of\n"
        "two logits, and with --best the list \"answers\" of such objects. Long texts are read in\n"
        "overlapping windows; of a question that has more than 64 pieces, or than half of what "
        "the\n"
        "model has room for, the beginning is read: \"cut\": true is added to the line's object, "
        "and\n"
        "the number of such lines is told at the end. Lines are answered as they come.",
    .example = "  pare answer runs/squad/dense questions.txt --context bridge.txt",
    .positionals_min = 1,
    .positionals_max = 2};

typedef struct answerer {
    cli_session session;
    char *context; /* of all questions; NULL: each line brings its own */
    uint64_t best;
    bool json;
    const char *name;   /* of the file, for messages */
    uint64_t line, cut; /* its number, and how many lines were cut */
} answerer;

/* ---- Reading ---- */

/* Returns an exit code, as those below. */
static int append_line(char **text, size_t *length, const char *line, size_t line_length)
{
    char *grown = realloc(*text, *length + line_length + 2);
    if (!grown)
        return fail_memory("answer");
    memcpy(grown + *length, line, line_length);
    *length += line_length;
    grown[(*length)++] = '\n';
    grown[*length] = 0;
    *text = grown;
    return 0;
}

static int read_context(const char *path, char **context)
{
    pare_lines *lines;
    const char *line;
    size_t length = 0, line_length;
    int exit_code = 0;
    pare_status status = pare_lines_open(path, &lines);
    if (status != PARE_OK)
        return fail("answer", status);
    while ((status = pare_lines_next(lines, &line, &line_length)) == PARE_OK && line && !exit_code)
        exit_code = append_line(context, &length, line, line_length);
    pare_lines_close(lines);
    if (status != PARE_OK)
        return fail("answer", status);
    if (exit_code)
        return exit_code;
    if (*context && strlen(*context) == length)
        return 0;
    fprintf(stderr, "pare answer: %s: %s\n", path,
            *context ? "has a zero byte, so it is no text" : "is empty, so nothing can be found");
    return PARE_ERROR_FORMAT;
}

static int fail_line(const answerer *used, const char *message)
{
    fflush(stdout);
    fprintf(stderr, "pare answer: %s:%llu: %s\n", used->name, (unsigned long long)used->line,
            message);
    return PARE_ERROR_FORMAT;
}

/* ---- Answers ---- */

/* A UTF-8 character has one byte that does not continue another. */
static json_int_t count_characters(const char *text, size_t bytes)
{
    json_int_t characters = 0;
    for (size_t i = 0; i < bytes; i++)
        characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    return characters;
}

static json_t *answer_to_json(const char *context, const pare_answer *answer)
{
    return json_pack("{s:s%, s:f, s:I, s:I}", "text", context + answer->begin,
                     answer->end - answer->begin, "score", answer->score, "begin",
                     count_characters(context, answer->begin), "end",
                     count_characters(context, answer->end));
}

static int print_json_line(const answerer *used, const char *context, const pare_answer *answers,
                           size_t count, bool cut)
{
    json_t *object = count ? answer_to_json(context, &answers[0]) : json_pack("{s:s}", "text", "");
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, answer_to_json(context, &answers[i]));
    bool complete = object && json_array_size(list) == count;
    if (used->best > 1)
        json_object_set(object, "answers", list);
    if (cut)
        json_object_set_new(object, "cut", json_true());
    if (complete) {
        json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_decref(list);
    json_decref(object);
    return complete ? 0 : fail_line(used, "an answer is not UTF-8, so it cannot be JSON");
}

static void print_line(const char *context, const pare_answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            putchar('\t');
        for (size_t j = answers[i].begin; j < answers[i].end; j++)
            putchar(strchr("\t\n\r", context[j]) ? ' ' : context[j]);
    }
    putchar('\n');
}

static int answer_question(answerer *used, const char *question, const char *context)
{
    pare_answer answers[PARE_ANSWERS_MAX];
    size_t count;
    bool cut;
    pare_status status =
        pare_answer_question(used->session.inference, used->session.data.tokenizer, question,
                             context, NULL, (size_t)used->best, answers, &count, &cut);
    if (status == PARE_ERROR_ARGUMENT)
        return fail_line(used, pare_error_message());
    if (status != PARE_OK)
        return fail("answer", status);
    used->cut += cut;
    if (used->json)
        return print_json_line(used, context, answers, count, cut);
    print_line(context, answers, count);
    return 0;
}

/* `line` is zero-terminated and ours. */
static int answer_line(answerer *used, char *line, size_t length)
{
    if (strlen(line) != length)
        return fail_line(used, "has a zero byte, so it is no text");
    if (length && line[length - 1] == '\r')
        line[length - 1] = 0;
    char *tab = strchr(line, '\t');
    if (used->context)
        return answer_question(used, line, used->context);
    if (!tab)
        return fail_line(used, "no tab; a line is a question, a tab and a text, or give the text "
                               "with --context");
    *tab = 0;
    return answer_question(used, line, tab + 1);
}

static int answer_copy(answerer *used, const char *line, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy)
        return fail_memory("answer");
    memcpy(copy, line, length);
    copy[length] = 0;
    int exit_code = answer_line(used, copy, length);
    free(copy);
    return exit_code;
}

static int answer_lines(answerer *used, pare_lines *lines, const char *prompt)
{
    for (;;) {
        const char *line;
        size_t length;
        fputs(prompt, stderr);
        pare_status status = pare_lines_next(lines, &line, &length);
        if (status != PARE_OK)
            return fail("answer", status);
        if (!line) {
            end_prompt(prompt);
            return 0;
        }
        used->line++;
        int exit_code = answer_copy(used, line, length);
        if (exit_code == PARE_ERROR_FORMAT && *prompt)
            continue;                    /* who types may type again */
        if (exit_code || fflush(stdout)) /* main reports what cannot be written */
            return exit_code;
    }
}

static int answer_file(answerer *used, const char *path)
{
    pare_lines *lines;
    pare_status status = pare_lines_open(path, &lines);
    if (status != PARE_OK)
        return fail("answer", status);
    bool standard = !strcmp(path, "-");
    bool interactive = standard && isatty(STDIN_FILENO);
    used->name = standard ? "standard input" : path;
    int exit_code = answer_lines(used, lines,
                                 !interactive    ? ""
                                 : used->context ? "question> "
                                                 : "question, tab, text> ");
    tell_cut_lines(
        "answer", used->cut,
        "a question of more than 64 pieces, or more than half of what the model has room "
        "for; only its beginning was read");
    pare_lines_close(lines);
    return exit_code;
}

/* ---- The verb ---- */

static int open_answerer(answerer *opened, const char *directory, const string_list *masks,
                         bool dense, pare_precision precision, uint64_t threads)
{
    size_t none;
    int exit_code = open_session_for(MODEL_ANSWERER, "answer", &opened->session, directory, masks,
                                     dense, threads);
    if (exit_code)
        return exit_code;
    pare_status status = open_encoder(&opened->session, directory, precision);
    /* What cannot work is refused before the first question is waited for. */
    if (status == PARE_OK)
        status = pare_answer_question(opened->session.inference, opened->session.data.tokenizer, "",
                                      "", NULL, 0, NULL, &none, NULL);
    return status == PARE_OK ? 0 : fail("answer", status);
}

static void close_answerer(answerer *used)
{
    free(used->context);
    close_session(&used->session);
}

int command_answer(int argument_count, char **argument_values)
{
    const char *context = NULL;
    string_list masks = {.count = 0};
    uint64_t threads = 0;
    bool dense = false;
    int precision = PARE_PRECISION_FP32;
    answerer opened = {.best = 1};
    const cli_option options[] = {
        {"context", "FILE", OPTION_STRING, &context, "the text to look in, plain or gzip", NULL},
        {"best", "N", OPTION_COUNT, &opened.best, "answers to each question, at most 20", NULL},
        {"json", NULL, OPTION_FLAG, &opened.json, "print a JSON object per line", NULL},
        {"mask", "FILE", OPTION_LIST, &masks, "prune with this mask", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"precision", "WORD", OPTION_CHOICE, &precision, "of matrix products", precision_words},
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&answer_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    const char *path = parsed.count == 2 ? parsed.positionals[1] : "-";
    if ((exit_code = check_masks("answer", &masks, dense)))
        return exit_code;
    if (!opened.best || opened.best > PARE_ANSWERS_MAX)
        return fail_usage("answer", "--best must be 1 to %d", PARE_ANSWERS_MAX);
    if (context && !strcmp(context, "-") && !strcmp(path, "-"))
        return fail_usage("answer", "text and questions cannot both come from standard input");
    if (context)
        exit_code = read_context(context, &opened.context);
    if (!exit_code)
        exit_code = open_answerer(&opened, parsed.positionals[0], &masks, dense,
                                  (pare_precision)precision, threads);
    if (!exit_code)
        exit_code = answer_file(&opened, path);
    close_answerer(&opened);
    return exit_code;
}
