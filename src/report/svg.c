/* The SVG painter. Coordinates are written with one decimal: a tenth of a pixel is below sight, and
 * a page with hundreds of small charts stays small. */
#include "report/svg.h"

const char *const pri_ink_classes[PRI_INK_COUNT] = {
    [PRI_INK_TEXT] = "text",       [PRI_INK_QUIET] = "quiet",     [PRI_INK_GRID] = "grid",
    [PRI_INK_DENSE] = "dense",     [PRI_INK_PRUNED] = "pruned",   [PRI_INK_RANDOM] = "random",
    [PRI_INK_ENCODER] = "encoder", [PRI_INK_DECODER] = "decoder", [PRI_INK_SELVES] = "selves",
    [PRI_INK_CROSS] = "cross",     [PRI_INK_ALL] = "all",
};

void pri_html_append_escaped(pri_text *text, const char *string)
{
    for (; *string; string++) {
        if (*string == '<')
            pri_text_append(text, "&lt;");
        else if (*string == '>')
            pri_text_append(text, "&gt;");
        else if (*string == '&')
            pri_text_append(text, "&amp;");
        else if (*string == '"')
            pri_text_append(text, "&quot;");
        else if ((unsigned char)*string < 0x20 || *string == 0x7f)
            pri_text_append(text, " ");
        else
            pri_text_append_bytes(text, string, 1);
    }
}

static void svg_line(void *user, const pri_point *points, size_t count, double width, bool dashed,
                     pri_ink ink)
{
    pri_text *text = user;
    pri_text_append(text, "<path class=\"l %s\" d=\"", pri_ink_classes[ink]);
    for (size_t i = 0; i < count; i++)
        pri_text_append(text, "%c%.1f %.1f", i ? 'L' : 'M', points[i].x, points[i].y);
    pri_text_append(text, "\" stroke-width=\"%g\"%s/>", width,
                    dashed ? " stroke-dasharray=\"6 5\"" : "");
}

static void svg_disc(void *user, pri_point centre, double radius, pri_ink ink, const char *title)
{
    pri_text *text = user;
    pri_text_append(text, "<circle class=\"d %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%g\"",
                    pri_ink_classes[ink], centre.x, centre.y, radius);
    if (title) {
        pri_text_append(text, "><title>");
        pri_html_append_escaped(text, title);
        pri_text_append(text, "</title></circle>");
    } else {
        pri_text_append(text, "/>");
    }
}

static void svg_text(void *user, pri_point at, double size, pri_align align, pri_ink ink,
                     const char *string)
{
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    pri_text *text = user;
    pri_text_append(text, "<text class=\"t %s\" x=\"%.1f\" y=\"%.1f\" font-size=\"%g\"%s>",
                    pri_ink_classes[ink], at.x, at.y, size, anchors[align]);
    pri_html_append_escaped(text, string);
    pri_text_append(text, "</text>");
}

void pri_svg_append_chart(pri_text *text, const pri_chart *chart, const char *css_class,
                          const char *description)
{
    pri_text_append(text, "<svg class=\"%s\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"",
                    css_class, chart->width, chart->height);
    pri_html_append_escaped(text, description);
    pri_text_append(text, "\">");
    pri_painter painter = {text, svg_line, svg_disc, svg_text};
    pri_chart_draw(chart, &painter);
    pri_text_append(text, "</svg>\n");
}
