/* PNG encoding. libpng reports errors by longjmp; that stays inside this file, and nothing that
 * changes between setjmp and longjmp lives in a local variable. */
#include "report/png.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "base/memory.h"

typedef struct png_job {
    const uint8_t *pixels;
    size_t width, height, channels;
    const pri_colour *palette; /* NULL: RGB */
    size_t colours;
    pri_bytes *output;
} png_job;

static void append_bytes(png_structp png, png_bytep data, png_size_t size)
{
    pri_bytes *output = png_get_io_ptr(png);
    if (output->size + size > output->capacity) {
        size_t capacity = 2 * (output->size + size);
        uint8_t *larger = pri_reallocate(output->data, output->size, capacity, 1);
        if (!larger)
            png_error(png, "out of memory");
        output->data = larger;
        output->capacity = capacity;
    }
    memcpy(output->data + output->size, data, size);
    output->size += size;
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static void set_palette(png_structp png, png_infop info, const png_job *job)
{
    png_color colours[256];
    png_byte alpha[256];
    for (size_t i = 0; i < job->colours; i++) {
        colours[i] = (png_color){job->palette[i].red, job->palette[i].green, job->palette[i].blue};
        alpha[i] = job->palette[i].alpha;
    }
    png_set_PLTE(png, info, colours, (int)job->colours);
    png_set_tRNS(png, info, alpha, (int)job->colours, NULL);
}

/* libpng's own handlers print. */
static void stop(png_structp png, png_const_charp message)
{
    (void)message;
    png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static pare_status encode(const png_job *job)
{
    *job->output = (pri_bytes){0};
    if (job->width == 0 || job->height == 0 || job->width > 65535 || job->height > 65535)
        return pri_fail(PARE_ERROR_ARGUMENT, "a picture of %zu x %zu pixels cannot be written",
                        job->width, job->height);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, stop, ignore);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        pri_free(job->output->data);
        *job->output = (pri_bytes){0};
        return pri_fail(PARE_ERROR_MEMORY, "out of memory writing a picture");
    }
    png_set_write_fn(png, job->output, append_bytes, flush_nothing);
    /* Pictures are flat areas and repeated pixels: rows as they are pack best, and levels above 6
     * cost five times the time for 2% of the size. */
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_set_compression_level(png, 6);
    png_set_IHDR(png, info, (png_uint_32)job->width, (png_uint_32)job->height, 8,
                 job->palette ? PNG_COLOR_TYPE_PALETTE : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (job->palette)
        set_palette(png, info, job);
    png_write_info(png, info);
    for (size_t row = 0; row < job->height; row++)
        png_write_row(png, job->pixels + row * job->width * job->channels);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return PARE_OK;
}

pare_status pri_png_encode_indexed(const pri_indexed_image *image, pri_bytes *png)
{
    png_job job = {.pixels = image->pixels,
                   .width = image->width,
                   .height = image->height,
                   .channels = 1,
                   .palette = image->palette,
                   .colours = image->colours,
                   .output = png};
    return encode(&job);
}

pare_status pri_png_encode_rgb(const uint8_t *pixels, size_t width, size_t height, pri_bytes *png)
{
    png_job job = {
        .pixels = pixels, .width = width, .height = height, .channels = 3, .output = png};
    return encode(&job);
}
