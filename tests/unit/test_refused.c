/* Memory, threads and pages that the system refuses: every call says so, gives back what it took,
 * and works the next time. */
#include <stdlib.h>
#include <string.h>

#include "abi/ext/placement.h"
#include "abi/ext/ranks.h"
#include "ct.h"
#include "ct_fail.h"
#include "ct_ranks.h"
#include "ct_sluice.h"
#include "src/comm/comm_threads.h"

static const char *const NOT_HERE = "under a sanitizer nothing is refused";

/* ------------------------------------------------------------------------ ranks as threads */

CT(refused, group_of_threads, "every allocation of a group of ranks may fail: no group")
{
    if (!ct_refuse(CT_MEMORY, 0))
        ct_skip(NOT_HERE);
    sluice_comm_threads *group = NULL;
    int64_t nth = 1;
    for (; !group && nth < 20; nth++) {
        (void)ct_refuse(CT_MEMORY, nth);
        group = sluice_comm_threads_create(3, NULL);
        ct_true(ct_requests(CT_MEMORY) >= nth || group != NULL);
    }
    int64_t made = ct_requests(CT_MEMORY);
    (void)ct_refuse(CT_MEMORY, 0);
    ct_true(group != NULL);
    sluice_comm_threads_destroy(group);
    ct_true(made >= 3 && nth == made + 2); /* each of them was refused once */
}

CT(refused, message, "a message without memory is NO_MEMORY, and the next one arrives")
{
    if (!ct_refuse(CT_MEMORY, 0))
        ct_skip(NOT_HERE);
    sluice_comm_threads *group = sluice_comm_threads_create(2, NULL);
    ct_true(group != NULL);
    sluice_comm a, b;
    sluice_comm_threads_get(group, 0, &a);
    sluice_comm_threads_get(group, 1, &b);
    int32_t out = 5, in = 0, done = 0;
    uint64_t sent = 0, received = 0;
    (void)ct_refuse(CT_MEMORY, 1);
    ct_eq_i64(a.isend(a.user, 0, 1, &out, sizeof out, &sent), SLUICE_NO_MEMORY);
    (void)ct_refuse(CT_MEMORY, 1);
    ct_eq_i64(b.irecv(b.user, 0, 0, &in, sizeof in, &received), SLUICE_NO_MEMORY);
    (void)ct_refuse(CT_MEMORY, 0);
    ct_true(sent == 0 && received == 0);
    out = 6;
    ct_eq_i64(b.irecv(b.user, 0, 0, &in, sizeof in, &received), SLUICE_OK);
    ct_eq_i64(b.poll(b.user, received, &done), SLUICE_OK);
    ct_eq_i64(done, 0); /* nothing of the refused message is there */
    ct_eq_i64(a.isend(a.user, 0, 1, &out, sizeof out, &sent), SLUICE_OK);
    ct_eq_i64(b.poll(b.user, received, &done), SLUICE_OK);
    ct_eq_i64(done, 1);
    ct_eq_i64(in, 6);
    ct_eq_i64(a.poll(a.user, sent, &done), SLUICE_OK);
    sluice_comm_threads_destroy(group);
}

CT(refused, collectives_allocate_nothing, "a collective of ranks as threads needs no memory")
{
    if (!ct_refuse(CT_MEMORY, 0))
        ct_skip(NOT_HERE);
    sluice_comm_threads *group = sluice_comm_threads_create(1, NULL);
    ct_true(group != NULL);
    sluice_comm comm;
    sluice_comm_threads_get(group, 0, &comm);
    int32_t out = 3, in = 0, peer = -1;
    const void *send = &out;
    void *recv = &in;
    size_t bytes = sizeof out;
    (void)ct_refuse(CT_MEMORY, 1);
    sluice_status first = comm.all_gather(comm.user, 0, &out, &in, bytes, 1000000000, &peer);
    sluice_status then =
        comm.all_to_all(comm.user, 0, &send, &bytes, &recv, &bytes, 1000000000, &peer);
    comm.resume(comm.user, -1);
    comm.cancel(comm.user, -1);
    int64_t made = ct_requests(CT_MEMORY);
    (void)ct_refuse(CT_MEMORY, 0);
    sluice_comm_threads_destroy(group);
    ct_eq_i64(first, SLUICE_OK);
    ct_eq_i64(then, SLUICE_OK);
    ct_eq_i64(made, 0);
}

/* ------------------------------------------------------------------------------------ open */

/* An allocator that fails at one request, and knows what has not come back. */
struct account {
    int64_t fail_at, made, live;
};

static void *take(void *user, size_t bytes, size_t align, int32_t kind, sluice_device device)
{
    (void)kind, (void)device;
    struct account *account = user;
    if (++account->made == account->fail_at)
        return NULL;
    account->live++;
    return aligned_alloc(align, bytes);
}

static void give(void *user, void *data, size_t bytes, int32_t kind, sluice_device device)
{
    (void)bytes, (void)kind, (void)device;
    ((struct account *)user)->live--;
    free(data);
}

enum { RANKS = 3 };
static const int64_t TIMEOUT_NS = 200000000;

/* One attempt of three ranks to open. */
struct attempt {
    sluice_comm_threads *group;
    struct account accounts[RANKS];
    sluice_status status[RANKS];
    char text[RANKS][256];
};

static sluice_config everything(int32_t rank, sluice_comm *comm, sluice_host *host,
                                sluice_transport *transport, struct account *account)
{
    sluice_router router = {.struct_size = sizeof router, .experts = 6, .top_k = 2, .shared = 1};
    sluice_config config = ct_config(&router, 2, rank, comm ? comm->size : 1);
    *host = (sluice_host){
        .struct_size = sizeof *host, .user = account, .alloc = take, .free = give, .threads = 2};
    *transport = (sluice_transport){.struct_size = sizeof *transport,
                                    .max_tokens = 8,
                                    .fixed_tokens = 8,
                                    .payload_row_bytes = 64,
                                    .lanes = 2};
    if (comm)
        config.comm = comm;
    config.host = host;
    config.transport = transport;
    config.uses = SLUICE_USE_EXACT | SLUICE_USE_FIXED | SLUICE_USE_BALANCE_NOW;
    config.shared_policy = SLUICE_SHARED_WATERFILL_DYNAMIC;
    config.timeout_ns = ct_patience(TIMEOUT_NS);
    return config;
}

static void open_rank(int32_t rank, void *argument)
{
    struct attempt *attempt = argument;
    sluice_comm comm;
    sluice_host host;
    sluice_transport transport;
    sluice_comm_threads_get(attempt->group, rank, &comm);
    sluice_config config = everything(rank, &comm, &host, &transport, &attempt->accounts[rank]);
    sluice_context *context = NULL;
    attempt->status[rank] =
        ct_api()->open(&config, &context, attempt->text[rank], sizeof attempt->text[rank]);
    (void)ct_expect_true((context != NULL) == (attempt->status[rank] == SLUICE_OK));
    ct_api()->close(context);
}

/* fail_at: which allocation of rank 1 fails; 0: none. Returns how many it made. */
static int64_t try_open(int64_t fail_at, struct attempt *attempt)
{
    *attempt = (struct attempt){.group = sluice_comm_threads_create(RANKS, NULL)};
    attempt->accounts[1].fail_at = fail_at;
    ct_run_ranks(RANKS, open_rank, attempt);
    sluice_comm_threads_destroy(attempt->group);
    for (int32_t r = 0; r < RANKS; r++)
        (void)ct_expect_eq_i64(attempt->accounts[r].live, 0);
    return attempt->accounts[1].made;
}

CT(refused, open_of_one_rank,
   "where one rank has no memory to open, the others lose it in time, and all can open again")
{
    struct attempt *attempt = ct_alloc(sizeof *attempt);
    int64_t made = try_open(0, attempt);
    for (int32_t r = 0; r < RANKS; r++)
        ct_eq_i64(attempt->status[r], SLUICE_OK);
    ct_true(made > 8);
    for (int64_t fail_at = 1; fail_at <= made && !ct_failed(); fail_at++) {
        (void)try_open(fail_at, attempt);
        ct_note("allocation %lld of %lld: %s; %s; %s", (long long)fail_at, (long long)made,
                attempt->text[0], attempt->text[1], attempt->text[2]);
        ct_eq_i64(attempt->status[1], SLUICE_NO_MEMORY);
        ct_eq_i64(attempt->status[0], SLUICE_PEER_LOST);
        ct_eq_i64(attempt->status[2], SLUICE_PEER_LOST);
        ct_str_has(attempt->text[0], "rank 1 did not come to open");
        ct_str_has(attempt->text[2], "rank 1 did not come to open");
        (void)try_open(0, attempt);
        for (int32_t r = 0; r < RANKS; r++)
            ct_eq_i64(attempt->status[r], SLUICE_OK);
    }
}

/* Opens alone; what must fail is refused to this thread. */
static sluice_status open_alone(int32_t threads, char *text, size_t size, struct account *account)
{
    sluice_host host;
    sluice_transport transport;
    sluice_context *context = NULL;
    sluice_config config = everything(0, NULL, &host, &transport, account);
    host.threads = threads;
    sluice_status status = ct_api()->open(&config, &context, text, size);
    (void)ct_expect_true((context != NULL) == (status == SLUICE_OK));
    ct_api()->close(context);
    return status;
}

static void refuse_in_open(enum ct_resource resource, int64_t wanted, const char *part)
{
    int64_t nth = 1;
    for (sluice_status status = -1; status != SLUICE_OK; nth++) {
        struct account account = {.fail_at = 0};
        char text[256] = "";
        (void)ct_refuse(resource, nth);
        status = open_alone(5, text, sizeof text, &account);
        int64_t made = ct_requests(resource);
        (void)ct_refuse(resource, 0);
        ct_note("request %lld: %s", (long long)nth, text);
        ct_eq_i64(account.live, 0);
        if (status == SLUICE_OK) {
            ct_eq_i64(made, wanted);
            ct_eq_i64(nth, wanted + 1);
            return;
        }
        ct_eq_i64(status, SLUICE_NO_MEMORY);
        ct_str_has(text, part);
        ct_true(nth <= wanted);
    }
}

CT(refused, threads_of_a_context, "every thread of a context may fail to start")
{
    if (!ct_refuse(CT_THREAD, 0))
        ct_skip(NOT_HERE);
    refuse_in_open(CT_THREAD, 4, "could not start 4 threads");
}

CT(refused, page_of_a_context, "the page that notices a fork may fail to be mapped")
{
    if (!ct_refuse(CT_MAPPING, 0))
        ct_skip(NOT_HERE);
    refuse_in_open(CT_MAPPING, 1, "no memory for a context of 1 ranks");
}

CT(refused, default_allocator, "every allocation of open may fail without an allocator of the host")
{
    if (!ct_refuse(CT_MEMORY, 0))
        ct_skip(NOT_HERE);
    sluice_router router = ct_deepseek_v3();
    sluice_config config = ct_config(&router, 2, 0, 1);
    int64_t nth = 1;
    for (sluice_context *context = NULL; !context && nth < 50; nth++) {
        char text[256] = "";
        (void)ct_refuse(CT_MEMORY, nth);
        sluice_status status = ct_api()->open(&config, &context, text, sizeof text);
        (void)ct_refuse(CT_MEMORY, 0);
        ct_note("request %lld: %s", (long long)nth, text);
        ct_eq_i64(status, context ? SLUICE_OK : SLUICE_NO_MEMORY);
        ct_true((text[0] == 0) == (context != NULL));
        ct_api()->close(context);
    }
    ct_true(nth > 5 && nth < 50);
}

/* ------------------------------------------------------------------------- the rare calls */

CT(refused, sets_need_no_memory, "set of a placement and set of ranks ask nobody for memory")
{
    struct account account = {.fail_at = 0};
    sluice_host host;
    sluice_transport transport;
    sluice_config config = everything(0, NULL, &host, &transport, &account);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    const sluice_placement_api *placement = ct_api()->extension(SLUICE_EXT_PLACEMENT);
    const sluice_ranks_api *ranks = ct_api()->extension(SLUICE_EXT_RANKS);
    int32_t map[6] = {5, 4, 3, 2, 1, 0};
    uint8_t alive[1] = {1};
    int64_t before = account.made;
    account.fail_at = before + 1;
    for (int64_t i = 1; i <= 20; i++) {
        const sluice_ranks given = {.struct_size = sizeof given, .generation = i, .alive = alive};
        int32_t kept = map[i % 6];
        map[i % 6] = map[0];
        map[0] = kept;
        (void)ct_refuse(CT_MEMORY, 1);
        sluice_status placed = placement->set(context, (int32_t)(i % 2), map, 6, 0, NULL);
        sluice_status ranked = ranks->set(context, &given, NULL);
        int64_t made = ct_requests(CT_MEMORY);
        (void)ct_refuse(CT_MEMORY, 0);
        ct_note("set %lld: %s", (long long)i, ct_error(context));
        ct_eq_i64(placed, SLUICE_OK);
        ct_eq_i64(ranked, SLUICE_OK);
        ct_eq_i64(made, 0);
        ct_eq_i64(account.made, before);
    }
    ct_api()->close(context);
}
