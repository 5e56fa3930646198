/* pare eval: a model's quality on a text. */
#include <stdio.h>

#include "command.h"
#include "progress.h"
#include "source.h"

const cli_command eval_command = {
    .name = "eval",
    .arguments = "MODEL (--recipe RECIPE | --text FILE) [options]",
    .summary = "evaluate a model on a text",
    .details =
        "MODEL is a directory with config.json, model.safetensors and vocab.json; a "
        "mask.safetensors\n"
        "in it is used unless --dense or --mask says otherwise. Every token is counted once.\n\n"
        "Three numbers decide what context a token gets. --length is the segment: tokens computed\n"
        "together. --memory is how many states of earlier tokens each segment may look back at; "
        "the\n"
        "default is what the model was trained with. A model trained with same_length sees "
        "exactly\n"
        "`memory` tokens in every row. To score single sentences, put each in a file of its own: "
        "the\n"
        "memory is empty only at the start of a text.",
    .example = "  pare eval runs/demo/dense --text chapter.txt.gz",
    .positionals_min = 1,
    .positionals_max = 1};

static void print_evaluation(const cli_session *session, const pare_evaluation *evaluation)
{
    printf("%s %.4f", pare_task_metric(session->data.task), evaluation->metric);
    for (size_t i = 0; i < evaluation->more_count; i++)
        printf(", %s %.4f", evaluation->more[i].name, evaluation->more[i].value);
    printf("  (loss %.6f over %s predictions, %s)\n", evaluation->loss,
           format_count(evaluation->tokens), format_duration(evaluation->seconds));
}

static json_t *evaluation_to_json(const cli_session *session, const pare_evaluation *evaluation)
{
    json_t *more = json_object();
    for (size_t i = 0; i < evaluation->more_count; i++)
        json_object_set_new(more, evaluation->more[i].name, json_real(evaluation->more[i].value));
    return json_pack("{s:s, s:f, s:o, s:f, s:I, s:f, s:f}", "metric",
                     pare_task_metric(session->data.task), "value", evaluation->metric, "more",
                     more, "loss", evaluation->loss, "tokens", (json_int_t)evaluation->tokens,
                     "seconds", evaluation->seconds, "attention_seconds",
                     evaluation->attention_seconds);
}

int command_eval(int argument_count, char **argument_values)
{
    static const char *const splits[] = {"train", "valid", "test", NULL};
    source_options source = {.evaluation_only = true};
    const char *mask = NULL;
    bool dense = false, json = false;
    int split = PARE_SPLIT_TEST;
    const cli_option options[] = {
        {"recipe", "FILE", OPTION_STRING, &source.recipe, "data as this recipe describes them",
         NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &source.set, "override a key of the recipe", NULL},
        {"text", "FILE", OPTION_STRING, &source.text, "a text, plain or gzip", NULL},
        {"split", "NAME", OPTION_CHOICE, &split, "which part of the recipe's data", splits},
        {"mask", "FILE", OPTION_STRING, &mask, "prune with this mask", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"batch", "N", OPTION_COUNT, &source.lanes, "lanes computed together; speed only", NULL},
        {"length", "N", OPTION_COUNT, &source.length, "tokens per segment", NULL},
        {"memory", "N", OPTION_COUNT, &source.memory,
         "states of earlier tokens to look at; 0: as trained", NULL},
        {"threads", "N", OPTION_COUNT, &source.threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&eval_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if ((exit_code = check_source("eval", &source)))
        return exit_code;
    if (mask && dense)
        return fail_usage("eval", "give either --mask or --dense");

    cli_session session = {0};
    pare_evaluation evaluation;
    pare_progress progress = progress_begin(json);
    pare_status status = open_session(&session, parsed.positionals[0], mask, dense, source.threads);
    if (status == PARE_OK)
        status = open_task(&session, parsed.positionals[0], &source);
    if (status == PARE_OK)
        status = pare_task_evaluate(session.data.task, session.model, session.tape,
                                    (pare_split)split, &progress, &evaluation);
    progress_end();
    if (status != PARE_OK)
        exit_code = fail("eval", status);
    else if (json)
        exit_code = print_json(evaluation_to_json(&session, &evaluation));
    else
        print_evaluation(&session, &evaluation);
    close_session(&session);
    return exit_code;
}
