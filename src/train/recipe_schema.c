/* The schema of recipes for libcyaml, generated from the lists in the header. The words of a choice
 * carry the values of the public enumerations. */
#include "train/recipe_schema.h"

#include "pare/train.h"

static const cyaml_strval_t level_words[] = {{"word", PARE_TEXT_WORD}, {"byte", PARE_TEXT_BYTE}};
static const cyaml_strval_t task_words[] = {
    {"language-modelling", PARE_TASK_LANGUAGE_MODELLING},
    {"classification", PARE_TASK_CLASSIFICATION},
    {"question-answering", PARE_TASK_QUESTION_ANSWERING},
    {"masked-language-modelling", PARE_TASK_MASKED_LANGUAGE_MODELLING},
    {"translation", PARE_TASK_TRANSLATION}};
static const cyaml_strval_t family_words[] = {{"transformer-xl", 0}, {"bert", 1}, {"marian", 2}};
static const cyaml_strval_t share_words[] = {
    {"all", PARE_SHARE_ALL}, {"target", PARE_SHARE_TARGET}, {"none", PARE_SHARE_NONE}};
static const cyaml_strval_t sinusoids_words[] = {{"marian", PARE_SINUSOIDS_MARIAN},
                                                 {"fairseq", PARE_SINUSOIDS_FAIRSEQ}};
static const cyaml_strval_t activation_words[] = {{"relu", PARE_ACTIVATION_RELU},
                                                  {"gelu", PARE_ACTIVATION_GELU},
                                                  {"swish", PARE_ACTIVATION_SWISH}};
static const cyaml_strval_t keep_words[] = {
    {"best", PARE_KEEP_BEST}, {"last", PARE_KEEP_LAST}, {"average", PARE_KEEP_AVERAGE}};
static const cyaml_strval_t optimizer_words[] = {{"adam", PARE_OPTIMIZER_ADAM},
                                                 {"adamw", PARE_OPTIMIZER_ADAMW}};
static const cyaml_strval_t schedule_words[] = {
    {"constant", PARE_SCHEDULE_CONSTANT},
    {"cosine", PARE_SCHEDULE_COSINE},
    {"inverse-square-root", PARE_SCHEDULE_INVERSE_SQUARE_ROOT},
    {"linear", PARE_SCHEDULE_LINEAR}};
static const cyaml_strval_t precision_words[] = {{"fp32", PARE_PRECISION_FP32},
                                                 {"bf16", PARE_PRECISION_BF16}};
enum {
    ENCODER_BIT = 1 << PARE_ATTENTION_SELF,
    DECODER_BIT = 1 << PARE_ATTENTION_DECODER,
    CROSS_BIT = 1 << PARE_ATTENTION_CROSS
};
static const cyaml_strval_t attention_words[] = {{"encoder", ENCODER_BIT},
                                                 {"decoder", DECODER_BIT},
                                                 {"cross", CROSS_BIT},
                                                 {"selves", ENCODER_BIT | DECODER_BIT},
                                                 {"all", ENCODER_BIT | DECODER_BIT | CROSS_BIT}};
static const cyaml_strval_t percents_of_words[] = {{"admissible", false}, {"effective", true}};
static const cyaml_strval_t start_words[] = {{"restart", PARE_START_RESTART},
                                             {"continue", PARE_START_CONTINUE},
                                             {"stepwise", PARE_START_STEPWISE},
                                             {"zero-shot", PARE_START_ZERO_SHOT}};
static const cyaml_strval_t geometry_words[] = {{"cell", PARE_GEOMETRY_CELL},
                                                {"distance", PARE_GEOMETRY_DISTANCE},
                                                {"relative", PARE_GEOMETRY_RELATIVE}};
static const cyaml_strval_t average_words[] = {{"valid", PARE_AVERAGE_VALID},
                                               {"mass", PARE_AVERAGE_MASS}};
static const cyaml_strval_t scope_words[] = {{"layer", PARE_SCOPE_LAYER},
                                             {"head", PARE_SCOPE_HEAD},
                                             {"row", PARE_SCOPE_ROW},
                                             {"model", PARE_SCOPE_MODEL}};
static const cyaml_strval_t empty_row_words[] = {{"keep-one", PARE_EMPTY_ROW_KEEP_ONE},
                                                 {"zero", PARE_EMPTY_ROW_ZERO},
                                                 {"compat-uniform", PARE_EMPTY_ROW_UNIFORM}};

static const cyaml_schema_value_t integer_entry = {CYAML_VALUE_INT(CYAML_FLAG_DEFAULT, int64_t)};
static const cyaml_schema_value_t attention_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, int, attention_words, CYAML_ARRAY_LEN(attention_words))};
static const cyaml_schema_value_t number_entry = {CYAML_VALUE_FLOAT(CYAML_FLAG_STRICT, double)};

#define TEXT_LONGEST 65536
#define LIST_LONGEST 1000
#define LIST_FLAGS (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define FIELD_TEXT(name)                                                                           \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_OPTIONAL, SECTION, name, 1, TEXT_LONGEST),
#define FIELD_SOURCE(name)                                                                         \
    CYAML_FIELD_STRING_PTR(#name ".source", CYAML_FLAG_OPTIONAL, SECTION, name##_source, 1,        \
                           TEXT_LONGEST),
#define FIELD_TARGET(name)                                                                         \
    CYAML_FIELD_STRING_PTR(#name ".target", CYAML_FLAG_OPTIONAL, SECTION, name##_target, 1,        \
                           TEXT_LONGEST),
#define FIELD_CHOICES(name)                                                                        \
    CYAML_FIELD_SEQUENCE(#name, LIST_FLAGS, SECTION, name, &name##_entry, 0, LIST_LONGEST),
#define FIELD_CHOICE(name)                                                                         \
    CYAML_FIELD_ENUM_PTR(#name, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, SECTION, name,            \
                         name##_words, CYAML_ARRAY_LEN(name##_words)),
#define FIELD_INTEGER(name) CYAML_FIELD_INT_PTR(#name, CYAML_FLAG_OPTIONAL, SECTION, name),
#define FIELD_NUMBER(name)                                                                         \
    CYAML_FIELD_FLOAT_PTR(#name, CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, SECTION, name),
#define FIELD_BOOLEAN(name) CYAML_FIELD_BOOL_PTR(#name, CYAML_FLAG_OPTIONAL, SECTION, name),
#define FIELD_INTEGERS(name)                                                                       \
    CYAML_FIELD_SEQUENCE(#name, LIST_FLAGS, SECTION, name, &integer_entry, 0, LIST_LONGEST),
#define FIELD_NUMBERS(name)                                                                        \
    CYAML_FIELD_SEQUENCE(#name, LIST_FLAGS, SECTION, name, &number_entry, 0, LIST_LONGEST),
#define FIELD_SECTION(name)                                                                        \
    CYAML_FIELD_MAPPING_PTR(#name, CYAML_FLAG_OPTIONAL, SECTION, name, name##_fields),
#define FIELD(type, name) FIELD_##type(name)

#define SECTION pri_data_section
static const cyaml_schema_field_t data_fields[] = {PRI_DATA_KEYS(FIELD) CYAML_FIELD_END};
#undef SECTION
#define SECTION pri_model_section
static const cyaml_schema_field_t model_fields[] = {PRI_MODEL_KEYS(FIELD) CYAML_FIELD_END};
#undef SECTION
#define SECTION pri_training_section
static const cyaml_schema_field_t training_fields[] = {PRI_TRAINING_KEYS(FIELD) CYAML_FIELD_END};
#undef SECTION
#define SECTION pri_evaluation_section
static const cyaml_schema_field_t evaluation_fields[] = {PRI_EVALUATION_KEYS(FIELD)
                                                             CYAML_FIELD_END};
#undef SECTION
#define SECTION pri_sweep_section
static const cyaml_schema_field_t sweep_fields[] = {PRI_SWEEP_KEYS(FIELD) CYAML_FIELD_END};
#undef SECTION
#define SECTION pri_recipe_values
static const cyaml_schema_field_t recipe_fields[] = {PRI_RECIPE_KEYS(FIELD) CYAML_FIELD_END};

const cyaml_schema_value_t pri_recipe_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, pri_recipe_values, recipe_fields)};
