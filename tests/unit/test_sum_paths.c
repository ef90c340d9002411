/* dispatch and combine give the same bits on every code path: both orders, weights on the input or
 * the output, zero_weight, scale, any bits in the payload. */
#include "abi/ext/device.h"
#include "ct.h"
#include "trip_world.h"

static void run(struct trip *trip, const char *path)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    ct_eq_i64(device->use_path(path), SLUICE_OK);
    trip_run(trip);
    (void)device->use_path(NULL);
}

static void check_widths(struct trip *one, struct trip *other)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    const char *const *paths = device->paths();
    for (int32_t width = 1; width < TRIP_WIDTH && !ct_failed(); width += width < 20 ? 3 : 16) {
        one->width = width;
        trip_draw(one, (uint64_t)width);
        *other = *one;
        run(one, paths[0]);
        for (int32_t i = 1; paths[i] && !ct_failed(); i++) {
            run(other, paths[i]);
            ct_note("%s, type %d, order %d, weights on input %d, %d ranks, %d wide", paths[i],
                    one->type, one->order, one->on_input, one->ranks, width);
            ct_true(trip_same(other, one));
        }
    }
}

static void check_order(int32_t order)
{
    const sluice_device_api *device = ct_api()->extension(SLUICE_EXT_DEVICE);
    if (!device->paths()[1])
        ct_skip("this machine has the portable code alone");
    struct trip *one = ct_alloc(sizeof *one), *other = ct_alloc(sizeof *other);
    one->tokens = 21;
    one->order = order;
    for (one->type = 0; one->type < 3; one->type++)
        for (one->on_input = 0; one->on_input < 2; one->on_input++)
            for (one->ranks = 1; one->ranks <= TRIP_RANKS; one->ranks++)
                check_widths(one, other);
}

CT(sum_paths, exact, "in exact order dispatch and combine have the same bits on every code path")
{
    check_order(SLUICE_COMBINE_EXACT);
}

CT(sum_paths, per_rank, "and in the order of ranks")
{
    check_order(SLUICE_COMBINE_PER_RANK);
}
