/* Reading a recipe happens twice. First libyaml's node tree is checked against the schema: that
 * gives exact lines, and catches what libcyaml lets pass (it reads "3x" as 3, 010 as 8 and any word
 * as true). Then libcyaml fills the structures.
 *
 * An override becomes a document of one key, which takes the same way and then replaces the value
 * of the file; so both are judged by the same rules. */
#include "train/recipe_document.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/memory.h"
#include "base/text_buffer.h"

/* ---- Places and messages ---- */

typedef struct origin {
    const char *override; /* NULL: the file */
} origin;

static pare_status fail_at(const pri_recipe_document *document, const char *override, size_t line,
                           const char *format, va_list arguments)
{
    char message[768];
    vsnprintf(message, sizeof message, format, arguments);
    if (override)
        return pri_fail(PARE_ERROR_ARGUMENT, "override '%s': %s", override, message);
    if (line)
        return pri_fail(PARE_ERROR_FORMAT, "%s:%zu: %s", document->name, line, message);
    return pri_fail(PARE_ERROR_FORMAT, "%s: %s", document->name, message);
}

__attribute__((format(printf, 4, 5))) static pare_status
fail_here(const pri_recipe_document *document, origin from, size_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pare_status status = fail_at(document, from.override, line, format, arguments);
    va_end(arguments);
    return status;
}

static const pri_recipe_place *find_place(const pri_recipe_document *document, const char *path,
                                          size_t length)
{
    for (size_t i = document->place_count; i > 0; i--) {
        const pri_recipe_place *place = &document->places[i - 1];
        if (!strncmp(place->path, path, length) && !place->path[length])
            return place;
    }
    return NULL;
}

pare_status pri_recipe_fail(const pri_recipe_document *document, const char *path,
                            const char *format, ...)
{
    const pri_recipe_place *place = find_place(document, path, strlen(path));
    if (!place)
        place = find_place(document, path, strcspn(path, "."));
    va_list arguments;
    va_start(arguments, format);
    pare_status status = fail_at(document, place ? place->override : NULL, place ? place->line : 0,
                                 format, arguments);
    va_end(arguments);
    return status;
}

bool pri_recipe_overridden(const pri_recipe_document *document, const char *path)
{
    const pri_recipe_place *place = find_place(document, path, strlen(path));
    return place && place->override;
}

static pare_status add_place(pri_recipe_document *document, const char *path, size_t line,
                             origin from)
{
    pri_recipe_place *places = pri_reallocate(document->places, document->place_count,
                                              document->place_count + 1, sizeof *places);
    if (!places)
        return PARE_ERROR_MEMORY;
    document->places = places;
    pri_recipe_place *place = &places[document->place_count++];
    *place =
        (pri_recipe_place){.path = pri_string_copy(path), .line = line, .override = from.override};
    return place->path ? PARE_OK : PARE_ERROR_MEMORY;
}

/* ---- The schema, searched by name ---- */

static const cyaml_schema_field_t *find_field(const cyaml_schema_field_t *fields, const char *name,
                                              size_t length)
{
    for (; fields->key; fields++)
        if (!strncmp(fields->key, name, length) && !fields->key[length])
            return fields;
    return NULL;
}

/* Levenshtein distance, for guessing what a misspelt key should have been. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t length_a = strlen(a), length_b = strlen(b), row[LONGEST + 1];
    if (length_a > LONGEST || length_b > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= length_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[length_b];
}

static pare_status fail_unknown_key(const pri_recipe_document *document, origin from, size_t line,
                                    const char *path, const cyaml_schema_field_t *fields)
{
    const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path, *nearest = NULL;
    size_t nearest_distance = 3;
    char known[512] = "";
    size_t used = 0;
    for (; fields->key; fields++) {
        int length =
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", fields->key);
        used += (size_t)length < sizeof known - used ? (size_t)length : 0;
        size_t distance = edit_distance(name, fields->key);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = fields->key;
        }
    }
    if (nearest)
        return fail_here(document, from, line, "unknown key '%s'; did you mean '%.*s%s'?", path,
                         (int)(name - path), path, nearest);
    return fail_here(document, from, line, "unknown key '%s'; known here: %s", path, known);
}

/* ---- Checking scalars as written ---- */

static bool is_whole_number(const char *text)
{
    const char *digits = text + (*text == '-');
    size_t count = strspn(digits, "0123456789");
    /* No leading zero: it would make libcyaml read an octal number. 18 digits fit into int64_t. */
    return count && !digits[count] && count <= 18 && (*digits != '0' || count == 1);
}

static bool is_number(const char *text)
{
    char *end;
    if (strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    double value = strtod(text, &end);
    return end != text && !*end && isfinite(value);
}

static bool is_boolean(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i]))
            return true;
    return false;
}

static bool is_word_of(const cyaml_schema_value_t *value, const char *text)
{
    for (uint32_t i = 0; i < value->enumeration.count; i++)
        if (!strcmp(text, value->enumeration.strings[i].str))
            return true;
    return false;
}

/* NULL when `text` is fine for the type, else what it should be. */
static const char *wanted_instead(const cyaml_schema_value_t *value, const char *text, char *buffer,
                                  size_t capacity)
{
    switch (value->type) {
    case CYAML_INT:
        return is_whole_number(text) ? NULL : "a whole number";
    case CYAML_FLOAT:
        return is_number(text) ? NULL : "a number";
    case CYAML_BOOL:
        return is_boolean(text) ? NULL : "true or false";
    case CYAML_STRING:
        return *text ? NULL : "a text";
    default:
        break;
    }
    if (is_word_of(value, text))
        return NULL;
    size_t used = (size_t)snprintf(buffer, capacity, "one of");
    for (uint32_t i = 0; i < value->enumeration.count && used < capacity; i++)
        used += (size_t)snprintf(buffer + used, capacity - used, "%s %s", i ? "," : "",
                                 value->enumeration.strings[i].str);
    return buffer;
}

/* ---- Checking the node tree ---- */

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static pare_status check_scalar(const pri_recipe_document *document, const yaml_node_t *node,
                                const cyaml_schema_value_t *value, const char *path, origin from)
{
    char buffer[256];
    if (node->type != YAML_SCALAR_NODE)
        return fail_here(document, from, line_of(node), "%s must be a single value, not a %s", path,
                         node->type == YAML_SEQUENCE_NODE ? "list" : "group of keys");
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length)
        return fail_here(document, from, line_of(node), "%s contains a NUL character", path);
    const char *wanted = wanted_instead(value, text, buffer, sizeof buffer);
    if (wanted && !*text)
        return fail_here(document, from, line_of(node),
                         "%s is empty; it must be %s (or leave the key out)", path, wanted);
    if (wanted)
        return fail_here(document, from, line_of(node), "%s must be %s, not '%.100s'", path, wanted,
                         text);
    return PARE_OK;
}

static pare_status check_list(const pri_recipe_document *document, yaml_document_t *tree,
                              const yaml_node_t *node, const cyaml_schema_value_t *value,
                              const char *path, origin from)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_here(document, from, line_of(node), "%s must be a list, as in [1, 2]", path);
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++)
        PRI_TRY(check_scalar(document, yaml_document_get_node(tree, *item), value->sequence.entry,
                             path, from));
    return PARE_OK;
}

static pare_status check_key(pri_recipe_document *document, const yaml_node_t *key,
                             const cyaml_schema_field_t *fields, const char *section, origin from,
                             char path[128], const cyaml_schema_field_t **field)
{
    if (key->type != YAML_SCALAR_NODE)
        return fail_here(document, from, line_of(key), "a key must be a name");
    const char *name = (const char *)key->data.scalar.value;
    snprintf(path, 128, "%s%s%.64s", section, *section ? "." : "", name);
    *field = find_field(fields, name, strlen(name));
    if (!*field)
        return fail_unknown_key(document, from, line_of(key), path, fields);
    const pri_recipe_place *earlier = find_place(document, path, strlen(path));
    if (earlier && !from.override)
        return fail_here(document, from, line_of(key),
                         "%s is given a second time (first on line %zu); remove one", path,
                         earlier->line);
    return PARE_OK;
}

/* Recipes have two levels: keys and sections at the top, keys inside sections. */
static pare_status check_mapping(pri_recipe_document *document, yaml_document_t *tree,
                                 const yaml_node_t *node, const cyaml_schema_field_t *fields,
                                 const char *section, origin from)
{
    if (node->type != YAML_MAPPING_NODE)
        return fail_here(document, from, line_of(node),
                         "%s must hold lines of the form 'key: value'",
                         *section ? section : "a recipe");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(tree, pair->key);
        const yaml_node_t *value = yaml_document_get_node(tree, pair->value);
        const cyaml_schema_field_t *field = NULL;
        char path[128];
        PRI_TRY(check_key(document, key, fields, section, from, path, &field));
        bool is_section = field->value.type == CYAML_MAPPING;
        /* An override gives a key, not its section: what that lacks is not the override's fault. */
        if (!is_section || !from.override)
            PRI_TRY(add_place(document, path, line_of(key), from));
        if (is_section)
            PRI_TRY(check_mapping(document, tree, value, field->value.mapping.fields, path, from));
        else if (field->value.type == CYAML_SEQUENCE)
            PRI_TRY(check_list(document, tree, value, &field->value, path, from));
        else
            PRI_TRY(check_scalar(document, value, &field->value, path, from));
    }
    return PARE_OK;
}

static pare_status fail_syntax(const pri_recipe_document *document, origin from,
                               const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "out of memory";
    if (parser->error == YAML_MEMORY_ERROR)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory reading %s", document->name);
    if (parser->error == YAML_READER_ERROR)
        return fail_here(document, from, 0, "not a text file in UTF-8 (%s at byte %zu)", problem,
                         parser->problem_offset);
    return fail_here(document, from, parser->problem_mark.line + 1, "not valid YAML: %s", problem);
}

static pare_status check_document(pri_recipe_document *document, yaml_parser_t *parser, origin from)
{
    yaml_document_t tree;
    if (!yaml_parser_load(parser, &tree))
        return fail_syntax(document, from, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&tree);
    pare_status status =
        root ? check_mapping(document, &tree, root, pri_recipe_schema.mapping.fields, "", from)
             : fail_here(document, from, 0, "holds no recipe; see recipes/README.md for the keys");
    yaml_document_delete(&tree);
    if (status != PARE_OK)
        return status;
    if (!yaml_parser_load(parser, &tree))
        return fail_syntax(document, from, parser);
    root = yaml_document_get_root_node(&tree);
    if (root)
        status = fail_here(document, from, line_of(root),
                           "a second YAML document begins here; a recipe is a single one");
    yaml_document_delete(&tree);
    return status;
}

static pare_status check(pri_recipe_document *document, const char *data, size_t size, origin from)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return pri_fail(PARE_ERROR_MEMORY, "out of memory reading %s", document->name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
    pare_status status = check_document(document, &parser, from);
    yaml_parser_delete(&parser);
    return status;
}

/* ---- Filling the structures ---- */

typedef struct cyaml_complaint {
    char reason[256];
    size_t line;
} cyaml_complaint;

/* libcyaml logs a reason, then a backtrace whose first entry is the innermost. */
static void note_complaint(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    cyaml_complaint *complaint = context;
    char text[200];
    (void)level;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = 0;
    const char *line = strstr(text, "(line: ");
    if (line && !complaint->line)
        complaint->line = strtoul(line + strlen("(line: "), NULL, 10);
    else if (!line && !complaint->reason[0] && !strstr(text, "Backtrace"))
        snprintf(complaint->reason, sizeof complaint->reason, ": %s", text);
}

static cyaml_config_t make_configuration(cyaml_complaint *complaint)
{
    return (cyaml_config_t){.log_fn = complaint ? note_complaint : NULL,
                            .log_ctx = complaint,
                            .mem_fn = cyaml_mem,
                            .log_level = CYAML_LOG_ERROR,
                            .flags = CYAML_CFG_NO_ALIAS};
}

static void free_values(pri_recipe_values *values)
{
    cyaml_config_t configuration = make_configuration(NULL);
    cyaml_free(&configuration, &pri_recipe_schema, values, 0);
}

static pare_status fill(pri_recipe_document *document, const char *data, size_t size, origin from,
                        pri_recipe_values **values)
{
    *values = NULL;
    PRI_TRY(check(document, data, size, from));
    cyaml_complaint complaint = {.line = 0};
    cyaml_config_t configuration = make_configuration(&complaint);
    cyaml_data_t *filled = NULL;
    cyaml_err_t error = cyaml_load_data((const uint8_t *)data, size, &configuration,
                                        &pri_recipe_schema, &filled, NULL);
    *values = filled;
    if (error == CYAML_ERR_OOM)
        return pri_fail(PARE_ERROR_MEMORY, "out of memory reading %s", document->name);
    if (error != CYAML_OK || !filled)
        return fail_here(document, from, complaint.line, "%s%s", cyaml_strerror(error),
                         complaint.reason);
    return PARE_OK;
}

/* ---- Overrides ---- */

static void append_quoted(pri_text *yaml, const char *text, size_t length)
{
    pri_text_append_bytes(yaml, "'", 1);
    for (size_t i = 0; i < length; i++) {
        pri_text_append_bytes(yaml, text + i, 1);
        if (text[i] == '\'')
            pri_text_append_bytes(yaml, "'", 1);
    }
    pri_text_append_bytes(yaml, "'", 1);
}

/* "[50, 90]", "50,90" and "50" are all lists; "[]" and "" are the empty one. */
static void append_list(pri_text *yaml, const char *text)
{
    size_t length = strlen(text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    const char *end = text + length;
    pri_text_append(yaml, "[");
    while (text < end) {
        const char *comma = memchr(text, ',', (size_t)(end - text)), *stop = comma ? comma : end;
        const char *first = text + strspn(text, " "), *last = stop;
        while (last > first && last[-1] == ' ')
            last--;
        append_quoted(yaml, first, last > first ? (size_t)(last - first) : 0);
        pri_text_append(yaml, ", ");
        text = comma ? comma + 1 : end;
    }
    pri_text_append(yaml, "]");
}

/* Exchanges the member that `field` describes between two structures of one section. */
static void exchange(const cyaml_schema_field_t *field, void *a, void *b)
{
    struct {
        size_t offset, size;
    } parts[] = {
        {field->data_offset, sizeof(void *)},
        {field->count_offset, field->value.type == CYAML_SEQUENCE ? (size_t)field->count_size : 0}};
    for (size_t i = 0; i < 2; i++) {
        char keep[sizeof(void *)], *in_a = (char *)a + parts[i].offset,
                                   *in_b = (char *)b + parts[i].offset;
        memcpy(keep, in_a, parts[i].size);
        memcpy(in_a, in_b, parts[i].size);
        memcpy(in_b, keep, parts[i].size);
    }
}

static void *member_of(const cyaml_schema_field_t *field, void *structure)
{
    void *member;
    memcpy(&member, (char *)structure + field->data_offset, sizeof member);
    return member;
}

/* `section` is NULL for keys at the top. */
static void merge(pri_recipe_document *document, pri_recipe_values *change,
                  const cyaml_schema_field_t *section, const cyaml_schema_field_t *field)
{
    void *into = section ? member_of(section, document->values) : document->values;
    if (into)
        exchange(field, into, section ? member_of(section, change) : change);
    else
        exchange(section, document->values, change);
}

static pare_status find_override_field(const pri_recipe_document *document, origin from,
                                       const char *path, const cyaml_schema_field_t **section,
                                       const cyaml_schema_field_t **field)
{
    const cyaml_schema_field_t *fields = pri_recipe_schema.mapping.fields;
    const char *dot = strchr(path, '.'), *name = dot ? dot + 1 : path;
    *section = NULL;
    if (dot) {
        *section = find_field(fields, path, (size_t)(dot - path));
        if (!*section || (*section)->value.type != CYAML_MAPPING)
            return fail_here(document, from, 0, "unknown section '%.*s'", (int)(dot - path), path);
        fields = (*section)->value.mapping.fields;
    }
    *field = find_field(fields, name, strlen(name));
    if (!*field)
        return fail_unknown_key(document, from, 0, path, fields);
    if ((*field)->value.type == CYAML_MAPPING)
        return fail_here(document, from, 0,
                         "'%s' is a section; set one of its keys, as in %s.%s=...", path, path,
                         (*field)->value.mapping.fields[0].key);
    return PARE_OK;
}

static pare_status apply_field(pri_recipe_document *document, origin from, const char *value,
                               const cyaml_schema_field_t *section,
                               const cyaml_schema_field_t *field)
{
    pri_text yaml = {.data = NULL};
    if (section)
        pri_text_append(&yaml, "%s:\n  ", section->key);
    pri_text_append(&yaml, "%s: ", field->key);
    if (field->value.type == CYAML_SEQUENCE)
        append_list(&yaml, value);
    else
        append_quoted(&yaml, value, strlen(value));
    pri_text_append(&yaml, "\n");
    pri_recipe_values *change = NULL;
    pare_status status = yaml.failed
                             ? pri_fail(PARE_ERROR_MEMORY, "out of memory reading an override")
                             : fill(document, yaml.data, yaml.length, from, &change);
    if (status == PARE_OK)
        merge(document, change, section, field);
    if (change)
        free_values(change);
    pri_text_free(&yaml);
    return status;
}

static pare_status apply_override(pri_recipe_document *document, const char *override)
{
    origin from = {override};
    const char *equals = strchr(override, '=');
    if (!equals)
        return fail_here(document, from, 0, "must have the form section.key=value");
    for (const char *c = override; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return fail_here(document, from, 0, "contains a control character");
    char path[128];
    snprintf(path, sizeof path, "%.*s", (int)(equals - override < 127 ? equals - override : 127),
             override);
    const cyaml_schema_field_t *section = NULL, *field = NULL;
    PRI_TRY(find_override_field(document, from, path, &section, &field));
    return apply_field(document, from, equals + 1, section, field);
}

/* ---- All of it ---- */

pare_status pri_recipe_document_parse(const char *data, size_t size, const char *name,
                                      const char *const *overrides, size_t override_count,
                                      pri_recipe_document *document)
{
    *document = (pri_recipe_document){.name = name};
    PRI_TRY(fill(document, data, size, (origin){NULL}, &document->values));
    for (size_t i = 0; i < override_count; i++)
        PRI_TRY(apply_override(document, overrides[i]));
    return PARE_OK;
}

void pri_recipe_document_free(pri_recipe_document *document)
{
    if (document->values)
        free_values(document->values);
    for (size_t i = 0; i < document->place_count; i++)
        pri_free(document->places[i].path);
    pri_free(document->places);
    *document = (pri_recipe_document){.name = NULL};
}
