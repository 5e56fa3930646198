/* pare score: translations beside references. */
#include <stdio.h>

#include "command.h"

const cli_command score_command = {
    .name = "score",
    .arguments = "HYPOTHESES REFERENCES [options]",
    .summary = "measure translations by BLEU and chrF",
    .details =
        "Both files (plain or gzip; - for one of them: the standard input) have one segment per\n"
        "line, in the same order. Printed are, over all segments and in percent:\n\n"
        "  BLEU            as sacreBLEU 2.6.0, of ordinary text; quote it with its signature\n"
        "  chrF2           likewise, of characters\n"
        "  tokenised BLEU  as fairseq: of the tokens as they stand, without smoothing; joints of\n"
        "                  byte pair encoding (@@) are removed, and <unk> in a reference matches\n"
        "                  nothing. For texts that were tokenised alike",
    .example = "  pare score translations.de test.de",
    .positionals_min = 2,
    .positionals_max = 2};

static void print_score(const pare_translation_score *score, const pare_scorer_options *options)
{
    const double *precisions = score->precisions;
    printf("BLEU            %6.2f  %s\n", score->bleu, pare_bleu_signature(options));
    printf("                        %.1f/%.1f/%.1f/%.1f, brevity penalty %.3f\n", precisions[0],
           precisions[1], precisions[2], precisions[3], score->brevity_penalty);
    printf("chrF2           %6.2f  %s\n", score->chrf, pare_chrf_signature(options));
    printf("tokenised BLEU  %6.2f  of the tokens as they stand, no smoothing%s\n",
           score->tokenised_bleu, options->lower_case ? ", lower case" : "");
    printf("%s segments, %s tokens (13a)", format_count(score->segments),
           format_count(score->hypothesis_length));
    printf(", %s in the references\n", format_count(score->reference_length));
}

static json_t *score_to_json(const pare_translation_score *score,
                             const pare_scorer_options *options)
{
    const double *precisions = score->precisions;
    return json_pack("{s:f, s:s, s:f, s:s, s:f, s:[f, f, f, f], s:f, s:I, s:I, s:I}", "bleu",
                     score->bleu, "signature", pare_bleu_signature(options), "chrf", score->chrf,
                     "chrf_signature", pare_chrf_signature(options), "tokenised_bleu",
                     score->tokenised_bleu, "precisions", precisions[0], precisions[1],
                     precisions[2], precisions[3], "brevity_penalty", score->brevity_penalty,
                     "hypothesis_length", (json_int_t)score->hypothesis_length, "reference_length",
                     (json_int_t)score->reference_length, "segments", (json_int_t)score->segments);
}

int command_score(int argument_count, char **argument_values)
{
    bool json = false;
    pare_scorer_options options = {0};
    const cli_option table[] = {
        {"json", NULL, OPTION_FLAG, &json, "one JSON object instead of a table", NULL},
        {"lower-case", NULL, OPTION_FLAG, &options.lower_case, "capitals count as small letters",
         NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&score_command, table, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    pare_translation_score score;
    pare_status status =
        pare_score_files(parsed.positionals[0], parsed.positionals[1], &options, &score);
    if (status != PARE_OK)
        return fail("score", status);
    if (json)
        return print_json(score_to_json(&score, &options));
    print_score(&score, &options);
    return PARE_OK;
}
