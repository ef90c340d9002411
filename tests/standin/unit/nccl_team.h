/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that run one body each, as threads of this process or as processes (nccl_rank.c),
 * with device, stream and communicator of their own. Bodies know no test harness: the first check
 * that fails leaves its words. */
#ifndef STANDIN_NCCL_TEAM_H
#define STANDIN_NCCL_TEAM_H

#include "../drv_api.h"
#include "../nccl_api.h"
#include "../standin_nccl.h"

#define TEAM_MOST 8
#define TEAM_TEXT 400

#define TEAM_DRIVER(name_, symbol_, version_, params_) int(*symbol_) params_;
#define TEAM_NCCL(gives_, name_, version_, params_) gives_(*name_) params_;
struct team_functions {
    DRV_FUNCTIONS(TEAM_DRIVER)
    const char *(*standin_message)(void);
    uint64_t (*standin_violations)(void);
    void (*standin_forgive)(void);
    int (*standin_memory)(uint64_t address, uint64_t bytes, int device, const char *what,
                          uint8_t **data, uint8_t **init);
    NCCL_FUNCTIONS(TEAM_NCCL)
    int (*standin_nccl_fault)(enum standin_nccl_fault fault, int rank, uint64_t nth, int64_t value);
    void (*standin_nccl_forgive)(void);
};

struct member {
    const struct team_functions *f;
    int rank, nranks;
    ncclUniqueId id;
    ncclComm_t comm; /* made before the body begins, and destroyed after it where it is left */
    struct CUstream_st *stream;
    struct CUctx_st *ctx;
    bool awaits_report; /* an abort comes when something was reported */
    char error[TEAM_TEXT];
};

typedef void team_body(struct member *m);

struct team_entry {
    const char *name;
    team_body *run;
    bool bare; /* begins without a communicator */
};
extern const struct team_entry team_bodies[];

/* F(name, does it begin without a communicator?) */
#define TEAM_BODIES(F)                                                                             \
    F(collectives, false)                                                                          \
    F(exchange, false)                                                                             \
    F(storm, false)                                                                                \
    F(other_stream, false)                                                                         \
    F(unwritten, false)                                                                            \
    F(old_config, true)                                                                            \
    F(non_blocking, true)                                                                          \
    F(split, false)                                                                                \
    F(registration, false)                                                                         \
    F(replay, false)                                                                               \
    F(streams, false)                                                                              \
    F(wrong_calls, true)                                                                           \
    F(wrong_group, false)                                                                          \
    F(absent, false)                                                                               \
    F(circle, false)                                                                               \
    F(other_kind, false)                                                                           \
    F(other_count, false)                                                                          \
    F(other_class, false)                                                                          \
    F(leaves, false)                                                                               \
    F(two_orders, false)                                                                           \
    F(lost, false)                                                                                 \
    F(wrong_address, false)                                                                        \
    F(fault_data, false)                                                                           \
    F(fault_async, false)                                                                          \
    F(fault_hang, false)                                                                           \
    F(fault_call, false)                                                                           \
    F(fault_init, true)                                                                            \
    F(fault_stuck, true)                                                                           \
    F(killed, false)                                                                               \
    F(older, false)

#define TEAM_DECLARE(name_, bare_) team_body body_##name_;
TEAM_BODIES(TEAM_DECLARE)
#undef TEAM_DECLARE

/* Both libraries' functions; NULL where one is not there. A process opens them once. */
const struct team_functions *team_functions(void);

/* Runs a rank: opens device and stream, makes the communicator, runs the body, closes. */
void team_rank(struct member *m, const struct team_entry *body);
const struct team_entry *team_find(const char *name);

/* The words of the first rank with a failed check, "" without; valid until the next call. */
const char *team_threads(const char *body, int nranks);
/* The same, where each abort waits for a report. */
const char *team_threads_reported(const char *body, int nranks);
const char *team_processes(const char *body, int nranks);

__attribute__((format(printf, 2, 3))) void team_fail(struct member *m, const char *format, ...);

/* Device memory with these bytes (NULL: as allocated). */
drv_address team_upload(struct member *m, const void *data, size_t bytes);
/* As NCCL wants an address. */
void *team_device(drv_address at);
/* Waits for the stream and compares. */
void team_expect(struct member *m, drv_address at, const void *want, uint64_t bytes,
                 const char *what);
ncclResult_t team_begin_without_blocking(struct member *m);
/* Asks until what was asked of the communicator is no longer in progress. */
ncclResult_t team_settle(struct member *m);
/* 50 ms, or until something is reported. */
void team_pause(const struct member *m);
/* Waits for the stream while another thread aborts the communicator after that pause. */
void team_abort_beside(struct member *m);
/* The same while it finalizes; what that gave. */
ncclResult_t team_finalize_beside(struct member *m);
/* Waits for an asynchronous error. */
ncclResult_t team_async(struct member *m);

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
