/* A small rasteriser. Everything is a thick line with round ends: each pixel takes ink by how far
 * its centre lies inside the pen's edge, which is antialiasing exact to the eye at these widths. */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

/* The page's light theme (style.c), on white. */
static const pri_colour ink_colours[PRI_INK_COUNT] = {
    [PRI_INK_TEXT] = {0x1c, 0x21, 0x28, 255},    [PRI_INK_QUIET] = {0x5b, 0x64, 0x70, 255},
    [PRI_INK_GRID] = {0xe6, 0xe8, 0xeb, 255},    [PRI_INK_DENSE] = {0x5b, 0x64, 0x70, 255},
    [PRI_INK_PRUNED] = {0x0b, 0x6e, 0x8c, 255},  [PRI_INK_RANDOM] = {0xb8, 0x50, 0x1a, 255},
    [PRI_INK_ENCODER] = {0x0b, 0x6e, 0x8c, 255}, [PRI_INK_DECODER] = {0x74, 0x42, 0xb8, 255},
    [PRI_INK_SELVES] = {0x3f, 0x7a, 0x1c, 255},  [PRI_INK_CROSS] = {0xb8, 0x24, 0x6a, 255},
    [PRI_INK_ALL] = {0x8f, 0x5a, 0x00, 255},
};

pare_status pri_canvas_create(double width, double height, double scale, pri_canvas *canvas)
{
    *canvas = (pri_canvas){.scale = scale};
    if (!(width > 0 && height > 0 && width * scale < 65535 && height * scale < 65535))
        return pri_fail(PARE_ERROR_ARGUMENT, "a picture of %.0f x %.0f units cannot be drawn",
                        width, height);
    canvas->width = (size_t)ceil(width * scale);
    canvas->height = (size_t)ceil(height * scale);
    canvas->pixels = pri_allocate(canvas->width * canvas->height, 3);
    if (!canvas->pixels)
        return PARE_ERROR_MEMORY;
    memset(canvas->pixels, 255, canvas->width * canvas->height * 3);
    return PARE_OK;
}

void pri_canvas_free(pri_canvas *canvas)
{
    pri_free(canvas->pixels);
    *canvas = (pri_canvas){0};
}

static pri_point to_bitmap(const pri_canvas *canvas, pri_point point)
{
    return (pri_point){(canvas->origin.x + point.x) * canvas->scale,
                       (canvas->origin.y + point.y) * canvas->scale};
}

static void blend(pri_canvas *canvas, size_t x, size_t y, pri_colour colour, double share)
{
    uint8_t *pixel = canvas->pixels + 3 * (y * canvas->width + x);
    const uint8_t channels[3] = {colour.red, colour.green, colour.blue};
    for (int i = 0; i < 3; i++)
        pixel[i] = (uint8_t)lround(pixel[i] + share * (channels[i] - pixel[i]));
}

static double distance_to_segment(double x, double y, pri_point a, pri_point b)
{
    double across = b.x - a.x, down = b.y - a.y;
    double squared = across * across + down * down;
    double along = squared > 0 ? ((x - a.x) * across + (y - a.y) * down) / squared : 0;
    along = fmin(fmax(along, 0), 1);
    return hypot(x - a.x - along * across, y - a.y - along * down);
}

static size_t clip_pixel(double value, size_t limit)
{
    return value <= 0 ? 0 : value >= (double)limit ? limit : (size_t)value;
}

/* a and b in bitmap pixels; radius is half the pen's width. */
static void stroke_segment(pri_canvas *canvas, pri_point a, pri_point b, double radius,
                           pri_colour colour)
{
    double reach = radius + 1;
    size_t left = clip_pixel(fmin(a.x, b.x) - reach, canvas->width);
    size_t right = clip_pixel(fmax(a.x, b.x) + reach + 1, canvas->width);
    size_t top = clip_pixel(fmin(a.y, b.y) - reach, canvas->height);
    size_t bottom = clip_pixel(fmax(a.y, b.y) + reach + 1, canvas->height);
    for (size_t y = top; y < bottom; y++)
        for (size_t x = left; x < right; x++) {
            double gap = distance_to_segment((double)x + 0.5, (double)y + 0.5, a, b);
            double share = fmin(fmax(radius + 0.5 - gap, 0), 1);
            if (share > 0)
                blend(canvas, x, y, colour, share);
        }
}

static void stroke_dashed(pri_canvas *canvas, pri_point a, pri_point b, double radius,
                          pri_colour colour)
{
    const double dash = 6 * canvas->scale, period = 11 * canvas->scale;
    double length = hypot(b.x - a.x, b.y - a.y);
    for (double start = 0; start < length; start += period) {
        double from = start / length, to = fmin(start + dash, length) / length;
        stroke_segment(canvas, (pri_point){a.x + from * (b.x - a.x), a.y + from * (b.y - a.y)},
                       (pri_point){a.x + to * (b.x - a.x), a.y + to * (b.y - a.y)}, radius, colour);
    }
}

static void canvas_line(void *user, const pri_point *points, size_t count, double width,
                        bool dashed, pri_ink ink)
{
    pri_canvas *canvas = user;
    double radius = 0.5 * width * canvas->scale;
    for (size_t i = 1; i < count; i++) {
        pri_point a = to_bitmap(canvas, points[i - 1]), b = to_bitmap(canvas, points[i]);
        if (dashed)
            stroke_dashed(canvas, a, b, radius, ink_colours[ink]);
        else
            stroke_segment(canvas, a, b, radius, ink_colours[ink]);
    }
}

static void canvas_disc(void *user, pri_point centre, double radius, pri_ink ink, const char *title)
{
    (void)title;
    pri_canvas *canvas = user;
    pri_point at = to_bitmap(canvas, centre);
    stroke_segment(canvas, at, at, radius * canvas->scale, ink_colours[ink]);
}

/* ---- Text ---- */

enum { MAXIMUM_STROKE = 32 };

/* One character in place: grid units to bitmap pixels. */
typedef struct glyph_place {
    double x, base_line, unit, radius;
    pri_colour colour;
} glyph_place;

static pri_point middle(pri_point a, pri_point b)
{
    return (pri_point){(a.x + b.x) / 2, (a.y + b.y) / 2};
}

/* A quadratic B-spline: one arc from the middle of an edge to the middle of the next, with their
 * corner as control point; the ends are met exactly. */
static void stroke_rounded(pri_canvas *canvas, const pri_point *points, size_t count,
                           const glyph_place *place)
{
    enum { PIECES = 8 };
    for (size_t i = 1; i + 1 < count; i++) {
        pri_point start = i == 1 ? points[0] : middle(points[i - 1], points[i]);
        pri_point end = i + 2 == count ? points[i + 1] : middle(points[i], points[i + 1]);
        pri_point from = start;
        for (int piece = 1; piece <= PIECES; piece++) {
            double t = (double)piece / PIECES, s = 1 - t;
            pri_point to = {s * s * start.x + 2 * s * t * points[i].x + t * t * end.x,
                            s * s * start.y + 2 * s * t * points[i].y + t * t * end.y};
            stroke_segment(canvas, from, to, place->radius, place->colour);
            from = to;
        }
    }
}

/* Draws the stroke at `strokes` and returns the next one. */
static const char *draw_stroke(pri_canvas *canvas, const char *strokes, const glyph_place *place)
{
    bool rounded = *strokes == '~';
    pri_point points[MAXIMUM_STROKE];
    size_t count = 0;
    for (strokes += rounded; *strokes && *strokes != ' '; strokes += 2)
        points[count++] = (pri_point){place->x + place->unit * (strokes[0] - '0'),
                                      place->base_line + place->unit * (strokes[1] - '6')};
    if (rounded && count > 2) {
        stroke_rounded(canvas, points, count, place);
    } else {
        for (size_t i = 1; i < count; i++)
            stroke_segment(canvas, points[i - 1], points[i], place->radius, place->colour);
    }
    return *strokes == ' ' ? strokes + 1 : strokes;
}

static double advance(const char *glyph)
{
    return glyph[0] - '0' + 2.0;
}

static double text_width(const char *text)
{
    double width = 0;
    for (; *text; text++)
        width += advance(pri_font_strokes(*text));
    return width > 0 ? width - 2 : 0;
}

static void canvas_text(void *user, pri_point at, double size, pri_align align, pri_ink ink,
                        const char *text)
{
    pri_canvas *canvas = user;
    pri_point start = to_bitmap(canvas, at);
    /* Capitals are 0.7 of the nominal size in common fonts, 6 units here. */
    double unit = 0.70 * size * canvas->scale / 6;
    double shift = align == PRI_ALIGN_END ? 1 : align == PRI_ALIGN_MIDDLE ? 0.5 : 0;
    glyph_place place = {.x = start.x - shift * unit * text_width(text),
                         .base_line = start.y,
                         .unit = unit,
                         .radius = 0.42 * unit,
                         .colour = ink_colours[ink]};
    for (; *text; text++) {
        const char *glyph = pri_font_strokes(*text);
        for (const char *strokes = glyph + 2; *strokes;)
            strokes = draw_stroke(canvas, strokes, &place);
        place.x += unit * advance(glyph);
    }
}

pri_painter pri_canvas_painter(pri_canvas *canvas)
{
    return (pri_painter){canvas, canvas_line, canvas_disc, canvas_text};
}

void pri_canvas_image(pri_canvas *canvas, const pri_indexed_image *image, pri_point corner,
                      double width, double height)
{
    pri_point start = to_bitmap(canvas, corner);
    size_t left = clip_pixel(round(start.x), canvas->width);
    size_t top = clip_pixel(round(start.y), canvas->height);
    size_t columns = clip_pixel(round(width * canvas->scale), canvas->width - left);
    size_t rows = clip_pixel(round(height * canvas->scale), canvas->height - top);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < columns; x++) {
            size_t pixel = y * image->height / rows * image->width + x * image->width / columns;
            pri_colour colour = image->palette[image->pixels[pixel]];
            blend(canvas, left + x, top + y, colour, colour.alpha / 255.0);
        }
}
