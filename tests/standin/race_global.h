/* SPDX-License-Identifier: Apache-2.0 */
/* Races in global memory, within a launch. Two accesses of one byte by different threads, one of
 * them a store, must be ordered, or both be strong (atomic, volatile, or of an order) at a scope
 * that holds both threads. What orders is what the PTX memory model says does (PTX ISA, "Memory
 * Consistency Model"): program order, barriers, bar.warp.sync, and a release pattern that an
 * acquire pattern observes: a fence and then a strong store of a flag, or a store with .release; a
 * strong load that sees it and then a fence, or a load with .acquire. So a missing fence, one on
 * the wrong side of the flag, or a scope that ends at the block shows as a race of the data,
 * whatever order the stand-in ran them in. Stores of the value that is there already are a class of
 * their own: they are counted. */
#ifndef STANDIN_RACE_GLOBAL_H
#define STANDIN_RACE_GLOBAL_H

#include "warp.h"

enum race_kind { RACE_LOAD, RACE_STORE, RACE_CHANGE };

/* What a thread knows of others beyond its block's barriers. */
struct know;
struct lane_sync {
    struct know *known;   /* happened before */
    struct know *pending; /* seen by a strong load, known after a fence */
    struct know *fenced;  /* what a strong store gives on: known at the last fence */
    struct know *lost;    /* seen, but not released, or not to this block: for messages */
    bool near;            /* the last fence ends at the device */
};

/* The memory of a launch's check. */
struct race_log *race_log_make(void);
void race_log_free(struct race_log *log);

/* An access by one lane; `value` are the bytes that a store will write over `now`. */
void race_global(struct warp *warp, const struct ptx_ins *ins, int lane, uint64_t address,
                 uint32_t bytes, enum race_kind kind, const void *value, const void *now);

/* Does a strong access reach all whose memory this is? Memory of the host, of another device, or
 * that another device did strong accesses to wants .sys. False after a report. */
bool race_reach(struct warp *warp, const struct ptx_ins *ins, int lane, bool store,
                const struct mem_alloc *alloc);

/* A fence of the lanes. */
void race_fence(struct warp *warp, const struct ptx_ins *ins, uint32_t mask);

/* Lanes that met at bar.warp.sync, or warps that met at a barrier, know what any of them does. */
void race_share(struct warp *warp, uint32_t mask);
void race_share_block(struct cta *cta, uint64_t warps);

#endif
