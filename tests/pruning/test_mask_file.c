/* Mask files: identity, and refusal of everything that saving does not produce. */
#include "pruning/synthetic.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/safetensors.h"
#include "comma_locale.h"

static const pare_geometry shape = {
    .layers = 2, .heads = 2, .queries = 3, .keys = 5, .causal = true};

static void assert_same_mask(const pare_mask *a, const pare_mask *b)
{
    const pare_geometry *g = pare_mask_geometry(a), *f = pare_mask_geometry(b);
    assert_true(g->kind == f->kind && g->layers == f->layers && g->heads == f->heads);
    assert_true(g->queries == f->queries && g->keys == f->keys);
    assert_true(g->causal == f->causal && g->window == f->window);
    assert_int_equal(g->ends_first, f->ends_first);
    assert_true(g->ratio == f->ratio);
    FOR_CELLS(g)
    assert_int_equal(pare_mask_kept(a, l, h, i, j), pare_mask_kept(b, l, h, i, j));
    pare_mask_report x = pare_mask_describe(a), y = pare_mask_describe(b);
    assert_int_equal(x.method, y.method);
    assert_int_equal(x.options.geometry, y.options.geometry);
    assert_int_equal(x.options.average, y.options.average);
    assert_int_equal(x.options.scope, y.options.scope);
    assert_int_equal(x.options.empty_row, y.options.empty_row);
    assert_int_equal(x.options.block, y.options.block);
    assert_true(x.options.percent == y.options.percent && x.p_requested == y.p_requested);
    assert_true(x.options.seed == y.options.seed);
    assert_true(x.p_nominal == y.p_nominal && x.p_admissible == y.p_admissible);
    assert_true(x.p_effective == y.p_effective && x.kept_mass == y.kept_mass);
    assert_int_equal(x.pruned_cells, y.pruned_cells);
    assert_int_equal(x.admissible_cells, y.admissible_cells);
    assert_int_equal(x.rescued_rows, y.rescued_rows);
    assert_string_equal(x.corpus, y.corpus);
    assert_true(x.corpus_hash == y.corpus_hash);
}

/* F6 and oracle 9: every mask, the random ones too, is the one that was trained with. */
static void test_f6_every_mask_survives_a_file(void **state)
{
    (void)state;
    const char *path = temporary_path(".mask");
    const uint8_t first_only[] = {1, 0};
    const pare_prune_options options[] = {
        {.percent = 0},
        {.percent = 57.3, .average = PARE_AVERAGE_MASS, .scope = PARE_SCOPE_MODEL},
        {.percent = 90, .empty_row = PARE_EMPTY_ROW_UNIFORM, .scope = PARE_SCOPE_HEAD},
        {.percent = 100, .scope = PARE_SCOPE_ROW, .layers_to_prune = first_only},
        {.method = PARE_METHOD_RANDOM, .percent = 50, .seed = UINT64_MAX},
        {.method = PARE_METHOD_COMPAT, .percent = 60, .empty_row = PARE_EMPTY_ROW_ZERO},
        {.geometry = PARE_GEOMETRY_DISTANCE, .percent = 70},
        {.geometry = PARE_GEOMETRY_DISTANCE, .method = PARE_METHOD_RANDOM, .percent = 95},
        {.geometry = PARE_GEOMETRY_RELATIVE, .percent = 70},
        {.geometry = PARE_GEOMETRY_RELATIVE, .method = PARE_METHOD_RANDOM, .percent = 95},
        {.block = 2, .percent = 45},
        {.block = 4, .method = PARE_METHOD_RANDOM, .percent = 50, .seed = 2},
    };
    pare_geometry plain = {.layers = 2, .heads = 3, .queries = 4, .keys = 17};
    pare_geometry encoder = {.layers = 2, .heads = 3, .queries = 9, .keys = 9};
    pare_geometry ends_first = encoder;
    ends_first.ends_first = true;
    pare_geometry cross = plain, other_cross = plain, cross_ends_first = plain;
    cross.ratio = 17.0 / 3;
    other_cross.ratio = cross_ends_first.ratio = 4.25;
    cross_ends_first.ends_first = true;
    const pare_geometry shapes[] = {plain, shape,       encoder,         ends_first,
                                    cross, other_cross, cross_ends_first};
    /* Shapes with equal cells are to have different digests as well. */
    uint64_t digests[7 * sizeof options / sizeof *options];
    size_t count = 0;
    for (size_t s = 0; s < 7; s++) {
        pare_average *average = make_average(shapes[s], 3, 3, true);
        for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
            pare_geometry_kind kind = options[i].geometry;
            if ((kind == PARE_GEOMETRY_DISTANCE && !shapes[s].causal) ||
                (kind == PARE_GEOMETRY_RELATIVE && !shapes[s].ends_first))
                continue;
            pare_mask *saved = make_mask(average, options[i]), *loaded;
            ASSERT_OK(pare_mask_save(saved, path));
            ASSERT_OK(pare_mask_load(path, &loaded));
            assert_same_mask(saved, loaded);
            assert_true(pare_mask_digest(saved) == pare_mask_digest(loaded));
            for (size_t other = 0; other < count; other++)
                assert_true(pare_mask_digest(saved) != digests[other]);
            digests[count++] = pare_mask_digest(saved);
            pare_mask_destroy(saved);
            pare_mask_destroy(loaded);
        }
        pare_average_destroy(average);
    }
    unlink(path);
}

/* A program that embeds the library may have set a locale in which 57.3 is 57,3. */
static void test_files_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    const char *path = temporary_path(".locale");
    pare_average *average = make_average(shape, 3, 3, true);
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 57.3}), *loaded;
    uint8_t *point, *comma;
    size_t point_size, comma_size;
    ASSERT_OK(pare_mask_save(mask, path));
    ASSERT_OK(pri_file_read(path, 0, &point, &point_size));
    if (!set_comma_locale())
        skip();
    ASSERT_OK(pare_mask_load(path, &loaded));
    ASSERT_OK(pare_mask_save(loaded, path));
    setlocale(LC_NUMERIC, "C");
    ASSERT_OK(pri_file_read(path, 0, &comma, &comma_size));
    assert_int_equal(point_size, comma_size);
    assert_memory_equal(point, comma, point_size);
    assert_same_mask(mask, loaded);
    pri_free(point);
    pri_free(comma);
    pare_mask_destroy(mask);
    pare_mask_destroy(loaded);
    pare_average_destroy(average);
    unlink(path);
}

/* ---- Damaged files: a good one, rewritten with one thing changed ---- */

typedef struct change {
    const char *key, *value; /* a field and its new value; NULL: left out */
    size_t byte;             /* of `tensor`, replaced by `bits` when tensor is given */
    uint8_t bits;
    const char *tensor;
} change;

static pare_mask *good_mask_of(pare_geometry geometry, pare_prune_options options)
{
    pare_average *average = make_average(geometry, 3, 3, false);
    pare_mask *mask = make_mask(average, options);
    pare_average_destroy(average);
    return mask;
}

static pare_mask *good_mask(pare_prune_options options)
{
    return good_mask_of(shape, options);
}

static pare_status load_changed(const pare_mask *mask, change one)
{
    static const char *const keys[] = {
        "format",       "version",      "geometry",         "layers",      "heads",
        "queries",      "keys",         "causal",           "window",      "method",
        "average",      "scope",        "empty_row",        "percent",     "seed",
        "p_nominal",    "p_admissible", "p_effective",      "kept_mass",   "pruned_cells",
        "rescued_rows", "corpus",       "admissible_cells", "corpus_hash", "ends_first",
        "block",        "ratio"};
    const size_t version_1_keys = sizeof keys / sizeof *keys - 3;
    const char *path = temporary_path(".changed");
    ASSERT_OK(pare_mask_save(mask, path));
    pri_safetensors *file;
    ASSERT_OK(pri_safetensors_open(path, &file));
    pri_safetensors_writer *writer = pri_safetensors_writer_create();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bool changed = one.key && !strcmp(one.key, keys[i]);
        const char *value = changed ? one.value : pri_safetensors_metadata(file, keys[i]);
        if (!changed && i < version_1_keys)
            assert_non_null(value);
        if (value)
            pri_safetensors_writer_metadata(writer, keys[i], value);
    }
    uint8_t copies[2][64];
    for (size_t i = 0; i < 2; i++) {
        const pri_stored_tensor *tensor = pri_safetensors_at(file, i);
        memcpy(copies[i], tensor->data, tensor->bytes);
        if (one.tensor && !strcmp(one.tensor, tensor->name))
            copies[i][one.byte] = one.bits;
        pri_safetensors_writer_add(writer, tensor->name, tensor->type, tensor->dimensions,
                                   tensor->shape, copies[i]);
    }
    if (one.tensor && !strcmp(one.tensor, "another"))
        pri_safetensors_writer_add(writer, "another", PRI_DATA_U8, 1, (size_t[]){1}, "");
    ASSERT_OK(pri_safetensors_writer_save(writer, path));
    pri_safetensors_writer_destroy(writer);
    pri_safetensors_close(file);
    pare_mask *loaded;
    pare_status status = pare_mask_load(path, &loaded);
    assert_int_equal(loaded == NULL, status != PARE_OK);
    if (status != PARE_OK)
        expect_message(path);
    pare_mask_destroy(loaded);
    unlink(path);
    return status;
}

static void test_every_field_is_needed_and_checked(void **state)
{
    (void)state;
    pare_mask *mask = good_mask((pare_prune_options){.percent = 40});
    ASSERT_OK(load_changed(mask, (change){0}));
    static const struct {
        const char *key, *wrong;
    } fields[] = {
        {"format", "pare-average"},
        {"geometry", "block"},
        {"geometry", "distance"},
        {"layers", "1"},
        {"layers", "0"},
        {"heads", "4"},
        {"queries", "4"},
        {"keys", "6"},
        {"keys", "2"},
        {"keys", "18446744073709551615"},
        {"causal", "0"},
        {"causal", "true"},
        {"window", "2"},
        {"window", "-1"},
        {"method", "guess"},
        {"average", ""},
        {"scope", "LAYER"},
        {"empty_row", "uniform"},
        {"percent", "101"},
        {"percent", "nan"},
        {"percent", "inf"},
        {"percent", "0x10"},
        {"percent", "40%"},
        {"percent", ""},
        {"seed", "1e3"},
        {"p_nominal", "12"},
        {"p_admissible", "12"},
        {"p_effective", "-1"},
        {"kept_mass", "100.5"},
        {"pruned_cells", "3"},
        {"admissible_cells", "60"},
        {"rescued_rows", "13"},
        {"corpus", "a name that is longer than the sixty-three bytes that fit in here"},
        {"corpus_hash", "0x00000000001234"},
        {"corpus_hash", "000000000000ABCD"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        change wrong = {.key = fields[i].key, .value = fields[i].wrong};
        if (load_changed(mask, wrong) != PARE_ERROR_FORMAT)
            fail_msg("%s = %s was not refused", fields[i].key, fields[i].wrong);
        assert_int_equal(load_changed(mask, (change){.key = fields[i].key}), PARE_ERROR_FORMAT);
    }
    static const char *const versions[] = {"0", "4", "10", "", "1 "};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        assert_int_equal(load_changed(mask, (change){.key = "version", .value = versions[i]}),
                         PARE_ERROR_UNSUPPORTED);
        expect_message("update");
    }
    /* Version 2 has one field more. */
    assert_int_equal(load_changed(mask, (change){.key = "version", .value = "2"}),
                     PARE_ERROR_FORMAT);
    expect_message("ends_first");
    pare_mask_destroy(mask);
}

static void test_bits_must_agree_with_everything_else(void **state)
{
    (void)state;
    pare_mask *mask = good_mask((pare_prune_options){.percent = 0});
    /* Row 0 sees columns 0 .. 2. Byte 0 is that row: bits 0 .. 2 are set. */
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0x0f}),
                     PARE_ERROR_FORMAT); /* the future */
    expect_message("not admissible");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0x87}),
                     PARE_ERROR_FORMAT); /* the padding */
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0x03}),
                     PARE_ERROR_FORMAT); /* one cell less than counted */
    expect_message("counts");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0}), PARE_ERROR_FORMAT);
    expect_message("keeps nothing");
    assert_int_equal(load_changed(mask, (change){.tensor = "pruned_layers", .bits = 2}),
                     PARE_ERROR_FORMAT);
    assert_int_equal(load_changed(mask, (change){.tensor = "another"}), PARE_ERROR_FORMAT);
    ASSERT_OK(load_changed(mask, (change){.tensor = "kept", .bits = 0x07}));
    pare_mask_destroy(mask);

    mask = good_mask((pare_prune_options){.percent = 40});
    assert_int_equal(load_changed(mask, (change){.tensor = "pruned_layers", .bits = 0}),
                     PARE_ERROR_FORMAT);
    expect_message("not pruned");
    pare_mask_destroy(mask);

    mask = good_mask((pare_prune_options){.percent = 40, .empty_row = PARE_EMPTY_ROW_ZERO});
    assert_int_equal(load_changed(mask, (change){.key = "rescued_rows", .value = "1"}),
                     PARE_ERROR_FORMAT);
    pare_mask_destroy(mask);
}

static void test_distance_files_are_checked_too(void **state)
{
    (void)state;
    pare_mask *mask =
        good_mask((pare_prune_options){.geometry = PARE_GEOMETRY_DISTANCE, .percent = 0});
    ASSERT_OK(load_changed(mask, (change){0}));
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0x3f}),
                     PARE_ERROR_FORMAT); /* distance 5 of 5 keys */
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0x18}),
                     PARE_ERROR_FORMAT); /* row 0 does not reach distances 3 and 4 */
    expect_message("keeps nothing");
    assert_int_equal(load_changed(mask, (change){.key = "scope", .value = "row"}),
                     PARE_ERROR_FORMAT);
    assert_int_equal(load_changed(mask, (change){.key = "causal", .value = "0"}),
                     PARE_ERROR_FORMAT);
    pare_mask_destroy(mask);
}

static void test_relative_files_are_checked_too(void **state)
{
    (void)state;
    /* Five tokens: four special classes and five distances. */
    const pare_geometry encoder = {
        .layers = 1, .heads = 2, .queries = 5, .keys = 5, .ends_first = true};
    pare_mask *mask = good_mask_of(
        encoder, (pare_prune_options){.geometry = PARE_GEOMETRY_RELATIVE, .percent = 0});
    ASSERT_OK(load_changed(mask, (change){0}));
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .byte = 1, .bits = 3}),
                     PARE_ERROR_FORMAT); /* distance 3 of three inner tokens */
    expect_message("not admissible");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0xf8}),
                     PARE_ERROR_FORMAT); /* the first token keeps neither column nor row */
    expect_message("keeps nothing");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0xf7}),
                     PARE_ERROR_FORMAT); /* one class less than counted */
    expect_message("counts");
    static const struct {
        const char *key, *wrong;
    } fields[] = {
        {"version", "1"}, {"scope", "row"},     {"method", "compat"}, {"causal", "1"},
        {"keys", "6"},    {"queries", "4"},     {"block", "2"},       {"block", "x"},
        {"block", NULL},  {"ends_first", "0"},  {"ends_first", NULL}, {"ends_first", "2"},
        {"window", "3"},  {"geometry", "cell"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (load_changed(mask, (change){.key = fields[i].key, .value = fields[i].wrong}) !=
            PARE_ERROR_FORMAT)
            fail_msg("%s = %s was not refused", fields[i].key, fields[i].wrong);
    pare_mask_destroy(mask);
}

static void test_cross_files_are_checked_too(void **state)
{
    (void)state;
    /* Six source tokens: the ends, and offsets -1 .. 4 of the only row 0 and of row 1, whose
     * diagonal is token 2. */
    const pare_geometry cross = {
        .layers = 1, .heads = 2, .queries = 2, .keys = 6, .ends_first = true, .ratio = 2};
    pare_mask *mask =
        good_mask_of(cross, (pare_prune_options){.geometry = PARE_GEOMETRY_RELATIVE, .percent = 0});
    ASSERT_OK(load_changed(mask, (change){0}));
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .byte = 1, .bits = 0x0f}),
                     PARE_ERROR_FORMAT); /* offset -5: farther than any */
    expect_message("not admissible");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .byte = 1, .bits = 0x05}),
                     PARE_ERROR_FORMAT); /* offset -4, which is nearer than 4 but not there */
    expect_message("does not have");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0xfc}),
                     PARE_ERROR_FORMAT); /* neither the first token nor the last */
    expect_message("keeps nothing");
    assert_int_equal(load_changed(mask, (change){.tensor = "kept", .bits = 0xfe}),
                     PARE_ERROR_FORMAT); /* one class less than counted */
    expect_message("counts");
    static const struct {
        const char *key, *wrong;
    } fields[] = {
        {"version", "2"}, {"version", "1"},     {"ratio", NULL},      {"ratio", "0"},
        {"ratio", "-2"},  {"ratio", "1e-4"},    {"ratio", "1001"},    {"ratio", "nan"},
        {"ratio", "2,0"}, {"ratio", " 2"},      {"ratio", ""},        {"ratio", "40"},
        {"causal", "1"},  {"window", "1"},      {"ends_first", "0"},  {"ends_first", NULL},
        {"scope", "row"}, {"queries", "9"},     {"keys", "9"},        {"queries", "65537"},
        {"block", "2"},   {"method", "compat"}, {"geometry", "cell"}, {"geometry", "distance"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (load_changed(mask, (change){.key = fields[i].key, .value = fields[i].wrong}) !=
            PARE_ERROR_FORMAT)
            fail_msg("%s = %s was not refused", fields[i].key, fields[i].wrong);
    pare_mask_destroy(mask);

    mask = good_mask_of(cross, (pare_prune_options){.percent = 0});
    ASSERT_OK(load_changed(mask, (change){.key = "ratio", .value = "0.66666666666666663"}));
    assert_int_equal(load_changed(mask, (change){.key = "ratio"}), PARE_ERROR_FORMAT);
    expect_message("ratio");
    pare_mask_destroy(mask);
}

/* Masks of self attention are written as they were before there was a ratio, and have the digests
 * by which checkpoints know them. */
static void test_older_files_stay_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t digest;
    } files[] = {
        {"valid_0_0", UINT64_C(0x8fbc434c1bd1b1f1)},
        {"valid_0_2", UINT64_C(0x01217d24233e0a8c)},
        {"valid_block", UINT64_C(0x8a5573c1fbfa8751)},
        {"valid_ends_first", UINT64_C(0x63d21bc7116f57e0)},
        {"valid_relative", UINT64_C(0x2a1d699f9b4f280d)},
    };
    const char *path = temporary_path(".older");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char older[512];
        snprintf(older, sizeof older, "%s/fuzz/corpus/fuzz_mask/%s", PARE_TEST_DIRECTORY,
                 files[i].name);
        pare_mask *mask;
        ASSERT_OK(pare_mask_load(older, &mask));
        if (pare_mask_digest(mask) != files[i].digest)
            fail_msg("%s: digest %016llx", files[i].name,
                     (unsigned long long)pare_mask_digest(mask));
        ASSERT_OK(pare_mask_save(mask, path));
        uint8_t *before, *after;
        size_t before_size, after_size;
        ASSERT_OK(pri_file_read(older, 0, &before, &before_size));
        ASSERT_OK(pri_file_read(path, 0, &after, &after_size));
        assert_int_equal(before_size, after_size);
        assert_memory_equal(before, after, after_size);
        pri_free(before);
        pri_free(after);
        pare_mask_destroy(mask);
        unlink(path);
    }
}

static void test_block_sizes_are_checked(void **state)
{
    (void)state;
    pare_mask *mask = good_mask((pare_prune_options){.block = 2, .percent = 40});
    ASSERT_OK(load_changed(mask, (change){0}));
    ASSERT_OK(load_changed(mask, (change){.key = "block", .value = "0"}));
    static const char *const wrong[] = {"3", "256", "-2", "", "18446744073709551615"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(load_changed(mask, (change){.key = "block", .value = wrong[i]}),
                         PARE_ERROR_FORMAT);
    assert_int_equal(load_changed(mask, (change){.key = "method", .value = "compat"}),
                     PARE_ERROR_FORMAT);
    pare_mask_destroy(mask);
}

static void test_files_of_other_kinds_are_refused(void **state)
{
    (void)state;
    const char *path = temporary_path(".other");
    pare_mask *mask;
    assert_int_equal(pare_mask_load("no/such/file", &mask), PARE_ERROR_FILE);
    pare_average *average = make_average(shape, 1, 1, false);
    ASSERT_OK(pare_average_save(average, path));
    assert_int_equal(pare_mask_load(path, &mask), PARE_ERROR_FORMAT);
    expect_message("not a pare-mask file");
    assert_null(mask);
    ASSERT_OK(pri_file_replace(path, "P6 1 1 255 ...", 14));
    assert_int_equal(pare_mask_load(path, &mask), PARE_ERROR_FORMAT);
    unlink(path);
    mask = make_mask(average, (pare_prune_options){.percent = 10});
    assert_int_equal(pare_mask_save(mask, "no/such/directory/mask"), PARE_ERROR_FILE);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Every prefix of a good file is refused. */
static void test_truncated_files_are_refused(void **state)
{
    (void)state;
    const char *path = temporary_path(".truncated");
    pare_mask *mask = good_mask((pare_prune_options){.percent = 40}), *loaded;
    ASSERT_OK(pare_mask_save(mask, path));
    pare_mask_destroy(mask);
    uint8_t *bytes;
    size_t size;
    ASSERT_OK(pri_file_read(path, 0, &bytes, &size));
    for (size_t length = 0; length < size; length += length < size - 30 ? 41 : 1) {
        ASSERT_OK(pri_file_replace(path, bytes, length));
        assert_int_equal(pare_mask_load(path, &loaded), PARE_ERROR_FORMAT);
        assert_null(loaded);
    }
    pri_free(bytes);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f6_every_mask_survives_a_file),
        cmocka_unit_test(test_files_do_not_depend_on_the_locale),
        cmocka_unit_test(test_every_field_is_needed_and_checked),
        cmocka_unit_test(test_bits_must_agree_with_everything_else),
        cmocka_unit_test(test_distance_files_are_checked_too),
        cmocka_unit_test(test_relative_files_are_checked_too),
        cmocka_unit_test(test_cross_files_are_checked_too),
        cmocka_unit_test(test_older_files_stay_as_they_are),
        cmocka_unit_test(test_block_sizes_are_checked),
        cmocka_unit_test(test_files_of_other_kinds_are_refused),
        cmocka_unit_test(test_truncated_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
