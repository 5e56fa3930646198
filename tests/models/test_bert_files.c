/* Directories of BERT models: what is saved is loaded, other spellings of the same checkpoint are
 * understood, another head can be put on, and what does not fit is refused with its file's name. */
#include "models/bert_check.h"

#include "base/safetensors.h"
#include "documents/json.h"
#include "temporary_files.h"

static void expect_same_bits(pare_model *a, pare_model *b)
{
    size_t count, other;
    const pare_parameter *p = pare_model_parameters(a, &count);
    const pare_parameter *q = pare_model_parameters(b, &other);
    assert_int_equal(count, other);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(p[i].name, q[i].name);
        assert_memory_equal(p[i].tensor.value, q[i].tensor.value,
                            p[i].tensor.rows * p[i].tensor.columns * sizeof(float));
    }
}

static pare_model *load(void)
{
    pare_model *model;
    check_ok(pare_model_load(context, directory, &model));
    return model;
}

/* A model of the head in an otherwise empty directory. */
static pare_model *save_new(pare_head head)
{
    check_ok(pri_remove_tree(directory));
    pare_model *model = create_bert(head);
    check_ok(pare_model_save(model, directory));
    return model;
}

static void expect_message(const char *reason)
{
    if (!strstr(pare_error_message(), reason) || !strstr(pare_error_message(), directory))
        fail_msg("\"%s\" does not say \"%s\" or which file", pare_error_message(), reason);
}

static void refuse(pare_status expected, const char *reason)
{
    pare_model *model;
    assert_int_equal(pare_model_load(context, directory, &model), expected);
    assert_null(model);
    expect_message(reason);
}

/* ---- Rewriting the weights of a saved model ---- */

/* `rename` gives the new name (in `buffer` if it likes) or NULL to leave a tensor out. */
typedef const char *rename_tensor(const char *name, char *buffer);

static const char *same_name(const char *name, char *buffer)
{
    (void)buffer;
    return name;
}

static void write_tensors(const pri_safetensors *file, const char *path, rename_tensor *rename,
                          size_t begin, size_t end)
{
    static char names[64][128];
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = begin; i < end; i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(file, i);
        const char *name = rename(stored->name, names[i]);
        if (name)
            pri_safetensors_writer_add(writer, name, stored->type, stored->dimensions,
                                       stored->shape, stored->data);
    }
    check_ok(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
}

static void rename_tensors(rename_tensor *rename)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(in_directory("model.safetensors"), &file));
    write_tensors(file, in_directory("model.safetensors"), rename, 0, pri_safetensors_count(file));
    pri_safetensors_close(file);
}

static void add_tensor(const char *name, pri_data_type type, const void *data, size_t count)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(in_directory("model.safetensors"), &file));
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = 0; i < pri_safetensors_count(file); i++) {
        const pri_stored_tensor *stored = pri_safetensors_at(file, i);
        pri_safetensors_writer_add(writer, stored->name, stored->type, stored->dimensions,
                                   stored->shape, stored->data);
    }
    pri_safetensors_writer_add(writer, name, type, 1, &count, data);
    check_ok(pri_safetensors_writer_save(writer, in_directory("model.safetensors")));
    pri_safetensors_writer_destroy(writer);
    pri_safetensors_close(file);
}

static void set_key(const char *key, json_t *value)
{
    json_t *config;
    check_ok(pri_json_load(in_directory("config.json"), &config));
    if (value)
        json_object_set_new(config, key, value);
    else
        json_object_del(config, key);
    check_ok(pri_json_save(config, in_directory("config.json")));
    json_decref(config);
}

/* ---- What is accepted ---- */

static void test_round_trips(void **state)
{
    (void)state;
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        pare_model *model = save_new((pare_head)head), *loaded = load();
        expect_same_bits(model, loaded);
        assert_int_equal(pare_bert_config_of(loaded)->head, head);
        assert_string_equal(pare_model_family(loaded), "bert");
        pare_model_destroy(model);
        pare_model_destroy(loaded);
    }
}

static pare_bert_config distilled_config(pare_head head)
{
    pare_bert_config config = small_bert_config(head);
    config.distilled = true;
    config.segments = 0;
    config.head_dropout = 0.25f;
    config.answer_dropout = 0.125f;
    return config;
}

static void test_distilled_round_trips(void **state)
{
    (void)state;
    for (int head = PARE_HEAD_NONE; head <= PARE_HEAD_MASKED_WORDS; head++) {
        pare_bert_config config = distilled_config((pare_head)head);
        pare_model *model, *loaded;
        check_ok(pare_bert_create(context, &config, 7, &model));
        check_ok(pare_model_save(model, directory));
        loaded = load();
        expect_same_bits(model, loaded);
        const pare_bert_config *read = pare_bert_config_of(loaded);
        assert_string_equal(pare_model_family(loaded), "distilbert");
        assert_int_equal(read->head, head);
        assert_true(read->distilled && read->segments == 0);
        assert_true(read->head_dropout == 0.25f && read->answer_dropout == 0.125f);
        pare_model_destroy(model);
        pare_model_destroy(loaded);
    }
}

/* A checkpoint of masked words, as it is published, becomes a classifier with a fresh head. */
static void test_distilled_heads_are_exchanged(void **state)
{
    (void)state;
    pare_bert_config config = distilled_config(PARE_HEAD_MASKED_WORDS);
    pare_model *model, *other;
    check_ok(pare_bert_create(context, &config, 7, &model));
    check_ok(pare_model_save(model, directory));
    check_ok(pare_bert_load_with_head(context, directory, PARE_HEAD_CLASSIFICATION, 2, 1, &other));
    static const char query[] = "distilbert.transformer.layer.1.attention.q_lin.weight";
    const pare_tensor *a = bert_tensor(model, query), *b = bert_tensor(other, query);
    assert_memory_equal(a->value, b->value, a->rows * a->columns * sizeof(float));
    assert_int_equal(bert_tensor(other, "pre_classifier.weight")->rows, config.size);
    assert_int_equal(bert_tensor(other, "classifier.weight")->rows, 2);
    pare_model_destroy(other);
    pare_model_destroy(model);
}

static void test_configuration_round_trip(void **state)
{
    (void)state;
    pare_bert_config config = small_bert_config(PARE_HEAD_CLASSIFICATION);
    config.dropout = 0.3f;
    config.attention_dropout = 0.0f;
    config.head_dropout = 0.7f;
    config.layer_norm_epsilon = 1e-5f;
    config.labels = 1;
    pare_model *model;
    check_ok(pare_bert_create(context, &config, 1, &model));
    check_ok(pare_model_save(model, directory));
    pare_model *loaded = load();
    const pare_bert_config *read = pare_bert_config_of(loaded);
    assert_int_equal(read->labels, 1);
    assert_true(read->dropout == 0.3f && read->attention_dropout == 0.0f);
    assert_true(read->head_dropout == 0.7f && read->layer_norm_epsilon == 1e-5f);
    assert_true(read->initial_deviation == config.initial_deviation);
    check_ok(pare_bert_set_dropout(loaded, -1.0f, 0.25f));
    assert_true(read->dropout == 0.3f && read->attention_dropout == 0.25f);
    assert_int_equal(pare_bert_set_dropout(loaded, 1.0f, -1.0f), PARE_ERROR_ARGUMENT);
    assert_true(read->dropout == 0.3f);
    pare_model_destroy(model);
    pare_model_destroy(loaded);
}

static void test_labels(void **state)
{
    (void)state;
    pare_model *model = save_new(PARE_HEAD_CLASSIFICATION);
    assert_string_equal(pare_bert_label(model, 2), "LABEL_2");
    assert_null(pare_bert_label(model, 3));
    const char *const names[] = {"negative", "neutral", "positive \xc3\xa9"};
    check_ok(pare_bert_set_labels(model, names));
    const char *const invalid[] = {"a", "\xff", "c"};
    assert_int_equal(pare_bert_set_labels(model, invalid), PARE_ERROR_ARGUMENT);
    check_ok(pare_model_save(model, directory));
    pare_model *loaded = load();
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(pare_bert_label(loaded, i), names[i]);
    pare_model_destroy(loaded);
    pare_model_destroy(model);
    model = save_new(PARE_HEAD_QUESTION_ANSWERING);
    assert_null(pare_bert_label(model, 0));
    assert_int_equal(pare_bert_set_labels(model, names), PARE_ERROR_ARGUMENT);
    pare_model_destroy(model);
}

static const char *with_prefix(const char *name, char *buffer)
{
    snprintf(buffer, 128, "bert.%s", name);
    return buffer;
}

static const char *without_prefix(const char *name, char *buffer)
{
    (void)buffer;
    return strncmp(name, "bert.", 5) ? name : name + 5;
}

static const char *old_norms(const char *name, char *buffer)
{
    const char *norm = strstr(name, "LayerNorm.");
    if (!norm)
        return name;
    snprintf(buffer, 128, "%.*s%s", (int)(norm + 10 - name), name,
             !strcmp(norm + 10, "weight") ? "gamma" : "beta");
    return buffer;
}

static const char *own_decoder_bias(const char *name, char *buffer)
{
    (void)buffer;
    return strcmp(name, "cls.predictions.bias") ? name : "cls.predictions.decoder.bias";
}

static void test_other_spellings(void **state)
{
    (void)state;
    const struct {
        pare_head head;
        rename_tensor *rename;
    } spellings[] = {
        {PARE_HEAD_NONE, with_prefix},
        {PARE_HEAD_CLASSIFICATION, without_prefix},
        {PARE_HEAD_QUESTION_ANSWERING, old_norms},
        {PARE_HEAD_MASKED_WORDS, old_norms},
        {PARE_HEAD_MASKED_WORDS, own_decoder_bias},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        pare_model *model = save_new(spellings[i].head);
        rename_tensors(spellings[i].rename);
        pare_model *loaded = load();
        expect_same_bits(model, loaded);
        pare_model_destroy(model);
        pare_model_destroy(loaded);
    }
}

/* Indices that old versions saved, and tensors of the other classes of a checkpoint. */
static void test_tensors_left_out(void **state)
{
    (void)state;
    static const int64_t ids[12] = {0};
    static const float floats[28] = {0};
    pare_model *model = save_new(PARE_HEAD_MASKED_WORDS);
    add_tensor("bert.embeddings.position_ids", PRI_DATA_I64, ids, 12);
    add_tensor("bert.pooler.dense.bias", PRI_DATA_F32, floats, 14);
    add_tensor("cls.seq_relationship.bias", PRI_DATA_F32, floats, 2);
    set_key("architectures", json_pack("[s]", "BertForPreTraining"));
    pare_model *loaded = load();
    expect_same_bits(model, loaded);
    pare_model_destroy(loaded);
    add_tensor("bert.embeddings.word_embeddings.extra", PRI_DATA_F32, floats, 2);
    refuse(PARE_ERROR_FORMAT, "unexpected tensor \"bert.embeddings.word_embeddings.extra\"");
    pare_model_destroy(model);
}

/* What DistilBERT calls its head is no part of a BERT that has none. */
static void test_names_of_the_other_form(void **state)
{
    (void)state;
    static const float floats[14] = {0};
    pare_model *model = save_new(PARE_HEAD_NONE);
    add_tensor("vocab_transform.bias", PRI_DATA_F32, floats, 14);
    refuse(PARE_ERROR_FORMAT, "unexpected tensor \"vocab_transform.bias\"");
    pare_model_destroy(model);
}

static void test_tied_output(void **state)
{
    (void)state;
    pare_model *model = save_new(PARE_HEAD_MASKED_WORDS);
    float bias[29] = {0};
    add_tensor("cls.predictions.decoder.bias", PRI_DATA_F32, bias, 29);
    pare_model_destroy(load());
    pare_model_destroy(save_new(PARE_HEAD_MASKED_WORDS));
    bias[3] = 1.0f;
    add_tensor("cls.predictions.decoder.bias", PRI_DATA_F32, bias, 29);
    refuse(PARE_ERROR_UNSUPPORTED, "untied weights are not offered");
    pare_model_destroy(model);
}

/* The weights in two bytes each; `keep` zeroes what the form cannot hold. */
static void write_halves(const pare_model *model, pri_data_type type)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters((pare_model *)model, &count);
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    uint16_t *halves[64];
    for (size_t i = 0; i < count; i++) {
        const pare_tensor *tensor = &parameters[i].tensor;
        size_t floats = tensor->rows * tensor->columns;
        halves[i] = malloc(floats * sizeof *halves[i]);
        for (size_t j = 0; j < floats; j++) {
            /* Powers of two between -1/4 and 64, and zero, are exact in both forms. */
            int exponent = (int)(j % 9) - 2;
            float value = j % 9 == 8 ? 0.0f : ldexpf(j % 2 ? -1.0f : 1.0f, exponent);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            tensor->value[j] = value;
            uint32_t sign = (uint32_t)(j % 2) << 15;
            uint32_t half = value == 0.0f ? 0 : (uint32_t)(exponent + 15) << 10 | sign;
            halves[i][j] = (uint16_t)(type == PRI_DATA_BF16 ? bits >> 16 : half);
        }
        bool vector = strstr(parameters[i].name, "bias") || strstr(parameters[i].name, "Norm");
        size_t shape[2] = {tensor->rows, tensor->columns};
        pri_safetensors_writer_add(writer, parameters[i].name, type, vector ? 1 : 2,
                                   vector ? shape + 1 : shape, halves[i]);
    }
    check_ok(pri_safetensors_writer_save(writer, in_directory("model.safetensors")));
    pri_safetensors_writer_destroy(writer);
    for (size_t i = 0; i < count; i++)
        free(halves[i]);
}

static void test_halves(void **state)
{
    (void)state;
    const pri_data_type types[] = {PRI_DATA_F16, PRI_DATA_BF16};
    for (int i = 0; i < 2; i++) {
        pare_model *model = save_new(PARE_HEAD_NONE);
        write_halves(model, types[i]);
        pare_model *loaded = load();
        expect_same_bits(model, loaded);
        pare_model_destroy(model);
        pare_model_destroy(loaded);
    }
}

/* ---- Files that share the weights ---- */

static void split(void)
{
    pri_safetensors *file;
    check_ok(pri_safetensors_open(in_directory("model.safetensors"), &file));
    size_t count = pri_safetensors_count(file), half = count / 2;
    json_t *map = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(map, pri_safetensors_at(file, i)->name,
                            json_string(i < half ? "part-1.safetensors" : "part-2.safetensors"));
    write_tensors(file, in_directory("part-1.safetensors"), same_name, 0, half);
    write_tensors(file, in_directory("part-2.safetensors"), same_name, half, count);
    pri_safetensors_close(file);
    json_t *index = json_pack("{s:{}, s:o}", "metadata", "weight_map", map);
    check_ok(pri_json_save(index, in_directory("model.safetensors.index.json")));
    json_decref(index);
    unlink(in_directory("model.safetensors"));
}

static void set_index(json_t *map)
{
    json_t *index = json_pack("{s:o}", "weight_map", map);
    check_ok(pri_json_save(index, in_directory("model.safetensors.index.json")));
    json_decref(index);
}

static void test_several_files(void **state)
{
    (void)state;
    pare_model *model = save_new(PARE_HEAD_CLASSIFICATION);
    split();
    pare_model *loaded = load();
    expect_same_bits(model, loaded);
    pare_model_destroy(loaded);
    check_ok(pri_file_replace(in_directory("part-1.safetensors"), "short", 5));
    refuse(PARE_ERROR_FORMAT, "part-1.safetensors");
    unlink(in_directory("part-1.safetensors"));
    refuse(PARE_ERROR_FILE, "part-1.safetensors is missing, which");
    set_index(json_pack("{s:s}", "classifier.bias", "part-2.safetensors"));
    refuse(PARE_ERROR_FORMAT, "is missing");
    set_index(json_pack("{s:s}", "classifier.bias", "../part-2.safetensors"));
    refuse(PARE_ERROR_FORMAT, "\"weight_map\" must give the name of a file");
    set_index(json_pack("{s:i}", "classifier.bias", 2));
    refuse(PARE_ERROR_FORMAT, "\"weight_map\" must give the name of a file");
    set_index(json_object());
    refuse(PARE_ERROR_FORMAT, "\"weight_map\" must say");
    pare_model_destroy(model);
}

static void expect_conversion_by(const char *class_name)
{
    char line[200];
    pare_model *model;
    snprintf(line, sizeof line,
             "python3 -c \"from transformers import %s as M; M.from_pretrained('", class_name);
    refuse(PARE_ERROR_UNSUPPORTED, line);
    /* Whatever head is asked for, the class is that of the file. */
    assert_int_equal(
        pare_bert_load_with_head(context, directory, PARE_HEAD_CLASSIFICATION, 2, 1, &model),
        PARE_ERROR_UNSUPPORTED);
    expect_message(line);
}

static void set_architectures(json_t *architectures)
{
    json_t *config;
    check_ok(pri_json_load(in_directory("config.json"), &config));
    json_object_set_new(config, "architectures", architectures);
    check_ok(pri_json_save(config, in_directory("config.json")));
    json_decref(config);
}

static void test_weights_of_pytorch(void **state)
{
    (void)state;
    pare_model_destroy(save_new(PARE_HEAD_QUESTION_ANSWERING));
    unlink(in_directory("model.safetensors"));
    refuse(PARE_ERROR_FILE, "model.safetensors does not exist");
    check_ok(pri_file_replace(in_directory("pytorch_model.bin"), "PK", 2));
    expect_conversion_by("BertForQuestionAnswering");
    set_architectures(json_pack("[s]", "BertForPreTraining"));
    expect_conversion_by("BertForPreTraining");
    set_architectures(json_null());
    expect_conversion_by("AutoModel");
    unlink(in_directory("pytorch_model.bin"));
    check_ok(pri_file_replace(in_directory("pytorch_model.bin.index.json"), "{}", 2));
    expect_conversion_by("AutoModel");
    expect_message("holds pytorch_model.bin.index.json, which only Python can read");
}

/* ---- Masks ---- */

static void save_mask(pare_model *model)
{
    small_batch small;
    fill_batch(&small);
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, 12);
    pare_average *average;
    pare_mask *mask;
    check_ok(pare_average_create(&geometry, &average));
    pare_model_observe(model, PARE_ATTENTION_SELF, average);
    hidden_of(model, &small.batch);
    pare_model_observe(model, PARE_ATTENTION_SELF, NULL);
    pare_average_add_examples(average, SEQUENCES);
    check_ok(pare_mask_create(average, &(pare_prune_options){.percent = 60.0}, &mask));
    check_ok(pare_mask_save(mask, in_directory("mask.safetensors")));
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_mask_beside_the_weights(void **state)
{
    (void)state;
    small_batch small;
    fill_batch(&small);
    pare_model *model = save_new(PARE_HEAD_NONE);
    save_mask(model);
    pare_model *loaded = load();
    assert_non_null(pare_model_mask(loaded, PARE_ATTENTION_SELF));
    float pruned[TOKENS * 14];
    memcpy(pruned, hidden_of(loaded, &small.batch)->value, sizeof pruned);
    assert_true(largest_difference(hidden_of(model, &small.batch)->value, pruned, TOKENS * 14) >
                1e-3);
    check_ok(pare_model_set_mask(model, PARE_ATTENTION_SELF,
                                 pare_model_mask(loaded, PARE_ATTENTION_SELF)));
    assert_memory_equal(hidden_of(model, &small.batch)->value, pruned, sizeof pruned);
    pare_model_destroy(model);
    pare_model_destroy(loaded);
}

/* ---- Another head ---- */

static pare_model *load_with(pare_head head, size_t labels, uint64_t seed)
{
    pare_model *model;
    check_ok(pare_bert_load_with_head(context, directory, head, labels, seed, &model));
    assert_int_equal(pare_bert_config_of(model)->head, head);
    assert_null(pare_model_mask(model, PARE_ATTENTION_SELF));
    return model;
}

static bool equal_tensors(const pare_tensor *a, const pare_tensor *b)
{
    return a->rows == b->rows && a->columns == b->columns &&
           !memcmp(a->value, b->value, a->rows * a->columns * sizeof(float));
}

static void test_a_head_of_its_own(void **state)
{
    (void)state;
    pare_model *model = save_new(PARE_HEAD_NONE);
    save_mask(model);
    pare_model *one = load_with(PARE_HEAD_CLASSIFICATION, 4, 5);
    pare_model *same = load_with(PARE_HEAD_CLASSIFICATION, 4, 5);
    pare_model *other = load_with(PARE_HEAD_CLASSIFICATION, 4, 6);
    expect_same_bits(one, same);
    const pare_tensor *head = bert_tensor(one, "classifier.weight");
    assert_int_equal(head->rows, 4);
    assert_false(equal_tensors(head, bert_tensor(other, "classifier.weight")));
    assert_true(equal_tensors(bert_tensor(one, "bert.pooler.dense.weight"),
                              bert_tensor(model, "pooler.dense.weight")));
    assert_true(equal_tensors(bert_tensor(one, "bert.encoder.layer.1.attention.self.key.weight"),
                              bert_tensor(model, "encoder.layer.1.attention.self.key.weight")));
    assert_string_equal(pare_bert_label(one, 3), "LABEL_3");
    pare_model_destroy(model);
    pare_model_destroy(one);
    pare_model_destroy(same);
    pare_model_destroy(other);
}

static void test_a_head_that_is_there(void **state)
{
    (void)state;
    pare_model *model = save_new(PARE_HEAD_CLASSIFICATION);
    const char *const names[] = {"no", "maybe", "yes"};
    check_ok(pare_bert_set_labels(model, names));
    check_ok(pare_model_save(model, directory));
    pare_model *same = load_with(PARE_HEAD_CLASSIFICATION, 3, 5);
    expect_same_bits(model, same);
    assert_string_equal(pare_bert_label(same, 1), "maybe");
    pare_model_destroy(same);
    pare_model *wider = load_with(PARE_HEAD_CLASSIFICATION, 5, 5);
    assert_int_equal(bert_tensor(wider, "classifier.weight")->rows, 5);
    assert_string_equal(pare_bert_label(wider, 1), "LABEL_1");
    pare_model_destroy(wider);
    pare_model_destroy(load_with(PARE_HEAD_QUESTION_ANSWERING, 0, 5));
    pare_model_destroy(load_with(PARE_HEAD_NONE, 0, 5));
    pare_model_destroy(model);
}

static const char *without_a_key(const char *name, char *buffer)
{
    (void)buffer;
    return strstr(name, "layer.1.attention.self.key.bias") ? NULL : name;
}

/* A checkpoint of masked words has no pooler, so one is drawn; but an encoder must be complete. */
static void test_what_a_head_may_miss(void **state)
{
    (void)state;
    pare_model_destroy(save_new(PARE_HEAD_MASKED_WORDS));
    pare_model *model = load_with(PARE_HEAD_CLASSIFICATION, 2, 5);
    const pare_tensor *pooler = bert_tensor(model, "bert.pooler.dense.weight");
    assert_true(pooler->value[0] != 0.0f && pooler->value[0] != pooler->value[1]);
    pare_model_destroy(model);
    rename_tensors(without_a_key);
    assert_int_equal(
        pare_bert_load_with_head(context, directory, PARE_HEAD_CLASSIFICATION, 2, 5, &model),
        PARE_ERROR_FORMAT);
    expect_message("\"bert.encoder.layer.1.attention.self.key.bias\" is missing");
    assert_int_equal(
        pare_bert_load_with_head(context, directory, PARE_HEAD_CLASSIFICATION, 0, 5, &model),
        PARE_ERROR_ARGUMENT);
    pare_transformer_xl_config config = small_config();
    pare_model *other = create_model(&config);
    check_ok(pare_model_save(other, directory));
    assert_int_equal(
        pare_bert_load_with_head(context, directory, PARE_HEAD_CLASSIFICATION, 2, 5, &model),
        PARE_ERROR_UNSUPPORTED);
    expect_message("takes no other head");
    assert_int_equal(pare_bert_set_dropout(other, 0.0f, 0.0f), PARE_ERROR_UNSUPPORTED);
    pare_model_destroy(other);
}

/* ---- What is refused ---- */

static void refuse_key(const char *key, json_t *value, pare_status expected, const char *reason)
{
    pare_model_destroy(save_new(PARE_HEAD_CLASSIFICATION));
    set_key(key, value);
    refuse(expected, reason);
}

static void test_configurations_that_do_not_fit(void **state)
{
    (void)state;
    const pare_status format = PARE_ERROR_FORMAT, unsupported = PARE_ERROR_UNSUPPORTED;
    refuse_key("model_type", json_string("roberta"), unsupported,
               "\"roberta\" are not offered; these are: \"transfo-xl\", \"bert\", "
               "\"distilbert\"");
    refuse_key("model_type", json_string("distilbert"), unsupported,
               "\"BertForSequenceClassification\" is not offered; these are: DistilBertModel");
    refuse_key("architectures", json_pack("[s]", "BertForTokenClassification"), unsupported,
               "\"BertForTokenClassification\" is not offered");
    refuse_key("architectures", json_string("BertModel"), format, "\"architectures\"");
    refuse_key("hidden_act", json_string("gelu_new"), unsupported,
               "\"hidden_act\" is \"gelu_new\", which is not offered; only \"gelu\" is");
    refuse_key("position_embedding_type", json_string("relative_key"), unsupported,
               "\"relative_key\", which is not offered; only \"absolute\" is");
    refuse_key("is_decoder", json_true(), unsupported, "\"is_decoder\" is true,");
    refuse_key("add_cross_attention", json_true(), unsupported, "add_cross_attention");
    refuse_key("pruned_heads", json_pack("{s:[i]}", "0", 1), unsupported,
               "\"pruned_heads\" is {\"0\": [1]}, which is not offered; only {} is");
    refuse_key("problem_type", json_string("multi_label_classification"), unsupported,
               "multi_label_classification");
    refuse_key("problem_type", json_string("regression"), unsupported, "with 3 labels");
    refuse_key("id2label", json_pack("{s:s, s:s}", "0", "a", "2", "b"), format, "id2label");
    refuse_key("id2label", json_object(), format, "the number of labels");
    refuse_key("id2label", json_pack("{s:s, s:s}", "0", "a", "1", "b"), format, "classifier");
    refuse_key("num_attention_heads", json_integer(3), format, "num_attention_heads");
    refuse_key("num_attention_heads", json_integer(0), format, "num_attention_heads");
    refuse_key("num_hidden_layers", json_integer(1), format, "unexpected tensor");
    refuse_key("num_hidden_layers", json_integer(3), format, "layer.2");
    refuse_key("num_hidden_layers", json_integer(100000), format, "num_hidden_layers");
    refuse_key("hidden_size", json_integer(16), format, "model.safetensors");
    refuse_key("hidden_size", json_real(14.5), format, "hidden_size");
    refuse_key("vocab_size", json_integer(2000000000), format, "word_embeddings.weight");
    refuse_key("max_position_embeddings", NULL, format, "position_embeddings.weight");
    refuse_key("hidden_dropout_prob", json_real(1.0), format, "hidden_dropout_prob");
    refuse_key("layer_norm_eps", json_real(-1.0), format, "layer_norm_eps");
}

static void test_weights_that_do_not_fit(void **state)
{
    (void)state;
    uint8_t *data;
    size_t size;
    pare_model_destroy(save_new(PARE_HEAD_NONE));
    check_ok(pri_file_read(in_directory("model.safetensors"), 0, &data, &size));
    check_ok(pri_file_replace(in_directory("model.safetensors"), data, size - 5));
    pri_free(data);
    refuse(PARE_ERROR_FORMAT, "model.safetensors");
    pare_model_destroy(save_new(PARE_HEAD_NONE));
    rename_tensors(without_a_key);
    refuse(PARE_ERROR_FORMAT, "\"encoder.layer.1.attention.self.key.bias\" is missing");
    pare_model *model = create_bert(PARE_HEAD_NONE);
    ((float *)bert_tensor(model, "pooler.dense.bias")->value)[2] = NAN;
    check_ok(pare_model_save(model, directory));
    refuse(PARE_ERROR_FORMAT, "\"pooler.dense.bias\" holds a value that is not a finite number");
    pare_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_distilled_round_trips, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_distilled_heads_are_exchanged, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_configuration_round_trip, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_labels, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_other_spellings, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_tensors_left_out, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_names_of_the_other_form, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_tied_output, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_halves, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_several_files, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_weights_of_pytorch, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_mask_beside_the_weights, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_a_head_of_its_own, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_a_head_that_is_there, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_what_a_head_may_miss, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_configurations_that_do_not_fit, start_test, stop_test),
        cmocka_unit_test_setup_teardown(test_weights_that_do_not_fit, start_test, stop_test),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
