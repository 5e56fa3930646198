/* What the tests of question answering share: golden JSON files, data sets written to files, and a
 * small tokenizer. */
#ifndef PARE_TESTS_SQUAD_CHECK_H
#define PARE_TESTS_SQUAD_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text_buffer.h"
#include "documents/json.h"
#include "pare/task.h"
#include "status_check.h"
#include "temporary_files.h"

static inline json_t *load_golden(const char *name)
{
    char path[512];
    json_t *object;
    snprintf(path, sizeof path, "%s/%s", PARE_GOLDEN_DIRECTORY, name);
    check_ok(pri_json_load(path, &object));
    return object;
}

/* Returns the file's path, valid to the end. */
static inline const char *write_file(const char *name, const char *text)
{
    static char paths[16][128];
    size_t i = 0;
    check_ok(pri_file_replace(in_directory(name), text, strlen(text)));
    while (paths[i][0] && strcmp(paths[i], in_directory(name)))
        assert_true(++i < 16);
    return strcpy(paths[i], in_directory(name));
}

/* A lower-casing tokenizer of these words, one a line, special tokens first. */
static inline pare_wordpiece *make_tokenizer(const char *vocabulary)
{
    pare_wordpiece *tokenizer;
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizer", directory);
    check_ok(pri_make_directories(path));
    write_file("tokenizer/vocab.txt", vocabulary);
    check_ok(pare_wordpiece_load(path, &tokenizer));
    return tokenizer;
}

#define SPECIAL_TOKENS "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"

#endif
