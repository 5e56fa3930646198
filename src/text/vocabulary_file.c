/* vocab.json. JSON strings must be UTF-8 while tokens are any bytes, so the rare token that is not
 * becomes an object with its bytes in hexadecimal: no escape that an ordinary token could contain.
 * A file is checked completely: it could have been made by hand. */
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "documents/json.h"
#include "text/vocabulary.h"

/* ---- Writing ---- */

static bool is_utf8(const char *bytes, size_t length)
{
    const utf8proc_uint8_t *next = (const utf8proc_uint8_t *)bytes;
    utf8proc_int32_t code_point;
    for (size_t left = length; left;) {
        size_t window = left < 4 ? left : 4;
        utf8proc_ssize_t taken = utf8proc_iterate(next, (utf8proc_ssize_t)window, &code_point);
        if (taken <= 0)
            return false;
        next += taken;
        left -= (size_t)taken;
    }
    return true;
}

static json_t *hexadecimal_json(const char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    char *text = length <= SIZE_MAX / 2 ? pri_allocate(2 * length, 1) : NULL;
    if (!text)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    json_t *object = json_pack("{s:s%}", "bytes", text, 2 * length);
    pri_free(text);
    return object;
}

static json_t *tokens_json(const pri_word_table *words)
{
    json_t *array = json_array();
    for (size_t i = 0; i < words->count; i++) {
        const char *bytes = pri_word_table_bytes(words, &words->words[i]);
        size_t length = words->words[i].length;
        json_t *token = is_utf8(bytes, length) ? json_stringn_nocheck(bytes, length)
                                               : hexadecimal_json(bytes, length);
        if (json_array_append_new(array, token)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

pare_status pare_vocabulary_save(const pare_vocabulary *vocabulary, const char *path)
{
    bool word_level = vocabulary->level == PARE_TEXT_WORD;
    json_t *object = json_pack("{s:s}", "level", word_level ? "word" : "byte");
    bool complete = object != NULL;
    if (complete && word_level)
        complete = !json_object_set_new(object, "tokens", tokens_json(&vocabulary->words));
    pare_status status = complete ? pri_json_save(object, path)
                                  : pri_fail(PARE_ERROR_MEMORY,
                                             "%s: out of memory writing a "
                                             "vocabulary of %zu tokens",
                                             path, vocabulary->words.count);
    json_decref(object);
    return status;
}

/* ---- Reading ---- */

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static pare_status fail_token(const char *name, size_t id, const char *problem)
{
    return pri_fail(PARE_ERROR_FORMAT, "%s: token %zu %s; build the vocabulary again", name, id,
                    problem);
}

/* Adds a token that has its final bytes. */
static pare_status add_token(pare_vocabulary *vocabulary, const char *name, const char *bytes,
                             size_t length)
{
    size_t id = vocabulary->words.count;
    if (!length)
        return fail_token(name, id, "is empty");
    for (size_t i = 0; i < length; i++)
        if (!bytes[i] || strchr(" \t\r\n\v\f", bytes[i]))
            return fail_token(name, id, "contains a blank, a newline or a zero byte");
    uint32_t number;
    PRI_TRY(pri_word_table_add(&vocabulary->words, bytes, length, 0, &number));
    return number == id ? PARE_OK : fail_token(name, id, "repeats an earlier one");
}

static pare_status add_hexadecimal(pare_vocabulary *vocabulary, const char *name,
                                   const json_t *text)
{
    size_t id = vocabulary->words.count, length = json_string_length(text);
    const char *digits = json_string_value(text);
    if (!digits || length % 2)
        return fail_token(name, id, "has no \"bytes\" of pairs of hexadecimal digits");
    char *bytes = pri_allocate(length / 2, 1);
    if (!bytes)
        return PARE_ERROR_MEMORY;
    pare_status status = PARE_OK;
    for (size_t i = 0; i < length / 2 && status == PARE_OK; i++) {
        int high = digit_value(digits[2 * i]), low = digit_value(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            status = fail_token(name, id, "has \"bytes\" that are not hexadecimal digits");
        else
            bytes[i] = (char)(unsigned char)(high * 16 + low);
    }
    if (status == PARE_OK)
        status = add_token(vocabulary, name, bytes, length / 2);
    pri_free(bytes);
    return status;
}

static pare_status read_tokens(const json_t *object, const char *name, pare_vocabulary *vocabulary)
{
    const json_t *tokens = json_object_get(object, "tokens"), *token;
    if (!json_is_array(tokens))
        return pri_fail(PARE_ERROR_FORMAT, "%s: key \"tokens\" is not a list", name);
    size_t index;
    json_array_foreach(tokens, index, token)
    {
        if (json_is_string(token))
            PRI_TRY(
                add_token(vocabulary, name, json_string_value(token), json_string_length(token)));
        else
            PRI_TRY(add_hexadecimal(vocabulary, name, json_object_get(token, "bytes")));
    }
    vocabulary->unknown = pri_word_table_find(&vocabulary->words, PRI_UNKNOWN, strlen(PRI_UNKNOWN));
    if (vocabulary->unknown == PRI_NO_WORD ||
        pri_word_table_find(&vocabulary->words, PRI_END_OF_LINE, strlen(PRI_END_OF_LINE)) ==
            PRI_NO_WORD)
        return pri_fail(PARE_ERROR_FORMAT,
                        "%s: a vocabulary of words needs the tokens <eos> and <unk>", name);
    return PARE_OK;
}

static pare_status read_vocabulary(const json_t *object, const char *name,
                                   pare_vocabulary **vocabulary)
{
    char level[16];
    PRI_TRY(pri_json_get_string(object, name, "level", level, sizeof level));
    bool word_level = !strcmp(level, "word");
    if (!word_level && strcmp(level, "byte"))
        return pri_fail(PARE_ERROR_FORMAT, "%s: level \"%s\" is neither \"word\" nor \"byte\"",
                        name, level);
    pare_vocabulary *read;
    PRI_TRY(pri_vocabulary_create(word_level ? PARE_TEXT_WORD : PARE_TEXT_BYTE, &read));
    pare_status status = word_level ? read_tokens(object, name, read) : PARE_OK;
    if (status != PARE_OK) {
        pare_vocabulary_destroy(read);
        return status;
    }
    *vocabulary = read;
    return PARE_OK;
}

/* Takes `object`. */
static pare_status vocabulary_of(json_t *object, const char *name, pare_vocabulary **vocabulary)
{
    pare_status status = read_vocabulary(object, name, vocabulary);
    json_decref(object);
    return status;
}

pare_status pri_vocabulary_parse(const char *data, size_t size, const char *name,
                                 pare_vocabulary **vocabulary)
{
    *vocabulary = NULL;
    json_t *object;
    PRI_TRY(pri_json_parse(data, size, name, &object));
    return vocabulary_of(object, name, vocabulary);
}

pare_status pare_vocabulary_load(const char *path, pare_vocabulary **vocabulary)
{
    *vocabulary = NULL;
    json_t *object;
    PRI_TRY(pri_json_load(path, &object));
    return vocabulary_of(object, path, vocabulary);
}
