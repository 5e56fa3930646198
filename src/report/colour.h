/* The colours of heat maps. */
#ifndef PARE_SRC_REPORT_COLOUR_H
#define PARE_SRC_REPORT_COLOUR_H

#include <stddef.h>
#include <stdint.h>

typedef struct pri_colour {
    uint8_t red, green, blue, alpha;
} pri_colour;

/* share 0 .. 1, dark violet to light yellow, in equal steps for the eye. */
pri_colour pri_colour_heat(double share);
/* The nearest of the 240 fixed colours of a 256-colour terminal. */
int pri_colour_terminal(pri_colour colour);

#endif
