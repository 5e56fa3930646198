/* Scores of two files, read side by side. */
#include <inttypes.h>
#include <string.h>

#include "base/status.h"
#include "pare/task.h"

typedef struct line_file {
    const char *path;
    pare_lines *lines;
    const char *line; /* NULL: there are no more */
    size_t length;
    uint64_t count;
} line_file;

static pare_status read_line(line_file *file)
{
    PRI_TRY(pare_lines_next(file->lines, &file->line, &file->length));
    file->count += file->line != NULL;
    return PARE_OK;
}

static const char *name_of(const line_file *file)
{
    return strcmp(file->path, "-") ? file->path : "standard input";
}

static pare_status check_counts(const line_file *hypotheses, const line_file *references)
{
    if (hypotheses->count != references->count)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s has %" PRIu64 " line%s, but %s has %" PRIu64
                        "; give each segment one line in both",
                        name_of(hypotheses), hypotheses->count, hypotheses->count == 1 ? "" : "s",
                        name_of(references), references->count);
    if (!hypotheses->count)
        return pri_fail(PARE_ERROR_FORMAT, "%s and %s are empty; there is nothing to score",
                        name_of(hypotheses), name_of(references));
    return PARE_OK;
}

static pare_status add_lines(pare_scorer *scorer, line_file *hypotheses, line_file *references)
{
    do {
        PRI_TRY(read_line(hypotheses));
        PRI_TRY(read_line(references));
        if (hypotheses->line && references->line)
            PRI_TRY(pare_scorer_add(scorer, hypotheses->line, hypotheses->length, references->line,
                                    references->length));
    } while (hypotheses->line || references->line);
    return check_counts(hypotheses, references);
}

static pare_status open_both(line_file *hypotheses, line_file *references)
{
    if (!strcmp(hypotheses->path, "-") && !strcmp(references->path, "-"))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "hypotheses and references cannot both be the standard input; name a file "
                        "for one of them");
    PRI_TRY(pare_lines_open(hypotheses->path, &hypotheses->lines));
    return pare_lines_open(references->path, &references->lines);
}

pare_status pare_score_files(const char *hypotheses, const char *references,
                             const pare_scorer_options *options, pare_translation_score *score)
{
    line_file hypothesis_file = {.path = hypotheses}, reference_file = {.path = references};
    pare_scorer *scorer = NULL;
    pare_status status = open_both(&hypothesis_file, &reference_file);
    if (status == PARE_OK)
        status = pare_scorer_create(options, &scorer);
    if (status == PARE_OK)
        status = add_lines(scorer, &hypothesis_file, &reference_file);
    if (status == PARE_OK)
        pare_scorer_score(scorer, score);
    pare_scorer_destroy(scorer);
    pare_lines_close(hypothesis_file.lines);
    pare_lines_close(reference_file.lines);
    return status;
}
