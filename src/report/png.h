/* PNG in memory, through libpng. */
#ifndef PARE_SRC_REPORT_PNG_H
#define PARE_SRC_REPORT_PNG_H

#include "base/status.h"
#include "report/colour.h"

/* An image of palette entries. */
typedef struct pri_indexed_image {
    size_t width, height;
    uint8_t *pixels; /* (height, width) */
    const pri_colour *palette;
    size_t colours; /* at most 256; every pixel is below it */
} pri_indexed_image;

typedef struct pri_bytes {
    uint8_t *data; /* release with pri_free */
    size_t size, capacity;
} pri_bytes;

pare_status pri_png_encode_indexed(const pri_indexed_image *image, pri_bytes *png);
/* pixels: (height, width, 3) */
pare_status pri_png_encode_rgb(const uint8_t *pixels, size_t width, size_t height, pri_bytes *png);

#endif
