#include "tool_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sl_tool_error(char *err, size_t n, const char *fmt, ...)
{
    if (err != NULL && n > 0) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(err, n, fmt, args);
        va_end(args);
        /* Names and text out of a file must not break the line or steer a terminal. */
        for (char *c = err; *c != 0; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7F)
                *c = '?';
    }
    return -1;
}

static int read_open(FILE *file, const char *path, uint8_t **data, size_t *size, char *err,
                     size_t n)
{
    struct stat st;
    if (fstat(fileno(file), &st) != 0)
        return sl_tool_error(err, n, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sl_tool_error(err, n, "%s: not a regular file", path);
    if ((uintmax_t)st.st_size >= SIZE_MAX)
        return sl_tool_error(err, n, "%s: too large for this machine", path);
    size_t want = (size_t)st.st_size;
    uint8_t *buffer = malloc(want + 1);
    if (buffer == NULL)
        return sl_tool_error(err, n, "%s: no memory for %zu bytes", path, want);
    size_t got = fread(buffer, 1, want, file);
    if (got != want) {
        free(buffer);
        return sl_tool_error(err, n, "%s: read %zu of %zu bytes", path, got, want);
    }
    buffer[want] = 0;
    *data = buffer;
    *size = want;
    return 0;
}

int sl_tool_read(const char *path, uint8_t **data, size_t *size, char *err, size_t n)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return sl_tool_error(err, n, "%s: %s", path, strerror(errno));
    int rc = read_open(file, path, data, size, err, n);
    (void)fclose(file);
    return rc;
}

int sl_tool_writable(const char *path, char *err, size_t n)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return 0;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return sl_tool_error(err, n, "%s: %s", path, strerror(EISDIR));
        if (access(path, W_OK) == 0)
            return 0;
    } else if (errno == ENOENT) {
        const char *slash = strrchr(path, '/');
        char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        int bad = folder == NULL || access(folder, W_OK | X_OK) != 0;
        int why = errno;
        free(folder);
        if (!bad)
            return 0;
        errno = why;
    }
    return sl_tool_error(err, n, "%s: %s", path, strerror(errno));
}

FILE *sl_tool_create(const char *path, char *err, size_t n)
{
    if (strcmp(path, "-") == 0)
        return stdout;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        (void)sl_tool_error(err, n, "%s: %s", path, strerror(errno));
    return file;
}

int sl_tool_close(FILE *file, const char *path, char *err, size_t n)
{
    int bad = ferror(file);
    int rc = file == stdout ? fflush(file) : fclose(file);
    if (bad != 0 || rc != 0)
        return sl_tool_error(err, n, "%s: not everything could be written", path);
    return 0;
}
