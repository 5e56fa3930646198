/* printf and strtod follow the locale of the thread, so it is set to "C" around them: for this
 * thread only, because other threads belong to the host program. */
#include "base/number.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__APPLE__)
#include <xlocale.h>
#endif

/* Made for each use: for "C" this takes no memory, and nothing is left to release at exit. */
static locale_t enter_c_locale(locale_t *before)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *before = uselocale(c);
    return c;
}

static void leave_c_locale(locale_t c, locale_t before)
{
    uselocale(before);
    freelocale(c);
}

void pri_number_format(double number, char text[PRI_NUMBER_CAPACITY])
{
    locale_t before, c = enter_c_locale(&before);
    snprintf(text, PRI_NUMBER_CAPACITY, "%.17g", number);
    leave_c_locale(c, before);
}

bool pri_number_parse(const char *text, double *number)
{
    if (!*text || strspn(text, "0123456789+-.e") != strlen(text))
        return false;
    char *end;
    locale_t before, c = enter_c_locale(&before);
    *number = strtod(text, &end);
    leave_c_locale(c, before);
    return !*end;
}
