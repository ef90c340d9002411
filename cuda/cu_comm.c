/* SPDX-License-Identifier: Apache-2.0 */
#include "cu_comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static const int64_t CLOSE_NS = 100000000;

/* What every rank tells the others before one is made, and how that went after. */
struct word {
    int32_t status;
    int32_t version;
    slnc_unique_id id; /* rank 0's */
};

size_t slc_comm_scratch(int32_t ranks)
{
    return (size_t)ranks * sizeof(struct word);
}

static slnc_config settings(const struct slc_nccl *nccl)
{
    slnc_config config = {.size = sizeof config,
                          .magic = SLNC_MAGIC,
                          .version = SLNC_CONFIG_VERSION,
                          .blocking = 0,
                          .cga_cluster_size = SLNC_NOT_GIVEN,
                          .min_ctas = SLNC_NOT_GIVEN,
                          .max_ctas = SLNC_NOT_GIVEN,
                          .split_share = 0};
    if (nccl->version < 21700) {
        config.size = offsetof(slnc_config, cga_cluster_size) + 4;
        config.version = 21400;
    } else if (nccl->version < 21800) {
        config.size = offsetof(slnc_config, split_share);
        config.version = 21700;
    }
    return config;
}

__attribute__((format(printf, 4, 5))) static sluice_status
say(char *text, size_t text_size, sluice_status status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (text && text_size)
        (void)vsnprintf(text, text_size, format, values);
    va_end(values);
    return status;
}

/* Everybody's word; `words` is [size]. */
static sluice_status share(const struct slc_comm_plan *plan, const struct word *mine,
                           struct word *words, int32_t *peer, char *text, size_t text_size)
{
    const sluice_comm *host = plan->host;
    sluice_status status = host->all_gather(host->user, plan->channel, mine, words, sizeof *mine,
                                            plan->timeout_ns, peer);
    if (status)
        return say(text, text_size, status, "rank %d did not come to make the communicator of NCCL",
                   *peer);
    for (int32_t r = 0; r < host->size; r++)
        if (words[r].status && r != host->rank && !mine->status) {
            *peer = r;
            return say(text, text_size, words[r].status,
                       "rank %d cannot make a communicator of NCCL: its own text says why", r);
        }
    return mine->status;
}

slnc_result slc_comm_settle(struct slc_comm *comm, slnc_result result, int64_t timeout_ns)
{
    const struct timespec moment = {.tv_nsec = 20000};
    int64_t since = comm->clock(comm->user);
    while (result == SLNC_IN_PROGRESS) {
        slnc_result now = SLNC_SUCCESS;
        if (!comm->comm)
            return SLNC_REMOTE_ERROR;
        result = comm->nccl.CommGetAsyncError(comm->comm, &now);
        if (result == SLNC_SUCCESS)
            result = now;
        if (result != SLNC_IN_PROGRESS || comm->clock(comm->user) - since > timeout_ns)
            break;
        /* Another may abort it meanwhile. */
        pthread_mutex_unlock(&comm->lock);
        (void)nanosleep(&moment, NULL);
        pthread_mutex_lock(&comm->lock);
    }
    return result;
}

/* From the engine's own, whose library is used; its ranks must be the host's. */
static slnc_result split(struct slc_comm *comm, const sluice_comm *host, slnc_config *config)
{
    int count = 0, rank = -1;
    (void)comm->nccl.CommCount(host->native, &count);
    (void)comm->nccl.CommUserRank(host->native, &rank);
    if (count != host->size || rank != host->rank)
        return SLNC_INVALID_ARGUMENT;
    return comm->nccl.CommSplit(host->native, 0, host->rank, &comm->comm, config);
}

static sluice_status make(struct slc_comm *comm, const struct slc_comm_plan *plan,
                          const struct word *first, bool by_split, char *text, size_t text_size)
{
    const sluice_comm *host = plan->host;
    slnc_config config = settings(&comm->nccl);
    pthread_mutex_lock(&comm->lock);
    slnc_result result = by_split ? split(comm, host, &config)
                                  : comm->nccl.CommInitRankConfig(&comm->comm, host->size,
                                                                  first->id, host->rank, &config);
    if (comm->comm)
        result = slc_comm_settle(comm, result, plan->timeout_ns);
    pthread_mutex_unlock(&comm->lock);
    if (result == SLNC_SUCCESS)
        return SLUICE_OK;
    if (text && text_size)
        (void)snprintf(text, text_size, "%s: %s",
                       by_split ? "splitting config.comm.native" : "ncclCommInitRankConfig",
                       result == SLNC_IN_PROGRESS
                           ? "not all ranks came in time"
                           : slc_nccl_error(&comm->nccl, comm->comm, result));
    return result == SLNC_IN_PROGRESS || result == SLNC_REMOTE_ERROR ? SLUICE_PEER_LOST
                                                                     : SLUICE_UNAVAILABLE;
}

static bool has_native(const sluice_comm *host)
{
    return host->native_kind == 1 && host->native && host->native_symbol;
}

/* Opens the library; `mine` says how that went. */
static void begin(struct slc_comm *comm, const sluice_comm *host, struct word *mine, char *text,
                  size_t text_size)
{
    bool found = has_native(host)
                     ? slc_nccl_of(&comm->nccl, host->native_symbol, host->user, text, text_size)
                     : slc_nccl(&comm->nccl, text, text_size);
    slnc_result result =
        found && host->rank == 0 ? comm->nccl.GetUniqueId(&mine->id) : SLNC_SUCCESS;
    if (result && text && text_size)
        (void)snprintf(text, text_size, "ncclGetUniqueId: %s",
                       slc_nccl_error(&comm->nccl, NULL, result));
    mine->status = !found || result ? SLUICE_UNAVAILABLE : SLUICE_OK;
    mine->version = comm->nccl.version;
}

static sluice_status open_with(struct slc_comm *comm, const struct slc_comm_plan *plan,
                               struct word *words, int32_t *peer, char *text, size_t text_size)
{
    const sluice_comm *host = plan->host;
    struct word mine = {.status = SLUICE_OK};
    begin(comm, host, &mine, text, text_size);
    sluice_status status = share(plan, &mine, words, peer, text, text_size);
    for (int32_t r = 0; !status && r < host->size; r++)
        if (words[r].version != mine.version) {
            *peer = r;
            status =
                say(text, text_size, SLUICE_UNAVAILABLE, "rank %d has another version of NCCL", r);
        }
    if (status)
        return status;
    bool by_split = has_native(host) && comm->nccl.CommSplit;
    const struct word first = words[0];
    mine.status = make(comm, plan, &first, by_split, text, text_size);
    status = share(plan, &mine, words, peer, text, text_size);
    if (status)
        slc_comm_abort(comm);
    return status;
}

sluice_status slc_comm_open(struct slc_comm *comm, const struct slc_comm_plan *plan, int32_t *peer,
                            char *text, size_t text_size)
{
    *peer = -1;
    comm->clock = plan->clock;
    comm->user = plan->user;
    comm->ranks = plan->host->size;
    if (!comm->made && pthread_mutex_init(&comm->lock, NULL) != 0)
        return say(text, text_size, SLUICE_NO_MEMORY, "no memory for a communicator's lock");
    __atomic_store_n(&comm->made, true, __ATOMIC_RELEASE);
    return open_with(comm, plan, plan->scratch, peer, text, text_size);
}

bool slc_comm_use(struct slc_comm *comm)
{
    if (!__atomic_load_n(&comm->made, __ATOMIC_ACQUIRE))
        return false;
    pthread_mutex_lock(&comm->lock);
    if (comm->comm)
        return true;
    pthread_mutex_unlock(&comm->lock);
    return false;
}

void slc_comm_rest(struct slc_comm *comm)
{
    pthread_mutex_unlock(&comm->lock);
}

bool slc_comm_failed(struct slc_comm *comm)
{
    slnc_result now = SLNC_SUCCESS;
    if (!slc_comm_use(comm))
        return false;
    slnc_result result = comm->nccl.CommGetAsyncError(comm->comm, &now);
    slc_comm_rest(comm);
    return result != SLNC_SUCCESS || (now != SLNC_SUCCESS && now != SLNC_IN_PROGRESS);
}

void slc_comm_abort(struct slc_comm *comm)
{
    if (!slc_comm_use(comm))
        return;
    (void)comm->nccl.CommAbort(comm->comm);
    comm->comm = NULL;
    slc_comm_rest(comm);
}

void slc_comm_close(struct slc_comm *comm)
{
    if (slc_comm_use(comm)) {
        slnc_result result = comm->nccl.CommFinalize(comm->comm);
        if (slc_comm_settle(comm, result, CLOSE_NS) == SLNC_SUCCESS &&
            comm->nccl.CommDestroy(comm->comm) == SLNC_SUCCESS)
            comm->comm = NULL;
        slc_comm_rest(comm);
    }
    slc_comm_abort(comm);
    if (comm->made)
        pthread_mutex_destroy(&comm->lock);
    *comm = (struct slc_comm){.ranks = 0};
}
