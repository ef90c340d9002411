/* SPDX-License-Identifier: Apache-2.0 */
/* Races in shared memory. Two accesses of one word by different threads, one of them a plain store,
 * must be ordered: by a barrier of their block, or by bar.warp.sync within a warp. Shuffles and
 * votes order nothing. Each warp keeps what it knows of every other warp's clock, each lane of
 * every other lane's; a word remembers its last store and its last two readers. Stores by the lanes
 * of one instruction of one same value are allowed. */
#include "race_global.h"

struct stamp {
    uint16_t thread; /* warp * 32 + lane, + 1; 0: none */
    uint8_t bytes;   /* of the word */
    uint8_t atomic;
    uint32_t block_clock, lane_clock;
};

struct cell {
    struct stamp write, read[2];
    uint64_t instruction; /* of the last store: the warp's count */
};

size_t race_cell_bytes(void)
{
    return sizeof(struct cell);
}

static bool ordered(const struct warp *w, int lane, const struct stamp *s)
{
    uint32_t other = (s->thread - 1U) / 32, other_lane = (s->thread - 1U) % 32;
    if (other == w->index)
        return (int)other_lane == lane || w->lane_clock[lane][other_lane] > s->lane_clock;
    return w->block_clock[other] > s->block_clock;
}

static void check(struct warp *w, const struct ptx_ins *ins, int lane, uint32_t offset,
                  const struct stamp *s, uint8_t bytes, bool write)
{
    if (!s->thread || !(s->bytes & bytes) || ordered(w, lane, s))
        return;
    warp_fault(w, ins, lane, 719,
               "race in shared memory at offset %u: %s, and thread %d of the block %s, unordered",
               offset, write ? "stores" : "loads", s->thread - 1,
               s == &w->cta->cells[offset / 4].write ? "stored" : "loaded");
}

static void word_access(struct warp *w, const struct ptx_ins *ins, int lane, uint32_t offset,
                        uint8_t bytes, bool write, bool atomic, bool same_value)
{
    struct cell *cell = &w->cta->cells[offset / 4];
    struct stamp mine = {(uint16_t)(w->index * 32 + (uint32_t)lane + 1), bytes, atomic,
                         w->block_clock[w->index], w->lane_clock[lane][lane]};
    bool together = write && same_value && cell->instruction == w->executed && cell->write.thread &&
                    (cell->write.thread - 1U) / 32 == w->index;
    if (!(atomic && cell->write.atomic) && !together)
        check(w, ins, lane, offset, &cell->write, bytes, write);
    if (!write) {
        if (cell->read[0].thread != mine.thread)
            cell->read[1] = cell->read[0];
        cell->read[0] = mine;
        return;
    }
    for (int i = 0; i < 2; i++)
        check(w, ins, lane, offset, &cell->read[i], bytes, true);
    cell->write = mine;
    cell->instruction = w->executed;
}

void race_access(struct warp *warp, const struct ptx_ins *ins, int lane, uint32_t offset,
                 uint32_t bytes, bool write, bool atomic, bool same_value)
{
    for (uint32_t at = offset; at < offset + bytes; at += 4 - at % 4) {
        uint32_t n = offset + bytes - at < 4 - at % 4 ? offset + bytes - at : 4 - at % 4;
        word_access(warp, ins, lane, at, (uint8_t)(((1U << n) - 1) << at % 4), write, atomic,
                    same_value);
    }
}

void race_warp_sync(struct warp *warp, uint32_t mask)
{
    uint32_t most[32] = {0};
    for (int l = 0; l < 32; l++)
        for (int j = 0; (mask >> l & 1) && j < 32; j++)
            if (warp->lane_clock[l][j] > most[j])
                most[j] = warp->lane_clock[l][j];
    for (int l = 0; l < 32; l++) {
        if (!(mask >> l & 1))
            continue;
        for (int j = 0; j < 32; j++)
            warp->lane_clock[l][j] = most[j] + (uint32_t)(j != l && (mask >> j & 1));
        warp->lane_clock[l][l] = most[l] + 1;
    }
    race_share(warp, mask);
}

void race_barrier(struct cta *cta, uint64_t warps)
{
    race_share_block(cta, warps);
    for (uint32_t j = 0; j < cta->nwarps; j++) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < cta->nwarps; i++)
            if ((warps >> i & 1) && cta->warps[i].block_clock[j] > most)
                most = cta->warps[i].block_clock[j];
        for (uint32_t i = 0; i < cta->nwarps; i++)
            if (warps >> i & 1)
                cta->warps[i].block_clock[j] = most + (uint32_t)(warps >> j & 1);
    }
    for (uint32_t i = 0; i < cta->nwarps; i++)
        if (warps >> i & 1)
            race_warp_sync(&cta->warps[i], cta->warps[i].lanes);
}
