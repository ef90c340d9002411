/* SPDX-License-Identifier: Apache-2.0 */
#include "move_scene.h"

static const sluice_dtype F32 = {SLUICE_FLOAT, 32, 1}, F16 = {SLUICE_FLOAT, 16, 1},
                          BF16 = {SLUICE_BFLOAT, 16, 1};

struct scene draw_scene(uint64_t seed, int32_t ranks)
{
    static const int32_t RANKS[] = {1, 1, 2, 2, 3, 4, 4, 8}, ALIGNS[] = {1, 1, 4, 16};
    uint64_t s = mix(seed);
    struct scene c = {.seed = seed,
                      .ranks = RANKS[below(&s, 8)],
                      .slots = 1 + below(&s, MOST_SLOTS),
                      .row_bytes = 1024};
    c.ranks = ranks ? ranks : c.ranks;
    c.shared = below(&s, 3);
    c.top_k = 1 + below(&s, c.slots * c.ranks < 8 ? c.slots * c.ranks : 8);
    c.columns = c.top_k + c.shared - (chance(&s, 20) && c.top_k > 1);
    c.most = chance(&s, 15) ? 900 : 48; /* of more than one block, and of one */
    c.width = 1 + below(&s, c.most > 48 ? 8 : 70);
    c.payloads = 1 + below(&s, PAYLOADS);
    c.fixed = chance(&s, 50);
    c.strided = c.fixed && chance(&s, 30);
    c.align = c.strided ? 1 : ALIGNS[below(&s, 4)];
    c.order = chance(&s, 40) ? SLUICE_COMBINE_PER_RANK : SLUICE_COMBINE_EXACT;
    c.type = chance(&s, 40) ? F32 : chance(&s, 50) ? F16 : BF16;
    c.gaps = chance(&s, 30);
    c.wide = chance(&s, 30);
    c.on_input = chance(&s, 20);
    c.multiply = c.on_input && chance(&s, 70);
    c.zero = chance(&s, 30);
    c.scaled = chance(&s, 30);
    c.part = chance(&s, 30);
    c.outside = chance(&s, 20);
    c.twice = chance(&s, 25);
    c.native = chance(&s, 25);
    if (c.fixed && chance(&s, 50)) {
        c.capacity_pair = chance(&s, 40) ? 1 + below(&s, 20) : 0;
        c.capacity_rows = chance(&s, 40) ? 1 + below(&s, 60) : 0;
        c.capacity_slot = chance(&s, 40) ? 1 + below(&s, 20) : 0;
        c.capacity_back = chance(&s, 40) ? 1 + below(&s, 30) : 0;
    }
    c.full = chance(&s, 30);
    if (c.full)
        c.row_bytes =
            c.width * c.type.bits / 8 + (c.payloads > 1 ? 7 : 0) + (c.payloads > 2 ? 16 : 0);
    c.experts = c.slots * c.ranks;
    c.stale = chance(&s, 40);
    if (!c.stale)
        return c;
    c.experts -= below(&s, c.experts - c.top_k + 1);
    c.by_copy = c.shared > 0 && chance(&s, 30);
    c.steps = 1 + below(&s, 3);
    c.before = below(&s, 4);
    c.captured = c.fixed && chance(&s, 50);
    return c;
}

struct scene rounds_scene(uint64_t seed)
{
    return (struct scene){.seed = seed,
                          .ranks = 2,
                          .slots = 2,
                          .experts = 4,
                          .top_k = 1,
                          .columns = 1,
                          .width = (2 << 18) + 3,
                          .payloads = 1,
                          .align = 1,
                          .order = seed % 2 ? SLUICE_COMBINE_EXACT : SLUICE_COMBINE_PER_RANK,
                          .most = 17,
                          .type = {SLUICE_FLOAT, 32, 1},
                          .row_bytes = (2 << 20) + 64,
                          .away = true};
}
