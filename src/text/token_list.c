/* Tokens lie in a word table, so that their numbers are their ids. */
#include "text/token_list.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

void pri_token_list_free(pri_token_list *tokens)
{
    pri_word_table_free(&tokens->table);
    pri_free(tokens->added);
    *tokens = (pri_token_list){0};
}

uint32_t pri_token_list_find(const pri_token_list *tokens, const char *token)
{
    return pri_word_table_find(&tokens->table, token, strlen(token) + 1);
}

pare_status pri_token_list_append(pri_token_list *tokens, const char *token, const char *name)
{
    if (!*token)
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token is empty", name);
    if (!pri_utf8_valid(token))
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token is not UTF-8", name);
    if (strpbrk(token, "\r\n"))
        return pri_fail(PARE_ERROR_FORMAT, "%s: the token has a line break in it", name);
    size_t count = tokens->table.count;
    uint32_t id;
    PRI_TRY(pri_word_table_add(&tokens->table, token, strlen(token) + 1, 0, &id));
    if (id != count)
        return pri_fail(PARE_ERROR_FORMAT, "%s: token \"%s\" has the id %u already", name, token,
                        id);
    return PARE_OK;
}

pare_status pri_token_list_mark_added(pri_token_list *tokens, uint32_t id, bool special)
{
    for (size_t i = 0; i < tokens->added_count; i++)
        if (tokens->added[i].id == id)
            return PARE_OK;
    size_t count = tokens->added_count;
    pri_added_token *added = pri_reallocate(tokens->added, count, count + 1, sizeof *added);
    if (!added)
        return PARE_ERROR_MEMORY;
    added[count] = (pri_added_token){id, special};
    tokens->added = added;
    tokens->added_count++;
    tokens->begins_added[(unsigned char)*pri_token_list_bytes(tokens, id)] = true;
    return PARE_OK;
}

uint32_t pri_token_list_added_at(const pri_token_list *tokens, const char *text, size_t size,
                                 size_t *length)
{
    uint32_t found = PRI_NO_WORD;
    *length = 0;
    if (!tokens->begins_added[(unsigned char)*text])
        return found;
    for (size_t i = 0; i < tokens->added_count; i++) {
        uint32_t id = tokens->added[i].id;
        size_t bytes = tokens->table.words[id].length - 1;
        if (bytes > *length && bytes <= size &&
            !memcmp(pri_token_list_bytes(tokens, id), text, bytes)) {
            found = id;
            *length = bytes;
        }
    }
    return found;
}

char *pri_token_list_join(const pri_token_list *tokens, uint32_t left, uint32_t right,
                          size_t skipped)
{
    const char *first = pri_token_list_bytes(tokens, left);
    const char *second = pri_token_list_bytes(tokens, right) + skipped;
    size_t first_length = strlen(first), second_length = strlen(second);
    char *joined = pri_allocate(first_length + second_length + 1, 1);
    if (!joined)
        return NULL;
    memcpy(joined, first, first_length);
    memcpy(joined + first_length, second, second_length + 1);
    return joined;
}
