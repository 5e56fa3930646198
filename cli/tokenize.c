/* pare tokenize: a text as pieces, line by line. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"

const cli_command tokenize_command = {
    .name = "tokenize",
    .arguments = "DIRECTORY [FILE...] [options]",
    .summary = "cut lines into the pieces of a tokenizer, or make one",
    .details =
        "DIRECTORY has a tokenizer.json, of BERT's kind or of byte-pair encoding, or a vocab.txt\n"
        "and perhaps a tokenizer_config.json, or a translation model's source_tokenizer.json and\n"
        "target_tokenizer.json. Every line of FILE (plain or gzip; -, or nothing:\n"
        "the standard input) gives a line: the pieces between blanks, or with --json {\"ids\":\n"
        "[...], \"tokens\": [...], \"offsets\": [[begin, end], ...]}. Offsets count the\n"
        "characters of the line, as the tokenizers package does. [CLS] and [SEP], <s> and </s>\n"
        "are not added.\n\n"
        "--train makes a tokenizer instead, for FILE, and writes it into DIRECTORY: BERT's kind\n"
        "(wordpiece), or byte-pair encoding, which may have several FILEs, for text that is\n"
        "tokenised already (bpe) or as it is (bpe-raw). --merges-file takes the merges of bpe "
        "from\n"
        "a file of subword-nmt; FILEs, if there are any, then give characters only.",
    .example = "  pare tokenize minilm reviews.txt --json\n"
               "  pare tokenize both train.de.gz train.en.gz --train --kind bpe --size 10000",
    .positionals_min = 1,
    .positionals_max = POSITIONALS_MAX};

/* ---- Both kinds ---- */

/* One of the two, the other is NULL. */
typedef struct tokenizer {
    pare_wordpiece *wordpiece;
    pare_bpe *bpe;
} tokenizer;

#define PATH_CAPACITY 4096
static const char joint_file[] = "tokenizer.json", source_file[] = "source_tokenizer.json",
                  target_file[] = "target_tokenizer.json";

static bool has_file(const char *directory, const char *name)
{
    char path[PATH_CAPACITY];
    struct stat information;
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && !stat(path, &information);
}

static pare_status load_bpe(const char *directory, const char *name, pare_bpe **bpe)
{
    char path[PATH_CAPACITY];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return pare_bpe_load(path, bpe);
}

/* `target`: of the two tokenizers that a translation model may have, that of its target. */
static pare_status load_tokenizer(const char *directory, bool target, tokenizer *opened)
{
    bool bpe;
    *opened = (tokenizer){0};
    if (has_file(directory, source_file))
        return load_bpe(directory, target ? target_file : source_file, &opened->bpe);
    pare_status status = pare_bpe_found(directory, &bpe);
    if (status != PARE_OK)
        return status;
    return bpe ? load_bpe(directory, joint_file, &opened->bpe)
               : pare_wordpiece_load(directory, &opened->wordpiece);
}

static void free_tokenizer(tokenizer *opened)
{
    pare_wordpiece_destroy(opened->wordpiece);
    pare_bpe_destroy(opened->bpe);
}

static pare_status encode(const tokenizer *opened, const char *line, size_t length,
                          pare_pieces *pieces)
{
    return opened->bpe ? pare_bpe_encode(opened->bpe, line, length, pieces)
                       : pare_wordpiece_encode(opened->wordpiece, line, length, pieces);
}

static const char *token_of(const tokenizer *opened, uint32_t id)
{
    return opened->bpe ? pare_bpe_token(opened->bpe, id)
                       : pare_wordpiece_token(opened->wordpiece, id);
}

/* ---- Pieces ---- */

static void print_pieces(const tokenizer *opened, const pare_pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++) {
        if (i)
            putchar(' ');
        fputs(token_of(opened, pieces->ids[i]), stdout);
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
static void print_pieces_json(const tokenizer *opened, const pare_pieces *pieces)
{
    fputs("{\"ids\": [", stdout);
    for (size_t i = 0; i < pieces->count; i++)
        printf("%s%u", i ? ", " : "", pieces->ids[i]);
    fputs("], \"tokens\": [", stdout);
    for (size_t i = 0; i < pieces->count; i++) {
        fputs(i ? ", " : "", stdout);
        print_string(token_of(opened, pieces->ids[i]));
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

static pare_status tokenize_line(const tokenizer *opened, const char *line, size_t length,
                                 line_output output, pare_pieces *pieces)
{
    pieces->count = 0;
    pare_status status = encode(opened, line, length, pieces);
    if (status != PARE_OK)
        return status;
    if (output.json) {
        pare_pieces_count_characters(pieces, line, length);
        print_pieces_json(opened, pieces);
    } else {
        print_pieces(opened, pieces);
    }
    if (output.at_once)
        fflush(stdout);
    return PARE_OK;
}

/* Ends early, without a word, when standard output cannot be written: `main` sees to that. */
static pare_status tokenize_lines(const tokenizer *opened, pare_lines *lines, line_output output)
{
    pare_pieces pieces = {0};
    pare_status status;
    const char *line;
    size_t length;
    while ((status = pare_lines_next(lines, &line, &length)) == PARE_OK && line && !ferror(stdout))
        if ((status = tokenize_line(opened, line, length, output, &pieces)) != PARE_OK)
            break;
    pare_pieces_free(&pieces);
    return status;
}

static pare_status tokenize_file(const tokenizer *opened, const char *path, bool json)
{
    pare_lines *lines;
    pare_status status = pare_lines_open(path, &lines);
    if (status != PARE_OK)
        return status;
    line_output output = {.json = json, .at_once = !strcmp(path, "-")};
    status = tokenize_lines(opened, lines, output);
    pare_lines_close(lines);
    return status;
}

/* ---- Making one ---- */

typedef enum tokenizer_kind { WORDPIECE, BPE_WORDS, BPE_RAW } tokenizer_kind;
static const char *const kind_names[] = {"wordpiece", "bpe", "bpe-raw", NULL};

typedef struct training {
    const char *directory;
    const char *const *texts;
    size_t text_count;
    const char *merges; /* a file of them, or NULL */
    int kind;           /* tokenizer_kind */
    size_t size;
    bool cased;
} training;

static pare_status make_wordpiece(const training *wanted)
{
    pare_wordpiece *made;
    pare_status status = pare_wordpiece_build(
        wanted->texts[0],
        &(pare_wordpiece_options){.size = wanted->size, .lower_case = !wanted->cased}, &made);
    if (status == PARE_OK)
        status = pare_wordpiece_save(made, wanted->directory);
    if (status == PARE_OK)
        printf("%s: a vocabulary of %s pieces\n", wanted->directory,
               format_count(pare_wordpiece_size(made)));
    pare_wordpiece_destroy(made);
    return status;
}

static pare_status build_bpe(const training *wanted, pare_bpe **made)
{
    if (wanted->merges)
        return pare_bpe_load_codes(wanted->merges, wanted->texts, wanted->text_count, made);
    return pare_bpe_build(
        wanted->texts, wanted->text_count,
        &(pare_bpe_options){.form = wanted->kind == BPE_RAW ? PARE_BPE_METASPACE : PARE_BPE_WORDS,
                            .lower_case = !wanted->cased,
                            .size = wanted->size},
        made);
}

static pare_status make_bpe(const training *wanted)
{
    pare_bpe *made;
    char path[PATH_CAPACITY];
    snprintf(path, sizeof path, "%s/%s", wanted->directory, joint_file);
    pare_status status = build_bpe(wanted, &made);
    if (status == PARE_OK)
        status = pare_bpe_save(made, path);
    if (status == PARE_OK)
        printf("%s: a vocabulary of %s pieces\n", wanted->directory,
               format_count(pare_bpe_size(made)));
    pare_bpe_destroy(made);
    return status;
}

/* What is asked for must fit together; an exit code. */
static int check_training(const training *wanted)
{
    if (wanted->merges && (wanted->kind == BPE_RAW || wanted->size || wanted->cased))
        return fail_usage("tokenize", "--merges-file says which merges there are, of words as they "
                                      "are; leave --size, --cased and --kind out");
    if (!wanted->text_count && !wanted->merges)
        return fail_usage("tokenize", "--train reads its text from a FILE; name one");
    if (wanted->text_count > 1 && wanted->kind == WORDPIECE && !wanted->merges)
        return fail_usage("tokenize", "--train takes one FILE, or several with --kind bpe");
    if (has_file(wanted->directory, joint_file) || has_file(wanted->directory, "vocab.txt"))
        return fail_usage("tokenize", "%s has a tokenizer already; name another directory",
                          wanted->directory);
    return PARE_OK;
}

static int train(const training *wanted)
{
    int exit_code = check_training(wanted);
    if (exit_code != PARE_OK)
        return exit_code;
    bool bpe = wanted->kind != WORDPIECE || wanted->merges;
    pare_status status = bpe ? make_bpe(wanted) : make_wordpiece(wanted);
    return status == PARE_OK ? PARE_OK : fail("tokenize", status);
}

/* ---- The verb ---- */

static int tokenize(const char *directory, const char *path, bool target, bool json)
{
    if (target && !has_file(directory, target_file))
        return fail_usage("tokenize", "%s has one tokenizer; leave --target out", directory);
    tokenizer opened;
    pare_status status = load_tokenizer(directory, target, &opened);
    if (status == PARE_OK)
        status = tokenize_file(&opened, path, json);
    free_tokenizer(&opened);
    return status == PARE_OK ? PARE_OK : fail("tokenize", status);
}

int command_tokenize(int argument_count, char **argument_values)
{
    bool json = false, make = false, target = false;
    uint64_t size = 0;
    training wanted = {.kind = WORDPIECE};
    const cli_option options[] = {
        {"json", NULL, OPTION_FLAG, &json, "ids, tokens and offsets of each line", NULL},
        {"target", NULL, OPTION_FLAG, &target,
         "of a translation model with two tokenizers, that of the target", NULL},
        {"train", NULL, OPTION_FLAG, &make, "make a tokenizer", NULL},
        {"size", "N", OPTION_COUNT, &size, "with --train: its pieces, at most; 0 or none: 8000",
         NULL},
        {"cased", NULL, OPTION_FLAG, &wanted.cased,
         "with --train: keep capitals, and accents in BERT's kind", NULL},
        {"kind", "KIND", OPTION_CHOICE, &wanted.kind, "with --train: of tokenizer", kind_names},
        {"merges-file", "FILE", OPTION_STRING, &wanted.merges,
         "with --train: bpe with the merges of a file of subword-nmt", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&tokenize_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    wanted.directory = parsed.positionals[0];
    wanted.texts = parsed.positionals + 1;
    wanted.text_count = parsed.count - 1;
    wanted.size = (size_t)size;
    if (!make && (size || wanted.cased || wanted.kind != WORDPIECE || wanted.merges))
        return fail_usage("tokenize", "--size, --cased, --kind and --merges-file are for --train");
    if (make && (json || target))
        return fail_usage("tokenize", "--train prints no pieces; leave --json and --target out");
    if (make)
        return train(&wanted);
    if (wanted.text_count > 1)
        return fail_usage("tokenize", "one FILE at a time; join several with zcat or cat");
    return tokenize(wanted.directory, wanted.text_count ? wanted.texts[0] : "-", target, json);
}
