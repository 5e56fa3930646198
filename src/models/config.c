/* Checks and members of config.json that families share. */
#include "models/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "documents/json.h"

pare_status pri_config_range(const char *key, size_t value, size_t minimum, size_t maximum)
{
    if (value >= minimum && value <= maximum)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "%s must be between %zu and %zu, not %zu", key, minimum,
                    maximum, value);
}

pare_status pri_config_number(const char *key, float value, float limit)
{
    if (value >= 0.0f && value < limit)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "%s must be at least 0 and less than %g, not %g", key,
                    (double)limit, (double)value);
}

pare_status pri_config_float_or(const json_t *object, const char *path, const char *key,
                                float fallback, float *value)
{
    double number;
    PRI_TRY(pri_json_get_number_or(object, path, key, (double)fallback, &number));
    *value = (float)number;
    return PARE_OK;
}

pare_status pri_config_refuse(const json_t *object, const char *path, const char *key,
                              const char *offered)
{
    const json_t *value = json_object_get(object, key);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    pare_status status =
        pri_fail(PARE_ERROR_UNSUPPORTED, "%s: \"%s\" is %.60s, which is not offered; only %s is",
                 path, key, text ? text : "absent", offered);
    free(text);
    return status;
}

json_t *pri_config_json_float(float value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}
