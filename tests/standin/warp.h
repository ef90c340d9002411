/* SPDX-License-Identifier: Apache-2.0 */
/* A launch as it runs: a grid of blocks, a block of warps, a warp of fragments (lanes that stand at
 * one instruction). The fragment at the lowest instruction goes first, so lanes meet again after a
 * branch; one that has waited long goes before it, so that lanes may wait for one another. */
#ifndef STANDIN_WARP_H
#define STANDIN_WARP_H

#include "memory.h"
#include "ptx.h"
#include "standin.h"

enum frag_state { FRAG_RUN, FRAG_COLLECT, FRAG_BARRIER };

struct frag {
    uint32_t mask;
    int32_t pc;
    enum frag_state state;
    uint32_t member; /* FRAG_COLLECT: the mask it waits for */
    uint64_t last;   /* warp instructions when it last ran */
};

enum run_result { RUN_BLOCKED, RUN_YIELD, RUN_DONE, RUN_FAULT };

struct cell; /* what the race check knows of a word of shared memory */
struct lane_sync;
struct race_log;

struct warp {
    struct cta *cta;
    const struct ptx_function *fn;
    uint64_t (*rows)[32];
    uint32_t *written; /* a mask for each row, then for each predicate */
    uint32_t *preds;
    uint8_t *local; /* local_bytes for each lane */
    uint8_t *local_init;
    uint32_t lanes, exited; /* lanes that there are, lanes that have left */
    struct frag frags[32];
    int nfrags;
    int32_t poll_pc;
    uint32_t index;
    uint64_t executed;
    const struct mem_alloc *cache;
    uint32_t *block_clock;      /* [warps]: what this warp knows of the others */
    uint32_t (*lane_clock)[32]; /* [lane][other]: likewise within the warp */
    struct lane_sync *sync;     /* [32]: race_global.h */
};

struct barrier {
    uint64_t here;  /* warps that came, bits */
    uint32_t count; /* warps wanted, 0: all */
    int32_t pc;
};

struct cta {
    struct grid *grid;
    uint32_t id[3];
    uint64_t linear;
    struct warp *warps;
    uint32_t nwarps;
    uint8_t *shared, *shared_init;
    struct cell *cells;
    uint32_t shared_bytes;
    struct barrier barriers[16];
};

struct grid {
    const struct ptx_function *fn;
    uint32_t blocks[3], threads[3];
    uint32_t dynamic_shared;
    uint8_t *params;
    uint64_t id;
    int device;
    uint64_t budget; /* warp instructions left to the launch */
    struct standin_counters counters;
    struct race_log *races; /* of global memory */
    int error;              /* CUresult of the first fault, 0 without */
};

/* Runs a grid to its end; its error tells how. */
void grid_run(struct grid *grid);

enum run_result warp_run(struct warp *warp);

/* Puts the lanes of a barrier's fragments on their way. */
void warp_release(struct warp *warp);

/* Ends the grid: records text that names kernel, lines, block and thread. `lane` -1: no lane. */
__attribute__((format(printf, 5, 6))) void warp_fault(struct warp *warp, const struct ptx_ins *ins,
                                                      int lane, int error, const char *format, ...);

/* Race checks of shared memory (race.c). */
size_t race_cell_bytes(void);
void race_access(struct warp *warp, const struct ptx_ins *ins, int lane, uint32_t offset,
                 uint32_t bytes, bool write, bool atomic, bool same_value);
void race_warp_sync(struct warp *warp, uint32_t mask);
void race_barrier(struct cta *cta, uint64_t warps);

#define WARP_FULL UINT32_MAX

static inline const uint64_t *warp_source(const struct warp *warp, const struct ptx_ins *ins, int i)
{
    int32_t row = ins->s[i];
    return row >= 0 ? warp->rows[row] : warp->fn->consts[~row];
}

#endif
