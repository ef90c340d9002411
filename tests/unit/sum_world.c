#include "sum_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ct.h"
#include "ct_sluice.h"

enum { E = 5 };

static const sluice_load_api *load(void)
{
    return ct_api()->extension(SLUICE_EXT_LOAD);
}

/* --------------------------------------------------------------------------- communicator */

/* With equal configs all headers are equal. */
static sluice_status all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct sum_member *member = user;
    (void)channel;
    (void)timeout_ns;
    (void)peer;
    for (int32_t r = 0; r < member->world->ranks; r++)
        memcpy((char *)recv + (size_t)r * bytes, send, bytes);
    return SLUICE_OK;
}

static sluice_status all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    (void)user, (void)channel, (void)send, (void)send_bytes, (void)recv, (void)recv_bytes;
    (void)timeout_ns, (void)peer;
    return SLUICE_MISMATCH; /* nothing here exchanges */
}

static sluice_status post(struct sum_world *world, struct sum_message message, uint64_t *request)
{
    for (int32_t i = 0; i < SUM_MESSAGES; i++) {
        if (world->messages[i].used)
            continue;
        world->most = i >= world->most ? i + 1 : world->most;
        world->messages[i] = message;
        world->messages[i].used = true;
        world->messages[i].at = world->now;
        *request = (uint64_t)i;
        return SLUICE_OK;
    }
    ct_record(__FILE__, __LINE__, "too many messages");
    return SLUICE_NO_MEMORY;
}

static sluice_status isend(void *user, int32_t channel, int32_t to, const void *data, size_t bytes,
                           uint64_t *request)
{
    const struct sum_member *member = user;
    struct sum_message message = {
        .channel = channel, .from = member->rank, .to = to, .bytes = bytes, .out = data};
    uint64_t copy;
    if (!member->world->eager)
        return post(member->world, message, request);
    message.data = malloc(bytes);
    if (!message.data)
        return SLUICE_NO_MEMORY;
    memcpy(message.data, data, bytes);
    message.out = message.data;
    (void)post(member->world, message, &copy);
    *request = SUM_MESSAGES;
    return SLUICE_OK;
}

static sluice_status irecv(void *user, int32_t channel, int32_t from, void *data, size_t bytes,
                           uint64_t *request)
{
    const struct sum_member *member = user;
    const struct sum_message message = {.receives = true,
                                        .channel = channel,
                                        .from = from,
                                        .to = member->rank,
                                        .bytes = bytes,
                                        .data = data};
    return post(member->world, message, request);
}

/* The oldest of its kind on the same channel between the same ranks that has not met: slots are
 * reused, so the tick and then the slot tell; a rank sends one message a tick at most there. */
static struct sum_message *oldest(struct sum_world *world, const struct sum_message *like,
                                  bool receives)
{
    struct sum_message *found = NULL;
    for (int32_t i = 0; i < world->most; i++) {
        struct sum_message *m = &world->messages[i];
        if (m->used && !m->done && !m->cancelled && m->receives == receives &&
            m->channel == like->channel && m->from == like->from && m->to == like->to &&
            (!found || m->at < found->at))
            found = m;
    }
    return found;
}

static void match(struct sum_world *world, struct sum_message *any)
{
    struct sum_message *out = oldest(world, any, false), *in = oldest(world, any, true);
    if (!out || !in || world->now < out->at + world->delay)
        return;
    ct_expect_eq_i64((int64_t)out->bytes, (int64_t)in->bytes);
    memcpy(in->data, out->out, in->bytes);
    in->done = true;
    out->done = true;
    if (out->data) {
        free(out->data);
        out->used = false;
    }
}

static sluice_status poll(void *user, uint64_t request, int32_t *done)
{
    const struct sum_member *member = user;
    *done = 1;
    if (request == SUM_MESSAGES)
        return SLUICE_OK;
    struct sum_message *message = &member->world->messages[request];
    ct_expect_true(message->used);
    if (!message->cancelled && !message->done)
        match(member->world, message);
    *done = message->done || message->cancelled;
    sluice_status status = message->done || !*done ? SLUICE_OK : SLUICE_CANCELLED;
    message->used = !*done;
    return status;
}

static void cancel(void *user, int32_t channel)
{
    const struct sum_member *member = user;
    for (int32_t i = 0; i < member->world->most; i++) {
        struct sum_message *m = &member->world->messages[i];
        bool own = m->receives ? m->to == member->rank : m->from == member->rank && !m->data;
        if (m->used && !m->done && own && (channel < 0 || channel == m->channel))
            m->cancelled = true;
    }
}

static void resume(void *user, int32_t channel)
{
    (void)user;
    (void)channel;
}

/* ---------------------------------------------------------------------------------- ranks */

static int64_t ticks(void *user)
{
    return ((struct sum_world *)user)->now * SUM_TICK_NS;
}

static sluice_context *open_rank(struct sum_world *world, int32_t rank)
{
    const sluice_host host = {.struct_size = sizeof host, .user = world, .clock = ticks};
    const sluice_comm comm = {.struct_size = sizeof comm,
                              .rank = rank,
                              .size = world->ranks,
                              .user = &world->member[rank],
                              .all_gather = all_gather,
                              .all_to_all = all_to_all,
                              .isend = isend,
                              .irecv = irecv,
                              .poll = poll,
                              .cancel = cancel,
                              .resume = resume};
    sluice_router router = {.struct_size = sizeof router, .experts = E, .top_k = 1};
    sluice_config config = ct_config(&router, 1, rank, world->ranks);
    config.comm = &comm;
    config.uses = SLUICE_USE_SUMMED_LOAD;
    config.host = &host;
    return ct_open(&config);
}

static void count(sluice_context *context, int32_t times)
{
    int32_t ids[SUM_RANKS];
    for (int32_t i = 0; i < times; i++)
        ids[i] = i % E;
    const sluice_record_args args = {.struct_size = sizeof args,
                                     .recorder_ids = ct_tensor(ids, CT_I32, times, 0)};
    ct_expect_eq_i64(ct_api()->record(context, &args), SLUICE_OK);
}

static void step(struct sum_world *world, int32_t rank)
{
    int64_t since = world->now - world->begins[rank];
    int32_t done = 0;
    if (world->begins[rank] == SUM_NEVER || since < 0 ||
        (world->dies[rank] && world->now > world->dies[rank]))
        return;
    sluice_status status = SLUICE_OK;
    if (since == 0)
        status = load()->window_end(world->context[rank], NULL);
    else if (since % (world->done[rank] ? 16 : world->every[rank]))
        return;
    else if (!world->done[rank] || !world->status[rank])
        status = load()->window_poll(world->context[rank], &done);
    if (world->done[rank] || (!done && !status))
        return;
    world->done[rank] = true;
    world->ended[rank] = world->now;
    world->status[rank] = status;
    if (status)
        (void)sscanf(ct_error(world->context[rank]), "rank %d did", &world->named[rank]);
}

struct sum_world *sum_world(int32_t ranks, bool eager)
{
    struct sum_world *world = ct_alloc(sizeof *world);
    *world = (struct sum_world){.ranks = ranks, .eager = eager};
    return world;
}

void sum_world_run(struct sum_world *world)
{
    const sluice_load_windows config = {
        .struct_size = sizeof config,
        .kept = 2,
        .timeout_ns = world->timeout_ns ? world->timeout_ns : (int64_t)SUM_TIMEOUT * SUM_TICK_NS};
    for (int32_t r = 0; r < world->ranks; r++) {
        world->member[r].world = world;
        world->member[r].rank = r;
        world->named[r] = -1;
        world->every[r] = world->every[r] ? world->every[r] : 8;
        world->context[r] = open_rank(world, r);
        ct_true(world->context[r] != NULL);
        ct_expect_eq_i64(load()->windows(world->context[r], &config), SLUICE_OK);
        count(world->context[r], r + 1);
    }
    for (; world->now < 5 * SUM_TIMEOUT; world->now++)
        for (int32_t r = 0; r < world->ranks; r++)
            step(world, r);
}

void sum_world_whole(struct sum_world *world)
{
    int64_t want[E] = {0}, counts[E];
    for (int32_t r = 0; r < world->ranks; r++)
        for (int32_t i = 0; i <= r; i++)
            want[i % E]++;
    for (int32_t r = 0; r < world->ranks; r++) {
        sluice_load_window window = {
            .struct_size = sizeof window, .count = 1, .stride = E, .counts = counts};
        ct_expect_true(world->done[r]);
        ct_expect_eq_i64(world->status[r], SLUICE_OK);
        ct_expect_eq_i64(load()->window(world->context[r], &window), SLUICE_OK);
        ct_expect_eq_mem(counts, want, sizeof want);
    }
}

void sum_world_close(struct sum_world *world)
{
    for (int32_t r = 0; r < world->ranks; r++)
        ct_api()->close(world->context[r]);
    for (int32_t i = 0; i < world->most; i++) {
        if (world->messages[i].used && world->messages[i].data && !world->messages[i].receives)
            free(world->messages[i].data);
        else
            ct_expect_true(!world->messages[i].used);
    }
}
