/* pare info: this machine, or what is in a model directory, a mask or an average. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "source.h"

const cli_command info_command = {
    .name = "info",
    .arguments = "[MODEL | MASK | AVERAGE] [options]",
    .summary = "describe this machine, a model, a mask or an average",
    .details =
        "Without an argument: version, CPU, the instruction-set level that the kernels will use\n"
        "and why. PARE_ISA chooses another one.",
    .example = "  pare info\n  pare info runs/demo/attention-pruning-90",
    .positionals_min = 0,
    .positionals_max = 1};

static int describe_machine(const pare_context *context, bool json)
{
    pare_level chosen = pare_context_level(context);
    const char *asked = getenv("PARE_ISA");
    json_t *levels = json_array();
    if (!json)
        printf("Pare %s\nCPU      %s\nthreads  %d\nkernels  %s\n         %s\n", PARE_VERSION,
               pare_cpu_name(), pare_context_threads(context), pare_level_name(chosen),
               asked && *asked ? "as PARE_ISA asks" : "the best level of this CPU in this build");
    for (int i = 0; i < PARE_LEVEL_COUNT; i++) {
        pare_level level = (pare_level)i;
        if (!pare_level_supported(level))
            continue;
        json_array_append_new(levels, json_string(pare_level_name(level)));
        if (!json && level != chosen)
            printf("         %s is available too (PARE_ISA=%s)\n", pare_level_name(level),
                   pare_level_name(level));
    }
    if (!json) {
        json_decref(levels);
        return PARE_OK;
    }
    return print_json(json_pack("{s:s, s:s, s:i, s:s, s:o}", "version", PARE_VERSION, "cpu",
                                pare_cpu_name(), "threads", pare_context_threads(context), "level",
                                pare_level_name(chosen), "levels", levels));
}

static json_t *geometry_to_json(const pare_geometry *g)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:f}", "kind",
                     pare_geometry_names[g->kind], "layers", (json_int_t)g->layers, "heads",
                     (json_int_t)g->heads, "queries", (json_int_t)g->queries, "keys",
                     (json_int_t)g->keys, "causal", g->causal, "window", (json_int_t)g->window,
                     "ends_first", g->ends_first, "ratio", g->ratio);
}

static void print_geometry(const pare_geometry *g)
{
    printf("geometry  %s, %zu layers x %zu heads, %zu queries x %zu keys%s",
           pare_geometry_names[g->kind], g->layers, g->heads, g->queries, g->keys,
           g->causal ? ", causal" : "");
    if (g->ratio > 0)
        printf(", cross attention with %.4g source tokens per target token", g->ratio);
    printf("%s\n", g->ends_first ? ", first and last token first" : "");
}

static json_t *describe_mask(const pare_mask *mask, bool json)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    pare_mask_report r = pare_mask_describe(mask);
    if (json)
        return json_pack(
            "{s:s, s:s, s:f, s:f, s:f, s:f, s:s, s:s, s:s, s:I, s:I, s:s, s:o, s:o}", "type",
            "mask", "method", pare_method_names[r.method], "p_nom", r.p_nominal, "p_adm",
            r.p_admissible, "p_eff", r.p_effective, "kept_mass", r.kept_mass, "average",
            pare_average_names[r.options.average], "scope", pare_scope_names[r.options.scope],
            "empty_row", pare_empty_row_names[r.options.empty_row], "block",
            (json_int_t)r.options.block, "rescued_rows", (json_int_t)r.rescued_rows, "corpus",
            r.corpus, "geometry", geometry_to_json(g), "kept_shares", kept_shares_to_json(mask));
    printf("mask      %s, p_nom %.2f  p_adm %.2f  p_eff %.2f, keeps %.2f%% of the attention\n",
           pare_method_names[r.method], r.p_nominal, r.p_admissible, r.p_effective, r.kept_mass);
    print_geometry(g);
    printf("pruned    by the %s average, scope %s, empty rows %s",
           pare_average_names[r.options.average], pare_scope_names[r.options.scope],
           pare_empty_row_names[r.options.empty_row]);
    if (r.options.block)
        printf(", in blocks of %zu x %zu", r.options.block, r.options.block);
    printf("\ncorpus    %s (hash %016llx)\n", r.corpus, (unsigned long long)r.corpus_hash);
    print_kept_shares(mask, NULL);
    return NULL;
}

/* Query positions that some sequence had. */
static size_t observed_rows(const pare_average *average)
{
    const pare_geometry *g = pare_average_geometry(average);
    size_t rows = 0;
    for (size_t row = 0; row < g->queries; row++) {
        size_t column = 0;
        while (column < g->keys && !pare_average_count(average, row, column))
            column++;
        rows += column < g->keys;
    }
    return rows;
}

static json_t *describe_average(const pare_average *average, bool json)
{
    const pare_geometry *g = pare_average_geometry(average);
    if (json)
        return json_pack("{s:s, s:I, s:I, s:o}", "type", "average", "examples",
                         (json_int_t)pare_average_examples(average), "observed_queries",
                         (json_int_t)observed_rows(average), "geometry", geometry_to_json(g));
    printf("average   over %s %s\n", format_count(pare_average_examples(average)),
           g->causal ? "segments" : "sequences");
    print_geometry(g);
    printf("observed  %zu of %zu query positions\n", observed_rows(average), g->queries);
    return NULL;
}

static json_t *bert_shape_to_json(const pare_bert_config *c)
{
    static const char *const tasks[] = {NULL, "classification", "question-answering",
                                        "masked-language-modelling"};
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s?, s:I}", "layers", (json_int_t)c->layers,
                     "heads", (json_int_t)c->heads, "size", (json_int_t)c->size, "feed_forward",
                     (json_int_t)c->feed_forward, "positions", (json_int_t)c->positions,
                     "vocabulary", (json_int_t)c->vocabulary, "head", tasks[c->head], "labels",
                     (json_int_t)(c->head == PARE_HEAD_CLASSIFICATION ? c->labels : 0));
}

static json_t *marian_shape_to_json(const pare_marian_config *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "encoder_layers",
                     (json_int_t)c->encoder_layers, "decoder_layers", (json_int_t)c->decoder_layers,
                     "heads", (json_int_t)c->heads, "size", (json_int_t)c->size,
                     "encoder_feed_forward", (json_int_t)c->encoder_feed_forward,
                     "decoder_feed_forward", (json_int_t)c->decoder_feed_forward, "positions",
                     (json_int_t)c->positions, "source_vocabulary",
                     (json_int_t)c->source_vocabulary, "target_vocabulary",
                     (json_int_t)c->target_vocabulary, "pre_norm", c->pre_norm);
}

static json_t *transformer_xl_shape_to_json(const pare_transformer_xl_config *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "layers", (json_int_t)c->layers,
                     "heads", (json_int_t)c->heads, "head_size", (json_int_t)c->head_size, "size",
                     (json_int_t)c->size, "feed_forward", (json_int_t)c->feed_forward, "memory",
                     (json_int_t)c->memory, "vocabulary", (json_int_t)c->vocabulary);
}

static json_t *shape_to_json(const pare_model *model)
{
    const pare_bert_config *bert = pare_bert_config_of(model);
    const pare_marian_config *marian = pare_marian_config_of(model);
    return bert     ? bert_shape_to_json(bert)
           : marian ? marian_shape_to_json(marian)
                    : transformer_xl_shape_to_json(pare_transformer_xl_config_of(model));
}

static void print_bert_shape(const pare_bert_config *c)
{
    static const char *const heads[] = {"no head", "a classification head",
                                        "a question answering head", "a masked words head"};
    printf("shape     %zu layers, %zu heads of %zu, size %zu, feed-forward %zu, %zu positions, "
           "vocabulary %zu, %s",
           c->layers, c->heads, c->size / c->heads, c->size, c->feed_forward, c->positions,
           c->vocabulary, heads[c->head]);
    if (c->head == PARE_HEAD_CLASSIFICATION)
        printf(" of %zu labels", c->labels);
    printf("\n");
}

/* "256", or "256 and 512" where encoder and decoder, or source and target, differ. */
static const char *both(size_t first, size_t second, char text[64])
{
    snprintf(text, 64, first == second ? "%zu" : "%zu and %zu", first, second);
    return text;
}

static void print_marian_shape(const pare_marian_config *c)
{
    static const char *const sharing[] = {"one embedding for source, target and output",
                                          "one embedding for target and output, one for source",
                                          "three embeddings: source, target and output"};
    char feed_forward[64], vocabulary[64];
    printf("shape     %zu + %zu layers (encoder, decoder), %zu heads of %zu, size %zu, "
           "feed-forward %s, %zu positions%s\n",
           c->encoder_layers, c->decoder_layers, c->heads, c->size / c->heads, c->size,
           both(c->encoder_feed_forward, c->decoder_feed_forward, feed_forward), c->positions,
           c->pre_norm ? ", pre-norm" : "");
    printf("words     vocabulary %s; %s\n",
           both(c->source_vocabulary, c->target_vocabulary, vocabulary), sharing[c->sharing]);
}

static void print_shape(const pare_model *model)
{
    const pare_transformer_xl_config *c = pare_transformer_xl_config_of(model);
    if (c)
        printf("shape     %zu layers, %zu heads of %zu, size %zu, feed-forward %zu, memory %zu, "
               "vocabulary %zu\n",
               c->layers, c->heads, c->head_size, c->size, c->feed_forward, c->memory,
               c->vocabulary);
    const pare_bert_config *bert = pare_bert_config_of(model);
    if (bert)
        print_bert_shape(bert);
    const pare_marian_config *marian = pare_marian_config_of(model);
    if (marian)
        print_marian_shape(marian);
}

static json_t *mask_to_json(const pare_mask *mask)
{
    return mask ? describe_mask(mask, true) : json_null();
}

/* "mask" of the one kind of attention, or "masks" by kind. */
static void add_masks(json_t *object, const pare_model *model)
{
    size_t kinds = pare_model_attention_kinds(model);
    json_t *masks = json_object();
    for (size_t kind = 0; kind < kinds; kind++)
        json_object_set_new(masks, pare_attention_kind_names[kind],
                            mask_to_json(pare_model_mask(model, (pare_attention_kind)kind)));
    if (kinds == 1)
        json_object_set(object, "mask", json_object_get(masks, pare_attention_kind_names[0]));
    else
        json_object_set(object, "masks", masks);
    json_decref(masks);
}

static void print_masks(const pare_model *model)
{
    size_t kinds = pare_model_attention_kinds(model);
    for (size_t kind = 0; kind < kinds; kind++) {
        const pare_mask *mask = pare_model_mask(model, (pare_attention_kind)kind);
        if (kinds > 1)
            printf("%-9s %s\n", pare_attention_kind_names[kind],
                   mask ? "attention with the mask:" : "attention without mask: dense");
        else if (!mask)
            printf("mask      none: dense\n");
        if (mask)
            describe_mask(mask, false);
    }
}

static json_t *describe_model(pare_model *model, bool json)
{
    size_t parameters = pare_model_parameter_floats(model);
    if (json) {
        json_t *object =
            json_pack("{s:s, s:s, s:I, s:o}", "type", "model", "family", pare_model_family(model),
                      "parameters", (json_int_t)parameters, "shape", shape_to_json(model));
        add_masks(object, model);
        return object;
    }
    printf("model     %s, %s parameters\n", pare_model_family(model), format_count(parameters));
    print_shape(model);
    print_masks(model);
    return NULL;
}

/* A file may be a mask or an average: its own reader says so. */
static pare_status describe_file(const char *path, bool json, json_t **object)
{
    pare_mask *mask;
    if (pare_mask_load(path, &mask) == PARE_OK) {
        *object = describe_mask(mask, json);
        pare_mask_destroy(mask);
        return PARE_OK;
    }
    pare_average *average;
    pare_status status = pare_average_load(path, &average);
    if (status == PARE_OK) {
        *object = describe_average(average, json);
        pare_average_destroy(average);
    }
    return status;
}

static pare_status describe_path(pare_context *context, const char *path, bool json,
                                 json_t **object)
{
    struct stat information;
    if (stat(path, &information) || !S_ISDIR(information.st_mode))
        return describe_file(path, json, object);
    pare_model *model;
    pare_status status = pare_model_load(context, path, &model);
    if (status == PARE_OK) {
        *object = describe_model(model, json);
        pare_model_destroy(model);
    }
    return status;
}

int command_info(int argument_count, char **argument_values)
{
    uint64_t threads = 0;
    bool json = false;
    const cli_option options[] = {
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&info_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    pare_context *context;
    pare_status status = open_context(threads, &context);
    if (status != PARE_OK)
        return fail("info", status);
    json_t *object = NULL;
    if (!parsed.count)
        exit_code = describe_machine(context, json);
    else if ((status = describe_path(context, parsed.positionals[0], json, &object)) != PARE_OK)
        exit_code = fail("info", status);
    else if (object)
        exit_code = print_json(object);
    pare_context_destroy(context);
    return exit_code;
}
