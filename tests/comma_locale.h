/* A locale that writes 1.5 as 1,5, made on the spot, because a machine need not have one. */
#ifndef PARE_TESTS_COMMA_LOCALE_H
#define PARE_TESTS_COMMA_LOCALE_H

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sets it for the process; false when this system cannot make one. Undo with setlocale. */
static inline bool set_comma_locale(void)
{
    char directory[] = "/tmp/pare-test-locale-XXXXXX", command[512], number[8] = "";
    if (!mkdtemp(directory))
        return false;
    snprintf(
        command, sizeof command,
        "cd %s && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \".\"\\ngrouping 3;3\\n"
        "END LC_NUMERIC\\n' >source && localedef -c -i source ./comma >/dev/null 2>&1",
        directory);
    int made = system(command); /* 1 stands for warnings: the source has one category only */
    if (made != -1 && !setenv("LOCPATH", directory, 1) && setlocale(LC_NUMERIC, "comma"))
        snprintf(number, sizeof number, "%.1f", 1.5);
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", directory);
    return !system(command) && !strcmp(number, "1,5");
}

#endif
