/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_level.h"

#include <stdatomic.h>
#include <string.h>

#include "cpu_choose.h"

static atomic_int chosen = -1;

int sl_level(void)
{
    int level = atomic_load(&chosen);
    return level < 0 ? sl_choose_best_level() : level;
}

const char *const *sl_level_names(void)
{
    /* One list for each best level: constant, so that any thread may read it. */
    static const char *const lists[][4] = {
        {"portable"}, {"portable", "avx2"}, {"portable", "avx2", "avx512"}};
    return lists[sl_choose_best_level()];
}

sluice_status sl_level_use(const char *name)
{
    if (!name) {
        atomic_store(&chosen, -1);
        return SLUICE_OK;
    }
    const char *const *names = sl_level_names();
    for (int level = 0; names[level]; level++)
        if (strcmp(names[level], name) == 0) {
            atomic_store(&chosen, level);
            return SLUICE_OK;
        }
    return SLUICE_INVALID;
}
