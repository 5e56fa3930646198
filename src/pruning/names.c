/* The words for kinds of attention, geometries, averages, scopes, policies and methods, in files
 * and on the command line. */
#include "pare/pruning.h"

const char *const pare_attention_kind_names[] = {[PARE_ATTENTION_SELF] = "encoder",
                                                 [PARE_ATTENTION_DECODER] = "decoder",
                                                 [PARE_ATTENTION_CROSS] = "cross",
                                                 NULL};

const char *pare_mask_file_name(size_t kinds, pare_attention_kind kind)
{
    static const char *const files[] = {[PARE_ATTENTION_SELF] = "mask-encoder.safetensors",
                                        [PARE_ATTENTION_DECODER] = "mask-decoder.safetensors",
                                        [PARE_ATTENTION_CROSS] = "mask-cross.safetensors"};
    return kinds == 1 ? "mask.safetensors" : files[kind];
}

const char *const pare_geometry_names[] = {[PARE_GEOMETRY_CELL] = "cell",
                                           [PARE_GEOMETRY_DISTANCE] = "distance",
                                           [PARE_GEOMETRY_RELATIVE] = "relative",
                                           NULL};
const char *const pare_average_names[] = {
    [PARE_AVERAGE_VALID] = "valid", [PARE_AVERAGE_MASS] = "mass", NULL};
const char *const pare_scope_names[] = {[PARE_SCOPE_LAYER] = "layer",
                                        [PARE_SCOPE_HEAD] = "head",
                                        [PARE_SCOPE_ROW] = "row",
                                        [PARE_SCOPE_MODEL] = "model",
                                        NULL};
const char *const pare_empty_row_names[] = {[PARE_EMPTY_ROW_KEEP_ONE] = "keep-one",
                                            [PARE_EMPTY_ROW_ZERO] = "zero",
                                            [PARE_EMPTY_ROW_UNIFORM] = "compat-uniform",
                                            NULL};
const char *const pare_method_names[] = {[PARE_METHOD_ATTENTION_PRUNING] = "attention-pruning",
                                         [PARE_METHOD_RANDOM] = "random",
                                         [PARE_METHOD_COMPAT] = "compat",
                                         NULL};
