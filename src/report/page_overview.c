/* All heads of a kind of attention at a glance, as the paper's slides show them: a grid with a row
 * per layer and a column per head, of average attention and of the mask of the chosen run. A grid
 * is one picture, since the palettes of single ones would be most of their size; names and frames
 * are drawn around its heads. */
#include <string.h>

#include "base/memory.h"
#include "report/html_image.h"
#include "report/page.h"
#include "report/svg.h"

/* Of a head's map. */
enum { MAXIMUM_COLUMNS = 32 };
/* In units of the drawing: about the width of a head, and room for "layer 1" and "head 1". */
enum { HEAD_WIDTH = 96, LEFT_ROOM = 58, TOP_ROOM = 20 };
/* Of a grid's picture; browsers draw no larger ones well, and no model needs it. */
enum { LARGEST_SIDE = 8192 };
/* Colours of the gaps between heads: a further one behind the heat scale; of masks, that of cells
 * that are pruned. */
enum { HEAT_GAP = PRI_HEAT_STEPS + 1, MASK_GAP = 1 };

typedef struct overview {
    const pri_head_set *set;
    const pri_heat_scale *scale;
    pri_palettes palettes;
    pri_colour heat[HEAT_GAP + 1];
    pri_head_map map;    /* reused by all heads */
    uint8_t *map_pixels; /* of one head */
    size_t width, height;
    uint8_t *pixels; /* of all heads: (height, width) */
    size_t gap;      /* between heads, in pixels */
    size_t scale_up; /* side of a pixel in units of the drawing */
} overview;

/* Where a head's picture begins, in pixels. */
static size_t head_left(const overview *drawing, size_t head)
{
    return head * (drawing->map.columns + drawing->gap);
}

static size_t layer_top(const overview *drawing, size_t layer)
{
    return layer * (drawing->map.rows + drawing->gap);
}

/* ---- The picture ---- */

/* Of one head; without a mask its average. */
static pri_indexed_image draw_head(overview *drawing, const pare_mask *mask, size_t layer,
                                   size_t head)
{
    if (mask) {
        pri_head_map_fill_mask(&drawing->map, mask, layer, head);
        return pri_mask_image(&drawing->palettes, &drawing->map, drawing->map_pixels);
    }
    pri_head_map_fill_average(&drawing->map, drawing->set->average, layer, head);
    return pri_heat_image(&drawing->palettes, &drawing->map, drawing->scale, drawing->map_pixels);
}

static void place_head(overview *drawing, const pri_indexed_image *image, size_t layer, size_t head)
{
    uint8_t *corner =
        drawing->pixels + layer_top(drawing, layer) * drawing->width + head_left(drawing, head);
    for (size_t row = 0; row < image->height; row++)
        memcpy(corner + row * drawing->width, image->pixels + row * image->width, image->width);
}

static pri_indexed_image draw_heads(overview *drawing, const pare_mask *mask)
{
    const pare_geometry *geometry = drawing->set->geometry;
    memset(drawing->pixels, mask ? MASK_GAP : HEAT_GAP, drawing->width * drawing->height);
    for (size_t layer = 0; layer < geometry->layers; layer++)
        for (size_t head = 0; head < geometry->heads; head++) {
            pri_indexed_image image = draw_head(drawing, mask, layer, head);
            place_head(drawing, &image, layer, head);
        }
    return (pri_indexed_image){drawing->width, drawing->height, drawing->pixels,
                               mask ? drawing->palettes.mask : drawing->heat,
                               mask ? PRI_MASK_STEPS + 2 : HEAT_GAP + 1};
}

/* ---- What is around it ---- */

/* Below this the names are too small to read: grids lie under each other then, or scroll. */
static size_t least_width(const overview *drawing)
{
    return (LEFT_ROOM + drawing->scale_up * drawing->width) * 2 / 3;
}

/* Where a head begins, in units of the drawing. */
static size_t head_x(const overview *drawing, size_t head)
{
    return LEFT_ROOM + drawing->scale_up * head_left(drawing, head);
}

static size_t layer_y(const overview *drawing, size_t layer)
{
    return TOP_ROOM + drawing->scale_up * layer_top(drawing, layer);
}

static void append_frames(pri_text *text, const overview *drawing)
{
    const pare_geometry *geometry = drawing->set->geometry;
    size_t width = drawing->scale_up * drawing->map.columns;
    size_t height = drawing->scale_up * drawing->map.rows;
    pri_text_append(text, "<path d=\"");
    for (size_t layer = 0; layer < geometry->layers; layer++)
        for (size_t head = 0; head < geometry->heads; head++)
            pri_text_append(text, "M%zu %zuh%zuv%zuh-%zuz", head_x(drawing, head),
                            layer_y(drawing, layer), width, height, width);
    pri_text_append(text, "\"/>");
}

static void append_names(pri_text *text, const overview *drawing)
{
    const pare_geometry *geometry = drawing->set->geometry;
    size_t half_width = drawing->scale_up * drawing->map.columns / 2;
    size_t half_height = drawing->scale_up * drawing->map.rows / 2;
    for (size_t head = 0; head < geometry->heads; head++)
        pri_text_append(text, "<text x=\"%zu\" y=\"%d\" text-anchor=\"middle\">head %zu</text>",
                        head_x(drawing, head) + half_width, TOP_ROOM - 7, head + 1);
    for (size_t layer = 0; layer < geometry->layers; layer++)
        pri_text_append(text, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">layer %zu</text>",
                        LEFT_ROOM - 8, layer_y(drawing, layer) + half_height + 4, layer + 1);
}

static pare_status append_drawing(pri_text *text, const overview *drawing,
                                  const pri_indexed_image *image, const char *label)
{
    size_t width = drawing->scale_up * image->width, height = drawing->scale_up * image->height;
    pri_text_append(
        text,
        "<svg style=\"min-width:%zupx;max-width:%zupx\" viewBox=\"0 0 %zu %zu\" role=\"img\" "
        "aria-label=\"Every head: ",
        least_width(drawing), 2 * least_width(drawing), LEFT_ROOM + width + 1,
        TOP_ROOM + height + 1);
    pri_html_append_escaped(text, label);
    pri_text_append(text, "\"><image x=\"%d\" y=\"%d\" width=\"%zu\" height=\"%zu\" href=\"",
                    LEFT_ROOM, TOP_ROOM, width, height);
    PRI_TRY(pri_html_append_image(text, image));
    pri_text_append(text, "\"/>");
    append_frames(text, drawing);
    append_names(text, drawing);
    pri_text_append(text, "</svg>");
    return PARE_OK;
}

static pare_status append_grid(pri_text *text, overview *drawing, const pare_mask *mask,
                               const char *label)
{
    pri_indexed_image image = draw_heads(drawing, mask);
    pri_text_append(text, " style=\"flex-basis:%zupx\"><figcaption>", least_width(drawing));
    pri_html_append_escaped(text, label);
    pri_text_append(text, "</figcaption>\n<div class=\"scroll\" tabindex=\"0\" "
                          "role=\"region\" aria-label=\"Every head\">");
    PRI_TRY(append_drawing(text, drawing, &image, label));
    pri_text_append(text, "</div></figure>\n");
    return PARE_OK;
}

static pare_status append_grids(pri_text *text, overview *drawing)
{
    const pri_head_set *set = drawing->set;
    pri_text_append(text, "<div class=\"overview\">\n");
    if (set->average) {
        pri_text_append(text, "<figure");
        PRI_TRY(append_grid(text, drawing, NULL, "Average attention"));
    }
    for (size_t run = 0; run < set->run_count; run++) {
        pri_text_append(text, "<figure class=\"run run-%zu\"", run);
        PRI_TRY(append_grid(text, drawing, set->runs[run].mask, set->runs[run].label));
    }
    pri_text_append(text, "</div>\n");
    return PARE_OK;
}

/* After the map, which decides all sizes. */
static pare_status append_sized(pri_text *text, overview *drawing)
{
    const pare_geometry *geometry = drawing->set->geometry;
    const pri_head_map *map = &drawing->map;
    drawing->gap = (map->columns + 15) / 16;
    drawing->scale_up = HEAD_WIDTH / map->columns;
    drawing->width = head_left(drawing, geometry->heads) - drawing->gap;
    drawing->height = layer_top(drawing, geometry->layers) - drawing->gap;
    if (drawing->width > LARGEST_SIDE || drawing->height > LARGEST_SIDE)
        return PARE_OK;
    drawing->map_pixels = pri_allocate(map->rows, map->columns);
    drawing->pixels = pri_allocate(drawing->width, drawing->height);
    pare_status status =
        drawing->map_pixels && drawing->pixels ? append_grids(text, drawing) : PARE_ERROR_MEMORY;
    pri_free(drawing->map_pixels);
    pri_free(drawing->pixels);
    return status;
}

pare_status pri_page_append_overview(pri_text *text, const pri_head_set *set,
                                     const pri_heat_scale *scale)
{
    overview drawing = {.set = set, .scale = scale};
    pri_palettes_fill(&drawing.palettes);
    memcpy(drawing.heat, drawing.palettes.heat, sizeof drawing.palettes.heat);
    PRI_TRY(pri_head_map_create(set->geometry, MAXIMUM_COLUMNS, &drawing.map));
    pare_status status = append_sized(text, &drawing);
    pri_head_map_free(&drawing.map);
    return status;
}
