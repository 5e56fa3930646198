/* One head in a terminal, as upper half blocks with foreground and background colours, or as shades
 * when colours are off: two picture rows per line of text, or of one sequence one, so that a line
 * is a piece's. */
#include <math.h>

#include "base/text_buffer.h"
#include "pare/report.h"
#include "report/head_map.h"

/* What pruned cells fade to. */
static const pri_colour pruned_colour = {18, 18, 18, 255};

/* One head's map with its mask beside it; kept has no values when there is no mask. */
typedef struct text_picture {
    pri_head_map average, kept;
    pri_heat_scale scale;
    size_t line_rows; /* picture rows per line of text, 1 or 2 */
} text_picture;

static bool cell_shown(const text_picture *picture, size_t row, size_t column)
{
    return row < picture->average.rows &&
           !isnan(picture->average.values[row * picture->average.columns + column]);
}

static double cell_heat(const text_picture *picture, size_t row, size_t column)
{
    return pri_heat_share(&picture->scale,
                          picture->average.values[row * picture->average.columns + column]);
}

static double cell_kept(const text_picture *picture, size_t row, size_t column)
{
    if (!picture->kept.values)
        return 1;
    /* NaN: not admissible for the mask, though it is for the average (another window). */
    double kept = picture->kept.values[row * picture->kept.columns + column];
    return isnan(kept) ? 0 : kept;
}

static uint8_t mix(uint8_t dark, uint8_t light, double share)
{
    return (uint8_t)lround(dark + share * (light - dark));
}

/* -1: the terminal's own background. */
static int cell_colour(const text_picture *picture, size_t row, size_t column)
{
    if (!cell_shown(picture, row, column))
        return -1;
    pri_colour heat = pri_colour_heat(cell_heat(picture, row, column));
    double kept = cell_kept(picture, row, column);
    return pri_colour_terminal((pri_colour){mix(pruned_colour.red, heat.red, kept),
                                            mix(pruned_colour.green, heat.green, kept),
                                            mix(pruned_colour.blue, heat.blue, kept), 255});
}

static void append_colour_line(pri_text *text, const text_picture *picture, size_t row)
{
    int above = -2, below = -2; /* what the terminal is set to */
    for (size_t column = 0; column < picture->average.columns; column++) {
        int top = cell_colour(picture, row, column);
        int bottom = cell_colour(picture, row + picture->line_rows - 1, column);
        /* The block takes the foreground colour; a half without colour must be background. */
        bool lower = top < 0 && bottom >= 0;
        int foreground = lower ? bottom : top, background = lower ? top : bottom;
        if (foreground != above && foreground >= 0)
            pri_text_append(text, "\033[38;5;%dm", foreground);
        if (background != below)
            pri_text_append(text, background < 0 ? "\033[49m" : "\033[48;5;%dm", background);
        above = foreground >= 0 ? foreground : above;
        below = background;
        pri_text_append(text, "%s", foreground < 0 ? " " : lower ? "▄" : "▀");
    }
    pri_text_append(text, "\033[0m\n");
}

/* Shades by heat; a dot where everything is pruned, a blank where nothing is admissible. */
static const char *cell_shade(const text_picture *picture, size_t row, size_t column)
{
    static const char *const shades[] = {" ", "░", "▒", "▓", "█"};
    double heat = 0, kept = 0;
    int shown = 0;
    for (size_t i = row; i < row + picture->line_rows; i++) {
        if (!cell_shown(picture, i, column))
            continue;
        heat += cell_heat(picture, i, column);
        kept += cell_kept(picture, i, column);
        shown++;
    }
    if (!shown)
        return " ";
    if (kept == 0)
        return "·";
    long shade = lround(4 * heat / shown);
    return shades[shade == 0 && picture->kept.values ? 1 : shade];
}

static pare_status check_request(const pare_average *average, const pare_mask *mask, size_t layer,
                                 size_t head, size_t width)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    if (layer >= geometry->layers || head >= geometry->heads)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "no layer %zu, head %zu: the average has %zu layers of %zu heads",
                        layer + 1, head + 1, geometry->layers, geometry->heads);
    if (width == 0)
        return pri_fail(PARE_ERROR_ARGUMENT, "a heat map needs a width of at least 1 character");
    if (!mask)
        return PARE_OK;
    const pare_geometry *other = pare_mask_geometry(mask);
    if (other->layers != geometry->layers || other->heads != geometry->heads ||
        other->queries != geometry->queries || other->keys != geometry->keys ||
        other->ends_first != geometry->ends_first)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the mask is %zu x %zu x %zu x %zu (layers, heads, queries, keys%s), the "
                        "average %zu x %zu x %zu x %zu%s: use the mask made from it",
                        other->layers, other->heads, other->queries, other->keys,
                        other->ends_first ? "; ends first" : "", geometry->layers, geometry->heads,
                        geometry->queries, geometry->keys,
                        geometry->ends_first ? " ends first" : "");
    return PARE_OK;
}

static pare_status fill_picture(text_picture *picture, const pare_average *average,
                                const pare_mask *mask, size_t layer, size_t head, size_t width)
{
    const pare_geometry *geometry = pare_average_geometry(average);
    picture->scale = pri_heat_scale_of(average);
    PRI_TRY(pri_head_map_create(geometry, width, &picture->average));
    pri_head_map_fill_average(&picture->average, average, layer, head);
    if (!mask)
        return PARE_OK;
    PRI_TRY(pri_head_map_create(geometry, width, &picture->kept));
    pri_head_map_fill_mask(&picture->kept, mask, layer, head);
    return PARE_OK;
}

/* Frees the picture, whatever happened before. */
static pare_status draw_picture(text_picture *picture, pare_status status, bool colour, char **text)
{
    pri_text buffer = {0};
    for (size_t row = 0; status == PARE_OK && row < picture->average.rows;
         row += picture->line_rows) {
        if (colour) {
            append_colour_line(&buffer, picture, row);
            continue;
        }
        for (size_t column = 0; column < picture->average.columns; column++)
            pri_text_append(&buffer, "%s", cell_shade(picture, row, column));
        pri_text_append(&buffer, "\n");
    }
    pri_head_map_free(&picture->average);
    pri_head_map_free(&picture->kept);
    if (status == PARE_OK)
        return pri_text_take(&buffer, text);
    pri_text_free(&buffer);
    return status;
}

pare_status pare_heat_map_text(const pare_average *average, const pare_mask *mask, size_t layer,
                               size_t head, size_t width, bool colour, char **text)
{
    PRI_TRY(check_request(average, mask, layer, head, width));
    text_picture picture = {.line_rows = 2};
    pare_status status = fill_picture(&picture, average, mask, layer, head, width);
    return draw_picture(&picture, status, colour, text);
}

static pare_status fill_attention(text_picture *picture, const pare_attention_view *view,
                                  size_t layer, size_t head, size_t width)
{
    const pare_geometry geometry = pri_attention_geometry(view);
    picture->scale = pri_heat_scale_of(view->average);
    PRI_TRY(pri_head_map_create(&geometry, width, &picture->average));
    pri_head_map_fill_attention(&picture->average, view, layer, head);
    if (!view->mask)
        return PARE_OK;
    PRI_TRY(pri_head_map_create(&geometry, width, &picture->kept));
    pri_head_map_fill_attention_kept(&picture->kept, view, layer, head);
    /* Pruned cells are drawn as such, not left out. */
    for (size_t i = 0; i < picture->average.rows * picture->average.columns; i++)
        if (isnan(picture->average.values[i]) && !isnan(picture->kept.values[i]))
            picture->average.values[i] = 0;
    return PARE_OK;
}

pare_status pare_attention_text(const pare_attention_view *view, size_t layer, size_t head,
                                size_t width, bool colour, char **text)
{
    PRI_TRY(check_request(view->average, NULL, layer, head, width));
    text_picture picture = {.line_rows = 1};
    pare_status status = fill_attention(&picture, view, layer, head, width);
    return draw_picture(&picture, status, colour, text);
}
