/* SPDX-License-Identifier: Apache-2.0 */
#include "nccl_team.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct team_functions functions;
static bool whole;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool fill(void *library, const char *name, void *slot)
{
    void *found = library ? dlsym(library, name) : NULL;
    memcpy(slot, &found, sizeof found);
    return found != NULL;
}

#define FILL_DRIVER(name_, symbol_, version_, params_) fill(cuda, #symbol_, &functions.symbol_) &&
/* An older version lacks exactly what came later. */
#define FILL_NCCL(gives_, name_, version_, params_)                                                \
    fill(nccl, #name_, &functions.name_) == ((version_) <= wanted) &&

static void open_both(void)
{
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *nccl = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    const char *older = getenv("STANDIN_NCCL_VERSION");
    long wanted = older ? strtol(older, NULL, 10) : STANDIN_NCCL_VERSION;
    whole = DRV_FUNCTIONS(FILL_DRIVER) NCCL_FUNCTIONS(FILL_NCCL)
                fill(cuda, "standin_message", &functions.standin_message) &&
            fill(cuda, "standin_violations", &functions.standin_violations) &&
            fill(nccl, "standin_nccl_fault", &functions.standin_nccl_fault) &&
            fill(nccl, "standin_nccl_forgive", &functions.standin_nccl_forgive) &&
            fill(cuda, "standin_memory", &functions.standin_memory) &&
            fill(cuda, "standin_forgive", &functions.standin_forgive) && functions.cuInit(0) == 0;
}

const struct team_functions *team_functions(void)
{
    (void)pthread_once(&once, open_both);
    return whole ? &functions : NULL;
}

void team_fail(struct member *m, const char *format, ...)
{
    va_list args;
    if (m->error[0])
        return;
    va_start(args, format);
    (void)vsnprintf(m->error, sizeof m->error, format, args);
    va_end(args);
}

const struct team_entry *team_find(const char *name)
{
    const struct team_entry *entry = team_bodies;
    while (entry->name && strcmp(entry->name, name) != 0)
        entry++;
    return entry->name ? entry : NULL;
}

static void open_rank(struct member *m, bool bare)
{
    const struct team_functions *f = m->f;
    TEAM_OK(m, f->cuDevicePrimaryCtxRetain(&m->ctx, m->rank));
    TEAM_OK(m, f->cuCtxSetCurrent(m->ctx));
    TEAM_OK(m, f->cuStreamCreate(&m->stream, 1));
    if (!bare)
        TEAM_OK(m, f->ncclCommInitRank(&m->comm, m->nranks, m->id, m->rank));
}

static void close_rank(struct member *m)
{
    const struct team_functions *f = m->f;
    if (m->comm && m->error[0])
        TEAM_OK(m, f->ncclCommAbort(m->comm));
    else if (m->comm)
        TEAM_OK(m, f->ncclCommDestroy(m->comm));
    m->comm = NULL;
    TEAM_OK(m, f->cuStreamDestroy_v2(m->stream));
    TEAM_OK(m, f->cuCtxSetCurrent(NULL));
    TEAM_OK(m, f->cuDevicePrimaryCtxRelease_v2(m->rank));
}

void team_rank(struct member *m, const struct team_entry *body)
{
    m->f = team_functions();
    TEAM_TRUE(m, m->f != NULL);
    open_rank(m, body->bare);
    if (!m->error[0])
        body->run(m);
    close_rank(m);
}

struct thread {
    struct member member;
    const struct team_entry *body;
    pthread_t thread;
};

static void *run(void *arg)
{
    struct thread *thread = arg;
    team_rank(&thread->member, thread->body);
    return NULL;
}

static const char *run_threads(const char *name, int nranks, bool awaits_report)
{
    static struct thread threads[TEAM_MOST];
    ncclUniqueId id;
    const struct team_functions *f = team_functions();
    const struct team_entry *body = team_find(name);
    if (!f || !body || f->ncclGetUniqueId(&id))
        return "no functions, no such body, or no id";
    for (int r = 0; r < nranks; r++) {
        threads[r] = (struct thread){
            .member = {.rank = r, .nranks = nranks, .id = id, .awaits_report = awaits_report},
            .body = body};
        if (pthread_create(&threads[r].thread, NULL, run, &threads[r]) != 0)
            abort();
    }
    const char *words = "";
    for (int r = nranks - 1; r >= 0; r--) {
        (void)pthread_join(threads[r].thread, NULL);
        words = threads[r].member.error[0] ? threads[r].member.error : words;
    }
    return words;
}

const char *team_threads(const char *body, int nranks)
{
    return run_threads(body, nranks, false);
}

const char *team_threads_reported(const char *body, int nranks)
{
    return run_threads(body, nranks, true);
}
