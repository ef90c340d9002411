/* A progress line on stderr, for a terminal and for work of more than a second only. */
#ifndef SL_TOOL_PROGRESS_H
#define SL_TOOL_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sl_progress {
    FILE *out; /* NULL: not a terminal, nothing is ever written */
    const char *what;
    int64_t total;
    int64_t started_ms, drawn_ms;
    int drawn; /* columns of the line that stands there */
};

/* what is kept, not copied. out is stderr, but in tests. */
void sl_progress_begin(struct sl_progress *p, FILE *out, const char *what, int64_t total);
/* now_ms from sl_progress_now; draws at most ten times a second, after the first second. */
void sl_progress_step(struct sl_progress *p, int64_t done, int64_t now_ms);
/* Takes the line away. */
void sl_progress_end(struct sl_progress *p);

int64_t sl_progress_now(void);

#endif
