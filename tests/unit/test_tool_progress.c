/* For the pseudo-terminal. */
#define _XOPEN_SOURCE 700

#include "ct.h"

#include "tool/tool_progress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A terminal to write to, and the end from which its text is read. */
static FILE *terminal(int *reader)
{
    *reader = posix_openpt(O_RDWR | O_NOCTTY);
    if (*reader < 0)
        return NULL;
    const char *name = grantpt(*reader) == 0 && unlockpt(*reader) == 0 ? ptsname(*reader) : NULL;
    int fd = name == NULL ? -1 : open(name, O_RDWR | O_NOCTTY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL)
        close(*reader);
    return file;
}

static size_t take(int reader, char *text, size_t room)
{
    (void)fcntl(reader, F_SETFL, O_NONBLOCK);
    ssize_t got = read(reader, text, room - 1);
    text[got > 0 ? got : 0] = 0;
    return strlen(text);
}

CT(tool_progress, quiet_in_pipes, "nothing is written where stderr is no terminal")
{
    FILE *file = tmpfile();
    ct_true(file != NULL);
    struct sl_progress p;
    sl_progress_begin(&p, file, "replay", 10);
    sl_progress_step(&p, 5, p.started_ms + 60000);
    sl_progress_end(&p);
    ct_expect_eq_i64(ftell(file), 0);
    fclose(file);
}

CT(tool_progress, quiet_at_first, "nothing is written in the first second")
{
    int reader;
    char text[256];
    FILE *file = terminal(&reader);
    if (file == NULL)
        ct_skip("no pseudo-terminal here");
    struct sl_progress p;
    sl_progress_begin(&p, file, "replay", 10);
    sl_progress_step(&p, 9, p.started_ms + 999);
    sl_progress_end(&p);
    ct_expect_eq_u64(take(reader, text, sizeof text), 0);
    fclose(file);
    close(reader);
}

CT(tool_progress, draws_and_clears,
   "later it draws what is done and left, and clears it at the end")
{
    int reader;
    char text[512];
    FILE *file = terminal(&reader);
    if (file == NULL)
        ct_skip("no pseudo-terminal here");
    struct sl_progress p;
    sl_progress_begin(&p, file, "replay", 10);
    sl_progress_step(&p, 4, p.started_ms + 4000);
    sl_progress_step(&p, 5, p.started_ms + 4050);
    take(reader, text, sizeof text);
    ct_expect_str_eq(text, "\rreplay [############..................]  40 %, 6 s left");
    sl_progress_end(&p);
    take(reader, text, sizeof text);
    ct_expect_eq_u64(strspn(text, "\r "), strlen(text));
    ct_expect_true(strlen(text) > 50 && text[strlen(text) - 1] == '\r');
    fclose(file);
    close(reader);
}
