/* The pictures of the report as PNG files: the charts and, of each kind of attention, one sheet per
 * layer with all its heads' averages, one with their distance profiles, and one per layer and run
 * with their masks. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "report/canvas.h"
#include "report/collection.h"
#include "report/figures.h"

/* Drawing units; files have twice as many pixels. */
static const double map_width = 240, gap = 24, title_height = 44, caption_height = 22;
static const double file_scale = 2;
enum { MAXIMUM_COLUMNS = 480 };

static pare_status save_canvas(const pri_canvas *canvas, const char *output, const char *name)
{
    pri_bytes png;
    PRI_TRY(pri_png_encode_rgb(canvas->pixels, canvas->width, canvas->height, &png));
    char *path = pri_path_join(output, name);
    pare_status status = path ? pri_file_replace(path, png.data, png.size) : PARE_ERROR_MEMORY;
    pri_free(path);
    pri_free(png.data);
    return status;
}

/* ---- Charts ---- */

static pare_status save_chart(const pri_chart *chart, const char *output, const char *name)
{
    const double margin = 16;
    pri_canvas canvas;
    PRI_TRY(pri_canvas_create(chart->width + 2 * margin, chart->height + 2 * margin, file_scale,
                              &canvas));
    canvas.origin = (pri_point){margin, margin};
    pri_painter painter = pri_canvas_painter(&canvas);
    pri_chart_draw(chart, &painter);
    pare_status status = save_canvas(&canvas, output, name);
    pri_canvas_free(&canvas);
    return status;
}

static pare_status save_figures(const pri_collection *collection, const char *output)
{
    for (int kind = 0; kind < PRI_FIGURE_COUNT; kind++) {
        pri_figure figure;
        PRI_TRY(pri_figure_create(&collection->results, &collection->summary, (pri_figure_kind)kind,
                                  &figure));
        char name[64];
        snprintf(name, sizeof name, "%s.png", figure.slug);
        figure.chart.width = 760;
        figure.chart.height = 400;
        figure.chart.text_size = 14;
        figure.chart.labelled = true;
        pare_status status = figure.empty ? PARE_OK : save_chart(&figure.chart, output, name);
        pri_figure_free(&figure);
        PRI_TRY(status);
    }
    return PARE_OK;
}

/* ---- Sheets of heads ---- */

typedef struct head_sheet {
    const pri_head_set *set;
    pri_palettes palettes;
    pri_heat_scale scale, profile_range;
    pri_head_map map;
    uint8_t *pixels;
    const char *output;
} head_sheet;

/* Draws one head at `corner`, map_width wide; `run` is NULL for what all runs share. */
typedef void (*draw_head)(head_sheet *sheet, pri_canvas *canvas, const pri_mask_run *run,
                          size_t layer, size_t head, pri_point corner, double height);

static void draw_caption(pri_canvas *canvas, pri_point corner, size_t head, const char *fact,
                         double value, const char *unit)
{
    pri_painter painter = pri_canvas_painter(canvas);
    char text[64];
    snprintf(text, sizeof text, "Head %zu", head + 1);
    painter.text(painter.user, (pri_point){corner.x, corner.y + 14}, 12, PRI_ALIGN_START,
                 PRI_INK_TEXT, text);
    snprintf(text, sizeof text, "%s %.1f%s", fact, value, unit);
    painter.text(painter.user, (pri_point){corner.x + map_width, corner.y + 14}, 11, PRI_ALIGN_END,
                 PRI_INK_QUIET, text);
}

static void draw_frame(pri_canvas *canvas, pri_point corner, double height)
{
    pri_painter painter = pri_canvas_painter(canvas);
    pri_point frame[] = {corner,
                         {corner.x + map_width, corner.y},
                         {corner.x + map_width, corner.y + height},
                         {corner.x, corner.y + height},
                         corner};
    painter.line(painter.user, frame, 5, 1, false, PRI_INK_GRID);
}

static void draw_average(head_sheet *sheet, pri_canvas *canvas, const pri_mask_run *run,
                         size_t layer, size_t head, pri_point corner, double height)
{
    (void)run;
    const pare_average *average = sheet->set->average;
    draw_caption(canvas, corner, head, "entropy", pri_head_entropy(average, layer, head), " bits");
    corner.y += caption_height;
    pri_head_map_fill_average(&sheet->map, average, layer, head);
    pri_indexed_image image =
        pri_heat_image(&sheet->palettes, &sheet->map, &sheet->scale, sheet->pixels);
    pri_canvas_image(canvas, &image, corner, map_width, height);
    draw_frame(canvas, corner, height);
}

static void draw_mask(head_sheet *sheet, pri_canvas *canvas, const pri_mask_run *run, size_t layer,
                      size_t head, pri_point corner, double height)
{
    draw_caption(canvas, corner, head, "kept", 100 * pare_mask_kept_share(run->mask, layer, head),
                 "%");
    corner.y += caption_height;
    pri_head_map_fill_mask(&sheet->map, run->mask, layer, head);
    pri_indexed_image image = pri_mask_image(&sheet->palettes, &sheet->map, sheet->pixels);
    pri_canvas_image(canvas, &image, corner, map_width, height);
    draw_frame(canvas, corner, height);
}

static void draw_profile(head_sheet *sheet, pri_canvas *canvas, const pri_mask_run *run,
                         size_t layer, size_t head, pri_point corner, double height)
{
    (void)run;
    const pare_average *average = sheet->set->average;
    draw_caption(canvas, corner, head, "entropy", pri_head_entropy(average, layer, head), " bits");
    pri_profile profile = pri_head_profile(average, layer, head);
    pri_profile_figure figure;
    pri_profile_figure_fill(&profile, &sheet->profile_range, &figure);
    figure.chart.width = map_width;
    figure.chart.height = height;
    figure.chart.text_size = 10;
    figure.chart.x_label = "distance + 1";
    pri_point origin = canvas->origin;
    canvas->origin = (pri_point){origin.x + corner.x, origin.y + corner.y + caption_height};
    pri_painter painter = pri_canvas_painter(canvas);
    pri_chart_draw(&figure.chart, &painter);
    canvas->origin = origin;
}

/* One layer: its heads in rows of at most five. */
static pare_status save_sheet(head_sheet *sheet, draw_head draw, const pri_mask_run *run,
                              double height, const char *title, const char *name, size_t layer)
{
    size_t heads = sheet->set->geometry->heads;
    size_t columns = heads < 5 ? heads : heads % 4 == 0 ? 4 : 5;
    size_t rows = (heads + columns - 1) / columns;
    double step_x = map_width + gap, step_y = height + caption_height + gap;
    pri_canvas canvas;
    PRI_TRY(pri_canvas_create((double)columns * step_x + gap, title_height + (double)rows * step_y,
                              file_scale, &canvas));
    pri_painter painter = pri_canvas_painter(&canvas);
    painter.text(painter.user, (pri_point){gap, 30}, 16, PRI_ALIGN_START, PRI_INK_TEXT, title);
    for (size_t head = 0; head < heads; head++) {
        pri_point corner = {gap + (double)(head % columns) * step_x,
                            title_height + (double)(head / columns) * step_y};
        draw(sheet, &canvas, run, layer, head, corner, height);
    }
    pare_status status = save_canvas(&canvas, sheet->output, name);
    pri_canvas_free(&canvas);
    return status;
}

static double map_height(const pare_geometry *geometry)
{
    double height = map_width * (double)geometry->queries / (double)geometry->keys;
    return fmin(fmax(height, 24), 2 * map_width);
}

static pare_status save_layer(head_sheet *sheet, size_t layer)
{
    const pri_head_set *set = sheet->set;
    const pare_geometry *geometry = set->geometry;
    const char *space = set->name[0] ? " " : "", *hyphen = set->name[0] ? "-" : "";
    char title[160], name[128];
    if (set->average) {
        char low[24], high[24];
        pri_format_short(sheet->scale.low, 2, low, sizeof low);
        pri_format_short(sheet->scale.high, 2, high, sizeof high);
        snprintf(title, sizeof title, "Layer %zu: average %s%sattention, %s (dark) to %s (bright)",
                 layer + 1, set->name, space, low, high);
        snprintf(name, sizeof name, "average-%s%slayer-%02zu.png", set->name, hyphen, layer + 1);
        PRI_TRY(save_sheet(sheet, draw_average, NULL, map_height(geometry), title, name, layer));
    }
    if (set->average && geometry->causal) {
        snprintf(title, sizeof title, "Layer %zu: average %s%sattention against distance",
                 layer + 1, set->name, space);
        snprintf(name, sizeof name, "profile-%s%slayer-%02zu.png", set->name, hyphen, layer + 1);
        PRI_TRY(save_sheet(sheet, draw_profile, NULL, 130, title, name, layer));
    }
    for (size_t i = 0; i < set->run_count; i++) {
        const pri_mask_run *run = &set->runs[i];
        snprintf(title, sizeof title, "Layer %zu: %s%scells kept, %s", layer + 1, set->name, space,
                 run->label);
        snprintf(name, sizeof name, "mask-%s%s%s-layer-%02zu.png", set->name, hyphen, run->slug,
                 layer + 1);
        PRI_TRY(save_sheet(sheet, draw_mask, run, map_height(geometry), title, name, layer));
    }
    return PARE_OK;
}

static pare_status save_layers(const pri_head_set *set, const char *output)
{
    if (!set->geometry)
        return PARE_OK;
    head_sheet sheet = {.set = set, .output = output};
    pri_palettes_fill(&sheet.palettes);
    if (set->average) {
        sheet.scale = pri_heat_scale_of(set->average);
        sheet.profile_range = pri_profile_range(set->average);
    }
    PRI_TRY(pri_head_map_create(set->geometry, MAXIMUM_COLUMNS, &sheet.map));
    sheet.pixels = pri_allocate(sheet.map.rows * sheet.map.columns, 1);
    pare_status status = sheet.pixels ? PARE_OK : PARE_ERROR_MEMORY;
    for (size_t layer = 0; status == PARE_OK && layer < set->geometry->layers; layer++)
        status = save_layer(&sheet, layer);
    pri_free(sheet.pixels);
    pri_head_map_free(&sheet.map);
    return status;
}

pare_status pare_report_png(const char *directory, const char *output)
{
    PRI_TRY(pri_make_directories(output));
    pri_collection collection;
    PRI_TRY(pri_collection_read(directory, &collection));
    pare_status status = save_figures(&collection, output);
    for (size_t kind = 0; status == PARE_OK && kind < collection.kinds; kind++)
        status = save_layers(&collection.sets[kind], output);
    pri_collection_free(&collection);
    return status;
}
