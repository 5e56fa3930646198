/* The tables of the page: of a sweep over several kinds of attention quality by kind, then every
 * line with all that was measured. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/kind_table.h"
#include "report/page.h"
#include "report/svg.h"
#include "report/table.h"

/* The second table of a sweep over several kinds: quality, and the share of the corpus under it. */
static void append_kind_cell(pri_text *text, const pri_summary *summary, const pri_group *group)
{
    char cell[PRI_CELL_SIZE];
    pri_format_quality(summary, group, cell);
    pri_text_append(text, "<td>%s", cell);
    if (group && !isnan(group->statistics[PRI_QUANTITY_P_EFFECTIVE].mean))
        pri_text_append(text, "<small>%.1f</small>",
                        group->statistics[PRI_QUANTITY_P_EFFECTIVE].mean);
    pri_text_append(text, "</td>");
}

static void append_kind_line(pri_text *text, const pri_summary *summary,
                             const pri_kind_table *kinds, size_t line)
{
    char cell[PRI_CELL_SIZE];
    const pare_result_row *row = pri_kind_table_setting(summary, kinds, line);
    pri_format_setting(row, cell);
    pri_text_append(text, "<tr class=\"%s\"><th scope=\"row\">%s</th><td>%g</td>",
                    strcmp(row->method, "random") ? "pruned" : "random", cell,
                    pri_row_percent(row));
    for (size_t i = 0; i < summary->attention_count; i++)
        append_kind_cell(text, summary, pri_kind_table_group(summary, kinds, line, i));
    pri_text_append(text, "</tr>\n");
}

static void append_kind_titles(pri_text *text, const pri_collection *collection)
{
    const pri_summary *summary = &collection->summary;
    const pri_group *dense = pri_summary_dense(summary);
    pri_html_append_escaped(text, collection->results.metric);
    pri_text_append(text, " on %s", summary->quality == PRI_QUANTITY_TEST ? "test" : "validation");
    if (dense && !isnan(dense->statistics[summary->quality].mean)) {
        char cell[PRI_CELL_SIZE];
        pri_format_quality(summary, dense, cell);
        pri_text_append(text, " (dense %s)", cell);
    }
    pri_text_append(text, ", and under it p_eff in percent.</span></caption>\n<thead><tr>"
                          "<th scope=\"col\">method</th><th scope=\"col\">p</th>");
    for (size_t i = 0; i < summary->attention_count; i++)
        pri_text_append(text, "<th scope=\"col\" class=\"%s\">%s</th>", summary->attentions[i],
                        summary->attentions[i]);
    pri_text_append(text, "</tr></thead>\n");
}

static pare_status append_kinds(pri_text *text, const pri_collection *collection)
{
    const pri_summary *summary = &collection->summary;
    if (summary->attention_count < 2)
        return PARE_OK;
    pri_kind_table kinds;
    PRI_TRY(pri_kind_table_create(summary, &kinds));
    pri_text_append(text, "<section>\n<h2>By the attention that is pruned</h2>\n"
                          "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
                          "aria-label=\"Quality by kind\"><table>\n<caption><span>");
    append_kind_titles(text, collection);
    pri_text_append(text, "<tbody>\n");
    for (size_t line = 0; line < kinds.lines; line++)
        append_kind_line(text, summary, &kinds, line);
    pri_text_append(text, "</tbody>\n</table></div>\n</section>\n");
    pri_kind_table_free(&kinds);
    return PARE_OK;
}

static const char *row_class(const pri_group *group)
{
    return pri_group_is(group, "dense")    ? "dense"
           : pri_group_is(group, "random") ? "random"
                                           : "pruned";
}

static void append_table_row(pri_text *text, const pri_summary *summary, const pri_group *group,
                             const bool *shown)
{
    char cell[PRI_CELL_SIZE];
    pri_text_append(text, "<tr class=\"%s\">", row_class(group));
    for (int column = 0; column < PRI_COLUMN_COUNT; column++) {
        if (!shown[column])
            continue;
        pri_table_cell(summary, group, (pri_column)column, cell);
        pri_column key = summary->quality == PRI_QUANTITY_TEST ? PRI_COLUMN_TEST : PRI_COLUMN_VALID;
        const char *open = column == PRI_COLUMN_METHOD ? "<th scope=\"row\">"
                           : column == (int)key        ? "<td class=\"main\">"
                                                       : "<td>";
        pri_text_append(text, "%s", open);
        pri_html_append_escaped(text, cell);
        pri_text_append(text, "%s", column == PRI_COLUMN_METHOD ? "</th>" : "</td>");
    }
    pri_text_append(text, "</tr>\n");
}

static void append_table(pri_text *text, const pri_collection *collection)
{
    const pri_summary *summary = &collection->summary;
    bool shown[PRI_COLUMN_COUNT];
    pri_text_append(text, "<section>\n<h2>Results</h2>\n<div class=\"scroll\" tabindex=\"0\" "
                          "role=\"region\" aria-label=\"Results\"><table>\n<caption><span>");
    pri_html_append_escaped(text, collection->results.metric);
    pri_text_append(text, " on validation%s, %s is better. Change is against dense%s.",
                    summary->quality == PRI_QUANTITY_TEST ? " and test" : "",
                    collection->results.higher_is_better ? "higher" : "lower",
                    summary->in_points ? ", in points" : "");
    pri_text_append(text, "</span></caption>\n<thead><tr>");
    for (int column = 0; column < PRI_COLUMN_COUNT; column++) {
        shown[column] = pri_table_column_known(summary, (pri_column)column);
        if (!shown[column])
            continue;
        pri_text_append(text, "<th scope=\"col\">");
        pri_html_append_escaped(text, pri_column_title(summary, (pri_column)column));
        pri_text_append(text, "</th>");
    }
    pri_text_append(text, "</tr></thead>\n<tbody>\n");
    for (size_t g = 0; g < summary->count; g++)
        append_table_row(text, summary, &summary->groups[g], shown);
    pri_text_append(text, "</tbody>\n</table></div>\n");
    pri_page_append_element(
        text, "p", "note",
        "p_adm is the pruned share, in percent, of the cells a model may use at all; "
        "p_nom counts the whole rectangle of queries and keys, p_eff the cells of the "
        "corpus as they occur. Kept mass is the share of all attention of the dense "
        "model that falls on kept cells.");
    if (summary->translation)
        pri_page_append_element(
            text, "p", "note",
            "Of translation p_eff is the share that counts: most sentences are shorter "
            "than the largest one, whose shape the masks have. Selves are the self "
            "attention of encoder and decoder together.");
    pri_text_append(text, "</section>\n");
}

pare_status pri_page_append_tables(pri_text *text, const pri_collection *collection)
{
    PRI_TRY(append_kinds(text, collection));
    append_table(text, collection);
    return PARE_OK;
}
