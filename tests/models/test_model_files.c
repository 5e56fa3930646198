/* Model directories: what is saved comes back bit for bit, tied weights may be stored under either
 * name, and directories that are damaged or do not fit together are refused with the reason. */
#include "models/model_check.h"

#include "base/safetensors.h"
#include "documents/json.h"

static char directory[64], config_path[96], weights_path[96], mask_path[96];

static int start_directory(void **state)
{
    snprintf(directory, sizeof directory, "model_files_%ld", (long)getpid());
    snprintf(config_path, sizeof config_path, "%s/config.json", directory);
    snprintf(weights_path, sizeof weights_path, "%s/model.safetensors", directory);
    snprintf(mask_path, sizeof mask_path, "%s/mask.safetensors", directory);
    return start_test(state);
}

static int stop_directory(void **state)
{
    check_ok(pri_remove_tree(directory));
    return stop_test(state);
}

/* ---- Round trips ---- */

static void expect_same_bits(pare_model *a, pare_model *b)
{
    size_t count_a, count_b;
    const pare_parameter *first = pare_model_parameters(a, &count_a);
    const pare_parameter *second = pare_model_parameters(b, &count_b);
    assert_int_equal(count_a, count_b);
    assert_int_equal(pare_model_parameter_floats(a), pare_model_parameter_floats(b));
    for (size_t i = 0; i < count_a; i++)
        assert_string_equal(first[i].name, second[i].name);
    assert_memory_equal(first[0].tensor.value, second[0].tensor.value,
                        pare_model_parameter_floats(a) * sizeof(float));
}

static void expect_same_losses(pare_model *a, pare_model *b)
{
    uint32_t *tokens = random_tokens(24, 31);
    float *first = stream_losses(a, 5, tokens, tokens, 2, 12, 7);
    float *second = stream_losses(b, 5, tokens, tokens, 2, 12, 7);
    assert_memory_equal(first, second, 24 * sizeof *first);
    free(first);
    free(second);
    free(tokens);
}

/* Saving the loaded model writes the same config.json, to the byte. */
static void expect_same_config(const pare_model *loaded)
{
    uint8_t *before, *after;
    size_t size_before, size_after;
    check_ok(pri_file_read(config_path, 0, &before, &size_before));
    check_ok(pare_model_save(loaded, directory));
    check_ok(pri_file_read(config_path, 0, &after, &size_after));
    assert_int_equal(size_before, size_after);
    assert_memory_equal(before, after, size_before);
    pri_free(before);
    pri_free(after);
}

static void check_round_trip(const pare_transformer_xl_config *config)
{
    pare_model *saved = create_model(config), *loaded;
    check_ok(pare_model_save(saved, directory));
    check_ok(pare_model_load(context, directory, &loaded));
    expect_same_config(loaded);
    assert_string_equal(pare_model_family(loaded), "transfo-xl");
    expect_same_bits(saved, loaded);
    expect_same_losses(saved, loaded);
    pare_model_destroy(saved);
    pare_model_destroy(loaded);
}

static void test_round_trips(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    check_round_trip(&config);
    config.untie_biases = true;
    config.same_length = true;
    config.clamp_length = 7;
    config.dropout = 0.15f;
    config.attention_dropout = 0.05f;
    check_round_trip(&config);
    config.pre_norm = true;
    config.embedding_size = 8;
    check_round_trip(&config);
    config.cluster_count = 2;
    config.cutoffs[0] = 9;
    config.cutoffs[1] = 20;
    check_round_trip(&config);
    config.division = 2;
    check_round_trip(&config);
    config.embedding_size = config.size;
    check_round_trip(&config);
}

static void test_weights_alone(void **state)
{
    (void)state;
    pare_transformer_xl_config config = small_config();
    pare_model *saved = create_model(&config), *other;
    check_ok(pri_make_directories(directory));
    check_ok(pare_model_save_weights(saved, weights_path));
    check_ok(pare_transformer_xl_create(context, &config, 99, &other));
    check_ok(pare_model_load_weights(other, weights_path));
    expect_same_bits(saved, other);
    pare_model_destroy(saved);
    pare_model_destroy(other);
}

/* ---- Editing a saved directory ---- */

typedef struct weights_edit {
    const char *drop, *rename_from, *rename_to, *add; /* tensor names; NULL: nothing */
    const char *repeat_from, *repeat_to;              /* a second name for the same values */
    const char *transpose, *poison, *perturb;
} weights_edit;

static bool is_name(const char *name, const char *expected)
{
    return expected && !strcmp(name, expected);
}

/* Writes the saved weights again with one thing changed. */
static void rewrite_weights(const weights_edit *edit)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(weights_path, &file));
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    float *copies[64] = {NULL};
    size_t count = pri_safetensors_count(file);
    assert_true(count < 64);
    for (size_t i = 0; i < count; i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(file, i);
        const char *name = stored->name;
        if (is_name(name, edit->drop))
            continue;
        float *values = copies[i] = malloc(stored->bytes);
        assert_non_null(values);
        memcpy(values, stored->data, stored->bytes);
        if (is_name(name, edit->poison))
            values[0] = NAN;
        size_t shape[2] = {stored->shape[0], stored->shape[1]};
        if (is_name(name, edit->transpose)) {
            shape[0] = stored->shape[1];
            shape[1] = stored->shape[0];
        }
        if (is_name(name, edit->repeat_from)) {
            pri_safetensors_writer_add(writer, edit->repeat_to, stored->type, stored->dimensions,
                                       shape, stored->data);
            if (is_name(name, edit->perturb))
                values[0] += 1.0f;
        }
        pri_safetensors_writer_add(writer,
                                   is_name(name, edit->rename_from) ? edit->rename_to : name,
                                   stored->type, stored->dimensions, shape, values);
    }
    const float extra = 1.0f;
    const size_t one = 1;
    if (edit->add)
        pri_safetensors_writer_add(writer, edit->add, PRI_DATA_F32, 1, &one, &extra);
    char path[128];
    snprintf(path, sizeof path, "%s.new", weights_path);
    check_ok(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
    pri_safetensors_close(file);
    for (size_t i = 0; i < count; i++)
        free(copies[i]);
    assert_int_equal(rename(path, weights_path), 0);
}

static void save_small_model(void)
{
    pare_transformer_xl_config config = small_config();
    config.cluster_count = 1;
    config.cutoffs[0] = 11;
    config.division = 2;
    pare_model *model = create_model(&config);
    check_ok(pare_model_save(model, directory));
    pare_model_destroy(model);
}

static void refuse_directory(pare_status expected, const char *reason)
{
    pare_model *model;
    assert_int_equal(pare_model_load(context, directory, &model), expected);
    assert_null(model);
    if (!strstr(pare_error_message(), reason) || !strstr(pare_error_message(), directory))
        fail_msg("\"%s\" does not say \"%s\" or which file", pare_error_message(), reason);
}

static void refuse_edit(weights_edit edit, pare_status expected, const char *reason)
{
    save_small_model();
    rewrite_weights(&edit);
    refuse_directory(expected, reason);
}

/* ---- Tied weights ---- */

static void accept_edit(weights_edit edit)
{
    save_small_model();
    pare_model *plain, *edited;
    check_ok(pare_model_load(context, directory, &plain));
    rewrite_weights(&edit);
    check_ok(pare_model_load(context, directory, &edited));
    expect_same_bits(plain, edited);
    pare_model_destroy(plain);
    pare_model_destroy(edited);
}

static void test_tied_weights_under_either_name(void **state)
{
    (void)state;
    accept_edit((weights_edit){.rename_from = "transformer.word_emb.emb_layers.1.weight",
                               .rename_to = "crit.out_layers.1.weight"});
    accept_edit((weights_edit){.repeat_from = "transformer.word_emb.emb_layers.0.weight",
                               .repeat_to = "crit.out_layers.0.weight"});
    accept_edit((weights_edit){.repeat_from = "transformer.word_emb.emb_projs.1",
                               .repeat_to = "crit.out_projs.1"});
    accept_edit((weights_edit){.drop = "transformer.layers.1.dec_attn.r_w_bias"});
    accept_edit((weights_edit){.drop = "transformer.r_w_bias"});
    accept_edit((weights_edit){.drop = "transformer.pos_emb.inv_freq"});
    refuse_edit((weights_edit){.repeat_from = "transformer.word_emb.emb_layers.0.weight",
                               .repeat_to = "crit.out_layers.0.weight",
                               .perturb = "transformer.word_emb.emb_layers.0.weight"},
                PARE_ERROR_UNSUPPORTED, "untied");
}

/* ---- Damage ---- */

static void test_weights_that_do_not_fit(void **state)
{
    (void)state;
    refuse_edit((weights_edit){.drop = "transformer.layers.1.dec_attn.r_net.weight"},
                PARE_ERROR_FORMAT, "\"transformer.layers.1.dec_attn.r_net.weight\" is missing");
    refuse_edit((weights_edit){.add = "transformer.layers.2.dec_attn.r_net.weight"},
                PARE_ERROR_FORMAT,
                "unexpected tensor \"transformer.layers.2.dec_attn.r_net.weight\"");
    refuse_edit((weights_edit){.transpose = "transformer.layers.0.dec_attn.qkv_net.weight"},
                PARE_ERROR_FORMAT, "transformer.layers.0.dec_attn.qkv_net.weight");
    refuse_edit((weights_edit){.poison = "crit.cluster_bias"}, PARE_ERROR_FORMAT,
                "crit.cluster_bias");
}

static void truncate_weights(void)
{
    uint8_t *data;
    size_t size;
    check_ok(pri_file_read(weights_path, 0, &data, &size));
    check_ok(pri_file_replace(weights_path, data, size - 5));
    pri_free(data);
}

static void test_files_that_are_damaged(void **state)
{
    (void)state;
    save_small_model();
    truncate_weights();
    refuse_directory(PARE_ERROR_FORMAT, "model.safetensors");
    save_small_model();
    unlink(weights_path);
    refuse_directory(PARE_ERROR_FILE, "model.safetensors");
    save_small_model();
    unlink(config_path);
    refuse_directory(PARE_ERROR_FILE, "config.json");
    check_ok(pri_file_replace(config_path, "{\"model_type\": ", 15));
    refuse_directory(PARE_ERROR_FORMAT, "config.json");
    save_small_model();
    check_ok(pri_file_replace(mask_path, "no mask", 7));
    refuse_directory(PARE_ERROR_FORMAT, "mask.safetensors");
}

static void set_key(const char *key, json_t *value)
{
    save_small_model();
    json_t *config;
    check_ok(pri_json_load(config_path, &config));
    if (value)
        json_object_set_new(config, key, value);
    else
        json_object_del(config, key);
    check_ok(pri_json_save(config, config_path));
    json_decref(config);
}

static void refuse_key(const char *key, json_t *value, pare_status expected, const char *reason)
{
    set_key(key, value);
    refuse_directory(expected, reason);
}

static void test_configurations_that_do_not_fit(void **state)
{
    (void)state;
    refuse_key("model_type", json_string("roberta"), PARE_ERROR_UNSUPPORTED,
               "\"roberta\" are not offered");
    refuse_key("model_type", NULL, PARE_ERROR_FORMAT, "model_type");
    refuse_key("attn_type", json_integer(2), PARE_ERROR_UNSUPPORTED, "\"attn_type\" is 2,");
    refuse_key("tie_word_embeddings", json_false(), PARE_ERROR_UNSUPPORTED, "tie_word_embeddings");
    refuse_key("tie_projs", json_pack("[b, b]", 1, 1), PARE_ERROR_UNSUPPORTED, "[true, true]");
    refuse_key("d_model", NULL, PARE_ERROR_FORMAT, "d_model");
    refuse_key("d_model", json_integer(-14), PARE_ERROR_FORMAT, "d_model");
    refuse_key("d_model", json_integer(16), PARE_ERROR_FORMAT, "model.safetensors");
    refuse_key("n_layer", json_integer(1), PARE_ERROR_FORMAT, "unexpected tensor");
    refuse_key("n_layer", json_integer(3), PARE_ERROR_FORMAT, "layers.2");
    refuse_key("d_head", json_integer(1000), PARE_ERROR_FORMAT, "d_head");
    refuse_key("cutoffs", json_integer(11), PARE_ERROR_FORMAT, "cutoffs");
    refuse_key("cutoffs", json_pack("[i]", 31), PARE_ERROR_FORMAT, "cutoffs");
    refuse_key("cutoffs", json_pack("[i]", 12), PARE_ERROR_FORMAT, "emb_layers.0.weight");
    refuse_key("untie_r", json_true(), PARE_ERROR_FORMAT, "r_w_bias");
    refuse_key("clamp_len", json_real(1e300), PARE_ERROR_FORMAT, "clamp_len");
    refuse_key("vocab_size", json_integer(2000000000), PARE_ERROR_FORMAT, "emb_layers.1.weight");
}

/* The message has a line for a shell in it, so what is no name of a class does not get there. */
static void test_weights_of_pytorch(void **state)
{
    (void)state;
    static const char *const classes[][2] = {{"TransfoXLModel", "import TransfoXLModel as M; "},
                                             {"M; import os as M", "import AutoModel as M; "},
                                             {"A\");$(date)", "import AutoModel as M; "},
                                             {"", "import AutoModel as M; "}};
    char pickled[128];
    snprintf(pickled, sizeof pickled, "%s/pytorch_model.bin", directory);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        set_key("architectures", json_pack("[s]", classes[i][0]));
        check_ok(pri_file_replace(pickled, "PK", 2));
        unlink(weights_path);
        refuse_directory(PARE_ERROR_UNSUPPORTED, classes[i][1]);
    }
}

static void test_refused_weights_change_nothing(void **state)
{
    (void)state;
    save_small_model();
    pare_model *model, *untouched;
    check_ok(pare_model_load(context, directory, &model));
    check_ok(pare_model_load(context, directory, &untouched));
    weights_edit edit = {.poison = "crit.out_layers.1.bias"};
    rewrite_weights(&edit);
    assert_int_equal(pare_model_load_weights(model, weights_path), PARE_ERROR_FORMAT);
    expect_same_bits(model, untouched);
    pare_model_destroy(model);
    pare_model_destroy(untouched);
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, start_directory, stop_directory)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_round_trips),
        IN_DIRECTORY(test_weights_alone),
        IN_DIRECTORY(test_tied_weights_under_either_name),
        IN_DIRECTORY(test_weights_that_do_not_fit),
        IN_DIRECTORY(test_files_that_are_damaged),
        IN_DIRECTORY(test_configurations_that_do_not_fit),
        IN_DIRECTORY(test_weights_of_pytorch),
        IN_DIRECTORY(test_refused_weights_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
