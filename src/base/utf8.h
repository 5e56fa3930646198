/* UTF-8 of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PARE_SRC_BASE_UTF8_H
#define PARE_SRC_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at text[0], 1 to 4; 0 when `size` bytes begin with none. */
size_t pri_utf8_length(const char *text, size_t size);
/* How many bytes from the beginning on are UTF-8. */
size_t pri_utf8_valid_bytes(const char *text, size_t size);
bool pri_utf8_valid(const char *string);
/* Reads the character that begins at text[0], size > 0; returns its bytes. Bytes that are no UTF-8
 * give U+FFFD for each sequence that began well as far as it did, and for each other byte: as the
 * Unicode standard recommends and Python does. */
size_t pri_utf8_read(const char *text, size_t size, uint32_t *character);
/* Writes the character, which must not be a surrogate nor above U+10FFFF; returns its bytes. */
size_t pri_utf8_write(uint32_t character, char bytes[4]);
/* Bytes of the byte-order mark that some editors put before a text: 3, or 0 where there is none. */
size_t pri_utf8_mark(const char *text, size_t size);
/* Whether `size` bytes are the beginning of one and not yet the whole. */
bool pri_utf8_begins_mark(const char *text, size_t size);

#endif
