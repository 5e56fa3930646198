/* The files of a text that is to be modelled. */
#include "tasks/corpus_files.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* 90 : 5 : 5. */
static pare_status split_file(const char *path, pri_corpus_part parts[PARE_SPLIT_COUNT])
{
    uint64_t lines;
    PRI_TRY(pri_text_count_lines(path, &lines));
    if (lines < PARE_SPLIT_COUNT)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: %llu lines cannot be split into training, validation and test; name "
                        "a file for each, or break the text into lines",
                        path, (unsigned long long)lines);
    uint64_t held_out = lines < 20 ? 1 : lines / 20;
    uint64_t valid = lines - 2 * held_out, test = lines - held_out;
    parts[PARE_SPLIT_TRAIN] = (pri_corpus_part){path, {0, valid}};
    parts[PARE_SPLIT_VALID] = (pri_corpus_part){path, {valid, test}};
    parts[PARE_SPLIT_TEST] = (pri_corpus_part){path, {test, UINT64_MAX}};
    return PARE_OK;
}

pare_status pri_corpus_find(const char *train, const char *valid, const char *test,
                            pri_corpus_part parts[PARE_SPLIT_COUNT])
{
    if (!train)
        return pri_fail(PARE_ERROR_ARGUMENT, "no training text; name a file (data.train)");
    if (!valid != !test)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "%s is missing; name both data.valid and data.test, or neither to split "
                        "%s 90 : 5 : 5",
                        valid ? "data.test" : "data.valid", train);
    if (!valid)
        return split_file(train, parts);
    parts[PARE_SPLIT_TRAIN] = (pri_corpus_part){train, PRI_ALL_LINES};
    parts[PARE_SPLIT_VALID] = (pri_corpus_part){valid, PRI_ALL_LINES};
    parts[PARE_SPLIT_TEST] = (pri_corpus_part){test, PRI_ALL_LINES};
    return PARE_OK;
}

void pri_corpus_name(const char *path, char name[64])
{
    const char *slash = strrchr(path, '/');
    snprintf(name, 64, "%s", slash ? slash + 1 : path);
}
