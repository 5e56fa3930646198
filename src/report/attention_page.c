/* One sequence's attention as a page: a grid of layers x heads. Each map is a picture with the
 * pieces along its sides; labels are written once and used by all maps. The figure that the
 * address names (#layer-2-head-5) is shown large, which is all the interaction there is. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "pare/report.h"
#include "report/head_map.h"
#include "report/html_image.h"
#include "report/page.h"
#include "report/svg.h"

/* Of a cell in units of the drawing, and the room for labels beside the cells. */
enum { CELL = 12, LABELS = 90 };

static const char *const style =
    "main{max-width:none}\n"
    ".grid{display:grid;gap:14px;overflow-x:auto}\n"
    ".grid figcaption{font-size:.8rem;color:var(--quiet);white-space:nowrap}\n"
    "#labels text{font-size:9px;fill:var(--text)}\n"
    ".grid image{image-rendering:pixelated}\n"
    ".grid .close{display:none}\n"
    "figure:target{position:fixed;inset:0;z-index:1;background:var(--card);padding:16px;"
    "display:flex;flex-direction:column;gap:8px}\n"
    "figure:target figcaption{font-size:1rem}\n"
    "figure:target>a{flex:1;min-height:0}figure:target svg{width:100%;height:100%}\n"
    "figure:target .close{display:inline;margin-left:16px}\n";

typedef struct attention_page {
    const pare_attention_view *view;
    const pare_geometry *geometry;
    pri_palettes palettes;
    pri_heat_scale scale;
    pri_head_map map;
    uint8_t *pixels;
} attention_page;

static void append_title(pri_text *text, const attention_page *page)
{
    bool pair = page->view->row_pieces;
    pri_text_append(text, "<header>\n<p class=\"kicker\">%s</p>\n<h1>",
                    pair ? "Cross attention of one pair of texts" : "Attention of one text");
    pri_html_append_escaped(text, page->view->title);
    pri_text_append(
        text,
        "</h1>\n<p class=\"about\">%zu layers of %zu heads. Row: the %spiece that looks; "
        "column: the %spiece looked at.%s%s Click a map to enlarge it.</p>\n</header>\n",
        page->geometry->layers, page->geometry->heads, pair ? "target's " : "",
        pair ? "source's " : "", page->geometry->causal ? " Pieces do not look ahead." : "",
        !page->view->mask        ? ""
        : page->geometry->causal ? " Other grey cells are pruned."
                                 : " Grey cells are pruned.");
}

static pare_status append_legend(pri_text *text, const attention_page *page)
{
    uint8_t pixels[PRI_HEAT_STEPS];
    pri_indexed_image strip = pri_heat_strip(&page->palettes, pixels);
    pri_text_append(text,
                    "<div class=\"swatches\"><span class=\"scale\">attention %.2g <img "
                    "alt=\"logarithmic colour scale\" width=\"150\" height=\"12\" src=\"",
                    page->scale.low);
    PRI_TRY(pri_html_append_image(text, &strip));
    pri_text_append(text, "\"/> %.2g</span>%s</div>\n", page->scale.high,
                    page->view->mask ? "<span><span class=\"swatch none\"></span>pruned</span>"
                                     : "");
    return PARE_OK;
}

/* Where the base line of label `index` lies, along its side. */
static size_t label_line(size_t index)
{
    return LABELS + index * CELL + CELL / 2 + 3;
}

/* The pieces along both sides, for <use>. */
static void append_labels(pri_text *text, const attention_page *page)
{
    pri_text_append(text, "<svg width=\"0\" height=\"0\" style=\"position:absolute\" "
                          "aria-hidden=\"true\"><defs><g id=\"labels\">\n");
    const pare_attention_view *view = page->view;
    const char *const *row_pieces = view->row_pieces ? view->row_pieces : view->pieces;
    for (size_t i = 0; i < page->geometry->queries; i++) {
        pri_text_append(text, "<text x=\"%d\" y=\"%zu\" text-anchor=\"end\">", LABELS - 4,
                        label_line(i));
        pri_html_append_escaped(text, row_pieces[i]);
        pri_text_append(text, "</text>\n");
    }
    for (size_t i = 0; i < page->geometry->keys; i++) {
        pri_text_append(text, "<text transform=\"translate(%zu %d) rotate(-90)\">", label_line(i),
                        LABELS - 4);
        pri_html_append_escaped(text, view->pieces[i]);
        pri_text_append(text, "</text>\n");
    }
    pri_text_append(text, "</g></defs></svg>\n");
}

static pare_status append_head(pri_text *text, attention_page *page, size_t layer, size_t head)
{
    size_t width = page->geometry->keys * CELL, height = page->geometry->queries * CELL;
    pri_head_map_fill_attention(&page->map, page->view, layer, head);
    pri_indexed_image image =
        pri_heat_image(&page->palettes, &page->map, &page->scale, page->pixels);
    char caption[64]; /* columns are narrow: a row names its layer once */
    if (head)
        snprintf(caption, sizeof caption, "head %zu", head + 1);
    else
        snprintf(caption, sizeof caption, "layer %zu, head 1", layer + 1);
    pri_text_append(text,
                    "<figure id=\"layer-%zu-head-%zu\"><figcaption>%s"
                    "<a class=\"close\" href=\"#\">close</a></figcaption>"
                    "<a href=\"#layer-%zu-head-%zu\"><svg viewBox=\"0 0 %zu %zu\" role=\"img\" "
                    "aria-label=\"Attention of layer %zu, head %zu\"><use href=\"#labels\"/>"
                    "<image x=\"%d\" y=\"%d\" width=\"%zu\" height=\"%zu\" href=\"",
                    layer + 1, head + 1, caption, layer + 1, head + 1, LABELS + width,
                    LABELS + height, layer + 1, head + 1, LABELS, LABELS, width, height);
    PRI_TRY(pri_html_append_image(text, &image));
    pri_text_append(text, "\"/></svg></a></figure>\n");
    return PARE_OK;
}

static pare_status append_grid(pri_text *text, attention_page *page)
{
    pri_text_append(text,
                    "<section><div class=\"grid\" "
                    "style=\"grid-template-columns:repeat(%zu,minmax(90px,1fr))\">\n",
                    page->geometry->heads);
    for (size_t layer = 0; layer < page->geometry->layers; layer++)
        for (size_t head = 0; head < page->geometry->heads; head++)
            PRI_TRY(append_head(text, page, layer, head));
    pri_text_append(text, "</div></section>\n");
    return PARE_OK;
}

static pare_status append_page(pri_text *text, attention_page *page)
{
    pri_page_append_beginning(text, page->view->title, "");
    pri_text_append_bytes(text, style, strlen(style));
    pri_text_append(text, "</style>\n</head>\n<body>\n<main>\n");
    append_title(text, page);
    PRI_TRY(append_legend(text, page));
    append_labels(text, page);
    PRI_TRY(append_grid(text, page));
    pri_text_append(text, "</main>\n</body>\n</html>\n");
    return text->failed ? pri_fail(PARE_ERROR_MEMORY, "out of memory writing the page") : PARE_OK;
}

pare_status pare_attention_html(const pare_attention_view *view, const char *path)
{
    attention_page page = {.view = view, .geometry = pare_average_geometry(view->average)};
    pri_palettes_fill(&page.palettes);
    page.scale = pri_heat_scale_of(view->average);
    const pare_geometry geometry = pri_attention_geometry(view);
    PRI_TRY(pri_head_map_create(&geometry, geometry.keys, &page.map));
    page.pixels = pri_allocate(page.map.rows * page.map.columns, 1);
    pri_text text = {0};
    pare_status status = page.pixels ? append_page(&text, &page) : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        status = pri_file_replace(path, text.data, text.length);
    pri_text_free(&text);
    pri_free(page.pixels);
    pri_head_map_free(&page.map);
    return status;
}
