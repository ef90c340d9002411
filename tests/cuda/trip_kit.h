/* SPDX-License-Identifier: Apache-2.0
 * Ranks that remap with counts that are shared now, dispatch and combine. Every rank has SLOTS
 * experts, each at home alone; an expert gives back what it gets, so that a token comes back as
 * often as it chose experts of the living. */
#ifndef TRIP_KIT_H
#define TRIP_KIT_H

#include <stdbool.h>

#include "../../abi/ext/balance.h"
#include "../../abi/ext/device.h"
#include "../../abi/ext/ranks.h"

enum { TK_TOKENS = 12, TK_COLUMNS = 3, TK_SLOTS = 3, TK_WIDTH = 4, TK_RANKS = 4 };

extern const sluice_api *tk_api;
extern const sluice_device_api *tk_memory;
extern const sluice_ranks_api *tk_ranks;

/* Of TK_RANKS at most, some of them reserved. */
struct tk_rank {
    int32_t rank;
    bool fixed; /* else exact */
    sluice_device device;
    sluice_context *context;
    void *stream;
    int64_t fixed_rows;
    const char *call; /* the last one */
    char text[512];   /* what it said where it failed */
};

/* Loads the plugin; ends the program, as skipped, where the driver that runs is not the stand-in,
 * whose function `name` is put in *function. */
void tk_load(const char *path);
void tk_find(const char *library, const char *name, void *function);

double tk_seconds(void);

/* Makes the stream and opens. flags: SLUICE_OPEN_*. */
sluice_status tk_open(struct tk_rank *r, const sluice_comm *comm, int32_t flags,
                      int64_t timeout_ns);

/* One step. *right: the stream got through, and every token is what it should be. Where the calls
 * were OK and the stream was cut short, the next call says why: it is made, and its status given.
 * alive [TK_RANKS]: whose experts answer. */
sluice_status tk_trip(struct tk_rank *r, uint64_t seed, const uint8_t *alive, bool *right);

sluice_status tk_set(struct tk_rank *r, int64_t generation, const uint8_t *alive,
                     const sluice_comm *comm);

void tk_close(struct tk_rank *r);

#endif
