#include "tool_progress.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { QUIET_MS = 1000, REDRAW_MS = 100, BAR = 30 };

int64_t sl_progress_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sl_progress_begin(struct sl_progress *p, FILE *out, const char *what, int64_t total)
{
    memset(p, 0, sizeof *p);
    p->out = isatty(fileno(out)) ? out : NULL;
    p->what = what;
    p->total = total > 0 ? total : 1;
    p->started_ms = sl_progress_now();
    p->drawn_ms = p->started_ms;
}

void sl_progress_step(struct sl_progress *p, int64_t done, int64_t now_ms)
{
    if (p->out == NULL || now_ms - p->started_ms < QUIET_MS || now_ms - p->drawn_ms < REDRAW_MS)
        return;
    p->drawn_ms = now_ms;
    double part = (double)done / (double)p->total;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    double seconds = (double)(now_ms - p->started_ms) / 1000;
    double left = part > 0 ? seconds / part - seconds : 0;
    char bar[BAR + 1];
    int full = (int)(part * BAR);
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)full);
    bar[BAR] = 0;
    int columns =
        fprintf(p->out, "\r%s [%s] %3d %%, %.0f s left", p->what, bar, (int)(part * 100), left) - 1;
    if (columns < p->drawn)
        (void)fprintf(p->out, "%*s", p->drawn - columns, "");
    if (columns > p->drawn)
        p->drawn = columns;
    (void)fflush(p->out);
}

void sl_progress_end(struct sl_progress *p)
{
    if (p->out == NULL || p->drawn == 0)
        return;
    (void)fprintf(p->out, "\r%*s\r", p->drawn, "");
    (void)fflush(p->out);
    p->drawn = 0;
}
