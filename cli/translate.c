/* pare translate: a translation model at work, one line in, one line out. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "explain.h"
#include "line_batches.h"
#include "source.h"

const cli_command translate_command = {
    .name = "translate",
    .arguments = "MODEL [FILE] [options]",
    .summary = "translate texts with an encoder-decoder",
    .details =
        "MODEL is a directory of a translation model, as 'pare train' leaves it, with its "
        "tokenizer\n"
        "or tokenizers. Every line of FILE (plain or gzip; -, or nothing: the standard input) is "
        "a\n"
        "sentence and gives one line, its translation by beam search; an empty line an empty one.\n"
        "With --n-best N of 2 or more a line gives N: a text, a tab and its score, best first; "
        "where\n"
        "there are fewer, an empty text with the score -inf. With --json: {\"source\": ...,\n"
        "\"translations\": [{\"text\": ..., \"score\": ..., \"log_probability\": ..., \"tokens\":\n"
        "[...]}, ...]}; the source is null where a line is not UTF-8, and \"cut\": true is added\n"
        "where a line has more pieces than the model's positions, or its masks, have room for: of\n"
        "these the beginning is translated, and their number is told at the end. The score is the\n"
        "log-probability divided by length^A (--length-penalty A). Lines are answered as they "
        "come,\n"
        "so a pipe gets its answers without waiting for the end. A search ends when as many\n"
        "translations as --beam are complete ('--stop full'), or goes on until no open one has a\n"
        "chance against them ('--stop hopeless', what generate of transformers does unless told\n"
        "otherwise).\n\n"
        "--explain shows after each translation which pieces of the source each of its pieces "
        "looks\n"
        "at in the last layer, and a map of the cross attention of every layer and head as the "
        "mask\n"
        "leaves it: rows, the translation, look at columns, dots are pruned. --explain-page "
        "writes\n"
        "the maps of the first line as an HTML page, with the pieces as labels.",
    .example =
        "  pare translate runs/multi30k-en-de-small/dense sentences.en --beam 4\n"
        "  echo 'two dogs play .' | pare translate runs/multi30k-en-de-small/dense --explain",
    .positionals_min = 1,
    .positionals_max = 2};

typedef struct translating {
    cli_session session;
    pare_translate_options options;
    bool json, explain;
    const char *page; /* of the first line with words; NULL: no more, or not wanted */
    uint64_t cut;     /* lines */
} translating;

/* ---- One line ---- */

/* Pieces of foreign tokenizers may hold what ends a line or a column. */
static void print_text(const char *text)
{
    for (; *text; text++)
        putchar(strchr("\t\n\r", *text) ? ' ' : *text);
}

static void print_line(const pare_translated_texts *translated, size_t index)
{
    const size_t n_best = translated->n_best, first = index * n_best;
    if (n_best == 1) {
        print_text(translated->texts[first]);
        putchar('\n');
        return;
    }
    for (size_t i = first; i < first + n_best; i++) {
        if (!translated->texts[i]) {
            puts("\t-inf");
            continue;
        }
        print_text(translated->texts[i]);
        printf("\t%.4f\n", translated->hypotheses[i].score);
    }
}

static json_t *tokens_to_json(const translating *used, const pare_hypothesis *hypothesis)
{
    json_t *tokens = json_array();
    for (size_t i = 0; i < hypothesis->length; i++)
        json_array_append_new(tokens,
                              json_string(pare_bpe_token(used->session.data.tokenizers.target,
                                                         hypothesis->tokens[i])));
    return tokens;
}

static void print_json_line(const translating *used, const pare_source_text *source,
                            const pare_translated_texts *translated, size_t index)
{
    json_t *object = json_object(), *list = json_array();
    json_t *line = json_stringn(source->bytes, source->length);
    const size_t first = index * translated->n_best;
    for (size_t i = first; i < first + translated->n_best && translated->texts[i]; i++) {
        const pare_hypothesis *hypothesis = &translated->hypotheses[i];
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:o}", "text", translated->texts[i],
                                              "score", hypothesis->score, "log_probability",
                                              hypothesis->log_probability, "tokens",
                                              tokens_to_json(used, hypothesis)));
    }
    json_object_set_new(object, "source", line ? line : json_null());
    json_object_set_new(object, "translations", list);
    if (translated->cut[index])
        json_object_set_new(object, "cut", json_true());
    json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

/* "two dogs: zwei hunde" */
static pare_status write_page(const translating *used, const pare_source_text *source,
                              const char *text, const pare_hypothesis *best)
{
    char title[256];
    snprintf(title, sizeof title, "%.*s: %.*s", title_bytes(source->bytes, source->length),
             source->bytes, title_bytes(text, strlen(text)), text);
    return write_pair_explanation(&used->session, source, best, title, used->page);
}

static pare_status answer_line(translating *used, const pare_source_text *source,
                               const pare_translated_texts *translated, size_t index)
{
    const size_t first = index * translated->n_best;
    const pare_hypothesis *best = &translated->hypotheses[first];
    pare_status status = PARE_OK;
    if (used->json)
        print_json_line(used, source, translated, index);
    else
        print_line(translated, index);
    if (!best->length)
        return PARE_OK;
    if (used->explain)
        status = print_pair_explanation(&used->session, source, best);
    if (status == PARE_OK && used->page)
        status = write_page(used, source, translated->texts[first], best);
    used->page = NULL;
    return status;
}

/* ---- All lines ---- */

static pare_status translate(const translating *used, const pare_source_text *sources, size_t count,
                             pare_translated_texts *translated)
{
    return pare_translate_texts(used->session.translator, &used->session.data.tokenizers, sources,
                                count, &used->options, translated);
}

static int answer_batch(void *user, const line_batch *batch)
{
    translating *used = user;
    pare_source_text sources[LINES_MAX] = {{.bytes = NULL}};
    for (size_t i = 0; i < batch->count; i++)
        sources[i] = (pare_source_text){batch->lines[i], batch->lengths[i]};
    pare_translated_texts translated;
    pare_status status = translate(used, sources, batch->count, &translated);
    for (size_t i = 0; i < batch->count && status == PARE_OK; i++)
        status = answer_line(used, &sources[i], &translated, i);
    used->cut += translated.cut_count;
    pare_translated_texts_free(&translated);
    return status == PARE_OK ? 0 : fail("translate", status);
}

static int translate_file(translating *used, const char *path)
{
    int exit_code = answer_line_batches("translate", path, "text> ", answer_batch, used);
    tell_cut_lines("translate", used->cut,
                   "more pieces than the model, or a mask of it, has room for; only the beginning "
                   "was translated");
    if (exit_code || !used->page)
        return exit_code;
    fprintf(stderr, "pare translate: there was no line to explain, so %s was not written\n",
            used->page);
    return PARE_ERROR_FORMAT;
}

/* ---- The verb ---- */

static int open_translating(translating *opened, const char *directory, const string_list *masks,
                            bool dense, pare_precision precision, uint64_t threads)
{
    pare_translated_texts none;
    int exit_code = open_session_for(MODEL_TRANSLATOR, "translate", &opened->session, directory,
                                     masks, dense, threads);
    if (exit_code)
        return exit_code;
    pare_status status = open_translator(&opened->session, directory, precision);
    /* What cannot work is refused before the first line is waited for. */
    if (status == PARE_OK)
        status = translate(opened, NULL, 0, &none);
    if (status != PARE_OK)
        return fail("translate", status);
    pare_translated_texts_free(&none);
    return 0;
}

int command_translate(int argument_count, char **argument_values)
{
    static const char *const stops[] = {
        [PARE_STOP_FULL] = "full", [PARE_STOP_HOPELESS] = "hopeless", NULL};
    translating opened = {.options = pare_translate_options_default()};
    pare_translate_options *wanted = &opened.options;
    string_list masks = {.count = 0};
    uint64_t threads = 0, beam = wanted->beam, n_best = wanted->n_best;
    bool dense = false;
    int precision = PARE_PRECISION_FP32, stop = (int)wanted->stop;
    const cli_option options[] = {
        {"beam", "N", OPTION_COUNT, &beam,
         "hypotheses searched together, at most 1000; 1: greedy; default 5", NULL},
        {"length-penalty", "A", OPTION_NUMBER, &wanted->length_penalty,
         "above 0 longer translations gain; default 1", NULL},
        {"length-factor", "F", OPTION_NUMBER, &wanted->length_factor,
         "tokens at most: F for each of the source; default 1", NULL},
        {"length-extra", "N", OPTION_NUMBER, &wanted->length_extra, "and N more; default 50", NULL},
        {"stop", "WORD", OPTION_CHOICE, &stop, "when a search ends", stops},
        {"n-best", "N", OPTION_COUNT, &n_best, "translations of each line, at most --beam", NULL},
        {"json", NULL, OPTION_FLAG, &opened.json, "print a JSON object per line", NULL},
        {"explain", NULL, OPTION_FLAG, &opened.explain, "show what the model looks at", NULL},
        {"explain-page", "FILE", OPTION_STRING, &opened.page, "the same of one line, as HTML",
         NULL},
        {"mask", "FILE", OPTION_LIST, &masks, "prune with this mask; one for each kind", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"precision", "WORD", OPTION_CHOICE, &precision, "of matrix products", precision_words},
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&translate_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    wanted->beam = (size_t)beam;
    wanted->n_best = (size_t)n_best;
    wanted->stop = (pare_stop_rule)stop;
    if ((exit_code = check_masks("translate", &masks, dense)))
        return exit_code;
    if (opened.json && opened.explain)
        return fail_usage("translate",
                          "--explain draws for people; use --explain-page with --json");
    exit_code = open_translating(&opened, parsed.positionals[0], &masks, dense,
                                 (pare_precision)precision, threads);
    if (!exit_code)
        exit_code = translate_file(&opened, parsed.count == 2 ? parsed.positionals[1] : "-");
    close_session(&opened.session);
    return exit_code;
}
