/* SPDX-License-Identifier: Apache-2.0 */
/* Messages, counters, and the failures that tests order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "warp.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char message[1024];
static uint64_t violations;
static struct standin_counters sum;
static uint64_t fail_in[STANDIN_EVENTS], failed;
static int fail_with[STANDIN_EVENTS];
static uint64_t budget;

_Static_assert(STANDIN_CLASSES == PCL_COUNT, "standin.h has all classes");

DRV_API void standin_say(const char *text)
{
    (void)pthread_mutex_lock(&lock);
    (void)snprintf(message, sizeof message, "%s", text);
    violations++;
    const char *path = getenv("STANDIN_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) {
        (void)fprintf(log, "standin: %s\n", text);
        (void)fclose(log);
    } else if (!path) {
        (void)fprintf(stderr, "standin: %s\n", text);
    }
    (void)pthread_mutex_unlock(&lock);
}

void warp_fault(struct warp *warp, const struct ptx_ins *ins, int lane, int error,
                const char *format, ...)
{
    struct cta *cta = warp->cta;
    struct grid *grid = cta->grid;
    char what[400], text[900];
    va_list args;
    if (grid->error)
        return;
    grid->error = error;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    uint32_t t = warp->index * 32 + (uint32_t)(lane < 0 ? 0 : lane);
    (void)snprintf(text, sizeof text,
                   "%s, PTX line %d (source line %d), %s, block (%u,%u,%u), thread (%u,%u,%u): %s",
                   grid->fn->name, ins->line, ins->src_line, ins->form->name, cta->id[0],
                   cta->id[1], cta->id[2], t % grid->threads[0],
                   t / grid->threads[0] % grid->threads[1], t / grid->threads[0] / grid->threads[1],
                   what);
    standin_say(text);
}

void standin_add(const struct standin_counters *more)
{
    (void)pthread_mutex_lock(&lock);
    sum.launches += more->launches;
    sum.warp_instructions += more->warp_instructions;
    sum.longest_warp =
        more->longest_warp > sum.longest_warp ? more->longest_warp : sum.longest_warp;
    sum.load_sectors += more->load_sectors;
    sum.store_sectors += more->store_sectors;
    sum.atomic_sectors += more->atomic_sectors;
    sum.bank_conflicts += more->bank_conflicts;
    sum.divergent_branches += more->divergent_branches;
    sum.global_atomics += more->global_atomics;
    sum.same_value_stores += more->same_value_stores;
    for (int i = 0; i < STANDIN_CLASSES; i++)
        sum.by_class[i] += more->by_class[i];
    (void)pthread_mutex_unlock(&lock);
}

DRV_API void standin_counters(struct standin_counters *out)
{
    (void)pthread_mutex_lock(&lock);
    *out = sum;
    (void)pthread_mutex_unlock(&lock);
}

DRV_API void standin_counters_reset(void)
{
    (void)pthread_mutex_lock(&lock);
    memset(&sum, 0, sizeof sum);
    (void)pthread_mutex_unlock(&lock);
}

DRV_API const char *standin_message(void)
{
    return message;
}

DRV_API uint64_t standin_violations(void)
{
    (void)pthread_mutex_lock(&lock);
    uint64_t count = violations;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

void standin_clear(void)
{
    (void)pthread_mutex_lock(&lock);
    message[0] = '\0';
    violations = 0;
    (void)pthread_mutex_unlock(&lock);
}

DRV_API void standin_fail(enum standin_event event, uint64_t nth, int error)
{
    (void)pthread_mutex_lock(&lock);
    fail_in[event] = nth;
    fail_with[event] = error;
    (void)pthread_mutex_unlock(&lock);
}

int drv_fails(enum standin_event event)
{
    (void)pthread_mutex_lock(&lock);
    int error = fail_in[event] == 1 ? fail_with[event] : DRV_OK;
    failed += error != DRV_OK;
    fail_in[event] -= fail_in[event] > 0;
    (void)pthread_mutex_unlock(&lock);
    return error;
}

DRV_API uint64_t standin_failed(void)
{
    (void)pthread_mutex_lock(&lock);
    uint64_t count = failed;
    (void)pthread_mutex_unlock(&lock);
    return count;
}

DRV_API void standin_budget(uint64_t instructions)
{
    budget = instructions;
}

uint64_t standin_launch_budget(void)
{
    return budget ? budget : 4000000000ULL;
}

static int64_t held;
static int fill_ms;

void drv_hold(int64_t things)
{
    (void)__atomic_add_fetch(&held, things, __ATOMIC_RELAXED);
}

DRV_API int64_t standin_held(void)
{
    return __atomic_load_n(&held, __ATOMIC_RELAXED);
}

DRV_API void standin_slow_fills(int ms)
{
    __atomic_store_n(&fill_ms, ms, __ATOMIC_RELAXED);
}

int drv_fill_ms(void)
{
    return __atomic_load_n(&fill_ms, __ATOMIC_RELAXED);
}
