/* Numbers as files hold them: with a point, whatever locale the host program has set. */
#ifndef PARE_SRC_BASE_NUMBER_H
#define PARE_SRC_BASE_NUMBER_H

#include <stdbool.h>

#define PRI_NUMBER_CAPACITY 32

/* The 17 digits that fp64 needs, at most. */
void pri_number_format(double number, char text[PRI_NUMBER_CAPACITY]);
/* Whether all of `text` is a decimal number. */
bool pri_number_parse(const char *text, double *number);

#endif
