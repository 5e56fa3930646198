/* What a chart needs of a drawing surface. Two surfaces exist: SVG in the page, whose colours come
 * from the page's style sheet (svg.c), and a bitmap for PNG files (canvas.c). */
#ifndef PARE_SRC_REPORT_PAINTER_H
#define PARE_SRC_REPORT_PAINTER_H

#include "base/status.h"

/* Colours by meaning; each surface knows its own. */
typedef enum pri_ink {
    PRI_INK_TEXT,
    PRI_INK_QUIET, /* axis numbers */
    PRI_INK_GRID,
    PRI_INK_DENSE,
    PRI_INK_PRUNED,
    PRI_INK_RANDOM,
    PRI_INK_ENCODER, /* what translation prunes */
    PRI_INK_DECODER,
    PRI_INK_SELVES,
    PRI_INK_CROSS,
    PRI_INK_ALL,
    PRI_INK_COUNT
} pri_ink;

typedef enum pri_align { PRI_ALIGN_START, PRI_ALIGN_MIDDLE, PRI_ALIGN_END } pri_align;

typedef struct pri_point {
    double x, y; /* pixels, y downwards */
} pri_point;

typedef struct pri_painter {
    void *user;
    void (*line)(void *user, const pri_point *points, size_t count, double width, bool dashed,
                 pri_ink ink);
    /* `title` is shown by browsers when the pointer rests on the disc; may be NULL. */
    void (*disc)(void *user, pri_point centre, double radius, pri_ink ink, const char *title);
    /* `at` is on the base line. */
    void (*text)(void *user, pri_point at, double size, pri_align align, pri_ink ink,
                 const char *text);
} pri_painter;

#endif
