/* A bitmap with antialiased lines, discs and text: the painter behind PNG files. */
#ifndef PARE_SRC_REPORT_CANVAS_H
#define PARE_SRC_REPORT_CANVAS_H

#include "report/painter.h"
#include "report/png.h"

typedef struct pri_canvas {
    size_t width, height; /* pixels of the bitmap */
    double scale;         /* bitmap pixels per drawing unit */
    pri_point origin;     /* of the drawing, in drawing units */
    uint8_t *pixels;      /* (height, width, 3) */
} pri_canvas;

/* White, `width` x `height` drawing units. */
pare_status pri_canvas_create(double width, double height, double scale, pri_canvas *canvas);
void pri_canvas_free(pri_canvas *canvas);
/* Draws on `canvas`, from its origin. */
pri_painter pri_canvas_painter(pri_canvas *canvas);
/* Lays the image over the rectangle, cell by cell (nearest pixel). */
void pri_canvas_image(pri_canvas *canvas, const pri_indexed_image *image, pri_point corner,
                      double width, double height);

/* The strokes of one character (font.c): a width, a space, then strokes apart by spaces. Each point
 * is two digits, x then y, on a grid whose base line is y = 6, capitals from y = 0, descenders to
 * y = 8. A stroke that begins with ~ is rounded. */
const char *pri_font_strokes(char character);

#endif
