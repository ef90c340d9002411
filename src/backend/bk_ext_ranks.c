/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../core/mutant.h"
#include "bk_bank.h"
#include "bk_config.h"
#include "bk_exchange.h"
#include "bk_ext.h"
#include "bk_lane.h"

static sluice_status check_alive(sluice_context *context, const sluice_ranks *ranks,
                                 int32_t *living, int32_t *own)
{
    if (!ranks->alive)
        return sl_fail(context, SLUICE_INVALID, "ranks.alive is NULL: must be [%d]",
                       context->ranks);
    *living = 0;
    for (int32_t r = 0; r < context->ranks; r++) {
        if (ranks->alive[r] > 1)
            return sl_fail(context, SLUICE_INVALID, "ranks.alive[%d] is %d: must be 0 or 1", r,
                           ranks->alive[r]);
        if (r == context->rank)
            *own = *living;
        *living += ranks->alive[r];
    }
    if (!ranks->alive[context->rank])
        return sl_fail(context, SLUICE_INVALID, "ranks.alive[%d] is 0: this rank must live",
                       context->rank);
    return SLUICE_OK;
}

/* Does the communicator that will be used, the given or the present one, fit the living? */
static sluice_status check_comm(sluice_context *context, const sluice_comm *given, int32_t living,
                                int32_t own)
{
    const sluice_comm *comm = given ? given : &context->comm;
    if (given) {
        sluice_status status =
            sl_check_struct(context, NULL, 0, "ranks.comm", given, sizeof *given, sizeof *given);
        if (status)
            return status;
    }
    const char *which = given ? "ranks.comm" : "ranks.comm is NULL: the present one";
    if (comm->size != living || comm->rank != own)
        return sl_fail(context, SLUICE_INVALID,
                       "%s is rank %d of %d: among the living this is rank %d of %d", which,
                       comm->rank, comm->size, own, living);
    if (context->exchanges && living > 1 && (!comm->all_gather || !comm->all_to_all))
        return sl_fail(context, SLUICE_INVALID,
                       "%s has no all_gather and all_to_all: this context exchanges", which);
    if (living > 1 && !sl_config_messages(context->uses, comm))
        return sl_fail(context, SLUICE_INVALID,
                       "%s lacks one of isend, irecv, poll, cancel and resume: this context sums "
                       "its load",
                       which);
    return SLUICE_OK;
}

/* Who lives, and how they talk. */
struct verdict {
    int64_t generation;
    sluice_comm comm;
    uint8_t alive[SL_MAX_RANKS];
    int32_t node[SL_MAX_RANKS];
};

static void present(const sluice_context *context, struct verdict *verdict)
{
    verdict->generation = atomic_load(&context->generation);
    verdict->comm = context->comm;
    memcpy(verdict->alive, context->alive, (size_t)context->ranks);
    memcpy(verdict->node, context->node, (size_t)context->ranks * sizeof *verdict->node);
}

static void change(const sluice_context *context, const sluice_ranks *ranks,
                   struct verdict *verdict)
{
    int32_t living = 0;
    verdict->generation = ranks->generation;
    memcpy(verdict->alive, ranks->alive, (size_t)context->ranks);
    if (!ranks->comm)
        return;
    verdict->comm = *ranks->comm;
    for (int32_t r = 0; r < context->ranks; r++)
        if (verdict->alive[r])
            verdict->node[r] = ranks->comm->node ? ranks->comm->node[living++] : 0;
}

/* Puts a verdict in force on the host, then where the backend works. */
static sluice_status put(sluice_context *context, const struct verdict *verdict, void *stream)
{
    pthread_mutex_lock(&context->text_lock);
    atomic_store(&context->generation, verdict->generation);
    context->comm = verdict->comm;
    pthread_mutex_unlock(&context->text_lock);
    memcpy(context->alive, verdict->alive, (size_t)context->ranks);
    memcpy(context->node, verdict->node, (size_t)context->ranks * sizeof *context->node);
    context->living_count = 0;
    for (int32_t r = 0; r < context->ranks; r++)
        if (context->alive[r])
            context->living[context->living_count++] = r;
    for (int32_t i = 0; i < context->layer_count; i++)
        if (context->layers[i].bank_index == i)
            sl_bank_build(context, i, NULL);
    if (context->exchange)
        sl_exchange_number(context);
    return context->backend->renew(context, -1, stream);
}

static sluice_status take(sluice_context *context, const sluice_ranks *ranks, void *stream)
{
    struct verdict before, after;
    sluice_status status = sl_windows_stop(context, stream);
    if (status)
        return status;
    present(context, &before);
    after = before;
    change(context, ranks, &after);
    status = put(context, &after, stream);
    if (status) {
        (void)put(context, &before, stream);
        return status;
    }
    sl_windows_restart(context);
    sl_exchange_reset(context);
    return SLUICE_OK;
}

static sluice_status set(sluice_context *context, const sluice_ranks *ranks, void *stream)
{
    int64_t started;
    int32_t living = 0, own = 0;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if ((status =
             sl_check_struct(context, NULL, 0, "ranks", ranks, sizeof *ranks, sizeof *ranks)) ||
        (status = check_alive(context, ranks, &living, &own)) ||
        (status = check_comm(context, ranks->comm, living, own)))
        return status;
    int64_t present = atomic_load(&context->generation);
    if (ranks->generation <= present && !SL_MUTANT(stale_generation_accepted))
        return sl_fail(context, SLUICE_STALE, "ranks.generation is %lld: must be above %lld",
                       (long long)ranks->generation, (long long)present);
    const struct sl_backend *backend = context->backend;
    if (backend->may_wait && (status = backend->may_wait(context, stream)))
        return status;
    /* What follows waits for the stream, where an exchange with the dead may hang. */
    if (backend->cancel)
        backend->cancel(context);
    status = take(context, ranks, stream);
    if (status && context->exchange)
        sl_exchange_hold(context); /* what was under way has ended */
    return status;
}

static int64_t generation(const sluice_context *context)
{
    return context ? atomic_load(&context->generation) : -1;
}

static sluice_status alive(sluice_context *context, uint8_t *mask, int32_t count)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if (!mask || count != context->ranks)
        return sl_fail(context, SLUICE_INVALID, "alive is %s and count is %d: must be [%d]",
                       mask ? "given" : "NULL", count, context->ranks);
    memcpy(mask, context->alive, (size_t)count);
    return SLUICE_OK;
}

static sluice_status poll_fault(const sluice_context *context, sluice_fault *fault)
{
    /* The lock is not part of what const promises. */
    sluice_context *own = (sluice_context *)(uintptr_t)context;
    sluice_status status = sl_check_context(own);
    if (status ||
        (status = sl_check_struct(own, NULL, 0, "fault", fault, sizeof *fault, sizeof *fault)))
        return status;
    size_t size = fault->struct_size;
    if (own->backend->heed)
        own->backend->heed(own);
    pthread_mutex_lock(&own->text_lock);
    *fault = context->fault;
    pthread_mutex_unlock(&own->text_lock);
    fault->struct_size = size;
    return SLUICE_OK;
}

static sluice_status clear(sluice_context *context)
{
    int64_t started;
    sluice_status status = sl_enter(context, SLUICE_OP_COUNT, &started);
    if (status)
        return status;
    if (context->backend->heed)
        context->backend->heed(context);
    pthread_mutex_lock(&context->text_lock);
    context->fault = (sluice_fault){.struct_size = sizeof context->fault};
    pthread_mutex_unlock(&context->text_lock);
    return SLUICE_OK;
}

/* The lock keeps `set` from changing generation and comm in between. */
static sluice_status quiesce(sluice_context *context, int64_t passed)
{
    sluice_status status = sl_check_context(context);
    if (status)
        return status;
    pthread_mutex_lock(&context->text_lock);
    bool ends = atomic_load(&context->generation) <= passed;
    if (ends && context->comm.cancel)
        context->comm.cancel(context->comm.user, -1);
    if (ends && context->backend->cancel)
        context->backend->cancel(context);
    pthread_mutex_unlock(&context->text_lock);
    return SLUICE_OK;
}

const sluice_ranks_api sl_ranks_api = {
    .struct_size = sizeof sl_ranks_api,
    .set = set,
    .generation = generation,
    .alive = alive,
    .poll = poll_fault,
    .clear = clear,
    .quiesce = quiesce,
};
