#include "faulty_comm.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "ct.h"

static const int64_t LONG = 20000000000;

/* Waits until *count has come to `want`. A test that is stuck ends with a failure. */
static void wait_count(struct faulty_group *group, const int32_t *count, int32_t want)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    while (*count < want)
        if (pthread_cond_timedwait(&group->change, &group->lock, &until) == ETIMEDOUT) {
            ct_record(__FILE__, __LINE__, "a rank did not come to its callback");
            return;
        }
}

struct call {
    int32_t channel;
    const void *send;
    void *recv;
    size_t bytes;
    const void *const *sends; /* all_to_all; else NULL */
    void *const *recvs;
    const size_t *send_bytes, *recv_bytes;
};

static sluice_status make(struct faulty_member *member, const struct call *call, int64_t timeout,
                          int32_t *peer)
{
    const sluice_comm *inner = &member->inner;
    if (call->sends)
        return inner->all_to_all(inner->user, call->channel, call->sends, call->send_bytes,
                                 call->recvs, call->recv_bytes, timeout, peer);
    return inner->all_gather(inner->user, call->channel, call->send, call->recv, call->bytes,
                             timeout, peer);
}

static sluice_status fail(struct faulty_member *member, const struct call *call, int32_t *peer)
{
    struct faulty_group *group = member->group;
    sluice_status status;
    switch (group->kind) {
    case FAULTY_LENGTH:
        status = make(member, call, LONG, peer);
        *peer = (member->rank + 1) % group->ranks;
        return status ? status : SLUICE_MISMATCH;
    case FAULTY_LATE:
        pthread_mutex_lock(&group->lock);
        wait_count(group, &group->gone, group->ranks - 1);
        pthread_mutex_unlock(&group->lock);
        return make(member, call, LONG, peer);
    default:
        *peer = group->kind == FAULTY_DEAD ? -1 : (member->rank + 1) % group->ranks;
        return SLUICE_PEER_LOST;
    }
}

static sluice_status pass(struct faulty_member *member, const struct call *call, int64_t timeout,
                          int32_t *peer)
{
    struct faulty_group *group = member->group;
    int32_t number = ++member->calls;
    member->asked = timeout;
    if (group->kind == FAULTY_NONE || member->healed || number < group->at)
        return make(member, call, LONG, peer);
    if (member->rank == group->rank)
        return fail(member, call, peer);
    bool meets = group->kind == FAULTY_LENGTH && number == group->at;
    pthread_mutex_lock(&group->lock);
    group->come++;
    (void)pthread_cond_broadcast(&group->change);
    wait_count(group, &group->come, (number - group->at + 1) * (group->ranks - 1));
    pthread_mutex_unlock(&group->lock);
    sluice_status status = make(member, call, meets ? LONG : timeout, peer);
    pthread_mutex_lock(&group->lock);
    group->gone++;
    (void)pthread_cond_broadcast(&group->change);
    pthread_mutex_unlock(&group->lock);
    return status;
}

static sluice_status all_gather(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct call call = {.channel = channel, .send = send, .recv = recv, .bytes = bytes};
    return pass(user, &call, timeout_ns, peer);
}

static sluice_status all_to_all(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer)
{
    const struct call call = {.channel = channel,
                              .sends = send,
                              .recvs = recv,
                              .send_bytes = send_bytes,
                              .recv_bytes = recv_bytes};
    return pass(user, &call, timeout_ns, peer);
}

static void cancel(void *user, int32_t channel)
{
    const struct faulty_member *member = user;
    member->inner.cancel(member->inner.user, channel);
}

static void resume(void *user, int32_t channel)
{
    struct faulty_member *member = user;
    member->healed = true;
    member->inner.resume(member->inner.user, channel);
}

bool faulty_create(struct faulty_group *group, int32_t ranks)
{
    memset(group, 0, sizeof *group);
    group->ranks = ranks;
    group->inner = sluice_comm_threads_create(ranks, NULL);
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->change, NULL);
    for (int32_t r = 0; group->inner && r < ranks; r++) {
        group->members[r].group = group;
        group->members[r].rank = r;
        sluice_comm_threads_get(group->inner, r, &group->members[r].inner);
    }
    return group->inner != NULL;
}

void faulty_destroy(struct faulty_group *group)
{
    sluice_comm_threads_destroy(group->inner);
    pthread_cond_destroy(&group->change);
    pthread_mutex_destroy(&group->lock);
}

void faulty_arm(struct faulty_group *group, int32_t kind, int32_t rank, int32_t at)
{
    group->kind = kind;
    group->rank = rank;
    group->at = at;
}

void faulty_get(struct faulty_group *group, int32_t rank, sluice_comm *comm)
{
    *comm = (sluice_comm){.struct_size = sizeof *comm,
                          .rank = rank,
                          .size = group->ranks,
                          .user = &group->members[rank],
                          .all_gather = all_gather,
                          .all_to_all = all_to_all,
                          .cancel = cancel,
                          .resume = resume};
}
