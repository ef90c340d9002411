/* SPDX-License-Identifier: Apache-2.0
 * The frame of the conformance suite: cases, checks, and helpers that every case uses. A case runs
 * in a process of its own, with the plugin loaded there, so it ends by leaving: a check that fails
 * reports and exits at once, from any thread. */
#ifndef CONFORM_H
#define CONFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../plugin.h"
#include "../ext/device.h"
#include "../ext/load.h"
#include "../ext/placement.h"
#include "../ext/ranks.h"
#include "../ext/route.h"
#include "../ext/stats.h"

/* ------------------------------------------------------------------------------------ cases */

struct cf_case {
    const char *name;  /* area.what, one word */
    const char *title; /* the promise, as a sentence */
    void (*run)(const void *what);
    const void *what; /* for `run`: cases that differ in their data only */
};

struct cf_list {
    const struct cf_case *cases;
    size_t count;
};

/* Each file of cases has one. */
extern const struct cf_list cf_table_cases, cf_struct_cases, cf_argument_cases, cf_config_cases,
    cf_host_cases, cf_topk_cases, cf_topk_edge_cases, cf_remap_cases, cf_copy_cases,
    cf_every_row_cases, cf_waterfill_cases, cf_record_cases, cf_promise_cases, cf_weights_cases,
    cf_route_cases, cf_placement_cases, cf_rank_cases, cf_dispatch_cases, cf_fixed_cases,
    cf_combine_cases, cf_fault_cases, cf_lost_cases, cf_hot_cases, cf_thread_cases, cf_device_cases,
    cf_tensor_cases, cf_window_cases, cf_balance_cases, cf_quota_cases, cf_carried_cases,
    cf_plan_cases;

#define CF_LIST(list_, array_)                                                                     \
    const struct cf_list list_ = {(array_), sizeof(array_) / sizeof *(array_)}

/* ----------------------------------------------------------------------------------- checks */

_Noreturn void cf_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void cf_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FAIL(...) cf_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(held_, ...)                                                                          \
    do {                                                                                           \
        if (!(held_))                                                                              \
            FAIL(__VA_ARGS__);                                                                     \
    } while (0)
#define CHECK_EQ(got_, want_, ...)                                                                 \
    cf_check_eq(__FILE__, __LINE__, (int64_t)(got_), (int64_t)(want_), __VA_ARGS__)
#define CHECK_NEAR(got_, want_, ...)                                                               \
    cf_check_near(__FILE__, __LINE__, (double)(got_), (double)(want_), __VA_ARGS__)

void cf_check_eq(const char *file, int line, int64_t got, int64_t want, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Within 3e-6 of the greater of 1e-30 and |want|. */
void cf_check_near(const char *file, int line, double got, double want, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* ------------------------------------------------------------------------ the plugin under test */

extern const sluice_api *cf_api;
extern const sluice_device_api *cf_memory; /* NULL: tensors are host memory */
extern const char *cf_plugin_path;

/* This thread's device: the first, or that of a rank. */
sluice_device cf_device(void);
/* From now on that of `rank`; the case is not run where there are too few. */
void cf_use_device(int32_t rank);

/* Loads the plugin in this process; fails the case if it cannot. */
void cf_load(const char *path);

const char *cf_status_name(sluice_status status);

/* status is `want`, and then last_error has every one of the words (NULL ends them). */
#define EXPECT(context_, status_, want_, ...)                                                      \
    cf_expect(__FILE__, __LINE__, context_, status_, want_,                                        \
              (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_OK(context_, status_)                                                               \
    cf_expect(__FILE__, __LINE__, context_, status_, SLUICE_OK, (const char *const[]){NULL})
void cf_expect(const char *file, int line, const sluice_context *context, sluice_status status,
               sluice_status want, const char *const *words);
/* The same for a text that came back in a buffer. */
#define EXPECT_TEXT(text_, status_, want_, ...)                                                    \
    cf_expect_text(__FILE__, __LINE__, text_, status_, want_,                                      \
                   (const char *const[]){__VA_ARGS__, NULL})
void cf_expect_text(const char *file, int line, const char *text, sluice_status status,
                    sluice_status want, const char *const *words);

const sluice_route_api *cf_route(void);
const sluice_load_api *cf_load_api(void);
const sluice_placement_api *cf_placement(void);
const sluice_ranks_api *cf_ranks(void);
const sluice_stats_api *cf_stats(void);

/* ----------------------------------------------------------------------------------- arrays */

enum cf_type { CF_F32, CF_F16, CF_BF16, CF_I32, CF_I64, CF_U8 };

/* A tensor of the plugin's device with a copy on the host; they are the same memory on the CPU.
 * Belongs to the thread that made it; never freed, a case's process is short. */
struct cf_array {
    sluice_tensor t; /* first, so that &a->t and a are one address */
    int64_t shape[4], strides[4];
    enum cf_type type;
    int64_t rows, columns, stride;
    size_t bytes;
    void *host;
    struct cf_array *next;
};

/* columns 0: a vector [rows]. Zeroed. */
struct cf_array *cf_array(enum cf_type type, int64_t rows, int64_t columns);
/* Rows `stride` elements apart; what lies between holds a pattern that cf_pull checks. */
struct cf_array *cf_strided(enum cf_type type, int64_t rows, int64_t columns, int64_t stride);
/* A scalar [1] of ids, on the host. */
struct cf_array *cf_scalar(int64_t value);
struct cf_array *cf_ids(enum cf_type type, int64_t rows, int64_t columns, const int32_t *values);
struct cf_array *cf_floats(int64_t rows, int64_t columns, const float *values);

double cf_get(const struct cf_array *array, int64_t row, int64_t column);
int64_t cf_id(const struct cf_array *array, int64_t row, int64_t column);
void cf_put(struct cf_array *array, int64_t row, int64_t column, double value);
void cf_fill_bytes(struct cf_array *array, unsigned char byte);
/* Equal to the bit: 0 is not -0, a NaN may equal itself. */
bool cf_same_bits(float a, float b);
bool cf_all_bytes(const struct cf_array *array, unsigned char byte);

/* All arrays of this thread to the device, or back; nothing to do on the CPU but the gap check. */
void cf_push(void);
void cf_pull(void);

float cf_half_to_float(uint16_t half);
uint16_t cf_float_to_half(float value);
uint16_t cf_float_to_bfloat(float value);
float cf_bfloat_to_float(uint16_t value);
size_t cf_type_size(enum cf_type type);

/* The six and route, between a push and a pull. */
sluice_status cf_call_topk(sluice_context *context, const sluice_topk_args *args);
sluice_status cf_call_remap(sluice_context *context, const sluice_remap_args *args);
sluice_status cf_call_record(sluice_context *context, const sluice_record_args *args);
sluice_status cf_call_route(sluice_context *context, const sluice_route_args *args);
sluice_status cf_call_dispatch(sluice_context *context, const sluice_dispatch_args *args);
sluice_status cf_call_combine(sluice_context *context, const sluice_combine_args *args);

/* ----------------------------------------------------------------------------------- random */

struct cf_random {
    uint64_t state;
};
uint64_t cf_next(struct cf_random *random);
int32_t cf_below(struct cf_random *random, int32_t n);
double cf_uniform(struct cf_random *random); /* [0, 1) */
double cf_normal(struct cf_random *random);

/* --------------------------------------------------------------------------------- contexts */

enum { CF_MAX_LAYERS = 8 };

/* Everything a config points at, with usable defaults; change what the case is about. */
struct cf_setup {
    sluice_router router[CF_MAX_LAYERS];
    sluice_layer layer[CF_MAX_LAYERS];
    const sluice_layer *layers[CF_MAX_LAYERS];
    int32_t bank[CF_MAX_LAYERS];
    sluice_transport transport;
    sluice_host host;
    sluice_comm comm;
    sluice_needs needs;
    sluice_config config;
};

void cf_setup(struct cf_setup *setup, int32_t layers, int32_t experts, int32_t top_k,
              int32_t shared);
/* This rank of `size`, without callbacks. */
void cf_setup_rank(struct cf_setup *setup, int32_t rank, int32_t size);
void cf_setup_comm(struct cf_setup *setup, const sluice_comm *comm);
/* The case is not run where the plugin does not serve what the config asks for: a use, or a policy
 * that is not the default. */
sluice_context *cf_open(struct cf_setup *setup);
void cf_served(const sluice_config *config, sluice_status status, const char *text);
sluice_context *cf_open_simple(int32_t experts, int32_t top_k, int32_t shared);

void cf_set_placement(sluice_context *context, int32_t layer, const int32_t *map, int64_t count);
/* The counters of a layer, into [physical]. */
void cf_counters(sluice_context *context, int32_t layer, int64_t *counters, int64_t physical);
uint64_t cf_rejected(sluice_context *context, int32_t op);

/* Memory as an engine's allocator gives it, of the host or the plugin's device; NULL: none. */
void *cf_take(size_t bytes, size_t align, sluice_device device);
void cf_give(void *data, sluice_device device);
void cf_scrub(void *data, unsigned char byte, size_t bytes, sluice_device device);

/* One thread a rank, each with a communicator; returns when all have ended. */
typedef void cf_rank_fn(int32_t rank, int32_t size, const sluice_comm *comm, const void *what);
void cf_run_ranks(int32_t size, cf_rank_fn *run, const void *what);
/* Waits until every rank of cf_run_ranks has come here, beside the communicator. */
void cf_meet(void);

/* ----------------------------------------------------------------------------- observations */

/* Calls of malloc and its kin by this process are counted from now on. False where they are not
 * seen (a sanitizer has its own). */
bool cf_allocations_watch(void);
/* How many there were since. */
int64_t cf_allocations(void);
/* Only those of the library that `inside` points into count: others below it, as a device's driver,
 * promise nothing. */
void cf_allocations_of(const void *inside);

/* ------------------------------------------------------------------------------- running cases */

enum cf_verdict { CF_PASS, CF_FAILED, CF_SKIPPED };

struct cf_result {
    enum cf_verdict verdict;
    char reason[600];
    double seconds;
};

void cf_run_case(const struct cf_case *item, const char *plugin, double seconds,
                 struct cf_result *result);

#endif
