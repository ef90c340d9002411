/* Any sequence of calls with damaged arguments: each gives a status that the header names, with a
 * text where it is a refusal; nothing outside the outputs' elements is written, and what is refused
 * counts nothing. */
#include "fuzz_args_world.h"

#include "abi/ext/load.h"

#include <string.h>

enum { MOST_CALLS = 12, CALL_BYTES = 64 };

struct counters {
    int64_t counts[FA_LAYERS * FA_N];
};

static struct counters read_counters(const struct fa_world *world)
{
    const sluice_load_api *load = world->api->extension(SLUICE_EXT_LOAD);
    struct counters c;
    FZ_HOLDS(load->snapshot(world->context, c.counts, FA_N, NULL) == SLUICE_OK);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fa_world world;
    struct fz_bytes in = {data, size};
    fa_open(&world, &in);
    for (int32_t i = 0; i < MOST_CALLS && in.left > 0; i++) {
        /* A call has bytes of its own: a change in one leaves the others as they were. */
        struct fz_bytes call = {in.at, in.left < CALL_BYTES ? in.left : CALL_BYTES};
        in.at += call.left;
        in.left -= call.left;
        world.in = &call;
        const struct counters before = read_counters(&world);
        int32_t kind = fz_range(&call, 0, 15);
        if (kind == 15) {
            fa_try_open(&world);
            continue;
        }
        sluice_status status = kind < 8    ? fa_core_call(&world)
                               : kind < 12 ? fa_exchange_call(&world)
                                           : fa_extension_call(&world);
        fz_status(world.api, world.context, status);
        fz_after(&world.heap);
        fz_free(&world.heap);
        if (status == SLUICE_OK)
            continue;
        const struct counters after = read_counters(&world);
        FZ_HOLDS(memcmp(&before, &after, sizeof before) == 0);
    }
    world.api->close(world.context);
    return 0;
}
