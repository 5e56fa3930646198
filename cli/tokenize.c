/* pare tokenize: a text as pieces, line by line. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"

const cli_command tokenize_command = {
    .name = "tokenize",
    .arguments = "DIRECTORY [FILE] [options]",
    .summary = "cut lines into the pieces of a BERT tokenizer",
    .details =
        "DIRECTORY has a tokenizer.json, or a vocab.txt and perhaps a tokenizer_config.json. "
        "Every\n"
        "line of FILE (plain or gzip; -, or nothing: the standard input) gives a line: the pieces\n"
        "between blanks, or with --json {\"ids\": [...], \"tokens\": [...], \"offsets\": [[begin,\n"
        "end], ...]}. Offsets count the characters of the line, as the tokenizers package does.\n"
        "[CLS] and [SEP] are not added.\n\n"
        "--train makes a tokenizer instead: a vocabulary for FILE, written into DIRECTORY.",
    .example = "  pare tokenize minilm reviews.txt --json",
    .positionals_min = 1,
    .positionals_max = 2};

static void print_pieces(const pare_wordpiece *tokenizer, const pare_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++) {
        if (i)
            putchar(' ');
        fputs(pare_wordpiece_token(tokenizer, pieces->ids[i]), stdout);
    }
    putchar('\n');
}

/* Tokens are UTF-8, so only what JSON itself uses is written as an escape. */
static void print_string(const char *string)
{
    putchar('"');
    for (; *string; string++) {
        unsigned char byte = (unsigned char)*string;
        if (byte < 0x20)
            printf("\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

/* Written straight away: a tree of JSON objects for each line would take longer than tokenizing. */
static void print_pieces_json(const pare_wordpiece *tokenizer, const pare_pieces *pieces)
{
    fputs("{\"ids\": [", stdout);
    for (size_t i = 0; i < pieces->count; i++)
        printf("%s%u", i ? ", " : "", pieces->ids[i]);
    fputs("], \"tokens\": [", stdout);
    for (size_t i = 0; i < pieces->count; i++) {
        fputs(i ? ", " : "", stdout);
        print_string(pare_wordpiece_token(tokenizer, pieces->ids[i]));
    }
    fputs("], \"offsets\": [", stdout);
    for (size_t i = 0; i < pieces->count; i++)
        printf("%s[%u, %u]", i ? ", " : "", pieces->begins[i], pieces->ends[i]);
    fputs("]}\n", stdout);
}

typedef struct line_output {
    bool json;
    bool at_once; /* standard input may come from a program that waits for the answer */
} line_output;

static pare_status tokenize_line(const pare_wordpiece *tokenizer, const char *line, size_t length,
                                 line_output output, pare_pieces *pieces)
{
    pieces->count = 0;
    pare_status status = pare_wordpiece_encode(tokenizer, line, length, pieces);
    if (status != PARE_OK)
        return status;
    if (output.json) {
        pare_pieces_count_characters(pieces, line, length);
        print_pieces_json(tokenizer, pieces);
    } else {
        print_pieces(tokenizer, pieces);
    }
    if (output.at_once)
        fflush(stdout);
    return PARE_OK;
}

/* Ends early, without a word, when standard output cannot be written: `main` sees to that. */
static pare_status tokenize_lines(const pare_wordpiece *tokenizer, pare_lines *lines,
                                  line_output output)
{
    pare_pieces pieces = {0};
    pare_status status;
    const char *line;
    size_t length;
    while ((status = pare_lines_next(lines, &line, &length)) == PARE_OK && line && !ferror(stdout))
        if ((status = tokenize_line(tokenizer, line, length, output, &pieces)) != PARE_OK)
            break;
    pare_pieces_free(&pieces);
    return status;
}

static pare_status tokenize_file(const pare_wordpiece *tokenizer, const char *path, bool json)
{
    pare_lines *lines;
    pare_status status = pare_lines_open(path, &lines);
    if (status != PARE_OK)
        return status;
    line_output output = {.json = json, .at_once = !strcmp(path, "-")};
    status = tokenize_lines(tokenizer, lines, output);
    pare_lines_close(lines);
    return status;
}

/* ---- A vocabulary ---- */

static bool has_file(const char *directory, const char *name)
{
    char path[4096];
    struct stat information;
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && !stat(path, &information);
}

static pare_status make_vocabulary(const char *directory, const char *path,
                                   const pare_wordpiece_options *options)
{
    pare_wordpiece *tokenizer;
    pare_status status = pare_wordpiece_build(path, options, &tokenizer);
    if (status == PARE_OK)
        status = pare_wordpiece_save(tokenizer, directory);
    if (status == PARE_OK)
        printf("%s: a vocabulary of %s pieces\n", directory,
               format_count(pare_wordpiece_size(tokenizer)));
    pare_wordpiece_destroy(tokenizer);
    return status;
}

static int train(const char *directory, const char *path, const pare_wordpiece_options *options)
{
    if (has_file(directory, "tokenizer.json") || has_file(directory, "vocab.txt"))
        return fail_usage("tokenize", "%s has a tokenizer already; name another directory",
                          directory);
    pare_status status = make_vocabulary(directory, path, options);
    return status == PARE_OK ? PARE_OK : fail("tokenize", status);
}

static int tokenize(const char *directory, const char *path, bool json)
{
    pare_wordpiece *tokenizer;
    pare_status status = pare_wordpiece_load(directory, &tokenizer);
    if (status == PARE_OK)
        status = tokenize_file(tokenizer, path, json);
    pare_wordpiece_destroy(tokenizer);
    return status == PARE_OK ? PARE_OK : fail("tokenize", status);
}

int command_tokenize(int argument_count, char **argument_values)
{
    bool json = false, make = false, cased = false;
    uint64_t size = 0;
    const cli_option options[] = {
        {"json", NULL, OPTION_FLAG, &json, "ids, tokens and offsets of each line", NULL},
        {"train", NULL, OPTION_FLAG, &make, "make a vocabulary", NULL},
        {"size", "N", OPTION_COUNT, &size, "with --train: its pieces (8000)", NULL},
        {"cased", NULL, OPTION_FLAG, &cased, "with --train: keep capitals and accents", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&tokenize_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    const char *directory = parsed.positionals[0],
               *path = parsed.count == 2 ? parsed.positionals[1] : "-";
    if (!make && (size || cased))
        return fail_usage("tokenize", "--size and --cased are for --train");
    if (make && parsed.count == 1)
        return fail_usage("tokenize", "--train reads its text from a FILE; name one");
    if (make && json)
        return fail_usage("tokenize", "--train prints no pieces; leave --json out");
    return make ? train(directory, path,
                        &(pare_wordpiece_options){.size = size, .lower_case = !cased})
                : tokenize(directory, path, json);
}
