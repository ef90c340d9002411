/* Whole files in and out, and the one way in which the readers word an error. */
#ifndef SL_TOOL_FILE_H
#define SL_TOOL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define SL_TOOL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SL_TOOL_PRINTF(fmt, args)
#endif

/* Writes one line into err, cut to n bytes; err may be NULL or n 0. Returns -1, so that a reader
 * can say `return sl_tool_error(...)`. */
int sl_tool_error(char *err, size_t n, const char *fmt, ...) SL_TOOL_PRINTF(3, 4);

/* Reads a regular file whole. A zero byte follows the last one. The caller frees *data.
 * Returns 0, or -1 with a message that names the file. */
int sl_tool_read(const char *path, uint8_t **data, size_t *size, char *err, size_t n);

/* Whether a file can be written there, without touching it: to be asked before long work. */
int sl_tool_writable(const char *path, char *err, size_t n);

/* Opens a file for writing; "-" is stdout. sl_tool_close also tells whether every byte arrived. */
FILE *sl_tool_create(const char *path, char *err, size_t n);
int sl_tool_close(FILE *file, const char *path, char *err, size_t n);

#endif
