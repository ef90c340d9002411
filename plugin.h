/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.h: the core interface of Sluice, the expert-parallel half of a Mixture-of-Experts layer
 * as a shared object. This header is all an engine needs: no CUDA, no NCCL, no other header.
 *
 *     void *so = dlopen("libsluice_cpu.so", RTLD_NOW | RTLD_LOCAL);
 *     const sluice_api *(*get)(uint32_t) =
 *         (const sluice_api *(*)(uint32_t))dlsym(so, SLUICE_ENTRY);
 *     const sluice_api *api = get(SLUICE_ABI_MAJOR);  // NULL: this major is not served
 *
 * A layer's life: open once; then each step topk -> remap -> record (or all three in one pass:
 * `route` of sluice.route/1), dispatch COUNT -> room for row_count rows -> dispatch SEND -> the
 * engine's grouped GEMM over slot_starts -> combine, which applies the weights. abi/hosts has whole
 * engines. What is marked (draft) has its place in the ABI and answers UNSUPPORTED in 0.1.
 *
 * Rules that hold everywhere
 *   sizes     Every struct here begins with struct_size, which the caller sets to sizeof, and every
 *             other byte to zero or what it means, also of what is filled in. Exceptions, frozen
 *             for ever: sluice_api, sluice_tensor and its parts, sluice_handle. Members are only
 *             ever appended. A plugin refuses a struct shorter than the first release's or
 *             longer than 4096 bytes (INVALID), and one with a non-zero byte behind the members
 *             that it knows (UNSUPPORTED): an old plugin never ignores what a new engine asks.
 *   zero      Zero is every member's default and means "not given", so memset(0) is a good start.
 *             Members marked required have no default. Tensors are not covered: device.type and
 *             dtype.lanes (1) are always given.
 *   enums     cross as int32_t.
 *   tensors   have the layout of DLPack's DLTensor. The plugin reads shape and strides during the
 *             call only, data until the stream has run the work. Rows may have a stride (those of
 *             an output must not overlap); the last dimension may not. strides NULL: dense. Strides
 *             of extents 0 and 1 mean nothing. data may be NULL when a tensor has no element.
 *             Alignment is that of the element. Tensors of ids are int32 or int64, by their dtype,
 *             each for itself.
 *   absent    A pointer to a tensor may be NULL where this header says "optional".
 *   errors    A call returns SLUICE_OK or a status; the text is last_error's and names the
 *             argument, what it was and what it should be. Arguments are checked before anything
 *             else: a call that fails has changed nothing but, at most, the contents of its
 *             outputs. A collective call that fails later says so in its contract. (OVERFLOW of a
 *             fixed dispatch is no failure but a result: the call that returns it has done its
 *             work, and is not repeated.)
 *             Every call may also answer NOT_READY (a child after fork), FENCED, or UNSUPPORTED
 *             (bytes it does not know); contracts do not repeat these. Outputs must not overlap
 *             inputs.
 *   threads   A context is used by one thread at a time, but for calls marked [any thread].
 *             Different contexts are independent. A context does not survive fork: the child gets
 *             NOT_READY from every call and must not close it.
 *   hot       Calls marked [hot] allocate nothing, make no system call on the CPU when no exchange
 *             is involved, and take no lock another rank can hold. (But the first exchange on a
 *             device after `set` of sluice.ranks/1, which makes the communicator anew.)
 *   streams   A stream is a CUstream (cudaStream_t is the same) of the context's device, whose
 *             primary context need not be current; NULL is the legacy default stream. The plugin
 *             orders nothing between streams: calls that share a layer's counters, its balance
 *             (dispatch in mode STALE too) or a lane are given one stream, or events of the
 *             engine's between two. All lanes and layers share one communicator on a device:
 *             exchanges are enqueued in one order on all ranks, and in one order with the engine's
 *             own collectives.
 *   capture   Calls marked [capture] may be recorded in a CUDA graph and replayed. Fixed in the
 *             graph are pointers, shapes and what was on the host (num_valid, step, row_base: give
 *             them on the device); tables of placements and of living ranks, counters and an absent
 *             `step` are the device's and read in each replay. All ranks replay graphs that hold
 *             exchanges in the same order. A replay returns no status: see collective.
 *   waits     Calls marked [waits] return, on a device, once it has run what `stream` was given
 *             before; where they take no stream, the legacy default stream. They cannot be
 *             captured, nor made while a capture is under way that does not allow it:
 *             NOT_CAPTURABLE, and the capture may be lost. No other call but open and close waits
 *             for a device, unless its contract says so, and none waits for a rank but those that
 *             are collective. On the CPU a call's work is done when it returns.
 *   collective  Calls so marked are made by all living ranks of the context, in the same order and
 *             with the same layer and mode; ranks that differ get MISMATCH, and a rank that does
 *             not come ends every wait with PEER_LOST after the timeout. quiesce of sluice.ranks/1
 *             ends it at once with CANCELLED. On a device the wait is its stream's (but COUNT's),
 *             and a call has returned OK before: what went wrong, also in a replay, is in the fault
 *             record at once (poll of sluice.ranks/1), the next call that exchanges returns it, and
 *             outputs of exchanges since are void. What ends such a wait after the timeout is a
 *             thread of the plugin, if sluice_host.threads allows it (so by default), else
 *             `quiesce` or `set` alone. A rank whose arguments are INVALID has not come: it repeats
 *             the call corrected, or quiesces. After PEER_LOST, MISMATCH or CANCELLED no exchange
 *             is possible (NOT_READY) until `set` of sluice.ranks/1.
 *   layout    is that of LP64 platforms.
 *
 * Words: E routed ("logical") experts, Z zero experts, K choices a token, F shared experts that
 * ride as slots, W ranks (max_ranks: the dead and the reserved count too), N routed slots a rank,
 * P = N * W physical experts, L = N + F local slots a rank (the shared ones last), T tokens of this
 * call, H elements of a token's row. Physical expert p lives on rank
 * p / N. Slot id = rank * L + local slot; this is what dispatch speaks. Recorder id = physical
 * expert, never a shared slot; this is what counting speaks. A lane is one dispatch in flight with
 * what it needs; a bank is what layers that share experts have in common: their placement and
 * counters. An epoch numbers the placements of a bank, a generation the sets of living ranks.
 */
#ifndef SLUICE_PLUGIN_H
#define SLUICE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define SLUICE_VERSION "0.1.0"
#define SLUICE_ABI_MAJOR 1
#define SLUICE_ABI_MINOR 0
#define SLUICE_ENTRY "sluice_plugin_get"

#if defined(__cplusplus)
extern "C" {
#define SLUICE_STATIC_ASSERT(ok, why) static_assert(ok, why)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define SLUICE_STATIC_ASSERT(ok, why) _Static_assert(ok, why)
#else
#define SLUICE_STATIC_ASSERT(ok, why) struct sluice_no_static_assert
#endif
/* A struct ends with its last member: a field hidden in tail padding would not change the size. */
#define SLUICE_ASSERT_ENDS_WITH(type, last)                                                        \
    SLUICE_STATIC_ASSERT(sizeof(type) == offsetof(type, last) + sizeof(((type *)0)->last),         \
                         #type " has tail padding")

/* ------------------------------------------------------------------------------- statuses */

typedef int32_t sluice_status;
enum {
    SLUICE_OK = 0,
    SLUICE_INVALID = 1,     /* an argument is wrong; nothing has changed */
    SLUICE_UNSUPPORTED = 2, /* well-formed, but this plugin, backend or context does not do it */
    SLUICE_UNAVAILABLE = 3, /* the code is there, what it needs on this machine is not */
    SLUICE_NO_MEMORY = 4,   /* an allocation failed; nothing has changed */
    SLUICE_PEER_LOST = 5,   /* a rank did not come in time or its connection broke; text names it */
    SLUICE_MISMATCH = 6,    /* ranks made different calls; text names the rank and both calls */
    SLUICE_OVERFLOW = 7,    /* a capacity was too small; text says which, had and needed */
    SLUICE_BUSY = 8,        /* the thing is in use: a layer that moves */
    SLUICE_STALE = 9,       /* a handle of an earlier dispatch, or an epoch that has passed */
    SLUICE_FENCED = 10,     /* this rank must not route until ranks and placement are set anew */
    SLUICE_NOT_CAPTURABLE = 11, /* this call waits for the device and cannot be captured */
    SLUICE_NOT_READY = 12,      /* something must be done first; text says what */
    SLUICE_CANCELLED = 13,      /* waits were ended by `quiesce` */
    SLUICE_DEVICE = 14,         /* the device or its driver failed */
    SLUICE_INTERNAL = 15        /* a defect of the plugin: please report the text */
};

/* -------------------------------------------------------------------------------- tensors */

/* The same layout as DLPack 1.x's DLDevice, DLDataType and DLTensor, so that an engine passes what
 * it has. Codes and device types are DLPack's; the ones used here are repeated. Frozen. */
enum { SLUICE_CPU = 1, SLUICE_CUDA = 2, SLUICE_CUDA_HOST = 3 };
enum { SLUICE_INT = 0, SLUICE_UINT = 1, SLUICE_FLOAT = 2, SLUICE_BFLOAT = 4 };

typedef struct sluice_device {
    int32_t type; /* DLDeviceType */
    int32_t id;
} sluice_device;

typedef struct sluice_dtype {
    uint8_t code; /* DLDataTypeCode */
    uint8_t bits;
    uint16_t lanes;
} sluice_dtype;

typedef struct sluice_tensor {
    void *data;
    sluice_device device;
    int32_t ndim;
    sluice_dtype dtype;
    int64_t *shape;   /* [ndim], in elements */
    int64_t *strides; /* [ndim], in elements; NULL: dense, row-major */
    uint64_t byte_offset;
} sluice_tensor;

/* --------------------------------------------------------------------- services of an engine */

enum { SLUICE_LOG_ERROR = 1, SLUICE_LOG_WARNING = 2, SLUICE_LOG_INFO = 3 };

/* What an allocation is for; `device` says where it lies. STATE must keep its contents while the
 * context lives; SCRATCH need not between calls; STAGING holds rows and weights on their way;
 * PINNED is host memory a device reads; REGISTRABLE must be of a kind that the network can
 * register. */
enum {
    SLUICE_MEM_STATE = 1,
    SLUICE_MEM_SCRATCH = 2,
    SLUICE_MEM_STAGING = 3,
    SLUICE_MEM_PINNED = 4,
    SLUICE_MEM_REGISTRABLE = 5
};

/* Everything optional. Callbacks are called on the thread that called the plugin, never on a thread
 * of the plugin, and must not call the plugin. Must outlive the context. */
typedef struct sluice_host {
    size_t struct_size;
    void *user;
    /* One line of text, no newline. */
    void (*log)(void *user, int32_t level, const char *text);
    /* Both or neither. alloc returns memory aligned to `align` (a power of two), or NULL; free gets
     * what alloc got, when no stream uses it any more. NULL: aligned_alloc and free, for a device
     * its driver's. */
    void *(*alloc)(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device);
    void (*free)(void *user, void *data, size_t bytes, int32_t kind, sluice_device device);
    /* Nanoseconds of a clock that never goes back. NULL: CLOCK_MONOTONIC. */
    int64_t (*clock)(void *user);
    /* How many threads one call may use, the caller's included, 1 ... 64; results do not depend on
     * it. 0, the default: the caller's alone. On a device where ranks exchange the plugin starts
     * one thread beside, which ends the exchanges that a lost rank leaves waiting and does nothing
     * else; with 1 it starts none. */
    int32_t threads;
    int32_t reserved;
} sluice_host;
SLUICE_ASSERT_ENDS_WITH(sluice_host, reserved);

/* ---------------------------------------------------------------------------- communicator */

/* Who and where this rank is, and, if the plugin is to move bytes, how. An engine that keeps its
 * own transport leaves all callbacks NULL. EXACT, FIXED, BALANCE_NOW and SUMMED_LOAD
 * need all_gather and all_to_all, SUMMED_LOAD isend, irecv, poll, cancel and resume too. Elsewhere,
 * without cancel quiesce cannot end a wait, and without resume `set` needs a new comm. For ranks as
 * threads or over MPI, comm_threads.h and comm_mpi.h of src/comm fill this in. Buffers are host
 * memory, on a device too: there `open`, windows of load and the first exchange after a `set` (it
 * makes the device's communicator anew) use them, while counts and rows go by the device's own
 * communicator. One comm serves one context, and must outlive it or the `set` of sluice.ranks/1
 * that replaces it.
 *
 * Callbacks return SLUICE_OK, PEER_LOST, CANCELLED or MISMATCH (a message of an unexpected length);
 * isend and irecv also NO_MEMORY; any other status is taken as a failure of the exchange.
 * `channel` keeps independent orders of calls apart (0 ... 63): calls on one channel come in the
 * same order on every rank. `timeout_ns` is relative; on PEER_LOST `*peer` (never NULL) is the rank
 * waited for, -1 if unknown, and an implementation that knows who is lost should tell the others,
 * so that all name the same. Ranks in callbacks, `*peer` and `node` are numbers in this comm
 * (0 ... size-1); the plugin translates them to rank ids where they differ after a `set`. They are
 * called from one thread at a time for each channel, except cancel, which any thread may call. */
typedef struct sluice_comm {
    size_t struct_size;
    int32_t rank;
    int32_t size;        /* ranks that are there now; see sluice_config.max_ranks */
    const int32_t *node; /* [size] which machine each rank is on; NULL: all on one */
    void *user;
    /* recv[r * bytes ...] = rank r's send[0 ... bytes). */
    sluice_status (*all_gather)(void *user, int32_t channel, const void *send, void *recv,
                                size_t bytes, int64_t timeout_ns, int32_t *peer);
    /* Rank r gets send_bytes[r] bytes from send[r]; both sides know the sizes. Arrays of [size],
     * the own part among them; zero-byte messages are not sent. Send and receive do not overlap. */
    sluice_status (*all_to_all)(void *user, int32_t channel, const void *const *send,
                                const size_t *send_bytes, void *const *recv,
                                const size_t *recv_bytes, int64_t timeout_ns, int32_t *peer);
    /* Point to point, in order for each (channel, pair of ranks). *request is filled in and stays
     * in use until poll says done. Buffers belong to the operation until then. */
    sluice_status (*isend)(void *user, int32_t channel, int32_t to, const void *data, size_t bytes,
                           uint64_t *request);
    sluice_status (*irecv)(void *user, int32_t channel, int32_t from, void *data, size_t bytes,
                           uint64_t *request);
    /* Never waits. *done = 1 when the request has ended, well or not; its status comes once. */
    sluice_status (*poll)(void *user, uint64_t request, int32_t *done);
    /* Ends this rank's waits and pending requests on the channel with CANCELLED, now and until
     * `resume`. channel -1: all. */
    void (*cancel)(void *user, int32_t channel);
    /* Begins a new era on the channel for this rank, after a failure or a cancel: what it or others
     * sent in an earlier era is gone, failures of it no longer stand, and it meets other ranks once
     * they have resumed as often. Only the plugin calls it, once in each `set`. */
    void (*resume)(void *user, int32_t channel);
    /* Optional, beside the callbacks: the engine's communicator for a device backend, of the same
     * ranks; kind 1 = ncclComm_t. No rows go over it: open splits off communicators of its own
     * (collective on it, so nothing else runs on it meanwhile), or, where that NCCL cannot split,
     * makes new ones with its library. `native_symbol` resolves a name in the very library that
     * made it (two copies of NCCL may be loaded); without it `native` is not used. */
    int32_t native_kind;
    int32_t reserved;
    void *native;
    void *(*native_symbol)(void *user, const char *name);
} sluice_comm;
SLUICE_ASSERT_ENDS_WITH(sluice_comm, native_symbol);

/* ------------------------------------------------------------------------------- a layer */

/* How a layer's router chooses. The order of computation is in the guide, abi/routers.md; model
 * names are examples of who needs a field. A 0 in a float whose default is 1 means 1. */
enum { SLUICE_ZERO_IDENTITY = 0, SLUICE_ZERO_NULL = 1 };
enum { SLUICE_SCORE_SOFTMAX = 0, SLUICE_SCORE_SIGMOID = 1, SLUICE_SCORE_SQRT_SOFTPLUS = 2 };
enum {
    SLUICE_BIAS_NONE = 0,
    SLUICE_BIAS_SCORE = 1,      /* rank by score + bias; the weight stays unbiased (DeepSeek-V3) */
    SLUICE_BIAS_RANK_LOGIT = 2, /* rank by logit + bias; the score stays unbiased (Kolibri) */
    SLUICE_BIAS_LOGIT = 3       /* logit += bias before scoring, after the cap (gpt-oss) */
};
enum { SLUICE_GROUP_MAX = 0, SLUICE_GROUP_TOP2 = 1 };
enum { SLUICE_GROUPS_LIMIT = 0, SLUICE_GROUPS_EVEN = 1 };
enum { SLUICE_SCALE_IN_WEIGHTS = 0, SLUICE_SCALE_BY_ENGINE = 1 };
enum { SLUICE_SHARED_ONE = 0, SLUICE_SHARED_SIGMOID = 1, SLUICE_SHARED_JOINT = 2 };
enum { SLUICE_WEIGHT_ON_OUTPUT = 0, SLUICE_WEIGHT_ON_INPUT = 1 };

typedef struct sluice_router {
    size_t struct_size;
    int32_t experts;      /* E, 1 ... 4096 with Z */
    int32_t top_k;        /* K, 1 ... 64, at most E + Z */
    int32_t zero_experts; /* Z: ids E ... E+Z-1 without weights; logits and bias are [., E+Z] */
    int32_t zero_kind;    /* SLUICE_ZERO_*: such a choice adds weight * x, or nothing */
    float logit_scale;    /* x = logit * scale; default 1 */
    float logit_cap;      /* x = cap * tanh(x / cap); 0: off */
    int32_t score;        /* SLUICE_SCORE_* */
    int32_t bias_use;     /* SLUICE_BIAS_*; not NONE: every topk call gives `bias` */
    int32_t bias_rows;    /* B, default 1; more: bias is [B, E+Z] and calls give bias_row [T] */
    int32_t groups;       /* G, default 1, at most 64, divides E */
    int32_t keep_groups;  /* default G (all) */
    int32_t group_value;  /* SLUICE_GROUP_*: what ranks a group */
    int32_t group_mode;   /* SLUICE_GROUPS_*: keep the best groups, or K/G from each */
    int32_t renorm;       /* 1: w = s / (max(sum s, floor) + eps) */
    float renorm_eps;
    float renorm_floor;
    float scale;           /* routed scaling factor; default 1 */
    int32_t scale_by;      /* SLUICE_SCALE_*: into the weights here, or on the sum afterwards */
    int32_t shared;        /* F, 0 ... 8 */
    int32_t shared_weight; /* SLUICE_SHARED_*: constant; sigmoid of a logit; joins the scores */
    float shared_scale;    /* times that; default 1 */
    int32_t weight_on;     /* SLUICE_WEIGHT_ON_*: INPUT: the expert gets w * x (Llama 4) */
} sluice_router;
SLUICE_ASSERT_ENDS_WITH(sluice_router, weight_on);

typedef struct sluice_layer {
    size_t struct_size;
    const sluice_router *router;
    /* Index of the layer whose experts, placement and counters this one uses; NULL: its own. That
     * layer must be its own bank and have the same E, F and N. */
    const int32_t *bank;
    int32_t slots_per_rank; /* N, fixed for the life of the context; default ceil(E / max_ranks) */
    int32_t reserved;
} sluice_layer;
SLUICE_ASSERT_ENDS_WITH(sluice_layer, reserved);

/* -------------------------------------------------------------------------------- a context */

/* What will be used: nothing else is allocated, and nothing else can make open fail. topk, remap,
 * record, get_moe_weights and their extensions are always there. */
enum {
    SLUICE_USE_EXACT = 1,       /* dispatch in two calls, count then send; combine */
    SLUICE_USE_FIXED = 2,       /* dispatch with fixed capacities; combine */
    SLUICE_USE_BALANCE_NOW = 4, /* remap may be collective: WATERFILL_DYNAMIC, balance mode now */
    SLUICE_USE_SUMMED_LOAD = 8, /* windows of sluice.load/1 are summed over the ranks */
    SLUICE_USE_MIGRATE = 16     /* (draft) */
};
enum {
    /* Open nothing: fill in `needs` (if given), or fail with the reason as open would. Not
     * collective. */
    SLUICE_OPEN_QUERY = 1,
    /* Every rank computes every row and the engine sums the results (no all-to-all). Choices then
     * depend on the global row only (row_base + row), one rank alone serves a row's shared experts
     * and zero experts, and counts are not summed over ranks. dispatch is UNSUPPORTED. */
    SLUICE_OPEN_EVERY_RANK_EVERY_ROW = 2,
    /* A newcomer to ranks that serve already: comm has this rank's id and size = max_ranks, and no
     * callbacks. open is not collective; this rank alone lives and exchanges are NOT_READY until
     * `set` of sluice.ranks/1, on all ranks, says who lives and how they talk. Its config must
     * be that of the others; nobody compares. */
    SLUICE_OPEN_JOIN = 4
};
enum {
    SLUICE_COPY_STATIC =
        0, /* one copy an expert, fixed for a placement: near first, else a fair share */
    SLUICE_COPY_RANDOM = 1,  /* every copy with equal chance, for each choice */
    SLUICE_COPY_BALANCED = 2 /* quotas of sluice.balance/1 */
};
enum {
    SLUICE_SHARED_AT_HOME = 0, /* a token's shared experts are served by its own rank */
    SLUICE_SHARED_NOT_FUSED =
        1, /* shared experts are no slots: F counts as 0 in slots and columns */
    SLUICE_SHARED_WATERFILL_STATIC = 2,  /* SGLang's formula, from this rank's counts */
    SLUICE_SHARED_WATERFILL_DYNAMIC = 3, /* the same from summed counts: remap is collective */
    SLUICE_SHARED_LEVEL = 4              /* the exact joint answer of sluice.balance/1 */
};
enum { SLUICE_COMBINE_EXACT = 0, SLUICE_COMBINE_PER_RANK = 1 };
enum { SLUICE_ROWS_GROUPED = 0, SLUICE_ROWS_STRIDED = 1 };

/* What dispatch and combine may be asked for; equal on all ranks (checked at open). */
typedef struct sluice_transport {
    size_t struct_size;
    int64_t max_tokens;        /* greatest T of an exact dispatch; required with USE_EXACT */
    int64_t fixed_tokens;      /* greatest T of a fixed dispatch; required with USE_FIXED */
    int64_t payload_row_bytes; /* bytes of one token over all payloads, at most; required */
    /* Bytes of one row of combine, at most; default payload_row_bytes: give it where rows come back
     * wider than they went (FP8 in, bf16 out). */
    int64_t combine_row_bytes;
    /* Capacities of fixed dispatch. Defaults (0) overflow only where a token has a slot twice. */
    int64_t capacity_pair; /* tokens from one rank to another; default fixed_tokens */
    /* Rows a rank gets in all, padding included; default W * fixed_tokens * min(C, L), C the most
     * columns of a layer's dispatch_ids, and row_align - 1 for each slot. */
    int64_t capacity_rows;
    int64_t capacity_slot; /* STRIDED: rows of one slot = the stride; default W * fixed_tokens */
    /* Rows from one rank back to another, order EXACT; default capacity_pair * min(C, L). */
    int64_t capacity_back;
    int32_t max_payloads; /* default 1, at most 8 */
    int32_t lanes; /* dispatches in flight at once (two micro-batches: 2); default 1, at most 8 */
    /* GROUPED: slots one after the other, each starting at a multiple of row_align (default 1;
     * padding rows are zero). STRIDED: slot s starts at s * capacity_slot; fixed dispatch only. */
    int32_t row_layout;
    int32_t row_align;
    /* EXACT: every choice's row comes back and home adds in column order: equal bits for every W
     * and placement. PER_RANK: a rank adds its own rows first and sends one: less traffic, equal
     * bits for one placement. */
    int32_t combine_order;
    int32_t reserved;
} sluice_transport;
SLUICE_ASSERT_ENDS_WITH(sluice_transport, reserved);

/* What a context needs or would need; filled in by open. */
typedef struct sluice_needs {
    size_t struct_size;
    uint64_t device_bytes, pinned_bytes, host_bytes;
    uint64_t staging_bytes; /* of dispatch and combine */
    int64_t fixed_rows;     /* rows that fixed dispatch's outputs must hold */
    /* Moved to other ranks, at most, by one dispatch of the most tokens and by the combine where
     * all ranks sent theirs to this one. */
    int64_t dispatch_wire_bytes, combine_wire_bytes;
    int32_t communicators; /* of the device's own kind, that open will make */
    int32_t threads;       /* that open will start */
} sluice_needs;
SLUICE_ASSERT_ENDS_WITH(sluice_needs, threads);

typedef struct sluice_config {
    size_t struct_size;
    const char *label;                 /* of this model in texts: "target", "draft"; copied */
    const sluice_host *host;           /* optional */
    const sluice_comm *comm;           /* NULL: rank 0 of 1 */
    const sluice_layer *const *layers; /* [layer_count]; MoE layers only, in the engine's order */
    const sluice_transport *transport; /* required with USE_EXACT or USE_FIXED */
    sluice_needs *needs;               /* optional, out */
    sluice_device device; /* default: number 0 of the backend's kind; a GPU for each rank */
    int32_t layer_count;
    int32_t uses;  /* SLUICE_USE_* or-ed */
    int32_t flags; /* SLUICE_OPEN_* or-ed */
    /* Rank ids are 0 ... max_ranks-1 for ever; those from comm->size on are reserved for newcomers
     * and dead until `set` of sluice.ranks/1. Default comm->size, at most 1024. */
    int32_t max_ranks;
    int32_t copy_policy;   /* SLUICE_COPY_* */
    int32_t shared_policy; /* SLUICE_SHARED_*, how shared columns find their rank */
    uint64_t seed;         /* of every draw; equal on all ranks */
    int64_t timeout_ns;    /* of every wait for a peer; default 30 s */
} sluice_config;
SLUICE_ASSERT_ENDS_WITH(sluice_config, timeout_ns);

typedef struct sluice_context sluice_context;

/* --------------------------------------------------------------------- arguments of the six */

/* ids and weights: both or neither; at least one output. Tensors on the context's device, by type
 * and id; the scalars num_valid, step and row_base may also be on the host. */
typedef struct sluice_topk_args {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream; /* of the device; NULL on the CPU */
    /* in */
    const sluice_tensor *logits;       /* [T, E+Z] f32, f16 or bf16 */
    const sluice_tensor *bias;         /* [E+Z] or [B, E+Z] f32; iff bias_use is not NONE */
    const sluice_tensor *bias_row;     /* [T] ids, which row of bias; iff B > 1 */
    const sluice_tensor *expert_scale; /* [E+Z] f32, optional: w *= expert_scale[id] (Gemma 4) */
    const sluice_tensor
        *shared_logits; /* [T, 1] or [T, F], a dtype of logits; iff not SHARED_ONE */
    /* [M, K] ids, optional: choices are looked up, not ranked; weights come from the logits */
    const sluice_tensor *forced_ids;
    const sluice_tensor *forced_row; /* [T] ids, row of forced_ids; NULL: row t */
    const sluice_tensor *row_valid;  /* [T] u8 or bool, optional: 0 = a padding row */
    const sluice_tensor *num_valid;  /* one id, optional: rows from it on are padding */
    /* out */
    const sluice_tensor *ids;            /* [T, K] in descending rank value; -1: no choice */
    const sluice_tensor *weights;        /* [T, K] f32; 0 where the id is -1 */
    const sluice_tensor *shared_weights; /* [T, F] f32; only where not SHARED_ONE */
    const sluice_tensor *zero_weight;    /* [T] f32; only where Z > 0 */
} sluice_topk_args;
SLUICE_ASSERT_ENDS_WITH(sluice_topk_args, zero_weight);

typedef struct sluice_remap_args {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream;
    /* in */
    const sluice_tensor *ids;            /* [T, K] logical ids, -1: none */
    const sluice_tensor *weights;        /* [T, K] f32; required with dispatch_weights */
    const sluice_tensor *shared_weights; /* [T, F] f32: instead of the constant; required
                                          * where the router is not SHARED_ONE */
    const sluice_tensor *zero_weight;    /* [T] f32; required with zero_weight_here */
    const sluice_tensor *row_valid;      /* [T] u8 or bool, optional */
    const sluice_tensor *num_valid;      /* one id, optional */
    const sluice_tensor *step; /* one id, optional: numbers the draws; else calls are counted */
    /* One id, optional: global number of row 0, which numbers draws (RANDOM) and picks copy and
     * serving rank (EVERY_RANK_EVERY_ROW); default 0. */
    const sluice_tensor *row_base;
    /* out, each optional, at least one (waterfill: dispatch_weights come with dispatch_ids) */
    const sluice_tensor *dispatch_ids;     /* [T, K+F] slot ids, shared columns last */
    const sluice_tensor *dispatch_weights; /* [T, K+F] f32 */
    const sluice_tensor *recorder_ids;     /* [T, K] physical experts, never a shared slot */
    const sluice_tensor *zero_weight_here; /* [T] f32: zero_weight where this rank serves the row */
} sluice_remap_args;
SLUICE_ASSERT_ENDS_WITH(sluice_remap_args, zero_weight_here);

typedef struct sluice_record_args {
    size_t struct_size;
    int32_t layer;
    int32_t reserved;
    void *stream;
    /* [T, K] as remap gives them, or flat [n]; -1: none. Never dispatch_ids: those are slot ids,
     * and a shared slot would count as an expert. Their K+F columns are INVALID; flat, nobody could
     * tell. */
    const sluice_tensor *recorder_ids;
    const sluice_tensor *num_valid; /* one id, optional: rows from it on are not counted */
} sluice_record_args;
SLUICE_ASSERT_ENDS_WITH(sluice_record_args, num_valid);

enum { SLUICE_ROLE_EXPERT = 0, SLUICE_ROLE_GLOBAL = 1, SLUICE_ROLE_BIAS = 2 };
enum { SLUICE_WEIGHTS_VIEW = 0, SLUICE_WEIGHTS_REGISTER = 1, SLUICE_WEIGHTS_UNREGISTER = 2 };
#define SLUICE_MAX_NDIM 8

/* A parameter of a layer; the caller's, in and out. */
typedef struct sluice_param {
    size_t struct_size;
    const char *name;  /* in texts; unique in the layer */
    const char *group; /* of parameters that move together (draft); NULL: all of the layer's */
    const sluice_tensor *tensor; /* EXPERT: [L, ...], routed rows first, the F shared ones last */
    int32_t role;    /* EXPERT: dimension 0 is the L local slots. Others are never written. */
    int32_t visible; /* out: 1 where `view` was filled in, 0 where there is none */
    /* out: what a rebalance may write: the same data, strides, dtype and offset with dimension 0 =
     * N. view.shape points at view_shape, view.strides at the tensor's own. */
    sluice_tensor view;
    int64_t view_shape[SLUICE_MAX_NDIM];
} sluice_param;
SLUICE_ASSERT_ENDS_WITH(sluice_param, view_shape);

typedef struct sluice_weights_args {
    size_t struct_size;
    int32_t layer;
    int32_t action;              /* SLUICE_WEIGHTS_* */
    sluice_param *const *params; /* [param_count] */
    int32_t param_count;
    int32_t reserved;
    /* REGISTER, optional: local rows of this layer were rewritten, in stream order; called on the
     * thread that committed. Must not call the plugin. */
    void (*changed)(void *user, int32_t layer, const int32_t *rows, int32_t count, void *stream);
    void *user;
} sluice_weights_args;
SLUICE_ASSERT_ENDS_WITH(sluice_weights_args, user);

/* Names one dispatch; a value of the caller, nothing to release. Valid for its lane's combine (as
 * often as you like) until the lane's next COUNT or FIXED, which ends it. Frozen. */
typedef struct sluice_handle {
    uint64_t opaque[4];
} sluice_handle;

enum { SLUICE_DISPATCH_COUNT = 1, SLUICE_DISPATCH_SEND = 2, SLUICE_DISPATCH_FIXED = 3 };

/*       reads                                        fills in
 * COUNT ids, num_valid                               *handle, *row_count, slot_counts, slot_starts
 * SEND  *handle, the same ids and num_valid again,   rows, row_slot, row_weight
 *       weights, payloads, multiply
 * FIXED all but *handle                              all but *row_count
 * Members of the other phase are ignored, so one struct serves both calls. */
typedef struct sluice_dispatch_args {
    size_t struct_size;
    int32_t layer;
    int32_t phase; /* SLUICE_DISPATCH_*, required */
    void *stream;
    sluice_handle *handle; /* COUNT and FIXED fill it in, SEND reads it */
    int32_t lane;
    int32_t payload_count;
    /* in */
    const sluice_tensor *const *payloads; /* [payload_count] of [T, ...], any dtype, as bytes */
    const sluice_tensor *dispatch_ids;    /* [T, C] slot ids, C = K + F or less; -1 sends nothing */
    const sluice_tensor *dispatch_weights; /* [T, C] f32; required by SEND and FIXED */
    const sluice_tensor *num_valid;        /* one id, optional */
    /* out */
    const sluice_tensor *const *rows; /* [payload_count] of [rows, ...]; at least the rows told */
    const sluice_tensor *slot_counts; /* [L] ids, optional: rows of each slot without padding */
    const sluice_tensor *slot_starts; /* [L+1] ids, optional: first row of each local slot */
    const sluice_tensor *row_slot;    /* [rows] ids, optional: local slot of a row, -1 = padding */
    const sluice_tensor *row_weight;  /* [rows] f32, optional */
    int64_t *row_count; /* COUNT: rows SEND will write, padding included; host memory */
    /* 1: payload 0 (f32, f16, bf16) is multiplied by the row's weight; only for layers with
     * weight_on INPUT, where 0 leaves it to the engine, by row_weight. Elsewhere combine weighs. */
    int32_t multiply;
    int32_t reserved;
} sluice_dispatch_args;
SLUICE_ASSERT_ENDS_WITH(sluice_dispatch_args, reserved);

typedef struct sluice_combine_args {
    size_t struct_size;
    int32_t layer;
    int32_t scale; /* 1: times the routed scaling factor; only where scale_by is BY_ENGINE, and then
                    * here or in the engine, not in both */
    void *stream;
    const sluice_handle *handle;
    /* in */
    /* [rows, H] f32, f16 or bf16: expert outputs in the rows of dispatch, not weighted yet */
    const sluice_tensor *rows;
    const sluice_tensor *zero_weight; /* [T] f32, optional: adds zero_weight * x */
    const sluice_tensor *x;           /* [T, H], dtype of rows; iff zero_weight */
    /* out */
    const sluice_tensor *out; /* [T, H], dtype of rows; T as dispatched */
} sluice_combine_args;
SLUICE_ASSERT_ENDS_WITH(sluice_combine_args, out);

/* -------------------------------------------------------------------------------- the table */

/* The core. Frozen: it never grows; what comes later is an extension. */
typedef struct sluice_api {
    uint32_t abi_major, abi_minor;
    uint64_t size;       /* sizeof(sluice_api) of the plugin */
    const char *backend; /* "cpu", "cuda" */
    const char *version; /* of the plugin, for people */

    /* Makes a context. Everything in config is copied or must outlive the context as its comment
     * says; layers, routers and transport are copied. With comm callbacks and a use that exchanges
     * (EXACT, FIXED, BALANCE_NOW, SUMMED_LOAD, MIGRATE): collective; contexts of several models are
     * opened in the same order everywhere; ranks whose config differs get MISMATCH. `text` (may be
     * NULL) gets the error, cut to text_size. On failure *context is NULL. The trivial placement
     * (physical p holds expert p mod E) is in force until another is set.
     * Errors: INVALID, UNSUPPORTED, UNAVAILABLE, NO_MEMORY, PEER_LOST, MISMATCH. [any thread] */
    sluice_status (*open)(const sluice_config *config, sluice_context **context, char *text,
                          size_t text_size);

    /* Ends a context: joins its threads, frees what it allocated, waits for no peer. Calls made
     * before, but exchanges, still give their results: what they use is freed after them. NULL is
     * fine. Graphs that hold an exchange of the plugin must be destroyed before. */
    void (*close)(sluice_context *context);

    /* The text of the context's last failed call, copied and cut to `size`; returns its whole
     * length without the NUL, 0 if none failed. [any thread] */
    size_t (*last_error)(const sluice_context *context, char *text, size_t size);

    /* Chooses experts: see sluice_router and abi/routers.md for the order of computation. The K
     * greatest rank values, ties to the lower id; NaN and -inf are never chosen; what is left of a
     * row, padding rows and zero experts are id -1, weight 0.
     * Errors: INVALID. [hot] [capture] */
    sluice_status (*topk)(sluice_context *context, const sluice_topk_args *args);

    /* Maps choices to copies. Routed column: slot id p + (p / N) * F of the copy p that the copy
     * policy takes, recorder id p. Shared column j: slot rank * L + N + j, rank by shared_policy;
     * weight = shared_scale or shared_weights, divided by the routed scale where scale_by is
     * BY_ENGINE. Choices of -1 and padding rows give -1 everywhere (a row without a valid choice
     * keeps its shared columns unless it is padding; under waterfill it loses them, as SGLang's
     * does). An id outside [0, E) gives -1, weight 0, and is counted as rejected; one without a
     * living copy likewise, and is counted as dead. Collective iff shared_policy is
     * WATERFILL_DYNAMIC, or balance mode is `now`; then a failure after the first message says so
     * and needs `set` of sluice.ranks/1. Errors: INVALID; collective: PEER_LOST, MISMATCH,
     * CANCELLED, NOT_READY. [hot] [capture] */
    sluice_status (*remap)(sluice_context *context, const sluice_remap_args *args);

    /* Adds 1 to the bank's 64-bit counter of every recorder id in [0, P). -1 is ignored; any other
     * id is rejected and counted as such. Read by sluice.load/1. [hot] [capture]
     * Errors: INVALID. */
    sluice_status (*record)(sluice_context *context, const sluice_record_args *args);

    /* Fills in, for every EXPERT parameter, the view a rebalance may write: its first N rows.
     * GLOBAL and BIAS parameters get none. REGISTER also hands the views to migration, UNREGISTER
     * takes them back by name, all of the layer's where param_count is 0. A layer that uses
     * another's bank speaks of that bank's weights. All or nothing. Errors: INVALID (dimension 0 is
     * not L, names twice; names the parameter), BUSY (REGISTER, UNREGISTER while the layer moves),
     * UNSUPPORTED (REGISTER and UNREGISTER where sluice.migrate/1 is not served). */
    sluice_status (*get_moe_weights)(sluice_context *context, const sluice_weights_args *args);

    /* Sends each token's payload rows once to every rank it visits and lays them out by local slot;
     * inside a slot by source rank, then token. Collective.
     * COUNT: exchanges counts and [waits], for the ranks and for its stream, all within timeout_ns;
     * row_count (on the host), slot_counts and slot_starts are filled in. SEND: moves the rows of
     * the same ids, num_valid and lane. A rank whose outputs are too small gets INVALID naming it,
     * and so do all others where the call waits for them (on a host); who got it repeats SEND. On a
     * device SEND waits for nobody: the others' streams wait for that rank. Both need USE_EXACT and
     * cannot be captured.
     * FIXED (USE_FIXED): one call, nothing on the host; outputs hold needs.fixed_rows rows, of
     * which slot_starts[L] are used (GROUPED), or slot_counts[s] of each slot (STRIDED; the rows
     * behind them are left as they were). What exceeds a capacity is dropped and reported: all
     * ranks get OVERFLOW (where a device runs it, from the next call of dispatch or combine, which
     * has done its work; in replays from poll of sluice.ranks/1), which is a result and
     * no failure: the handle is valid, every rank goes on to combine, and that gives NaN for the
     * tokens hit. The fault record has rank, had and needed. [capture]
     * Slot ids outside [0, W * L) and of dead ranks send nothing and are counted as rejected.
     * Errors: INVALID, UNSUPPORTED (not asked for at open), STALE (SEND with another handle, or
     * again), NOT_CAPTURABLE, PEER_LOST, MISMATCH, CANCELLED, NOT_READY, OVERFLOW (FIXED). [hot] */
    sluice_status (*dispatch)(sluice_context *context, const sluice_dispatch_args *args);

    /* Brings expert outputs home: out[t] = sum over columns, ascending, of weight * row in f32, one
     * fused multiply-add a column, + zero_weight * x, * scale, rounded once to the dtype; a NaN is
     * the quiet one without payload. Weight is 1 for a layer with weight_on INPUT. No valid choice:
     * 0. The order of the sum is sluice_transport's combine_order. Collective. [hot] [capture]
     * Errors: INVALID, STALE (the lane has dispatched again, or ranks were set), PEER_LOST,
     * MISMATCH, CANCELLED, NOT_READY. */
    sluice_status (*combine)(sluice_context *context, const sluice_combine_args *args);

    /* The table of an extension, e.g. "sluice.route/1" (abi/ext), or NULL if this code has none of
     * that id. A function in it is there iff it lies inside the table's struct_size and is not
     * NULL. What a context or machine can do is said by the call's status. [any thread] */
    const void *(*extension)(const char *id);
} sluice_api;
SLUICE_ASSERT_ENDS_WITH(sluice_api, extension);

/* Is function `member` in an extension's table? (The table may be NULL, older or newer.) */
#define SLUICE_HAS(table, type, member)                                                            \
    ((table) != NULL &&                                                                            \
     (table)->struct_size >= offsetof(type, member) + sizeof((table)->member) &&                   \
     (table)->member != NULL)

/* The one exported symbol. NULL: this major is not served. [any thread] */
#if defined(SLUICE_BUILDS_PLUGIN) && defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const sluice_api *
sluice_plugin_get(uint32_t abi_major);

#if defined(__cplusplus)
}
#endif
#endif
