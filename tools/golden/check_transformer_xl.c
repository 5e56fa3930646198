/* The C side of check_transformer_xl.py. Build it against an installed Pare:
 *
 *     cc tools/golden/check_transformer_xl.c $(pkg-config --cflags --libs pare) -o check
 *
 * check FROM TO SCORES LANES LENGTH TOKEN...: loads model directory FROM, saves it as TO, and
 * writes the log-probabilities after each lane's last token as raw floats. */
#include <stdio.h>
#include <stdlib.h>

#include <pare/pare.h>

static void require(pare_status status)
{
    if (status == PARE_OK)
        return;
    fprintf(stderr, "%s\n", pare_error_message());
    exit((int)status);
}

int main(int count, char **arguments)
{
    if (count < 6)
        return 2;
    size_t lanes = strtoul(arguments[4], NULL, 10), length = strtoul(arguments[5], NULL, 10);
    if ((size_t)count != 6 + lanes * length)
        return 2;
    pare_context *context;
    pare_tape *tape;
    pare_model *model;
    require(pare_context_create(NULL, &context));
    require(pare_tape_create(context, &tape));
    require(pare_model_load(context, arguments[1], &model));
    require(pare_model_save(model, arguments[2]));

    size_t scores = lanes * pare_language_model_vocabulary(model);
    uint32_t *tokens = malloc(lanes * length * sizeof *tokens);
    float *output = malloc(scores * sizeof *output);
    if (!tokens || !output)
        return 5;
    for (size_t i = 0; i < lanes * length; i++)
        tokens[i] = (uint32_t)strtoul(arguments[6 + i], NULL, 10);
    pare_segment segment = {.lanes = lanes, .length = length, .inputs = tokens};
    pare_tape_begin(tape, false, 0);
    require(pare_language_model_next(model, tape, NULL, &segment, output));
    FILE *file = fopen(arguments[3], "wb");
    if (!file || fwrite(output, sizeof *output, scores, file) != scores || fclose(file))
        return 4;
    free(tokens);
    free(output);
    pare_model_destroy(model);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return 0;
}
