/* The checks of ct.h: compare, and put what was got and what was wanted in words. */
#include "ct.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char note[512];

struct block {
    struct block *next;
    max_align_t data[];
};
static struct block *blocks;

__attribute__((format(printf, 3, 4))) static bool failed(const char *file, int line,
                                                         const char *format, ...)
{
    char text[1536];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (note[0] && used > 0 && (size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used, "\n  at: %s", note);
    ct_record(file, line, text);
    return false;
}

void ct_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(note, sizeof note, format, args);
    va_end(args);
}

bool ct_check_true(const char *file, int line, bool held, const char *text)
{
    return held || failed(file, line, "not true: %s", text);
}

bool ct_check_i64(const char *file, int line, const char *text, int64_t got, int64_t want)
{
    return got == want || failed(file, line, "%s: got %" PRId64 ", want %" PRId64, text, got, want);
}

bool ct_check_u64(const char *file, int line, const char *text, uint64_t got, uint64_t want)
{
    return got == want || failed(file, line, "%s: got %" PRIu64 ", want %" PRIu64, text, got, want);
}

bool ct_check_f32bits(const char *file, int line, const char *text, float got, float want)
{
    uint32_t g = 0, w = 0;
    memcpy(&g, &got, sizeof g);
    memcpy(&w, &want, sizeof w);
    return g == w ||
           failed(file, line, "%s: got %.9g (0x%08" PRIx32 "), want %.9g (0x%08" PRIx32 ")", text,
                  (double)got, g, (double)want, w);
}

bool ct_check_near(const char *file, int line, const char *text, double got, double want,
                   double tolerance)
{
    if (isnan(want) ? isnan(got) : (got == want || fabs(got - want) <= tolerance))
        return true;
    return failed(file, line, "%s: got %.17g, want %.17g within %g", text, got, want, tolerance);
}

bool ct_check_mem(const char *file, int line, const char *text, const void *got, const void *want,
                  size_t bytes)
{
    const unsigned char *g = got, *w = want;
    for (size_t i = 0; i < bytes; i++)
        if (g[i] != w[i])
            return failed(file, line, "%s: byte %zu of %zu is 0x%02x, want 0x%02x", text, i, bytes,
                          g[i], w[i]);
    return true;
}

bool ct_check_str_eq(const char *file, int line, const char *text, const char *got,
                     const char *want)
{
    return (got && strcmp(got, want) == 0) ||
           failed(file, line, "%s: got \"%s\", want \"%s\"", text, got ? got : "(null)", want);
}

bool ct_check_str_has(const char *file, int line, const char *text, const char *got,
                      const char *part)
{
    return (got && strstr(got, part)) ||
           failed(file, line, "%s: \"%s\" does not have \"%s\"", text, got ? got : "(null)", part);
}

static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

void *ct_alloc(size_t bytes)
{
    struct block *b = calloc(1, sizeof *b + (bytes ? bytes : 1));
    if (!b) {
        fputs("ct_alloc: no memory\n", stderr);
        exit(3);
    }
    pthread_mutex_lock(&blocks_lock);
    b->next = blocks;
    blocks = b;
    pthread_mutex_unlock(&blocks_lock);
    return b->data;
}

void ct_end_of_test(void)
{
    note[0] = 0;
    while (blocks) {
        struct block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

int64_t ct_patience(int64_t nanoseconds)
{
    const char *times = getenv("CT_PATIENCE");
    long factor = times ? strtol(times, NULL, 10) : 1;
    return nanoseconds * (factor > 1 ? factor : 1);
}

const char *ct_plugin_path(void)
{
    static char path[4096];
    const char *given = getenv("SLUICE_TEST_PLUGIN");
    if (given)
        return given;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "libsluice_cpu.so");
    if (n < 0)
        n = 0;
    path[n] = 0;
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "libsluice_cpu.so");
    return path;
}

const char *ct_shared(const char *path)
{
    const char *given = getenv("SLUICE_SHARED");
    const char *const folders[] = {given ? given : "../shared", "tests"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        size_t room = strlen(folders[i]) + strlen(path) + 2;
        char *full = ct_alloc(room);
        snprintf(full, room, "%s/%s", folders[i], path);
        if (access(full, R_OK) == 0)
            return full;
    }
    return NULL;
}
