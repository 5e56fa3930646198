/* Heat maps, PNG files, the canvas and its font, and heads as text. */
#include <dirent.h>
#include <png.h>

#include "report/canvas.h"
#include "report/head_map.h"
#include "report/sample.h"

static char root[] = "/tmp/pare-pictures-XXXXXX";

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

/* Decodes to RGBA with libpng's own reader; free the pixels. */
static uint8_t *decode(const uint8_t *data, size_t size, size_t *width, size_t *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_int_not_equal(png_image_begin_read_from_memory(&image, data, size), 0);
    image.format = PNG_FORMAT_RGBA;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(pixels);
    assert_int_not_equal(png_image_finish_read(&image, NULL, pixels, 0, NULL), 0);
    *width = image.width;
    *height = image.height;
    return pixels;
}

/* The average of one causal head, 2 queries x 4 keys, with known cells. */
static pare_average *known_average(void)
{
    static const double cells[2][4] = {{0.01, 0.1, 0.89, 0}, {0.01, 0.1, 0.1, 0.79}};
    pare_geometry geometry = {.layers = 1, .heads = 1, .queries = 2, .keys = 4, .causal = true};
    pare_average *average;
    SAMPLE_CHECK(pare_average_create(&geometry, &average) == PARE_OK);
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t row = 0; row < 2; row++)
        for (size_t column = 0; column < row + 3; column++) {
            observer.sums[4 * row + column] = 10 * cells[row][column];
            observer.counts[4 * row + column] = 10;
        }
    pare_average_add_examples(average, 10);
    return average;
}

static void indexed_png_decodes_to_its_palette(void **state)
{
    (void)state;
    static const pri_colour palette[] = {{1, 2, 3, 0}, {250, 128, 7, 255}, {9, 9, 9, 100}};
    uint8_t indices[] = {0, 1, 2, 2, 1, 0};
    pri_indexed_image image = {3, 2, indices, palette, 3};
    pri_bytes png;
    assert_int_equal(pri_png_encode_indexed(&image, &png), PARE_OK);
    size_t width, height;
    uint8_t *pixels = decode(png.data, png.size, &width, &height);
    assert_true(width == 3 && height == 2);
    for (size_t i = 0; i < 6; i++) {
        const pri_colour *colour = &palette[indices[i]];
        assert_int_equal(pixels[4 * i + 3], colour->alpha);
        if (colour->alpha)
            assert_true(pixels[4 * i] == colour->red && pixels[4 * i + 1] == colour->green &&
                        pixels[4 * i + 2] == colour->blue);
    }
    free(pixels);
    pri_free(png.data);
    image.width = 0;
    assert_int_equal(pri_png_encode_indexed(&image, &png), PARE_ERROR_ARGUMENT);
}

static double lightness(pri_colour colour)
{
    return 0.2126 * colour.red + 0.7152 * colour.green + 0.0722 * colour.blue;
}

static void heat_colours_rise_in_lightness(void **state)
{
    (void)state;
    for (int i = 1; i < PRI_HEAT_STEPS; i++) {
        double below = lightness(pri_colour_heat((i - 1) / (PRI_HEAT_STEPS - 1.0)));
        assert_true(lightness(pri_colour_heat(i / (PRI_HEAT_STEPS - 1.0))) > below - 0.5);
    }
    assert_true(lightness(pri_colour_heat(1)) > lightness(pri_colour_heat(0)) + 180);
    assert_int_equal(pri_colour_terminal((pri_colour){0, 0, 0, 255}), 16);
    assert_int_equal(pri_colour_terminal((pri_colour){255, 255, 255, 255}), 231);
    assert_int_equal(pri_colour_terminal((pri_colour){255, 0, 0, 255}), 196);
    assert_int_equal(pri_colour_terminal((pri_colour){18, 18, 18, 255}), 233);
}

static void maps_show_what_the_average_holds(void **state)
{
    (void)state;
    pare_average *average = known_average();
    pri_head_map map;
    assert_int_equal(pri_head_map_create(pare_average_geometry(average), 160, &map), PARE_OK);
    assert_true(map.rows == 2 && map.columns == 4);
    pri_head_map_fill_average(&map, average, 0, 0);
    assert_true(fabs(map.values[2] - 0.89) < 1e-12 && isnan(map.values[3]));
    pri_heat_scale scale = pri_heat_scale_of(average);
    assert_true(fabs(scale.low - 0.01) < 1e-12 && fabs(scale.high - 0.89) < 1e-12);

    pri_palettes palettes;
    pri_palettes_fill(&palettes);
    uint8_t pixels[8];
    pri_indexed_image image = pri_heat_image(&palettes, &map, &scale, pixels);
    assert_int_equal(image.pixels[0], 1);              /* the lowest */
    assert_int_equal(image.pixels[2], PRI_HEAT_STEPS); /* the highest */
    assert_int_equal(image.pixels[3], 0);              /* the future */
    assert_int_equal(image.pixels[1], 1 + lround(127 * log(10) / log(89)));
    pri_head_map_free(&map);

    /* Half as wide: boxes of two by two; the last one has one admissible row above the future. */
    assert_int_equal(pri_head_map_create(pare_average_geometry(average), 2, &map), PARE_OK);
    assert_true(map.rows == 1 && map.columns == 2);
    pri_head_map_fill_average(&map, average, 0, 0);
    assert_true(fabs(map.values[0] - 0.055) < 1e-12);
    assert_true(fabs(map.values[1] - (0.89 + 0.1 + 0.79) / 3) < 1e-12);
    pri_head_map_free(&map);
    pare_average_destroy(average);
}

/* The ends of sequences, where encoders look, are not averaged with their neighbours. */
static void ends_of_sequences_are_not_reduced(void **state)
{
    (void)state;
    const pare_geometry geometry = {
        .layers = 1, .heads = 1, .queries = 9, .keys = 9, .ends_first = true};
    pare_average *average = sample_average_of(geometry);
    pri_head_map map;
    assert_int_equal(pri_head_map_create(&geometry, 5, &map), PARE_OK);
    assert_true(map.rows == 5 && map.columns == 5); /* 1, 1, then 3 + 3 + 1 */
    pri_head_map_fill_average(&map, average, 0, 0);
    static const size_t begins[] = {0, 1, 2, 5, 8, 9};
    for (size_t row = 0; row < 5; row++)
        for (size_t column = 0; column < 5; column++) {
            double sum = 0, cells = 0;
            for (size_t i = begins[row]; i < begins[row + 1]; i++)
                for (size_t j = begins[column]; j < begins[column + 1]; j++) {
                    sum += pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, i, j);
                    cells++;
                }
            assert_true(fabs(map.values[row * 5 + column] - sum / cells) < 1e-12);
        }
    pri_head_map_free(&map);
    /* Too narrow for that. */
    assert_int_equal(pri_head_map_create(&geometry, 2, &map), PARE_OK);
    assert_true(map.rows == 2 && map.columns == 2);
    pri_head_map_free(&map);
    pare_average_destroy(average);
}

/* Of cross attention the source's ends are columns, and rows are in order. */
static void rows_of_cross_attention_are_in_order(void **state)
{
    (void)state;
    const pare_geometry geometry = {
        .layers = 1, .heads = 1, .queries = 7, .keys = 9, .ends_first = true, .ratio = 1.5};
    pare_average *average = sample_average_of(geometry);
    pri_head_map map;
    assert_int_equal(pri_head_map_create(&geometry, 5, &map), PARE_OK);
    assert_true(map.rows == 3 && map.columns == 5); /* 3 + 3 + 1; 1, 1, then 3 + 3 + 1 */
    pri_head_map_fill_average(&map, average, 0, 0);
    double sum = 0;
    for (size_t row = 3; row < 6; row++)
        sum += pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, row, 1);
    assert_true(fabs(map.values[1 * 5 + 1] - sum / 3) < 1e-12);
    pri_head_map_free(&map);
    pare_attention_view view = {.average = average};
    assert_true(pare_attention_value(&view, 0, 0, 2, 8) ==
                pare_average_value(average, PARE_AVERAGE_VALID, 0, 0, 2, 1));
    pare_average_destroy(average);

    const pare_geometry one_row = {
        .layers = 1, .heads = 1, .queries = 1, .keys = 9, .ends_first = true, .ratio = 1.5};
    assert_int_equal(pri_head_map_create(&one_row, 5, &map), PARE_OK);
    assert_true(map.rows == 1 && map.columns == 5);
    pri_head_map_free(&map);
}

static void masks_are_shares_of_kept_cells(void **state)
{
    (void)state;
    pare_average *average = known_average();
    /* 30% of seven cells are two: those of 0.01. */
    pare_mask *mask = sample_mask(average, PARE_METHOD_ATTENTION_PRUNING, 30, 0);
    pri_head_map map;
    assert_int_equal(pri_head_map_create(pare_mask_geometry(mask), 2, &map), PARE_OK);
    pri_head_map_fill_mask(&map, mask, 0, 0);
    assert_true(map.values[0] == 0.5 && map.values[1] == 1);
    pri_palettes palettes;
    pri_palettes_fill(&palettes);
    uint8_t pixels[2];
    pri_indexed_image image = pri_mask_image(&palettes, &map, pixels);
    assert_int_equal(image.pixels[0], 1 + PRI_MASK_STEPS / 2);
    assert_int_equal(image.pixels[1], 1 + PRI_MASK_STEPS);
    assert_int_equal(image.palette[1].alpha, 0);
    assert_int_equal(image.palette[1 + PRI_MASK_STEPS].alpha, 255);
    pri_head_map_free(&map);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void entropy_and_profile_are_those_of_the_rows(void **state)
{
    (void)state;
    pare_average *average = known_average();
    double first = -(0.01 * log2(0.01) + 0.1 * log2(0.1) + 0.89 * log2(0.89));
    double second = -(0.01 * log2(0.01) + 0.2 * log2(0.1) + 0.79 * log2(0.79));
    assert_true(fabs(pri_head_entropy(average, 0, 0) - (first + second) / 2) < 1e-12);
    pri_profile profile = pri_head_profile(average, 0, 0);
    /* Distance 0 holds 0.89 and 0.79, 1 holds 0.1 twice, 2 holds 0.01 and 0.1, 3 holds 0.01. */
    assert_int_equal(profile.count, 4);
    assert_true(fabs(profile.values[0] - 0.84) < 1e-12 && fabs(profile.values[1] - 0.1) < 1e-12);
    assert_true(fabs(profile.values[2] - 0.055) < 1e-12 && fabs(profile.values[3] - 0.01) < 1e-12);
    pare_average_destroy(average);

    average = sample_average(1, 1, 150, 300, true);
    profile = pri_head_profile(average, 0, 0);
    assert_true(profile.count > 20 && profile.count <= PRI_PROFILE_POINTS);
    assert_int_equal(profile.distances[0], 0);
    assert_int_equal(profile.distances[profile.count - 1], 299);
    for (size_t i = 1; i < profile.count; i++)
        assert_true(profile.distances[i] > profile.distances[i - 1]);
    pare_average_destroy(average);
}

static void canvas_draws_with_soft_edges(void **state)
{
    (void)state;
    pri_canvas canvas;
    assert_int_equal(pri_canvas_create(20, 10, 2, &canvas), PARE_OK);
    assert_true(canvas.width == 40 && canvas.height == 20);
    pri_painter painter = pri_canvas_painter(&canvas);
    /* Three pixels wide around y = 10: the middle two rows full, the next ones half, then none. */
    pri_point line[] = {{2, 5}, {18, 5}};
    painter.line(painter.user, line, 2, 1.5, false, PRI_INK_PRUNED);
    const uint8_t *column = canvas.pixels + 3 * 20;
    assert_int_equal(column[3 * 40 * 9], 0x0b);
    assert_int_equal(column[3 * 40 * 10], 0x0b);
    assert_int_equal(column[3 * 40 * 8], (0x0b + 255) / 2);
    assert_int_equal(column[3 * 40 * 7], 255);
    pri_canvas_free(&canvas);
    assert_int_equal(pri_canvas_create(1e6, 10, 2, &canvas), PARE_ERROR_ARGUMENT);
}

static void font_covers_ascii(void **state)
{
    (void)state;
    for (int character = '!'; character <= '~'; character++) {
        const char *strokes = pri_font_strokes((char)character);
        assert_true(strokes[0] >= '0' && strokes[0] <= '6' && strokes[1] == ' ');
        size_t digits = 0;
        for (strokes += 2;; strokes++) {
            if (*strokes >= '0' && *strokes <= '8') {
                digits++;
            } else if (*strokes == '~') {
                assert_int_equal(digits, 0);
            } else {
                assert_true(digits >= 4 && digits <= 32 && digits % 2 == 0);
                digits = 0;
                if (!*strokes)
                    break;
            }
        }
    }
    assert_string_equal(pri_font_strokes('\x80'), "4 0040460600");
}

static size_t decode_all(const char *directory)
{
    size_t count = 0;
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = pri_path_join(directory, entry->d_name);
        uint8_t *data;
        size_t size, width, height;
        assert_int_equal(pri_file_read(path, 0, &data, &size), PARE_OK);
        uint8_t *pixels = decode(data, size, &width, &height);
        assert_true(pixels[0] == 255 && pixels[1] == 255 && pixels[2] == 255);
        size_t dark = 0;
        for (size_t i = 0; i < width * height; i++)
            dark += pixels[4 * i] < 128;
        assert_true(dark > 100);
        free(pixels);
        pri_free(data);
        pri_free(path);
        count++;
    }
    closedir(entries);
    return count;
}

static void every_picture_becomes_a_file(void **state)
{
    (void)state;
    char *sweep = pri_path_join(root, "sweep");
    char *output = pri_path_join(root, "a/b");
    sample_sweep(sweep, 1, 2, 8, 16);
    assert_int_equal(pare_report_png(sweep, output), PARE_OK);
    /* Four charts; average, profile and seven masks of one layer. */
    assert_int_equal(decode_all(output), 4 + 2 + 7);
    char *path = pri_path_join(output, "mask-attention-pruning-90-layer-01.png");
    assert_true(pri_path_exists(path));
    pri_free(path);
    pri_free(output);
    pri_free(sweep);
}

static void pictures_are_named_by_kind(void **state)
{
    (void)state;
    static const char *const names[] = {
        "quality.png",
        "average-encoder-layer-01.png",
        "average-cross-layer-01.png",
        "profile-decoder-layer-01.png",
        "mask-decoder-attention-pruning-90-layer-01.png",
        "mask-cross-random-50-layer-01.png",
    };
    char *sweep = pri_path_join(root, "translation");
    char *output = pri_path_join(root, "kinds");
    sample_translation_sweep(sweep, 1, 2, 8, PARE_GEOMETRY_CELL);
    assert_int_equal(pare_report_png(sweep, output), PARE_OK);
    /* Four charts; of each kind an average and four masks, of the decoder a profile. */
    assert_int_equal(decode_all(output), 4 + 3 * 5 + 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = pri_path_join(output, names[i]);
        assert_true(pri_path_exists(path));
        pri_free(path);
    }
    pri_free(output);
    pri_free(sweep);
}

static void text_shows_heat_and_mask(void **state)
{
    (void)state;
    pare_average *average = known_average();
    pare_mask *mask = sample_mask(average, PARE_METHOD_ATTENTION_PRUNING, 30, 0);
    char *text;
    /* Mean heat of the two rows, of ln 89 = 4.49: 0, 0.51, (1 + 0.51) / 2 and 0.97 alone. */
    assert_int_equal(pare_heat_map_text(average, NULL, 0, 0, 80, false, &text), PARE_OK);
    assert_string_equal(text, " ▒▓█\n");
    free(text);
    assert_int_equal(pare_heat_map_text(average, mask, 0, 0, 80, false, &text), PARE_OK);
    assert_string_equal(text, "·▒▓█\n");
    free(text);
    /* One line: pruned over pruned, two pairs of heats, and a lower half below the future. */
    assert_int_equal(pare_heat_map_text(average, mask, 0, 0, 80, true, &text), PARE_OK);
    assert_true(!strncmp(text, "\033[38;5;233m\033[48;5;233m▀\033[38;5;", 32));
    assert_non_null(strstr(text, "\033[49m▄\033[0m\n"));
    free(text);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void text_stays_within_its_width(void **state)
{
    (void)state;
    pare_average *average = sample_average(1, 1, 64, 128, true);
    for (size_t width = 1; width < 140; width += 23) {
        char *text;
        assert_int_equal(pare_heat_map_text(average, NULL, 0, 0, width, false, &text), PARE_OK);
        size_t column = 0, widest = 0;
        for (const char *byte = text; *byte; byte++) {
            column = *byte == '\n' ? 0 : column + ((*byte & 0xc0) != 0x80);
            widest = column > widest ? column : widest;
        }
        assert_true(widest <= width && widest > width / 2 - (width > 128 ? 6 : 0));
        free(text);
    }
    pare_average_destroy(average);
}

static void impossible_maps_are_refused(void **state)
{
    (void)state;
    pare_average *average = known_average(), *other = sample_average(1, 1, 2, 5, true);
    pare_mask *mask = sample_mask(other, PARE_METHOD_RANDOM, 50, 1);
    char *text;
    assert_int_equal(pare_heat_map_text(average, NULL, 1, 0, 8, false, &text), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_heat_map_text(average, NULL, 0, 1, 8, false, &text), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_heat_map_text(average, NULL, 0, 0, 0, false, &text), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_heat_map_text(average, mask, 0, 0, 8, false, &text), PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "1 x 1 x 2 x 5"));
    pare_mask_destroy(mask);
    pare_average_destroy(other);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_sequences_are_not_reduced),
        cmocka_unit_test(rows_of_cross_attention_are_in_order),
        cmocka_unit_test(indexed_png_decodes_to_its_palette),
        cmocka_unit_test(heat_colours_rise_in_lightness),
        cmocka_unit_test(maps_show_what_the_average_holds),
        cmocka_unit_test(masks_are_shares_of_kept_cells),
        cmocka_unit_test(entropy_and_profile_are_those_of_the_rows),
        cmocka_unit_test(canvas_draws_with_soft_edges),
        cmocka_unit_test(font_covers_ascii),
        cmocka_unit_test(every_picture_becomes_a_file),
        cmocka_unit_test(pictures_are_named_by_kind),
        cmocka_unit_test(text_shows_heat_and_mask),
        cmocka_unit_test(text_stays_within_its_width),
        cmocka_unit_test(impossible_maps_are_refused),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
