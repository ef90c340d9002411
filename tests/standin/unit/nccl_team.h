/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that run one body each, as threads of this process or as processes (nccl_rank.c),
 * with device, stream and communicator of their own. Bodies know no test harness: the first check
 * that fails leaves its words. */
#ifndef STANDIN_NCCL_TEAM_H
#define STANDIN_NCCL_TEAM_H

#include "../drv_api.h"
#include "../nccl_api.h"

#define TEAM_MOST 8
#define TEAM_TEXT 400

#define TEAM_DRIVER(name_, symbol_, version_, params_) int(*symbol_) params_;
#define TEAM_NCCL(gives_, name_, version_, params_) gives_(*name_) params_;
struct team_functions {
    DRV_FUNCTIONS(TEAM_DRIVER)
    const char *(*standin_message)(void);
    uint64_t (*standin_violations)(void);
    void (*standin_forgive)(void);
    NCCL_FUNCTIONS(TEAM_NCCL)
};

struct member {
    const struct team_functions *f;
    int rank, nranks;
    ncclUniqueId id;
    ncclComm_t comm; /* made before the body begins, and destroyed after it where it is left */
    struct CUstream_st *stream;
    struct CUctx_st *ctx;
    char error[TEAM_TEXT];
};

typedef void team_body(struct member *m);

struct team_entry {
    const char *name;
    team_body *run;
    bool bare; /* begins without a communicator */
};
extern const struct team_entry team_bodies[];

/* Both libraries' functions; NULL where one is not there. A process opens them once. */
const struct team_functions *team_functions(void);

/* Runs a rank: opens device and stream, makes the communicator, runs the body, closes. */
void team_rank(struct member *m, const struct team_entry *body);
const struct team_entry *team_find(const char *name);

/* The words of the first rank with a failed check, "" without; valid until the next call. */
const char *team_threads(const char *body, int nranks);
const char *team_processes(const char *body, int nranks);

__attribute__((format(printf, 2, 3))) void team_fail(struct member *m, const char *format, ...);

#define TEAM_TRUE(m_, held_)                                                                       \
    do {                                                                                           \
        if (!(held_)) {                                                                            \
            team_fail((m_), "%s:%d: rank %d: not so: %s", __FILE__, __LINE__, (m_)->rank, #held_); \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define TEAM_GIVES(m_, call_, want_)                                                               \
    do {                                                                                           \
        int got_ = (int)(call_);                                                                   \
        if (got_ != (int)(want_)) {                                                                \
            team_fail((m_), "%s:%d: rank %d: %s gave %d, not %d", __FILE__, __LINE__, (m_)->rank,  \
                      #call_, got_, (int)(want_));                                                 \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define TEAM_OK(m_, call_) TEAM_GIVES(m_, call_, 0)

#endif
