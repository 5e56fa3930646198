/* pare eval: a model's quality on a text. */
#include <stdio.h>

#include "command.h"
#include "progress.h"
#include "source.h"

const cli_command eval_command = {
    .name = "eval",
    .arguments = "MODEL (--recipe RECIPE | --text FILE) [options]",
    .summary = "evaluate a model on a text, or on the data of a recipe",
    .details =
        "MODEL is a directory with config.json, model.safetensors and vocabulary or tokenizer; a\n"
        "mask.safetensors in it is used unless --dense or --mask says otherwise. The recipe says\n"
        "what the task is; its metrics come first.\n\n"
        "Language models: every token is counted once, and three numbers decide what context it\n"
        "gets. --length is the segment: tokens computed together. --memory is how many states of\n"
        "earlier tokens each segment may look back at; the default is what the model was trained\n"
        "with. A model trained with same_length sees exactly `memory` tokens in every row. To "
        "score\n"
        "single sentences, put each in a file of its own: the memory is empty only at the start "
        "of a\ntext.",
    .example = "  pare eval runs/demo/dense --text chapter.txt.gz\n"
               "  pare eval runs/squad-small/dense --recipe recipes/squad-small.yaml \\\n"
               "      --split valid --predictions answers.json",
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
    const char *count =
        session->recipe.task == PARE_TASK_LANGUAGE_MODELLING ? "tokens" : "predictions";
    return json_pack("{s:s, s:f, s:o, s:f, s:I, s:f, s:f}", "metric",
                     pare_task_metric(session->data.task), "value", evaluation->metric, "more",
                     more, "loss", evaluation->loss, count, (json_int_t)evaluation->tokens,
                     "seconds", evaluation->seconds, "attention_seconds",
                     evaluation->attention_seconds);
}

/* Before an evaluation that may take hours. */
static int check_predictions(const cli_session *session, const char *path)
{
    if (!path)
        return PARE_OK;
    if (session->recipe.task != PARE_TASK_QUESTION_ANSWERING)
        return fail_usage("eval",
                          "--predictions are answers to questions, which %s has none of; "
                          "leave it out",
                          pare_task_names[session->recipe.task]);
    return check_output("eval", path);
}

int command_eval(int argument_count, char **argument_values)
{
    static const char *const splits[] = {"train", "valid", "test", NULL};
    source_options source = {.evaluation_only = true};
    const char *predictions = NULL;
    string_list masks = {.count = 0};
    bool dense = false, json = false;
    int split = PARE_SPLIT_TEST, precision = PARE_PRECISION_FP32;
    const cli_option options[] = {
        {"recipe", "FILE", OPTION_STRING, &source.recipe, "data as this recipe describes them",
         NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &source.set, "override a key of the recipe", NULL},
        COLUMN_OPTIONS(&source.set),
        {"text", "FILE", OPTION_STRING, &source.text, "a text, plain or gzip", NULL},
        {"split", "NAME", OPTION_CHOICE, &split, "which part of the recipe's data", splits},
        {"predictions", "FILE", OPTION_STRING, &predictions,
         "question answering: also write the answers, in SQuAD's format", NULL},
        {"mask", "FILE", OPTION_LIST, &masks, "prune with this mask", NULL},
        {"dense", NULL, OPTION_FLAG, &dense, "use no mask", NULL},
        {"batch", "N", OPTION_COUNT, &source.lanes, "lanes computed together; speed only", NULL},
        {"length", "N", OPTION_COUNT, &source.length, "tokens per segment", NULL},
        {"memory", "N", OPTION_COUNT, &source.memory,
         "states of earlier tokens to look at; 0: as trained", NULL},
        {"precision", "WORD", OPTION_CHOICE, &precision, "of matrix products", precision_words},
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
    if ((exit_code = check_masks("eval", &masks, dense)))
        return exit_code;

    cli_session session = {0};
    pare_evaluation evaluation;
    pare_progress progress = progress_begin(json);
    pare_status status =
        open_session(&session, parsed.positionals[0], &masks, dense, source.threads);
    if (status == PARE_OK)
        status = pare_context_set_precision(session.context, (pare_precision)precision);
    if (status == PARE_OK)
        exit_code = open_task("eval", &session, parsed.positionals[0], &source);
    if (status == PARE_OK && !exit_code)
        exit_code = check_predictions(&session, predictions);
    if (status == PARE_OK && !exit_code)
        status = pare_task_evaluate(session.data.task, session.model, session.tape,
                                    (pare_split)split, &progress, &evaluation);
    if (status == PARE_OK && !exit_code && predictions)
        status = pare_question_answering_save_predictions(session.data.task, predictions);
    progress_end();
    if (status != PARE_OK)
        exit_code = fail("eval", status);
    else if (!exit_code && json)
        exit_code = print_json(evaluation_to_json(&session, &evaluation));
    else if (!exit_code)
        print_evaluation(&session, &evaluation);
    close_session(&session);
    return exit_code;
}
