/* One sequence's attention: in the order of the sentence whatever the average's, pruned cells told
 * apart, as text and as a page. */
#include "report/sample.h"
#include "report/text_table.h"

#define TOKENS 4

static char root[] = "/tmp/pare-attention-XXXXXX";
static const char *const pieces[TOKENS] = {"[CLS]", "<b>", "\"&", "[SEP]"};

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

/* Token i looks at token j with this, in the order of the sentence; rows sum to 1. */
static const double attention[TOKENS][TOKENS] = {
    {.1, .2, .3, .4}, {.7, .1, .1, .1}, {.05, .05, .8, .1}, {.25, .25, .25, .25}};

/* Two layers and heads, all alike. */
static pare_average *sentence_average(bool ends_first)
{
    static const size_t ends[TOKENS] = {0, 2, 3, 1}, plain[TOKENS] = {0, 1, 2, 3};
    const size_t *places = ends_first ? ends : plain;
    const pare_geometry geometry = {
        .layers = 2, .heads = 2, .queries = TOKENS, .keys = TOKENS, .ends_first = ends_first};
    pare_average *average;
    SAMPLE_CHECK(pare_average_create(&geometry, &average) == PARE_OK);
    for (size_t layer = 0; layer < 2; layer++) {
        pare_observer observer = pare_average_observer(average, layer);
        for (size_t row = 0; row < TOKENS; row++)
            for (size_t column = 0; column < TOKENS; column++) {
                size_t cell = TOKENS * places[row] + places[column];
                for (size_t head = 0; head < 2; head++)
                    observer.sums[head * TOKENS * TOKENS + cell] = attention[row][column];
                if (layer == 0)
                    observer.counts[cell] = 1;
            }
    }
    pare_average_add_examples(average, 1);
    return average;
}

static void values_are_in_the_order_of_the_sentence(void **state)
{
    (void)state;
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        pare_average *average = sentence_average(ends_first);
        const pare_attention_view view = {.title = "", .average = average, .pieces = pieces};
        for (size_t row = 0; row < TOKENS; row++)
            for (size_t column = 0; column < TOKENS; column++)
                assert_true(pare_attention_value(&view, 1, 0, row, column) ==
                            attention[row][column]);
        pare_average_destroy(average);
    }
}

/* The two smallest cells of each head: .05 twice, in row 2. */
static pare_mask *mask_of_two(const pare_average *average)
{
    pare_mask *mask;
    const pare_prune_options options = {.percent = 12.5, .scope = PARE_SCOPE_HEAD};
    SAMPLE_CHECK(pare_mask_create(average, &options, &mask) == PARE_OK);
    return mask;
}

static void pruned_cells_are_told_apart(void **state)
{
    (void)state;
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        pare_average *average = sentence_average(ends_first);
        pare_mask *mask = mask_of_two(average);
        const pare_attention_view view = {
            .title = "", .average = average, .mask = mask, .pieces = pieces};
        for (size_t row = 0; row < TOKENS; row++)
            for (size_t column = 0; column < TOKENS; column++)
                assert_int_equal(isnan(pare_attention_value(&view, 0, 1, row, column)),
                                 row == 2 && column < 2);
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

/* The line under number `index`, to free; NULL: there are fewer. */
static char *line_of(const char *text, size_t index)
{
    for (; index && *text; index--)
        text += strcspn(text, "\n") + 1;
    return *text ? strndup(text, strcspn(text, "\n")) : NULL;
}

static void text_draws_a_row_per_line(void **state)
{
    (void)state;
    pare_average *average = sentence_average(true);
    pare_mask *mask = mask_of_two(average);
    const pare_attention_view view = {
        .title = "", .average = average, .mask = mask, .pieces = pieces};
    char *text;
    assert_int_equal(pare_attention_text(&view, 0, 0, 80, false, &text), PARE_OK);
    /* Scale .05 to .8: .1 has a share of .25, .2 of .5, .3 of .65, .4 of .75, .25 of .58. Under a
     * mask nothing kept is blank. */
    static const char *const expected[] = {"░▒▓▓", "█░░░", "··█░", "▒▒▒▒"};
    for (size_t row = 0; row < 4; row++) {
        char *line = line_of(text, row);
        assert_string_equal(line, expected[row]);
        free(line);
    }
    assert_null(line_of(text, 4));
    free(text);
    /* A row takes a colour for both halves of its line. */
    assert_int_equal(pare_attention_text(&view, 0, 0, 80, true, &text), PARE_OK);
    char *line = line_of(text, 3);
    int foreground, background, used = 0;
    assert_int_equal(
        sscanf(line, "\033[38;5;%dm\033[48;5;%dm▀▀▀▀\033[0m%n", &foreground, &background, &used),
        2);
    assert_int_equal(foreground, background);
    assert_int_equal(used, (int)strlen(line));
    free(line);
    free(text);
    assert_int_equal(pare_attention_text(&view, 0, 0, 2, false, &text), PARE_OK);
    assert_int_equal(pri_display_width(text), 2 * 3); /* 2 x 2 cells of 2 x 2 */
    free(text);
    assert_int_equal(pare_attention_text(&view, 2, 0, 80, false, &text), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_attention_text(&view, 0, 0, 0, false, &text), PARE_ERROR_ARGUMENT);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* The page's text, to free. */
static char *page_of(const pare_attention_view *view)
{
    char *path = pri_path_join(root, "attention.html");
    SAMPLE_CHECK(pare_attention_html(view, path) == PARE_OK);
    uint8_t *data;
    size_t size;
    SAMPLE_CHECK(pri_file_read(path, 0, &data, &size) == PARE_OK);
    char *page = calloc(size + 1, 1);
    SAMPLE_CHECK(page);
    memcpy(page, data, size);
    pri_free(data);
    pri_free(path);
    return page;
}

static void the_page_has_every_head_and_escapes_its_texts(void **state)
{
    (void)state;
    pare_average *average = sentence_average(false);
    pare_mask *mask = mask_of_two(average);
    const pare_attention_view view = {
        .title = "a < b & c", .average = average, .mask = mask, .pieces = pieces};
    char *page = page_of(&view);
    assert_int_equal(occurrences(page, "<figure id=\"layer-"), 4);
    assert_int_equal(occurrences(page, "id=\"layer-2-head-1\""), 1);
    assert_int_equal(occurrences(page, "href=\"data:image/png;base64,"), 4);
    assert_int_equal(occurrences(page, "<title>a &lt; b &amp; c</title>"), 1);
    assert_int_equal(occurrences(page, ">&lt;b&gt;</text>"), 2); /* beside and above */
    assert_int_equal(occurrences(page, "<b>"), 0);
    assert_int_equal(occurrences(page, "Grey cells are pruned."), 1);
    assert_int_equal(occurrences(page, "</span>pruned</span>"), 1);
    assert_int_equal(occurrences(page, "<script"), 0);
    free(page);
    char *path = pri_path_join(root, "no/such/attention.html");
    assert_int_equal(pare_attention_html(&view, path), PARE_ERROR_FILE);
    pri_free(path);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* One head, two target pieces that look at three of the source, whose ends come first. */
static pare_average *pair_average(void)
{
    const pare_geometry geometry = {
        .layers = 1, .heads = 1, .queries = 2, .keys = 3, .ends_first = true, .ratio = 1.5};
    static const double cells[2][3] = {{.9, .04, .06}, {.02, .28, .7}};
    pare_average *average;
    SAMPLE_CHECK(pare_average_create(&geometry, &average) == PARE_OK);
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t row = 0; row < 2; row++)
        for (size_t column = 0; column < 3; column++) {
            observer.sums[3 * row + column] = cells[row][column];
            observer.counts[3 * row + column] = 1;
        }
    pare_average_add_examples(average, 1);
    return average;
}

static void rows_and_columns_may_be_two_sentences(void **state)
{
    (void)state;
    static const char *const source[] = {"a", "dog", "</s>"}, *const target[] = {"<s>", "Hund"};
    pare_average *average = pair_average();
    pare_mask *mask; /* without .02 and .04: target 1 at source 0, target 0 at the last */
    const pare_prune_options options = {.percent = 34};
    assert_int_equal(pare_mask_create(average, &options, &mask), PARE_OK);
    const pare_attention_view view = {
        .title = "pair", .average = average, .mask = mask, .pieces = source, .row_pieces = target};
    assert_true(pare_attention_value(&view, 0, 0, 0, 0) == .9);
    assert_true(pare_attention_value(&view, 0, 0, 0, 1) == .06);
    assert_true(isnan(pare_attention_value(&view, 0, 0, 0, 2)));
    assert_true(isnan(pare_attention_value(&view, 0, 0, 1, 0)));
    assert_true(pare_attention_value(&view, 0, 0, 1, 1) == .7);
    assert_true(pare_attention_value(&view, 0, 0, 1, 2) == .28);
    char *text;
    assert_int_equal(pare_attention_text(&view, 0, 0, 80, false, &text), PARE_OK);
    /* Scale .02 to .9, of width 3.81: shares of 1 and .29, then of .93 and .69. */
    assert_string_equal(text, "█░·\n·█▓\n");
    free(text);
    char *page = page_of(&view);
    assert_int_equal(occurrences(page, "Cross attention of one pair of texts"), 1);
    assert_int_equal(occurrences(page, ">Hund</text>"), 1);
    assert_int_equal(occurrences(page, ">&lt;s&gt;</text>"), 1);
    assert_int_equal(occurrences(page, ">dog</text>"), 1);
    /* 3 x 12 by 2 x 12, beside and under labels of four characters. */
    assert_int_equal(occurrences(page, "viewBox=\"0 0 68 56\""), 1);
    assert_int_equal(occurrences(page, "width=\"36\" height=\"24\""), 1);
    free(page);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* A decoder's pieces do not look ahead; what they cannot see is not called pruned. */
static void the_future_is_not_pruned(void **state)
{
    (void)state;
    pare_average *average = sample_average(1, 1, 2, 2, true);
    pare_mask *mask = sample_mask(average, PARE_METHOD_ATTENTION_PRUNING, 0, 0);
    const pare_attention_view view = {
        .title = "", .average = average, .mask = mask, .pieces = pieces};
    char *text;
    assert_int_equal(pare_attention_text(&view, 0, 0, 80, true, &text), PARE_OK);
    assert_non_null(strstr(text, "\033[49m \033[0m\n")); /* nothing after the first cell */
    free(text);
    char *page = page_of(&view);
    assert_int_equal(occurrences(page, "Pieces do not look ahead. Other grey cells are pruned."),
                     1);
    free(page);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_in_the_order_of_the_sentence),
        cmocka_unit_test(pruned_cells_are_told_apart),
        cmocka_unit_test(text_draws_a_row_per_line),
        cmocka_unit_test(the_page_has_every_head_and_escapes_its_texts),
        cmocka_unit_test(rows_and_columns_may_be_two_sentences),
        cmocka_unit_test(the_future_is_not_pruned),
    };
    return cmocka_run_group_tests_name("attention of one text", tests, make_root, remove_root);
}
