/* pare bench: measures kernels and training steps on this machine. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "command.h"

const cli_command bench_command = {
    .name = "bench",
    .arguments = "(attention | model | step | calibrate | compare) [options]",
    .summary = "measure attention kernels or training steps on this machine",
    .details =
        "  attention   forward and backward, dense against pruned, over densities and lengths\n"
        "  model       a whole training step of a Transformer-XL\n"
        "  step        training steps of a recipe on its own data\n"
        "  calibrate   the costs by which plans choose between lists and dense spans\n"
        "  compare     two files of `pare bench attention --json`\n\n"
        "Each has its own --help. Times are medians; compare ratios, not single times.",
    .example = "  pare bench attention --length 512,1024 --density 10",
    .positionals_min = 1,
    .positionals_max = 1};

int command_bench(int argument_count, char **argument_values)
{
    const cli_option options[] = {{0}};
    const char *what = argument_count > 1 ? argument_values[1] : "";
    if (!strcmp(what, "attention"))
        return bench_attention(argument_count - 1, argument_values + 1);
    if (!strcmp(what, "model"))
        return bench_model(argument_count - 1, argument_values + 1);
    if (!strcmp(what, "step"))
        return bench_step(argument_count - 1, argument_values + 1);
    if (!strcmp(what, "calibrate"))
        return bench_calibrate(argument_count - 1, argument_values + 1);
    if (!strcmp(what, "compare"))
        return bench_compare(argument_count - 1, argument_values + 1);
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&bench_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    return fail_usage(
        "bench", "'%s' cannot be measured; choose attention, model, step, calibrate or compare",
        what);
}
