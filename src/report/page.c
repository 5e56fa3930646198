/* report.html: one file that opens without a network and needs no script. What was found comes
 * first, then the curve, the table, cost, every head, and last how it was measured. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "report/figures.h"
#include "report/svg.h"
#include "report/table.h"

void pri_page_append_element(pri_text *text, const char *tag, const char *css_class,
                             const char *content)
{
    pri_text_append(text, "<%s class=\"%s\">", tag, css_class);
    pri_html_append_escaped(text, content);
    pri_text_append(text, "</%s>\n", tag);
}

/* ---- What was found ---- */

/* The group of `method` that prunes most of `attention` and has a quality; NULL: none. With `near`,
 * the one at that share instead. */
static const pri_group *find_group(const pri_summary *summary, const char *method,
                                   const char *attention, const pri_group *near)
{
    const pri_group *found = NULL;
    for (size_t g = 0; g < summary->count; g++) {
        const pri_group *group = &summary->groups[g];
        if (!pri_group_prunes(group, method, attention) ||
            isnan(pri_summary_change(summary, group)))
            continue;
        double share = group->statistics[summary->share].mean;
        if (near && !(fabs(share - near->statistics[summary->share].mean) < 1))
            continue;
        if (!isnan(share))
            found = group;
    }
    return found;
}

/* The same of a sweep that prunes one thing; NULL for others. */
static const pri_group *find_single(const pri_summary *summary, const char *method,
                                    const pri_group *near)
{
    return summary->attention_count == 1 ? find_group(summary, method, summary->attentions[0], near)
                                         : NULL;
}

static void append_change(pri_text *text, const pri_summary *summary, const pri_group *group,
                          const char *css_class)
{
    char change[24];
    pri_format_change(summary, pri_summary_change(summary, group), change, sizeof change);
    pri_text_append(text, "<b class=\"%s\">%s</b>", css_class, change);
}

/* What the one pruned attention is, before "attention". */
static const char *attention_words(const char *attention)
{
    static const char *const words[PRI_ATTENTIONS] = {
        "", "encoder's self ", "decoder's self ", "encoder's and decoder's self ", "cross ", ""};
    size_t rank = 0;
    while (strcmp(pri_attentions[rank], attention))
        rank++;
    return words[rank];
}

static void append_lead(pri_text *text, const pri_collection *collection)
{
    const pri_summary *summary = &collection->summary;
    const pri_group *pruned = find_single(summary, "attention-pruning", NULL);
    const pri_group *random = pruned ? find_single(summary, "random", pruned) : NULL;
    if (!pruned)
        return;
    char before[24], after[24];
    const pri_group *dense = pri_summary_dense(summary);
    pri_format_metric(summary, dense->statistics[summary->quality].mean, before, sizeof before);
    pri_format_metric(summary, pruned->statistics[summary->quality].mean, after, sizeof after);
    pri_text_append(
        text, "<p class=\"lead\">With <b>%.0f%%</b> of the %sattention cells pruned, %s ",
        pruned->statistics[summary->share].mean, attention_words(pruned->rows[0]->attention),
        summary->quality == PRI_QUANTITY_TEST ? "test" : "validation");
    pri_html_append_escaped(text, collection->results.metric);
    pri_text_append(text, " goes from %s to %s, ", before, after);
    append_change(text, summary, pruned, "ap");
    pri_text_append(text, "%s.", summary->in_points ? " points" : "");
    if (random) {
        pri_text_append(text, " Pruning as many cells at random: ");
        append_change(text, summary, random, "rd");
        pri_text_append(text, ".");
    }
    pri_text_append(text, "</p>\n");
}

/* Of a sweep over several kinds, what the most pruning of each does. */
static void append_kind_lead(pri_text *text, const pri_summary *summary, const char *attention)
{
    const pri_group *pruned = find_group(summary, "attention-pruning", attention, NULL);
    if (!pruned)
        return;
    const pri_group *random = find_group(summary, "random", attention, pruned);
    pri_text_append(text, "<li>%s ", attention);
    append_change(text, summary, pruned, attention);
    if (random) {
        pri_text_append(text, ", random ");
        append_change(text, summary, random, "rd");
    }
    pri_text_append(text, " (p_eff %.0f%%)</li>\n",
                    pruned->statistics[PRI_QUANTITY_P_EFFECTIVE].mean);
}

static void append_kind_leads(pri_text *text, const pri_collection *collection)
{
    const pri_summary *summary = &collection->summary;
    const pri_group *dense = pri_summary_dense(summary);
    if (!dense || isnan(dense->statistics[summary->quality].mean) || summary->attention_count < 2)
        return;
    char before[24];
    pri_format_metric(summary, dense->statistics[summary->quality].mean, before, sizeof before);
    pri_text_append(text, "<p class=\"lead\">Dense %s ",
                    summary->quality == PRI_QUANTITY_TEST ? "test" : "validation");
    pri_html_append_escaped(text, collection->results.metric);
    pri_text_append(text,
                    ": <b>%s</b>. Change%s at the highest p, by the attention that is "
                    "pruned:</p>\n<ul class=\"gains kinds\">\n",
                    before, summary->in_points ? " in points" : "");
    for (size_t i = 0; i < summary->attention_count; i++)
        append_kind_lead(text, summary, summary->attentions[i]);
    pri_text_append(text, "</ul>\n");
}

/* "1.31x training speed ..." for what was measured of the run in the lead. */
static void append_gains(pri_text *text, const pri_summary *summary)
{
    const pri_group *pruned = find_single(summary, "attention-pruning", NULL);
    const pri_group *dense = pri_summary_dense(summary);
    if (!pruned)
        return;
    double speed =
        pruned->statistics[PRI_QUANTITY_SPEED].mean / dense->statistics[PRI_QUANTITY_SPEED].mean;
    /* Runs that continue from the dense weights are often shorter. */
    bool equally_long = pruned->rows[0]->steps == dense->rows[0]->steps;
    double attention = equally_long ? pruned->statistics[PRI_QUANTITY_ATTENTION_SECONDS].mean /
                                          dense->statistics[PRI_QUANTITY_ATTENTION_SECONDS].mean
                                    : (double)NAN;
    double memory = pruned->statistics[PRI_QUANTITY_PEAK_BYTES].mean /
                    dense->statistics[PRI_QUANTITY_PEAK_BYTES].mean;
    if (!isfinite(speed) && !isfinite(attention) && !isfinite(memory))
        return;
    pri_text_append(text, "<ul class=\"gains\">");
    if (isfinite(speed))
        pri_text_append(text, "<li><b>%.2f&#215;</b> dense training speed</li>", speed);
    if (isfinite(attention))
        pri_text_append(text, "<li><b>%.0f%%</b> of dense attention time</li>", 100 * attention);
    if (isfinite(memory))
        pri_text_append(text, "<li><b>%.0f%%</b> of dense peak memory</li>", 100 * memory);
    pri_text_append(text, "</ul>\n");
}

static void append_header(pri_text *text, const pri_collection *collection)
{
    const pare_results *results = &collection->results;
    pri_text_append(text, "<header>\n");
    pri_page_append_element(text, "p", "kicker", "Pare: data-informed sparse attention");
    pri_page_append_element(text, "h1", "title",
                            results->name[0] ? results->name : "Attention Pruning");
    if (results->description[0])
        pri_page_append_element(text, "p", "about", results->description);
    append_lead(text, collection);
    append_kind_leads(text, collection);
    append_gains(text, &collection->summary);
    pri_text_append(text, "</header>\n");
}

/* ---- Charts ---- */

/* The key of charts too small to carry labels beside their lines. */
static void append_key(pri_text *text, const pri_figure *figure, const char *css_class)
{
    bool dashed = false;
    pri_text_append(text, "<p class=\"legend %s\">", css_class);
    for (size_t s = figure->chart.series_count; s-- > 0;) {
        dashed |= figure->series[s].dashed;
        if (figure->series[s].label)
            pri_text_append(text, "<span class=\"%s\"><i></i>%s</span>",
                            pri_ink_classes[figure->series[s].ink], figure->series[s].label);
    }
    if (dashed)
        pri_text_append(text, "<span class=\"dashed\"><i></i>random masks</span>");
    if (figure->chart.reference_label) {
        pri_text_append(text, "<span class=\"dense\"><i></i>");
        pri_html_append_escaped(text, figure->chart.reference_label);
        pri_text_append(text, "</span>");
    }
    pri_text_append(text, "</p>\n");
}

static void append_chart(pri_text *text, pri_figure *figure, double width, double height,
                         double text_size, const char *css_class)
{
    figure->chart.labelled = width > 500;
    figure->chart.width = width;
    figure->chart.height = height;
    figure->chart.text_size = text_size;
    pri_svg_append_chart(text, &figure->chart, css_class, figure->description);
}

static pare_status append_quality(pri_text *text, const pri_collection *collection)
{
    pri_figure figure;
    PRI_TRY(
        pri_figure_create(&collection->results, &collection->summary, PRI_FIGURE_QUALITY, &figure));
    if (!figure.empty) {
        pri_text_append(text, "<section>\n<h2>Quality against pruning</h2>\n<figure>\n");
        append_chart(text, &figure, 1070, 420, 14, "wide");
        append_key(text, &figure, "narrow");
        append_chart(text, &figure, 330, 280, 11.5, "narrow");
        pri_text_append(text, "</figure>\n");
        pri_page_append_element(
            text, "p", "note",
            "Dots are runs, or means over seeds with the lowest and the highest seed as "
            "whiskers. The dashed line across is the dense model.");
        pri_text_append(text, "</section>\n");
    }
    pri_figure_free(&figure);
    return PARE_OK;
}

static pare_status append_costs(pri_text *text, const pri_collection *collection)
{
    bool any = false;
    for (int kind = PRI_FIGURE_SPEED; kind < PRI_FIGURE_COUNT; kind++) {
        pri_figure figure;
        PRI_TRY(pri_figure_create(&collection->results, &collection->summary, (pri_figure_kind)kind,
                                  &figure));
        if (!figure.empty) {
            if (!any) {
                pri_text_append(text, "<section>\n<h2>Time and memory</h2>\n");
                append_key(text, &figure, "");
                pri_text_append(text, "<div class=\"trio\">\n");
            }
            any = true;
            pri_text_append(text, "<figure>");
            append_chart(text, &figure, 340, 230, 11.5, "small");
            pri_text_append(text, "</figure>\n");
        }
        pri_figure_free(&figure);
    }
    if (any)
        pri_text_append(text, "</div>\n</section>\n");
    return PARE_OK;
}

/* ---- How it was measured ---- */

static void append_fact(pri_text *text, const char *term, const char *value)
{
    if (!value[0])
        return;
    pri_text_append(text, "<dt>%s</dt><dd>", term);
    pri_html_append_escaped(text, value);
    pri_text_append(text, "</dd>\n");
}

static const char *start_sentence(const char *start)
{
    switch (start[0]) {
    case 'r':
        return "restart: trained under the mask from the dense run's initial weights";
    case 'c':
        return "continue: trained under the mask from the dense run's final weights";
    case 's':
        return "stepwise: trained under the mask from the final weights of the run before it, with "
               "the next smaller p; the first from the dense run's";
    case 'z':
        return "zero-shot: dense weights, no training under the mask";
    default:
        return "";
    }
}

static void append_notes(pri_text *text, const pri_collection *collection)
{
    const char *note = collection->notes.data ? collection->notes.data : "";
    while (*note) {
        size_t length = 0;
        while (note[length] && note[length] != '\n')
            length++;
        char line[600];
        snprintf(line, sizeof line, "%.*s", (int)(length < sizeof line ? length : sizeof line - 1),
                 note);
        pri_page_append_element(text, "p", "note", line);
        note += length + (note[length] == '\n');
    }
}

static void append_facts(pri_text *text, const pri_collection *collection)
{
    const pare_results *results = &collection->results;
    const pri_summary *summary = &collection->summary;
    char number[96];
    pri_text_append(text, "<section>\n<h2>How this was measured</h2>\n<dl class=\"facts\">\n");
    append_fact(text, "Machine", results->machine);
    snprintf(number, sizeof number, "%d%s%s", results->threads, results->level[0] ? ", " : "",
             results->level);
    if (results->threads)
        append_fact(text, "Threads and kernels", number);
    append_fact(text, "Pare", results->version);
    append_fact(text, "Mask geometry", results->geometry);
    append_fact(text, "Scope of the threshold", results->scope);
    append_fact(text, "Average", results->average);
    if (summary->count)
        append_fact(text, "Start", start_sentence(summary->rows[results->count - 1]->start));
    if (results->distillation[0]) {
        snprintf(number, sizeof number, "%s of pruned runs' loss follows the dense run's outputs",
                 results->distillation);
        append_fact(text, "Distillation", number);
    }
    const pri_group *dense = pri_summary_dense(summary);
    if (dense && dense->rows[0]->parameters) {
        snprintf(number, sizeof number, "%.2f million", (double)dense->rows[0]->parameters / 1e6);
        append_fact(text, "Parameters", number);
    }
    if (dense && dense->rows[0]->steps) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)dense->rows[0]->steps);
        append_fact(text, "Training steps", number);
    }
    if (results->command[0]) {
        pri_text_append(text, "<dt>Command</dt><dd><code>");
        pri_html_append_escaped(text, results->command);
        pri_text_append(text, "</code></dd>\n");
    }
    pri_text_append(text, "</dl>\n");
    append_notes(text, collection);
    pri_text_append(text, "</section>\n");
}

/* ---- The page ---- */

void pri_page_append_beginning(pri_text *text, const char *title, const char *suffix)
{
    pri_text_append(text, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                          "<meta name=\"viewport\" content=\"width=device-width, "
                          "initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light "
                          "dark\"/>\n<title>");
    pri_html_append_escaped(text, title);
    pri_text_append(text, "%s</title>\n<style>\n", suffix);
    pri_text_append_bytes(text, pri_page_style, strlen(pri_page_style));
}

static pare_status append_page(pri_text *text, const pri_collection *collection)
{
    pri_page_append_beginning(text, collection->results.name, " - Attention Pruning");
    for (size_t kind = 0; kind < collection->kinds; kind++)
        pri_page_append_run_style(text, pri_page_run_prefix(&collection->sets[kind]),
                                  collection->sets[kind].run_count);
    pri_text_append(text, "</style>\n</head>\n<body>\n<main>\n");
    append_header(text, collection);
    PRI_TRY(append_quality(text, collection));
    PRI_TRY(pri_page_append_tables(text, collection));
    PRI_TRY(append_costs(text, collection));
    PRI_TRY(pri_page_append_heads(text, collection));
    append_facts(text, collection);
    pri_text_append(text, "</main>\n</body>\n</html>\n");
    return text->failed ? pri_fail(PARE_ERROR_MEMORY, "out of memory writing the report") : PARE_OK;
}

pare_status pare_report_html(const char *directory)
{
    pri_collection collection;
    PRI_TRY(pri_collection_read(directory, &collection));
    pri_text text = {0};
    pare_status status = append_page(&text, &collection);
    pri_collection_free(&collection);
    char *path = status == PARE_OK ? pri_path_join(directory, "report.html") : NULL;
    if (status == PARE_OK)
        status = path ? pri_file_replace(path, text.data, text.length) : PARE_ERROR_MEMORY;
    pri_free(path);
    pri_text_free(&text);
    return status;
}
