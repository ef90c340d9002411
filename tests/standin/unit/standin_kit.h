/* SPDX-License-Identifier: Apache-2.0 */
/* The stand-in as a program sees it: opened by name, every function looked up. */
#ifndef STANDIN_KIT_H
#define STANDIN_KIT_H

#include "../drv_api.h"
#include "ct.h"

#define KIT_MEMBER(name_, symbol_, version_, params_) int(*symbol_) params_;
struct kit {
    DRV_FUNCTIONS(KIT_MEMBER)
    void (*standin_counters)(struct standin_counters *out);
    void (*standin_counters_reset)(void);
    const char *(*standin_message)(void);
    uint64_t (*standin_violations)(void);
    void (*standin_forgive)(void);
    void (*standin_fail)(enum standin_event event, uint64_t nth, int error);
    uint64_t (*standin_failed)(void);
    void (*standin_slow_fills)(int ms);
    int64_t (*standin_held)(void);
    void (*standin_budget)(uint64_t instructions);
};
#undef KIT_MEMBER

/* The driver with the context of device 0 current and no old errors; NULL after a failed check. */
const struct kit *kit_open(void);

/* A module from build/standin/NAME.fatbin, or from text; NULL after a failed check. */
struct CUmod_st *kit_load(const char *name);
struct CUmod_st *kit_load_text(const char *text);
struct CUfunc_st *kit_function(struct CUmod_st *module, const char *name);

/* Device memory with these bytes (NULL: as allocated). */
drv_address kit_upload(const void *data, size_t bytes);

/* Launches and waits; gives the error of either. */
int kit_run(struct CUfunc_st *function, unsigned blocks, unsigned threads, unsigned shared,
            void **params);

#endif
