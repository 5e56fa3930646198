/* A picture as text: PNG in base64. */
#include "report/html_image.h"

#include "base/memory.h"

static void append_base64(pri_text *text, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0);
        char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        pri_text_append_bytes(text, quad, sizeof quad);
    }
}

pare_status pri_html_append_image(pri_text *text, const pri_indexed_image *image)
{
    pri_bytes png;
    PRI_TRY(pri_png_encode_indexed(image, &png));
    pri_text_append(text, "data:image/png;base64,");
    append_base64(text, png.data, png.size);
    pri_free(png.data);
    return PARE_OK;
}
