/* report.html: well-formed, self-contained, escaped, and complete also when files are missing. */
#include <ctype.h>
#include <png.h>

#include "report/sample.h"

static char root[] = "/tmp/pare-page-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return pri_remove_tree(root) == PARE_OK ? 0 : -1;
}

/* The page of `directory`, to free. */
static char *make_page(const char *directory)
{
    SAMPLE_CHECK(pare_report_html(directory) == PARE_OK);
    char *path = pri_path_join(directory, "report.html");
    uint8_t *data;
    size_t size;
    SAMPLE_CHECK(pri_file_read(path, 0, &data, &size) == PARE_OK);
    char *page = malloc(size + 1);
    SAMPLE_CHECK(page);
    memcpy(page, data, size);
    page[size] = 0;
    pri_free(data);
    pri_free(path);
    return page;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

/* Every element is closed in order; every attribute is quoted; bare & and < do not occur. */
static void assert_well_formed(const char *page)
{
    enum { DEPTH = 64, NAME = 32 };
    char stack[DEPTH][NAME];
    size_t depth = 0;
    assert_true(!strncmp(page, "<!doctype html>", 15));
    for (const char *at = page + 15; *at; at++) {
        if (*at == '&')
            assert_non_null(memchr(at, ';', 8));
        if (*at != '<')
            continue;
        bool closing = at[1] == '/', quoted = false;
        const char *start = at + 1 + closing;
        size_t length = 0;
        while (isalnum((unsigned char)start[length]))
            length++;
        assert_true(length > 0 && length < NAME);
        for (at = start + length; *at && (quoted || *at != '>'); at++) {
            assert_true(*at != '<');
            if (*at == '=' && !quoted)
                assert_true(at[1] == '"');
            quoted ^= *at == '"';
        }
        assert_true(*at == '>');
        if (closing) {
            assert_true(depth > 0);
            depth--;
            assert_true(strlen(stack[depth]) == length && !strncmp(stack[depth], start, length));
        } else if (at[-1] != '/') {
            assert_true(depth < DEPTH);
            snprintf(stack[depth++], NAME, "%.*s", (int)length, start);
        }
    }
    assert_int_equal(depth, 0);
}

static void assert_self_contained(const char *page)
{
    static const char *const fetches[] = {"http:",   "https:", "<script", "<link",  "<iframe",
                                          "@import", "url(",   "<object", "srcset", "<base"};
    for (size_t i = 0; i < sizeof fetches / sizeof fetches[0]; i++)
        if (strstr(page, fetches[i]))
            fail_msg("the page has %s", fetches[i]);
    assert_int_equal(count_of(page, " src=\""), count_of(page, " src=\"data:image/png;base64,"));
    assert_int_equal(count_of(page, "<img"), count_of(page, " alt=\""));
}

static void whole_sweep_makes_a_whole_page(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "whole");
    sample_sweep(directory, 2, 3, 8, 16);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_self_contained(page);
    assert_int_equal(count_of(page, "<figure class=\"head\">"), 6);
    assert_int_equal(count_of(page, "alt=\"Average attention of layer"), 6);
    /* Five masks of attention pruning and two of random, of the first seed each. */
    assert_int_equal(count_of(page, "type=\"radio\""), 7);
    assert_int_equal(count_of(page, "alt=\"Mask of layer"), 42);
    assert_int_equal(count_of(page, "class=\"profile\""), 6);
    assert_int_equal(count_of(page, "checked=\"\""), 1);
    assert_non_null(strstr(page, "id=\"run-4\" checked=\"\""));
    assert_non_null(strstr(page, "<title>random, p = 90.0%: 155.43 (mean of 3 seeds)</title>"));
    assert_non_null(strstr(page, "<b>90%</b> of the attention cells pruned, test perplexity"));
    assert_non_null(strstr(page, "goes from 138.20 to 140.04, <b class=\"ap\">+1.3%</b>"));
    assert_non_null(strstr(page, "at random: <b class=\"rd\">+12.5%</b>"));
    assert_non_null(strstr(page, "<b>1.31&#215;</b> dense training speed"));
    assert_non_null(strstr(page, "pare sweep recipes/lm-wikitext2-small.yaml"));
    assert_null(strstr(page, "is not shown"));
    free(page);
    pri_free(directory);
}

/* ---- The overview ---- */

static unsigned base64_value(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(digits, digit);
    SAMPLE_CHECK(digit && found);
    return (unsigned)(found - digits);
}

typedef struct picture {
    size_t width, height;
    uint32_t *pixels; /* RGBA, to free */
} picture;

/* The first picture of the page after `mark`. */
static picture picture_after(const char *page, const char *mark)
{
    static const char beginning[] = "\"data:image/png;base64,";
    const char *at = strstr(page, mark);
    SAMPLE_CHECK(at && (at = strstr(at, beginning)));
    at += strlen(beginning);
    uint8_t *data = malloc(strcspn(at, "\""));
    SAMPLE_CHECK(data);
    size_t size = 0;
    unsigned bits = 0;
    for (size_t i = 0; at[i] != '"' && at[i] != '='; i++) {
        bits = bits << 6 | base64_value(at[i]);
        if (i % 4)
            data[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    png_image image = {.version = PNG_IMAGE_VERSION};
    SAMPLE_CHECK(png_image_begin_read_from_memory(&image, data, size));
    image.format = PNG_FORMAT_RGBA;
    picture read = {image.width, image.height, malloc(PNG_IMAGE_SIZE(image))};
    SAMPLE_CHECK(read.pixels && png_image_finish_read(&image, NULL, read.pixels, 0, NULL));
    free(data);
    return read;
}

/* The overview's heads are the pictures of the heads themselves, with transparent gaps of one pixel
 * between: maps of 16 columns are not reduced in either. */
static void assert_grid(const char *page, const char *grid_mark, const char *head_format)
{
    enum { LAYERS = 2, HEADS = 3, ROWS = 8, COLUMNS = 16 };
    picture grid = picture_after(page, grid_mark);
    assert_int_equal(grid.width, HEADS * (COLUMNS + 1) - 1);
    assert_int_equal(grid.height, LAYERS * (ROWS + 1) - 1);
    for (size_t layer = 0; layer < LAYERS; layer++)
        for (size_t head = 0; head < HEADS; head++) {
            char mark[128];
            snprintf(mark, sizeof mark, head_format, layer + 1, head + 1);
            picture single = picture_after(page, mark);
            assert_int_equal(single.width, COLUMNS);
            assert_int_equal(single.height, ROWS);
            const uint32_t *corner =
                grid.pixels + layer * (ROWS + 1) * grid.width + head * (COLUMNS + 1);
            for (size_t row = 0; row < ROWS; row++)
                assert_memory_equal(corner + row * grid.width, single.pixels + row * COLUMNS,
                                    COLUMNS * sizeof *corner);
            free(single.pixels);
        }
    for (size_t row = 0; row < grid.height; row++)
        assert_int_equal(((uint8_t *)&grid.pixels[row * grid.width + COLUMNS])[3], 0);
    for (size_t column = 0; column < grid.width; column++)
        assert_int_equal(((uint8_t *)&grid.pixels[ROWS * grid.width + column])[3], 0);
    free(grid.pixels);
}

static void all_heads_are_seen_at_a_glance(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "overview");
    sample_sweep(directory, 2, 3, 8, 16);
    char *page = make_page(directory);
    assert_int_equal(count_of(page, "<div class=\"overview\">"), 1);
    assert_int_equal(count_of(page, "<figcaption>Average attention</figcaption>"), 1);
    assert_int_equal(count_of(page, "<figure class=\"run run-"), 7);
    assert_int_equal(count_of(page, ">head 3</text>"), 8);
    assert_int_equal(count_of(page, ">layer 2</text>"), 8);
    assert_grid(page, "<figcaption>Average attention</figcaption>",
                "alt=\"Average attention of layer %zu, head %zu\"");
    assert_grid(page, "<figcaption>Attention pruning 90%</figcaption>",
                "alt=\"Mask of layer %zu, head %zu, Attention pruning 90%%\"");
    free(page);
    pri_free(directory);
}

/* A sheet that no browser would draw is left out, not the page. */
static void overviews_have_a_limit(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "tall");
    sample_sweep_of(directory, sample_average(1, 2000, 1, 4, true), (pare_prune_options){0});
    char *page = make_page(directory);
    assert_int_equal(count_of(page, "class=\"overview\""), 0);
    assert_int_equal(count_of(page, "<figure class=\"head\">"), 2000);
    free(page);
    pri_free(directory);
}

static void save_results(const char *directory, const pare_results *results)
{
    char *path = pri_path_join(directory, "results.json");
    SAMPLE_CHECK(pri_make_directories(directory) == PARE_OK);
    SAMPLE_CHECK(pare_results_save(results, path) == PARE_OK);
    pri_free(path);
}

static void text_from_files_is_escaped(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "escaped");
    pare_result_row rows[12];
    pare_results results = sample_results(rows);
    snprintf(results.name, sizeof results.name, "<script>alert(1)</script>");
    snprintf(results.description, sizeof results.description, "a & b \"c\" \x1b[31m");
    snprintf(results.metric, sizeof results.metric, "<i>&\">");
    snprintf(results.machine, sizeof results.machine, "</dd></dl>");
    snprintf(results.command, sizeof results.command, "pare --set 'x=<y>'");
    snprintf(results.average_path[0], sizeof results.average_path[0], "<img src=x>");
    snprintf(rows[1].directory, sizeof rows[1].directory, "</style>&");
    save_results(directory, &results);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_self_contained(page);
    assert_non_null(strstr(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(page, "a &amp; b &quot;c&quot;  [31m"));
    assert_non_null(strstr(page, "&lt;i&gt;&amp;&quot;&gt;"));
    free(page);
    pri_free(directory);
}

static void missing_pictures_are_noted(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "bare");
    pare_result_row rows[12];
    pare_results results = sample_results(rows);
    save_results(directory, &results);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_int_equal(count_of(page, "class=\"head\""), 0);
    assert_non_null(strstr(page, "Average attention is not shown: "));
    assert_non_null(strstr(page, "The mask of &quot;Attention pruning 90%&quot; is not shown: "));
    assert_non_null(strstr(page, "+12.5%"));
    free(page);
    results.count = 0;
    save_results(directory, &results);
    page = make_page(directory);
    assert_well_formed(page);
    free(page);
    pri_free(directory);
}

static void masks_of_another_shape_are_left_out(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "shapes");
    sample_sweep(directory, 2, 2, 4, 8);
    pare_average *other = sample_average(2, 2, 4, 6, true);
    pare_result_row row = sample_row("attention-pruning", 90, 0);
    sample_save_mask(other, &row, directory);
    pare_average_destroy(other);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_int_equal(count_of(page, "type=\"radio\""), 6);
    assert_non_null(strstr(page, "2 layers x 2 heads x 4 queries x 6 keys are not the shape"));
    free(page);
    pri_free(directory);
}

/* Attention over a whole sentence has no memory, no future and no one distance. */
static void attention_without_order_has_no_profile(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "encoder");
    pare_result_row rows[12];
    pare_results results = sample_results(rows);
    save_results(directory, &results);
    pare_average *average = sample_average(1, 2, 6, 6, false);
    char *dense = pri_path_join(directory, "dense");
    char *path = pri_path_join(dense, "average.safetensors");
    assert_int_equal(pri_make_directories(dense), PARE_OK);
    assert_int_equal(pare_average_save(average, path), PARE_OK);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_int_equal(count_of(page, "class=\"head\""), 2);
    assert_int_equal(count_of(page, "class=\"profile\""), 0);
    assert_null(strstr(page, "of memory"));
    free(page);
    pri_free(path);
    pri_free(dense);
    pare_average_destroy(average);
    pri_free(directory);
}

/* An encoder's page says what rows, columns and masks are. Its longest sequence has 6 of 8 tokens.
 */
static void encoders_are_explained(void **state)
{
    (void)state;
    static const struct {
        pare_prune_options options;
        bool ends_first;
        const char *says;
    } cases[] = {
        {{0}, false, "up to 8 tokens, in the order of the sentence."},
        {{0}, true, "number 1 is the first token (of BERT [CLS]), number 2 the last ([SEP])"},
        {{.geometry = PARE_GEOMETRY_RELATIVE}, true, "Masks prune classes of cells"},
        {{.block = 4}, true, "Masks prune whole blocks of 4 rows and 4 columns."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *directory = pri_path_join(root, "explained");
        sample_sweep_of(directory,
                        sample_average_of((pare_geometry){.layers = 2,
                                                          .heads = 3,
                                                          .queries = 8,
                                                          .keys = 8,
                                                          .ends_first = cases[i].ends_first}),
                        cases[i].options);
        char *page = make_page(directory);
        assert_well_formed(page);
        assert_int_equal(count_of(page, "<figure class=\"head\">"), 6);
        assert_int_equal(count_of(page, "alt=\"Mask of layer 2, head 3, "), 7);
        assert_int_equal(count_of(page, "class=\"profile\""), 0);
        assert_non_null(strstr(page, cases[i].says));
        assert_null(strstr(page, "future"));
        assert_null(strstr(page, "never observed"));
        free(page);
        assert_int_equal(pri_remove_tree(directory), PARE_OK);
        pri_free(directory);
    }
}

static void cells_never_observed_are_in_the_legend(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "unobserved");
    const pare_geometry geometry = {
        .layers = 1, .heads = 1, .queries = 3, .keys = 3, .ends_first = true};
    pare_average *average;
    assert_int_equal(pare_average_create(&geometry, &average), PARE_OK);
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t row = 0; row < 2; row++)
        for (size_t column = 0; column < 2; column++) {
            observer.sums[row * 3 + column] = 0.5;
            observer.counts[row * 3 + column] = 1;
        }
    pare_average_add_examples(average, 1);
    sample_sweep_of(directory, average, (pare_prune_options){0});
    char *page = make_page(directory);
    assert_non_null(strstr(page, "never observed"));
    free(page);
    pri_free(directory);
}

/* Coordinates that differ are another shape. */
static void masks_in_other_coordinates_are_left_out(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "coordinates");
    pare_geometry geometry = {.layers = 1, .heads = 2, .queries = 6, .keys = 6};
    sample_sweep_of(directory, sample_average_of(geometry), (pare_prune_options){0});
    geometry.ends_first = true;
    pare_average *other = sample_average_of(geometry);
    pare_result_row row = sample_row("attention-pruning", 90, 0);
    sample_save_mask(other, &row, directory);
    pare_average_destroy(other);
    char *page = make_page(directory);
    assert_int_equal(count_of(page, "type=\"radio\""), 6);
    assert_non_null(strstr(page, "6 queries x 6 keys, ends first, are not the shape"));
    free(page);
    pri_free(directory);
}

/* The part of the page between two headings; cut out of `page`. */
static char *section_of(char *page, const char *heading)
{
    char *start = strstr(page, heading);
    SAMPLE_CHECK(start);
    char *end = strstr(start, "</section>");
    SAMPLE_CHECK(end);
    size_t length = (size_t)(end - start);
    char *section = calloc(length + 1, 1);
    SAMPLE_CHECK(section);
    memcpy(section, start, length);
    return section;
}

/* A mask that several runs have is shown once: of each kind 50% and 90%, by both methods. */
static void translation_has_a_section_per_kind(void **state)
{
    (void)state;
    static const struct {
        const char *heading, *says, *alt, *chosen;
        size_t profiles;
    } cases[] = {
        {"<h2>Every head: encoder self-attention</h2>",
         "positions of source sentences of up to 8 tokens: number 1 is the first token, number 2 "
         "the last, then",
         "alt=\"Average encoder self-attention of layer", "id=\"encoder-run-1\" checked", 0},
        {"<h2>Every head: decoder self-attention</h2>",
         "positions of target sentences of up to 8 tokens, in the order of the sentence; no token "
         "looks ahead.",
         "alt=\"Average decoder self-attention of layer", "id=\"decoder-run-1\" checked", 6},
        {"<h2>Every head: cross attention</h2>",
         "Rows are the positions of target sentences (queries, up to 8) in their order, columns "
         "those of source sentences (keys, up to 10): number 1 is",
         "alt=\"Average cross attention of layer", "id=\"cross-run-1\" checked", 0},
    };
    char *directory = pri_path_join(root, "translation");
    sample_translation_sweep(directory, 2, 3, 8, PARE_GEOMETRY_RELATIVE);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_self_contained(page);
    assert_null(strstr(page, "is not shown"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *section = section_of(page, cases[i].heading);
        assert_non_null(strstr(section, cases[i].says));
        assert_int_equal(count_of(section, cases[i].alt), 6);
        assert_int_equal(count_of(section, "type=\"radio\""), 4);
        assert_non_null(strstr(section, cases[i].chosen));
        assert_int_equal(count_of(section, "alt=\"Mask of layer"), 24);
        assert_int_equal(count_of(section, "class=\"profile\""), cases[i].profiles);
        assert_int_equal(!strstr(section, "offset from the diagonal of 1.25 source tokens"), i < 2);
        free(section);
    }
    /* Every button has rules of its own. */
    assert_int_equal(count_of(page, ":checked~.layers .run-"), 12);
    assert_int_equal(count_of(page, "#cross-run-3:checked~.layers .run-3{"), 1);
    free(page);
    pri_free(directory);
}

static void translation_is_told_by_kind(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "kinds");
    pare_result_row rows[21];
    pare_results results = sample_translation(rows);
    save_results(directory, &results);
    char *page = make_page(directory);
    assert_well_formed(page);
    /* 41 - .6 * .9^3 = 40.56; four times that for random. */
    assert_non_null(strstr(page, "<li>cross <b class=\"cross\">-0.4</b>, random "
                                 "<b class=\"rd\">-1.7</b> (p_eff 81%)</li>"));
    char *table = section_of(page, "<h2>By the attention that is pruned</h2>");
    assert_int_equal(count_of(table, "<tr class=\"pruned\">"), 2);
    assert_int_equal(count_of(table, "<tr class=\"random\">"), 2);
    assert_int_equal(count_of(table, "<small>81.0</small>"), 10);
    assert_non_null(strstr(table, "<td>40.56<small>"));
    free(table);
    char *chart = section_of(page, "<h2>Quality against pruning</h2>");
    assert_non_null(strstr(chart, "p_eff, %"));
    assert_non_null(strstr(chart, "<title>random of cross, p_eff = 81.0%: 39.25</title>"));
    assert_non_null(strstr(chart, "<span class=\"dashed\"><i></i>random masks</span>"));
    static const char *const attentions[] = {"encoder", "decoder", "selves", "cross", "all"};
    for (size_t i = 0; i < 5; i++) {
        char line[64];
        snprintf(line, sizeof line, "<path class=\"l %s\"", attentions[i]);
        assert_int_equal(count_of(chart, line), 4); /* pruned and random, wide and narrow */
        snprintf(line, sizeof line, "<span class=\"%s\"><i></i>%s</span>", attentions[i],
                 attentions[i]);
        assert_int_equal(count_of(chart, line), 1);
    }
    free(chart);
    free(page);
    /* Without pictures each kind says so. */
    page = make_page(directory);
    assert_non_null(strstr(page, "average-cross.safetensors"));
    assert_non_null(strstr(page, "The mask of &quot;Attention pruning 90%&quot; of cross attention "
                                 "is not shown: "));
    free(page);
    pri_free(directory);
}

/* What prunes one kind alone is told as other sweeps are. */
static void one_kind_has_one_lead(void **state)
{
    (void)state;
    char *directory = pri_path_join(root, "one-kind");
    pare_result_row rows[] = {sample_translation_row("dense", "", 0),
                              sample_translation_row("attention-pruning", "cross", 90),
                              sample_translation_row("random", "cross", 90)};
    pare_results results = {.metric = "BLEU", .higher_is_better = true, .rows = rows, .count = 3};
    save_results(directory, &results);
    char *page = make_page(directory);
    assert_well_formed(page);
    assert_non_null(strstr(page, "With <b>81%</b> of the cross attention cells pruned, test BLEU "
                                 "goes from 41.00 to 40.56, <b class=\"ap\">-0.4</b> points. "));
    assert_null(strstr(page, "By the attention that is pruned"));
    free(page);
    pri_free(directory);
}

static void no_results_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(pare_report_html("/nonexistent"), PARE_ERROR_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_sweep_makes_a_whole_page),
        cmocka_unit_test(all_heads_are_seen_at_a_glance),
        cmocka_unit_test(overviews_have_a_limit),
        cmocka_unit_test(text_from_files_is_escaped),
        cmocka_unit_test(missing_pictures_are_noted),
        cmocka_unit_test(masks_of_another_shape_are_left_out),
        cmocka_unit_test(attention_without_order_has_no_profile),
        cmocka_unit_test(encoders_are_explained),
        cmocka_unit_test(cells_never_observed_are_in_the_legend),
        cmocka_unit_test(masks_in_other_coordinates_are_left_out),
        cmocka_unit_test(translation_has_a_section_per_kind),
        cmocka_unit_test(translation_is_told_by_kind),
        cmocka_unit_test(one_kind_has_one_lead),
        cmocka_unit_test(no_results_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
