/* pare generate: text from a language model. */
#include <stdio.h>

#include "command.h"
#include "source.h"

const cli_command generate_command = {
    .name = "generate",
    .arguments = "MODEL [options]",
    .summary = "continue a text with a language model",
    .details =
        "Prints the prompt's continuation as it is drawn. The same seed gives the same text.\n"
        "Temperature 0 takes the most likely token every time.",
    .example = "  pare generate runs/demo/dense --prompt \"In the beginning\" --tokens 50",
    .positionals_min = 1,
    .positionals_max = 1};

static void print_piece(void *user, const char *bytes, size_t length)
{
    (void)user;
    fwrite(bytes, 1, length, stdout);
    fflush(stdout);
}

static void collect_piece(void *user, const char *bytes, size_t length)
{
    json_t *pieces = user;
    json_t *piece = json_stringn(bytes, length);
    json_array_append_new(pieces, piece ? piece : json_string("\xef\xbf\xbd"));
}

int command_generate(int argument_count, char **argument_values)
{
    const char *prompt = "";
    string_list masks = {.count = 0};
    uint64_t threads = 0, tokens = 100, top_k = 0, seed = 1;
    double temperature = 1, top_p = 1;
    bool dense = false, json = false;
    const cli_option options[] = {
        {"prompt", "TEXT", OPTION_STRING, &prompt, "text to continue", NULL},
        {"tokens", "N", OPTION_COUNT, &tokens, "how many to draw; default 100", NULL},
        {"temperature", "T", OPTION_NUMBER, &temperature, "default 1", NULL},
        {"top-k", "K", OPTION_COUNT, &top_k, "draw from the K most likely; default all", NULL},
        {"top-p", "P", OPTION_NUMBER, &top_p, "draw from the likeliest with sum P; default 1",
         NULL},
        {"seed", "N", OPTION_COUNT, &seed, "default 1", NULL},
        {"mask", "FILE", OPTION_LIST, &masks, "prune with this mask", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&generate_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if (temperature < 0 || top_p <= 0 || top_p > 1)
        return fail_usage("generate", "--temperature must be 0 or more and --top-p in (0, 1]");
    if ((exit_code = check_masks("generate", &masks, dense)))
        return exit_code;

    json_t *pieces = json ? json_array() : NULL;
    pare_generate_options request = {.tokens = tokens,
                                     .temperature = temperature,
                                     .top_k = top_k,
                                     .top_p = top_p,
                                     .seed = seed,
                                     .emit = json ? collect_piece : print_piece,
                                     .user = pieces};
    cli_session session = {0};
    pare_status status = PARE_OK;
    exit_code = open_session_for(MODEL_LANGUAGE, "generate", &session, parsed.positionals[0],
                                 &masks, dense, threads);
    if (!exit_code)
        status = open_vocabulary(&session, parsed.positionals[0]);
    if (status == PARE_OK && !exit_code)
        status =
            pare_generate(session.model, session.tape, session.data.vocabulary, prompt, &request);
    if (!json && !exit_code && (status == PARE_OK || status == PARE_ERROR_INTERRUPTED))
        printf("\n"); /* the text ends without one */
    if (status != PARE_OK)
        exit_code = fail("generate", status);
    else if (json && !exit_code)
        exit_code = print_json(json_pack("{s:s, s:O}", "prompt", prompt, "pieces", pieces));
    json_decref(pieces);
    close_session(&session);
    return exit_code;
}
