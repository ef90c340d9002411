/* SPDX-License-Identifier: Apache-2.0 */
/* What bodies share. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nccl_team.h"

drv_address team_upload(struct member *m, const void *data, size_t bytes)
{
    drv_address at = 0;
    if (m->f->cuMemAlloc_v2(&at, bytes ? bytes : 1) ||
        (data && bytes && m->f->cuMemcpyHtoD_v2(at, data, bytes)))
        team_fail(m, "rank %d: no upload", m->rank);
    return at;
}

void *team_device(drv_address at)
{
    void *pointer;
    memcpy(&pointer, &at, sizeof pointer);
    return pointer;
}

void team_expect(struct member *m, drv_address at, const void *want, uint64_t bytes,
                 const char *what)
{
    const uint8_t *bytes_wanted = want;
    uint8_t *got = malloc(bytes + 1);
    if (!got)
        abort();
    int error = m->f->cuStreamSynchronize(m->stream);
    error = error || !bytes ? error : m->f->cuMemcpyDtoH_v2(got, at, bytes);
    if (error)
        team_fail(m, "rank %d: %s: error %d", m->rank, what, error);
    for (uint64_t i = 0; !error && i < bytes; i++)
        if (got[i] != bytes_wanted[i]) {
            team_fail(m, "rank %d: %s: byte %llu is %d, not %d", m->rank, what,
                      (unsigned long long)i, got[i], bytes_wanted[i]);
            break;
        }
    free(got);
}

ncclResult_t team_settle(struct member *m)
{
    const struct timespec pause = {0, 1000000};
    ncclResult_t state = ncclInProgress;
    while (m->f->ncclCommGetAsyncError(m->comm, &state) == ncclSuccess && state == ncclInProgress)
        (void)nanosleep(&pause, NULL);
    return state;
}

ncclResult_t team_begin_without_blocking(struct member *m)
{
    enum { OPEN = INT_MIN };
    ncclConfig_t config = {.size = sizeof config,
                           .magic = STANDIN_NCCL_MAGIC,
                           .version = STANDIN_NCCL_VERSION,
                           .blocking = 0,
                           .cgaClusterSize = OPEN,
                           .minCTAs = OPEN,
                           .maxCTAs = OPEN,
                           .splitShare = OPEN,
                           .trafficClass = OPEN,
                           .collnetEnable = OPEN,
                           .CTAPolicy = OPEN,
                           .shrinkShare = OPEN,
                           .nvlsCTAs = OPEN,
                           .nChannelsPerNetPeer = OPEN,
                           .nvlinkCentricSched = OPEN};
    return m->f->ncclCommInitRankConfig(&m->comm, m->nranks, m->id, m->rank, &config);
}

/* Threads see a report that is awaited; another process's they do not. */
void team_pause(const struct member *m)
{
    const struct timespec pause = {0, 5000000};
    int most = m->awaits_report ? 4000 : 10;
    for (int i = 0; i < most && !(m->awaits_report && m->f->standin_violations()); i++)
        (void)nanosleep(&pause, NULL);
}

static void *abort_soon(void *arg)
{
    const struct member *m = arg;
    team_pause(m);
    return m->f->ncclCommAbort(m->comm) ? arg : NULL;
}

void team_abort_beside(struct member *m)
{
    pthread_t thread;
    void *failed = m;
    TEAM_OK(m, pthread_create(&thread, NULL, abort_soon, m));
    int error = m->f->cuStreamSynchronize(m->stream);
    TEAM_OK(m, pthread_join(thread, &failed));
    m->comm = NULL;
    TEAM_TRUE(m, !failed);
    TEAM_OK(m, error);
}

ncclResult_t team_finalize_beside(struct member *m)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, abort_soon, m) != 0)
        return ncclSystemError;
    ncclResult_t result = m->f->ncclCommFinalize(m->comm);
    (void)pthread_join(thread, NULL);
    m->comm = NULL;
    return result;
}

ncclResult_t team_async(struct member *m)
{
    const struct timespec pause = {0, 1000000};
    ncclResult_t state = ncclSuccess;
    while (m->f->ncclCommGetAsyncError(m->comm, &state) == ncclSuccess && !state)
        (void)nanosleep(&pause, NULL);
    return state;
}
