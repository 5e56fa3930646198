/* pare classify: a classifier at work, one line in, one line out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "explain.h"
#include "line_batches.h"
#include "source.h"

const cli_command classify_command = {
    .name = "classify",
    .arguments = "MODEL [FILE] [options]",
    .summary = "label texts with a classifier",
    .details =
        "MODEL is a BERT directory with a classification head, as 'pare train' leaves it, and its\n"
        "tokenizer. Every line of FILE (plain or gzip; -, or nothing: the standard input) is a\n"
        "text, or two with a tab between them, and gives one line: the label and its probability,\n"
        "or the number of a regression. With --json: {\"label\": ..., \"score\": ..., \"scores\":\n"
        "{label: probability, ...}}, or {\"score\": ...} of a regression. What is longer than the\n"
        "model's positions, or than its mask, is cut, the longer text first: \"cut\": true is "
        "added\n"
        "to the line's object, and the number of such lines is told at the end. Lines are "
        "answered\n"
        "as they come, so a pipe gets its answers without waiting for the end.\n\n"
        "--explain shows after each answer what the first token looks at in the last layer, and a\n"
        "map of every layer and head as the mask leaves it: rows look at columns, dots are "
        "pruned.\n"
        "--explain-page writes the maps of the first line as an HTML page, with the pieces as\n"
        "labels.",
    .example = "  pare classify runs/glue-sst2/dense reviews.txt --json",
    .positionals_min = 1,
    .positionals_max = 2};

typedef struct classifier {
    cli_session session;
    size_t labels;
    bool json, explain;
    const char *page; /* of the first line; NULL: no more, or not wanted */
    float *scores;    /* (LINES_MAX, labels) */
    uint64_t cut;     /* lines */
} classifier;

/* Returns an exit code, as those below. */
static int open_classifier(classifier *opened, const char *directory, const string_list *masks,
                           bool dense, pare_precision precision, uint64_t threads)
{
    int exit_code = open_session_for(MODEL_CLASSIFIER, "classify", &opened->session, directory,
                                     masks, dense, threads);
    if (exit_code)
        return exit_code;
    pare_status status = open_encoder(&opened->session, directory, precision);
    if (status != PARE_OK)
        return fail("classify", status);
    opened->labels = pare_bert_config_of(opened->session.model)->labels;
    opened->scores = calloc(LINES_MAX * opened->labels, sizeof *opened->scores);
    if (!opened->scores)
        return fail_memory("classify");
    /* What cannot work is refused before the first line is waited for. */
    status = pare_classify(opened->session.inference, opened->session.data.tokenizer, NULL, 0,
                           opened->scores, NULL);
    return status == PARE_OK ? 0 : fail("classify", status);
}

static void close_classifier(classifier *used)
{
    free(used->scores);
    close_session(&used->session);
}

/* ---- Lines ---- */

/* Splits a line at its tab; false when it has more than one. */
static bool split_line(const char *line, size_t length, pare_text_pair *text)
{
    const char *tab = memchr(line, '\t', length);
    *text = (pare_text_pair){.first = line, .first_length = tab ? (size_t)(tab - line) : length};
    if (!tab)
        return true;
    text->second = tab + 1;
    text->second_length = length - text->first_length - 1;
    return !memchr(text->second, '\t', text->second_length);
}

/* ---- Answers ---- */

static size_t best_label(const float *scores, size_t labels)
{
    size_t best = 0;
    for (size_t i = 1; i < labels; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

static void print_text(const classifier *used, const float *scores)
{
    size_t best = best_label(scores, used->labels);
    if (used->labels == 1)
        printf("%.4f\n", (double)scores[0]);
    else
        printf("%s\t%.4f\n", pare_bert_label(used->session.model, best), (double)scores[best]);
}

static void print_json_line(const classifier *used, const float *scores, bool cut)
{
    size_t best = best_label(scores, used->labels);
    json_t *object = json_object();
    if (used->labels > 1) {
        json_t *all = json_object();
        for (size_t i = 0; i < used->labels; i++)
            json_object_set_new(all, pare_bert_label(used->session.model, i),
                                json_real((double)scores[i]));
        json_object_set_new(object, "label",
                            json_string(pare_bert_label(used->session.model, best)));
        json_object_set_new(object, "score", json_real((double)scores[best]));
        json_object_set_new(object, "scores", all);
    } else {
        json_object_set_new(object, "score", json_real((double)scores[0]));
    }
    if (cut)
        json_object_set_new(object, "cut", json_true());
    json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

/* "a good film: positive, 85.5%" */
static pare_status write_page(const classifier *used, const pare_text_pair *text,
                              const float *scores)
{
    char title[256];
    size_t best = best_label(scores, used->labels);
    int shown = title_bytes(text->first, text->first_length);
    if (used->labels == 1)
        snprintf(title, sizeof title, "%.*s: %.4f", shown, text->first, (double)scores[0]);
    else
        snprintf(title, sizeof title, "%.*s: %s, %.1f%%", shown, text->first,
                 pare_bert_label(used->session.model, best), 100 * (double)scores[best]);
    return write_explanation(&used->session, text, title, used->page);
}

static pare_status answer_line(classifier *used, const pare_text_pair *text, const float *scores,
                               bool cut)
{
    pare_status status = PARE_OK;
    if (used->json)
        print_json_line(used, scores, cut);
    else
        print_text(used, scores);
    if (used->explain)
        status = print_explanation(&used->session, text);
    if (status == PARE_OK && used->page)
        status = write_page(used, text, scores);
    used->page = NULL;
    return status;
}

static pare_status answer_texts(classifier *used, const pare_text_pair *texts, size_t count)
{
    bool cut[LINES_MAX];
    pare_status status = pare_classify(used->session.inference, used->session.data.tokenizer, texts,
                                       count, used->scores, cut);
    for (size_t i = 0; i < count && status == PARE_OK; i++) {
        status = answer_line(used, &texts[i], used->scores + i * used->labels, cut[i]);
        used->cut += cut[i];
    }
    return status;
}

/* Lines before one that is wrong are answered. */
static int answer_batch(void *user, const line_batch *batch)
{
    pare_text_pair texts[LINES_MAX] = {{.first = NULL}};
    size_t good = 0;
    while (good < batch->count &&
           split_line(batch->lines[good], batch->lengths[good], &texts[good]))
        good++;
    pare_status status = answer_texts(user, texts, good);
    if (status != PARE_OK)
        return fail("classify", status);
    if (good == batch->count)
        return 0;
    fflush(stdout);
    fprintf(stderr,
            "pare classify: %s:%llu: more than one tab; a line is a text, or two with a tab "
            "between them\n",
            batch->name, (unsigned long long)(batch->first + good));
    return PARE_ERROR_FORMAT;
}

static int classify_file(classifier *used, const char *path)
{
    int exit_code = answer_line_batches("classify", path, "text> ", answer_batch, used);
    tell_cut_lines(
        "classify", used->cut,
        "more pieces than the model, or its mask, has room for; only the beginning was classified");
    if (exit_code || !used->page)
        return exit_code;
    fprintf(stderr, "pare classify: there was no line to explain, so %s was not written\n",
            used->page);
    return PARE_ERROR_FORMAT;
}

int command_classify(int argument_count, char **argument_values)
{
    string_list masks = {.count = 0};
    uint64_t threads = 0;
    bool dense = false;
    int precision = PARE_PRECISION_FP32;
    classifier opened = {0};
    const cli_option options[] = {
        {"json", NULL, OPTION_FLAG, &opened.json, "print a JSON object per line", NULL},
        {"explain", NULL, OPTION_FLAG, &opened.explain, "show what the model looks at", NULL},
        {"explain-page", "FILE", OPTION_STRING, &opened.page, "the same of one line, as HTML",
         NULL},
        {"mask", "FILE", OPTION_LIST, &masks, "prune with this mask", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"precision", "WORD", OPTION_CHOICE, &precision, "of matrix products", precision_words},
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&classify_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if ((exit_code = check_masks("classify", &masks, dense)))
        return exit_code;
    if (opened.json && opened.explain)
        return fail_usage("classify", "--explain draws for people; use --explain-page with --json");
    exit_code = open_classifier(&opened, parsed.positionals[0], &masks, dense,
                                (pare_precision)precision, threads);
    if (!exit_code)
        exit_code = classify_file(&opened, parsed.count == 2 ? parsed.positionals[1] : "-");
    close_classifier(&opened);
    return exit_code;
}
