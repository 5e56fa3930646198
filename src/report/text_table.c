#include "report/text_table.h"

#include <string.h>

#include "base/memory.h"

pare_status pri_text_table_add(pri_text_table *table, const char *cell)
{
    char **cells =
        pri_reallocate(table->cells, table->count, table->count + 1, sizeof *table->cells);
    if (!cells)
        return PARE_ERROR_MEMORY;
    table->cells = cells;
    cells[table->count] = pri_string_copy(cell);
    return cells[table->count++] ? PARE_OK : PARE_ERROR_MEMORY;
}

void pri_text_table_free(pri_text_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        pri_free(table->cells[i]);
    pri_free(table->cells);
    *table = (pri_text_table){.columns = 0};
}

/* Characters, not bytes: continuation bytes of UTF-8 do not count. */
static size_t display_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

typedef struct table_layout {
    const char *separator, *start, *end;
} table_layout;

static size_t column_width(const pri_text_table *table, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t width = display_width(table->cells[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void append_row(pri_text *text, const pri_text_table *table, const table_layout *layout,
                       size_t first)
{
    pri_text_append(text, "%s", layout->start);
    for (size_t column = 0; column < table->columns; column++) {
        const char *cell = table->cells[first + column];
        int padding = (int)(column_width(table, column) - display_width(cell));
        if (column == 0)
            pri_text_append(text, "%s%*s", cell, padding, "");
        else
            pri_text_append(text, "%s%*s%s", layout->separator, padding, "", cell);
    }
    pri_text_append(text, "%s\n", layout->end);
}

static void append_rule(pri_text *text, const pri_text_table *table, const table_layout *layout,
                        bool markdown)
{
    for (size_t column = 0; column < table->columns; column++) {
        pri_text_append(text, "%s", column ? layout->separator : layout->start);
        for (size_t i = 1; i < column_width(table, column); i++)
            pri_text_append(text, "-");
        pri_text_append(text, "%s", markdown && column ? ":" : "-");
    }
    pri_text_append(text, "%s\n", layout->end);
}

void pri_text_table_append(const pri_text_table *table, bool markdown, pri_text *text)
{
    table_layout layout = {.separator = markdown ? " | " : "  ",
                           .start = markdown ? "| " : "",
                           .end = markdown ? " |" : ""};
    for (size_t first = 0; first < table->count; first += table->columns) {
        append_row(text, table, &layout, first);
        if (first == 0)
            append_rule(text, table, &layout, markdown);
    }
}
