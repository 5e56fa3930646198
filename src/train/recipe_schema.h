/* What a recipe file may hold, written once: the structures libcyaml fills and its schema both come
 * from the lists below. A key that the file does not give is a NULL pointer. */
#ifndef PARE_SRC_TRAIN_RECIPE_SCHEMA_H
#define PARE_SRC_TRAIN_RECIPE_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>

/* KEY(TYPE, name): TEXT is a string, CHOICE one of the words name##_words, CHOICES, NUMBERS and
 * INTEGERS are lists. SOURCE and TARGET are strings with the keys "name.source" and "name.target".
 */
#define PRI_DATA_KEYS(KEY)                                                                         \
    KEY(TEXT, train)                                                                               \
    KEY(TEXT, valid)                                                                               \
    KEY(TEXT, test)                                                                                \
    KEY(SOURCE, train)                                                                             \
    KEY(TARGET, train)                                                                             \
    KEY(SOURCE, valid)                                                                             \
    KEY(TARGET, valid)                                                                             \
    KEY(SOURCE, test)                                                                              \
    KEY(TARGET, test)                                                                              \
    KEY(BOOLEAN, tokenised)                                                                        \
    KEY(TEXT, merges)                                                                              \
    KEY(BOOLEAN, separate_vocabularies)                                                            \
    KEY(NUMBER, length_ratio)                                                                      \
    KEY(CHOICE, level)                                                                             \
    KEY(INTEGER, minimum_count)                                                                    \
    KEY(INTEGER, maximum_vocabulary)                                                               \
    KEY(BOOLEAN, lower_case)                                                                       \
    KEY(NUMBER, masked_share)                                                                      \
    KEY(TEXT, glue)                                                                                \
    KEY(TEXT, text_column)                                                                         \
    KEY(TEXT, second_text_column)                                                                  \
    KEY(TEXT, label_column)                                                                        \
    KEY(BOOLEAN, header)                                                                           \
    KEY(BOOLEAN, regression)                                                                       \
    KEY(INTEGER, stride)                                                                           \
    KEY(INTEGER, question_length)                                                                  \
    KEY(INTEGER, answer_length)

#define PRI_MODEL_KEYS(KEY)                                                                        \
    KEY(CHOICE, family)                                                                            \
    KEY(TEXT, checkpoint)                                                                          \
    KEY(INTEGER, layers)                                                                           \
    KEY(INTEGER, decoder_layers)                                                                   \
    KEY(INTEGER, heads)                                                                            \
    KEY(INTEGER, head_size)                                                                        \
    KEY(INTEGER, size)                                                                             \
    KEY(INTEGER, embedding_size)                                                                   \
    KEY(INTEGER, feed_forward)                                                                     \
    KEY(INTEGER, positions)                                                                        \
    KEY(INTEGER, memory)                                                                           \
    KEY(INTEGER, clamp_length)                                                                     \
    KEY(BOOLEAN, same_length)                                                                      \
    KEY(BOOLEAN, pre_norm)                                                                         \
    KEY(BOOLEAN, untie_biases)                                                                     \
    KEY(INTEGERS, cutoffs)                                                                         \
    KEY(INTEGER, division)                                                                         \
    KEY(CHOICE, share)                                                                             \
    KEY(CHOICE, sinusoids)                                                                         \
    KEY(CHOICE, activation)                                                                        \
    KEY(NUMBER, dropout)                                                                           \
    KEY(NUMBER, attention_dropout)                                                                 \
    KEY(NUMBER, inner_dropout)

#define PRI_TRAINING_KEYS(KEY)                                                                     \
    KEY(CHOICE, optimizer)                                                                         \
    KEY(CHOICE, schedule)                                                                          \
    KEY(NUMBER, rate)                                                                              \
    KEY(NUMBER, minimum_rate)                                                                      \
    KEY(NUMBER, beta1)                                                                             \
    KEY(NUMBER, beta2)                                                                             \
    KEY(NUMBER, epsilon)                                                                           \
    KEY(NUMBER, weight_decay)                                                                      \
    KEY(NUMBER, clip)                                                                              \
    KEY(CHOICE, precision)                                                                         \
    KEY(INTEGER, warmup)                                                                           \
    KEY(INTEGER, steps)                                                                            \
    KEY(NUMBER, epochs)                                                                            \
    KEY(INTEGER, accumulation)                                                                     \
    KEY(INTEGER, batch)                                                                            \
    KEY(INTEGER, tokens)                                                                           \
    KEY(INTEGER, length)                                                                           \
    KEY(CHOICE, keep)                                                                              \
    KEY(INTEGER, averaged)                                                                         \
    KEY(INTEGER, evaluate_every)                                                                   \
    KEY(INTEGER, patience)                                                                         \
    KEY(INTEGER, checkpoint_every)                                                                 \
    KEY(NUMBER, checkpoint_seconds)                                                                \
    KEY(INTEGER, log_every)                                                                        \
    KEY(NUMBER, label_smoothing)                                                                   \
    KEY(INTEGER, seed)

#define PRI_EVALUATION_KEYS(KEY)                                                                   \
    KEY(INTEGER, batch)                                                                            \
    KEY(INTEGER, length)                                                                           \
    KEY(INTEGER, memory)                                                                           \
    KEY(INTEGER, beam)                                                                             \
    KEY(NUMBER, length_penalty)                                                                    \
    KEY(NUMBER, length_factor)                                                                     \
    KEY(NUMBER, length_extra)

#define PRI_SWEEP_KEYS(KEY)                                                                        \
    KEY(NUMBERS, percents)                                                                         \
    KEY(NUMBERS, random_percents)                                                                  \
    KEY(INTEGERS, random_seeds)                                                                    \
    KEY(INTEGERS, seeds)                                                                           \
    KEY(CHOICES, attention)                                                                        \
    KEY(CHOICE, percents_of)                                                                       \
    KEY(CHOICE, start)                                                                             \
    KEY(NUMBER, distillation)                                                                      \
    KEY(CHOICE, geometry)                                                                          \
    KEY(BOOLEAN, ends_first)                                                                       \
    KEY(INTEGER, block)                                                                            \
    KEY(CHOICE, average)                                                                           \
    KEY(CHOICE, scope)                                                                             \
    KEY(CHOICE, empty_row)                                                                         \
    KEY(TEXT, dense)

#define PRI_RECIPE_KEYS(KEY)                                                                       \
    KEY(TEXT, name)                                                                                \
    KEY(TEXT, description)                                                                         \
    KEY(CHOICE, task)                                                                              \
    KEY(SECTION, data)                                                                             \
    KEY(SECTION, model)                                                                            \
    KEY(SECTION, training)                                                                         \
    KEY(SECTION, evaluation)                                                                       \
    KEY(SECTION, sweep)

#define PRI_MEMBER_TEXT(name) char *name;
#define PRI_MEMBER_SOURCE(name) char *name##_source;
#define PRI_MEMBER_TARGET(name) char *name##_target;
#define PRI_MEMBER_CHOICE(name) int *name;
#define PRI_MEMBER_CHOICES(name)                                                                   \
    int *name;                                                                                     \
    size_t name##_count;
#define PRI_MEMBER_INTEGER(name) int64_t *name;
#define PRI_MEMBER_NUMBER(name) double *name;
#define PRI_MEMBER_BOOLEAN(name) bool *name;
#define PRI_MEMBER_INTEGERS(name)                                                                  \
    int64_t *name;                                                                                 \
    size_t name##_count;
#define PRI_MEMBER_NUMBERS(name)                                                                   \
    double *name;                                                                                  \
    size_t name##_count;
#define PRI_MEMBER_SECTION(name) pri_##name##_section *name;
#define PRI_MEMBER(type, name) PRI_MEMBER_##type(name)

typedef struct pri_data_section {
    PRI_DATA_KEYS(PRI_MEMBER)
} pri_data_section;
typedef struct pri_model_section {
    PRI_MODEL_KEYS(PRI_MEMBER)
} pri_model_section;
typedef struct pri_training_section {
    PRI_TRAINING_KEYS(PRI_MEMBER)
} pri_training_section;
typedef struct pri_evaluation_section {
    PRI_EVALUATION_KEYS(PRI_MEMBER)
} pri_evaluation_section;
typedef struct pri_sweep_section {
    PRI_SWEEP_KEYS(PRI_MEMBER)
} pri_sweep_section;
typedef struct pri_recipe_values {
    PRI_RECIPE_KEYS(PRI_MEMBER)
} pri_recipe_values;

extern const cyaml_schema_value_t pri_recipe_schema;

#endif
