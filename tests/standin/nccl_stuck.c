/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that can never end, told with ranks and operations. A launch ends when all of its
 * transfers have, and only then does its rank run another; so where one side of a lane waits and
 * the other side's rank runs a launch without that transfer, the first waits for the second's
 * launch, and a circle of such waits is a deadlock. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nccl_comm.h"
#include "nccl_driver.h"

struct text {
    char data[1000];
    size_t at;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wrote = vsnprintf(text->data + text->at, sizeof text->data - text->at, format, args);
    va_end(args);
    size_t room = sizeof text->data - text->at - 1;
    text->at += wrote < 0 ? 0 : (size_t)wrote < room ? (size_t)wrote : room;
}

static void say(struct world *world, const struct text *text)
{
    world->head->reported = 1;
    driver()->standin_say(text->data);
}

static void add_side(struct text *text, const struct lane_side *side)
{
    struct op op = {.kind = (enum op_kind)side->kind,
                    .count = side->count,
                    .type = (ncclDataType_t)side->type,
                    .op = (ncclRedOp_t)side->op,
                    .root = side->root};
    char words[96];
    op_text(&op, words, sizeof words);
    add(text, "%s", words);
}

void report_mismatch(struct world *world, int32_t from, int32_t to, const struct lane *lane)
{
    struct text text = {.at = 0};
    bool p2p = lane->send.kind == OP_SEND;
    if (world->head->reported)
        return;
    add(&text, "NCCL: operations do not match: rank %d has ", from);
    add_side(&text, &lane->send);
    add(&text, ", rank %d has ", to);
    struct lane_side got = lane->recv;
    got.kind = p2p ? OP_RECV : got.kind;
    add_side(&text, &got);
    say(world, &text);
}

/* Runs a launch, or is at its end, where it waits for all. */
static bool busy(const struct seat *seat)
{
    return seat->running || seat->state == SEAT_LEFT;
}

static bool waits_for(struct world *world, int32_t waiter, int32_t other)
{
    if (world->seats[waiter].state == SEAT_LEFT)
        return world->seats[other].state == SEAT_TAKEN;
    if (!busy(&world->seats[waiter]) || !busy(&world->seats[other]))
        return false;
    for (int class = 0; class < LANE_CLASSES; class ++) {
        const struct lane *out = world_lane(world, waiter, other, (enum lane_class) class);
        const struct lane *in = world_lane(world, other, waiter, (enum lane_class) class);
        if ((out->send_left && !out->recv_left) || (in->recv_left && !in->send_left))
            return true;
    }
    return false;
}

static void add_rank(struct text *text, const struct world *world, int32_t rank)
{
    const struct seat *seat = &world->seats[rank];
    if (seat->state == SEAT_TAKEN && !world_alive(world, rank))
        add(text, "; rank %d: its process is gone", rank);
    else if (seat->state == SEAT_EMPTY)
        add(text, "; rank %d never came", rank);
    else if (seat->state != SEAT_TAKEN)
        add(text, "; rank %d %s", rank, seat->state == SEAT_LEFT ? "finalizes" : "was aborted");
    else if (seat->running)
        add(text, "; rank %d at launch %llu: %s", rank, (unsigned long long)seat->launches,
            seat->doing);
    else
        add(text, "; rank %d idle after launch %llu", rank, (unsigned long long)seat->launches);
}

/* Follows waits from a rank: every rank on a circle is left with a wait for one that is left. */
static uint64_t stuck_ranks(struct world *world)
{
    uint64_t left = 0, before;
    for (int32_t r = 0; r < world->nranks; r++)
        left |= (uint64_t)busy(&world->seats[r]) << r;
    do {
        before = left;
        for (int32_t r = 0; r < world->nranks; r++) {
            bool waits = false;
            for (int32_t p = 0; p < world->nranks && left >> r & 1 && !waits; p++)
                waits = left >> p & 1 && waits_for(world, r, p);
            if (!waits)
                left &= ~(1ULL << r);
        }
    } while (left != before);
    return left;
}

void report_deadlock(struct world *world)
{
    struct text text = {.at = 0};
    if (world->head->reported)
        return;
    uint64_t stuck = stuck_ranks(world);
    if (!stuck)
        return;
    add(&text, "NCCL: deadlock");
    for (int32_t r = 0; r < world->nranks; r++)
        if (stuck >> r & 1)
            add_rank(&text, world, r);
    say(world, &text);
}

static double number(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text ? strtod(text, NULL) : otherwise;
}

void report_late(struct world *world, int32_t rank, int64_t ms)
{
    struct text text = {.at = 0};
    double limit = number("STANDIN_NCCL_TIMEOUT", 15.0) * number("CT_PATIENCE", 1.0);
    if (world->head->reported || (double)ms < limit * 1000.0)
        return;
    add(&text, "NCCL: rank %d has waited for %lld ms", rank, (long long)ms);
    for (int32_t r = 0; r < world->nranks; r++)
        add_rank(&text, world, r);
    say(world, &text);
}
