/* SPDX-License-Identifier: Apache-2.0
 * Windows of counts (sluice.load/1): differences of two marks, kept in a ring, summed over ranks
 * beside serving. */
#ifndef SL_BK_WINDOWS_H
#define SL_BK_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../abi/ext/load.h"

/* A window's numbers, bank after bank: E choices by expert, then W by the rank that served. */
struct sl_windows {
    int32_t kept;      /* B; 0: no windows */
    int32_t available; /* of the ring */
    int64_t ended;     /* windows that have ended since they began */
    int64_t timeout_ns;
    int64_t width; /* numbers of a window */
    void *memory;  /* all of the below */
    size_t bytes;
    int64_t *ring;                /* [kept][width], window n at (n - 1) % kept */
    int64_t *mark, *next;         /* [width] the counters where the running window began; where the
                                  * one that is being summed ended */
    struct sl_window_note *note;  /* this rank's, and what its children handed up */
    struct sl_window_note *inbox; /* a child's */
    struct sl_window_note *verdict; /* of this rank, without numbers */
    struct sl_window_note *down;    /* the whole, from the parent */
    void *reach;                    /* scratch of sl_reach */
    sluice_status broken;           /* of a sum that failed, until ranks are set */
};

/* What travels: `width` numbers follow. */
struct sl_window_note {
    uint32_t magic;
    int32_t kept;
    int64_t number;
    int32_t verdict; /* SLUICE_OK; MISMATCH: `rank` and `other` do not fit together; PEER_LOST */
    int32_t rank, other;
    int32_t reserved;
    int64_t values[];
};

/* Everything of a sum that is on its way: from the device, up a tree to the first of the living,
 * and down again. */
enum {
    SL_SUM_IDLE = 0,
    SL_SUM_LAND,
    SL_SUM_TAKE,
    SL_SUM_HAND,
    SL_SUM_WAIT,
    SL_SUM_SPREAD,
    SL_SUM_TELL
};
enum { SL_SUM_MOST = 10 }; /* children of a rank of 1024 */
struct sl_window_sum {
    int32_t stage;
    int32_t bit;  /* distance in the tree */
    int32_t open; /* requests that have not ended */
    uint64_t request[SL_SUM_MOST];
    int32_t peer[SL_SUM_MOST];
    int32_t failed; /* whose request has failed */
    int32_t lost;   /* the peer that the communicator has lost; -1: none */
    int32_t named;  /* TELL: the missing rank */
    int64_t begin;
    struct sl_window_note *result; /* what is spread */
};

/* Times of a sum in sixteenths of the timeout, from this rank's window_end: it says that it waits,
 * and again after as long; the first of the living judges; gives up the search; all is over. */
enum { SL_SUM_ASK = 4, SL_SUM_JUDGE = 24, SL_SUM_DESPAIR = 40, SL_SUM_END = 48 };

/* What a rank that waits says to the first of the living, and what that one answers. */
struct sl_ask {
    int64_t number; /* of the window; in the answer of the one that was asked about */
    int32_t rank;   /* answer: who is missing, by its number among the living */
    int32_t reserved;
};

/* What goes between the first of the living and one other rank. */
struct sl_ask_line {
    uint64_t take, give;
    bool takes, gives;   /* requests that have not ended */
    bool dead;           /* the communicator has lost the rank */
    int64_t heard;       /* when it last said that it waits */
    int64_t number;      /* for which window; 0: never */
    int32_t since_whole; /* how often it was heard since the result was to be had */
    struct sl_ask in, out;
};

/* Messages here are few and small, and a receive stays posted from one window to the next. */
struct sl_asks {
    struct sl_ask_line *lines; /* [ranks]; of others than the first only lines[0] is used */
    int32_t next;              /* line to look at */
    int64_t said;              /* when this rank last said that it waits */
};

/* Where a bank's numbers begin in a window; of layer_count: how many there are. */
int64_t sl_window_at(const sluice_context *context, int32_t bank);

/* bk_window_sum.c: starts the sum of windows.note over the living; moves it on, *done when the
 * result holds the whole or a verdict; ends it with its requests, so that the memory is free. */
void sl_sum_start(sluice_context *context);
sluice_status sl_sum_poll(sluice_context *context, bool *done);
void sl_sum_end(sluice_context *context);
/* `begin` and so many sixteenths of the timeout; INT64_MAX where that is beyond it. */
int64_t sl_sum_deadline(const sluice_context *context, int64_t begin, int64_t parts);

/* bk_window_ask.c. Memory for lines, kept until close: false where there is none. */
bool sl_ask_open(sluice_context *context);
void sl_ask_close(sluice_context *context);
void sl_ask_start(sluice_context *context);
/* Ends all requests. */
void sl_ask_end(sluice_context *context);

/* Of a rank that waits: says so now and then, and listens. *named = who is missing, once told. */
sluice_status sl_ask_ask(sluice_context *context, int32_t *named);

/* Of the first of the living: takes what has come, on some lines or on all of them. */
sluice_status sl_ask_listen(sluice_context *context, bool all);
/* The first rank that has not said of late that it waits; -1: none. Only while no rank has a
 * result. */
int32_t sl_ask_missing(const sluice_context *context);
/* Tells all that wait. */
void sl_ask_tell(sluice_context *context, int32_t named);
/* Have they all been told? */
bool sl_ask_told(sluice_context *context);
/* The result is to be had from now on. Ranks that go on waiting for it are then told of a parent
 * that is not there any more. */
void sl_ask_whole(sluice_context *context);
void sl_ask_orphans(sluice_context *context, int64_t number);
/* Between sums. */
void sl_ask_idle(sluice_context *context);

/* Are windows summed, over so many ranks? */
bool sl_windows_sums(const sluice_context *context, int32_t ranks);

/* Before ranks are set: ends a sum, whose window is lost, and counts where windows will begin. */
sluice_status sl_windows_stop(sluice_context *context, void *stream);

/* Windows begin anew there, after ranks were set: nothing is kept, no failure stands. */
void sl_windows_restart(sluice_context *context);

/* Before the map or the counters of a bank change: what is on its way from the device has come. */
sluice_status sl_windows_settle(sluice_context *context);

/* What the bank's running window has counted is forgotten, with its counters. */
void sl_windows_forget(sluice_context *context, int32_t bank);

void sl_windows_close(sluice_context *context);

sluice_status sl_load_windows(sluice_context *context, const sluice_load_windows *config);
sluice_status sl_load_window_end(sluice_context *context, void *stream);
sluice_status sl_load_window_poll(sluice_context *context, int32_t *done);
sluice_status sl_load_window(sluice_context *context, sluice_load_window *window);

#endif
