/* The section `model` of a recipe: the shape of a fresh model, or the checkpoint to start from. */
#include "train/recipe_builder.h"

/* What a model can be made from, as bits, for keys that only some of them know. */
enum {
    TRANSFORMER_XL = 1,
    FRESH_BERT = 2,
    CHECKPOINT = 4,
    FRESH_MARIAN = 8,
    MARIAN_CHECKPOINT = 16,
    FRESH = TRANSFORMER_XL | FRESH_BERT | FRESH_MARIAN
};

static void refuse_foreign(pri_recipe_builder *build, const pri_model_section *model, unsigned kind)
{
    const pri_recipe_key keys[] = {
        {"model.layers", model->layers, FRESH},
        {"model.heads", model->heads, FRESH},
        {"model.size", model->size, FRESH},
        {"model.feed_forward", model->feed_forward, FRESH},
        {"model.positions", model->positions, FRESH_BERT | FRESH_MARIAN},
        {"model.decoder_layers", model->decoder_layers, FRESH_MARIAN},
        {"model.share", model->share, FRESH_MARIAN},
        {"model.sinusoids", model->sinusoids, FRESH_MARIAN},
        {"model.activation", model->activation, FRESH_MARIAN},
        {"model.inner_dropout", model->inner_dropout, FRESH_MARIAN | MARIAN_CHECKPOINT},
        {"model.head_size", model->head_size, TRANSFORMER_XL},
        {"model.embedding_size", model->embedding_size, TRANSFORMER_XL},
        {"model.memory", model->memory, TRANSFORMER_XL},
        {"model.clamp_length", model->clamp_length, TRANSFORMER_XL},
        {"model.same_length", model->same_length, TRANSFORMER_XL},
        {"model.pre_norm", model->pre_norm, TRANSFORMER_XL | FRESH_MARIAN},
        {"model.untie_biases", model->untie_biases, TRANSFORMER_XL},
        {"model.cutoffs", model->cutoffs, TRANSFORMER_XL},
        {"model.division", model->division, TRANSFORMER_XL},
    };
    const char *name = kind & (CHECKPOINT | MARIAN_CHECKPOINT)
                           ? "a model that comes from model.checkpoint"
                       : kind == FRESH_BERT   ? "a BERT encoder"
                       : kind == FRESH_MARIAN ? "a translation model"
                                              : "a Transformer-XL";
    pri_recipe_refuse_foreign(build, keys, sizeof keys / sizeof *keys, kind, name);
}

/* ---- What all families have ---- */

typedef struct model_shape {
    size_t layers, heads, size, feed_forward;
} model_shape;

static model_shape take_shape(pri_recipe_builder *build, const pri_model_section *model)
{
    PRI_REQUIRE(model, layers);
    PRI_REQUIRE(model, heads);
    PRI_REQUIRE(model, size);
    PRI_REQUIRE(model, feed_forward);
    model_shape shape; /* one after the other: the first error counts */
    shape.layers = PRI_INTEGER(model, layers, 0, 1, 1000);
    shape.heads = PRI_INTEGER(model, heads, 1, 1, 1000);
    shape.size = PRI_INTEGER(model, size, 0, 1, PRI_COUNT_LIMIT);
    shape.feed_forward = PRI_INTEGER(model, feed_forward, 0, 1, PRI_COUNT_LIMIT);
    return shape;
}

/* Rates that are not given stay as they are. */
static void take_dropouts(pri_recipe_builder *build, const pri_model_section *model, float *dropout,
                          float *attention_dropout)
{
    *dropout = (float)pri_take_share(build, "model.dropout", model->dropout, (double)*dropout);
    *attention_dropout = (float)pri_take_share(
        build, "model.attention_dropout", model->attention_dropout, (double)*attention_dropout);
}

static void check_head_size(pri_recipe_builder *build, const model_shape *shape, size_t head_size)
{
    if (build->status == PARE_OK && (!head_size || head_size > 256))
        build->status =
            pri_recipe_fail(build->document, "model.heads",
                            "%zu features over %zu heads give head size %zu; it must be 1 to 256",
                            shape->size, shape->heads, head_size);
}

/* Of models whose heads divide their size and whose sequences have a longest. */
static void check_heads_and_positions(pri_recipe_builder *build, const model_shape *shape,
                                      size_t positions)
{
    if (build->status == PARE_OK && shape->size % shape->heads)
        build->status = pri_recipe_fail(build->document, "model.heads",
                                        "model.size %zu is no multiple of model.heads %zu",
                                        shape->size, shape->heads);
    if (build->status == PARE_OK)
        check_head_size(build, shape, shape->size / shape->heads);
    if (build->status == PARE_OK && positions < build->recipe->length)
        build->status = pri_recipe_fail(build->document, "model.positions",
                                        "model.positions %zu is less than training.length %zu",
                                        positions, build->recipe->length);
}

/* ---- Transformer-XL ---- */

static void build_head_size(pri_recipe_builder *build, const pri_model_section *model,
                            pare_transformer_xl_config *config)
{
    if (model->head_size || build->status != PARE_OK)
        return;
    if (config->size % config->heads)
        build->status = pri_recipe_fail(
            build->document, "model.heads",
            "model.size %zu is no multiple of model.heads %zu; change one, or give head_size",
            config->size, config->heads);
    config->head_size = config->size / config->heads;
}

static void build_cutoffs(pri_recipe_builder *build, const pri_model_section *model,
                          pare_transformer_xl_config *config)
{
    if (build->status != PARE_OK)
        return;
    if (model->cutoffs_count >= PARE_CLUSTERS_MAX) {
        build->status =
            pri_recipe_fail(build->document, "model.cutoffs", "at most %d cutoffs, not %zu",
                            PARE_CLUSTERS_MAX - 1, model->cutoffs_count);
        return;
    }
    config->cluster_count = model->cutoffs_count;
    for (size_t i = 0; i < model->cutoffs_count && build->status == PARE_OK; i++) {
        int64_t least = i ? model->cutoffs[i - 1] + 1 : 1;
        if (model->cutoffs[i] < least || model->cutoffs[i] >= UINT32_MAX)
            build->status = pri_recipe_fail(
                build->document, "model.cutoffs",
                "cutoffs must be positive and rise, as in [2000, 10000]; %lld does not fit",
                (long long)model->cutoffs[i]);
        config->cutoffs[i] = (size_t)model->cutoffs[i];
    }
}

/* The smallest cluster has embedding_size / division^clusters features. */
static void check_division(pri_recipe_builder *build, const pare_transformer_xl_config *config)
{
    if (build->status != PARE_OK)
        return;
    size_t size = config->embedding_size ? config->embedding_size : config->size;
    for (size_t i = 0; i < config->cluster_count; i++)
        size /= config->division;
    if (!size)
        build->status = pri_recipe_fail(build->document, "model.division",
                                        "model.division %zu leaves no feature for the last of %zu "
                                        "clusters; use fewer cutoffs or a smaller division",
                                        config->division, config->cluster_count + 1);
}

static void build_transformer_xl(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_transformer_xl_config *config = &build->recipe->model.transformer_xl;
    *config = pare_transformer_xl_config_default();
    model_shape shape = take_shape(build, model);
    config->layers = shape.layers;
    config->heads = shape.heads;
    config->size = shape.size;
    config->feed_forward = shape.feed_forward;
    if (build->status == PARE_OK && config->size % 2)
        build->status = pri_recipe_fail(build->document, "model.size",
                                        "model.size must be even (half of a position's features "
                                        "are sines, half cosines), not %zu",
                                        config->size);
    config->head_size = PRI_INTEGER(model, head_size, 0, 1, 256);
    build_head_size(build, model, config);
    check_head_size(build, &shape, config->head_size);
    config->embedding_size = PRI_INTEGER(model, embedding_size, 0, 1, PRI_COUNT_LIMIT);
    config->memory = PRI_INTEGER(model, memory, build->recipe->length, 0, PRI_COUNT_LIMIT);
    config->clamp_length = PRI_INTEGER(model, clamp_length, 0, 0, PRI_COUNT_LIMIT);
    config->same_length = model->same_length && *model->same_length;
    config->pre_norm = model->pre_norm && *model->pre_norm;
    config->untie_biases = model->untie_biases && *model->untie_biases;
    build_cutoffs(build, model, config);
    config->division = PRI_INTEGER(model, division, 1, 1, 1000);
    check_division(build, config);
    take_dropouts(build, model, &config->dropout, &config->attention_dropout);
    if (build->status == PARE_OK && config->same_length && !config->memory)
        build->status = pri_recipe_fail(build->document, "model.same_length",
                                        "same_length lets every row see model.memory keys, which "
                                        "is 0; set model.memory");
}

/* ---- BERT ---- */

static void build_bert(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_bert_config *config = &build->recipe->model.bert;
    *config = pare_bert_config_default();
    config->head = PARE_HEAD_MASKED_WORDS;
    model_shape shape = take_shape(build, model);
    config->layers = shape.layers;
    config->heads = shape.heads;
    config->size = shape.size;
    config->feed_forward = shape.feed_forward;
    config->positions = PRI_INTEGER(model, positions, build->recipe->length, 1, PRI_COUNT_LIMIT);
    take_dropouts(build, model, &config->dropout, &config->attention_dropout);
    check_heads_and_positions(build, &shape, config->positions);
}

/* The checkpoint's own rates hold where none are given. */
static void build_checkpoint(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_bert_config *config = &build->recipe->model.bert;
    config->dropout = config->attention_dropout = -1.0f;
    take_dropouts(build, model, &config->dropout, &config->attention_dropout);
}

/* Classes and answers are learned on top of an encoder that knows the language. */
static void require_checkpoint(pri_recipe_builder *build)
{
    if (build->status == PARE_OK)
        build->status = pri_recipe_fail(
            build->document, "model.checkpoint",
            "model.checkpoint is missing; name the directory of a BERT encoder (tools/"
            "fetch-minilm.sh brings one), or train one with task masked-language-modelling");
}

/* ---- Translation ---- */

static void take_inner_dropout(pri_recipe_builder *build, const pri_model_section *model,
                               pare_marian_config *config)
{
    config->inner_dropout = (float)pri_take_share(
        build, "model.inner_dropout", model->inner_dropout, (double)config->inner_dropout);
}

static void take_choices(const pri_model_section *model, pare_marian_config *config)
{
    if (model->share)
        config->sharing = (pare_embedding_sharing)*model->share;
    if (model->sinusoids)
        config->sinusoids = (pare_sinusoids)*model->sinusoids;
    if (model->activation)
        config->activation = (pare_activation)*model->activation;
    config->pre_norm = model->pre_norm && *model->pre_norm;
}

/* One embedding for all needs one vocabulary. */
static void check_sharing(pri_recipe_builder *build, const pare_marian_config *config)
{
    if (build->status == PARE_OK && build->recipe->data.translation.separate_vocabularies &&
        config->sharing == PARE_SHARE_ALL)
        build->status = pri_recipe_fail(build->document, "data.separate_vocabularies",
                                        "separate vocabularies cannot share one embedding; set "
                                        "model.share to target or none");
}

/* Sentences of validation and test are cut at training.length, and translations are at most as long
 * as the model has positions. */
static void build_marian(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_marian_config *config = &build->recipe->model.marian;
    *config = pare_marian_config_default();
    model_shape shape = take_shape(build, model);
    config->encoder_layers = shape.layers;
    config->decoder_layers = PRI_INTEGER(model, decoder_layers, shape.layers, 1, 1000);
    config->heads = shape.heads;
    config->size = shape.size;
    config->encoder_feed_forward = config->decoder_feed_forward = shape.feed_forward;
    config->positions = PRI_INTEGER(model, positions, 2 * build->recipe->length, 1, 65536);
    take_choices(model, config);
    take_dropouts(build, model, &config->dropout, &config->attention_dropout);
    take_inner_dropout(build, model, config);
    check_sharing(build, config);
    check_heads_and_positions(build, &shape, config->positions);
}

static void build_marian_checkpoint(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_marian_config *config = &build->recipe->model.marian;
    config->dropout = config->attention_dropout = config->inner_dropout = -1.0f;
    take_dropouts(build, model, &config->dropout, &config->attention_dropout);
    take_inner_dropout(build, model, config);
}

/* ---- Which of them ---- */

enum { FAMILY_TRANSFORMER_XL, FAMILY_BERT, FAMILY_MARIAN }; /* values of model.family */

static int family_of(pare_task_kind task)
{
    return task == PARE_TASK_LANGUAGE_MODELLING ? FAMILY_TRANSFORMER_XL
           : task == PARE_TASK_TRANSLATION      ? FAMILY_MARIAN
                                                : FAMILY_BERT;
}

static void check_family(pri_recipe_builder *build, const pri_model_section *model, int family)
{
    static const char *const names[] = {"transformer-xl", "bert", "marian"};
    if (build->status == PARE_OK && model->family && *model->family != family)
        build->status =
            pri_recipe_fail(build->document, "model.family", "model.family %s does not fit task %s",
                            names[*model->family], pare_task_names[build->recipe->task]);
}

static void build_language_model(pri_recipe_builder *build, const pri_model_section *model)
{
    if (build->status == PARE_OK && model->checkpoint)
        build->status = pri_recipe_fail(build->document, "model.checkpoint",
                                        "model.checkpoint is for encoders and translation; a "
                                        "language model is trained from scratch");
    refuse_foreign(build, model, TRANSFORMER_XL);
    build_transformer_xl(build, model);
}

static void build_encoder(pri_recipe_builder *build, const pri_model_section *model)
{
    refuse_foreign(build, model, model->checkpoint ? CHECKPOINT : FRESH_BERT);
    if (model->checkpoint)
        build_checkpoint(build, model);
    else if (build->recipe->task == PARE_TASK_MASKED_LANGUAGE_MODELLING)
        build_bert(build, model);
    else
        require_checkpoint(build);
}

static void build_translator(pri_recipe_builder *build, const pri_model_section *model)
{
    refuse_foreign(build, model, model->checkpoint ? MARIAN_CHECKPOINT : FRESH_MARIAN);
    if (model->checkpoint)
        build_marian_checkpoint(build, model);
    else
        build_marian(build, model);
}

void pri_recipe_build_model(pri_recipe_builder *build, const pri_model_section *model)
{
    pare_recipe *recipe = build->recipe;
    int family = family_of(recipe->task);
    recipe->model.checkpoint = pri_take_path(build, "model.checkpoint", model->checkpoint);
    check_family(build, model, family);
    switch (family) {
    case FAMILY_TRANSFORMER_XL:
        build_language_model(build, model);
        break;
    case FAMILY_BERT:
        build_encoder(build, model);
        break;
    default:
        build_translator(build, model);
    }
}
