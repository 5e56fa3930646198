/* A growing string with sticky failure. */
#include "base/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(pri_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 4 - text->length)
        text->failed = true;
    size_t needed = text->length + more + 1;
    if (text->failed || needed <= text->capacity)
        return !text->failed;
    size_t capacity = 2 * text->capacity > needed ? 2 * text->capacity : needed + 64;
    /* malloc, because pri_text_take hands the string to callers who use free(). */
    char *larger = realloc(text->data, capacity);
    if (!larger) {
        text->failed = true;
        return false;
    }
    text->data = larger;
    text->capacity = capacity;
    return true;
}

void pri_text_append_bytes(pri_text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length))
        return;
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void pri_text_append(pri_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        text->failed = true;
    if (length < 0 || !reserve(text, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void pri_text_free(pri_text *text)
{
    free(text->data);
    *text = (pri_text){0};
}

pare_status pri_text_take(pri_text *text, char **string)
{
    pri_text_append_bytes(text, "", 0);
    if (text->failed) {
        pri_text_free(text);
        return pri_fail(PARE_ERROR_MEMORY, "out of memory building a text");
    }
    *string = text->data;
    *text = (pri_text){0};
    return PARE_OK;
}
