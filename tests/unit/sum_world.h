/* Ranks that sum a window, all in one thread, over a communicator and a clock of the test's: so who
 * ends when, dies when and is named does not hang on the machine. */
#ifndef SUM_WORLD_H
#define SUM_WORLD_H

#include <stdbool.h>

#include "abi/ext/load.h"

enum { SUM_RANKS = 16, SUM_MESSAGES = 1024 };
enum { SUM_NEVER = -1 };

/* Times in ticks of the clock; the timeout is SUM_TIMEOUT of them. */
enum { SUM_TIMEOUT = 512, SUM_TICK_NS = 1000 };

struct sum_message {
    bool used, receives, done, cancelled;
    int32_t channel, from, to;
    size_t bytes;
    void *data; /* a receive's, or a sent copy where messages are eager */
    const void *out;
    int64_t at; /* tick it was sent in */
};

struct sum_member {
    struct sum_world *world;
    int32_t rank;
};

struct sum_world {
    int32_t ranks;
    bool eager;         /* a send has ended once it is made, as small messages of MPI do */
    int64_t delay;      /* ticks on the way */
    int64_t timeout_ns; /* 0: SUM_TIMEOUT ticks */
    int64_t now;
    int64_t begins[SUM_RANKS]; /* tick of window_end, or SUM_NEVER */
    int64_t every[SUM_RANKS];  /* polls once in so many ticks; 0: eight; less once done */
    int64_t dies[SUM_RANKS];   /* tick after which nothing more is done; 0: never */
    sluice_context *context[SUM_RANKS];
    bool done[SUM_RANKS]; /* out: the window has ended, well or not */
    sluice_status status[SUM_RANKS];
    int32_t named[SUM_RANKS]; /* the rank in the message; -1: none */
    int64_t ended[SUM_RANKS]; /* tick */
    int32_t most;             /* slots of messages that were ever used */
    struct sum_message messages[SUM_MESSAGES];
    struct sum_member member[SUM_RANKS];
};

struct sum_world *sum_world(int32_t ranks, bool eager);

/* Opens the ranks, lets each count rank + 1 choices, ends the window as begins, every and dies say,
 * and goes on for four timeouts. */
void sum_world_run(struct sum_world *world);

/* Every rank that lives keeps the whole. */
void sum_world_whole(struct sum_world *world);

/* Closes the contexts; nothing of the communicator's may be left open. */
void sum_world_close(struct sum_world *world);

#endif
